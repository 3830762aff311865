import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe._loops.runs import identity_of
from embedpipe.errors import SelectionError, UnknownNameError, UsageError
from embedpipe.strategies import Combine, Pool, Strategy, get_strategy, strategies
from embedpipe.strategies.objectives import (
    Balance,
    Diversity,
    MarginObjective,
    Metadata,
    Similarity,
    StaticObjective,
    Threshold,
    Typicality,
    objectives,
)

RNG = np.random.default_rng(0)
CLASSES = ("hat", "shoe", "skirt")


def line(*values):
    return np.array(values, dtype=np.float32)[:, None]


def binary(margins):
    """Return predictions of two classes whose margin uncertainty is as given."""
    second = np.asarray(margins, dtype=np.float64) / 2
    return np.c_[1 - second, second]


def pool_of(matrix, predictions=None, labelled=(0,), labels=None, **more):
    if predictions is not None:
        labels = np.zeros(len(labelled), dtype=int) if labels is None else labels
        more["probabilities"] = lambda rows: predictions[rows]
    return Pool(matrix, labelled=labelled, labels=labels, **more)


def euclidean(spec):
    """Return a spec string whose objectives measure Euclidean distances."""
    spec = re.sub(r"(diversity|typicality|similarity)\(", r"\1(metric=euclidean, ", spec)
    return re.sub(r"(diversity|typicality|similarity)(?!\()", r"\1(metric=euclidean)", spec)


def pick(spec, pool, n):
    return get_strategy(euclidean(spec)).select(pool, n, RNG)


def refused(error, spec, pool=None, n=1):
    with pytest.raises(error) as caught:
        strategy = Combine(spec) if isinstance(spec, list) else get_strategy(spec)
        strategy.select(pool, n, RNG)
    return str(caught.value)


def chosen(spec, pool, n):
    return get_strategy(spec).select(pool, n, RNG)


# Picks worked out by hand


def test_strengths_are_exponents():
    # margin²·d: 0.5²·8 = 2, 1·1 = 1, 0.75²·4 = 2.25. Then 0.5²·4 = 1, 1·1: the lowest row.
    pool = pool_of(line(0, 1, 8, 4), binary([0, 1, 0.5, 0.75]))
    selection = pick("combine(margin^2, diversity)", pool, 3)
    assert selection.rows.tolist() == [3, 1, 2]
    assert selection.scores.tolist() == [2.25, 1, 1]
    assert selection.diagnostics["margin"].tolist() == [0.75, 1, 0.5]
    assert selection.diagnostics["diversity(metric=euclidean)"].tolist() == [4, 1, 4]
    # margin·d²: 1, 0.5·64 = 32, 0.75·16 = 12; then 0.75·16 = 12.
    selection = pick("combine(margin, diversity^2)", pool, 2)
    assert selection.rows.tolist() == [2, 3]
    assert selection.scores.tolist() == [32, 12]


def test_a_negative_strength_inverts_an_objective():
    # 0.001/0.5 and 0.001/0.001, since smaller values count as 0.001.
    pool = pool_of(line(0, 1, 2, 3), metadata={"blur": [0, 2, 4, 0]})
    selection = pick("combine(metadata(blur)^-1)", pool, 3)
    assert selection.rows.tolist() == [3, 1, 2]
    np.testing.assert_allclose(selection.scores, [1, 0.002, 0.001], rtol=1e-6)


