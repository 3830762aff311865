"""The page in a real Chromium: by keyboard, by mouse, in two tabs, after a reload."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embedpipe.labels.exchange import formats
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import KINDS, ROW, Tab, kind_of


def test_labelling_and_export_by_keyboard(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 200))
    tab = tab_on(lab)
    assert "token" not in tab.page.url
    assert tab.text("#next").startswith("Name the first class: press N")
    labels = {}
    for _ in range(12):
        path = tab.label_next()
        labels[path] = kind_of(path)
    tab.settled()
    tab.wait("() => document.querySelector('.about .answer kbd')?.textContent === 'Enter'")
    for _ in range(6):  # accept the suggestion if it is correct
        row, path = tab.row(), tab.text(".about .path")
        correct = tab.text(".about .answer").split()[1] == kind_of(path)
        if correct:
            tab.press("Enter")
        else:
            tab.give(kind_of(path))
        labels[path] = kind_of(path)
        tab.wait(f"row => ({ROW})() !== row", row)
    tab.settled()
    assert lab.labels() == labels
    suggested = [e for e in lab.log.events() if e.suggestion is not None]
    assert {event.model.partition("-")[0] for event in suggested} == {"auto"}
    tab.press("Shift+G")  # a batch, with a new model
    tab.wait("() => document.querySelectorAll('.grid .tile').length > 10")
    tab.press("Shift+E")
    tab.wait("() => document.querySelector('#exported').textContent.includes(' in ')")
    path = tab.text("#exported").split(" in ")[1]
    back = {item.path: item.label for item in formats["imagefolder"].read(path)}
    assert back == labels
    tab.shows("#accuracy", "%")
    assert tab.page.locator("#curve svg").count() == 1


def test_undo_skip_back_and_clear(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    first = tab.label_next()
    second = tab.label_next("green")
    third = tab.row()
    tab.press("s")
    tab.wait(f"row => ({ROW})() !== row", third)
    tab.settled()
    assert lab.get("/api/status").json()["skipped"] == 1
    tab.press("u")  # the skip
    tab.wait(f"row => ({ROW})() === row", third)
    tab.press("u")  # the second label: it is shown again
    tab.wait("p => document.querySelector('.about .path').textContent === p", second)
    tab.wait("() => !document.querySelector('.about .answer b')")
    assert lab.labels() == {first: kind_of(first)}
    tab.press("ArrowLeft")
    assert tab.text(".about .path") == first
    assert tab.text(".about .answer") == kind_of(first)
    tab.press("Delete")
    tab.wait("() => !document.querySelector('.about .answer b')")
    tab.settled()
    assert lab.labels() == {}
    tab.press("Shift+U")
    tab.settled()
    assert lab.get("/api/status").json()["unsure"] == 1


def test_a_class_is_added_without_a_label_and_chosen_by_name(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(lab)
    row = tab.row()
    tab.press("n")
    tab.page.keyboard.type("green")
    tab.press("Shift+Enter")
    tab.wait("() => document.querySelectorAll('#classes button').length === 2")
    assert (tab.row(), lab.labels()) == (row, {})
    path = tab.text(".about .path")
    tab.press("/")
    tab.page.keyboard.type("GRE")
    tab.press("Enter")
    tab.wait(f"row => ({ROW})() !== row", row)
    tab.settled()
    assert lab.labels() == {path: "green"}
    tab.press("n")
    tab.press("Escape")  # nothing is labels by closing
    tab.press("n", "Enter")
    assert tab.classes() == ["green"]


def test_a_reload_in_the_middle_loses_nothing(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    labels = {}
    for _ in range(5):
        path = tab.label_next()
        labels[path] = kind_of(path)
    tab.settled()
    tab.page.reload()
    tab.progress("5 of 24")
    assert sum(int(word) for word in tab.text("#counts").split() if word.isdigit()) == 5
    tab.row()
    assert tab.text(".about .path") not in labels
    path = tab.label_next()
    labels[path] = kind_of(path)
    tab.settled()
    assert lab.labels() == labels


def test_two_tabs_stay_consistent(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    one = tab_on(lab)
    two = tab_on(lab, f"http://127.0.0.1:{lab.port}/")  # the cookie is enough
    assert one.row() == two.row()
    path = one.label_next("red")
    two.progress("1 of 24")
    two.wait("p => document.querySelector('.about .path').textContent !== p", path)
    assert two.classes() == ["red"]
    two.press("Shift+F")
    two.wait("() => document.querySelectorAll('.search .tile.done').length === 1")
    row = one.row()
    one.give("blue")
    two.wait(
        "r => document.querySelector(`.tile[data-row='${r}']`)?.classList.contains('done')", row
    )
    two.press("Escape", "u")  # undoes the last act of either tab
    two.progress("1 of 24")
    one.progress("1 of 24")
    one.settled()
    assert lab.labels() == {path: "red"}


def test_a_key_for_an_image_labelled_in_another_tab_does_not_label_the_next_one(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    one, two = tab_on(lab), tab_on(lab)
    one.give("red")
    two.wait("() => document.querySelectorAll('#classes button').length > 1")
    two.press("ArrowRight")  # to an image that the first tab labels next
    path = one.label_next("red")
    two.wait(  # as soon as the image changes, the key of the class is pressed
        """path => document.querySelector('.about .path').textContent !== path &&
        !document.body.dispatchEvent(
            new KeyboardEvent('keydown', { key: '1', bubbles: true, cancelable: true }))""",
        path,
    )
    two.shows("#message", "The image before was labelled elsewhere. Press again for this one.")
    two.wait("() => !document.querySelector('.single').classList.contains('paused')")
    assert len(lab.labels()) == 2
    two.label_next("red")
    two.settled()
    assert len(lab.labels()) == 3


def test_a_grid_is_labelled_by_keyboard(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.press("Shift+G")
    tab.wait("() => document.querySelectorAll('.grid .tile img').length > 4")
    tab.press("Shift+ArrowRight", "Shift+ArrowRight")
    chosen = tab.page.locator(".tile[aria-selected=true]")
    rows = {int(each.get_attribute("data-row")) for each in chosen.all()}
    assert len(rows) == 3
    tab.give("hat")
    tab.settled()
    assert lab.labels() == {lab.session.ids[row]: "hat" for row in rows}
    assert len({event.at for event in lab.log.events()}) == 1  # one act
    assert tab.page.locator(".tile.done").count() == 3
    tab.press("u")
    tab.wait("() => !document.querySelector('.tile.done')")
    tab.progress("0 of 24")  # the class has no label, and leaves the list
    assert lab.labels() == {}
    tab.press("Control+a")
    group = {int(each.get_attribute("data-row")) for each in chosen.all()}
    tab.give("hat")
    tab.settled()
    assert set(lab.labels()) == {lab.session.ids[row] for row in group}
    here = int(tab.page.locator(".tile.cursor").get_attribute("data-row"))
    tab.press("Space", "s")
    tab.settled()
    assert lab.get(f"/api/items?rows={here}").json()["items"][0]["state"] == "skip"


def test_a_grid_is_labelled_by_mouse(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.give("hat")
    tab.settled()
    before = len(lab.labels())
    tab.press("Shift+G")
    tab.wait("() => document.querySelectorAll('.grid .tile img').length > 4")
    tiles = tab.page.locator(".tile")
    tiles.nth(1).click()
    assert tiles.nth(1).get_attribute("aria-selected") == "true"
    tiles.nth(1).click()
    assert tiles.nth(1).get_attribute("aria-selected") == "false"
    low, high = tiles.nth(0).bounding_box(), tiles.nth(2).bounding_box()
    tab.page.mouse.move(low["x"] + 20, low["y"] + 20)
    tab.page.mouse.down()
    tab.page.mouse.move(high["x"] + 30, high["y"] + 40, steps=5)
    tab.page.mouse.up()
    chosen = tab.page.locator(".tile[aria-selected=true]").count()
    assert chosen >= 2
    tab.page.locator("#classes button").first.click()
    tab.settled()
    assert len(lab.labels()) == before + chosen


def test_after_a_finished_batch_the_next_one_has_a_new_model(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 90))
    tab = tab_on(lab)
    tab.press("Shift+G")
    tab.wait("() => document.querySelectorAll('.grid .tile').length > 10")
    batch = {item["row"] for item in lab.get("/api/batch?n=48").json()["items"]}
    for kind in KINDS:
        rows = [row for row in batch if kind_of(lab.session.ids[row]) == kind]
        lab.post("/api/label", {"rows": rows, "label": kind}).json()
    tab.wait("() => /\\?/.test(document.querySelector('.board h2')?.textContent)")
    assert lab.session.model is not None
    groups = tab.page.locator(".board h2").all_inner_texts()
    assert {text.split("?")[0] for text in groups} <= set(KINDS)
    before = len(lab.labels())
    tab.press("Control+a", "Enter")
    tab.settled()
    status = lab.get("/api/status").json()
    assert status["accepted"] > 1
    assert len(lab.labels()) == before


def test_review_corrects_wrong_labels(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    for row, path in enumerate(lab.session.ids):
        lab.session.label([row], "red" if row == 5 else kind_of(path))
    wrong = kind_of(lab.session.ids[5]) != "red"
    if not wrong:
        lab.session.label([5], "blue")
    tab = tab_on(lab)
    tab.press("Shift+R")
    tab.wait("() => document.querySelector('.review .tile img')")
    assert tab.page.locator(".review .tile").first.get_attribute("data-row") == "5"
    tab.press("Enter")
    tab.settled()
    assert lab.labels()[lab.session.ids[5]] == kind_of(lab.session.ids[5])


def test_search_by_path_and_by_similarity(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.row()
    tab.press("Shift+F")
    tab.page.keyboard.type("day1 003")
    tab.wait("() => document.querySelector('.search .note').textContent === '1 image'")
    tab.press("Enter")
    tab.wait("() => document.querySelector('.search .tile')")
    tab.give("hat")
    tab.settled()
    assert lab.labels() == {"day1/0003.jpg": "hat"}
    tab.press("Shift+L")
    tab.wait("() => document.querySelector('.board h2')?.textContent === 'This image'")
    row = lab.session.row_of("day1/0003.jpg")
    nearest = lab.session.similar(row, 1)[0]
    assert tab.page.locator(".tile.cursor").get_attribute("data-row") == str(nearest)


def test_the_map_is_labelled_by_keyboard_and_by_lasso(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.press("Shift+M")
    tab.wait("() => document.querySelector('.tools .note').textContent === '24 images'")
    for _ in range(12):
        tab.press("+")
    tab.press("Space")
    tab.wait("() => document.querySelector('.tools .note').textContent.endsWith('selected')")
    chosen = int(tab.text(".tools .note").split()[0])
    tab.give("hat")
    tab.wait("() => document.querySelector('.tools .note').textContent === '24 images'")
    assert len(lab.labels()) == chosen > 0
    tab.press("u")
    tab.wait("() => document.querySelector('.tools .note').textContent.endsWith('selected')")
    assert lab.labels() == {}
    box = tab.page.locator("canvas").bounding_box()
    right, bottom = box["x"] + box["width"] - 3, box["y"] + box["height"] - 3
    tab.page.mouse.move(box["x"] + 3, box["y"] + 3)
    tab.page.mouse.down()
    for x, y in ((right, box["y"] + 3), (right, bottom), (box["x"] + 3, bottom)):
        tab.page.mouse.move(x, y)
    tab.page.mouse.up()
    tab.wait("() => document.querySelector('.tools .note').textContent === '24 images selected'")


def test_scripts_in_names_stay_text(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab]
) -> None:
    folder = make_photos(tmp_path / "photos", 6)
    evil = "<img src=x onerror=fail()>"
    (folder / "day0" / "0000.jpg").rename(folder / "day0" / f"{evil}&amp;'\"0000.jpg")
    lab = open_lab(folder)
    name = "<script>fail()</script>\"'><b>"
    lab.session.label([0], name)
    lab.session.label([1], evil)
    tab = tab_on(lab)
    assert tab.classes() == [name, evil]
    for view in ("G", "F", "R", "M"):
        tab.press(f"Shift+{view}", "Escape")
        time.sleep(0.3)
        assert (
            tab.page.locator("main b:has(> *), main script, main [onerror], footer b").count() == 0
        )
    tab.press("Shift+S", "n")
    assert tab.page.locator("#class-list li").all_inner_texts() == [name, evil]


def test_a_storing_error_is_shown_with_the_image(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    path = tab.label_next("hat")
    tab.settled()
    row = tab.row()
    tab.page.route(
        "**/api/label",
        lambda route: route.fulfill(
            status=400, content_type="application/json", body='{"error": "the disk is full."}'
        ),
    )
    tab.press("1")
    tab.wait(
        "() => document.querySelector('#message').textContent === 'Not stored: the disk is full.'"
    )
    assert tab.row() == row
    assert lab.labels() == {path: "hat"}
    tab.page.unroute("**/api/label")
    tab.press("1")
    tab.wait(f"row => ({ROW})() !== row", row)
    tab.problems.clear()  # the browser logs the status 400


@pytest.mark.parametrize("width", [1280, 390])
def test_the_layout_fits_the_window_and_does_not_move(
    lab: Lab, tab_on: Callable[..., Tab], width: int
) -> None:
    tab = tab_on(lab, width=width)
    for _ in range(3):
        tab.label_next()
    tab.progress("3 of 24")
    boxes = """() => ['header', '#next', 'main', 'footer'].map(s => {
      const b = document.querySelector(s).getBoundingClientRect(); return [b.top, b.height]; })"""
    before = tab.page.evaluate(boxes)
    for view in ("S", "G", "R", "F", "M"):
        tab.press(f"Shift+{view}", "Escape")
        time.sleep(0.15)
        assert tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.page.evaluate(boxes) == before
    tab.press("Shift+S")
    tab.label_next()
    assert tab.page.evaluate(boxes) == before
    tab.press("?")
    assert tab.page.evaluate("document.querySelector('#help-dialog').open")
    tab.press("Escape")


CONTRAST = """selector => {
  const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const luminance = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(p => linear(p / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const element = document.querySelector(selector);
  let below = element, back;
  do { back = getComputedStyle(below).backgroundColor; below = below.parentElement; }
  while (below && /, 0\\)$|transparent/.test(back));
  const style = getComputedStyle(element);
  const [ink, page] = [luminance(style.color), luminance(back)];
  return (Math.max(ink, page) + .05) / (Math.min(ink, page) + .05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(lab: Lab, tab_on: Callable[..., Tab], scheme: str) -> None:
    tab = tab_on(lab, color_scheme=scheme)
    tab.label_next()
    tab.press("Shift+G")
    tab.wait("() => document.querySelector('.grid .tile img')")
    tab.press("Space")
    places = ["h1", "nav a", "nav a[aria-current]", "#progress", "#next", "#classes button", "kbd"]
    places += ["#hints", "#counts button", "#accuracy", ".tools .note", ".board h2"]
    places += [".tile .cap", ".tile[aria-selected=true] .cap", "#export"]
    found = {place: tab.page.evaluate(CONTRAST, place) for place in places}
    assert {place: ratio for place, ratio in found.items() if ratio < 4.5} == {}


def test_fast_and_held_keys(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.row()
    tab.press("n")
    tab.page.keyboard.type("red")
    tab.press("Enter", "1", "n")  # the class has its key at once
    tab.page.keyboard.type("blue")
    tab.press("Enter", "2", "1")
    for _ in range(6):  # one press: the repetitions of the keyboard are ignored
        tab.page.keyboard.down("2")
    tab.page.keyboard.up("2")
    tab.settled()
    assert sorted(lab.labels().values()) == ["blue"] * 3 + ["red"] * 3
    tab.press("7")
    tab.wait(
        "() => document.querySelector('#message').textContent === "
        "'No class has the key 7: N adds a class.'"
    )


def test_a_class_is_renamed_by_keyboard_also_by_case_only(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    lab.session.label([0], "hat")
    tab = tab_on(lab)
    tab.row()
    tab.press("Tab", "Enter")  # the first class of the panel
    tab.page.keyboard.type("Hat")
    tab.press("Enter")
    tab.wait("() => document.querySelector('#counts').textContent === 'Hat1'")
    assert lab.labels() == {lab.session.ids[0]: "Hat"}
    assert tab.page.evaluate("document.activeElement.closest('#counts') !== null")
    tab.press("Escape")  # back to the images
    assert tab.page.evaluate("document.activeElement.id") == "view"
    lab.session.label([1], "hat")
    tab.wait("() => document.querySelectorAll('#classes button').length === 3")
    tab.press("/")
    tab.page.keyboard.type("hat")  # the exact name, not the one that differs by case
    assert tab.text("#class-list [aria-selected=true]") == "hat"


def test_a_click_does_not_take_the_focus(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.row()
    tab.page.click("#show-help")
    tab.press("Escape", "Enter")
    assert not tab.page.evaluate("document.querySelector('#help-dialog').open")


def test_two_photos_are_enough_for_a_model(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 2))
    tab = tab_on(lab)
    tab.label_next("red")
    tab.give("blue")
    tab.wait("() => document.querySelector('#next').textContent.startsWith('No images are left')")
    tab.wait("() => document.querySelector('#advice').textContent !== ''")


def test_the_map_fits_a_low_window(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    for row in range(12):
        lab.session.label([row], f"{row} " + 58 * "x")
    tab = tab_on(lab, width=641)
    tab.page.set_viewport_size({"width": 640, "height": 400})
    tab.press("Shift+M")
    tab.wait("() => document.querySelector('.tools .note').textContent === '24 images'")
    assert tab.page.locator("canvas").bounding_box()["height"] > 60
    tab.press("Shift+P")  # the statistics may cover it
    time.sleep(0.2)
