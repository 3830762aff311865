"""Search by every condition, in every order, by mouse and by keyboard."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab, kind_of

N = 24


def make_dated_photos(folder: Path) -> Path:
    """24 photos in two folders; photo i was changed on 1 + i May 2024, and each third is large."""
    make_photos(folder, N)
    for number, path in enumerate(sorted(folder.rglob("*.jpg"), key=lambda path: path.name)):
        if number % 3 == 2:
            with Image.open(path) as image:
                image.resize((640 + number, 480)).save(path)
        moment = datetime(2024, 5, 1 + number, 12).timestamp()
        os.utime(path, (moment, moment))
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with 12 labels by two persons, one skipped image, and a model; tests only read."""
    folder = tmp_path_factory.mktemp("labelled")
    lab = Lab(make_dated_photos(folder / "photos"), folder / "workspace")
    for row in range(12):
        lab.session.who = "ann" if row < 8 else "bob"
        lab.session.label([row], kind_of(lab.session.ids[row]))
    lab.session.mark([23], "skip")
    lab.session.retrain()
    yield lab
    lab.close()


def rows(lab: Lab, query: str) -> list[int]:
    """Return the rows that a query finds, in order."""
    found = lab.get(f"/api/items?{query}&limit=100").json()
    assert found["total"] == len(found["items"])
    return [item["row"] for item in found["items"]]


def number(lab: Lab, row: int) -> int:
    return int(lab.session.ids[row][-8:-4])


def test_by_state_and_annotator(labelled: Lab) -> None:
    assert rows(labelled, "state=labelled") == list(range(12))
    assert rows(labelled, "state=label") == list(range(12))
    assert rows(labelled, "state=unlabelled") == list(range(12, 23))
    assert rows(labelled, "state=skip") == [23]
    assert rows(labelled, "annotator=bob") == [8, 9, 10, 11, 23]
    assert rows(labelled, "annotator=carl") == []


def test_by_folder(labelled: Lab) -> None:
    assert rows(labelled, "folder=day0") == list(range(12))
    assert rows(labelled, "folder=day1") == list(range(12, 24))
    assert rows(labelled, "folder=day") == []
    assert rows(labelled, "folder=.") == []


def test_by_suggestion_and_confidence(labelled: Lab) -> None:
    model = labelled.session.model
    assert model is not None
    red = [row for row in range(N) if model.classes[model.codes[row]] == "red"]
    assert rows(labelled, "predicted=red") == red
    assert rows(labelled, "predicted=hat") == []
    limit = round(float(np.median(model.confidence)), 4)
    sure = np.flatnonzero(model.confidence >= np.float32(limit)).tolist()
    assert rows(labelled, f"min_confidence={limit}") == sure
    unsure = np.flatnonzero(model.confidence <= np.float32(limit)).tolist()
    assert rows(labelled, f"max_confidence={limit}") == unsure
    assert set(sure) | set(unsure) == set(range(N))


def test_by_size_and_date(labelled: Lab) -> None:
    large = [row for row in range(N) if number(labelled, row) % 3 == 2]
    assert rows(labelled, "min_side=480") == large
    assert rows(labelled, "max_side=479") == [row for row in range(N) if row not in large]
    assert rows(labelled, "min_side=49&max_side=479") == []
    may = rows(labelled, "after=2024-05-03&before=2024-05-05")
    assert sorted(number(labelled, row) for row in may) == [2, 3, 4]
    assert len(rows(labelled, "after=2024-05-01")) == N
    assert rows(labelled, "before=2024-04-30") == []


def test_all_conditions_together(labelled: Lab) -> None:
    query = (
        "q=0&state=unlabelled&predicted=blue&min_confidence=0.1&folder=day1&min_side=100"
        "&after=2024-05-01&before=2024-05-31&sort=-date"
    )
    blue = [row for row in range(12, 23) if number(labelled, row) % 3 == 2]
    assert rows(labelled, query) == sorted(blue, key=lambda row: -number(labelled, row))


def test_every_order(labelled: Lab) -> None:
    model = labelled.session.model
    assert model is not None
    by_date = sorted(range(N), key=lambda row: number(labelled, row))
    assert rows(labelled, "sort=date") == by_date
    assert rows(labelled, "sort=-date") == by_date[::-1]
    assert rows(labelled, "sort=-path") == list(range(N))[::-1]
    largest = rows(labelled, "sort=-size")
    assert number(labelled, largest[0]) == 23  # 663 pixels wide
    assert rows(labelled, "sort=size")[-1] == largest[0]
    assert rows(labelled, "sort=confidence") == np.argsort(model.confidence, kind="stable").tolist()
    surest = np.argsort(-model.confidence.astype(np.float64), kind="stable").tolist()
    assert rows(labelled, "sort=-confidence") == surest
    code = model.classes.index("green")
    likely = model.head.predict_proba(labelled.embeddings.matrix)[:, code]
    wanted = np.argsort(-likely, kind="stable").tolist()
    assert rows(labelled, "likely=green") == wanted
    assert rows(labelled, "likely=none") == list(range(N))