def test_balance_approaches_the_wanted_shares():
    # Predicted: three hats, one shoe. Half of each is wanted and one hat is labelled:
    # hat 1/2 − 1/2 = 0, shoe 1/2. Then, of three, hat: 1/2 − 1/3; no shoe is left. Then the others.
    predictions = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [1, 0]])
    pool = pool_of(line(0, 1, 2, 3, 4), predictions, [0], ["hat"], n_classes=2)
    assert "has 1 class" in refused(SelectionError, "combine(balance)", pool)
    pool = pool_of(line(0, 1, 2, 3, 4, 5), np.r_[predictions, [[0, 1]]], [0, 5], ["hat", "shoe"])
    selection = pick("combine(balance(hat=0.25))", pool, 4)
    # hat .25 − 1/3 < 0, shoe .75 − 1/3; then hat .25 − 1/4 = 0, shoe .75 − 2/4: none is left.
    assert selection.rows.tolist() == [3, 1, 2, 4]
    np.testing.assert_allclose(selection.scores, [5 / 12, 0, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(selection.diagnostics["balance(hat=0.25)"], selection.scores)


def test_similarity_prefers_items_near_an_example():
    pool = pool_of(line(0, 5, 1, 9), labelled=[], examples=line(9.5, 0.25))
    selection = pick("combine(similarity)", pool, 4)
    assert selection.rows.tolist() == [0, 3, 2, 1]  # 0.25, 0.5, 0.75, 4.5 away
    middle = 0.625
    expected = np.exp(-np.square(np.array([0.25, 0.5, 0.75, 4.5]) / middle) / 2)
    np.testing.assert_allclose(selection.scores, expected, rtol=1e-6)


@pytest.mark.parametrize(("scale", "shift"), [(1e-25, 0), (1e18, 0), (1, 1000)])
def test_similarity_holds_at_extreme_scales(scale, shift):
    rng = np.random.default_rng(1)
    near = rng.integers(0, 9, (40, 3)).astype(np.float32)
    matrix = (near * np.float32(scale) + np.float32(shift)).astype(np.float32)
    plain = Similarity(metric="euclidean").measure(pool_of(near, labelled=[], examples=near[:2]))
    moved = Similarity(metric="euclidean").measure(
        pool_of(matrix, labelled=[], examples=matrix[:2])
    )
    np.testing.assert_allclose(moved, plain, rtol=1e-5)


def test_if_the_median_distance_is_0_only_duplicates_of_examples_count():
    pool = pool_of(line(1, 1, 1, 2), labelled=[], examples=line(1))
    assert Similarity(metric="euclidean").measure(pool).tolist() == [1, 1, 1, 0]


def test_typicality_is_1_in_the_densest_place():
    pool = pool_of(line(0, 1, 2, 6), labelled=[])
    # Mean distances to two neighbours: 1.5, 1, 1.5, 4.5.
    np.testing.assert_allclose(
        Typicality(2, metric="euclidean").measure(pool), [2 / 3, 1, 2 / 3, 2 / 9]
    )
    assert Typicality(metric="euclidean").measure(pool_of(line(3, 3, 3), labelled=[])).tolist() == [
        1,
        1,
        1,
    ]


def test_thresholds_come_first():
    pool = pool_of(
        line(0, 1, 8, 4, 7), binary([0, 1, 0.5, 0.25, 0.5]), metadata={"sharp": [9, 1, 3, 5, 2]}
    )
    assert pick("combine(margin, threshold(sharp >= 3))", pool, 2).rows.tolist() == [2, 3]
    assert pick("combine(diversity, threshold(sharp < 3))", pool, 2).rows.tolist() == [4, 1]
    spec = "combine(diversity, threshold(margin > 0.25), threshold(metadata(sharp) > 1))"
    assert pick(spec, pool, 2).rows.tolist() == [2, 4]
    tall = "combine(diversity, threshold(typicality(neighbours=1) >= 1))"
    assert pick(tall, pool, 3).rows.tolist() == [2, 1, 4]


def test_zero_products_fall_back_in_the_documented_order():
    # 2 and 3 are duplicates of the labelled row 0; 1 and 4 are certain.
    pool = pool_of(line(0, 1, 0, 0, 5), binary([0, 0, 0.5, 1, 0]))
    selection = pick("combine(margin, diversity)", pool, 4)
    assert selection.rows.tolist() == [4, 1, 3, 2]
    assert selection.scores.tolist() == [0, 0, 0, 0]


def test_the_first_pick_without_labels():
    pool = Pool(line(0, 4, 5, 20), metadata={"sharp": [1, 0, 0, 3]})
    assert pick("combine(diversity)", pool, 4).rows.tolist() == [2, 3, 0, 1]
    selection = pick("combine(metadata(sharp), diversity)", pool, 2)
    assert selection.rows.tolist() == [3, 0]
    np.testing.assert_allclose(selection.scores, [20, 20 / 3], rtol=1e-6)


# Early stopping


def test_min_distance_ends_the_selection():
    pool = pool_of(line(0, 1, 2, 3, 10, 10.5))
    selection = pick("combine(diversity(min_distance=2))", pool, 5)
    assert selection.rows.tolist() == [5, 3]
    assert selection.diagnostics["stopped"] == (
        "only 2 items are at least 2 away from each other and from all labelled items"
    )
    selection = pick("combine(diversity(min_distance=2))", pool, 2)
    assert "stopped" not in selection.diagnostics
    pool = pool_of(line(0, 1, 2, 3, 10, 10.5), metadata={"sharp": [0, 1, 1, 0, 1, 0]})
    selection = pick("combine(diversity(min_distance=2), threshold(sharp > 0))", pool, 5)
    assert selection.rows.tolist() == [4, 2]
    assert selection.diagnostics["stopped"] == (
        "only 2 items that pass threshold(metadata(sharp) > 0) are at least 2 away from each "
        "other and from all labelled items"
    )


def test_no_item_far_enough_is_refused():
    assert refused(
        SelectionError, euclidean("combine(diversity(min_distance=20))"), pool_of(line(0, 9))
    ) == ("no items are at least 20 away from all labelled items: lower min_distance.")


def test_only_strategies_that_may_stop_early_return_fewer_rows():
    class Half(Strategy):
        name = "half"

        def choose(self, pool, n, rng):
            selection = get_strategy("coreset").choose(pool, 1, rng)
            return type(selection)(selection.rows, selection.scores, {"stopped": "enough"})

    class Allowed(Half):
        may_stop_early = True

    pool = pool_of(line(0, 1, 2))
    assert Allowed().select(pool, 2, RNG).rows.tolist() == [2]
    with pytest.raises(SelectionError, match="strategy 'half' returned 1 rows"):
        Half().select(pool, 2, RNG)


# Objectives


def test_requirements_follow_from_the_objectives():
    assert strategies["combine"].needs_labels is False
    assert strategies["combine"].distinct is True
    assert get_strategy("combine").needs_labels is False
    assert get_strategy("combine(margin)").needs_labels is True
    assert get_strategy("combine(margin)").distinct is False
    assert get_strategy("combine(diversity, threshold(margin > 0.5))").needs_labels is True
    assert get_strategy("combine(diversity, threshold(sharp > 0.5))").needs_labels is False
    assert get_strategy("combine(diversity(min_distance=1))").may_stop_early is True
    assert refused(SelectionError, "combine(margin, typicality)", Pool(line(0, 1))) == (
        "combine needs labels for margin: label some items, or use other objectives."
    )


def test_a_custom_objective():
    @objectives.register("late")
    class Late(StaticObjective):
        """High row numbers."""

        name = "late"

        def measure(self, pool):
            return pool.unlabelled / len(pool.embeddings)

    try:
        pool = pool_of(line(0, 1, 2, 3))
        assert pick("combine(late)", pool, 2).rows.tolist() == [3, 2]
        assert pick("combine(late, threshold(late < 0.7))", pool, 2).rows.tolist() == [2, 1]
    finally:
        del objectives._entries["late"]


def test_the_old_name_of_factors_still_works():
    with pytest.warns(DeprecationWarning, match=r"`Old.worth` is now `factors`\."):

        class Old(StaticObjective):
            name = "old"

            def measure(self, pool):
                raise AssertionError

            def worth(self, pool):
                return np.arange(3.0)

    assert Combine([Old()]).select(pool_of(line(0, 1, 2, 3)), 1, RNG).rows.tolist() == [3]


def test_identity_follows_from_the_objectives():
    one, same, other = (
        identity_of(Combine(each)) for each in (["margin^2"], [MarginObjective(strength=2)], None)
    )
    assert one == same
    assert one != other


# Equivalence with margin, coreset and coral


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "grid"]),
    n=st.integers(2, 40),
    d=st.integers(1, 6),
    zeros=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 10**6),
)
def test_it_is_coral_margin_and_coreset(kind, n, d, zeros, seed):
    matrix, predictions, rng = random_case(kind, n, d, zeros, seed)
    labelled = rng.choice(n, rng.integers(1, n), replace=False)
    pool = pool_of(matrix, predictions, labelled)
    count = int(rng.integers(1, n - labelled.size + 1))
    for spec, plain in [
        ("combine(margin, diversity)", "coral"),
        ("combine(diversity, entropy)", "coral(uncertainty=entropy)"),
        ("combine(margin)", "margin"),
        ("combine(diversity)", "coreset"),
        (euclidean("combine(diversity)"), "coreset(metric=euclidean)"),
    ]:
        found, expected = chosen(spec, pool, count), chosen(plain, pool, count)
        assert found.rows.tolist() == expected.rows.tolist()
        assert found.scores.tolist() == expected.scores.tolist()
    alone = Pool(matrix)
    expected = chosen("coreset", alone, n)
    assert chosen("combine(diversity)", alone, n).rows.tolist() == expected.rows.tolist()


