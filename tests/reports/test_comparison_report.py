"""The report of a comparison: its text, its tables and its page."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from plotly.graph_objects import Figure, Scatter

from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.experiments import Failure, Results
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.reports import comparison_of, figure_of, write_comparison, write_figure
from embedpipe.reports.charts import PALETTE
from embedpipe.reports.palettes import read_palette
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


def figures(given: Results) -> list[Figure]:
    """The interactive figures of the first group."""
    return [figure_of(chart) for chart in comparison_of(given).groups[0].charts]


def lines_of(figure: Figure) -> list[Scatter]:
    """The lines with points, without bands and single runs."""
    return [trace for trace in figure.data if trace.mode == "lines+markers"]


def runs_of(figure: Figure) -> dict[str, Scatter]:
    """The single runs of each line."""
    return {trace.name: trace for trace in figure.data if trace.meta.get("part") == "runs"}


def test_the_page_has_the_result_the_facts_and_the_table(tmp_path: Path) -> None:
    text = page(tmp_path, results(), command="embedpipe compare hats --seeds 3")
    assert ("<h1>&lt;typiclust&gt;, then margin is above random; coreset is below it</h1>") in text
    assert (
        "Mean accuracy over 10 to 30 labels: &lt;typiclust&gt;, then margin 0.700, coreset 0.557, "
        "random 0.603. Other test images: not known, because the runs are from an earlier version, "
        "which did not store single predictions."
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
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "http" not in text.replace("http-equiv", "")


def test_every_point_has_a_tooltip() -> None:
    accuracy, differences, *_ = figures(results())
    _, best, _ = lines_of(accuracy)  # in the order of the table of results
    assert best.text[0].startswith(
        "&lt;typiclust&gt;, then margin: 0.550 with 10 labels<br>95 % interval 0."
    )
    assert [len(line.text) for line in lines_of(accuracy)] == [3, 3, 3]
    _, coreset = lines_of(differences)
    assert coreset.text[0].startswith(
        "coreset against random: -0.090 with 10 labels<br>95 % interval -0."
    )
    assert len(coreset.text) == 3


def test_single_runs_and_paired_differences_are_behind_the_means() -> None:
    accuracy, differences, *_ = figures(results())
    for (initial, strategy), curves in CURVES.items():
        name = strategy if initial == strategy else f"&lt;typiclust&gt;, then {strategy}"
        runs = runs_of(accuracy)[name]
        assert [y for y in runs.y if y is not None] == [y for curve in curves for y in curve]
        assert runs.text[5] == f"{name}, seed 1: {curves[1][1]:.3f} with 20 labels"
    paired = runs_of(differences)["coreset against random"]
    expected = np.subtract(CURVES["coreset", "coreset"], CURVES["random", "random"])  # (S, R)
    assert [y for y in paired.y if y is not None] == pytest.approx(expected.ravel())
    assert paired.text[4] == "coreset against random, seed 1: -0.110 with 10 labels"


def test_a_strategy_has_the_same_colour_on_all_datasets() -> None:
    table = results(("hats", "shoes")).table.to_pylist()
    for row in table:  # the ranking of the shoes is the other way round
        if row["dataset"] == "shoes":
            row["accuracy"] = 1 - row["accuracy"]
    given = replace(results(("hats", "shoes")), table=pa.Table.from_pylist(table, RESULTS))
    hats, shoes = comparison_of(given).groups
    assert [row.name for row in hats.rows] == [row.name for row in reversed(shoes.rows)]
    for group in (hats, shoes):
        assert {row.name: row.place for row in group.rows} == {
            "random": 0, "<typiclust>, then margin": 1, "coreset": 2,
        }  # fmt: skip
        (line,) = [t for t in lines_of(figure_of(group.charts[0])) if t.name == "coreset"]
        assert (line.meta, line.line.color) == ({"line": 2}, PALETTE[2])


def test_strategies_have_the_colours_of_a_palette(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    own = {"coreset": "navy", "random": "#d62728"}
    text = write_comparison(path, comparison_of(results()), palette=own).read_text("utf-8")
    assert ":root { --own0: #000080; --own1: #d62728; }" in text
    assert ":root { --own0: #6666b3; --own1: #d62728; }" in text  # on dark pages
    (row,) = re.findall(r"<tr [^>]*>(?=<th[^>]*><svg[^>]*>.{1,40}</svg><bdi>coreset<)", text)
    assert row.endswith('style="--c: var(--own0)">')
    (legend,) = re.findall(r"<li [^>]*>(?=<label[^>]*><input[^>]*data-line=\"2\">)", text)
    assert legend.endswith('style="--c: var(--own0)">')
    pictures = re.findall(r'<svg class="static".*?</svg>', text, re.DOTALL)
    assert all("stroke: var(--own0)" in picture for picture in pictures)
    assert '"#000080":"--own0"' in text
    assert text.count('"line":{"color":"#000080","dash":"solid"') == 2
    with pytest.raises(UnknownNameError, match="unknown name in the palette 'core'. Did you mean"):
        write_comparison(path, comparison_of(results()), palette={"core": "red"})
    with pytest.raises(UsageError, match="'reddish' is not a colour"):
        write_comparison(path, comparison_of(results()), palette={"coreset": "reddish"})


def test_palettes_of_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "colours.yaml"
    file.write_text("margin: '#d62728'\n'typiclust, then margin': teal\n")
    assert read_palette(str(file)) == {"margin": "#d62728", "typiclust, then margin": "teal"}
    assert read_palette("Set2") == "Set2"
    file.write_text("- teal\n")
    with pytest.raises(UsageError, match="has no palette: write lines such as `random: grey`."):
        read_palette(str(file))
    with pytest.raises(UsageError, match="cannot read the palette none.yaml: No such file"):
        read_palette("none.yaml")
    with pytest.raises(UsageError, match="'gray1' is not a colour"):
        read_palette("margin=gray1")


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
    names = "&lt;typiclust&gt;, then margin" + " and coreset" * (strategy == "random")
    assert f"Not tested: {names} (identical runs). A test needs 3 distinct runs" in text
    headline = {
        "margin": "coreset is below random; no strategy is above it",
        "random": "No comparison with random was possible with these 3 seeds",
    }
    assert f"<h1>{headline[strategy]}</h1>" in text
    rows = re.findall(r'<tr class="r\d.*?</tr>', text)
    assert [row.count("1 of 3") for row in rows] == [
        int(strategy == name) for name in ("margin", "random", "coreset")
    ]
    assert rows[0].count("not tested: identical runs") == 1
    assert "(one run)" in rows[("margin", "random").index(strategy)]
    assert 'class="better"' not in text
    assert ('class="worse"' in text) == (strategy == "margin")  # coreset against random
    # Bands of two strategies, and the difference of those that both have several runs
    traces = [trace for figure in figures(given) for trace in figure.data]
    bands = [trace for trace in traces if trace.type == "scatter" and trace.fill]
    assert len(bands) == 2 + (strategy == "margin")
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)
    write_figure(given, tmp_path / "curves.svg")  # without a warning about missing bands
    matrix = page(tmp_path, one_run_of(results(("hats", "shoes")), strategy))
    assert '0–0–0 <span class="interval">2 not tested</span>' in matrix


def test_equal_strategies_have_no_significant_difference(tmp_path: Path) -> None:
    table = results().table.to_pylist()
    for row in table:
        if row["strategy"] == "margin":
            luck = (-1, 0, 1)[row["seed"]]
            row["accuracy"] = 0.6 + 0.1 * (row["round"] - 1) + 0.02 * luck
    text = page(tmp_path, replace(results(), table=pa.Table.from_pylist(table, RESULTS)))
    assert "<h1>coreset is below random; no strategy is above it</h1>" in text
    alone = [row for row in table if row["strategy"] != "coreset"]
    text = page(tmp_path, replace(results(), table=pa.Table.from_pylist(alone, RESULTS)))
    name = "&lt;typiclust&gt;, then margin"
    assert f"<h1>{name} cannot be told apart from random with these 3 seeds</h1>" in text
    assert "A difference of less than about 9.6 points cannot be found reliably" in text


def test_several_datasets_have_a_matrix(tmp_path: Path) -> None:
    text = page(tmp_path, results(("hats", "shoes")))
    assert "<h1>3 strategies in 2 settings</h1>" in text
    assert (
        "Significantly different from the baseline, of 2 settings: &lt;typiclust&gt;, then margin "
        "above in 2, below in 0; coreset above in 0, below in 2."
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


def test_the_oracle_ceiling_is_marked_and_never_the_result(tmp_path: Path) -> None:
    given = results()
    ceiling = [
        {
            **row,
            "initial": "oracle ceiling",
            "strategy": "oracle ceiling",
            "run_id": f"ceiling-{row['seed']}",
            "accuracy": 0.85 + row["seed"] / 100,
        }
        for row in given.table.to_pylist()
        if row["strategy"] == "random"
    ]
    table = pa.concat_tables([given.table, pa.Table.from_pylist(ceiling, RESULTS)])
    plain, data = comparison_of(given), comparison_of(replace(given, table=table))
    assert (data.result, data.comparison) == (plain.result, plain.comparison)
    (group,) = data.groups
    assert group.rows[:-1] == plain.groups[0].rows
    last = group.rows[-1]
    assert (last.name, last.ceiling, last.baseline) == (
        "oracle ceiling (uses true labels)",
        True,
        False,
    )
    assert (last.area[:5], last.difference, last.p, last.gap) == ("0.860", "–", "–", "87 %")
    assert len(group.curves) == len(group.differences) == 4
    assert group.differences[-1] is None
    text = page(tmp_path, replace(given, table=table))
    rows = re.findall(r'<tr class="r\d.*?</tr>', text)
    assert ["no strategy" in row for row in rows] == [False, False, False, True]
    assert "(baseline)" not in text.partition("oracle ceiling (uses true labels)")[2][:200]
