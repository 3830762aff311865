"""The report of a replay study: its text, its tables and charts, and its page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import embedpipe as ep
from embedpipe.continual import METRICS, Stream, continual_metrics
from embedpipe.experiments.replay import ReplaySetting, ReplayStudy
from embedpipe.experiments.replay_results import ReplayResults
from embedpipe.experiments.results import Failure
from embedpipe.reports import figure_of, replay_of, write_replay
from embedpipe.reports.replay_report import AccuracyMap
from tests.paper import too_wide_for_paper

NAN = float("nan")

RANDOM = ReplaySetting("hats", "logistic", "replay", "random", "0.05")
EL2N = ReplaySetting("hats", "logistic", "replay", "<el2n>", "0.05")
NAIVE = ReplaySetting("hats", "logistic", "naive")
JOINT = ReplaySetting("hats", "logistic", "joint")

MATRICES = {
    RANDOM: [[0.90, 0.30, 0.20], [0.70, 0.90, 0.30], [0.60, 0.70, 0.90]],
    EL2N: [[0.90, 0.30, 0.20], [0.75, 0.90, 0.30], [0.70, 0.75, 0.90]],
    NAIVE: [[0.90, 0.30, 0.20], [0.50, 0.90, 0.30], [0.20, 0.40, 0.90]],
    JOINT: [[NAN] * 3, [NAN] * 3, [0.95, 0.95, 0.95]],
}
"""The mean accuracies, and those of the first seed; each other seed is a little different."""

LUCK = (0.0, 0.01, -0.01, 0.004, -0.004)
"""Change of the final accuracy on the first experience, by seed, for the baseline."""

SHARE = {RANDOM: 1.0, EL2N: 1.1, JOINT: 0.5}
"""Factor of that change for other settings, so that their differences vary."""


def matrix_of(setting: ReplaySetting, seed: int) -> np.ndarray[Any, Any]:
    matrix = np.array(MATRICES[setting])
    matrix[-1, 0] += LUCK[seed] * SHARE.get(setting, 0.8)
    return matrix


def results(
    protocol: str = "iid",
    seeds: int = 5,
    settings: tuple[ReplaySetting, ...] = (RANDOM, EL2N, NAIVE, JOINT),
    names: tuple[str, ...] = ("2004", "2005", "2006"),
    **changes: Any,
) -> ReplayResults:
    rows, figures = [], []
    for setting in settings:
        for seed in range(seeds):
            matrix = matrix_of(setting, seed)
            if protocol == "streaming":
                matrix[1] = matrix[2] if setting is JOINT else matrix[1]
                matrix[np.tril_indices(3)] = np.nan
            cell = {**vars(setting), "seed": seed, "run_id": f"{setting}-{seed}"}
            floor = np.full(3, 0.1)
            figures.append({**cell, **continual_metrics(matrix, protocol=protocol, floor=floor)})
            end = 3 if protocol == "iid" else 2
            learned = range(end - 1 if setting is JOINT else 0, end)
            rows += [
                {
                    **cell,
                    "experience": number,
                    "name": names[number],
                    "learned": 100 + number,
                    "replayed": 5 * number,
                    "kept": 5 * (number + 1) if setting.policy else 0,
                    "labelled": 100 * (number + 1),
                    "accuracies": matrix[number].tolist(),
                }
                for number in learned
            ]
    return ReplayResults(
        table=pa.Table.from_pylist(rows),
        metrics=pa.Table.from_pylist(figures),
        settings=settings,
        baseline="random",
        protocols={"hats": protocol},
        experiences={"hats": names},
        never_learned={},
        **changes,
    )


def page(tmp_path: Path, given: ReplayResults, command: str | None = None) -> str:
    path = write_replay(tmp_path / "report.html", replay_of(given, command=command))
    return path.read_text(encoding="utf-8")


def texts(html: str) -> list[str]:
    """Return the texts of a row's cells."""
    return re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", re.sub(r"<(svg|span|br|/?path).*?>", " ", html))


# The headline


def test_the_headline_has_the_best_policy_and_its_test(tmp_path: Path) -> None:
    data = replay_of(results())
    assert data.result == (
        "<el2n>, 5 %: final accuracy 0.783, the highest of 2 policies in this study"
    )
    assert data.comparison == (
        "It was selected after the results were known, which favours it. Random with the same "
        "buffer size reaches 0.733; the difference is significant. "
        "Reference methods: naive (no buffer) 0.500, joint (all data at once) 0.950."
    )
    text = page(tmp_path, results(), command="embedpipe replay hats --policy el2n")
    assert "<h1>&lt;el2n&gt;, 5 %: final accuracy 0.783, the highest of 2 policies in this" in text
    assert "embedpipe replay hats --policy el2n" in text


