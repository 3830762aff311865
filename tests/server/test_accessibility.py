"""No violation of WCAG 2.1 AA in any view, light and dark, wide and narrow, by axe-core."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.accessibility import violations
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab, kind_of


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with labels, skipped and unreadable files, copies, and a model."""
    folder = tmp_path_factory.mktemp("busy")
    photos = make_photos(folder / "photos", 48)
    (photos / "day0" / "copy.jpg").write_bytes((photos / "day0" / "0000.jpg").read_bytes())
    (photos / "broken.jpg").write_bytes(b"not an image")
    lab = Lab(photos, folder / "workspace")
    for row, path in enumerate(lab.session.ids[:30]):
        if path[-8:-4].isdecimal():
            lab.session.label([row], kind_of(path))
    lab.session.mark([31], "skip")
    lab.session.retrain()
    yield lab
    lab.close()


VIEWS = {
    "overview": "() => document.querySelectorAll('.overview .card').length > 3",
    "single": "() => document.querySelector('.single')?.dataset.row",
    "grid": "() => document.querySelector('.grid .tile img')",
    "review": "() => document.querySelector('.review .note')?.textContent.match(/label/)",
    "search": "() => document.querySelector('.search .tile img')",
    "map": "() => document.querySelector('.map-view .note')?.textContent.endsWith('images')",
}


STILL = "() => Promise.all(document.getAnimations().map(each => each.finished))"
"""Expression that ends when nothing moves or fades."""


@pytest.mark.parametrize("width", [1280, 768, 420])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_views_and_dialogs_have_no_violation(
    busy: Lab, tab_on: Callable[..., Tab], axe: str, scheme: str, width: int
) -> None:
    tab = tab_on(busy, width=width, color_scheme=scheme)
    found = {}
    for view, ready in VIEWS.items():
        tab.page.evaluate("view => { location.hash = view; }", view)
        tab.wait(ready)
        if view == "search":
            tab.page.get_by_role("button", name="Filters").click()
            tab.wait("() => document.querySelector('[aria-label=Folder]').options.length > 1")
        if view in ("grid", "search"):
            tab.press("Escape", "Space")
        tab.page.evaluate(STILL)
        found[view] = violations(tab.page, axe)
    if width < 860:
        tab.press("Shift+P")
        found["panel"] = violations(tab.page, axe)
    dialogs = {"keys": "?", "trial": "Shift+T", "new class": "n", "classes": "Shift+C"}
    for name, keys in (dialogs | {"confident": "Shift+A"}).items():
        tab.press(keys)
        tab.page.wait_for_timeout(100)
        tab.page.evaluate(STILL)
        found[name] = violations(tab.page, axe)
        tab.press("Escape")
    assert {view: rules for view, rules in found.items() if rules} == {}


def test_the_page_without_a_token_has_no_violation(busy: Lab, browser: Any, axe: str) -> None:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{busy.port}/")
    assert "embedpipe label --url" in page.inner_text("main")
    assert violations(page, axe) == {}
    page.close()
