"""Make the pictures of reports and figures in the gallery: `make gallery`.

    python docs/gallery.py [--source clothing-dataset-small.zip] [--only PAGE ...]

Each picture shows a part of a page in two widths, light and dark, or a sheet of paper. The reports
are those of the digits. With `--source`, the data page shows the clothing dataset.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

import embedpipe.reports

IMAGES = Path(__file__).parent / "images"
GALLERY = IMAGES / "gallery"
WIDTHS, HEIGHT, GAP = (1280, 420), 800, 8
SCHEMES = ("light", "dark")
MAX_BYTES = 150_000
COLOURS = (256, 128, 64, 32)
"""Numbers of colours to try, until a picture has at most `MAX_BYTES`."""

PIN_TWO_ROUNDS = """() => {
  const slider = document.getElementById("chosen-round");
  for (const round of [1, 4]) {
    slider.value = round;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    document.getElementById("pin").click();
  }
}"""

ALL_PARTS = (
    "document.querySelectorAll('details:not(.picture)').forEach((each) => { each.open = true; })"
)


@dataclass(frozen=True)
class View:
    """A picture of a part of a page: its name, the element at the top, and a script before it."""

    name: str
    top: str = ""
    script: str = ""


@dataclass(frozen=True)
class Page:
    """A page: the command that writes it, its file, its views, and whether it is also printed."""

    command: tuple[str, ...]
    file: str
    views: tuple[View, ...]
    printed: bool = True


COMPARE = (
    "compare", "digits", "--strategies", "auto,margin,coreset", "--initials", "typiclust",
    "--initial-size", "20", "--batch-size", "20", "--rounds", "10", "--seeds", "10",
)  # fmt: skip
REPLAY = (
    "replay", "digits", "--stream", "classes", "--experiences", "5", "--policy",
    "random,herding,el2n", "--retain", "0.02,0.1", "--seeds", "5",
    "--reference-methods", "naive,cumulative,joint",
)  # fmt: skip

PAGES = {
    "run": Page(
        ("demo", "--output", "."),
        "report.html",
        (
            View("top"),
            View("pins", "#learning", PIN_TWO_ROUNDS),
            View("round", "#one-round"),
            View("picks", "#picks"),
        ),
    ),
    "comparison": Page(
        (*COMPARE, "--output", "comparison.html"),
        "comparison.html",
        (View("top"), View("curves", "#g0 .choose"), View("bars", "#g0 figure:nth-of-type(3)"),
         View("numbers", "#g0 table")),
    ),
    "replay": Page(
        (*REPLAY, "--output", "replay.html"),
        "replay.html",
        (View("top"), View("curves", "#g0 .choose"), View("bars", "#g0 .bars"),
         View("matrices", "#g0m")),
    ),
    "data": Page(
        ("report", "digits", "--output", "data.html"),
        "data.html",
        (View("top"), View("classes", "#classes"), View("map", "#map"), View("files", "#files")),
    ),
    "check": Page(("check", "digits", "--report", "check.html"), "check.html", (View("top"),)),
    "picks": Page(
        ("select", "digits", "-n", "40", "--strategy", "typiclust", "--groups", "14", "--report",
         "picks.html"),
        "picks.html",
        (View("top"),),
        printed=False,
    ),
}  # fmt: skip
"""The pages of the gallery."""

FIGURES = {
    "print-curves": (*COMPARE, "--figure-kind", "curves"),
    "print-rounds": (*COMPARE, "--figure-kind", "rounds"),
    "print-differences": (*COMPARE, "--figure-kind", "differences"),
    "print-labels": (*COMPARE, "--figure-kind", "labels"),
    "print-replay": REPLAY,
}
"""Commands of figures for print, by the names of their pictures."""

FIRST_SCREENS = {"report": "run", "comparison": "comparison", "picks": "picks"}
"""Pictures of the first screen of a page in other parts of the documentation."""


def main() -> None:
    """Run the commands, and write a picture of each view and figure."""
    parser = argparse.ArgumentParser(description="Make the pictures of the gallery.")
    parser.add_argument("--source", type=Path, help="the archive of the clothing dataset")
    parser.add_argument("--only", nargs="*", choices=(*PAGES, "print"), help="pictures to make")
    given = parser.parse_args()
    GALLERY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for key, page in PAGES.items():
            if key in (given.only or PAGES):
                make_page(browser, folder, key, page, given.source)
        if not given.only or "print" in given.only:
            for key, command in FIGURES.items():
                run(folder, (*command, "--figure", f"{key}.pdf", "--output", "figure.html"))
                save(sheet(folder / f"{key}.pdf", 110), GALLERY / f"{key}.png")
        browser.close()


def run(folder: Path, command: tuple[str, ...]) -> None:
    """Run a command of embedpipe in a folder, which keeps the workspace."""
    print("embedpipe", *command, flush=True)
    environment = os.environ | {"EMBEDPIPE_WORKSPACE": str(folder / "workspace")}
    words = [sys.executable, "-m", "embedpipe", *command]
    subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def make_page(browser: Any, folder: Path, key: str, page: Page, source: Path | None) -> None:
    """Write a page and the pictures of its views."""
    command = page.command
    if source is not None and key == "data":
        (folder / source.name).symlink_to(source.resolve())  # the page shows the command
        command = ("report", "clothing", "--source", source.name, *command[2:])
    run(folder, command)
    address = (folder / page.file).as_uri()
    shots = {
        (width, scheme): views(browser, address, width, scheme, page.views)
        for width in WIDTHS
        for scheme in SCHEMES
    }
    for view in page.views:
        pictures = [each[view.name] for each in shots.values() if view.name in each]
        if pictures:
            save(side_by_side(pictures), GALLERY / f"{key}-{view.name}.png")
    if page.printed:
        opened = browser.new_page()
        opened.goto(address)
        opened.evaluate(ALL_PARTS)
        opened.pdf(path=folder / f"{key}.pdf", format="A4", print_background=True)
        opened.close()
        save(sheet(folder / f"{key}.pdf", 60, pages=3), GALLERY / f"{key}-paper.png")
    for name, of in FIRST_SCREENS.items():
        if of == key:
            opened = browser.new_page(viewport={"width": 1100, "height": 1150})
            show(opened, address)
            screen = Image.open(io.BytesIO(opened.screenshot())).convert("RGB")
            save(screen, IMAGES / f"{name}.png")
            opened.close()


def show(page: Any, address: str) -> None:
    """Open a page, and wait until its figures are drawn."""
    page.goto(address)
    if page.locator("script#plotly").count():
        page.wait_for_selector(".charts-ready")


def views(
    browser: Any, address: str, width: int, scheme: str, wanted: tuple[View, ...]
) -> dict[str, Image.Image]:
    """Return a picture of each view; a problem in the console is an error."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    show(page, address)
    found = {}
    for view in wanted:
        if view.top and not page.locator(view.top).count():
            print(f"{address} has no {view.top}: the picture {view.name} stays as it is")
            continue
        if view.script:
            page.evaluate(view.script)
        if view.top:
            page.locator(view.top).first.evaluate("part => part.scrollIntoView()")
        page.wait_for_timeout(900)  # figures are drawn when they come into view
        found[view.name] = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    context.close()
    if problems:
        raise SystemExit(f"{address} in {width} pixels, {scheme}: {problems[0]}")
    return found