def test_one_seed_is_not_tested() -> None:
    assert replay_of(results(seeds=1)).comparison.startswith(
        "It was selected after the results were known, which favours it. Random with the same "
        "buffer size reaches 0.733; the difference was not tested: one seed."
    )


def test_the_baseline_can_be_the_best_policy() -> None:
    data = replay_of(replace(results(), baseline="<el2n>"))
    assert data.result == (
        "<el2n>, 5 %: final accuracy 0.783, the highest of 2 policies in this study"
    )
    assert data.comparison.startswith(
        "It was selected after the results were known, which favours it. No other policy has a "
        "better mean with the same buffer size. The second is random with 0.733; the difference is "
        "significant."
    )
    alone = replay_of(results(settings=(RANDOM, JOINT)))
    assert alone.comparison == "Reference methods: joint (all data at once) 0.950."


def test_without_a_policy_the_method_is_the_result() -> None:
    data = replay_of(results(settings=(NAIVE, JOINT)))
    assert data.result == "naive: final accuracy 0.500"
    assert data.comparison == "Reference methods: joint (all data at once) 0.950."
    assert [row.role for row in data.groups[0].rows] == [
        "no buffer",
        "upper baseline: all data at once",
    ]


def test_several_heads_are_groups_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ReplaySetting("hats", "slda", "naive")
    monkeypatch.setitem(MATRICES, other, [[0.9, 0.9, 0.9]] * 3)
    data = replay_of(results(settings=(RANDOM, EL2N, JOINT, other)))
    assert data.result == "4 methods in 2 settings"
    assert data.comparison == (
        "<el2n>, 5 % is best most often, in 1 of 2 settings. It was selected after the results "
        "were known, which favours it. The best method is significantly better than random in 1 of "
        "2 settings."
    )
    assert [group.title for group in data.groups] == ["hats; logistic", "hats; slda"]
    assert data.groups[1].rows[0].against == ""


def test_a_study_without_a_finished_run(tmp_path: Path) -> None:
    empty = pa.table({"run_id": pa.array([], pa.string()), "seed": pa.array([], pa.int64())})
    nothing = ReplayResults(empty, empty, (), "random", {}, {}, {})
    assert "<h1>No results</h1>" in page(tmp_path, nothing)


# The table


def test_the_best_policy_is_first_and_reference_methods_are_last() -> None:
    (group,) = replay_of(results()).groups
    assert [(row.name, row.role) for row in group.rows] == [
        ("<el2n>, 5 %", ""),
        ("random, 5 %", "baseline"),
        ("naive", "lower baseline: no buffer"),
        ("joint", "upper baseline: all data at once"),
    ]
    assert [row.kept for row in group.rows] == ["15", "15", "–", "–"]
    assert [row.against for row in group.rows] == ["random, 5 %", "", "random, 5 %", "random, 5 %"]


def test_lower_forgetting_has_the_verdict_better() -> None:
    data = replay_of(results(), results().summary(["gem_accuracy", "forgetting_last"]))
    rows = {row.name: row for row in data.groups[0].rows}
    assert [each.verdict for each in rows["<el2n>, 5 %"].differences] == ["better", "better"]
    assert [each.verdict for each in rows["naive"].differences] == ["worse", "worse"]
    assert [each.verdict for each in rows["joint"].differences] == ["better", ""]
    assert [each.text for each in rows["joint"].differences][1] == "–"
    assert rows["<el2n>, 5 %"].differences[1].text.startswith("-0.075 [-0.0")
    assert rows["random, 5 %"].differences == ()
    assert rows["joint"].means == ("0.950 [0.948, 0.952]", "–")  # ± 2.776 · 0.00127 / √5


def test_equal_policies_have_no_significant_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MATRICES, EL2N, MATRICES[RANDOM])
    data = replay_of(results())
    rows = {row.name: row for row in data.groups[0].rows}
    assert rows["<el2n>, 5 %"].differences[0].verdict == "no difference shown"
    assert "no difference was shown (5 seeds; interval −0.03 to +0.03 points)" in (data.comparison)


