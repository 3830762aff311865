"""Acts in a real Chromium: one undo for each act, by mouse alone and by keyboard alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Lab, make_photos
from tests.server.tabs import ROW, Tab, kind_of

MESSAGE = "text => document.querySelector('#message').textContent === text"


def act(tab: Tab, name: str) -> None:
    """Click the button of an act in the footer."""
    tab.page.locator("#acts button", has=tab.page.get_by_text(name, exact=True)).click()


def message(tab: Tab, text: str) -> None:
    tab.wait(MESSAGE, text)


def states(lab: Lab, rows: list[int]) -> list[str]:
    items = lab.get(f"/api/items?rows={','.join(map(str, rows))}").json()["items"]
    return [item["state"] for item in items]


def wait_for_states(lab: Lab, rows: list[int], expected: list[str]) -> None:
    end = time.monotonic() + 90
    while states(lab, rows) != expected:
        assert time.monotonic() < end, states(lab, rows)
        time.sleep(0.02)


def wait_for_dialog(tab: Tab, name: str) -> None:
    tab.wait("name => document.getElementById(name).open", name)


def open_grid(tab: Tab) -> Any:
    tab.page.click("nav a[data-view=grid]")
    tab.wait("() => document.querySelectorAll('.grid .tile img').length > 4")
    return tab.page.locator(".grid .tile")


def rows_of(tiles: Any) -> list[int]:
    return [int(each.get_attribute("data-row")) for each in tiles.all()]


@pytest.fixture
def trained(tmp_path: Path, open_lab: Callable[..., Lab]) -> Lab:
    """A server on 90 photos, of which 12 have labels, with a model."""
    lab = open_lab(make_photos(tmp_path / "photos", 90))
    for row in range(12):
        lab.session.label([row], kind_of(lab.session.ids[row]))
    lab.post("/api/retrain", {}).json()
    assert lab.server._state.training.wait(90)
    return lab


def test_all_acts_of_single_by_mouse(trained: Lab, tab_on: Callable[..., Tab]) -> None:
    lab, tab = trained, tab_on(trained)
    tab.wait("() => document.querySelector('.about .answer kbd')?.textContent === 'Enter'")
    before = lab.labels()
    paths = []
    for name in ("Accept", "Skip", "Unsure"):
        row = tab.row()
        paths.append(tab.text(".about .path"))
        act(tab, name)
        tab.wait(f"row => ({ROW})() !== row", row)
    tab.settled()
    rows = [lab.session.row_of(path) for path in paths]
    assert states(lab, rows) == ["label", "skip", "unsure"]
    for state in (["label", "skip", ""], ["label", "", ""], ["", "", ""]):
        act(tab, "Undo")
        wait_for_states(lab, rows, state)
    message(tab, f"Undone: labelled {paths[0]} as {kind_of(paths[0])}")
    assert lab.labels() == before
    tab.page.locator("#classes button", has_text="green").click()
    tab.page.locator(".arrow.back").click()
    tab.wait("() => document.querySelector('.about .answer b')?.textContent === 'green'")
    act(tab, "Remove label")
    tab.settled()
    assert lab.labels() == before
    path = tab.text(".about .path")
    act(tab, "Enlarge")
    assert tab.text("#look-path") == path
    tab.page.click("#look-dialog button")
    act(tab, "More like this")
    tab.wait("() => document.querySelector('.board h2')?.textContent === 'This image'")


def test_accepting_several_suggestions_is_one_act(trained: Lab, tab_on: Callable[..., Tab]) -> None:
    lab, tab = trained, tab_on(trained)
    tiles = open_grid(tab)
    headings = tab.page.locator(".board h2")
    groups = headings.count()
    assert groups >= 2
    headings.nth(0).click()
    headings.nth(1).click(modifiers=["Shift"])
    n = int(tab.text(".grid .note").split()[0])
    tab.press("Enter")
    if n > 20:
        wait_for_dialog(tab, "ask-dialog")
        assert tab.text("#ask-title") == f"Accept the suggestions of {n} images?"
        tab.press("Enter")
    tab.wait("() => document.querySelector('#progress').textContent.includes('accepted')")
    accepted = [event for event in lab.log.events() if event.kind == "accept"]
    chosen = [lab.session.row_of(str(event.path)) for event in accepted]
    assert states(lab, chosen) == ["accept"] * n
    assert len(lab.labels()) == 12
    assert {(event.label, event.model) for event in accepted} == {
        (event.suggestion, "auto-12") for event in accepted
    }
    assert len({event.label for event in accepted}) == 2
    tab.page.evaluate("document.querySelector('.grid .board').scrollTop = 0")
    tab.wait("() => /^(red|green|blue) \\(accepted\\)$/"
             ".test(document.querySelector('.tile.accepted .cap')?.textContent)")  # fmt: skip
    tab.press("Control+z")
    message(tab, f"Undone: accepted {n} suggestions")
    assert states(lab, chosen) == [""] * n
    tab.wait("() => !document.querySelector('.tile.accepted')")
    tiles.first.click()  # one image: a label
    act(tab, "Accept")
    tab.wait("() => document.querySelector('#progress').textContent.startsWith('13 of 90')")
    assert len(lab.labels()) == 13


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_accepting_above_a_confidence_with_a_preview(
    trained: Lab, tab_on: Callable[..., Tab], by: str
) -> None:
    lab, tab = trained, tab_on(trained)
    tab.row()
    found = lab.get("/api/confident?min=0.5").json()
    if by == "mouse":
        act(tab, "Accept above 95 %")
    else:
        tab.press("Shift+A")
    wait_for_dialog(tab, "confident-dialog")
    least = sorted(found["confidence"])[len(found["confidence"]) // 3]
    kept = [
        row for row, each in zip(found["rows"], found["confidence"], strict=True) if each >= least
    ]
    if by == "mouse":
        tab.page.fill("#confident-least", f"{100 * least:.2f}")
    else:
        tab.press("Shift+Tab")
        tab.page.keyboard.type(f"{100 * least:.2f}")
    tab.press("Tab")
    accept = f"Accept {len(kept)} suggestions"
    tab.wait("text => document.querySelector('#confident-ok').textContent === text", accept)
    counts = dict.fromkeys(found["classes"], 0)
    for row, code in zip(found["rows"], found["codes"], strict=True):
        counts[found["classes"][code]] += row in kept
    shown = tab.text("#confident-counts").rstrip(".").split(", ")
    assert {text.split()[0]: int(text.split()[1]) for text in shown} == {
        name: count for name, count in counts.items() if count
    }
    tab.wait("() => document.querySelectorAll('#confident-board .tile img').length > 3")
    first = tab.page.locator("#confident-board .tile").first
    assert first.get_attribute("data-row") == str(kept[0])  # the least certain
    if by == "mouse":
        first.click()
        assert tab.text("#confident-ok") == f"Accept {len(kept) - 1} suggestions"
        tab.page.click("#confident-ok")
    else:
        tab.press("Space", "Enter")
    tab.wait("() => document.querySelector('#progress').textContent.includes('accepted')")
    assert states(lab, kept) == ["", *["accept"] * (len(kept) - 1)]
    assert len(lab.labels()) == 12
    assert lab.session.model.labelled == 12
    if by == "mouse":
        act(tab, "Undo")
    else:
        tab.press("u")
    message(tab, f"Undone: accepted {len(kept) - 1} suggestions")
    assert set(states(lab, kept)) == {""}


def test_many_images_and_labelled_images_ask_first(
    tmp_path: Path, open_lab: Callable[..., Lab], tab_on: Callable[..., Tab]
) -> None:
    lab = open_lab(make_photos(tmp_path / "photos", 40))
    lab.session.label([0, 1], "hat")
    lab.session.label([2], "cap")
    tab = tab_on(lab)
    tab.press("Shift+F", "Escape")
    tab.wait("() => document.querySelectorAll('.search .tile img').length > 4")
    tab.press("Control+a", "2")  # the key of the class cap
    wait_for_dialog(tab, "ask-dialog")
    assert tab.text("#ask-title") == "Label 40 images as cap?"
    assert tab.text("#ask-text") == "2 of them have labels that change: hat 2."
    tab.press("Escape")
    tab.wait("() => !document.querySelector('#ask-dialog').open")
    assert len(lab.labels()) == 3
    assert tab.text(".search .note") == "40 selected · 40 images"
    tab.press("2")
    wait_for_dialog(tab, "ask-dialog")
    # The event of the former question may come when this one is open.
    tab.page.dispatch_event("#ask-dialog", "close")
    tab.press("Enter")
    tab.wait("() => document.querySelector('#progress').textContent.startsWith('40 of 40')")
    assert set(lab.labels().values()) == {"cap"}
    tab.press("u")
    tab.wait("() => document.querySelector('#progress').textContent.startsWith('3 of 40')")
    tile = ".search .tile[data-row='{}']"
    tab.page.click(tile.format(0))
    tab.page.click(tile.format(2), modifiers=["Shift"])
    tab.press("2")
    wait_for_dialog(tab, "ask-dialog")
    assert tab.text("#ask-text") == "2 of them have labels that change: hat 2."
    tab.page.click("#ask-dialog button[value=cancel]")
    tab.press("Escape")
    tab.page.click(tile.format(0))
    tab.press("2")  # a single image: no question
    tab.wait("() => document.querySelector('#counts').textContent === 'hat1cap2'")


def test_review_replaces_several_labels_in_one_act(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    right = {row: kind_of(path) for row, path in enumerate(lab.session.ids)}
    wrong = {5: "red", 7: "blue"}
    for row, name in {**right, **wrong}.items():
        lab.session.label([row], name if right[row] != wrong.get(row) else "green")
    before = lab.labels()
    version = lab.session.version
    tab = tab_on(lab)
    tab.press("Shift+R")
    tab.wait("() => document.querySelectorAll('.review .tile img').length > 1")
    tab.press("Shift+ArrowRight")
    assert sorted(rows_of(tab.page.locator(".tile[aria-selected=true]"))) == [5, 7]
    act(tab, "Accept")
    wait_for_dialog(tab, "ask-dialog")
    assert tab.text("#ask-title") == "Replace the labels of 2 images by the suggestions?"
    tab.page.click("#ask-ok")
    end = time.monotonic() + 90
    while lab.session.version == version and time.monotonic() < end:
        time.sleep(0.02)
    assert lab.labels() == {path: kind_of(path) for path in lab.session.ids}
    assert [event.kind for event in lab.log.events(after=version)] == ["label", "label"]
    tab.press("u")
    message(tab, "Undone: labelled 2 images")
    assert lab.labels() == before


def test_shift_click_adds_a_range(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.press("Shift+F", "Escape")
    tab.wait("() => document.querySelectorAll('.search .tile img').length > 12")
    tiles = tab.page.locator(".search .tile")
    tiles.nth(0).click()
    tiles.nth(5).click()
    tiles.nth(8).click(modifiers=["Shift"])
    tiles.nth(10).click()
    chosen = rows_of(tab.page.locator(".tile[aria-selected=true]"))
    assert sorted(chosen) == [0, 5, 6, 7, 8, 10]


def test_views_follow_changes_and_undos_of_other_views(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(lab)
    row = int(tab.row())
    path = tab.text(".about .path")
    open_grid(tab)
    tile = tab.page.locator(f".grid .tile[data-row='{row}']")
    tile.click()
    act(tab, "Skip")
    tab.settled()
    tab.page.click("nav a[data-view=single]")
    next_path = "p => (document.querySelector('.about .path')?.textContent ?? p) !== p"
    tab.wait(next_path, path)
    tab.page.locator(".arrow.back").click()
    assert tab.text(".about .answer") == "skipped"
    tab.give("hat")  # Single labels the image that Grid had skipped
    tab.settled()
    tab.page.click("nav a[data-view=grid]")
    tile_text = "document.querySelector(`.grid .tile[data-row='${row}'] .cap`)?.textContent"
    caption = f"([row, text]) => {tile_text} === text"
    tab.wait(caption, [row, "hat"])
    tab.page.click("nav a[data-view=single]")
    act(tab, "Undo")
    message(tab, f"Undone: labelled {path} as hat")
    tab.page.click("nav a[data-view=grid]")
    tab.wait(caption, [row, "skipped"])
    act(tab, "Undo")
    tab.wait(f"row => {tile_text}?.includes('skipped') === false", row)
    assert states(lab, [row]) == [""]


def test_acts_in_one_tab_are_shown_and_undone_in_another(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    one = tab_on(lab)
    two = tab_on(lab, f"http://127.0.0.1:{lab.port}/")
    tiles = open_grid(one)
    tiles.nth(0).click()
    tiles.nth(3).click(modifiers=["Shift"])
    chosen = rows_of(one.page.locator(".tile[aria-selected=true]"))
    one.give("hat")
    two.progress("4 of 24")
    two.press("u")
    message(two, "Undone: labelled 4 images as hat")
    one.wait("() => !document.querySelector('.grid .tile.done')")
    assert states(lab, chosen) == [""] * 4
    assert lab.session.classes() == []


def test_classes_are_changed_in_their_dialog(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    lab.session.label([0, 1], "hat")
    lab.session.label([2], "cap")
    lab.session.add_class("scarf")
    lab.session.accept([3, 4], ["hat", "cap"], "logistic-3")
    tab = tab_on(lab)
    act(tab, "Classes")
    lines = tab.page.locator("#class-menu li")
    assert lines.all_inner_texts() == [
        "1\nhat\n2 labels, 1 accepted suggestion",
        "2\ncap\n1 label, 1 accepted suggestion",
        "3\nscarf\n0 labels",
    ]
    lines.nth(2).click()
    tab.page.click("#class-delete")  # without labels: no question
    message(tab, "Deleted class scarf. U undoes this.")
    lines.nth(0).click()
    tab.page.click("#class-delete")
    assert tab.text("#ask-title") == "Delete class hat?"
    assert tab.text("#ask-text") == "2 labels, 1 accepted suggestion are removed. U undoes this."
    tab.page.click("#ask-ok")
    message(tab, "Deleted class hat. U undoes this.")
    assert lab.session.classes() == ["cap"]
    assert states(lab, [0, 1, 2, 3, 4]) == ["", "", "label", "", "accept"]
    tab.page.click("#classes-dialog button[type=submit]")
    act(tab, "Undo")
    message(tab, "Undone: deleted class hat")
    assert states(lab, [0, 1, 2, 3, 4]) == ["label", "label", "label", "accept", "accept"]
    tab.press("Shift+C")
    tab.wait("() => document.querySelectorAll('#class-menu li').length === 2")
    tab.press("ArrowDown", "r")
    wait_for_dialog(tab, "class-dialog")
    tab.page.keyboard.type("beanie")
    tab.press("Enter")
    message(tab, "Renamed cap to beanie. U undoes this.")
    tab.press("m")
    wait_for_dialog(tab, "class-dialog")
    tab.page.keyboard.type("hat")
    tab.press("Enter")
    message(tab, "Merged beanie into hat. U undoes this.")
    assert set(lab.labels().values()) == {"hat"}
    tab.press("w")
    message(tab, "Withdrawn: 2 accepted suggestions. U undoes this.")
    assert states(lab, [0, 1, 2, 3, 4]) == ["label", "label", "label", "", ""]
    tab.press("Escape", "u")
    message(tab, "Undone: withdrew 2 accepted suggestions")
    tab.press("u")
    message(tab, "Undone: merged beanie into hat")
    tab.press("u")
    message(tab, "Undone: renamed cap to beanie")
    assert lab.labels() == {
        lab.session.ids[row]: name for row, name in enumerate(["hat", "hat", "cap"])
    }


def test_an_accepted_suggestion_is_confirmed_or_replaced_in_single(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(lab)
    row = int(tab.row())
    lab.session.label([(row + 1) % 24], "hat")
    lab.session.accept([row], ["hat"], "logistic-1")
    tab.wait(f"row => ({ROW})() !== String(row)", row)
    tab.press("ArrowLeft")
    assert tab.text(".about .answer") == "hat accepted suggestion, Enter confirms it"
    tab.press("Enter")
    tab.progress("2 of 24")
    assert states(lab, [row]) == ["label"]


ACTS = {
    "Accept": "Enter", "Skip": "S", "Unsure": "⇧U", "Remove label": "Delete", "Undo": "U",
    "More like this": "⇧L", "Enlarge": "⇧V", "Accept above 95 %": "⇧A", "Find class": "/",
    "Classes": "⇧C", "new class": "N",
}  # fmt: skip


@pytest.mark.parametrize("width", [1280, 768, 420])
def test_every_act_has_a_visible_button_with_its_key(
    lab: Lab, tab_on: Callable[..., Tab], width: int
) -> None:
    tab = tab_on(lab, width=width)
    buttons = tab.page.locator("#acts button, #classes button:last-child").all()
    keys = {
        each.locator("span").inner_text(): each.locator("kbd").text_content() for each in buttons
    }
    assert keys == ACTS
    for each in buttons:
        box = each.bounding_box()
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 800
