"""Selection for a target: unlabelled items from where the classifier will be used."""

import numpy as np
import pytest

from embedpipe.errors import SelectionError
from embedpipe.strategies import Pool, get_strategy, strategies
from embedpipe.strategies.algorithms import coverage
from embedpipe.strategies.algorithms.coverage import References, nearest_of
from embedpipe.testing.strategies import _threads

SUPPORTED = (
    "auto",
    "coreset",
    "doubtful_coverage",
    "facility_location",
    "max_herding",
    "uncertainty_herding",
)


class Halves:
    """A head that is sure below 0 and above 5, and undecided in between."""

    classes_ = np.array(["hat", "shoe"])

    def predict_proba(self, vectors):
        first = np.interp(np.asarray(vectors)[:, 0], [0, 1, 4, 5], [1, 0.5, 0.5, 0])
        return np.column_stack([first, 1 - first])


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def select(spec, pool, n):
    return get_strategy(spec).select(pool, n, np.random.default_rng(0))


def test_max_herding_covers_the_target_and_not_the_pool():
    # With a narrow kernel a pick covers the target items at its place: 3 of 5 at 5, 2 at 20.
    pool = Pool(line(0, 5, 9, 9, 9, 20), target=line(5, 5, 5, 20, 20))
    selection = select("max_herding(width=0.001, metric=euclidean)", pool, 3)
    assert selection.rows.tolist() == [1, 5, 0]
    np.testing.assert_allclose(selection.scores, [0.6, 0.4, 0], atol=1e-6)
    np.testing.assert_allclose(selection.diagnostics["coverage"], [0.6, 1, 1], rtol=1e-6)


def test_labelled_items_cover_the_target():
    pool = Pool(line(0, 5, 20), labelled=[1], target=line(5, 5, 20))
    assert select("max_herding(width=0.1, metric=euclidean)", pool, 1).rows.tolist() == [2]


@pytest.mark.parametrize(
    "spec",
    [
        "max_herding",
        "doubtful_coverage(doubt=false)",
        "facility_location(neighbours=5)",
        "coreset",
        "combine(target_similarity)",
    ],
)
def test_a_constant_difference_to_the_pool_changes_nothing(spec):
    rng = np.random.default_rng(1)
    places = rng.standard_normal((60, 3)).astype(np.float32)
    inside = rng.standard_normal((40, 3)).astype(np.float32)
    far = np.column_stack([inside, np.full(40, 9, dtype=np.float32)])
    near = np.column_stack([inside, np.zeros(40, dtype=np.float32)])
    matrix = np.column_stack([places, np.zeros(60, dtype=np.float32)])
    spec = spec.replace(")", ", metric=euclidean)") if "(" in spec else f"{spec}(metric=euclidean)"
    if spec.startswith("combine"):
        spec = "combine(target_similarity(metric=euclidean))"
    for labelled in ([], [3, 7]):
        one, other = (
            select(spec, Pool(matrix, labelled=labelled, target=target), 9)
            for target in (near, far)
        )
        assert one.rows.tolist() == other.rows.tolist()
        np.testing.assert_allclose(one.scores, other.scores, rtol=1e-3, atol=1e-5)


def test_coreset_picks_the_nearest_item_to_the_farthest_target_item():
    # Squared distances beyond those to the nearest item, from 0: 2.25 - 0.25 = 2 for the item at
    # 1.5, 81 - 1 = 80 for 9, and 14.44 - 0.04 = 14.4 for 3.8.
    pool = Pool(line(0, 1, 4, 10, 100), labelled=[0], target=line(1.5, 9, 3.8))
    selection = select("coreset(metric=euclidean)", pool, 4)
    assert selection.rows.tolist() == [3, 2, 1, 4]  # then the farthest item of the pool
    np.testing.assert_allclose(selection.scores, np.sqrt([80, 14.4, 2, 0]), rtol=1e-5)
    np.testing.assert_allclose(selection.diagnostics["radius"], np.sqrt([14.4, 2, 0, 0]), rtol=1e-5)
    assert list(selection.diagnostics) == ["radius"]


def test_without_labels_coreset_begins_at_the_mean_of_the_target():
    pool = Pool(line(0, 4, 5, 10), target=line(4, 6, 5, 10))  # the mean is 6.25
    selection = select("coreset(metric=euclidean)", pool, 2)
    assert selection.rows.tolist() == [2, 3]
    np.testing.assert_allclose(selection.scores, [5, 5])
    np.testing.assert_allclose(selection.diagnostics["radius"], [5, 1])


