"""The page of a comparison in a browser: tooltips, legend, numbers, names, and without script."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from embedpipe.experiments import Results
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.reports import comparison_of, write_comparison
from tests.accessibility import violations
from tests.paper import too_wide_for_paper

SCRIPT, HEBREW = "<script>fail()</script> \"a\" & 'b'", "שלום"
NAMES = ("random", "margin", SCRIPT, HEBREW)
DATASETS = ("hats", "<b>shoes</b>", "coats")
SEEDS, LABELS = range(7), np.arange(20, 140, 20)
GOALS = (0.78, 0.97, 0.80, 0.885)
TARGET = 0.95 * 0.9


def accuracies() -> np.ndarray:
    """The (K, S, R) accuracies of the strategies on the first dataset."""
    rng = np.random.default_rng(1)
    rise = 1 - np.exp(-LABELS / 45)
    goals = np.array(GOALS)[:, None, None] + rng.normal(0, 0.02, (len(GOALS), len(SEEDS), 1))
    noise = rng.normal(0, 0.004, (len(GOALS), len(SEEDS), len(LABELS)))
    return np.asarray((0.3 + (goals - 0.3) * rise + noise).round(3))


def results() -> Results:
    rows = [
        {
            "dataset": dataset, "backbone": "net", "initial": name, "strategy": name,
            "head": "logistic", "mode": "cumulative", "seed": seed, "round": at,
            "run_id": f"{dataset} {name} {seed}", "labelled": int(labels),
            "accuracy": float(accuracies()[k, seed, at]) - 0.1 * number,
        }
        for number, dataset in enumerate(DATASETS)
        for k, name in enumerate(NAMES)
        for seed in SEEDS
        for at, labels in enumerate(LABELS)
    ]  # fmt: skip
    upper = [
        {"dataset": dataset, "backbone": "net", "head": "logistic", "seed": seed, "accuracy": 0.9}
        for dataset in DATASETS
        for seed in SEEDS
    ]
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist(upper, UPPER_BASELINES),
        baseline=("random", "random"),
    )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("comparison") / "report.html"
    return write_comparison(path, comparison_of(results())).as_uri()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page in a window, which must send no request and write no message."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda made: asked.append(made.url))
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(url)
    page.wait_for_selector("html.charts-ready")
    yield page
    assert [each for each in asked if not each.startswith("data:")] == [url]
    assert problems == []
    context.close()


PIXEL = """([chart, name, part, at]) => {
  const place = document.querySelectorAll('#g0 .plot')[chart];
  const trace = place.data.find(t => t.name === name && (t.meta.part ?? null) === part);
  const { xaxis, yaxis } = place._fullLayout;
  place.scrollIntoView({ block: 'center' });
  const box = place.getBoundingClientRect();
  const x = xaxis._offset + xaxis.c2p(trace.x[at]), y = yaxis._offset + yaxis.c2p(trace.y[at]);
  return [box.x + x, box.y + y];
}"""
"""The position of a point on the screen."""


def point_at(page: Any, chart: int, name: str, part: str | None, at: int) -> str:
    """Move the mouse to a point of a chart and return the tooltip."""
    x, y = page.evaluate(PIXEL, [chart, name, part, at])
    tooltip = page.locator("#g0 .hovertext").first
    page.mouse.move(5, 5)
    tooltip.wait_for(state="detached")
    page.mouse.move(x, y)
    tooltip.wait_for()
    lines = tooltip.locator("tspan.line").all_text_contents()  # none for one line
    return "\n".join(lines) or str(tooltip.locator("text").first.text_content())


def test_tooltips_name_the_run_and_its_numbers(page: Any) -> None:
    values = accuracies()
    mean = values[1].mean(axis=0)
    assert point_at(page, 0, "margin", None, 2).startswith(
        f"margin: {mean[2]:.3f} with 60 labels\n95 % interval 0."
    )
    highlighted = page.locator("#g0 .legend li.emphasised, #g0 tr.emphasised th")
    assert [text.strip() for text in highlighted.all_text_contents()] == ["margin", "margin"]
    # A point of one seed that is far from the others
    seed = int(values[1, :, 5].argmin())
    at = seed * (len(LABELS) + 1) + 5  # the runs have gaps between them
    expected = f"margin, seed {seed}: {values[1, seed, 5]:.3f} with 120 labels"
    assert point_at(page, 0, "margin", "runs", at) == expected
    drawn = page.locator("#g0 .one-run")
    assert len(drawn.get_attribute("points").split()) == len(LABELS)
    difference = values[1, seed] - values[0, seed]
    text = point_at(page, 1, "margin against random", "runs", at)
    assert text == f"margin against random, seed {seed}: {difference[5]:+.3f} with 120 labels"
    page.mouse.move(5, 5)
    page.locator(".one-run").wait_for(state="detached")
    assert page.locator("#g0 .emphasised").count() == 0


def shown(page: Any) -> list[list[int]]:
    """The visible lines of each chart of the first dataset."""
    found: list[list[int]] = page.evaluate("""() => {
      const shown = place => place.data.filter(t => t.visible !== false).map(t => t.meta.line);
      return [...document.querySelectorAll('#g0 .plot')].map(p => [...new Set(shown(p))].sort());
    }""")
    return found


def test_the_legend_filters_all_charts_of_its_section(page: Any) -> None:
    every = [[0, 1, 2, 3], [1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]
    assert shown(page) == every
    margin = page.locator("#g0 .legend").get_by_label("margin")
    margin.uncheck()
    assert shown(page) == [[0, 2, 3], [2, 3], [2, 3], [0, 2, 3]]
    texts = page.locator("#g0 .plot").nth(2).locator(".annotation")
    assert texts.count() == 2  # beside the bars
    page.get_by_role("button", name="None").first.click()
    assert shown(page) == [[], [], [], []]
    page.get_by_role("button", name="All").first.click()
    assert shown(page) == every
    page.locator("#g0 .legend li", has_text="margin").locator("svg").dblclick()
    assert shown(page) == [[1]] * 4
    margin.press("Shift+Space")  # again: all lines
    assert shown(page) == every
    margin.press("Space")
    assert shown(page)[0] == [0, 2, 3]


def test_lines_are_emphasised_from_the_legend_and_the_table(page: Any) -> None:
    faded = "getComputedStyle(document.querySelector('#g0 g.trace:not(.emphasised)')).opacity"
    for row in ("#g0 .legend li", "#g0 .compared tbody tr"):
        assert page.evaluate(faded) == "1"
        page.locator(row, has_text=HEBREW).first.hover()
        assert page.evaluate(faded) == "0.15"
        lines = page.evaluate(
            "[...document.querySelectorAll('#g0 g.trace.emphasised')]"
            ".map(node => node.__data__[0].trace.meta.line)"
        )
        assert lines and set(lines) == {NAMES.index(HEBREW)}
        page.mouse.move(5, 5)


def test_charts_far_below_are_drawn_when_they_come_into_view(page: Any) -> None:
    last = page.locator("#g2 figure.chart")
    assert last.first.locator("svg.static").is_visible()
    assert page.locator("#g2 figure.live").count() == 0
    last.first.scroll_into_view_if_needed()
    page.locator("#g2 figure.live").first.wait_for()
    assert last.first.locator(".main-svg").first.is_visible()


def test_numbers_of_the_figures_equal_the_table_and_scipy(page: Any) -> None:
    values = accuracies()
    traces = page.evaluate(
        "[...document.querySelectorAll('#g0 .plot')].map(p => p.data.filter(t => !t.meta.part))"
    )
    means = {unescape(trace["name"]): trace["y"] for trace in traces[0]}
    for k, name in enumerate(NAMES):
        assert means[name] == pytest.approx(values[k].mean(axis=0), abs=1e-12)
    # Differences of areas: the paired t-test, its interval, and Holm's correction
    areas = np.trapezoid(values, LABELS, axis=2) / np.ptp(LABELS)  # (K, S)
    raw = [stats.ttest_rel(areas[k], areas[0]).pvalue for k in (1, 2, 3)]
    corrected = holm(raw)
    bars = dict(zip((trace["meta"]["line"] for trace in traces[2]), traces[2], strict=True))
    found = page.locator("#g0 .compared tbody tr").all()
    rows = {row.locator("bdi").inner_text(): row for row in found}
    for k, p in zip((1, 2, 3), corrected, strict=True):
        gap = areas[k] - areas[0]
        low, high = stats.t.interval(0.95, len(gap) - 1, gap.mean(), stats.sem(gap))
        bar = bars[k]
        assert bar["x"] == [pytest.approx(gap.mean())]
        error = bar["error_x"]
        assert (error["array"], error["arrayminus"]) == (
            [pytest.approx(high - gap.mean())], [pytest.approx(gap.mean() - low)],
        )  # fmt: skip
        cells = [cell.inner_text() for cell in rows[NAMES[k]].locator("td").all()]
        assert cells[1].split()[0] == f"{areas[k].mean():.3f}"
        assert cells[5].replace("\xa0", " ") == f"{gap.mean():+.3f} [{low:+.3f}, {high:+.3f}]"
        signs = stats.wilcoxon(gap, method="exact").pvalue  # decides if it is less sure
        decisive = max(p, signs) if signs > 2.0 ** (1 - len(gap)) else p
        digits = 3 if decisive < 0.1 else 2
        text = "p < 0.001" if decisive < 0.001 else f"p = {decisive:.{digits}f}"
        assert f"{gap.mean():+.3f}, {text}" in unescape(bar["text"][0])
        assert ("better" in (rows[NAMES[k]].inner_html())) == (decisive <= 0.05 and gap.mean() > 0)
        line = next(t for t in traces[1] if t["meta"]["line"] == k)
        assert line["y"] == pytest.approx((values[k] - values[0]).mean(axis=0), abs=1e-12)
    # Labels to the target: the middle seed; strategies whose middle seed missed it have no fill
    reached = [[crossing(curve) for curve in values[k]] for k in range(len(NAMES))]
    for trace in traces[3]:
        k = trace["meta"]["line"]
        middle = sorted(reached[k])[len(SEEDS) // 2]
        hollow = len(trace["marker"]["color"][0]) == 9
        assert hollow == (middle == np.inf)
        assert trace["x"][0] == pytest.approx(LABELS[-1] if hollow else middle)
        count = sum(np.isfinite(reached[k]))
        assert hollow == (f"over 120 ({count} of 7)" in trace["text"][0])
    assert [sum(np.isfinite(each)) for each in reached] == [0, 7, 0, 2]


def holm(p: list[float]) -> np.ndarray:
    """P-values with Holm's correction."""
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    found = np.empty(len(p))
    found[order] = np.minimum(np.maximum.accumulate(np.array(p)[order] * factors), 1)
    return found


