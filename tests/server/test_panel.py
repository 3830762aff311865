"""The panel: the expected accuracy, the results per class, and the chart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.server.conftest import Lab
from tests.server.tabs import Tab, kind_of
from tests.server.test_api import wait_for_model


def label_some(lab: Lab, count: int) -> dict[str, Any]:
    """Label the first images, and return the status with the model of these labels."""
    for row in range(count):
        lab.session.label([row], kind_of(lab.session.ids[row]))
    lab.post("/api/retrain", {}).json()
    return wait_for_model(lab, count)


def shown_percent(share: float) -> str:
    return f"{100 * share:.1f} %" if 0.99 < share < 1 or share < 0.01 else f"{round(100 * share)} %"


def test_the_number_is_about_the_images_without_a_label(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    tab = tab_on(lab)
    assert tab.text("#accuracy") == "Not known yet. Label images of two classes."
    expected = label_some(lab, 12)["model"]["expected"]
    value, low, high = (shown_percent(expected[name]) for name in ("value", "low", "high"))
    tab.shows("#accuracy", "on the 12 images without a label")
    assert tab.text("#accuracy").split("\n") == [
        value, f"{low} to {high}, on the 12 images without a label"
    ]  # fmt: skip
    assert "Cross-validated" not in tab.text("#panel")
    tab.page.get_by_text("Details").click()
    tab.shows("#cross-validated", "Cross-validated accuracy on the labelled images: ")
    first = tab.text("#panel").casefold() + tab.text("#next").casefold()
    for word in ("margin", "coreset", "typiclust", "strategy", "head"):
        assert word not in first


def test_with_few_images_left_the_advice_counts_wrong_suggestions(
    lab: Lab, tab_on: Callable[..., Tab]
) -> None:
    model = label_some(lab, 12)["model"]
    wrong = round(12 * (1 - model["expected"]["value"]))
    number = f"about {wrong}" if wrong else "fewer than one"
    assert model["reason"] == f"Expected wrong suggestions: {number} of the 12 without a label."
    tab = tab_on(lab)
    tab.shows("#advice", model["reason"])


def test_the_note_on_a_failed_export_does_not_stay(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(lab)
    tab.page.get_by_role("button", name="Export", exact=True).click()
    tab.shows("#message", "Not exported: there are no labels to export: label some images first.")
    assert tab.text("#exported") == ""
    tab.problems.clear()  # the refused export


def test_a_click_on_a_class_shows_its_suggestions(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    label_some(lab, 12)
    tab = tab_on(lab)
    tab.wait("() => document.querySelectorAll('.shares a').length === 3")
    ranked = [each["class"] for each in lab.get("/api/confusion").json()["per_class"]]
    assert tab.page.locator(".shares bdi").all_inner_texts() == ranked
    tab.page.locator(".shares a").first.click()
    found = lab.get(f"/api/items?state=unlabelled&predicted={ranked[0]}&sort=confidence").json()
    tab.shows(".search .note", f"{found['total']} of 24 images")
    rows = [int(each.get_attribute("data-row")) for each in tab.page.locator(".tile").all()]
    assert rows == [item["row"] for item in found["items"]]
    tab.page.get_by_text("Which classes are confused").click()
    cell = tab.page.locator(".confusion td.right a").first
    code = ranked[0]
    assert cell.get_attribute("href") == f"#search?state=unlabelled&predicted={code}&likely={code}"
    cell.focus()
    tab.press("Enter")
    tab.shows(".search .note", f"{found['total']} of 24 images")


def test_the_chart_never_runs_backwards(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    label_some(lab, 12)
    for row in (12, 13):
        lab.session.label([row], kind_of(lab.session.ids[row]))
        lab.post("/api/retrain", {}).json()
        wait_for_model(lab, row + 1)
    for left in (13, 12, 11):
        lab.session.undo()
        lab.post("/api/retrain", {}).json()
        status = wait_for_model(lab, left)
        labels = [point[0] for point in status["curve"]]
        assert labels == sorted(set(labels))
    tab = tab_on(lab)
    tab.wait("() => document.querySelector('#curve polyline')")
    line = str(tab.page.locator("#curve polyline").get_attribute("points"))
    steps = np.diff([float(point.split(",")[0]) for point in line.split()])
    assert (steps > 0).all()
