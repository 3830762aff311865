"""The size and the speed of pages with figures, and of figures for print.

    python benchmarks/figures.py --browser /usr/bin/chromium

Three pages are written: a comparison of 20 strategies, 20 seeds and 40 rounds, the same page with
the script of plotly uncompressed, and a report of a run with 20 rounds of 100 images. Chromium
opens each page several times as a local file. The table has the CPU seconds to write the page, with
its statistics, and its size. For the browser, it has the time to the first paint and to the
figures, and the median and the slowest tooltip after a movement of the mouse over the first figure.
Times of the browser are in ms; those of the page are medians of the openings.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from embedpipe.experiments import Results
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.reports import (
    Curve,
    Pick,
    ReportData,
    Round,
    comparison_of,
    make_thumbnail,
    write_comparison,
    write_figure,
    write_report,
)

STRATEGIES, SEEDS, ROUNDS, BATCH = 20, 20, 40, 100
PICTURES = 20, 100
MOVES = 150

CLOCKS = """
window.ready = null; window.answers = [];
document.addEventListener("charts-ready", () => {
  window.ready = performance.now();
  const place = document.querySelector("figure.chart .plot");
  let moved = null;
  addEventListener("mousemove", (event) => { moved = event.timeStamp; }, true);
  place.on("plotly_hover", () => {
    const from = moved;
    requestAnimationFrame(() => setTimeout(() => answers.push(performance.now() - from)));
  });
});
"""
"""The last figure, and the time from each movement of the mouse to the painted tooltip."""


class Opening(NamedTuple):
    """The times of a page in a browser, in ms, and the number of requests."""

    paint: float
    ready: float
    answers: list[float]
    requests: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--browser", help="a Chromium; by default that of Playwright")
    parser.add_argument("--openings", type=int, default=5)
    arguments = parser.parse_args()
    print("| page | CPU s | MB | first paint | figures | tooltip | slowest | requests |")
    print("| --- |" + " ---: |" * 7)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = comparison()
        for title, write in pages(folder, found).items():
            seconds, path = cpu_timed(write)
            print(f"| {title} | {seconds:.1f} | {path.stat().st_size / 1e6:.2f} |", end="")
            opened = open_page(path, arguments.openings, arguments.browser)
            print(
                f" {opened.paint:.0f} | {opened.ready:.0f} | "
                f"{np.median(opened.answers):.0f} | "
                f"{max(opened.answers):.0f} of {len(opened.answers)} | "
                f"{opened.requests} |"
            )
        for suffix in ("pdf", "svg", "png"):
            seconds, path = cpu_timed(write_figure, found, folder / f"figure.{suffix}")
            print(
                f"| figure, {suffix} | {seconds:.1f} | {path.stat().st_size / 1e6:.2f} | | | | | |"
            )
    return 0


def cpu_timed(write: Callable[..., Path], *arguments: Any) -> tuple[float, Path]:
    """Return the CPU seconds of all threads of this process, and the file."""
    start = time.process_time()
    path = write(*arguments)
    return time.process_time() - start, path


def pages(folder: Path, found: Results) -> dict[str, Callable[[], Path]]:
    def compared() -> Path:
        return write_comparison(folder / "comparison.html", comparison_of(found))

    pictures = run()
    return {
        "comparison": compared,
        "comparison, plain script": lambda: uncompressed(compared()),
        "run": lambda: write_report(folder / "run.html", pictures),
    }


def comparison() -> Results:
    """Return results with random curves."""
    rng = np.random.default_rng(0)
    labels = BATCH * np.arange(1, ROUNDS + 1)
    rate = rng.uniform(600, 1500, (STRATEGIES, 1, 1))
    accuracy = 0.5 + 0.4 * (1 - np.exp(-labels / rate))  # (strategies, 1, rounds)
    accuracy = accuracy + rng.normal(0, 0.01, (STRATEGIES, SEEDS, 1))
    accuracy = accuracy + rng.normal(0, 0.005, (STRATEGIES, SEEDS, ROUNDS))
    names = ["random", *(f"strategy {number}" for number in range(1, STRATEGIES))]
    setting = {"dataset": "photos", "backbone": "net", "head": "logistic", "mode": "cumulative"}
    rows = [
        setting
        | {
            "initial": "random", "strategy": name, "seed": seed, "run_id": f"{name} {seed}",
            "round": number, "labelled": int(labels[number]),
            "accuracy": float(accuracy[at, seed, number]),
        }
        for at, name in enumerate(names)
        for seed in range(SEEDS)
        for number in range(ROUNDS)
    ]  # fmt: skip
    upper = [
        {"dataset": "photos", "backbone": "net", "head": "logistic", "seed": seed, "accuracy": 0.9}
        for seed in range(SEEDS)
    ]
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist(upper, UPPER_BASELINES),
        baseline=("random", "random"),
    )


def run() -> ReportData:
    """Return the report of a run whose pictures are noise, which compresses badly."""
    rng = np.random.default_rng(0)
    rounds, batch = PICTURES

    def pick(number: int) -> Pick:
        buffer = BytesIO()
        small = Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        small.resize((320, 320), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        label = f"class {number % 10}"
        return Pick(f"photos/{number:05}.jpg", 0.5, label, make_thumbnail(buffer.getvalue()))

    found = tuple(
        Round(
            number, batch * (number + 1), 0.9 - 0.4 * 0.9**number, 0.9 - 0.4 * 0.9**number,
            0.1, 0.2, "margin", tuple(pick(batch * number + at) for at in range(batch)),
        )
        for number in range(rounds)
    )  # fmt: skip
    return ReportData("photos", (), (Curve("margin", found, False),))


def uncompressed(path: Path) -> Path:
    """Rewrite a page with the plain script of plotly, without the security policy."""
    from plotly.offline import get_plotlyjs

    page = path.read_text(encoding="utf-8")
    start = page.index('id="plotly"')
    start, end = page.rindex("<script", 0, start), page.index("</script>", start)
    page = f"{page[:start]}<script>{get_plotlyjs()}{page[end:]}"
    page = page.replace("await loadPlotly();", "").replace("Content-Security-Policy", "none")
    plain = path.with_name(f"plain-{path.name}")
    plain.write_text(page, encoding="utf-8")
    return plain


def open_page(path: Path, openings: int, browser: str | None) -> Opening:
    """Open a page several times; move the mouse over its first figure the last time."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser)
        found = [
            open_once(chromium, path, MOVES if number + 1 == openings else 0)
            for number in range(openings)
        ]
        chromium.close()
    return Opening(
        statistics.median(each.paint for each in found),
        statistics.median(each.ready for each in found),
        found[-1].answers,
        max(each.requests for each in found),
    )


def open_once(browser: Any, path: Path, moves: int) -> Opening:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda made: asked.append(made.url))
    page.add_init_script(CLOCKS)
    page.goto(path.as_uri())
    page.locator("html.charts-ready").wait_for(state="attached")
    place = page.locator("figure.chart .plot").first
    place.scroll_into_view_if_needed()
    box = place.bounding_box()
    chance = random.Random(0)
    for _ in range(moves):
        x = box["x"] + box["width"] * chance.uniform(0.1, 0.95)
        page.mouse.move(x, box["y"] + box["height"] * chance.uniform(0.1, 0.85))
        page.wait_for_timeout(100)
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    found = Opening(paint, page.evaluate("ready"), page.evaluate("answers"), 0)
    requests = sum(not url.startswith("data:") for url in asked) - 1
    context.close()
    return found._replace(requests=requests)


if __name__ == "__main__":
    sys.exit(main())
