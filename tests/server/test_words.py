"""Search by words and by an image in the page, and suggestions from the names of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import embedpipe as ep
from tests.colour_words import ColourWords
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab, kind_of
from tests.server.test_trial import drop


@pytest.fixture(scope="module")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with a backbone that knows words, and a model from the names of three classes."""
    folder = tmp_path_factory.mktemp("coloured")
    lab = Lab(make_photos(folder / "photos", 24), folder / "workspace", ColourWords(), KINDS)
    for name in KINDS:
        lab.session.add_class(name)
    yield lab
    lab.close()


KINDS = ["red", "green", "blue"]


def send(lab: Lab, content: bytes) -> str:
    headers = {"authorization": f"Bearer {lab.token}", "content-type": "image/jpeg"}
    return str(lab.raw("POST", "/api/search/image", headers, content).json()["image"])


def kinds(lab: Lab, query: str) -> list[str]:
    items = lab.get(f"/api/items?{query}&limit=100").json()["items"]
    return [kind_of(item["path"]) for item in items]


def test_items_are_sorted_by_words(coloured: Lab) -> None:
    assert kinds(coloured, "words=something%20blue")[:8] == ["blue"] * 8
    assert kinds(coloured, "words=red&folder=day0")[:4] == ["red"] * 4
    assert len(kinds(coloured, "words=red&folder=day0")) == 12
    rows = [each["row"] for each in coloured.get("/api/items?words=red").json()["items"]]
    found = ep.search(coloured.embeddings, "red", n=100, workspace=coloured.workspace)
    assert rows == found.rows.tolist()


def test_items_are_sorted_by_an_image(coloured: Lab) -> None:
    content = (coloured.folder / coloured.session.ids[5]).read_bytes()
    key = send(coloured, content)
    items = coloured.get(f"/api/items?image={key}").json()["items"]
    assert items[0]["row"] == 5
    assert coloured.get("/api/items?image=unknown").error() == (
        404, "this image is not in memory any more: search with it again."
    )  # fmt: skip


def test_without_a_text_tower_only_images_are_queries(lab: Lab, tab_on: Callable[..., Tab]) -> None:
    assert lab.get("/api/status").json()["search_by"] == {"words": False, "image": True}
    status, message = lab.get("/api/items?words=red").error()
    assert status == 400
    assert message.startswith("the backbone 'toy' has no text tower")
    tab = tab_on(lab, view="search")
    tab.page.get_by_label("Words in the path").wait_for()
    assert not tab.page.get_by_label("What the image shows").is_visible()
    assert tab.page.get_by_role("button", name="Search with an image").is_visible()


def test_words_are_typed_and_cleared(coloured: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(coloured, view="search")
    field = tab.page.get_by_role("searchbox", name="What the image shows")
    field.fill("green")
    with tab.page.expect_response(lambda answer: "words=green" in answer.url) as waiting:
        field.press("Enter")
    rows = [each["row"] for each in waiting.value.json()["items"]]
    assert {kind_of(coloured.session.ids[row]) for row in rows[:8]} == {"green"}
    assert tab.page.get_by_label("Order").is_disabled()
    tab.wait("() => document.activeElement.ariaLabel !== 'What the image shows'")
    with tab.page.expect_response(lambda answer: "words" not in answer.url and "q=" in answer.url):
        field.fill("")
        field.press("Enter")
    assert tab.page.get_by_label("Order").is_enabled()


@pytest.mark.parametrize("how", ["drop", "paste", "choose"])
def test_an_image_is_a_query_in_search(coloured: Lab, tab_on: Callable[..., Tab], how: str) -> None:
    tab = tab_on(coloured, view="search")
    path = coloured.folder / coloured.session.ids[7]
    with tab.page.expect_response(lambda answer: "image=" in answer.url) as waiting:
        if how == "choose":
            with tab.page.expect_file_chooser() as choosing:
                tab.page.get_by_role("button", name="Search with an image").click()
            choosing.value.set_files(path)
        else:
            drop(tab, path.read_bytes(), how=how)
    assert waiting.value.json()["items"][0]["row"] == 7
    assert not tab.page.locator("#trial-dialog").is_visible()
    name = path.name if how == "choose" else "x.jpg"
    ending = tab.page.get_by_role("button", name=f"Similar to {name}")
    with tab.page.expect_response(lambda answer: "image=" not in answer.url):
        ending.click()
    tab.page.get_by_role("button", name="Search with an image").wait_for()


def test_the_page_suggests_the_classes_of_the_names(
    coloured: Lab, tab_on: Callable[..., Tab]
) -> None:
    assert coloured.get("/api/status").json()["model"]["zero_shot"] is True
    batch = coloured.get("/api/batch?n=12").json()["items"]
    assert [each["suggestion"] for each in batch] == [kind_of(each["path"]) for each in batch]
    tab = tab_on(coloured)
    assert tab.classes() == KINDS
    tab.shows("#next", "they come from the names of the classes")
    assert np.all([kind in tab.text("#counts") for kind in KINDS])
