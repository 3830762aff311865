"""Summaries of small tables, compared with values calculated by hand."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from embedpipe.errors import UsageError
from embedpipe.experiments import Results
from embedpipe.experiments.curves import curves_of
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.experiments.statistics import holm

LABELLED = (10, 20, 30)


def rows(
    strategy: str,
    *curves: Sequence[float | None],
    initial: str = "random",
    dataset: str = "hats",
    labelled: Sequence[int] = LABELLED,
) -> list[dict[str, object]]:
    """Return the rows of one setting: a curve for each seed."""
    return [
        {
            "dataset": dataset,
            "backbone": "net",
            "initial": initial,
            "strategy": strategy,
            "head": "logistic",
            "mode": "cumulative",
            "seed": seed,
            "run_id": f"{dataset}-{initial}-{strategy}-{seed}",
            "round": number,
            "labelled": count,
            "accuracy": value,
        }
        for seed, curve in enumerate(curves)
        for number, (count, value) in enumerate(zip(labelled, curve, strict=False))
    ]


def results(
    *settings: list[dict[str, object]],
    upper: float | None = 0.9,
    datasets: Sequence[str] = ("hats",),
    baseline: tuple[str, str] = ("random", "random"),
) -> Results:
    table = pa.Table.from_pylist([row for setting in settings for row in setting], RESULTS)
    seeds = sorted(set(table.column("seed").to_pylist()))
    baselines = [
        {"dataset": name, "backbone": "net", "head": "logistic", "seed": seed, "accuracy": upper}
        for name in datasets
        for seed in seeds
        if upper is not None
    ]
    return Results(
        table=table,
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist(baselines, UPPER_BASELINES),
        baseline=baseline,
    )


RANDOM = rows("random", [0.5, 0.6, 0.7], [0.5, 0.6, 0.6], [0.4, 0.6, 0.7])
MARGIN = rows("margin", [0.5, 0.7, 0.8], [0.5, 0.7, 0.8], [0.4, 0.8, 0.9], initial="typiclust")


def test_areas_differences_and_gaps_by_hand() -> None:
    summary = results(RANDOM, MARGIN).summary(target=0.75)
    (group,) = summary.groups
    assert [row.setting.chosen_by for row in group.rows] == ["typiclust, then margin", "random"]
    first, floor = group.rows
    # Areas: (a + 2 b + c) / 4.
    areas = np.array([0.675, 0.675, 0.725]), np.array([0.6, 0.575, 0.575])
    assert math.isclose(first.aubc.estimate, areas[0].mean())
    assert math.isclose(floor.aubc.estimate, areas[1].mean())
    assert (first.seeds, first.distinct_runs, floor.distinct_runs) == (3, 2, 3)
    assert math.isnan(first.aubc.low)  # two of the three runs are the same
    assert floor.aubc.low < areas[1].mean() < floor.aubc.high
    assert first.comparison is not None
    assert math.isclose(first.comparison.difference, 0.325 / 3)
    assert first.comparison.reason == "fewer than three distinct runs"
    assert (first.against, floor.against) == (floor.setting, None)
    assert group.lower_baseline == pytest.approx(areas[1].mean())
    assert first.gap_closed == pytest.approx(
        100 * (areas[0].mean() - areas[1].mean()) / (0.9 - areas[1].mean())
    )
    assert floor.gap_closed == 0
    assert (group.upper_baseline, group.target) == (0.9, pytest.approx(0.675))
    # 0.675 lies between 0.5 and 0.7 (18.75), again, and between 0.4 and 0.8 (16.875).
    assert first.labels is not None
    assert (first.labels.median, first.labels.n_reached) == (18.75, 3)
    # Random: at 27.5, never, at 27.5.
    assert floor.labels is not None
    assert (floor.labels.median, floor.labels.n_reached, floor.labels.n) == (27.5, 2, 3)
    assert {budget: each.estimate for budget, each in first.at.items()} == {
        10: pytest.approx(1.4 / 3),
        20: pytest.approx(2.2 / 3),
        30: pytest.approx(2.5 / 3),
    }


def test_the_json_has_the_keys_of_the_contract() -> None:
    first, floor = results(RANDOM, MARGIN).summary(0.75).to_json()
    assert (first["strategy"], first["initial"]) == ("margin", "typiclust")
    assert first["aubc_mean"] == 0.691667
    assert (first["seeds"], first["distinct_runs"], floor["distinct_runs"]) == (3, 2, 3)
    assert first["aubc_ci"] is None
    # 0.583333 ± 4.302653 · 0.014434 / √3
    assert floor["aubc_ci"] == pytest.approx([0.547478, 0.619189])
    assert (first["labels_to_target"], first["labels_to_target_ci"]) == (18.75, None)
    assert first["baseline"] == "random"
    assert (first["difference"], first["difference_ci"]) == (0.108333, None)
    assert (first["p_value"], first["p_reason"]) == (None, "fewer than three distinct runs")
    assert (floor["p_value"], floor["p_reason"]) == (None, None)  # it is the baseline itself


VARIED = [[0.5, 0.6, 0.7], [0.5, 0.6, 0.8], [0.4, 0.6, 0.7], [0.5, 0.7, 0.7], [0.4, 0.6, 0.6]]


@pytest.mark.parametrize(
    ("kinds", "reason", "area"),
    [
        ([0, 0, 0, 0, 0], "identical runs", "0.850 (one run)"),
        ([0, 1, 0, 1, 1], "fewer than three distinct runs", "0.865 (two runs)"),
        ([0, 1, 2, 0, 0], None, "0.860 ["),
    ],
)
@pytest.mark.parametrize("side", ["strategy", "baseline"])
def test_identical_runs_are_one_observation(
    side: str, kinds: list[int], reason: str | None, area: str
) -> None:
    runs = ([0.8, 0.85, 0.9], [0.8, 0.9, 0.9], [0.8, 0.85, 1.0])
    repeated = [runs[kind] for kind in kinds]
    fixed = ("random", "margin")[side == "strategy"]
    varied = ("margin", "random")[side == "strategy"]
    summary = results(rows(fixed, *repeated), rows(varied, *VARIED)).summary()
    found = {row["strategy"]: row for row in summary.to_json()}
    assert found[fixed]["distinct_runs"] == len({*kinds})
    assert found[varied]["distinct_runs"] == 5
    assert (found["margin"]["p_value"] is None) == (reason is not None)
    assert found["margin"]["p_reason"] == reason
    assert (found[fixed]["aubc_ci"] is None) == (reason is not None)
    assert (found["margin"]["difference_ci"] is None) == (reason is not None)
    (group,) = summary.groups
    band = group.band(next(row.setting for row in group.rows if row.setting.strategy == fixed))
    assert math.isnan(band[-1].low) == (reason is not None)
    assert math.isnan(band[0].low)  # one distinct accuracy up to the first round
    text = str(summary)
    assert area in text
    assert (f"not tested: {reason}" in text) == (reason is not None)
    compared = next(row for row in group.rows if row.rounds is not None)
    assert compared.rounds is not None
    if reason is not None:
        assert not (compared.rounds.above() | compared.rounds.below()).any()
        assert math.isnan(compared.rounds.low[-1])


def test_runs_with_one_first_batch_are_one_observation_unless_the_baseline_has_it_too() -> None:
    # One first batch, then random batches
    later = [[0.5, b, c + 0.01 * at] for at, (_, b, c) in enumerate(VARIED)]
    higher = [[0.5, b + 0.1, c + 0.2 - 0.01 * at] for at, (_, b, c) in enumerate(VARIED)]

    def measured(table: list[dict[str, object]]) -> list[dict[str, object]]:
        return [row | {"macro_f1": row["accuracy"], "balanced_accuracy": 0.5} for row in table]

    random, after = rows("random", *VARIED), rows("random", *later, initial="coreset")
    margin = rows("margin", *higher, initial="coreset")
    alone = results(measured(random), measured(margin)).summary().to_json()[0]
    assert (alone["strategy"], alone["distinct_runs"]) == ("margin", 5)
    assert (alone["p_value"], alone["p_reason"]) == (
        None,
        "fewer than three distinct first batches",
    )
    both = results(measured(random), measured(margin), measured(after)).summary().to_json()
    found = {(row["initial"], row["strategy"]): row for row in both}
    assert found["coreset", "margin"]["baseline"] == "coreset, then random"
    assert found["coreset", "margin"]["p_value"] < 0.05  # its effect cancels out
    assert found["coreset", "random"]["p_reason"] == "fewer than three distinct first batches"
    # Without the other measures, equal accuracies can be a coincidence.
    assert results(random, margin).summary().to_json()[0]["p_reason"] is None


def test_one_and_two_seeds_have_no_p_value() -> None:
    for seeds, reason in ((1, "one seed"), (2, "fewer than three distinct runs")):
        high = [[0.8, 0.9, 0.9 + 0.01 * at] for at in range(seeds)]
        summary = results(rows("random", *VARIED[:seeds]), rows("margin", *high)).summary()
        first, floor = summary.to_json()
        assert (first["strategy"], first["p_value"], first["p_reason"]) == ("margin", None, reason)
        assert (first["aubc_ci"], floor["aubc_ci"], first["difference_ci"]) == (None, None, None)


def test_intervals_of_accuracies_end_at_one() -> None:
    perfect = rows("margin", [0.9, 1, 1], [0.99, 1, 1], [1, 1, 1])
    first = results(RANDOM, perfect).summary().groups[0].rows[0]
    assert first.aubc.high == 1.0
    assert 0 < first.aubc.low < first.aubc.estimate
    assert all(each.high <= 1.0 for each in first.at.values() if not math.isnan(each.high))


def test_runs_that_differ_in_another_metric_are_distinct() -> None:
    equal = [[0.8, 0.85, 0.9]] * 4
    table = rows("margin", *equal)
    for row in table:
        row["macro_f1"] = 0.5 + 0.01 * int(str(row["seed"]))
        row["ece"] = 0.1 + 1e-9 * int(str(row["seed"]))
    random = rows("random", *VARIED[:4])
    assert results(random, table).summary().to_json()[0]["distinct_runs"] == 4
    for row in table:
        del row["macro_f1"]  # the calibration error alone may differ by a rounding error
    assert results(random, table).summary().to_json()[0]["distinct_runs"] == 1


def test_single_rounds_are_tested_where_the_areas_differ() -> None:
    better = [[a + 0.2, b + 0.25, c + 0.2 + 0.01 * at] for at, (a, b, c) in enumerate(VARIED)]
    crossing = [[a + 0.1, b, c - 0.1 - 0.001 * at] for at, (a, b, c) in enumerate(VARIED)]
    group = results(rows("random", *VARIED), rows("b", *better), rows("c", *crossing)).summary()
    found = {row.setting.strategy: row for row in group.groups[0].rows}
    assert found["b"].rounds is not None
    assert found["b"].rounds.above().any()
    assert found["c"].comparison is not None
    assert not found["c"].comparison.significant()
    assert found["c"].rounds is not None
    assert math.isnan(found["c"].rounds.p_holm[2])
    assert not found["c"].rounds.below().any()


def test_p_values_are_corrected_for_all_rows() -> None:
    other = rows("entropy", [0.5, 0.6, 0.8], [0.5, 0.7, 0.6], [0.5, 0.6, 0.7])
    margin = rows("margin", [0.5, 0.7, 0.8], [0.5, 0.7, 0.9], [0.4, 0.8, 0.9], initial="typiclust")
    found = results(RANDOM, margin, other).summary().groups[0].rows
    compared = [row.comparison for row in found if row.comparison is not None]
    assert [each.p_holm for each in compared] == holm([e.p_t for e in compared]).tolist()
    assert len(compared) == 2


def test_the_baseline_has_the_same_first_batch_if_possible() -> None:
    after = rows("random", *([[0.5, 0.6, 0.7]] * 3), initial="typiclust")
    entropy = rows("entropy", *([[0.5, 0.6, 0.8]] * 3), initial="coreset")
    found = results(RANDOM, MARGIN, after, entropy).summary().groups[0].rows
    against = {row.setting.chosen_by: row.against for row in found}
    names = {name: None if other is None else other.chosen_by for name, other in against.items()}
    assert names == {
        "typiclust, then margin": "typiclust, then random",
        "coreset, then entropy": "random",
        "typiclust, then random": "random",
        "random": None,
    }


def test_a_run_that_ended_early_has_no_area() -> None:
    short = rows("coreset", [0.5, 0.6], [0.5, 0.7, 0.8], [0.5, 0.7, 0.8])
    found = results(RANDOM, short).summary().groups[0].rows
    row = next(row for row in found if row.setting.strategy == "coreset")
    assert (row.seeds, row.aubc.n) == (3, 2)
    assert row.comparison is not None
    assert row.comparison.n == 2
    assert row.rounds is not None
    assert row.rounds.n.tolist() == [3, 3, 2]


def test_without_an_upper_baseline_only_a_given_target_is_used() -> None:
    summary = results(RANDOM, MARGIN, upper=None).summary()
    (group,) = summary.groups
    assert (group.upper_baseline, group.target) == (None, None)
    assert [(row.gap_closed, row.labels) for row in group.rows] == [(None, None)] * 2
    given = results(RANDOM, MARGIN, upper=None).summary(accuracy=0.75)
    labels = given.groups[0].rows[0].labels
    assert labels is not None
    assert labels.median == 25.0  # at 25, 25 and 18.75


def test_missing_seeds_are_left_out_of_pairs() -> None:
    lacking = [row for row in MARGIN if row["seed"] != 1]
    row = results(RANDOM, lacking).summary().groups[0].rows[0]
    assert (row.seeds, row.aubc.n) == (2, 2)
    assert row.comparison is not None
    assert row.comparison.n == 2


def test_wins_are_counted_over_datasets() -> None:
    flat = [[0.50, 0.60, 0.70], [0.51, 0.61, 0.71], [0.49, 0.59, 0.70]]
    high = [[0.50, 0.70, 0.80], [0.51, 0.71, 0.81], [0.49, 0.69, 0.81]]
    summary = results(
        rows("random", *flat),
        rows("margin", *high),
        rows("random", *flat, dataset="shoes"),
        rows("margin", *flat, dataset="shoes"),
        datasets=("hats", "shoes"),
    ).summary()
    assert len(summary.groups) == 2
    found = summary.matrices["logistic", "cumulative"]
    assert found.strategies == ("random", "random, then margin")
    assert found.wins.tolist() == [[0, 0], [1, 0]]
    assert found.ties.tolist() == [[0, 1], [1, 0]]
    assert "1 random" in str(summary)


def test_without_test_labels_the_summary_is_empty() -> None:
    summary = results(rows("random", [None, None, None]), upper=None).summary()
    assert (summary.groups, str(summary)) == ((), "")


def test_a_target_must_be_a_share() -> None:
    with pytest.raises(UsageError) as caught:
        results(RANDOM).summary(target=95)
    assert str(caught.value) == (
        "target is 95: give a share of the accuracy with all labels, such as 0.95."
    )


def test_the_text_has_both_baselines() -> None:
    lines = str(results(RANDOM, MARGIN).summary(0.75)).splitlines()
    assert lines[:3] == [
        "No comparison with random was possible with these 3 seeds.",
        "Mean accuracy over 10 to 30 labels: typiclust, then margin 0.692, random 0.583. Not "
        "tested: typiclust, then margin (fewer than three distinct runs). A test needs 3 distinct "
        "runs of a strategy and of its baseline.",
        "",
    ]
    lines = lines[3:]
    assert lines[0] == "hats, net; logistic, cumulative; 3 seeds, 10 to 30 labels"
    assert lines[1] == (
        "upper baseline (all labels) 0.900, target 0.675 (75 % of the upper baseline), "
        "lower baseline (random) 0.583"
    )
    assert lines[3].split()[:4] == ["typiclust,", "then", "margin", "0.692"]
    assert lines[4].split()[-6:] == ["%", "28", "(2", "of", "3)", "–"]


def test_a_batch_without_answers_is_left_out_of_a_curve() -> None:
    table = rows("random", [0.5, 0.6, 0.7], labelled=(10, 10, 30))
    (curves,) = curves_of(results(table).table)
    labelled, values = curves.of_seed(0)
    assert (labelled.tolist(), values.tolist()) == ([10.0, 30.0], [0.6, 0.7])


def test_the_expected_accuracy_is_that_of_the_last_round_beside_the_measured_one() -> None:
    table = rows("random", [0.5, 0.6, 0.7], [0.5, 0.6, 0.6])
    for row in table:
        row |= {"expected_accuracy": 0.1, "rest_accuracy": 0.1}
    table[2] |= {"expected_accuracy": 0.75, "rest_accuracy": 0.7}
    table[5] |= {"expected_accuracy": 0.65, "rest_accuracy": 0.72}
    summary = results(table, MARGIN).summary()
    margin, random = summary.to_json()
    assert (margin["expected_accuracy"], margin["rest_accuracy"]) == (None, None)
    assert (random["expected_accuracy"], random["rest_accuracy"]) == (0.7, 0.71)
    lines = [line for line in str(summary).splitlines() if line.startswith("  ")]
    assert [line.split("   ")[-1].strip() for line in lines] == [
        "expected (measured) on the rest", "–", "0.700 (0.710)",
    ]  # fmt: skip


def test_a_round_without_an_estimate_does_not_count() -> None:
    table = rows("random", [0.5, 0.6, 0.7])
    table[1] |= {"expected_accuracy": 0.75, "rest_accuracy": 0.7}
    table[2] |= {"expected_accuracy": None, "rest_accuracy": 0.9}
    (row,) = results(table).summary().rows
    assert row.expected == (0.75, 0.7)


CEILING = rows(
    "oracle ceiling", [0.6, 0.8, 0.9], [0.6, 0.8, 0.9], [0.5, 0.9, 0.9], initial="oracle ceiling"
)


def test_the_oracle_ceiling_is_a_reference_outside_of_rows_and_tests() -> None:
    plain = results(RANDOM, MARGIN).summary(target=0.75)
    summary = results(RANDOM, MARGIN, CEILING).summary(target=0.75)
    (group,) = summary.groups
    assert [row.setting.strategy for row in summary.rows] == ["margin", "random"]
    ceiling = group.ceiling
    assert ceiling is not None
    # Areas: (a + 2 b + c) / 4.
    assert ceiling.aubc.estimate == pytest.approx((0.775 + 0.775 + 0.8) / 3)
    assert (ceiling.against, ceiling.comparison, ceiling.rounds) == (None, None, None)
    # 100 * (0.783333 - 0.583333) / (0.9 - 0.583333)
    assert ceiling.gap_closed == pytest.approx(63.157895)
    reference = {
        "seeds": 3,
        "distinct_runs": 2,
        "aubc_mean": 0.783333,
        "aubc_ci": None,
        "accuracy_at": {"10": 0.566667, "20": 0.833333, "30": 0.9},
        "labels_to_target": 13.75,  # 0.675 lies between 0.6 and 0.8
    }
    for row, without in zip(summary.to_json(), plain.to_json(), strict=True):
        assert without.pop("oracle_ceiling") is None
        assert row.pop("oracle_ceiling") == reference
        assert row == without
    *_, last = str(summary).splitlines()
    assert re.sub(" +", " ", last.strip()) == (
        "oracle ceiling (uses true labels) 0.783 (two runs) 0.900 2 of 3 no strategy – 63 % 14 –"
    )


def test_the_oracle_ceiling_wins_on_no_dataset() -> None:
    settings = [
        rows(name, *curves, dataset=dataset)
        for dataset in ("hats", "shoes")
        for name, curves in (("random", VARIED), ("oracle ceiling", [[0.9, 0.9, 0.9]] * 5))
    ]
    summary = results(*settings, datasets=("hats", "shoes")).summary()
    (matrix,) = summary.matrices.values()
    assert matrix.strategies == ("random",)


def test_the_oracle_ceiling_alone_gives_no_summary() -> None:
    assert results(CEILING).summary().groups == ()
