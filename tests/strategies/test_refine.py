import numpy as np
import pytest

from embedpipe.errors import SelectionError, UnknownNameError, UsageError
from embedpipe.strategies import Pool, Refine, Selection, Strategy, get_strategy, strategies

LINE = np.array([[0], [1], [2], [3], [4], [5], [6], [9], [12], [30]], dtype=np.float32)


def seen_by(monkeypatch, name, choose, **attributes):
    """Register a strategy; return the list of the unlabelled rows that it is given."""
    seen = []

    class Registered(Strategy):
        """Select rows by a rule, and record the pools."""

        def choose(self, pool, n, rng):
            seen.append(pool.unlabelled.tolist())
            rows = np.array(choose(pool)[:n])
            return Selection(rows, np.zeros(n, np.float32))

    for key, value in {"name": name, **attributes}.items():
        setattr(Registered, key, value)
    monkeypatch.setitem(strategies._entries, name, Registered)
    return seen


@pytest.fixture
def ends(monkeypatch):
    """Register strategies for the lowest and the highest rows; return what they are given."""
    return (
        seen_by(monkeypatch, "lowest", lambda pool: pool.unlabelled),
        seen_by(monkeypatch, "highest", lambda pool: pool.unlabelled[::-1]),
    )


def select(spec, pool, n, seed=0):
    return get_strategy(spec).select(pool, n, np.random.default_rng(seed))


def test_one_round_worked_out_by_hand(ends):
    # The lowest rows 1 and 2 and the highest rows 9 and 8 are left: 1, 2, 12, 30. The item farthest
    # from the label at 0 is 30, then 12, at a distance of 12 from 0.
    pool = Pool(LINE, labelled=[0], labels=["hat"])
    spec = "refine(lowest, highest, rounds=1, share=1, coverage='coreset(metric=euclidean)')"
    selection = select(spec, pool, 2)
    assert selection.rows.tolist() == [9, 8]
    assert selection.scores.tolist() == [30, 12]
    assert selection.diagnostics["left"] == 4
    assert selection.diagnostics["strategies"] == "lowest, highest"
    assert selection.diagnostics["radius"].tolist() == [12, 2]
    assert ends[0] == ends[1] == [[1, 2, 3, 4, 5, 6, 7, 8, 9]] * 4


def test_each_round_filters_the_union_of_the_round_before(ends):
    # 1 pick per batch: after the first round 1 and 30 are left, and so after the second. The item
    # farthest from 4 (row 4) is 30.
    pool = Pool(LINE, labelled=[4], labels=["hat"])
    spec = (
        "refine(lowest, highest, rounds=2, subsets=1, share=1, "
        "coverage='coreset(metric=euclidean)')"
    )
    selection = select(spec, pool, 1)
    assert (selection.rows.tolist(), selection.diagnostics["left"]) == ([9], 2)
    assert ends[0] == ends[1] == [[0, 1, 2, 3, 5, 6, 7, 8, 9], [0, 9]]


def test_subsets_are_random_parts_of_the_pool(ends):
    matrix = np.random.default_rng(0).standard_normal((100, 3)).astype(np.float32)
    pool = Pool(matrix, labelled=[0], labels=["hat"])
    spec = "refine(lowest, rounds=2, subsets=3, share=0.4, coverage=coreset)"
    select(spec, pool, 5)
    first, second = ends[0][:3], ends[0][3:]
    assert [len(rows) for rows in first] == [40] * 3  # 0.4 of 99, rounded
    assert len({tuple(rows) for rows in first}) == 3
    left = sorted({row for rows in first for row in rows[:5]})
    # At most 15 items are left: a subset has at least two batches.
    assert [len(rows) for rows in second] == [min(10, len(left))] * 3
    assert all(set(rows) <= set(left) for rows in second)
    again = [*ends[0]]
    select(spec, pool, 5)
    assert ends[0] == again * 2  # the same seed
    select(spec, pool, 5, seed=1)
    assert ends[0][12:] != again


