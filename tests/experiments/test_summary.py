"""The summary of a grid, worked out by hand from a table written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from embedpipe.errors import UsageError
from embedpipe.experiments import Results
from embedpipe.experiments.curves import curves_of
from embedpipe.experiments.statistics import holm, paired_comparison
from embedpipe.experiments.tables import BOUNDS, RESULTS, TIMINGS

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
    bound: float | None = 0.9,
    datasets: Sequence[str] = ("hats",),
    baseline: tuple[str, str] = ("random", "random"),
) -> Results:
    table = pa.Table.from_pylist([row for setting in settings for row in setting], RESULTS)
    seeds = sorted(set(table.column("seed").to_pylist()))
    bounds = [
        {"dataset": name, "backbone": "net", "head": "logistic", "seed": seed, "accuracy": bound}
        for name in datasets
        for seed in seeds
        if bound is not None
    ]
    return Results(
        table=table,
        timings=pa.Table.from_pylist([], TIMINGS),
        bounds=pa.Table.from_pylist(bounds, BOUNDS),
        baseline=baseline,
    )


RANDOM = rows("random", [0.5, 0.6, 0.7], [0.5, 0.6, 0.6], [0.4, 0.6, 0.7])
MARGIN = rows("margin", [0.5, 0.7, 0.8], [0.5, 0.7, 0.8], [0.4, 0.8, 0.9], initial="typiclust")


def test_areas_differences_and_gaps_are_those_worked_out_by_hand() -> None:
    summary = results(RANDOM, MARGIN).summary(target=0.75)
    (group,) = summary.groups
    assert [row.setting.chosen_by for row in group.rows] == ["typiclust, then margin", "random"]
    first, floor = group.rows
    # Areas: (a + 2 b + c) / 4.
    areas = np.array([0.675, 0.675, 0.725]), np.array([0.6, 0.575, 0.575])
    assert math.isclose(first.aubc.estimate, areas[0].mean())
    assert math.isclose(floor.aubc.estimate, areas[1].mean())
    assert first.aubc.low < areas[0].mean() < first.aubc.high
    assert first.comparison is not None
    assert math.isclose(first.comparison.difference, 0.325 / 3)
    assert first.comparison.p_t == paired_comparison(*areas).p_t
    assert first.comparison.p_holm == first.comparison.p_t  # there is no other
    assert (first.against, floor.against) == (floor.setting, None)
    assert group.floor == pytest.approx(areas[1].mean())
    assert first.gap_closed == pytest.approx(
        100 * (areas[0].mean() - areas[1].mean()) / (0.9 - areas[1].mean())
    )
    assert floor.gap_closed == 0
    assert (group.bound, group.target) == (0.9, pytest.approx(0.675))
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
    assert len(first["aubc_ci"]) == 2
    assert (first["labels_to_target"], floor["p_value"]) == (18.75, None)
    assert first["baseline"] == "random"
    assert first["difference"] == 0.108333


def test_p_values_are_corrected_for_all_rows() -> None:
    other = rows("entropy", [0.5, 0.6, 0.8], [0.5, 0.7, 0.6], [0.5, 0.6, 0.7])
    found = results(RANDOM, MARGIN, other).summary().groups[0].rows
    compared = [row.comparison for row in found if row.comparison is not None]
    assert [each.p_holm for each in compared] == holm([e.p_t for e in compared]).tolist()
    assert len(compared) == 2


def test_the_baseline_is_the_one_after_the_same_first_batch() -> None:
    after = rows("random", *([[0.5, 0.6, 0.7]] * 3), initial="typiclust")
    entropy = rows("entropy", *([[0.5, 0.6, 0.8]] * 3), initial="coreset")
    found = results(RANDOM, MARGIN, after, entropy).summary().groups[0].rows
    against = {row.setting.chosen_by: row.against for row in found}
    told = {name: None if other is None else other.chosen_by for name, other in against.items()}
    assert told == {
        "typiclust, then margin": "typiclust, then random",
        "coreset, then entropy": "random",
        "typiclust, then random": "random",
        "random": None,
    }


def test_a_run_that_ended_early_has_no_area_and_is_not_compared() -> None:
    short = rows("coreset", [0.5, 0.6], [0.5, 0.7, 0.8], [0.5, 0.7, 0.8])
    found = results(RANDOM, short).summary().groups[0].rows
    row = next(row for row in found if row.setting.strategy == "coreset")
    assert (row.seeds, row.aubc.n) == (3, 2)
    assert row.comparison is not None
    assert row.comparison.n == 2
    assert row.rounds is not None
    assert row.rounds.n.tolist() == [3, 3, 2]


def test_without_a_bound_there_is_no_gap_and_no_target_but_the_one_given() -> None:
    summary = results(RANDOM, MARGIN, bound=None).summary()
    (group,) = summary.groups
    assert (group.bound, group.target) == (None, None)
    assert [(row.gap_closed, row.labels) for row in group.rows] == [(None, None)] * 2
    given = results(RANDOM, MARGIN, bound=None).summary(accuracy=0.75)
    labels = given.groups[0].rows[0].labels
    assert labels is not None
    assert labels.median == 25.0  # at 25, 25 and 18.75


def test_seeds_that_are_missing_are_left_out_of_pairs() -> None:
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


def test_no_labels_to_test_on_is_no_error() -> None:
    summary = results(rows("random", [None, None, None]), bound=None).summary()
    assert (summary.groups, str(summary)) == ((), "")


def test_a_target_that_is_no_share_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        results(RANDOM).summary(target=95)
    assert str(caught.value) == ("target is 95: give a share of the full-data accuracy, as 0.95.")


def test_the_text_is_a_table_with_floor_and_bound() -> None:
    lines = str(results(RANDOM, MARGIN).summary(0.75)).splitlines()
    assert lines[0] == "hats, net; logistic, cumulative; 3 seeds, 10 to 30 labels"
    assert lines[1] == "with all labels 0.900, target 0.675 (75 % of it), floor (random) 0.583"
    assert lines[3].split()[:4] == ["typiclust,", "then", "margin", "0.692"]
    assert lines[4].split()[-5:] == ["baseline", "–", "0", "%", "28", "(2", "of", "3)"][-5:]


def test_a_batch_without_answers_is_no_step() -> None:
    stands = rows("random", [0.5, 0.6, 0.7], labelled=(10, 10, 30))
    (curves,) = curves_of(results(stands).table)
    labelled, values = curves.of_seed(0)
    assert (labelled.tolist(), values.tolist()) == ([10.0, 30.0], [0.6, 0.7])