def random_case(kind, n, d, zeros, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal((n, d)) if kind == "gaussian" else rng.integers(0, 3, (n, d))
    matrix = matrix.astype(np.float32)
    # Duplicates have equal predictions, as with any head.
    _, which = np.unique(matrix, axis=0, return_inverse=True)
    predictions = rng.dirichlet([0.5] * 3, which.max() + 1)
    certain = rng.random(len(predictions)) < zeros
    predictions[certain] = np.eye(3)[rng.integers(0, 3, certain.sum())]
    return matrix, predictions[which.ravel()], rng


# A slow float64 reference


class Slow:
    """`combine` that computes every product again for every pick."""

    def __init__(self, reference, pool, targets, powers, least):
        self.reference, self.pool, self.least = reference, pool, least
        self.targets, self.powers = targets, powers
        self.margin = MarginObjective().measure(pool)
        self.typical = Typicality(3, metric="euclidean").measure(pool)
        self.predicted = pool.probabilities().argmax(axis=1)

    def levels(self, counts, total):
        static = np.ones(self.margin.size)
        root = self.powers.get("diversity", 1)
        for name, values in (("margin", self.margin), ("typicality", self.typical)):
            if name in self.powers:
                static = static * values ** (self.powers[name] / root)
        wanted = np.ones(self.margin.size)
        if "balance" in self.powers:
            share = np.maximum(0, self.targets - counts / (total + 1))[self.predicted]
            wanted = share ** (self.powers["balance"] / root)
        return [static * wanted, wanted, static, None]

    def run(self, n):
        pool, left = self.pool, list(range(self.margin.size))
        rows = pool.unlabelled
        counts = np.array([(pool.labels == name).sum() for name in CLASSES], dtype=float)
        total, centres, picks, scores = pool.labelled.size, list(pool.labelled), [], []
        while len(picks) < n:
            levels = self.levels(counts, total)
            away = np.zeros(rows.size)
            if "diversity" in self.powers:
                away[left] = self.reference.nearest(pool.embeddings, rows[left], centres)
                away[np.sqrt(away) < self.least] = 0
            best = self.best(levels, away, left)
            if best is None:
                break
            distance = np.sqrt(away[best]) if "diversity" in self.powers else 1
            scores.append((levels[0][best] * distance) ** self.powers.get("diversity", 1))
            left.remove(best)
            picks.append(int(rows[best]))
            centres.append(rows[best])
            counts[self.predicted[best]] += 1
            total += 1
        return picks, scores

    def best(self, levels, away, left):
        if "diversity" in self.powers:
            for weights in levels:
                keys = away if weights is None else weights * np.sqrt(away)
                if keys[left].max() > 0:
                    return left[int(keys[left].argmax())]
            if self.least:
                return None
        for weights in levels[:-1]:
            if weights[left].max() > 0:
                return left[int(weights[left].argmax())]
        return left[0]


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["gaussian", "grid"]),
    n=st.integers(4, 40),
    d=st.integers(1, 6),
    zeros=st.sampled_from([0.0, 0.6]),
    seed=st.integers(0, 10**6),
    powers=st.fixed_dictionaries(
        {},
        optional={
            "margin": st.sampled_from([0.5, 1, 2]),
            "typicality": st.sampled_from([1, 3]),
            "balance": st.sampled_from([0.5, 1]),
            "diversity": st.sampled_from([0.5, 1, 2]),
        },
    ).filter(bool),
    shares=st.sampled_from([(1 / 3, 1 / 3, 1 / 3), (0.5, 0.25, 0.25), (0.0, 0.5, 0.5)]),
    least=st.sampled_from([0.0, 0.0, 1.2]),
)
def test_picks_are_those_of_the_reference(
    reference, kind, n, d, zeros, seed, powers, shares, least
):
    matrix, predictions, rng = random_case(kind, n, d, zeros, seed)
    labelled = rng.choice(n, rng.integers(3, n), replace=False)
    labels = np.array(CLASSES)[np.r_[0:3, rng.integers(0, 3, labelled.size - 3)]]
    pool = pool_of(matrix, predictions, labelled, labels)
    count = int(rng.integers(1, pool.unlabelled.size + 1))
    make = {
        "margin": MarginObjective,
        "typicality": lambda strength: Typicality(3, "euclidean", strength=strength),
        "balance": lambda strength: Balance({"hat": shares[0]}, strength=strength),
        "diversity": lambda strength: Diversity(least or None, "euclidean", strength=strength),
    }
    strategy = Combine([make[name](strength=power) for name, power in powers.items()])
    targets = np.array([shares[0], (1 - shares[0]) / 2, (1 - shares[0]) / 2])
    picks, scores = Slow(reference, pool, targets, powers, least).run(count)
    if not picks:
        with pytest.raises(SelectionError, match=r"no items are at least 1\.2 away"):
            strategy.select(pool, count, RNG)
        return
    selection = strategy.select(pool, count, RNG)
    assert selection.rows.tolist() == picks
    np.testing.assert_allclose(selection.scores, scores, rtol=1e-6)
    assert ("stopped" in selection.diagnostics) == (len(picks) < count)


