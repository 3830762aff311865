"""The report of a comparison: its text, its tables and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from embedpipe.experiments import Failure, Results
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.reports import comparison_of, write_comparison, write_figure
from embedpipe.reports.study_report import ranges

CURVES = {
    ("random", "random"): ([0.50, 0.60, 0.70], [0.52, 0.61, 0.70], [0.48, 0.60, 0.72]),
    ("<typiclust>", "margin"): ([0.55, 0.72, 0.80], [0.56, 0.73, 0.81], [0.54, 0.71, 0.82]),
    ("coreset", "coreset"): ([0.40, 0.55, 0.70], [0.41, 0.57, 0.69], [0.42, 0.56, 0.70]),
}


def results(datasets: tuple[str, ...] = ("hats",)) -> Results:
    rows = [
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
            "labelled": 10 * (number + 1),
            "accuracy": value,
        }
        for dataset in datasets
        for (initial, strategy), curves in CURVES.items()
        for seed, curve in enumerate(curves)
        for number, value in enumerate(curve)
    ]
    baselines = [
        {"dataset": name, "backbone": "net", "head": "logistic", "seed": seed, "accuracy": 0.9}
        for name in datasets
        for seed in range(3)
    ]
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist(baselines, UPPER_BASELINES),
        baseline=("random", "random"),
    )


def page(tmp_path: Path, given: Results, command: str | None = None) -> str:
    path = write_comparison(tmp_path / "report.html", comparison_of(given, command=command))
    return path.read_text(encoding="utf-8")


def test_the_page_has_the_result_the_facts_and_the_table(tmp_path: Path) -> None:
    text = page(tmp_path, results(), command="embedpipe compare hats --seeds 3")
    assert (
        "<h1>&lt;typiclust&gt;, then margin: 0.700 mean accuracy over 10 to 30 labels, the highest "
        "of 2 compared strategies</h1>"
    ) in text
    assert (
        "It was selected after the results were known, which favours it. Random reaches 0.603; the "
        "difference is significant."
    ) in text
    assert "embedpipe compare hats --seeds 3" in text
    for fact in ("lower baseline (random)", "0.603 area", "upper baseline (all labels)", "0.900"):
        assert fact in text
    rows = re.findall(r'<tr class="r\d.*?</tr>', text)
    assert [re.sub(r"<[^>]+>", "|", row).count("baseline") for row in rows] == [0, 1, 0]
    assert 'class="better"' in rows[0]
    assert 'class="worse"' in rows[2]
    assert "+0.097 [" in rows[0]


def test_the_page_needs_no_other_file_and_is_reproducible(tmp_path: Path) -> None:
    text = page(tmp_path, results())
    assert text == page(tmp_path, results())
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "http" not in text.replace("http-equiv", "")


def test_every_point_has_a_tooltip(tmp_path: Path) -> None:
    text = page(tmp_path, results())
    assert text.count("<title>") == 1 + 3 * 3 + 2 * 3
    assert "&lt;typiclust&gt;, then margin: 0.550 with 10 labels\n95 % interval 0." in text
    assert "coreset against random: -0.090 with 10 labels\n95 % interval -0." in text


def one_run_of(given: Results, strategy: str) -> Results:
    """Return the results with the run of seed 0 for all seeds of a strategy."""
    table = given.table.to_pylist()
    first = {
        (row["dataset"], row["round"]): row["accuracy"]
        for row in table
        if row["strategy"] == strategy and row["seed"] == 0
    }
    for row in table:
        if row["strategy"] == strategy:
            row["accuracy"] = first[row["dataset"], row["round"]]
    return replace(given, table=pa.Table.from_pylist(table, RESULTS))


@pytest.mark.parametrize("strategy", ["margin", "random"])
def test_a_strategy_with_one_run_has_no_band_and_no_test(tmp_path: Path, strategy: str) -> None:
    given = one_run_of(results(), strategy)
    text = page(tmp_path, given)
    assert "the difference was not tested: identical runs." in text
    assert "difference is significant" not in text
    rows = re.findall(r'<tr class="r\d.*?</tr>', text)
    assert [row.count("1 of 3") for row in rows] == [
        int(strategy == name) for name in ("margin", "random", "coreset")
    ]
    assert rows[0].count("not tested: identical runs") == 1
    assert "(one run)" in rows[("margin", "random").index(strategy)]
    assert 'class="better"' not in text
    assert ('class="worse"' in text) == (strategy == "margin")  # coreset against random
    # Bands of two strategies, and the difference of those that both have several runs
    assert text.count('class="band"') == 2 + (strategy == "margin")
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    write_figure(given, tmp_path / "curves.svg")  # without a warning about missing bands
    matrix = page(tmp_path, one_run_of(results(("hats", "shoes")), strategy))
    assert "(0 + 2 not tested)" in matrix


def test_equal_strategies_have_no_significant_difference(tmp_path: Path) -> None:
    table = results().table.to_pylist()
    for row in table:
        if row["strategy"] == "margin":
            luck = (-1, 0, 1)[row["seed"]]
            row["accuracy"] = 0.6 + 0.1 * (row["round"] - 1) + 0.02 * luck
    text = page(tmp_path, replace(results(), table=pa.Table.from_pylist(table, RESULTS)))
    assert re.search(
        r"no difference was shown \(3 seeds; interval −\d\.\d to \+\d\.\d points\)", text
    )
    assert "difference is significant" not in text


def test_several_datasets_have_a_matrix(tmp_path: Path) -> None:
    text = page(tmp_path, results(("hats", "shoes")))
    assert "<h1>3 strategies in 2 settings</h1>" in text
    assert (
        "&lt;typiclust&gt;, then margin has the largest area most often, in 2 of 2 settings. It "
        "was selected after the results were known, which favours it. In 2 of these 2 settings, "
        "the difference from the baseline is significant."
    ) in text
    assert "Wins between strategies" in text
    assert text.count("<h2 id=") == 4  # two datasets, the matrix, how to read it


def test_failures_are_on_the_page(tmp_path: Path) -> None:
    failed = replace(results(), failures=(Failure("hats, net: odd; seed 0", "no <way>"),))
    text = page(tmp_path, failed)
    assert "<li>hats, net: odd; seed 0: no &lt;way&gt;</li>" in text
    assert "Some runs failed" not in page(tmp_path, results())


def test_results_without_accuracy(tmp_path: Path) -> None:
    empty = replace(results(), table=pa.Table.from_pylist([], RESULTS))
    assert "No accuracy to compare" in page(tmp_path, empty)


def test_seeds_are_shown_as_ranges() -> None:
    assert ranges([0, 1, 2, 3, 7]) == "0–3, 7"
