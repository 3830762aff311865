"""The functions for notebooks: figures have the numbers of the loops, and are saved whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.experiments.statistics import t_interval
from embedpipe.reports.palettes import colours_of

SIZES = {"initial_size": 10, "batch_size": 10}
HOSTILE = '<script>fail()</script> "שלום" <b>'


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    workspace = tmp_path_factory.mktemp("digits")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


@pytest.fixture(scope="module")
def loops(digits: ep.Embeddings) -> dict[str, list[ep.ActiveLoop]]:
    """Three seeds of two strategies."""
    return {
        strategy: [
            ep.ActiveLoop(
                digits, strategy=strategy, initial="random", head="nearest_mean", seed=seed, **SIZES
            ).fit(rounds=2)
            for seed in range(3)
        ]
        for strategy in ("margin", "random")
    }


def curves(figure: Any) -> dict[str, Any]:
    """The lines with points, by name."""
    return {trace.name: trace for trace in figure.data if trace.mode == "lines+markers"}


def test_the_curve_of_a_loop(loops: dict[str, list[ep.ActiveLoop]]) -> None:
    loop = loops["margin"][0]
    figure = ep.plot_active_learning_results(loop, dataset_name="digits")
    (line,) = curves(figure).values()
    assert figure.layout.title.text == "Active learning: digits"
    assert line.x == (10, 20, 30)
    np.testing.assert_array_equal(line.y, loop.test_metrics["accuracy"])
    first = loop.records[0]
    assert f"macro-F1 {first.macro_f1:.3f}" in line.text[0]
    labels, counts = np.unique(first.labels, return_counts=True)
    most = f"{counts.max()} × {labels[counts.argmax()]}"
    assert "round 0, random: " in line.text[0] and most in line.text[0]
    figure = ep.plot_active_learning_results(loop, metric="macro_f1", x="percent", title="T")
    (line,) = curves(figure).values()
    np.testing.assert_array_equal(line.x, loop.labelled_percent)
    np.testing.assert_array_equal(line.y, loop.test_metrics["macro_f1"])
    assert (figure.layout.title.text, figure.layout.yaxis.title.text) == ("T", "macro-F1")


def test_loops_of_one_name_are_a_mean_with_an_interval(
    loops: dict[str, list[ep.ActiveLoop]],
) -> None:
    figure = ep.plot_active_learning_results_many(*loops.values(), legend=[*loops])
    values = np.array([loop.test_metrics["accuracy"] for loop in loops["margin"]])
    band, line, *_ = figure.data
    np.testing.assert_allclose(line.y, values.mean(axis=0))
    for at, column in enumerate(values.T):
        interval = t_interval(column)
        np.testing.assert_allclose((band.y[-1 - at], band.y[at]), (interval.low, interval.high))
    every = [loop for each in loops.values() for loop in each]
    by_name = ep.plot_active_learning_results_many(*every)  # named by their strategies
    assert list(curves(by_name)) == ["random, then margin", "random"]
    assert [trace.y for trace in by_name.data] == [trace.y for trace in figure.data]


def test_two_runs_are_drawn_without_an_interval(loops: dict[str, list[ep.ActiveLoop]]) -> None:
    pair = loops["margin"][:2]
    runs, line = ep.plot_active_learning_results_many(pair, legend=["m"]).data
    accuracies = [loop.test_metrics["accuracy"].tolist() for loop in pair]
    assert list(runs.y) == [*accuracies[0], None, *accuracies[1], None]
    assert runs.text[4].startswith("m, seed 1: ")
    np.testing.assert_allclose(line.y, np.mean(accuracies, axis=0))


def test_names_differ_by_what_differs(digits: ep.Embeddings) -> None:
    loops = [
        ep.ActiveLoop(digits, strategy="random", initial="random", head=head, **SIZES).fit(0)
        for head in ("nearest_mean", "ridge")
    ]
    figure = ep.plot_active_learning_results_many(*loops)
    assert list(curves(figure)) == ["random; nearest_mean", "random; ridge"]


def test_palettes(loops: dict[str, list[ep.ActiveLoop]]) -> None:
    figure = ep.plot_active_learning_results_many(
        *loops.values(), legend=["a", "b"], palette={"b": "teal"}
    )
    found = {name: line.line.color for name, line in curves(figure).items()}
    assert found["b"] == "#008080" and found["a"] not in ("#008080", None)
    assert colours_of(["red", "rgb(0, 128, 128)"], "abc") == {
        "a": "#ff0000", "b": "#008080", "c": "#ff0000",
    }  # fmt: skip
    with pytest.raises(UnknownNameError, match=r"unknown palette 'Set22'. Did you mean 'Set2'\?"):
        colours_of("Set22", "a")
    with pytest.raises(UnknownNameError, match="unknown name in the palette 'c'"):
        colours_of({"c": "red"}, "ab")
    with pytest.raises(UsageError, match="'reddish' is not a colour: give a name such as 'teal'"):
        colours_of(["reddish"], "a")
    with pytest.raises(UsageError, match="the palette has no colour: give at least one."):
        colours_of([], "a")


def test_what_is_refused(loops: dict[str, list[ep.ActiveLoop]], digits: ep.Embeddings) -> None:
    margin = loops["margin"]
    plot = ep.plot_active_learning_results_many
    with pytest.raises(UsageError, match="legend has 1 names for 2 loops: give a list of one name"):
        plot(margin, margin, legend=["a"])
    with pytest.raises(UsageError, match="there is no loop to draw: give at least one."):
        plot()
    with pytest.raises(UnknownNameError, match="unknown metric 'f1'. .*macro_f1"):
        plot(margin, metric="f1")
    with pytest.raises(UnknownNameError, match="unknown x 'epochs'. Known: labels, percent."):
        ep.plot_active_learning_results(margin[0], x="epochs")
    with pytest.raises(UsageError, match="the loops have no accuracy: run at least one round"):
        plot(ep.ActiveLoop(digits))
    with pytest.raises(UsageError, match="expected ActiveLoop, got int"):
        ep.plot_active_learning_results(3)  # type: ignore[arg-type]


def fonts(path: Path) -> set[str]:
    found = subprocess.run(["pdffonts", path], capture_output=True, text=True, check=True)
    return {line[37:54].strip() for line in found.stdout.splitlines()[2:]}


def test_figures_are_saved_as_a_page_and_for_print(
    loops: dict[str, list[ep.ActiveLoop]], tmp_path: Path
) -> None:
    figure = ep.plot_active_learning_results_many(
        *loops.values(), legend=[HOSTILE, "random"], title="T <i>", name=tmp_path / "curves.v2"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.v2.html", "curves.v2.pdf"]
    text = (tmp_path / "curves.v2.html").read_text(encoding="utf-8")
    assert "<h1>T &lt;i&gt;</h1>" in text
    assert "<script>fail" not in text
    accuracy = curves(figure)["random"].y[-1]
    assert f"<td>{accuracy:.3f} [" in text
    assert "http" not in re.sub(r'<script type="text/plain".*?</script>|http-equiv', "", text)
    ep.plot_active_learning_results_many(*loops.values(), name=tmp_path / "only.svg")
    assert not (tmp_path / "only.html").exists()
    assert "<svg" in (tmp_path / "only.svg").read_text(encoding="utf-8")


def test_fonts_of_a_figure_are_embedded_as_type_42(
    loops: dict[str, list[ep.ActiveLoop]], tmp_path: Path
) -> None:
    loop = loops["margin"][0]
    ep.plot_active_learning_results(loop, title="One run", name=tmp_path / "run")
    assert fonts(tmp_path / "run.pdf") == {"CID TrueType"}
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert "One run" in text
    assert "data:image/png;base64," in text  # the report of the loop with its pictures


def test_the_page_shows_hostile_names_as_text(
    loops: dict[str, list[ep.ActiveLoop]], tmp_path: Path, browser: Any
) -> None:
    path = tmp_path / "page.html"
    ep.plot_active_learning_results_many(
        *loops.values(), legend=[HOSTILE, "random"], title=HOSTILE, name=path
    )
    page = browser.new_page(viewport={"width": 420, "height": 800})
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector(".charts-ready")
    assert page.inner_text("h1") == HOSTILE
    assert page.inner_text(".choose li >> nth=0").strip() == HOSTILE
    page.focus(".plot")
    page.keyboard.press("ArrowRight")
    hover = page.locator(".hoverlayer text").first.text_content()
    assert HOSTILE in hover.replace("\u2068", "").replace("\u2069", "")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert problems == []
    page.close()


def test_the_comparison_of_an_experiment(digits: ep.Embeddings, tmp_path: Path) -> None:
    results = ep.Experiment(
        digits, strategies=["margin", "random"], initials=["random"], heads=["nearest_mean"],
        seeds=3, rounds=2, initial_size=10, batch_size=10, workspace=tmp_path,
    ).run(workers=0)  # fmt: skip
    (group,) = results.summary().groups
    figure = ep.plot_comparison(results, palette="D3")
    lines = curves(figure)
    assert list(lines) == [row.setting.chosen_by for row in group.rows]
    for row in group.rows:
        means = [each.estimate for each in group.band(row.setting)]
        np.testing.assert_array_equal(lines[row.setting.chosen_by].y, means)
    assert {line.line.color for line in lines.values()} == {"#1f77b4", "#ff7f0e"}
    (line,) = curves(ep.plot_comparison(results, kind="rounds", group=0, title="D")).values()
    (compared,) = (row.rounds for row in group.rows if row.rounds is not None)
    np.testing.assert_array_equal(line.y, compared.difference)
    with pytest.raises(UnknownNameError, match="unknown kind of figure 'loss'. Known: curves"):
        ep.plot_comparison(results, kind="loss")
    with pytest.raises(UnknownNameError, match="unknown group '3'. Known: 0, digits, toy"):
        ep.plot_comparison(results, group=3)


@pytest.fixture(scope="module")
def study(digits: ep.Embeddings, tmp_path_factory: pytest.TempPathFactory) -> ep.ReplayResults:
    """Three seeds of two policies and two reference methods on three experiences."""
    return ep.ReplayStudy(
        lambda seed: ep.Stream.of(digits, "order", n=3, seed=seed),
        policies=["random", "herding"], retains=[0.05], reference_methods=["naive", "joint"],
        seeds=3, workspace=tmp_path_factory.mktemp("study"),
    ).run(workers=0)  # fmt: skip


def test_replay_figures_have_the_numbers_of_the_results(study: ep.ReplayResults) -> None:
    rows = {row.setting.learned: row for row in study.summary(["gem_accuracy", "gem_fwt"]).rows}
    forgetting = study.summary(["forgetting_last"]).rows
    bars = {
        kind: ep.plot_replay(study, kind=kind) for kind in ("differences", "forgetting", "transfer")
    }
    found = {
        kind: dict(zip(figure.layout.yaxis.ticktext, figure_values(figure), strict=True))
        for kind, figure in bars.items()
    }
    for name, row in rows.items():
        compared = row.comparisons["gem_accuracy"]
        if compared is not None:
            assert found["differences"][name] == pytest.approx(compared.difference)
        if name != "joint":
            assert found["transfer"][name] == pytest.approx(row.metrics["gem_fwt"].estimate)
    for row in forgetting:
        if row.setting.learned != "joint":
            value = row.metrics["forgetting_last"].estimate
            assert found["forgetting"][row.setting.learned] == pytest.approx(value)
    assert "joint" not in found["forgetting"]


def figure_values(figure: Any) -> list[float]:
    """The lengths of bars, from top to bottom."""
    pairs = [
        pair for trace in figure.data if trace.type == "bar"
        for pair in zip(trace.y, trace.x, strict=True)
    ]  # fmt: skip
    return [value for _, value in sorted(pairs)]


def test_the_matrix_and_the_experiences_of_a_method(
    study: ep.ReplayResults, tmp_path: Path
) -> None:
    setting = next(each for each in study.settings if each.method == "naive")
    mean = study.matrix(setting)
    heat = ep.plot_replay(study, kind="matrix", method="naive", name=tmp_path / "matrix")
    np.testing.assert_allclose(np.array(heat.data[0].z, dtype=float), mean)
    page = (tmp_path / "matrix.html").read_text(encoding="utf-8")
    assert f">{mean[2, 0]:.3f}</td>" in page
    assert fonts(tmp_path / "matrix.pdf") == {"CID TrueType"}
    lines = curves(ep.plot_replay(study, kind="experiences", method="naive", name=tmp_path / "e"))
    for number, line in enumerate(lines.values()):
        assert line.x == (1, 2, 3)
        np.testing.assert_allclose(line.y, mean[:, number])
        seeds = [matrix[0, number] for matrix in study.matrices[setting].values()]
        assert f"seeds {min(seeds):.3f} to {max(seeds):.3f}" in line.text[0]
    best = ep.plot_replay(study, kind="matrix").layout.title.text
    assert "naive" not in best and "joint" not in best
    with pytest.raises(UnknownNameError, match="unknown method 'gdumb'. .*Known: herding, 5 %,"):
        ep.plot_replay(study, kind="matrix", method="gdumb")
    with pytest.raises(UsageError, match="nothing to draw: a joint fit has one state only."):
        ep.plot_replay(study, kind="experiences", method="joint")


def test_the_figures_of_loops_on_a_stream(digits: ep.Embeddings) -> None:
    stream = ep.Stream.of(digits, "order", n=3)
    loops = [
        ep.ContinualLoop(stream, policy="random", retain=0.05, seed=seed).fit() for seed in (0, 1)
    ]
    heat = ep.plot_replay(loops[0], kind="matrix").data[0]
    np.testing.assert_allclose(np.array(heat.z, dtype=float), loops[0].matrix)
    (line,) = curves(ep.plot_replay(loops)).values()
    assert line.name == "random, 5 %"
    final = np.mean([loop.metrics["gem_accuracy"] for loop in loops])
    assert line.y[-1] == pytest.approx(final)
    with pytest.raises(UsageError, match="a loop has no experience: call `fit`, or iterate over"):
        ep.plot_replay(ep.ContinualLoop(stream))
    with pytest.raises(UsageError, match="there is no loop to draw: give at least one."):
        ep.plot_replay([])
