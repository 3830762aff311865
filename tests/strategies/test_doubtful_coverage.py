import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.strategies import Pool, get_strategy
from embedpipe.strategies.algorithms.predictions import margin


def select(pool, n, **options):
    strategy = get_strategy("doubtful_coverage", **options)
    return strategy.select(pool, n, np.random.default_rng(0))


def around(*angles, length=1.0):
    turned = np.array(angles)
    return (length * np.column_stack([np.cos(turned), np.sin(turned)])).astype(np.float32)


def pool_of(matrix, labelled=(), doubt=None, **more):
    """Return a pool whose head has a margin of 1 − doubt about each row."""
    if doubt is not None:
        sure = 1 - np.asarray(doubt) / 2  # 2·sure − 1 is the margin
        predictions = np.column_stack([sure, 1 - sure])
        more["probabilities"] = lambda rows: predictions[rows]
    labels = (["hat", "shoe"] * len(labelled))[: len(labelled)] if labelled else None
    return Pool(matrix, labelled=list(labelled), labels=labels, **more)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(3, 40),
    d=st.integers(2, 5),
    kind=st.sampled_from(["gaussian", "copies", "tiny", "huge"]),
    options=st.fixed_dictionaries(
        {
            "width": st.sampled_from([0.3, 0.75, 2.0]),
            "floor": st.sampled_from([0.0, 0.25]),
            "sharpness": st.sampled_from([1.0, 2.0]),
            "doubt": st.booleans(),
            "metric": st.sampled_from(["cosine", "euclidean"]),
        }
    ),
    data=st.data(),
)
def test_picks_are_greedy_by_the_definition(seed, p, d, kind, options, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, d)) + 0.5
    if kind == "copies":
        matrix = matrix[rng.integers(0, p, p)]
    matrix = (matrix * {"tiny": 1e-25, "huge": 1e15}.get(kind, 1)).astype(np.float32)
    m = data.draw(st.integers(0, p - 1))
    pool = pool_of(matrix, range(m), rng.random(p)).measured_by(options["metric"])
    taken, free = pool.unique_labelled, np.flatnonzero(~pool.unique_labelled)
    if not free.size:
        return
    n = data.draw(st.integers(1, free.size))
    selection = select(pool, n, **options)

    index = pool.index
    x = index.sketch.astype(np.float64)
    away = np.linalg.norm(x[:, None] - x, axis=2)  # (p, p)
    spread = np.sqrt(np.square(x - x.mean(axis=0)).sum(axis=1).mean()) or 1.0
    typical = spread
    if taken.any():
        typical = np.clip(np.median(away[free][:, taken].min(axis=1)), 1e-3 * spread, spread)
    width = selection.diagnostics["width"]
    assert width == pytest.approx(options["width"] * typical, rel=1e-3)

    doubt, weights = np.ones(free.size), np.ones(free.size)
    if m and options["doubt"]:
        doubt = margin(pool.probabilities(index.rows[free]))
        smaller = (doubt[:, None] > doubt).mean(axis=1)
        weights = options["floor"] + smaller ** options["sharpness"]
    if not weights.any():
        weights = np.ones(free.size)
    weights = index.sizes[free] * weights
    weights = weights / weights.sum()
    kernel = np.exp(-np.square(away[:, free] / width))  # (p, f)
    covered = kernel[taken].max(axis=0, initial=0)
    left = set(free.tolist())
    for turn, point in enumerate(index.find(selection.rows)):
        gains = {each: weights @ np.maximum(kernel[each] - covered, 0) for each in left}
        assert gains[point] == pytest.approx(max(gains.values()), abs=1e-7)
        assert selection.scores[turn] == pytest.approx(gains[point], abs=1e-6)
        covered = np.maximum(covered, kernel[point])
        found = selection.diagnostics["coverage"][turn]
        assert found == pytest.approx(weights @ covered, abs=1e-6)
        left.remove(point)
    at = free.searchsorted(index.find(selection.rows))
    np.testing.assert_allclose(selection.diagnostics["doubt"], doubt[at], atol=1e-6)


def test_without_labels_the_centre_of_the_largest_group_comes_first():
    matrix = around(0.0, 0.1, 0.2, 0.3, 0.4, 1.3, 1.4, 1.5)
    assert select(pool_of(matrix), 2).rows.tolist() == [2, 6]


def test_lengths_matter_only_with_the_euclidean_metric():
    # All vectors but the last have the same direction: by cosine they are duplicates.
    matrix = np.concatenate([around(0.0, length=k) for k in (1, 2, 40)] + [around(0.5)])
    assert select(pool_of(matrix, [0]), 1).rows.tolist() == [3]
    assert select(pool_of(matrix, [0]), 1, metric="euclidean").rows.tolist() == [2]


def test_an_uncertain_item_is_preferred_to_an_isolated_certain_item():
    matrix = around(0.0, 0.4, 0.45, 0.5, 1.5)
    sure = pool_of(matrix, [0], [0, 0, 0, 0, 0.9])
    assert select(sure, 1).rows.tolist() == [4]
    unsure = pool_of(matrix, [0], [0, 0.9, 0.9, 0.9, 0.0])
    assert select(unsure, 1).rows.tolist() == [2]
    assert select(unsure, 1, doubt=False).rows.tolist() == select(pool_of(matrix, [0]), 1).rows


def test_without_uncertainty_all_items_have_the_same_weight():
    matrix = around(0.0, 0.4, 0.8, 1.2, 1.5)
    sure, blind = pool_of(matrix, [0], np.zeros(5)), pool_of(matrix, [0])
    assert select(sure, 3).rows.tolist() == select(blind, 3, doubt=False).rows.tolist()
    assert select(sure, 3).diagnostics["doubt"].tolist() == [0, 0, 0]
    bold = select(sure, 3, floor=0)
    assert bold.rows.tolist() == select(blind, 3, doubt=False).rows.tolist()


def test_the_kernel_narrows_with_more_labels():
    matrix = np.random.default_rng(0).standard_normal((300, 4)).astype(np.float32)
    widths = [
        select(pool_of(matrix, range(m), np.full(300, 0.5)), 1).diagnostics["width"]
        for m in (0, 3, 20, 100)
    ]
    assert (np.diff(widths) < 0).all()