def crossing(curve: np.ndarray) -> float:
    """The interpolated number of labels from which a curve stays at the target."""
    below = np.flatnonzero(curve < TARGET)
    after = below[-1] + 1
    if after == len(curve):
        return float("inf")
    return float(np.interp(TARGET, curve[after - 1 : after + 1], LABELS[after - 1 : after + 1]))


def test_names_are_text(page: Any) -> None:
    for name in NAMES:
        assert page.locator("#g0 .legend bdi").get_by_text(name, exact=True).count() == 1
        assert page.locator("#g0 .compared bdi").get_by_text(name, exact=True).count() == 1
    ticks = page.locator("#g0 .plot").nth(3).locator(".ytick").all_text_contents()
    whole = {name.replace(" ", "") for name in NAMES}  # long names are broken at spaces
    assert {tick.strip("\u2068\u2069").replace(" ", "") for tick in ticks} == whole
    assert page.locator("main script:not([type])").count() == 0
    assert page.locator("h2 b").count() == 0
    assert "<b>shoes</b>" in page.locator("#g1 h2").inner_text()
    isolated = page.evaluate(
        """name => document.querySelector('#g0 .plot').data
      .find(trace => !trace.meta.part && trace.name.includes(name)).text[0]""",
        HEBREW,
    )
    assert isolated.startswith(f"\u2068{HEBREW}\u2069: 0.")


def test_the_page_is_readable_and_filters_without_script(browser: Any, url: str) -> None:
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    page.goto(url)
    pictures = page.locator("svg.static")
    assert pictures.count() == 4 * len(DATASETS)
    assert all(picture.is_visible() for picture in pictures.all())
    assert page.locator(".plot:visible, .quick:visible").count() == 0
    curve = pictures.first.locator(".c1").first
    assert curve.is_visible()
    page.locator("#g0 .legend").get_by_label("margin").uncheck()
    assert not curve.is_visible()
    assert pictures.nth(4).locator(".c1").first.is_visible()  # of the second dataset
    assert page.locator("#g0 .compared tbody tr").count() == len(NAMES)
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (420, "dark")])
def test_every_width_and_theme_fits_and_is_accessible(
    browser: Any, url: str, axe: str, width: int, scheme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("html.charts-ready")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert violations(page, axe) == {}
    context.close()


def test_a_sheet_of_paper_has_all_columns(page: Any) -> None:
    assert too_wide_for_paper(page) == []
