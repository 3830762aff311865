import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import UsageError
from embedpipe.index import Index, Neighbours
from embedpipe.strategies import Pool, get_strategy, probcover
from embedpipe.strategies.probcover import fitting_radius
from embedpipe.strategies.probcover import pure_radius as radius_of


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(pool, n, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy("probcover", **options).select(pool, n, np.random.default_rng(0))


def distances(matrix):
    x = matrix.astype(np.float64)
    return np.sqrt(np.square(x[:, None] - x).sum(axis=2))


def by_definition(pool, n, delta):
    """The picks from every distance: most items, then density, then the lowest row."""
    rows, sizes = pool.index.rows, pool.index.sizes
    away = distances(pool.embeddings[rows])
    near = away <= delta
    spacing = pool.index.neighbours(32).distances.sum(axis=1, dtype=np.float64)
    covered = near[pool.unique_labelled].any(axis=0)
    free, picks, scores = np.flatnonzero(~pool.unique_labelled).tolist(), [], []
    while len(picks) < n:
        gains = {i: int(sizes[near[i] & ~covered].sum()) for i in free}
        best = min(free, key=lambda i: (-gains[i], spacing[i], i))
        if not gains[best]:
            centres = [*np.flatnonzero(pool.unique_labelled), *picks]
            best = max(free, key=lambda i: (away[i, centres].min(), -i))
        picks.append(best)
        scores.append(gains[best] / sizes.sum())
        covered |= near[best]
        free.remove(best)
    return rows[picks].tolist(), scores


def test_picks_worked_out_by_hand():
    # Row 2 covers 0 … 4; then 8 and 9 cover equally many, and 8 is lower; then 20. Then all is
    # covered, and 0, 4 and 9 are 2, 2 and 1 away from a pick.
    selection = select(Pool(line(0, 1, 2, 3, 4, 8, 9, 20)), 6, delta=2.5)
    assert selection.rows.tolist() == [2, 5, 7, 0, 4, 1]
    np.testing.assert_allclose(selection.scores, [5 / 8, 2 / 8, 1 / 8, 0, 0, 0])
    np.testing.assert_allclose(
        selection.diagnostics["covered"], [5 / 8, 7 / 8, 1, 1, 1, 1], rtol=1e-6
    )
    assert selection.diagnostics["delta"] == 2.5


def test_labelled_points_cover_from_the_start():
    selection = select(Pool(line(0, 1, 2, 8, 9, 9), labelled=[1]), 1, delta=1.5)
    assert selection.rows.tolist() == [3]
    np.testing.assert_allclose(selection.diagnostics["covered"], [1])  # copies count
    np.testing.assert_allclose(selection.scores, [0.5])


def test_if_all_balls_have_one_member_the_densest_place_comes_first():
    # Mean distances to the others: 13⅓, 6⅔, 6⅔ and 9⅓.
    assert select(Pool(line(0, 10, 13, 17)), 4, delta=0.1).rows.tolist() == [1, 2, 3, 0]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(2, 45),
    d=st.integers(1, 4),
    copies=st.booleans(),
    delta=st.sampled_from([0.01, 0.3, 1.0, 4.0]),
    data=st.data(),
)
def test_picks_are_those_of_the_definition(seed, p, d, copies, delta, data):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((p, d)).astype(np.float32)
    if copies:
        matrix = matrix[rng.integers(0, p, p)]
    pool = Pool(matrix, labelled=np.arange(data.draw(st.integers(0, p - 1))))
    free = int((~pool.unique_labelled).sum())
    if not free:
        return
    n = data.draw(st.integers(1, free))
    selection = select(pool, n, delta=delta)
    rows, scores = by_definition(pool, n, delta)
    assert selection.rows.tolist() == rows
    np.testing.assert_allclose(selection.scores, scores, rtol=1e-6)


