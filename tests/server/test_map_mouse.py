"""The map by mouse: hover, click, wheel and buttons; and its zoom by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.server.conftest import Lab
from tests.server.tabs import Tab

EDGE = 18
READY = "() => document.querySelector('.map-view .note')?.textContent === '24 images'"
SELECTED = "() => document.querySelector('.map-view .note').textContent.endsWith('selected')"


def open_map(lab: Lab, tab_on: Callable[..., Tab]) -> Tab:
    tab = tab_on(lab)
    tab.press("Shift+M")
    tab.wait(READY)
    return tab


def place_of(lab: Lab, tab: Tab, row: int) -> tuple[float, float]:
    """Return where the page draws an image before any zoom."""
    points = np.frombuffer(lab.get("/api/map/points").body, "<u2").reshape(-1, 2) / 65535
    box: dict[str, Any] = tab.page.locator("canvas").bounding_box()
    x = box["x"] + EDGE + points[row, 0] * (box["width"] - 2 * EDGE)
    y = box["y"] + EDGE + (1 - points[row, 1]) * (box["height"] - 2 * EDGE)
    return float(x), float(y)


def lonely_row(lab: Lab) -> int:
    """Return the row that is farthest from its nearest neighbour on the map."""
    points = np.frombuffer(lab.get("/api/map/points").body, "<u2").reshape(-1, 2).astype(float)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    return int(gaps.min(axis=1).argmax())


def test_hover_shows_the_image_and_a_click_opens_it(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    row = lonely_row(lab)
    lab.session.label([row], "hat")
    tab = open_map(lab, tab_on)
    x, y = place_of(lab, tab, row)
    tab.page.mouse.move(x + 3, y - 2)
    tab.wait("r => document.querySelector('.hover:not([hidden])')?.dataset.row === r", str(row))
    assert tab.text(".hover bdi") == "hat"
    tab.page.mouse.click(x + 3, y - 2)
    tab.wait("() => document.querySelector('#look-dialog').open")
    assert tab.text("#look-path") == lab.session.ids[row]
    tab.press("Escape")
    box = tab.page.locator("canvas").bounding_box()
    tab.page.mouse.move(box["x"] + 1, box["y"] - 40)
    tab.wait("() => document.querySelector('.hover').hidden")
    assert tab.text(".map-view .note") == "24 images"  # a click selects nothing


def test_the_wheel_zooms_at_the_pointer(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = open_map(lab, tab_on)
    row = lonely_row(lab)
    x, y = place_of(lab, tab, row)
    tab.page.mouse.move(x, y)
    for _ in range(8):
        tab.page.mouse.wheel(0, -100)
    tab.page.mouse.move(x + 4, y + 4)  # the image under the pointer stays there
    tab.wait("r => document.querySelector('.hover:not([hidden])')?.dataset.row === r", str(row))
    box = tab.page.locator("canvas").bounding_box()
    left, top = box["x"] + 2, box["y"] + 2
    right, bottom = left + box["width"] - 4, top + box["height"] - 60
    corners = (left, top), (right, top), (right, bottom), (left, bottom)

    def lasso() -> int:
        tab.page.mouse.move(*corners[0])
        tab.page.mouse.down()
        for corner in (*corners[1:], corners[0]):
            tab.page.mouse.move(*corner, steps=3)
        tab.page.mouse.up()
        tab.wait(SELECTED)
        chosen = int(tab.text(".map-view .note").split()[0])
        tab.press("Escape")
        tab.wait(READY)
        return chosen

    near = lasso()
    assert 1 <= near < 24
    tab.page.get_by_role("button", name="Show the whole map").click()
    assert lasso() > near


def test_zoom_by_buttons_and_keys(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = open_map(lab, tab_on)

    def selected() -> int:
        tab.press("Space")
        text = tab.text(".map-view .note")
        tab.press("Escape")
        tab.wait(READY)
        return int(text.split()[0]) if text.endswith("selected") else 0

    for _ in range(12):
        tab.press("+")
    before = selected()
    assert before > 1
    for _ in range(9):
        tab.press("]")
    assert selected() < before
    tab.press("Home")
    assert selected() == before
    for _ in range(9):
        tab.page.get_by_role("button", name="Zoom in").click()
    assert selected() < before
    for _ in range(9):
        tab.page.get_by_role("button", name="Zoom out").click()
    assert selected() == before
