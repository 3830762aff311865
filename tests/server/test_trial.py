"""The model's prediction for an image that is not in the dataset."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import embedpipe as ep
from tests.server.conftest import Lab, make_photos
from tests.server.tabs import Tab, kind_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with a model of three classes; its tests change nothing."""
    folder = tmp_path_factory.mktemp("trained")
    lab = Lab(make_photos(folder / "photos", 24), folder / "workspace")
    for row in range(12):
        lab.session.label([row], kind_of(lab.session.ids[row]))
    lab.session.retrain()
    yield lab
    lab.close()


def send(lab: Lab, content: bytes, kind: str = "image/jpeg") -> Any:
    headers = {"authorization": f"Bearer {lab.token}", "content-type": kind}
    return lab.raw("POST", "/api/predict", headers, content)


def files_of(lab: Lab) -> set[Path]:
    return {path for path in lab.folder.parent.rglob("*") if path.is_file()}


def test_the_prediction_equals_that_of_the_same_image_in_the_dataset(trained: Lab) -> None:
    before, events = files_of(trained), list(trained.log.events())
    model = trained.session.model
    assert model is not None
    for row in (0, 13, 20):
        content = (trained.folder / trained.session.ids[row]).read_bytes()
        found = send(trained, content).json()
        known = model.head.predict_proba(trained.embeddings.matrix[[row]])[0]
        assert found["classes"][0]["name"] == model.classes[model.codes[row]]
        probabilities = {each["name"]: each["probability"] for each in found["classes"]}
        for name, share in zip(model.classes, known, strict=True):
            assert probabilities[name] == pytest.approx(share, abs=0.001)
        assert (found["width"], found["height"], found["labelled"]) == (64, 48, 12)
    assert files_of(trained) == before  # nothing is stored
    assert list(trained.log.events()) == events


def test_formats_other_than_jpeg(trained: Lab) -> None:
    content = io.BytesIO()
    Image.new("RGBA", (30, 20), (200, 10, 10, 255)).save(content, "TIFF")
    for kind in ("image/tiff", "application/octet-stream", "IMAGE/TIFF; q=1"):
        assert send(trained, content.getvalue(), kind).json()["width"] == 30


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in a few kilobytes."""
    content = bytearray()
    image = io.BytesIO()
    Image.new("1", (8, 8)).save(image, "PNG")
    content += image.getvalue()
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [b"", b"not an image", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\xff\xd8\xff", bomb()],
    ids=["empty", "text", "svg", "truncated", "huge"],
)
def test_other_files_are_refused_in_plain_words(trained: Lab, content: bytes) -> None:
    status, message = send(trained, content).error()
    assert status == 400
    assert message.startswith("the file cannot be used as an image: it ")
    assert "Error" not in message


def test_without_a_model_the_message_says_what_to_do(lab: Lab) -> None:
    assert send(lab, b"x").error() == (
        400, "there is no model yet: label images of two classes first."
    )  # fmt: skip


def test_the_bytes_of_a_request_have_a_limit(trained: Lab) -> None:
    headers = {"authorization": f"Bearer {trained.token}", "content-type": "image/png"}
    refused = trained.raw("POST", "/api/predict", headers, b"x" * 40_000_001)
    assert refused.error() == (413, "the body has more than 40,000,000 bytes.")
    for kind in ("text/html", "multipart/form-data; boundary=x", "application/json"):
        assert send(trained, b"x", kind).error() == (
            415, "the content type must be image/… or application/octet-stream."
        )  # fmt: skip


def test_imported_vectors_have_no_backbone(tmp_path: Path, trained: Lab) -> None:
    from dataclasses import replace

    from embedpipe._workspace import Workspace
    from embedpipe.embedding.image_encoder import ImageEncoder

    imported = replace(trained.embeddings, options=None)
    with pytest.raises(ep.errors.UsageError) as caught:
        ImageEncoder(imported, Workspace(tmp_path)).encode(b"x")
    assert str(caught.value) == (
        "the vectors of this dataset were imported, so that the backbone is unknown and no new "
        "image can be predicted."
    )


TRANSFER = """([data, name, kind]) => {
  const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: kind }));
  return transfer;
}"""


def drop(tab: Tab, content: bytes, kind: str = "image/jpeg", how: str = "drop") -> None:
    """Drop or paste a file onto the page."""
    given = [base64.b64encode(content).decode(), "x.jpg", kind]
    transfer = tab.page.evaluate_handle(TRANSFER, given)
    if how == "drop":
        tab.page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
        assert tab.page.evaluate("document.body.classList.contains('dropping')")
        tab.page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    else:
        tab.page.evaluate(
            "data => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data}))",
            transfer,
        )


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_an_image_is_dropped_or_pasted(trained: Lab, tab_on: Callable[..., Tab], how: str) -> None:
    tab = tab_on(trained)
    row = next(row for row in range(12, 24) if kind_of(trained.session.ids[row]) == "green")
    drop(tab, (trained.folder / trained.session.ids[row]).read_bytes(), how=how)
    tab.wait("() => document.querySelector('#trial-answer li bdi')?.textContent === 'green'")
    assert tab.page.evaluate("document.querySelector('#trial-image canvas').width") == 64
    tab.press("Escape")
    assert not tab.page.evaluate("document.querySelector('#trial-dialog').open")
    assert len(trained.labels()) == 12


def test_an_image_is_chosen_by_button_and_by_key(trained: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(trained)
    tab.page.get_by_role("button", name="Try the model on an image").click()
    path = trained.folder / trained.session.ids[14]
    with tab.page.expect_file_chooser() as waiting:
        tab.page.get_by_role("button", name="Choose an image").click()
    waiting.value.set_files(path)
    wanted = kind_of(trained.session.ids[14])
    tab.wait("n => document.querySelector('#trial-answer li bdi')?.textContent === n", wanted)
    tab.press("Escape", "Shift+T")
    tab.shows("#trial-answer", "drop it anywhere")


def test_a_text_file_is_refused_in_the_page(trained: Lab, tab_on: Callable[..., Tab]) -> None:
    tab = tab_on(trained)
    drop(tab, b"hello", "text/plain")
    tab.shows("#trial-answer", "No prediction: the file cannot be used as an image: it ")
    tab.problems.clear()  # the browser logs the status 400