def test_a_policy_with_one_run_has_no_interval_no_band_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(SHARE, EL2N, 0.0)
    given = results()
    (group,) = replay_of(given).groups
    row, band, lead = group.rows[0], group.curves[0], group.differences[0]
    assert (row.name, row.runs, row.means[0]) == ("<el2n>, 5 %", "1 of 5", "0.783 (one run)")
    assert (row.differences[0].verdict, row.differences[0].p) == (
        "not tested", "not tested: identical runs",
    )  # fmt: skip
    assert band is not None
    assert lead is not None
    assert np.isnan([*band.low, *band.high, *lead.low, *lead.high]).all()
    assert not any(lead.significant)
    assert "the difference was not tested: identical runs." in replay_of(given).comparison
    accuracy, differences = (figure_of(chart).data for chart in replay_of(given).groups[0].charts)
    best = next(trace for trace in accuracy if trace.mode == "lines+markers")
    assert best.text[-1] == "&lt;el2n&gt;, 5 %: 0.783 after experience 3"
    assert [trace.name for trace in (*accuracy, *differences) if trace.fill] == [
        "random, 5 %", "naive",
    ]  # fmt: skip


def test_a_metric_that_is_the_same_for_all_runs_is_not_tested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Joint fits differ only in the order of the experiences."""

    def rolled(setting: ReplaySetting, seed: int) -> np.ndarray[Any, Any]:
        matrix = np.array(MATRICES[setting])
        if setting is JOINT:
            matrix[-1] = np.roll([0.93, 0.95, 0.97], seed)
        else:
            matrix[-1, 0] += LUCK[seed]
        return matrix

    monkeypatch.setitem(globals(), "matrix_of", rolled)
    rows = {row.setting: row for row in results().summary(["gem_accuracy"]).rows}
    found = rows[JOINT].comparisons["gem_accuracy"]
    assert rows[JOINT].distinct_runs == 3
    assert found is not None
    assert found.reason == "identical runs"


def test_every_metric_on_the_page_is_explained(tmp_path: Path) -> None:
    text = page(tmp_path, results())
    for name in ("gem_accuracy", "clear_accuracy", "clear_next_domain", "forgetting_last"):
        meaning = METRICS[name].replace(">", "&gt;").replace("<", "&lt;")
        assert f"<dt><code>{name}</code></dt><dd>{meaning}" in text
    assert "gem_fwt" not in text


def test_facts_and_failures_are_on_the_page(tmp_path: Path) -> None:
    failed = replace(
        results(),
        failures=(Failure("hats: logistic, odd; seed 0", "no <way>"),),
        never_learned={"hats": ["cap", "<hood>"]},
    )
    facts = dict(replay_of(failed).groups[0].facts)
    assert facts == {
        "stream": "hats",
        "protocol": "iid: tested on test images of each experience",
        "experiences": "3: 2004, 2005, 2006",
        "head": "logistic",
        "seeds": "0–4",
        "training images in each experience": "100 to 102",
        "tested but never learned": "cap, <hood>",
    }
    text = page(tmp_path, failed)
    assert "<li>hats: logistic, odd; seed 0: no &lt;way&gt;</li>" in text
    assert "<dd>cap, &lt;hood&gt;</dd>" in text
    assert "Some runs failed" not in page(tmp_path, results())


def test_long_names_are_listed_and_names_that_differ_between_seeds_are_not() -> None:
    (group,) = replay_of(results(names=("bag, belt", "cap", "hat, scarf"))).groups
    assert group.headings == ("1", "2", "3")
    assert group.experiences == ("bag, belt", "cap", "hat, scarf")
    given = results()
    (group,) = replay_of(replace(given, experiences={"hats": ()})).groups
    assert (group.headings, group.experiences) == (("1", "2", "3"), ())
    assert dict(group.facts)["experiences"] == "3, different for each seed"


# The matrices


def test_heat_maps_have_the_numbers_and_undefined_cells(tmp_path: Path) -> None:
    text = page(tmp_path, results())
    tables = re.findall(r'<table class="heat">.*?</table>', text, re.DOTALL)
    names = re.findall(r"<figcaption>([^<]*)</figcaption>\s*<div class=\"scroll\"", text)
    assert names == ["&lt;el2n&gt;, 5 %", "naive", "joint", "random, 5 %"]
    shown, hidden = text.split('<summary><span class="round">random, 5 %</span></summary>')
    assert (shown.count('class="heat"'), hidden.count('class="heat"')) == (3, 1)
    rows = [texts(row) for row in tables[2].split("</thead>")[1].split("</tr>")][:3]
    assert rows == [
        ["2004", "–", "–", "–", "–"],
        ["2005", "–", "–", "–", "–"],
        ["2006", "0.950", "0.950", "0.950", "0.950"],
    ]
    assert tables[2].count('aria-label="not defined"') == 6
    assert [table.count('class="none') for table in tables] == [0, 0, 6, 0]
    assert texts(tables[1].split("</tr>")[3]) == ["2006", "0.200", "0.400", "0.900", "0.500"]
    assert "0.000" not in "".join(tables)
    assert not re.search(r"\bnan\b", text, re.IGNORECASE)


def test_maps_of_a_group_share_their_scale() -> None:
    (group,) = replay_of(results()).groups
    maps = (AccuracyMap("a", ((0.2, NAN),), (0.2,)), AccuracyMap("b", ((0.7, 0.45),), (0.7,), True))
    group = replace(group, maps=maps, headings=("x", "y"))
    assert group.scale == (0.2, 0.7)
    shades = [each.shade(value) for each, _, _ in group.heat_maps for value in each.matrix[0]]
    assert shades == [0, None, 100, 50]
    assert [shown for _, _, shown in group.heat_maps] == [False, True]
    assert replace(group, maps=(AccuracyMap("c", ((NAN,),), (NAN,)),)).scale is None


def test_the_map_is_the_mean_matrix_of_the_results() -> None:
    given = results()
    for group in replay_of(given).groups:
        for row, setting in zip(group.maps, (EL2N, RANDOM, NAIVE, JOINT), strict=True):
            np.testing.assert_array_equal(np.array(row.matrix), given.matrix(setting))


# The curves


def test_curves_are_means_over_the_experiences_so_far() -> None:
    (group,) = replay_of(results()).groups
    el2n, random, naive, joint = group.curves
    assert joint is None
    assert group.upper_baseline == pytest.approx(0.95)
    assert naive is not None
    assert random is not None
    assert el2n is not None
    assert random.x == [1.0, 2.0, 3.0]
    assert random.y == pytest.approx([0.9, 0.8, 2.2 / 3])
    assert random.low[2] < random.y[2] < random.high[2]
    assert [band is None for band in group.differences] == [False, True, True, True]
    lead = group.differences[0]
    assert lead is not None
    assert lead.y == pytest.approx([0.0, 0.025, 0.05])
    assert lead.significant[0] is False
    assert lead.name == "<el2n>, 5 % against random, 5 %"


def test_figures_are_by_experience(tmp_path: Path) -> None:
    accuracy, differences = (figure_of(chart) for chart in replay_of(results()).groups[0].charts)
    assert accuracy.layout.xaxis.title.text == "experiences learned"
    assert accuracy.layout.xaxis.dtick == 1
    (joint,) = accuracy.layout.shapes
    assert joint.y0 == pytest.approx(0.95)
    assert [shape.y0 for shape in differences.layout.shapes] == [0.0]
    lines = {trace.name: trace for trace in accuracy.data if trace.mode == "lines+markers"}
    assert list(lines) == ["&lt;el2n&gt;, 5 %", "random, 5 %", "naive"]
    naive = lines["naive"]
    assert naive.x == (1, 2, 3)
    assert naive.y == pytest.approx([0.9, 0.7, 0.5])
    assert naive.text[1] == "naive: 0.700 after experience 2"  # all seeds are the same up to there
    assert naive.text[2].startswith("naive: 0.500 after experience 3<br>95 % interval 0.")
    assert '<bdi>joint</bdi> <span class="quiet">final 0.950</span>' in page(tmp_path, results())


def test_the_streaming_protocol_tests_on_the_next_experience(tmp_path: Path) -> None:
    given = results("streaming")
    (group,) = replay_of(given).groups
    assert group.headings == ("2004", "2005", "2006")
    assert group.rows[0].means[0].startswith("0.300")
    random = group.curves[1]
    assert random is not None
    assert (random.x, random.y) == ([1.0, 2.0], pytest.approx([0.3, 0.3]))
    np.testing.assert_array_equal(
        np.array(group.maps[0].matrix), [[NAN, 0.3, 0.2], [NAN, NAN, 0.3]]
    )
    assert group.maps[0].so_far == pytest.approx((0.3, 0.3))
    assert group.upper_baseline == pytest.approx(0.95)
    assert group.rows[3].means == ("–", "–")
    text = page(tmp_path, given)
    assert "cells on and left of the diagonal are not defined" in text
    assert "streaming: tested on the next experience, before learning it" in text


# The page


def test_the_page_needs_no_other_file_and_is_reproducible(tmp_path: Path) -> None:
    text = page(tmp_path, results())
    assert text == page(tmp_path, results())
    assert not re.search(r"(src|href)=\"(?!data:|#)", text)
    assert "http" not in re.sub(r'<script type="text/plain".*?</script>|http-equiv', "", text)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> ReplayResults:
    """A real study: the digits in the order of their file names, in four experiences."""
    workspace = tmp_path_factory.mktemp("replay")
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)
    return ReplayStudy(
        lambda seed: Stream.of(digits, "order", n=4, seed=seed),
        policies=["random", "el2n"],
        retains=[0.05],
        reference_methods=["naive", "cumulative", "joint"],
        seeds=2,
        workspace=workspace,
    ).run(workers=0)


def test_a_real_study_has_its_page(study: ReplayResults, written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    (group,) = replay_of(study).groups
    assert group.headings == ("0", "1", "2", "3")
    assert len(group.rows) == len(study.settings) == 5
    assert text.count('class="heat"') == 5
    assert text.count('class="none') == 12
    for row in study.summary().rows:
        assert f"{row.metrics['gem_accuracy'].estimate:.3f}" in text


@pytest.fixture(scope="module")
def written(study: ReplayResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    return write_replay(path, replay_of(study, command="y" * 300))


@pytest.fixture
def opened(request: pytest.FixtureRequest, browser: Any, written: Path) -> Iterator[Any]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = context.new_page()
    opened.asked, opened.problems = [], []
    opened.on("request", lambda made: opened.asked.append(made.url))
    opened.on("console", lambda message: opened.problems.append(message.text))
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.goto(written.as_uri())
    opened.at = written.as_uri()
    opened.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    yield opened
    context.close()


SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]

CONTRASTS = """() => {
  const context = Object.assign(document.createElement('canvas'), {width: 1, height: 1})
    .getContext('2d', {willReadFrequently: true});
  const luminance = (...layers) => {
    layers.forEach(colour => { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); });
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
      .reduce((sum, v, at) => sum + v * [.2126, .7152, .0722][at], 0);
  };
  const page = getComputedStyle(document.body).backgroundColor;
  const parts = 'h1, .comparison, dt, dd, th, td, .note, figcaption, .role, .scale, summary';
  return [...document.querySelectorAll(parts)].map(part => {
    const style = getComputedStyle(part);
    const ground = luminance(page, style.backgroundColor);
    const ink = luminance(page, style.color);
    return [part.className + ' ' + part.textContent.trim().slice(0, 40),
            (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05)];
  });
}"""


@pytest.mark.parametrize("opened", SCREENS, indirect=True)
def test_the_page_fits_every_screen_with_readable_text_and_no_request(opened: Any) -> None:
    assert [made for made in opened.asked if not made.startswith("data:")] == [opened.at]
    assert opened.problems == []
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    contrasts = opened.evaluate(CONTRASTS)
    assert len(contrasts) > 150
    assert [each for each in contrasts if each[1] < 4.5] == []
    shades = opened.evaluate(
        "[...new Set([...document.querySelectorAll('.heat td[style]')]"
        ".map(cell => getComputedStyle(cell).backgroundColor))].length"
    )
    assert shades > 10


@pytest.mark.parametrize("opened", SCREENS[:1], indirect=True)
def test_all_controls_work_by_keyboard(opened: Any) -> None:
    opened.wait_for_selector(".charts-ready")
    wanted = opened.locator(".scroll, summary, input, button, .plot").count()
    tables, details, lines, experiences = 9, 5, 4, 4  # five settings, of which joint has no curve
    charts = 2 + 3 + lines
    assert wanted == tables + details + lines + experiences + charts + 4  # all and none, twice
    reached: set[int] = set()
    for _ in range(2 * wanted):  # the legend has buttons too
        opened.keyboard.press("Tab")
        reached.add(
            opened.evaluate(
                "[...document.querySelectorAll('.scroll, summary, input, button, .plot')]"
                ".indexOf(document.activeElement)"
            )
        )
        if reached >= set(range(wanted)):
            break
    assert reached - {-1} == set(range(wanted))
    lines = "document.querySelector('.plot').querySelectorAll('.js-line').length"
    before = opened.evaluate(lines)
    opened.locator("input").nth(1).focus()
    opened.keyboard.press("Space")
    opened.wait_for_function(f"{lines} < {before}")


@pytest.mark.parametrize("opened", SCREENS[:1], indirect=True)
def test_a_sheet_of_paper_has_all_columns(opened: Any) -> None:
    assert too_wide_for_paper(opened) == []
