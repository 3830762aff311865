"""The headline of a comparison, and the intervals over test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embedpipe.experiments import Experiment, Results
from embedpipe.experiments.problems import Pools
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.reports import comparison_of, write_comparison

Rows = list[dict[str, Any]]
POOLS = Pools(0.8, (80, 80), (100, 100), are_equal=False)


def results(rows: Rows) -> Results:
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist([], UPPER_BASELINES),
        baseline=("random", "random"),
        pools={("hats", "net"): POOLS},
    )


def study(
    means: Mapping[str, float], *, items: int = 400, seeds: int = 5, noise: float = 0.004
) -> Rows:
    """Return a study of two rounds. An item is right if its difficulty is below the mean."""
    difficulty = (np.arange(items) + 0.5) / items
    rows: Rows = []
    for name, mean in means.items():
        rng = np.random.default_rng([ord(name[0]), len(name)])
        for seed, number in ((seed, number) for seed in range(seeds) for number in range(2)):
            right = difficulty < mean + 0.1 * number + rng.normal(0, noise)
            rows.append(row(name, seed, number, right))
    return rows


def row(name: str, seed: int, number: int, right: Any) -> dict[str, Any]:
    right = np.asarray(right, dtype=bool)
    return {
        **dict.fromkeys(("initial", "strategy"), name),
        **{"dataset": "hats", "backbone": "net", "head": "logistic", "mode": "cumulative"},
        **{"seed": seed, "run_id": f"{name}-{seed}", "round": number},
        **{"labelled": 10 * (number + 1), "accuracy": float(right.mean())},
        **{"test_set": "one", "tested": right.size, "correct": np.packbits(right).tobytes()},
    }


def headline(rows: Rows) -> str:
    return results(rows).summary().headline[0]


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        (
            {"random": 0.5, "auto": 0.5, "margin": 0.5},
            "No strategy can be told apart from random with these 5 pools",
        ),
        ({"random": 0.5, "auto": 0.6}, "auto is above random"),
        (
            {"random": 0.5, "auto": 0.6, "margin": 0.7},
            "margin and auto are above random; margin is",
        ),
        (
            {"random": 0.5, "auto": 0.6, "margin": 0.6},
            "margin and auto are above random; the two cannot be told apart",
        ),
        (
            {"random": 0.5, "auto": 0.7, "margin": 0.6, "badge": 0.61},
            "auto, badge and margin are above random; auto is above the others",
        ),
        (
            {"random": 0.5, "auto": 0.7, "margin": 0.7, "badge": 0.6},
            "margin, auto and badge are above random; margin cannot be told apart from auto",
        ),
        ({"random": 0.5, "auto": 0.4}, "auto is below random; no strategy is above it"),
        ({"random": 0.5, "auto": 0.6, "margin": 0.4}, "auto is above random; margin is below it"),
        (
            {"random": 0.3, **{"abcdef"[at]: 0.5 + 0.05 * at for at in range(6)}},
            "f, e, d and 3 others are above random; f is above the others",
        ),
        ({"random": 0.5}, "random: 0.548 mean accuracy over 10 to 20 labels"),
    ],
)
def test_the_headline_follows_the_tests(means: dict[str, float], expected: str) -> None:
    assert headline(study(means)).startswith(expected)


def test_the_smallest_difference_that_can_be_found_is_in_the_text() -> None:
    summary = results(study({"random": 0.5, "auto": 0.5})).summary()
    result, sentences = summary.headline
    assert result == "auto cannot be told apart from random with these 5 pools"
    assert "points cannot be found reliably with so few runs (80 % power)." in sentences
    assert str(summary).startswith(f"{result}.\n{sentences}\n\n")


def by_pair(a: Any, b: Any, seeds: int = 5) -> Rows:
    """Return a study of one round, in which each seed changes a few items of `a`."""
    rows = []
    for seed in range(seeds):
        own = np.array(a, dtype=bool)
        own[: seed + 1] = False
        other = np.array(b, dtype=bool)
        other[: 5 - seed] = False
        rows += [row("auto", seed, 0, own), row("random", seed, 0, other)]
    return rows


def test_an_advantage_over_pools_that_is_not_one_over_test_images() -> None:
    # 16 items are right only for auto, 4 items only for random, with every pool
    base = np.ones(100, dtype=bool)
    auto, random = base.copy(), base.copy()
    random[40:52], auto[60:64] = False, False
    summary = results(by_pair(auto, random)).summary()
    found = summary.groups[0].rows[0]
    assert found.verdict == "above"
    assert found.comparison is not None
    assert found.comparison_crossed is not None
    items, both = found.comparison_crossed.over_items, found.comparison_crossed.over_both
    assert found.comparison.low > 0 > both.low
    assert math.isclose(items.estimate, found.comparison.difference)
    assert both.high > found.comparison.high
    assert (
        "For auto, this holds for other pools with the same 100 test images. With other"
        in (summary.headline[1])
    )
    clear = results(study({"random": 0.5, "auto": 0.6})).summary()
    assert "This also holds for other pools with other test images." in clear.headline[1]
    text = str(summary)
    assert "over pools   over 100 test images" in text
    assert f"[{items.low:+.3f}, {items.high:+.3f}]" in text


def test_the_page_has_a_table_of_both_sources_of_chance(tmp_path: Any) -> None:
    given = results(study({"random": 0.5, "auto": 0.6}))
    text = write_comparison(tmp_path / "report.html", comparison_of(given)).read_text()
    assert "<h1>auto is above random</h1>" in text
    assert "95 % interval<br>over pools" in text
    assert "95 % interval<br>over 400 test images" in text
    summary = given.summary()
    crossed = summary.groups[0].rows[0].comparison_crossed
    assert crossed is not None
    for each in (crossed.over_items, crossed.over_both):
        assert f"[{each.low:+.3f},\u00a0{each.high:+.3f}]" in text
    found = summary.to_json()[0]
    assert (found["test_images"], found["test_images_reason"]) == (400, None)
    assert found["difference_ci_test_images"] == pytest.approx(
        [crossed.over_items.low, crossed.over_items.high], abs=1e-6
    )
    assert found["difference_ci_both"] == pytest.approx(
        [crossed.over_both.low, crossed.over_both.high], abs=1e-6
    )
    assert found["aubc_ci_test_images"][0] < found["aubc_mean"] < found["aubc_ci_both"][1]


def test_one_whole_pool_has_an_interval_over_test_images_only() -> None:
    rows = study({"random": 0.5, "auto": 0.6})
    first = {
        each["round"]: each for each in rows if each["strategy"] == "auto" and not each["seed"]
    }
    for each in rows:
        if each["strategy"] == "auto":
            each |= {name: first[each["round"]][name] for name in ("accuracy", "correct")}
    summary = results(rows).summary()
    found = next(each for each in summary.to_json() if each["strategy"] == "auto")
    assert (found["p_value"], found["p_reason"]) == (None, "identical runs")
    assert (found["aubc_ci"], found["aubc_ci_both"]) == (None, None)
    assert (found["difference_ci"], found["difference_ci_both"]) == (None, None)
    low, high = found["difference_ci_test_images"]
    assert low < high
    assert summary.headline[0] == "No comparison with random was possible with these 5 pools"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"test_set": None, "tested": None, "correct": None},
            "the runs are from an earlier version, which did not store single predictions",
        ),
        ({"test_set": "other"}, "each seed has its own test images"),
    ],
)
def test_without_common_test_images_the_text_says_why(
    changes: dict[str, None], reason: str, tmp_path: Any
) -> None:
    rows = study({"random": 0.5, "auto": 0.6})
    rows = [each | changes if each["seed"] == 2 else each for each in rows]
    given = results(rows)
    summary = given.summary()
    assert f"Other test images: not known, because {reason}." in summary.headline[1]
    found = summary.to_json()[0]
    assert (found["test_images"], found["test_images_reason"]) == (None, reason)
    assert (found["difference_ci_test_images"], found["difference_ci_both"]) == (None, None)
    assert found["p_value"] < 0.001
    text = write_comparison(tmp_path / "report.html", comparison_of(given)).read_text()
    assert f"Other test images: there is no interval, because {reason}." in text


def test_rounds_before_the_first_label_are_left_out() -> None:
    rows = study({"random": 0.5, "auto": 0.6})
    early = [
        each | {"round": -1, "labelled": 0, "accuracy": None, "tested": None, "correct": None}
        for each in rows
        if each["round"] == 0
    ]
    shifted = [each | {"round": each["round"] + 1} for each in [*early, *rows]]
    (group,) = results(shifted).summary().groups
    assert (group.tested, group.untested) == (400, None)
    crossed = results(rows).summary().groups[0].rows[0].comparison_crossed
    assert group.rows[0].comparison_crossed == crossed


def test_a_real_grid_has_the_areas_of_its_test_images(grid: Callable[..., Experiment]) -> None:
    found = grid(seeds=3, pool_share=0.8).run(workers=0)
    summary = found.summary()
    (group,) = summary.groups
    assert group.tested == 80
    for each in group.rows:
        assert each.aubc_crossed is not None
        assert math.isclose(each.aubc_crossed.over_items.estimate, each.aubc.estimate)
    table = found.table
    assert len(set(table["test_set"].to_pylist())) == 1  # other pools, but the same test images
    for bits, accuracy in zip(
        table["correct"].to_pylist(), table["accuracy"].to_pylist(), strict=True
    ):
        assert np.unpackbits(np.frombuffer(bits, np.uint8), count=80).mean() == accuracy
    old = replace(found, table=table.drop_columns(["test_set", "tested", "correct"]))
    assert old.summary().groups[0].untested is not None