def check_radius(radius, others, purity):
    """The radius must keep the share of pure balls, and the next float32 must not."""
    allowed = int((1 - purity) * others.size + 1e-9)
    limit = np.sort(others)[min(allowed, others.size - 1)]
    assert (others <= radius).sum() <= allowed
    assert radius < limit
    assert radius > limit * (1 - 3e-7)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    p=st.integers(4, 60),
    apart=st.sampled_from([0.0, 2.0, 50.0]),
    k=st.sampled_from([1, 3, 59]),
    purity=st.sampled_from([1.0, 0.95, 0.5]),
    kind=st.sampled_from(["gaussian", "tiny", "shifted"]),
)
def test_the_radius_is_the_largest_with_enough_pure_balls(seed, p, apart, k, purity, kind):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[0, 1], rng.integers(0, 3, p - 2)]).astype(np.int32)
    matrix = rng.standard_normal((p, 2)) + apart * labels[:, None]
    matrix = (matrix * (1e-25 if kind == "tiny" else 1) + 1e3 * (kind == "shifted")).astype("f4")
    index = Index(matrix)
    if index.rows.size < p:
        return
    away = np.where(labels[:, None] == labels, np.inf, distances(matrix))
    radius = radius_of(matrix, index.rows, labels, index.neighbours(k), purity)
    check_radius(radius, away.min(axis=1), purity)


def test_long_searches_use_evenly_spaced_points(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.arange(100, dtype=np.int32) % 2
    matrix = (rng.standard_normal((100, 2)) + 50 * labels[:, None]).astype(np.float32)
    monkeypatch.setattr(probcover, "SEARCHED", 30)
    monkeypatch.setattr(probcover, "BLOCK", 7)
    radius = radius_of(matrix, np.arange(100), labels, Index(matrix).neighbours(5), 0.9)
    away = np.where(labels[:, None] == labels, np.inf, distances(matrix)).min(axis=1)
    check_radius(radius, away[::4], 0.9)  # 100 points, no more than 30


def test_the_default_radius_follows_from_clusters():
    # Two clusters, 0 … 3 and 10 … 12: at purity 1 no ball reaches from 3 to 10.
    pool = Pool(line(0, 1, 2, 3, 10, 11, 12))
    selection = select(pool, 2, purity=1.0)
    assert 6.9 < selection.diagnostics["delta"] < 7
    # All of a cluster cover it; 3 and 10 have the smallest mean distance to the others.
    assert selection.rows.tolist() == [3, 4]
    assert select(pool, 2, purity=1.0, clusters=7).diagnostics["delta"] == pytest.approx(1)


def test_the_number_of_classes_is_the_number_of_clusters(monkeypatch):
    asked = []
    for given_, options in (({"n_classes": 5}, {}), ({}, {}), ({"n_classes": 5}, {"clusters": 3})):
        pool = Pool(np.random.default_rng(0).standard_normal((80, 3)), **given_)
        clusters = pool.index.clusters  # of the Euclidean index, which `select` asks for
        monkeypatch.setattr(
            pool.index,
            "clusters",
            lambda k, seed=0, clusters=clusters: (asked.append(k), clusters(k, seed))[1],
        )
        select(pool, 2, **options)
    assert asked == [5, 2, 3]


def test_the_radius_does_not_depend_on_the_seed():
    pool = Pool(np.random.default_rng(0).standard_normal((200, 3)))
    chooser = get_strategy("probcover")
    found = {
        chooser.select(pool, 3, np.random.default_rng(s)).diagnostics["delta"] for s in range(4)
    }
    assert len(found) == 1


def test_balls_that_are_too_large_are_reduced_or_refused(monkeypatch):
    monkeypatch.setattr(probcover, "SMALL", 1)
    matrix = np.random.default_rng(0).random((1000, 1)).astype(np.float32)
    matrix[500:] += 10
    selection = select(Pool(matrix), 3)
    held = (distances(matrix) <= selection.diagnostics["delta"]).sum() / 1000
    assert 18 < held < 36  # about 24 are allowed; two clusters of 500 would be pure
    with pytest.raises(UsageError) as caught:
        select(Pool(matrix), 3, delta=5.0)
    assert str(caught.value) == (
        "delta is 5: balls of this radius contain more than 24 vectors on average. "
        f"Give at most about {fits(matrix, 5.0):.3g}, or leave delta out."
    )


def fits(matrix, radius):
    index = Index(matrix)
    return fitting_radius(matrix, index.rows, index.neighbours(32), radius, 24 * len(matrix))


def test_the_largest_pure_radius_of_a_line():
    line = np.array([[0], [1], [2], [5], [6]], dtype=np.float32)
    near = Neighbours(np.array([[1], [0], [1], [4], [3]]), np.ones((5, 1), dtype=np.float32))
    radius = radius_of(line, np.arange(5), np.array([0, 0, 0, 1, 1]), near, 0.6)
    assert radius < 4  # the nearest of the other cluster are 5, 4, 3, 3 and 4 away
    assert round(radius, 3) == 4.0
