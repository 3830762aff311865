"""Make the pictures of the labelling page; `docs/gallery.py` makes those of the reports.

    python docs/screenshots.py clothing-dataset-small.zip [FOLDER]

The labelling page shows photos of the clothing dataset with their labels, some of them wrong.
With FOLDER, the script instead writes every view there, in three widths, light and dark.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

import embedpipe as ep
import embedpipe.server
from embedpipe.labelling import LabellingSession
from embedpipe.server import LabellingServer

IMAGES = Path(__file__).parent / "images"
CLASSES = ("t-shirt", "dress", "pants", "shoes", "hat")
PHOTOS, COPIES, ROUNDS, BATCH, WRONG = 320, 6, 7, 10, 4
WIDTHS, HEIGHT, GAP = (1280, 420), 800, 8
REVIEWED_WIDTHS = (1280, 768, 420)
PANEL_WIDTH = 860  # below this width in pixels, a key shows the panel
SMALLER = 1024, 640


def main() -> None:
    """Label some photos, then take and save a picture of every view."""
    output = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    widths = WIDTHS if output is None else REVIEWED_WIDTHS
    with tempfile.TemporaryDirectory() as folder:
        session, truth = make_session(Path(folder), sys.argv[1])
        label(session, truth)
        photo = (Path(folder) / "clothes" / next(reversed(truth))).read_bytes()
        server = LabellingServer(session, Path(folder) / "workspace", port=0)
        server.start()
        wait_for_map(server)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            shots = {
                (width, scheme): views(browser, server.url, width, scheme, photo)
                for width in widths
                for scheme in ("light", "dark")
            }
            if output is not None:
                save_all(shots, output)
                browser.close()
                server.stop()
                return
            for name in shots[WIDTHS[0], "light"]:
                side_by_side([shots[key][name] for key in shots], IMAGES / f"label-all-{name}.png")
            for name in ("single", "grid", "map"):
                save(shots[WIDTHS[0], "light"][name].resize(SMALLER), IMAGES / f"label-{name}.png")
            browser.close()
        server.stop()


def save_all(shots: dict[tuple[int, str], dict[str, Image.Image]], folder: Path) -> None:
    """Write each picture to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for (width, scheme), pictures in shots.items():
        for name, picture in pictures.items():
            picture.save(folder / f"{name}-{width}-{scheme}.png")


def make_session(folder: Path, archive: str) -> tuple[LabellingSession, dict[str, str]]:
    """Make a folder of photos with some near duplicates, and a labelling session."""
    dataset = ep.load_dataset("clothing", source=archive)
    items = [item for item in dataset.items if item.label in CLASSES]
    rng = np.random.default_rng(0)
    chosen = [items[place] for place in rng.permutation(len(items))[:PHOTOS]]
    truth = {}
    for number, (name, content) in enumerate(dataset.source.read([item.id for item in chosen])):
        label = next(item.label for item in chosen if item.id == name)
        path = f"2024-{5 + number // 80:02d}/IMG_{4100 + number}.jpg"
        write(folder / "clothes" / path, content)
        truth[path] = str(label)
        if number < COPIES:
            copy = f"2024-{5 + number // 80:02d}/IMG_{4100 + number}_small.jpg"
            with Image.open(io.BytesIO(content)) as image:
                image.thumbnail((300, 300))
                (folder / "clothes" / copy).parent.mkdir(parents=True, exist_ok=True)
                image.convert("RGB").save(folder / "clothes" / copy, quality=70)
            truth[copy] = str(label)
    embeddings = ep.embed(ep.load_dataset(str(folder / "clothes")), workspace=folder / "workspace")
    log = ep.LabelLog(folder / "workspace" / "labels.sqlite")
    return LabellingSession(embeddings, log, who="ann"), truth


