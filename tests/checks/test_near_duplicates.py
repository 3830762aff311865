"""Near duplicates: similarity against a reference, planted copies, limits from the data."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from embedpipe.checks import near_duplicates
from embedpipe.checks.duplicates import first_of_content
from embedpipe.checks.image_stats import SIDE, image_stats
from embedpipe.checks.outliers import RobustScale
from embedpipe.checks.similarity import _cutting, similarity
from embedpipe.index import Index


def averaged(picture, top, left, height, width, size=16):
    """Average a part of a picture down to `size` pixels a side, point by point."""
    fine = 20  # number of points along each side of a pixel
    points = (np.arange(size * fine) + 0.5) / (size * fine)
    ys, xs = ((start + side * points) * SIDE for start, side in ((top, height), (left, width)))
    sampled = picture[np.ix_(ys.astype(int), xs.astype(int))]
    return sampled.reshape(size, fine, size, fine).mean(axis=(1, 3))


def plain_similarity(one, other):
    """The same, window by window."""
    best = -1.0
    windows = [(0.0, 1.0)]
    windows += [(at * (1 - kept), kept) for kept in (0.95, 0.9, 0.85, 0.8) for at in (0, 0.5, 1)]
    for cut, whole in ((one, other), (other, one)):
        full = averaged(whole.astype(float), 0, 0, 1, 1)
        full = full - full.mean()
        for top, height in windows:
            for left, width in windows:
                part = averaged(cut.astype(float), top, left, height, width)
                part = part - part.mean()
                scale = np.sqrt((part**2).mean() * (full**2).mean())
                best = max(best, ((part * full).mean() + 4) / (scale + 4))
    return best


@pytest.fixture(scope="module")
def greys():
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 5, 5), dtype=np.uint8)
    return np.stack(
        [
            np.asarray(Image.fromarray(c).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
            for c in coarse
        ]
    )


def test_similarity_is_that_of_the_best_crop(greys):
    left, right = np.array([0, 1, 2, 3, 5]), np.array([1, 1, 3, 4, 0])
    expected = [plain_similarity(greys[i], greys[j]) for i, j in zip(left, right, strict=True)]
    found = similarity(greys, left, right)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert (similarity(greys, right, left) == found).all()
    assert found[1] == pytest.approx(1, abs=1e-6)


def test_averaging_keeps_the_mean():
    cutting = _cutting()
    assert cutting.shape == (13, 16, SIDE)
    np.testing.assert_allclose(cutting.sum(axis=2), 1, atol=1e-6)
    assert (cutting >= 0).all()


def test_blank_images_are_similar_despite_noise():
    rng = np.random.default_rng(0)
    blank = rng.integers(127, 129, (2, SIDE, SIDE), dtype=np.uint8)
    assert similarity(blank, np.array([0]), np.array([1]))[0] > 0.9


def test_limits_are_where_a_normal_distribution_has_them():
    values = np.random.default_rng(0).normal(3, 2, 200_001)
    above, below = RobustScale.above(values), RobustScale.below(values)
    assert above.limit(4) == pytest.approx(11, abs=0.1)
    assert below.limit(4) == pytest.approx(-5, abs=0.1)
    assert above.beyond(np.array([0, 9])) == pytest.approx([0, 3], abs=0.05)
    assert below.beyond(np.array([-3, 9])) == pytest.approx([3, 0], abs=0.05)
    assert RobustScale.above(np.ones(5), 0.5).limit(2) == 2


def rows_of(embeddings):
    return {item.id: row for row, item in enumerate(embeddings.items)}


def test_only_copies_are_grouped(embeddings, copies):
    row_of = rows_of(embeddings)
    first = first_of_content(embeddings.content_ids)
    stats = image_stats(embeddings.dataset.source, [item.id for item in embeddings.items], first)
    found = near_duplicates(Index(embeddings.matrix), first, stats)
    expected = sorted(sorted((row_of[name], row_of[source])) for name, source in copies.items())
    assert [group.tolist() for group in found.groups] == expected
    assert found.likenesses is not None
    assert found.likeness_limit is not None
    assert found.likeness_limit <= found.likenesses.min()
    assert found.likenesses.min() > 0.9


def test_by_vectors_alone_copies_that_hardly_differ_are_found(embeddings, copies):
    row_of = rows_of(embeddings)
    first = first_of_content(embeddings.content_ids)
    found = near_duplicates(Index(embeddings.matrix), first)
    groups = [set(group.tolist()) for group in found.groups]
    for name in ("train/a/recompressed.jpg", "train/a/lossless.png"):
        assert {row_of[name], row_of[copies[name]]} in groups
    planted = [{row_of[name], row_of[source]} for name, source in copies.items()]
    assert all(group in planted for group in groups)
    assert found.likenesses is None
    assert (found.ratios <= found.ratio_limit).all()


def test_exact_copies_join_groups_but_form_none():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((60, 16)).astype(np.float32)
    matrix[10] = matrix[11] = matrix[3]  # 10: the same bytes; 11: other bytes, the same vector
    matrix[21] = matrix[20] + np.float32(1e-3)
    matrix[31] = matrix[30]
    names = np.arange(60)
    names[10], names[31] = 3, 30
    found = near_duplicates(Index(matrix), names)
    assert [group.tolist() for group in found.groups] == [[3, 10, 11], [20, 21]]
    assert found.pairs.tolist() == [[20, 21]]


def test_data_without_copies_have_no_groups():
    for seed in range(5):
        matrix = np.random.default_rng(seed).standard_normal((400, 24)).astype(np.float32)
        assert near_duplicates(Index(matrix), np.arange(400)).groups == ()


@pytest.mark.parametrize("n", [1, 2, 19])
def test_of_few_items_only_equal_vectors_are_grouped(n):
    matrix = np.random.default_rng(0).standard_normal((n, 4)).astype(np.float32)
    found = near_duplicates(Index(matrix), np.arange(n))
    assert (found.groups, found.ratio_limit, found.likeness_limit) == ((), None, None)
    twice = np.concatenate([matrix, matrix[:1]])
    found = near_duplicates(Index(twice), np.arange(n + 1))
    assert [group.tolist() for group in found.groups] == [[0, n]]


def test_the_same_on_any_number_of_threads(embeddings):
    from threadpoolctl import threadpool_limits

    first = first_of_content(embeddings.content_ids)
    ids = [item.id for item in embeddings.items]
    found = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            stats = image_stats(embeddings.dataset.source, ids, first)
            near = near_duplicates(Index(embeddings.matrix), first, stats)
            found.append((near.pairs.tobytes(), near.likenesses.tobytes(), near.likeness_limit))
    assert found[0] == found[1] == found[2]


def test_a_picture_is_like_itself_and_unlike_its_negative():
    picture = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    greys = np.stack([picture, picture, 255 - picture])
    same, negative = similarity(greys, np.array([0, 0]), np.array([1, 2]))
    assert f"{same:.2f} {negative:.2f}" == "1.00 0.08"


def test_few_extreme_values_do_not_move_the_scale():
    values = np.append(np.linspace(-1, 1, 1001), [1e6] * 3)
    assert round(RobustScale.above(values).limit(1), 2) == 0.75
    assert round(RobustScale.below(-values).limit(1), 2) == -0.75
