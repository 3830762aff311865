"""From a folder with nasty files to predictions, by mouse alone and by keyboard alone."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from embedpipe.labels import LabelLog
from embedpipe.labels.exchange import formats
from tests.processes import started
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import ROW, Tab, kind_of


def nasty(folder: Path) -> Path:
    """Make 200 photos in folders below folders, and files that are no photos."""
    make_photos(folder / "2024" / "été", 200)
    (folder / "2024" / "broken.jpg").write_bytes(b"not an image")
    (folder / "2024" / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden").mkdir()
    Image.new("RGB", (8, 8)).save(folder / ".hidden" / "x.jpg")
    return folder


def label_by_mouse(tab: Tab) -> None:
    row, kind = tab.row(), kind_of(tab.text(".about .path"))
    if kind in tab.classes():
        tab.page.locator("#classes button", has=tab.page.get_by_text(kind, exact=True)).click()
    else:
        tab.page.click("#classes button:last-child")
        tab.page.fill("#class-name", kind)
        tab.page.click("#class-ok")
    tab.wait(f"row => ({ROW})() !== row", row)


def click(tab: Tab, name: str) -> None:
    tab.page.locator("#acts button", has=tab.page.get_by_text(name, exact=True)).click()


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_from_photos_to_predictions(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab], by: str
) -> None:
    mouse = by == "mouse"
    lab = open_lab(nasty(tmp_path / "photos"))
    assert len(lab.session.ids) == 200
    tab = tab_on(lab)
    for _ in range(60):
        label_by_mouse(tab) if mouse else tab.label_next()
    tab.settled()
    labels = lab.labels()
    assert labels == {path: kind_of(path) for path in labels}
    assert len(labels) == 60
    tab.wait("() => !document.querySelector('#progress').textContent.includes('training')")

    click(tab, "Accept above 95 %") if mouse else tab.press("Shift+A")
    tab.wait("() => document.querySelectorAll('#confident-board .tile img').length > 3")
    ids = tab.page.locator("[id]").evaluate_all("all => all.map(each => each.id)")
    assert len(ids) == len(set(ids))
    n = int(tab.text("#confident-ok").split()[1])
    tab.page.click("#confident-ok") if mouse else tab.press("Enter")
    tab.progress(f"{n} accepted")
    click(tab, "Undo") if mouse else tab.press("u")
    undone = f"Undone: accepted {n} suggestions"
    tab.wait("text => document.querySelector('#message').textContent === text", undone)
    assert lab.get("/api/status").json()["accepted"] == 0
    assert lab.labels() == labels

    tab.page.click("nav a[data-view=review]") if mouse else tab.press("Shift+R")
    tab.wait("() => /checked/.test(document.querySelector('.review .empty')?.textContent)")
    tab.page.click("#export") if mouse else tab.press("Shift+E")
    tab.wait("() => document.querySelector('#exported').textContent.includes(' in ')")
    (path,) = (tmp_path / "embedpipe-exports").iterdir()
    back = {item.path: item.label for item in formats["imagefolder"].read(path)}
    assert back == labels

    photo = next(path for path in lab.session.ids if path not in labels)
    tab.page.click("#try-model") if mouse else tab.press("Shift+T")
    tab.page.set_input_files("#trial-file", lab.folder / photo)
    tab.wait("() => document.querySelector('#trial-answer li')")
    assert tab.text("#trial-answer li").split()[0] == kind_of(photo)


@contextmanager
def served_by_command(folder: str, cwd: Path) -> Iterator[str]:
    """Run `embedpipe label` in a working directory, and give the address of the page."""
    cwd.mkdir()
    options = ["--backbone", "toy", "--json", "--labels-from", "auto"]
    command = [sys.executable, "-m", "embedpipe", "label", folder, *options]
    with started(command, cwd=cwd) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=90) == 0


def test_labelling_continues_in_two_tabs_after_the_folder_was_moved(
    tmp_path: Path, browser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    nasty(tmp_path / "photos")
    with (
        served_by_command("../photos", tmp_path / "one") as url,
        browser.new_context() as context,
    ):
        tab = Tab(context, url)
        paths = [tab.label_next() for _ in range(20)]
        tab.shows("#accuracy", "%")  # the first training
        paths += [tab.label_next() for _ in range(10)]
        tab.settled()
    labels = {path: kind_of(path) for path in paths}
    (tmp_path / "photos").rename(tmp_path / "new place")
    with (
        served_by_command("../new place", tmp_path / "two") as url,
        browser.new_context() as context,
    ):
        first, second = Tab(context, url), Tab(context, url)
        first.progress("30 of 200")
        curve = first.page.evaluate("() => fetch('/api/status').then((r) => r.json())")["curve"]
        assert curve[0][0] <= 20  # a fit of the former folder
        for _ in range(4):
            for each in (first, second):
                path = each.label_next()
                labels[path] = kind_of(path)
                for tab in (first, second):
                    tab.progress(f"{len(labels)} of 200")
                    # A tab leaves an image that the other one labelled.
                    tab.wait("p => document.querySelector('.path').textContent !== p", path)
        first.progress(f"{len(labels)} of 200")
        click(second, "Undo")
        first.progress(f"{len(labels) - 1} of 200")
        assert first.problems == second.problems == []
    assert list((tmp_path / "two").iterdir()) == []
    with LabelLog(tmp_path / "one" / ".embedpipe" / "labels.sqlite") as log:
        (dataset,) = {event.dataset for event in log.events() if event.path is not None}
        known = log.current(dataset)
    stored = {path: each.label for path, each in known.items() if each.kind == "label"}
    assert stored.items() < labels.items()
    assert len(stored) == len(labels) - 1
