"""Simulated oracles: errors, abstention and costs, independent of the order of questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe._loops.arrays import uniform_of_rows
from embedpipe.active import ActiveLoop, OracleOptions, Problem, SimulatedOracle
from embedpipe.active.oracle import nearest_classes
from embedpipe.errors import LabelError, UnknownNameError, UsageError

N = 20_000


def oracle(**options: object) -> SimulatedOracle:
    """Return an oracle of 20,000 rows of four classes that lie at 0, 1, 5 and 6."""
    codes = np.arange(N) % 4
    matrix = (
        np.array([0.0, 1.0, 5.0, 6.0])[codes][:, None]
        + 0.1 * ((np.arange(N) // 4) % 3 - 1)[:, None]
    )
    labels = np.array(["a", "b", "c", "d"])[codes]
    return SimulatedOracle(
        labels,
        OracleOptions(**options),
        seed=7,
        matrix=matrix.astype(np.float32),  # type: ignore[arg-type]
    )


def within(count: int, n: int, share: float) -> bool:
    """Return whether a count is within five standard deviations of a binomial's mean."""
    return bool(abs(count - n * share) < 5 * np.sqrt(n * share * (1 - share)))


def test_symmetric_noise_gives_all_other_classes_equally_often() -> None:
    noisy = oracle(noise=0.3)
    rows = np.arange(N)
    answers, true = noisy.label(rows), noisy.every_label(rows)
    assert within(int((answers != true).sum()), N, 0.3)
    for one in "abcd":
        for other in set("abcd") - {one}:
            assert within(int((answers[true == one] == other).sum()), N // 4, 0.1)


def test_confusable_noise_gives_the_nearest_class() -> None:
    noisy = oracle(noise=0.3, kind="confusable")
    rows = np.arange(N)
    answers, true = noisy.label(rows), noisy.every_label(rows)
    wrong = answers != true
    assert within(int(wrong.sum()), N, 0.3)
    pairs = set(zip(true[wrong].tolist(), answers[wrong].tolist(), strict=True))
    assert pairs == {("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")}


def test_all_labels_can_be_wrong() -> None:
    noisy = oracle(noise=1.0)
    rows = np.arange(N)
    assert (noisy.label(rows) != noisy.every_label(rows)).all()


def test_abstention_and_noise_are_independent() -> None:
    noisy = oracle(noise=0.4, abstain=0.25)
    rows = np.arange(N)
    answers, true = noisy.label(rows), noisy.every_label(rows)
    silent = np.array([label is None for label in answers])
    assert within(int(silent.sum()), N, 0.25)
    assert within(int((answers != true)[~silent].sum()), int((~silent).sum()), 0.4)


@given(seed=st.integers(0, 2**63), order=st.permutations(range(30)))
@settings(max_examples=40, deadline=None)
def test_an_answer_depends_only_on_the_row(seed: int, order: list[int]) -> None:
    labels = [f"c{row % 5}" for row in range(30)]
    options = OracleOptions(noise=0.5, abstain=0.3)
    at_once = SimulatedOracle(labels, options, seed=seed).label(np.arange(30))
    asked = SimulatedOracle(labels, options, seed=seed)
    one_by_one = [asked.label(np.array([row]))[0] for row in order]
    assert one_by_one == at_once[order].tolist()
    assert asked.asked == 30


def test_errors_of_different_seeds_are_independent() -> None:
    rows = np.arange(N)
    one = uniform_of_rows(rows, 0, "oracle") < 0.3
    other = uniform_of_rows(rows, 1, "oracle") < 0.3
    assert within(int((one & other).sum()), N, 0.09)


def test_random_numbers_of_rows_are_uniform() -> None:
    for stride in (1, 2, 10, 4096):  # rows of a class can have any pattern
        drawn = uniform_of_rows(np.arange(N) * stride, 3, "any")
        counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
        assert np.square(counts - 1000).sum() / 1000 < 46  # chi-squared, 19 degrees: p = 0.0005
        assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.03


def test_questions_have_the_cost_of_their_class() -> None:
    costly = oracle(cost={"b": 10, "d": 0}, abstain=0.5)
    assert costly.cost(np.array([0, 1, 2, 3, 4])) == 13.0
    numbers = SimulatedOracle([1, 2, 2], OracleOptions(cost={"2": 3.0}))
    assert numbers.cost(np.array([0, 1, 2])) == 7.0
    assert oracle().cost(np.arange(5)) == 5.0


def test_the_nearest_class_by_hand() -> None:
    matrix = np.array([[0.0, 0], [2, 0], [1, 3], [9, 0], [5, 0]], dtype=np.float32)
    codes = np.array([0, 0, 1, 2, -1], dtype=np.int32)
    # Means (1, 0), (1, 3), (9, 0); squared distances 9, 64, 73. Class 3 has no row.
    assert nearest_classes(matrix, codes, 4).tolist() == [1, 0, 0, 0]


def test_options_that_are_not_valid_raise_an_error() -> None:
    for options, message in (
        ({"noise": 1.2}, "noise must be a share of the labels, from 0 to 1; got 1.2."),
        ({"abstain": True}, "abstain must be a share of the labels, from 0 to 1; got True."),
        ({"cost": 3}, "cost must map classes to costs, such as {'hat': 2}; got 3."),
        ({"cost": {"a": -1}}, "the cost of class 'a' must be a number, at least 0; got -1."),
        ({"kind": "symetric"},
         "unknown kind of noise 'symetric'. Did you mean 'symmetric'? Known: confusable, "
         "symmetric."),
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            OracleOptions(**options)  # type: ignore[arg-type]
        assert str(caught.value) == message
    with pytest.raises(UnknownNameError) as unknown:
        oracle(cost={"e": 2})
    assert str(unknown.value) == "unknown class with a cost 'e'. Known: a, b, c, d."
    with pytest.raises(UsageError) as usage:
        SimulatedOracle(["a", "b"], OracleOptions(noise=0.1, kind="confusable"))
    assert str(usage.value) == ("confusable noise needs the vectors of the rows: give `matrix`.")
    with pytest.raises(LabelError) as label:
        SimulatedOracle(["a", 3])
    assert str(label.value) == (
        "labels mixes int, str: give all labels as texts, or all as numbers."
    )


# In a loop


def problem(n: int = 200) -> Problem:
    rng = np.random.default_rng(0)
    codes = np.arange(n) % 4
    matrix = np.array([[0, 0], [0, 4], [9, 0], [9, 5]])[codes] + rng.standard_normal((n, 2))
    labels = [f"c{code}" for code in codes]
    return Problem.from_arrays(matrix.astype(np.float32), labels, range(n - 60), range(n - 60, n))


def loop(labelling: OracleOptions | None = None, **options: object) -> ActiveLoop:
    return ActiveLoop(
        problem(), labelling=labelling, initial="random", initial_size=20, batch_size=15,
        advice="cheap", **options,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("strategy", ["margin", "coreset", "typiclust", "badge", "random"])
def test_unanswered_questions_cost_and_are_not_repeated(strategy: str) -> None:
    ran = loop(OracleOptions(abstain=0.3, cost={"c1": 2.5}), strategy=strategy).fit()
    asked = np.concatenate([record.rows for record in ran.records])
    assert sorted(asked.tolist()) == list(range(140))  # each candidate once
    silent = [row for r in ran.records for row in r.rows[[x is None for x in r.labels]].tolist()]
    assert 20 < len(silent) < 65  # 42 expected, sd 5.4
    rows, labels = ran.labelled()
    assert not set(rows.tolist()) & set(silent)
    assert len(rows) == 140 - len(silent) == ran.records[-1].labelled
    assert labels.tolist() == [f"c{row % 4}" for row in rows]
    spent = 0.0
    for record in ran.records:
        spent += sum(2.5 if row % 4 == 1 else 1.0 for row in record.rows)
        assert record.cost == spent
        assert record.labelled == sum(
            label is not None for r in ran.records[: record.round + 1] for label in r.labels
        )
    assert ran.labelled_percent[-1] == pytest.approx(100 * len(rows) / 140)


def test_a_round_without_an_answer_is_a_round() -> None:
    ran = loop(OracleOptions(abstain=1.0), strategy="margin").fit()
    assert [len(record.rows) for record in ran.records] == [20] + 8 * [15]
    assert {record.strategy for record in ran.records} == {"random"}  # margin needs labels
    assert [record.labelled for record in ran.records] == 9 * [0]
    assert ran.records[-1].cost == 140
    assert np.isnan(ran.test_metrics["accuracy"]).all()


def test_a_loop_with_unanswered_questions_is_stored(tmp_path: object) -> None:
    def records() -> list[object]:
        ran = loop(OracleOptions(abstain=0.4, noise=0.2), workspace=tmp_path).fit(3)
        return [(r.rows.tolist(), r.labels.tolist(), r.cost, r.labelled) for r in ran.records]

    assert records() == records()


def test_noise_changes_the_labels_of_the_head_but_not_the_upper_baseline() -> None:
    ran = loop(OracleOptions(noise=0.5), strategy="random").fit()
    rows, labels = ran.labelled()
    wrong = np.mean(labels != np.array([f"c{row % 4}" for row in rows]))
    assert 0.3 < wrong < 0.7
    assert ran.upper_baseline() == loop().upper_baseline() > 0.9
    assert ran.problem.oracle.asked == 140


def test_loops_on_one_problem_have_their_own_oracles() -> None:
    shared = problem()
    one = ActiveLoop(
        shared, labelling=OracleOptions(noise=0.9), initial_size=9, advice="cheap"
    ).fit(0)
    other = ActiveLoop(shared, initial_size=9, advice="cheap").fit(0)
    assert one.records[0].rows.tolist() == other.records[0].rows.tolist()
    assert one.records[0].labels.tolist() != other.records[0].labels.tolist()
    assert shared.oracle.asked == 0
