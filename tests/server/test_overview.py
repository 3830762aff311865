"""The overview: its numbers, the copies to skip, and the view in a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab
from tests.server.test_lists import listed


@pytest.fixture
def mixed(tmp_path: Path, open_lab: Callable[..., Lab]) -> Lab:
    """25 photos in several formats and sizes, three copies, and files that cannot be used."""
    folder = make_photos(tmp_path / "mixed", 20)
    shutil.copy(folder / "day0/0000.jpg", folder / "day1/copy1.jpg")
    shutil.copy(folder / "day0/0000.jpg", folder / "day1/copy2.jpg")
    shutil.copy(folder / "day0/0002.jpg", folder / "day1/copy3.jpg")
    Image.effect_noise((1200, 900), 60).save(folder / "large.png")
    Image.effect_noise((350, 400), 60).save(folder / "scan.tif")
    (folder / "broken.jpg").write_bytes((folder / "day0/0000.jpg").read_bytes()[:300])
    (folder / "text.jpg").write_bytes(b"not an image")
    (folder / "phone.jxl").write_bytes(b"x")
    return open_lab(folder)


def test_the_numbers_of_the_overview(mixed: Lab) -> None:
    mixed.session.label([0], "hat")
    mixed.session.add_class("cap")
    found = mixed.get("/api/overview").json()
    reasons = found.pop("reasons")
    assert found == {
        "images": 25,
        "formats": [
            {"name": "JPEG", "count": 23},
            {"name": "PNG", "count": 1},
            {"name": "TIFF", "count": 1},
        ],
        "sizes": [
            {"least": 1, "below": 100, "count": 23},
            {"least": 300, "below": 1000, "count": 2},
        ],
        "unsupported": [
            {
                "suffix": ".jxl",
                "count": 1,
                "remedy": "unsupported format; convert them to JPEG or PNG",
            }
        ],
        "unusable": 2,
        "classes": [
            {"name": "hat", "labels": 1, "accepted": 0, "suggested": 0},
            {"name": "cap", "labels": 0, "accepted": 0, "suggested": 0},
        ],
        "copies": {"compared": False, "groups": 2, "extra": 3},
    }
    assert [reason.split("`")[1] for reason in reasons] == ["broken.jpg", "text.jpg"]
    assert all("Error" not in reason and reason.endswith(".") for reason in reasons)


def test_one_copy_of_each_group_is_kept_in_one_act(mixed: Lab) -> None:
    ids = mixed.session.ids
    labelled = mixed.session.row_of("day1/copy2.jpg")
    mixed.session.label([labelled], "hat")
    version = mixed.session.version
    answer = mixed.post("/api/copies/skip", {}).json()
    skipped = [row for row, each in mixed.session.current().items() if each.kind == "skip"]
    assert answer == {"version": mixed.session.version, "skipped": 3}
    assert sorted(ids[row] for row in skipped) == [
        "day0/0000.jpg", "day1/copy1.jpg", "day1/copy3.jpg"
    ]  # fmt: skip
    assert mixed.get("/api/overview").json()["copies"]["extra"] == 0
    assert mixed.post("/api/copies/skip", {}).json()["skipped"] == 0
    assert mixed.session.version > version
    assert sorted(mixed.post("/api/undo", {}).json()["rows"]) == sorted(skipped)
    assert mixed.get("/api/overview").json()["copies"]["extra"] == 3
    mixed.session.undo()
    mixed.session.accept([labelled], ["hat"], "logistic-9")
    mixed.post("/api/copies/skip", {}).json()
    assert mixed.session.current()[labelled].kind == "accept"
    assert mixed.get("/api/overview").json()["copies"]["extra"] == 0


def test_the_largest_of_equal_pictures_is_kept(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    from tests.checks.conftest import draw

    folder = tmp_path / "shop"
    folder.mkdir()
    for number in range(30):
        draw(number).save(folder / f"{number:03d}.jpg", quality=92)
    with Image.open(folder / "004.jpg") as image:
        larger = image.resize((image.width * 2, image.height * 2), Image.Resampling.LANCZOS)
        larger.save(folder / "zlarger.jpg", quality=95)
    lab = open_lab(folder)
    assert lab.get("/api/overview").json()["copies"] == {
        "compared": False, "groups": 0, "extra": 0
    }  # fmt: skip
    listed(lab, "copies")
    assert lab.get("/api/overview").json()["copies"] == {
        "compared": True, "groups": 1, "extra": 1
    }  # fmt: skip
    lab.post("/api/copies/skip", {}).json()
    (skipped,) = (row for row, each in lab.session.current().items() if each.kind == "skip")
    assert lab.session.ids[skipped] == "004.jpg"


def test_the_overview_comes_first_until_there_are_labels(
    mixed: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(mixed, view=None)
    tab.wait("() => document.querySelectorAll('.overview .card').length === 5")
    cards = tab.page.locator(".card h2").all_inner_texts()
    assert cards == ["Progress", "Images", "Classes", "Copies", "Files that are left out"]
    text = tab.text(".overview")
    for words in ("0 of 25 images labelled", "JPEG", "2 files cannot be used", "1 .jxl file"):
        assert words in text
    tab.press("Enter")
    tab.row()
    tab.give("hat")
    tab.settled()
    again = tab_on(mixed, f"http://127.0.0.1:{mixed.port}/", view=None)
    again.wait("() => document.querySelector('.single')?.dataset.row")
    again.press("Shift+O")
    again.shows(".card .big", "1 of 25 images labelled")


def test_copies_are_skipped_by_mouse_and_the_skip_is_undone(
    mixed: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(mixed, view="overview")
    tab.page.get_by_role("button", name="Keep one of each group, skip the other 3").click()
    tab.shows(".card", "22 left to label, 3 skipped")
    tab.press("u")
    tab.shows(".card", "25 left to label, 0 skipped")
    tab.page.get_by_role("button", name="Find copies in other sizes").click()
    tab.shows(".cards", "the same picture")
    tab.page.get_by_role("link", name="Look at the copies").click()
    tab.wait("() => document.querySelector('.review select')?.value === 'copies'")
    tab.page.click("nav a[data-view=overview]")
    tab.page.get_by_role("link", name="300 to 999 pixels").click()
    tab.wait("() => document.querySelector('.search .note')?.textContent === '2 of 25 images'")


def test_the_overview_has_no_buttons_of_acts_on_an_image(
    mixed: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(mixed, view="overview")
    shown = tab.page.locator("#acts button:visible span")
    assert shown.all_inner_texts() == ["Undo", "Accept above 95 %", "Classes"]
    tab.press("Shift+S")
    tab.row()
    assert shown.count() == 10


def test_the_overview_shows_paths_as_code_and_counts_accepted_images(
    mixed: Lab, tab_on: Callable[..., Tab]
) -> None:
    mixed.session.label([0], "hat")
    mixed.post("/api/accept", {"suggestions": {"hat": [1, 2]}, "model": "m"}).json()
    tab = tab_on(mixed, view="overview")
    tab.shows(".card", "22 left to label, 2 accepted, 0 skipped, 0 unsure")
    assert tab.text("#progress") == "1 of 25 images labelled + 2 accepted"
    assert tab.page.locator(".reasons code").all_inner_texts() == ["broken.jpg", "text.jpg"]
    assert "`" not in tab.text(".overview")