def write(path: Path, content: bytes) -> None:
    """Write a file; create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def label(session: LabellingSession, truth: dict[str, str]) -> None:
    """Label the proposed images round by round, a few of them wrongly."""
    for name in CLASSES:
        session.add_class(name)
    for number in range(ROUNDS):
        for place, each in enumerate(session.propose(BATCH)):
            name = truth[each.path]
            if place == 0 and number < WRONG:
                name = CLASSES[(CLASSES.index(name) + 1) % len(CLASSES)]
            session.label([each.row], name)
        session.retrain()


def wait_for_map(server: LabellingServer) -> None:
    """Wait until the neighbourhood layout of the map is computed."""
    address = f"http://127.0.0.1:{server.port}/api/map/points?by=neighbours"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {server.token}"})
    while urllib.request.urlopen(request).status != 200:
        time.sleep(1)


def views(browser: Any, url: str, width: int, scheme: str, photo: bytes) -> dict[str, Image.Image]:
    """Return a picture of each view; the model is tried on a photo."""
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    page = context.new_page()
    page.goto(url)
    found = {}

    def take(name: str, ready: str) -> None:
        page.wait_for_function(ready, timeout=120_000)
        page.wait_for_timeout(1500)  # images load when scrolling has stopped
        found[name] = Image.open(io.BytesIO(page.screenshot())).convert("RGB")

    tile = "() => document.querySelector('.tile img')?.complete"
    page.wait_for_selector("#progress:not(:empty)")
    page.keyboard.press("Shift+O")
    take("overview", "() => document.querySelectorAll('.overview .card').length > 3")
    if width < PANEL_WIDTH:
        page.keyboard.press("Shift+P")
        take("panel", "() => document.querySelector('#curve svg')")
        page.keyboard.press("Shift+P")
    page.keyboard.press("Shift+S")
    take("single", "() => document.querySelector('.stage img')?.complete")
    page.keyboard.press("Shift+G")
    page.wait_for_function(tile)
    for key in ("Shift+ArrowRight", "Shift+ArrowRight"):
        page.keyboard.press(key)
    take("grid", tile)
    page.keyboard.press("Shift+R")
    take("review", tile)
    page.keyboard.press(",")
    take("copies", "() => /groups?$/.test(document.querySelector('.review .note').textContent)")
    page.keyboard.press("Shift+S")
    page.keyboard.press("Shift+L")
    take("search", "() => document.querySelectorAll('.board h2').length === 2")
    page.get_by_role("button", name="Filters").click()
    page.select_option("[aria-label=State]", "unlabelled")
    page.select_option("[aria-label=Order]", "confidence")
    take("filters", "() => /of/.test(document.querySelector('.search .note').textContent)")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+M")
    note = "document.querySelector('.map-view .note').textContent"
    page.wait_for_function(f"() => {note} === '{PHOTOS + COPIES} images'")
    for key in ("ArrowRight", "ArrowRight", "+", "Space"):
        page.keyboard.press(key)
    take("map", "() => document.querySelector('.strip img')?.complete")
    page.select_option("select[aria-label=Layout]", "neighbours")
    take("neighbourhoods", f"() => /selected$/.test({note})")
    page.keyboard.press("?")
    take("keys", "() => document.querySelector('#help-dialog[open]')")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+T")
    page.set_input_files(
        "#trial-file", {"name": "x.jpg", "mimeType": "image/jpeg", "buffer": photo}
    )
    take("trial", "() => document.querySelector('#trial-answer li')")
    context.close()
    return found


def side_by_side(pictures: list[Image.Image], path: Path) -> None:
    """Write pictures of equal height side by side, at half their size."""
    halves = [each.resize((each.width // 2, each.height // 2), Image.Resampling.LANCZOS)
              for each in pictures]  # fmt: skip
    width = sum(each.width for each in halves) + GAP * (len(halves) - 1)
    whole = Image.new("RGB", (width, halves[0].height), (128, 128, 120))
    left = 0
    for each in halves:
        whole.paste(each, (left, 0))
        left += each.width + GAP
    save(whole, path)


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture with 256 colours, which always include the class colours of the page."""
    style = (Path(embedpipe.server.__file__).parent / "static" / "style.css").read_text()
    colours = re.findall(r"--c[0-9]+: (#[0-9a-f]{6})", style)
    swatch = picture.height // 8
    counted = Image.new("RGB", (picture.width + swatch, swatch * len(colours)), colours[0])
    counted.paste(picture, (0, 0))
    for number, colour in enumerate(colours):
        counted.paste(colour, (picture.width, number * swatch, counted.width, counted.height))
    palette = counted.quantize(256)
    picture.quantize(palette=palette).save(path, optimize=True)


if __name__ == "__main__":
    main()