def test_facility_location_counts_the_similarity_of_the_target():
    # Distances beyond the nearest: item 0 covers 0.2 and 0.4 fully, item 2 covers 10. Those of the
    # second nearest are √0.6, √0.2 and 9, so the unit is √0.6.
    pool = Pool(line(0, 1, 10), target=line(0.2, 0.4, 10))
    selection = select("facility_location(neighbours=1, metric=euclidean)", pool, 3)
    assert selection.rows.tolist() == [0, 2, 1]
    np.testing.assert_allclose(selection.scores, [2 / 3, 1 / 3, 0], atol=1e-6)
    first = select(
        "facility_location(neighbours=1, metric=euclidean)",
        Pool(line(0, 1, 10), labelled=[0, 2], target=line(0.2, 0.4, 10)),
        1,
    )
    assert (first.rows.tolist(), first.scores.tolist()) == ([1], [0.0])


@pytest.mark.parametrize("name", ["uncertainty_herding", "doubtful_coverage(floor=0, width=0.01)"])
def test_the_head_predicts_the_items_of_the_target(name):
    # The head is undecided about the target item at 2, and sure about those at -4 and 8.
    pool = Pool(
        line(-4, 2, 8, 20, -30),
        labelled=[3, 4],
        labels=["shoe", "hat"],
        head=Halves(),
        target=line(-4, -4, 2, 8, 8),
    )
    strategy = get_strategy(name, metric="euclidean")
    assert strategy.select(pool, 1, np.random.default_rng(0)).rows.tolist() == [1]
    alone = Pool(
        line(-4, 2, 8),
        labelled=[0],
        labels=["hat"],
        probabilities=lambda rows: np.ones((rows.size, 1)),
        target=line(2),
    )
    with pytest.raises(SelectionError, match="this strategy needs the head itself, not only"):
        strategy.select(alone, 1, np.random.default_rng(0))


def test_the_width_shrinks_with_the_distances_beyond_the_nearest_item():
    matrix = np.array([[0, 0], [1, 0], [2, 0], [9, 0]], dtype=np.float32)
    target = np.array([[0, 7], [1, 7], [2, 7]], dtype=np.float32)
    widths = [
        select(
            "doubtful_coverage(doubt=false, width=1, metric=euclidean)",
            Pool(matrix, labelled=labelled, target=target),
            1,
        ).diagnostics["width"]
        for labelled in ([0], [0, 2])
    ]
    # Distances to the nearest labelled item along the line: 0, 1, 2, then 0, 1, 0.
    assert widths == pytest.approx([1, 0.001 * np.sqrt(np.var([0, 1, 2, 9]))])


def test_auto_uses_the_target_in_both_phases():
    rng = np.random.default_rng(0)
    matrix = np.concatenate([rng.normal(0, 1, (30, 4)), rng.normal(9, 1, (30, 4))])
    matrix = np.column_stack([matrix, np.tile([3.0, -3.0], 30)]).astype(np.float32)
    target = matrix[::2] + np.float32(0.01)  # only the items with 3 in the last column
    first = select("auto", Pool(matrix, target=target), 6)
    assert first.diagnostics["phase"] == "typical"
    assert set(first.rows % 2) == {0}
    from embedpipe.heads import LogisticHead

    labelled = np.array([0, 2, 4, 6, 30, 32, 34, 36])
    labels = np.repeat(["hat", "shoe"], 4)
    head = LogisticHead().fit(matrix[labelled], labels)
    pool = Pool(matrix, labelled=labelled, labels=labels, head=head, target=target)
    later = select("auto", pool, 6)
    assert later.diagnostics["phase"] == "uncertain"
    assert set(later.rows % 2) == {0}


def test_target_similarity_weights_other_objectives():
    predictions = np.array([[0.5, 0.5], [0.6, 0.4], [0.9, 0.1], [1, 0]])
    options = {"labelled": [3], "labels": ["hat"], "probabilities": lambda rows: predictions[rows]}
    plain = Pool(line(0, 5, 9, 20), **options)
    aimed = Pool(line(0, 5, 9, 20), target=line(5, 9, 9), **options)
    assert select("margin", plain, 1).rows.tolist() == [0]
    similarity = "target_similarity(width=0.1, metric=euclidean)"
    selection = select(f"combine(margin, {similarity})", aimed, 3)
    # The values of the margin are 1, 0.8 and 0.2; those of the similarity 0, 0.5 and 1.
    assert selection.rows.tolist() == [1, 2, 0]
    np.testing.assert_allclose(selection.scores, [0.4, 0.2, 0], atol=1e-6)
    np.testing.assert_allclose(selection.diagnostics[similarity], [0.5, 1, 0], atol=1e-6)
    with pytest.raises(SelectionError) as caught:
        select("combine(target_similarity)", Pool(line(0, 1)), 1)
    assert str(caught.value) == "target_similarity needs a target: give the pool a `target`."