def test_strategies_take_part_if_the_pool_has_what_they_need(monkeypatch, make_pool):
    rule = lambda pool: pool.unlabelled  # noqa: E731
    free = seen_by(monkeypatch, "free", rule)
    labels = seen_by(monkeypatch, "labels", rule, needs_labels=True)
    head = seen_by(monkeypatch, "head", rule, needs_labels=True, needs_head=True)
    spec = "refine(free, labels, head, rounds=1)"
    matrix = np.random.default_rng(0).standard_normal((60, 5)).astype(np.float32)
    used = [select(spec, Pool(matrix), 3).diagnostics["strategies"]]
    assert (len(free), len(labels), len(head)) == (4, 0, 0)
    known = {"labelled": [0, 1], "labels": ["hat", "shoe"]}
    used.append(select(spec, Pool(matrix, **known), 3).diagnostics["strategies"])
    predicted = Pool(matrix, **known, probabilities=lambda rows: np.full((rows.size, 2), 0.5))
    used.append(select(spec, predicted, 3).diagnostics["strategies"])
    used.append(select(spec, make_pool(matrix), 3).diagnostics["strategies"])
    assert used == ["free", "free", "free, labels", "free, labels, head"]


def test_labels_are_needed_if_every_strategy_needs_them(matrix):
    assert (Refine().needs_labels, Refine(["margin", "badge"]).needs_labels) == (False, True)
    with pytest.raises(SelectionError, match="strategy 'refine' needs labels"):
        select("refine(margin, badge)", Pool(matrix), 3)


def test_picks_are_among_the_batches(make_pool):
    # With one round, one subset that is the whole pool and one strategy, the batch is that of the
    # strategy, in the order of the coverage.
    matrix = np.random.default_rng(1).standard_normal((200, 6)).astype(np.float32)
    pool = make_pool(matrix, labelled=np.arange(9))
    for name in ("margin", "coreset", "doubtful_coverage"):
        own = get_strategy(name).select(pool, 10, np.random.default_rng(0))
        found = select(f"refine({name}, rounds=1, subsets=1, share=1)", pool, 10)
        assert sorted(found.rows.tolist()) == sorted(own.rows.tolist())


@pytest.mark.parametrize(
    "spec",
    [
        "refine",
        "refine(margin)",
        "refine(margin, badge(metric=euclidean), coreset)",
        "refine(margin, badge, rounds=2, subsets=3, share=0.25, coverage=coreset)",
        "refine(combine(margin^2, diversity), typiclust)",
        'refine(margin, coverage="coreset(metric=euclidean)")',
        "refine(refine(margin, coreset), badge)",
    ],
)
def test_spec_strings_are_kept(spec):
    strategy = get_strategy(spec)
    assert str(strategy) == spec
    assert str(get_strategy(str(strategy))) == spec


def test_other_ways_to_give_the_strategies():
    assert str(get_strategy("refine(strategies=[margin, coreset])")) == "refine(margin, coreset)"
    assert str(Refine("margin")) == "refine(margin)"
    assert str(Refine(get_strategy("coreset"))) == "refine(coreset)"
    assert str(Refine(["margin", "badge", "typiclust"])) == "refine"
    assert Refine(coverage="coreset(metric=euclidean)").metric == "euclidean"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("refine(margin, margin)", "refine has the strategy margin twice: give it once."),
        (
            "refine(strategies=[])",
            "refine has no strategies: give at least one, as in refine(margin).",
        ),
        ("refine(3)", "'3' is not a strategy: write refine(margin, typiclust)."),
        (
            "refine(margin >= 1)",
            "'margin >= 1' is not a strategy: write refine(margin, typiclust).",
        ),
        (
            "refine(margin, strategies=[badge])",
            "strategies are given both in brackets and as an option: give them once.",
        ),
        (
            "refine^2",
            "strategy 'refine' got the strength ^2: only objectives have a strength, as in "
            "combine(margin^2, diversity).",
        ),
        (
            "refine(coverage=margin)",
            "coverage is 'margin', which needs labels: give a strategy that needs no labels.",
        ),
        (
            'refine(coverage="combine(diversity(min_distance=1))")',
            "coverage is 'combine(diversity(min_distance=1))', which may select fewer items than "
            "requested: give another strategy.",
        ),
        ("refine(rounds=0)", "rounds is 0: give a whole number, at least 1."),
        ("refine(share=0)", "share is 0.0: give a number above 0 and at most 1."),
    ],
)
def test_wrong_options_are_refused(spec, message):
    with pytest.raises(UsageError) as caught:
        get_strategy(spec)
    assert str(caught.value) == message


def test_unknown_names_are_refused():
    with pytest.raises(UnknownNameError, match="unknown strategy 'marginal'"):
        get_strategy("refine(marginal)")
    with pytest.raises(UnknownNameError, match="option of strategy 'refine' 'round'"):
        get_strategy("refine(round=2)")