def sheet(path: Path, dpi: int, pages: int = 1) -> Image.Image:
    """Return the first pages of a PDF file beside each other."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["pdftoppm", "-png", "-r", str(dpi), "-l", str(pages), path, f"{folder}/page"]
        subprocess.run(words, check=True)
        pictures = [Image.open(each).convert("RGB") for each in sorted(Path(folder).iterdir())]
    return beside(pictures)


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Return screens beside each other, at half their size."""
    halves = [(each.width // 2, each.height // 2) for each in pictures]
    return beside(
        [
            each.resize(half, Image.Resampling.LANCZOS)
            for each, half in zip(pictures, halves, strict=True)
        ]
    )


def beside(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures beside each other on grey."""
    width = sum(each.width for each in pictures) + GAP * (len(pictures) - 1)
    whole = Image.new("RGB", (width, max(each.height for each in pictures)), (128, 128, 120))
    left = 0
    for each in pictures:
        whole.paste(each, (left, 0))
        left += each.width + GAP
    return whole


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture with as many colours as its size permits, with those of the charts."""
    style = (Path(embedpipe.reports.__file__).parent / "templates" / "charts.css").read_text()
    swatches = re.findall(r"--s[0-9]: (#[0-9a-f]{6})", style)
    side = picture.height // len(swatches)
    counted = Image.new("RGB", (picture.width + side, picture.height), swatches[0])
    counted.paste(picture, (0, 0))
    for number, colour in enumerate(swatches):
        counted.paste(colour, (picture.width, number * side, counted.width, (number + 1) * side))
    for colours in COLOURS:
        sink = io.BytesIO()
        palette = counted.quantize(colours)
        made = picture.quantize(palette=palette, dither=Image.Dither.NONE)
        made.save(sink, "PNG", optimize=True)
        if sink.tell() <= MAX_BYTES:
            break
    path.write_bytes(sink.getvalue())
    print(f"{path.name}: {sink.tell() / 1000:.0f} kB, {colours} colours", flush=True)


if __name__ == "__main__":
    main()