# Invalid input


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            "combine(margins)",
            UnknownNameError,
            "unknown objective 'margins'. Did you mean 'margin'? Known: balance, diversity, "
            "entropy, least_confidence, margin, metadata, similarity, target_similarity, "
            "threshold, typicality.",
        ),
        (
            "combine(diversity(min_distance=far))",
            UsageError,
            "option 'min_distance' of objective 'diversity' is 'far': give a number or none.",
        ),
        (
            "combine(diversity(min_distance=-1))",
            UsageError,
            "min_distance is -1.0: give a number above 0, or leave it out.",
        ),
        (
            "combine(diversity(distance=1))",
            UnknownNameError,
            "unknown option of objective 'diversity' 'distance'. Did you mean 'min_distance'? "
            "Known: metric, min_distance, strength.",
        ),
        (
            "combine(diversity(strength=2))",
            UsageError,
            "objective 'diversity' got strength=2: write diversity^2 instead.",
        ),
        (
            "combine(margin(0.5))",
            UsageError,
            "objective 'margin' got 1 value in brackets, but has no options.",
        ),
        (
            "combine(typicality(0))",
            UsageError,
            "neighbours is 0: give a whole number, at least 1.",
        ),
        (
            "combine(margin^0)",
            UsageError,
            "the strength of margin is 0.0: give a number other than 0, or leave the objective "
            "out.",
        ),
        (
            "combine(diversity^-1)",
            UsageError,
            "the strength of diversity is -1: it must be above 0; only static objectives may "
            "have a negative strength.",
        ),
        (
            "combine(diversity, diversity^2)",
            UsageError,
            "combine has the objective diversity twice: give it once, with a strength.",
        ),
        (
            "combine(threshold(margin > 0.5))",
            UsageError,
            "combine has no objective: give at least one that is not a threshold, as in "
            "combine(margin, diversity).",
        ),
        (
            "combine(margin > 0.5)",
            UsageError,
            "'margin > 0.5' is not an objective: give one of balance, diversity, entropy, "
            "least_confidence, margin, metadata, similarity, target_similarity, threshold, "
            "typicality, as in diversity^2 or threshold(margin >= 0.2).",
        ),
        (
            "combine(margin, threshold(diversity > 1))",
            UsageError,
            "a threshold cannot use diversity: use metadata or, without a strength, one of "
            "entropy, least_confidence, margin, metadata, similarity, target_similarity, "
            "typicality.",
        ),
        (
            "combine(margin, threshold(margin))",
            UsageError,
            "a threshold needs one comparison with a number, as in threshold(margin >= 0.2) or "
            "threshold(sharpness > 10).",
        ),
        (
            "combine(margin, threshold(entropy > 1)^2)",
            UsageError,
            "a threshold has no strength, but got 2.0: remove the strength.",
        ),
        (
            "combine(balance(hat=0.75, shoe=0.5))",
            UsageError,
            "the shares of balance add up to 1.25: they must not exceed 1.",
        ),
        (
            "combine(balance(hat=30))",
            UsageError,
            "the share of class 'hat' is 30: give a number from 0 to 1.",
        ),
        (
            "combine(balance(hat))",
            UsageError,
            "balance has a class without a share: write balance(hat=0.3).",
        ),
        (
            "combine(strength=2)",
            UnknownNameError,
            "unknown option of strategy 'combine' 'strength'. Known: objectives.",
        ),
        (["margin", 3], UsageError, "3 is not an objective: give one of"),
        ([], UsageError, "combine has no objective: give at least one"),
    ],
)
def test_wrong_options_are_refused(spec, error, message):
    found = refused(error, spec)
    assert found.startswith(message) if isinstance(spec, list) else found == message