@pytest.mark.parametrize("name", list(strategies))
def test_every_strategy_uses_a_target_or_refuses_it(name, make_pool, matrix):
    target = matrix[50:56] + np.float32(0.1)
    pool = make_pool(matrix, target=target)
    if name in SUPPORTED:
        assert strategies[name].uses_target
        found, other = (select(name, each, 8) for each in (pool, make_pool(matrix)))
        assert np.unique(found.rows).size == 8
        assert found.rows.tolist() != other.rows.tolist()
        return
    assert not strategies[name].uses_target
    with pytest.raises(SelectionError) as caught:
        select(name, pool, 8)
    assert str(caught.value) == (
        f"strategy {name!r} does not use a target: use one of {', '.join(SUPPORTED)}, or an "
        "objective for the target, as in combine(margin, target_similarity)."
    )


@pytest.mark.parametrize("spec", ["combine(margin, diversity)", "auto(early=typiclust)"])
def test_a_strategy_whose_parts_do_not_use_a_target_refuses_it(spec, make_pool, matrix):
    with pytest.raises(SelectionError, match="does not use a target: use one of auto, coreset"):
        select(spec, make_pool(matrix, target=matrix[:3]), 2)


@pytest.mark.parametrize("name", SUPPORTED)
def test_copies_in_the_target_and_of_the_pool(name, make_pool, matrix):
    # Each target item twice, some of them labelled: the picks do not change.
    once, twice = (
        select(name, make_pool(matrix, target=target), 20)
        for target in (matrix[:30], matrix[:30].repeat(2, axis=0))
    )
    assert once.rows.tolist() == twice.rows.tolist()
    np.testing.assert_allclose(once.scores, twice.scores, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", [*SUPPORTED, "combine(margin, target_similarity)"])
def test_the_number_of_threads_does_not_change_the_picks(name, make_pool):
    matrix = np.random.default_rng(0).standard_normal((3000, 150)).astype(np.float32)
    target = np.random.default_rng(1).standard_normal((2500, 150)).astype(np.float32)
    found = []
    for count in (1, 2):
        with _threads(count):
            found.append(select(name, make_pool(matrix, target=target), 60))
    assert found[0].rows.tolist() == found[1].rows.tolist()
    assert found[0].scores.tolist() == found[1].scores.tolist()


def test_a_large_target_is_represented_by_evenly_spaced_items(monkeypatch):
    monkeypatch.setattr(coverage, "REFERENCES", 4)
    pool = Pool(line(0, 1, 2), target=line(*range(10)))
    found = References.of(pool)
    assert found.vectors.ravel().tolist() == [0, 2, 5, 7]
    assert found.items.tolist() == [1, 1, 1, 1]
    assert found.nearest.tolist() == [0, 2, 2, 2]
    assert found.apart.tolist() == [0, 0, 9, 25]
    again = References.of(pool)
    assert again.sketch is found.sketch  # the index remembers it


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.zeros((3, 2)), "`target` must have shape (t, 1) with at least one row; got (3, 2)."),
        (np.zeros((0, 1)), "`target` must have shape (t, 1) with at least one row; got (0, 1)."),
        (
            line(0, np.nan),
            "row 1 of the target holds NaN or infinity: embed that item again or leave it out of "
            "the target.",
        ),
        (
            line(0, 1e30),
            "other vectors are too large to compare with those of the index: embed both with the "
            "same embedding spec.",
        ),
    ],
)
def test_wrong_targets_are_refused(target, message):
    with pytest.raises(SelectionError) as caught:
        select("max_herding(metric=euclidean)", Pool(line(0, 1), target=target), 1)
    assert str(caught.value) == message


def test_the_nearest_vectors_over_several_tiles(monkeypatch):
    monkeypatch.setattr(coverage, "TILE", 7)
    rng = np.random.default_rng(0)
    vectors, others = (rng.integers(0, 9, (n, 2)).astype(np.float32) for n in (300, 40))
    squared = np.square(vectors[:, None] - others).sum(axis=2, dtype=np.float64)  # (r, p)
    for k in (1, 3, 50):
        positions, away = nearest_of(vectors, others, k)
        assert positions.shape == away.shape == (300, min(k, 40))
        np.testing.assert_array_equal(away, np.sort(squared, axis=1)[:, :k])
        np.testing.assert_array_equal(np.take_along_axis(squared, positions, axis=1), away)
    nearest, _ = nearest_of(vectors, others, 1)
    assert nearest[:, 0].tolist() == squared.argmin(axis=1).tolist()  # ties: the lowest
