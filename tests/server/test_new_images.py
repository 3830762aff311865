"""Images that appear in the folder while the page is open."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from embedpipe.server import new_images
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab, kind_of


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_images, "INTERVAL", 0.0)
    monkeypatch.setattr(new_images, "INTERVAL_SHARE", 0.0)


def add_photos(lab: Lab, tmp_path: Path, age: float = 60.0) -> list[str]:
    """Put four photos before, between and after those of the dataset."""
    extra = make_photos(tmp_path / "extra", 28)
    names = []
    for number, name in ((24, "a"), (25, "day0/a"), (26, "day1/a"), (27, "z")):
        path = lab.folder / f"{name}{number:04d}.jpg"
        path.write_bytes((extra / f"day{number % 2}" / f"{number:04d}.jpg").read_bytes())
        os.utime(path, (time.time() - age, time.time() - age))
        names.append(path.relative_to(lab.folder).as_posix())
    return names


def new(lab: Lab) -> dict[str, Any]:
    return dict(lab.get("/api/new-images").json())


def wait_for_run(lab: Lab, before: str) -> dict[str, Any]:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        status = lab.get("/api/status").json()
        if status["run"] != before:
            return dict(status)
        time.sleep(0.05)
    raise AssertionError(new(lab))


def test_new_images_are_counted_once_they_are_complete(lab: Lab, tmp_path: Path) -> None:
    nothing = {"new": 0, "addable": True, "adding": None, "problem": None}
    assert new(lab) == nothing
    names = add_photos(lab, tmp_path, age=-600.0)
    assert new(lab) == nothing  # the files may be incomplete
    for name in names:
        os.utime(lab.folder / name, (time.time() - 60, time.time() - 60))
    assert new(lab) == {**nothing, "new": 4}


def test_added_images_join_the_session_and_labels_stay_with_their_images(
    lab: Lab, tmp_path: Path
) -> None:
    for row in range(12):
        lab.session.label([row], kind_of(lab.session.ids[row]))
    labels, run = lab.labels(), lab.get("/api/status").json()["run"]
    first = lab.get("/api/items?rows=0").json()["items"][0]["path"]
    names = add_photos(lab, tmp_path)
    assert lab.post("/api/new-images/add", {}).json() == {"adding": True}
    status = wait_for_run(lab, run)
    assert (status["items"], status["labelled"]) == (28, 12)
    assert status["model"]["labelled"] == 12  # suggestions are there at once
    items = lab.get("/api/items?limit=100").json()["items"]
    assert {item["path"]: item["label"] for item in items if item["label"]} == labels
    assert {item["path"] for item in items} >= set(names)
    assert items[0]["path"] == "a0024.jpg" != first  # the rows are others now
    headers = {
        "authorization": f"Bearer {lab.token}", "content-type": "application/json",
        "x-embedpipe-run": run,
    }  # fmt: skip
    stale = lab.raw("POST", "/api/label", headers, b'{"rows": [0], "label": "red"}')
    assert stale.error() == (409, "the server was restarted, or has new images: reload the page.")
    lab.post("/api/label", {"rows": [0], "label": "red"}).json()
    assert lab.labels() == {**labels, "a0024.jpg": "red"}
    assert lab.post("/api/undo", {}).json()["items"][0]["path"] == "a0024.jpg"
    assert lab.post("/api/undo", {}).json()["items"][0]["path"] in labels  # of the old session
    assert new(lab)["new"] == 0
    assert lab.get("/api/items/0/picture").body == (lab.folder / "a0024.jpg").read_bytes()


def test_a_failed_addition_is_reported_and_the_session_goes_on(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe.errors import CacheError

    def refuse(*_: object, **__: object) -> None:
        raise CacheError("the disk is full.")

    add_photos(lab, tmp_path)
    monkeypatch.setattr(new_images, "embed", refuse)
    lab.post("/api/new-images/add", {}).json()
    end = time.monotonic() + 90
    while (found := new(lab))["problem"] is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert found == {"new": 4, "addable": True, "adding": None, "problem": "the disk is full."}
    lab.post("/api/label", {"rows": [0], "label": "hat"}).json()
    assert lab.get("/api/status").json()["items"] == 24


def test_a_removed_folder_has_no_new_images(lab: Lab) -> None:
    lab.folder.rename(lab.folder.with_name("elsewhere"))
    assert new(lab)["new"] == 0


def test_the_page_offers_new_images_and_shows_them(
    lab: Lab, tab_on: Callable[..., Tab], tmp_path: Path
) -> None:
    tab, other = tab_on(lab), tab_on(lab, f"http://127.0.0.1:{lab.port}/")
    path = tab.label_next("hat")
    tab.settled()
    add_photos(lab, tmp_path)
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.wait("() => document.querySelector('#add-images').textContent === '4 new images: add'")
    tab.page.click("#add-images")
    for each in (tab, other):  # both pages are loaded again
        each.progress("1 of 28")
        each.wait("() => document.querySelector('#add-images').hidden")
    tab.label_next("hat")
    tab.settled()
    labels = lab.labels()
    assert labels[path] == "hat"
    assert len(labels) == 2
