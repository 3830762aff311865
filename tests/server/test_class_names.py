"""The page asks about new classes whose names are similar to others."""

from __future__ import annotations

from collections.abc import Callable

from tests.labelling.test_class_names import CASES
from tests.server.conftest import Lab
from tests.server.tabs import ROW, Tab

CALL = """async cases => {
  const { similarClass } = await import('/static/js/class_names.js');
  return cases.map(([name, names]) => similarClass(name, names) ?? null);
}"""


def test_the_page_has_the_rule_of_the_library(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    found = tab_on(lab).page.evaluate(CALL, [[name, classes] for name, classes, _ in CASES])
    assert found == [similar for _, _, similar in CASES]


def test_a_typing_error_is_asked_about(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    lab.session.add_class("shirt")
    tab = tab_on(lab)
    row = tab.row()
    tab.press("n")
    tab.page.keyboard.type("shrit")
    tab.press("Enter")
    tab.shows("#class-note", "Did you mean shirt?")
    assert lab.session.classes() == ["shirt"]
    tab.page.get_by_role("button", name="Use shirt").click()
    tab.wait(f"row => ({ROW})() !== row", row)
    tab.settled()
    assert list(lab.labels().values()) == ["shirt"]
    row = tab.row()
    tab.press("n")
    tab.page.keyboard.type("shrit")
    tab.press("Enter", "Enter")  # it is meant
    tab.wait(f"row => ({ROW})() !== row", row)
    tab.settled()
    assert lab.session.classes() == ["shirt", "shrit"]
    tab.press("n")
    tab.page.keyboard.type("SHIRT")
    tab.press("Enter")  # case does not count
    tab.settled()
    assert sorted(lab.labels().values()) == ["shirt", "shirt", "shrit"]


def test_a_rename_to_a_similar_name_is_asked_about(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    lab.session.label([0], "boots")
    lab.session.label([1], "shoes")
    tab = tab_on(lab)
    tab.page.locator("#counts button").first.click()
    tab.page.keyboard.type("shoess")
    tab.press("Enter")
    tab.shows("#class-note", "Did you mean shoes?")
    tab.page.get_by_role("button", name="Use shoes").click()
    tab.page.get_by_role("button", name="Merge", exact=True).click()
    tab.wait("() => document.querySelector('#counts').textContent === 'shoes2'")
    assert set(lab.labels().values()) == {"shoes"}