def test_missing_inputs_of_the_pool_are_refused():
    bare = pool_of(line(0, 1, 2), metadata={"sharpness": [1, -1, np.nan]})
    assert refused(SelectionError, "combine(similarity)", bare) == (
        "similarity needs examples: give the pool `examples`, with one vector per example."
    )
    assert refused(SelectionError, "combine(metadata(sharpnes))", bare) == (
        "the pool has no metadata 'sharpnes'. Did you mean 'sharpness'? The pool has: sharpness."
    )
    assert refused(SelectionError, "combine(metadata(x))", pool_of(line(0, 1))) == (
        "the pool has no metadata 'x'. Give the pool `metadata`."
    )
    assert refused(SelectionError, "combine(diversity, threshold(sharpness > 1))", bare) == (
        "metadata 'sharpness' of row 2 is nan: give every unlabelled row a number."
    )
    negative = pool_of(line(0, 1, 2), metadata={"sharpness": [1, -1, 2]})
    assert refused(SelectionError, [Metadata("sharpness")], negative) == (
        "metadata 'sharpness' of row 1 is -1: as an objective it must not be negative. Shift the "
        "values, or use a threshold."
    )
    broken = pool_of(line(0, 1, 2), examples=[[0.0], [np.nan]])
    assert refused(SelectionError, "combine(similarity)", broken) == (
        "example 1 holds NaN or infinity: embed it again or leave it out."
    )
    labelled = pool_of(line(0, 1, 2), binary([0, 1, 1]), [0, 1], ["hat", "shoe"])
    assert refused(UnknownNameError, "combine(balance(hats=0.5))", labelled) == (
        "unknown class 'hats'. Did you mean 'hat'? Known: hat, shoe."
    )


def test_too_few_items_that_pass_the_thresholds_are_refused():
    pool = pool_of(line(0, 1, 2, 3), metadata={"sharp": [9, 1, 2, 3]})
    assert refused(SelectionError, [Diversity(), Threshold("sharp", ">", 1)], pool, 3) == (
        "`n` must be at most 2 (the items that pass threshold(metadata(sharp) > 1)); got 3. Lower "
        "`n` or relax the threshold."
    )
    assert refused(SelectionError, "combine(diversity, threshold(sharp > 3))", pool) == (
        "none of the 3 unlabelled items passes threshold(metadata(sharp) > 3): relax the threshold."
    )


def test_large_strengths_do_not_overflow():
    pool = Pool(np.array([[0], [1e6], [3e6]], dtype=np.float32), labelled=[0])
    selection = Combine([Diversity(metric="euclidean", strength=90.0)]).select(
        pool, 2, np.random.default_rng(0)
    )
    assert selection.rows.tolist() == [2, 1]
    assert selection.scores.tolist() == [float(np.finfo(np.float32).max)] * 2