def test_pages_of_an_order_fit_together(labelled: Lab) -> None:
    whole = rows(labelled, "sort=-confidence")
    pages = [
        item["row"]
        for offset in range(0, N, 5)
        for item in labelled.get(f"/api/items?sort=-confidence&offset={offset}&limit=5").json()[
            "items"
        ]
    ]
    assert pages == whole


def test_the_choices_have_counts(labelled: Lab) -> None:
    found = labelled.get("/api/choices").json()
    classes = dict.fromkeys(("red", "green", "blue"), 4)
    assert {each["name"]: each["count"] for each in found["labels"]} == classes
    assert sum(each["count"] for each in found["predicted"]) == N
    assert found["annotators"] == [{"name": "ann", "count": 8}, {"name": "bob", "count": 5}]
    assert found["folders"] == [{"name": "day0", "count": 12}, {"name": "day1", "count": 12}]
    assert found["sides"] == [48, 480]
    assert found["dates"] == ["2024-05-01", "2024-05-24"]


def test_a_new_label_changes_the_result(lab: Lab) -> None:
    assert rows(lab, "state=labelled") == []
    lab.session.label([5], "red")
    assert rows(lab, "state=labelled") == [5]
    lab.session.undo()
    assert rows(lab, "state=labelled") == []


def test_accepted_suggestions_are_found_apart_from_labels(lab: Lab) -> None:
    lab.session.label([5], "red")
    lab.session.accept([6, 7], ["red", "red"], "logistic-1")
    assert rows(lab, "state=label") == [5]
    assert rows(lab, "state=accept") == [6, 7]
    assert rows(lab, "state=labelled") == rows(lab, "label=red") == [5, 6, 7]
    assert rows(lab, "label=red&state=accept") == [6, 7]
    assert lab.get("/api/choices").json()["labels"] == [{"name": "red", "count": 3}]


def found(tab: Tab, text: str) -> None:
    tab.wait("t => document.querySelector('.search .note').textContent === t", text)


def test_filters_by_mouse(labelled: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(labelled)
    tab.page.click("nav a[data-view=search]")
    found(tab, "24 images")
    tab.page.get_by_role("button", name="Filters").click()
    tab.wait("() => document.querySelector('[aria-label=Folder]').options.length === 3")
    tab.page.get_by_label("State", exact=True).select_option("unlabelled")
    found(tab, "11 of 24 images")
    tab.page.get_by_label("Suggestion", exact=True).select_option("red")
    found(tab, f"{len(rows(labelled, 'state=unlabelled&predicted=red'))} of 24 images")
    assert tab.page.get_by_role("button", name="Filters (2)").count() == 1
    tab.page.get_by_role("button", name="Clear filters").click()
    found(tab, "24 images")
    tab.page.get_by_label("Order").select_option("-date")
    tab.wait("() => /0023/.test(document.querySelector('#tile-0')?.title)")
    before = tab.page.locator("#tile-0").bounding_box()["width"]
    tab.page.get_by_label("Size of the images").fill("300")
    tab.wait("w => document.querySelector('#tile-0').offsetWidth > 1.5 * w", before)


def test_filters_by_keyboard(labelled: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(labelled)
    tab.press("Shift+F", "Tab", "Tab", "Enter")  # the order, then the button of the filters
    tab.wait("() => document.querySelector('[aria-label=Folder]')?.options.length === 3")
    tab.press("Tab", "Tab")
    assert tab.page.evaluate("document.activeElement.ariaLabel") == "State"
    tab.press("ArrowDown")
    found(tab, "11 of 24 images")
    for _ in range(3):
        tab.press("Tab")
    assert tab.page.evaluate("document.activeElement.ariaLabel").startswith("Lowest confidence")
    tab.page.keyboard.type("100")
    found(tab, "0 of 24 images")
    tab.press("Backspace", "Backspace", "Backspace", "Escape")
    found(tab, "11 of 24 images")
    assert tab.page.evaluate("document.activeElement.className") == "board"


def test_a_link_opens_a_search(labelled: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(labelled)
    tab.page.evaluate("location.hash = '#search?predicted=green&state=unlabelled&sort=confidence'")
    count = len(rows(labelled, "predicted=green&state=unlabelled"))
    found(tab, f"{count} of 24 images")
    assert tab.page.url.endswith("#search")
