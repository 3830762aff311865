"""What the checks found, as lists to go through in the page."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from embedpipe.checks import check
from embedpipe.errors import SelectionError
from tests.checks.conftest import draw
from tests.server.conftest import Lab
from tests.server.tabs import Tab


@pytest.fixture
def shop(tmp_path: Path, open_lab: Callable[..., Lab]) -> Lab:
    """30 photos, two of them twice, a tiny one, a white one, and a file that is no image."""
    folder = tmp_path / "shop"
    for number in range(30):
        path = folder / ("test" if number % 5 == 0 else "train") / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number).save(path, quality=92)
    shutil.copy(folder / "train/001.jpg", folder / "train/again.jpg")
    with Image.open(folder / "test/005.jpg") as image:
        image.save(folder / "train/lossless.png")
    draw(500, (50, 200)).resize((12, 48)).save(folder / "train/tiny.jpg")
    Image.new("RGB", (160, 120), (250, 250, 250)).save(folder / "train/white.jpg")
    (folder / "train/broken.jpg").write_bytes(b"not an image")
    return open_lab(folder)


def listed(lab: Lab, name: str, n: int = 60) -> Any:
    """Return a list, waiting until the checks are done."""
    for _ in range(1800):
        answer = lab.get(f"/api/checked?list={name}&n={n}")
        if answer.status != 202:
            return answer.json()
        assert 0 <= answer.progress()["share"] <= 1
        time.sleep(0.05)
    raise AssertionError("the checks do not end")


def test_the_lists_equal_the_checks(shop: Lab) -> None:
    known = check(shop.embeddings, labels={})
    paths = shop.session.ids
    copies = listed(shop, "copies")
    assert copies["total"] == len(copies["groups"]) == 2
    found = {
        group["title"]: [item["path"] for item in group["items"]] for group in copies["groups"]
    }
    assert found == {
        "Same file": ["train/001.jpg", "train/again.jpg"],
        "Same picture, in test and train": ["test/005.jpg", "train/lossless.png"],
    }
    small = listed(shop, "small")
    assert [(group["title"], [item["path"] for item in group["items"]]) for group in
            small["groups"]] == [("Tiny images", ["train/tiny.jpg"]),
                                 ("Blank images", ["train/white.jpg"])]  # fmt: skip
    assert small["total"] == 2
    assert [each["path"] for each in small["failed"]] == ["train/broken.jpg"]
    outliers = listed(shop, "outliers")
    rows = [item["row"] for group in outliers["groups"] for item in group["items"]]
    assert rows == known.outliers.rows.tolist()
    assert outliers["total"] == len(rows)
    assert all(item["path"] == paths[item["row"]] for item in copies["groups"][0]["items"])
    first = listed(shop, "copies", 3)["groups"]
    assert [len(group["items"]) for group in first] == [2, 1]


def test_the_lists_show_new_labels(shop: Lab) -> None:
    [exact, _] = sorted(listed(shop, "copies")["groups"], key=lambda group: group["title"])
    rows = [item["row"] for item in exact["items"]]
    shop.post("/api/label", {"rows": rows, "label": "hat"}).json()
    again = listed(shop, "copies")["groups"]
    [exact] = [group for group in again if group["title"] == "Same file"]
    assert [item["label"] for item in exact["items"]] == ["hat", "hat"]


def test_images_of_the_test_split_are_not_left_to_label(shop: Lab) -> None:
    train = [row for row, path in enumerate(shop.session.ids) if path.startswith("train")]
    assert shop.get("/api/status").json()["left"] == len(train) < len(shop.session.ids)
    shop.post("/api/label", {"rows": train[1:], "label": "hat"}).json()
    shop.post("/api/mark", {"rows": train[:1], "kind": "skip"}).json()
    assert shop.get("/api/status").json()["left"] == 0
    assert shop.get("/api/batch?n=5").json()["items"] == []


def test_invalid_queries_are_refused(shop: Lab) -> None:
    assert shop.get("/api/checked").error() == (400, "`list` must be copies, outliers or small.")
    assert shop.get("/api/checked?list=copies&n=501").status == 400


def test_a_failed_check_is_reported_and_repeated(
    shop: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SelectionError("there are too many.")

    monkeypatch.setattr("embedpipe.server.background.check", refuse)
    for _ in range(1800):
        answer = shop.get("/api/checked?list=copies")
        if answer.status != 202:
            break
        time.sleep(0.05)
    assert answer.error() == (500, "there are too many.")
    monkeypatch.undo()
    assert listed(shop, "copies")["total"] == 2


def test_a_server_ends_during_the_checks(shop: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def endless(*_: object, progress: Callable[[str, int, int], None], **__: object) -> None:
        try:
            while True:
                progress("look", 1, 2)
                time.sleep(0.01)
        finally:
            ended.append(True)

    monkeypatch.setattr("embedpipe.server.background.check", endless)
    assert shop.get("/api/checked?list=copies").status == 202
    shop.post("/api/label", {"rows": [0], "label": "hat"}).json()  # labelling goes on
    shop.server.stop()
    for _ in range(4500):
        if ended:
            break
        time.sleep(0.02)
    assert ended


def test_the_lists_by_keyboard(shop: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(shop)
    tab.press("Shift+R")
    tab.wait(
        "() => /No label was checked: there are no labels/"
        ".test(document.querySelector('.review .empty')?.textContent)"
    )
    tab.press(",")
    tab.wait("() => document.querySelectorAll('.review h2').length === 2")
    assert tab.text(".review .note") == "2 groups"
    titles = tab.page.locator(".review h2").all_inner_texts()
    assert titles == [
        "Same picture, in test and train · 2 images", "Same file · 2 images"
    ]  # fmt: skip
    tab.press("Control+a")
    tab.give("hat")
    tab.settled()
    assert shop.labels() == {"test/005.jpg": "hat", "train/lossless.png": "hat"}
    tab.press(",")
    tab.wait("() => /images?$/.test(document.querySelector('.review .note').textContent)")
    tab.press(",")
    tab.wait("() => /cannot be read/.test(document.querySelector('.review .note').textContent)")
    assert tab.text(".review .note") == "2 images · 1 cannot be read"
    tab.press("s")
    tab.settled()
    row = shop.session.row_of("train/tiny.jpg")
    assert shop.get(f"/api/items?rows={row}").json()["items"][0]["state"] == "skip"
    tab.press("u", ",")  # round to the first list
    tab.wait("() => document.querySelector('.review select').value === 'labels'")
    assert shop.labels() == {"test/005.jpg": "hat", "train/lossless.png": "hat"}
