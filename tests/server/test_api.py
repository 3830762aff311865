"""The HTTP interface: the responses, and the label log after each request."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedpipe.labels.exchange import formats
from tests.server.conftest import Lab, make_photos


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server for tests that only read."""
    folder = tmp_path_factory.mktemp("still")
    lab = Lab(make_photos(folder / "photos", 24), folder / "workspace")
    yield lab
    lab.close()


def kind_of(path: str) -> str:
    """Return the class of a photo, which depends on its number."""
    return ("red", "green", "blue")[int(path[-8:-4]) % 3]


def label_all(lab: Lab, rows: list[int]) -> None:
    for row in rows:
        lab.post("/api/label", {"rows": [row], "label": kind_of(lab.session.ids[row])}).json()


def wait_for_model(lab: Lab, labelled: int) -> dict[str, object]:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        status = lab.get("/api/status").json()
        if status["model"] and status["model"]["labelled"] == labelled and not status["training"]:
            return dict(status)
        time.sleep(0.05)
    raise AssertionError(f"no model of {labelled} labels: {status}")


def test_status_of_a_new_workspace(still: Lab) -> None:
    status = still.get("/api/status").json()
    names = ("items", "labelled", "skipped", "classes", "model")
    assert [status[name] for name in names] == [24, 0, 0, [], None]
    assert status["training"] is False
    assert status["curve"] == []


def test_an_unchanged_status_is_not_sent(still: Lab) -> None:
    etag = still.get("/api/status").headers["etag"]
    assert still.get("/api/status", **{"if-none-match": etag}).status == 304
    assert still.get("/api/status", **{"if-none-match": '"other"'}).status == 200


def test_a_label_is_in_the_log_before_the_response(lab: Lab) -> None:
    response = lab.post(
        "/api/label",
        {"rows": [2, 0, 2], "label": " hat ", "suggestions": ["cap", None], "model": "logistic-9"},
    )
    events = list(lab.log.events())
    assert response.json() == {"version": events[-1].id}
    assert [(e.path, e.label, e.who, e.suggestion, e.model) for e in events] == [
        (lab.session.ids[2], "hat", "ann", "cap", "logistic-9"),
        (lab.session.ids[0], "hat", "ann", None, "logistic-9"),
    ]


def test_skip_unsure_clear_and_undo(lab: Lab) -> None:
    lab.post("/api/mark", {"rows": [0], "kind": "skip"}).json()
    lab.post("/api/mark", {"rows": [1], "kind": "unsure"}).json()
    lab.post("/api/label", {"rows": [2, 3], "label": "hat"}).json()
    lab.post("/api/mark", {"rows": [3], "kind": "clear"}).json()
    status = lab.get("/api/status").json()
    assert (status["labelled"], status["skipped"], status["unsure"]) == (1, 1, 1)
    states = [item["state"] for item in lab.get("/api/items?rows=0,1,2,3").json()["items"]]
    assert states == ["skip", "unsure", "label", ""]
    undone = lab.post("/api/undo", {}).json()
    assert undone["rows"] == [3]
    assert undone["items"][0]["label"] == "hat"
    assert undone["act"] == {"kind": "clear", "label": None, "previous": None}
    assert sorted(lab.post("/api/undo", {}).json()["rows"]) == [2, 3]
    assert lab.labels() == {}
    for _ in range(2):
        assert lab.post("/api/undo", {}).json()["undone"] is True
    nothing = lab.post("/api/undo", {}).json()
    assert (nothing["undone"], nothing["act"]) == (False, None)
    lab.post("/api/classes", {"name": "cap"}).json()
    undone = lab.post("/api/undo", {}).json()
    assert (undone["undone"], undone["rows"]) == (True, [])
    assert undone["act"] == {"kind": "new_class", "label": "cap", "previous": None}
    assert lab.get("/api/status").json()["classes"] == []
    assert lab.post("/api/mark", {"rows": [0], "kind": "hide"}).error() == (
        400, "unknown mark 'hide'; expected skip, unsure, clear.",
    )  # fmt: skip


def test_a_class_for_each_row_is_one_act(lab: Lab) -> None:
    body = {"rows": [2, 0, 2], "labels": ["hat", " cap "], "suggestions": ["hat", "cap"]}
    lab.post("/api/label", body).json()
    ids = lab.session.ids
    assert lab.labels() == {ids[2]: "hat", ids[0]: "cap"}
    undone = lab.post("/api/undo", {}).json()
    assert (undone["rows"], undone["act"]) == (
        [2, 0], {"kind": "label", "label": None, "previous": None}
    )  # fmt: skip
    assert lab.labels() == {}
    for labels in (["hat"], "hat", ["hat", 3]):
        assert lab.post("/api/label", {"rows": [2, 0], "labels": labels}).status == 400
    assert list(lab.log.events(after=4)) == []


def test_accepted_suggestions_are_stored_apart_and_withdrawn_together(lab: Lab) -> None:
    label_all(lab, list(range(12)))
    lab.post("/api/retrain", {}).json()
    model = wait_for_model(lab, 12)["model"]["name"]  # type: ignore[index]
    found = lab.get("/api/confident?min=0.4").json()
    assert found["model"] == model
    assert found["confidence"] == sorted(found["confidence"])
    assert found["confidence"][0] >= 0.4
    assert not {*found["rows"]} & {*range(12)}
    assert lab.get("/api/confident?min=1").json()["rows"] == []
    groups: dict[str, list[int]] = {}
    for row, code in zip(found["rows"], found["codes"], strict=True):
        groups.setdefault(found["classes"][code], []).append(row)
    groups["red"].append(0)  # it has a label
    body = {"suggestions": groups, "model": model}
    stored = lab.post("/api/accept", body).json()
    assert stored["accepted"] == len(found["rows"])
    accepted = [event for event in lab.log.events(after=12) if event.kind == "accept"]
    assert len({event.at for event in accepted}) == 1
    assert all(event.label == event.suggestion and event.model == model for event in accepted)
    status = lab.get("/api/status").json()
    assert (status["labelled"], status["accepted"]) == (12, len(found["rows"]))
    items = lab.get(f"/api/items?rows={found['rows'][0]},0").json()["items"]
    assert [item["state"] for item in items] == ["accept", "label"]
    assert items[0]["label"] == items[0]["suggestion"]
    assert lab.get("/api/items?state=accept").json()["total"] == len(found["rows"])
    assert lab.get("/api/confident?min=0.4").json()["rows"] == []
    assert lab.post("/api/withdraw", {}).json()["withdrawn"] == len(found["rows"])
    assert len(lab.labels()) == 12
    assert sorted(lab.post("/api/undo", {}).json()["rows"]) == sorted(found["rows"])
    undone = lab.post("/api/undo", {}).json()
    assert (undone["act"]["kind"], len(undone["rows"])) == ("accept", len(found["rows"]))
    assert len(lab.labels()) == 12


def test_invalid_acceptances_are_refused(lab: Lab) -> None:
    label_all(lab, [0, 1])
    for suggestions, message in (
        (None, "`suggestions` must be an object with a list of rows for each class."),
        ({"red": [99]}, "`rows` must be numbers from 0 to 23."),
        ({"red": [3], "green": [3]}, "row 3 occurs twice in `suggestions`."),
    ):
        body = {"suggestions": suggestions, "model": "m"}
        assert lab.post("/api/accept", body).error() == (400, message)
    assert lab.post("/api/accept", {"suggestions": {"cap": [3]}, "model": "m"}).error() == (
        409, "class 'cap' does not exist any more: load the suggestions again.",
    )  # fmt: skip
    for least in ("x", "nan", "1.5"):
        assert lab.get(f"/api/confident?min={least}").error() == (
            400, "`min` must be a number from 0 to 1.",
        )  # fmt: skip
    assert len(lab.labels()) == 2


def test_a_class_with_labels_is_deleted_on_confirmation(lab: Lab) -> None:
    lab.post("/api/classes", {"name": "scarf"}).json()
    lab.post("/api/label", {"rows": [0, 1], "labels": ["hat", "cap"]}).json()
    lab.post("/api/accept", {"suggestions": {"hat": [2]}, "model": "m"}).json()
    lab.post("/api/classes/delete", {"name": "scarf"}).json()
    assert lab.post("/api/classes/delete", {"name": "hat"}).error() == (
        409, "class 'hat' has labels: 2. Delete them too, or merge the class.",
    )  # fmt: skip
    lab.post("/api/classes/delete", {"name": "hat", "clear": True}).json()
    assert lab.labels() == {lab.session.ids[1]: "cap"}
    assert lab.session.classes() == ["cap"]
    assert lab.post("/api/undo", {}).json()["act"] == {
        "kind": "delete_class", "label": None, "previous": "hat",
    }  # fmt: skip
    assert len(lab.labels()) == 2
    assert lab.post("/api/classes/delete", {"name": "shoe"}).error() == (
        400, "unknown class 'shoe'. Known: cap, hat.",
    )  # fmt: skip


def test_an_export_marks_accepted_suggestions(lab: Lab) -> None:
    label_all(lab, list(range(12)))
    lab.post("/api/accept", {"suggestions": {"red": [12]}, "model": "m"}).json()
    found = lab.post("/api/export", {"format": "csv"}).json()
    assert found["items"] == 13
    items = {item.path: item for item in formats["csv"].read(found["path"])}
    status = {item.status for path, item in items.items() if path != lab.session.ids[12]}
    assert status == {"label"}
    accepted = items[lab.session.ids[12]]
    assert (accepted.label, accepted.status) == ("red", "accepted")
    found = lab.post("/api/export", {"format": "model"}).json()
    assert (found["items"], found["note"]) == (
        12, "The model is not trained on accepted suggestions: 1.",
    )  # fmt: skip


def test_classes_are_added_renamed_and_merged_on_confirmation(lab: Lab) -> None:
    lab.post("/api/classes", {"name": "hat"}).json()
    lab.post("/api/label", {"rows": [0], "label": "cap"}).json()
    lab.post("/api/classes/rename", {"from": "hat", "to": "beanie"}).json()
    asked = lab.post("/api/classes/rename", {"from": "cap", "to": "beanie"})
    assert asked.error() == (
        409,
        "class 'beanie' exists already: choose another name, or merge the two.",
    )
    lab.post("/api/classes/rename", {"from": "cap", "to": "beanie", "merge": True}).json()
    classes = lab.get("/api/status").json()["classes"]
    assert classes == [{"name": "beanie", "count": 1, "accepted": 0}]
    similar = "there is no class {!r}. Did you mean 'beanie'? Send `confirm: true` for a new class."
    for path, body, name in (
        ("/api/classes", {"name": "Beanie"}, "Beanie"),
        ("/api/label", {"rows": [1], "label": "beaine"}, "beaine"),
    ):
        assert lab.post(path, body).error() == (409, similar.format(name))
    lab.post("/api/classes", {"name": "shoe"}).json()
    renamed = {"from": "shoe", "to": "beanies"}
    assert lab.post("/api/classes/rename", renamed).error() == (409, similar.format("beanies"))
    lab.post("/api/classes/rename", {**renamed, "confirm": True}).json()
    lab.post(
        "/api/classes/rename", {**renamed, "from": "beanies", "to": "Beanies", "confirm": True}
    ).json()
    assert list(lab.session.classes()) == ["beanie", "Beanies"]
    lab.post("/api/undo", {}), lab.post("/api/undo", {}), lab.post("/api/undo", {})
    assert lab.post("/api/classes/rename", {"from": "shoe", "to": "boot"}).error() == (
        400, "unknown class 'shoe'. Known: beanie.",
    )  # fmt: skip


def test_the_model_is_trained_in_the_background(lab: Lab) -> None:
    label_all(lab, list(range(12)))
    lab.post("/api/retrain", {}).json()
    status = wait_for_model(lab, 12)
    expected = lab.session.model.expected  # type: ignore[union-attr]
    assert status["curve"] == [[12, *expected.bounds]]  # type: ignore[misc]
    model = dict(status["model"])  # type: ignore[call-overload]
    assert model["expected"] == {
        "value": expected.value, "low": expected.low, "high": expected.high,
    }  # fmt: skip
    assert model["expected_reason"] == ""
    batch = lab.get("/api/batch?n=12").json()
    assert batch["model"] == "auto-12"
    assert {item["row"] for item in batch["items"]} == set(range(12, 24))
    assert all(item["suggestion"] == kind_of(item["path"]) for item in batch["items"])
    groups = [item["group"] for item in batch["items"]]
    assert groups == sorted(groups, key=groups.index)  # groups are contiguous


def test_the_expected_confusion_matrix(lab: Lab) -> None:
    nothing = {"model": None, "classes": [], "matrix": [], "per_class": []}
    found = lab.get("/api/confusion").json()
    assert found == {**nothing, "reason": "There is no model yet."}
    label_all(lab, [0, 1])
    lab.post("/api/retrain", {}).json()
    status = wait_for_model(lab, 2)
    reason = "Label at least two images of each of two classes."
    assert dict(status["model"])["expected"] is None  # type: ignore[call-overload]
    assert dict(status["model"])["expected_reason"] == reason  # type: ignore[call-overload]
    assert lab.get("/api/confusion").json() == {**nothing, "reason": reason}
    label_all(lab, list(range(2, 12)))
    lab.post("/api/retrain", {}).json()
    wait_for_model(lab, 12)
    found = lab.get("/api/confusion").json()
    matrix = np.array(found["matrix"])
    assert (found["model"], found["reason"]) == ("auto-12", "")
    assert found["classes"] == ["blue", "green", "red"]
    assert matrix.sum(axis=0).round(1).tolist() == [4, 4, 4]  # the 12 images without a label
    share = np.trace(matrix) / 12
    assert share == pytest.approx(lab.session.model.expected.value, abs=0.01)  # type: ignore[union-attr]
    shares = [each["share"] for each in found["per_class"]]
    assert shares == sorted(shares)
    for each in found["per_class"]:
        at = found["classes"].index(each["class"])
        assert each["predicted"] == 4
        assert each["items"] == pytest.approx(matrix[at].sum(), abs=0.1)
        assert each["share"] == pytest.approx(matrix[at, at] / matrix[at].sum(), abs=0.01)


def test_labelling_continues_during_training(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    retrain = lab.session.retrain

    def slow() -> object:
        begun.set()
        assert go_on.wait(90)
        return retrain()

    monkeypatch.setattr(lab.session, "retrain", slow)
    label_all(lab, [0, 1])
    lab.post("/api/retrain", {}).json()
    assert begun.wait(90)
    label_all(lab, [2, 3])
    assert lab.get("/api/status").json()["training"] is True
    assert len(lab.labels()) == 4
    lab.post("/api/retrain", {}).json()  # a request during the training
    go_on.set()
    assert wait_for_model(lab, 4)["training"] is False


def test_the_first_doubted_label_is_wrong(lab: Lab) -> None:
    label_all(lab, list(range(24)))
    lab.post(
        "/api/label",
        {"rows": [5], "label": "red" if kind_of(lab.session.ids[5]) != "red" else "blue"},
    )
    first = lab.get("/api/doubted?n=5").json()["items"][0]
    assert (first["row"], first["suggestion"]) == (5, kind_of(lab.session.ids[5]))


def test_labels_that_cannot_be_checked_are_counted(lab: Lab) -> None:
    def doubted() -> tuple[int, int, str | None]:
        found = lab.get("/api/doubted?n=5").json()
        assert found["items"] == []
        return found["labelled"], found["judged"], found["reason"]

    assert doubted() == (0, 0, "there are no labels")
    lab.post("/api/label", {"rows": [0, 1, 2], "label": "hat"}).json()
    assert doubted() == (3, 0, "there is only one class")
    lab.post("/api/label", {"rows": [1, 2], "label": "shoe"}).json()
    lab.post("/api/label", {"rows": [2], "label": "sock"}).json()
    assert doubted() == (
        3,
        0,
        "each of the 3 classes has only one distinct image; two are needed",
    )


def test_pages_of_items_by_path_state_and_class(lab: Lab) -> None:
    lab.post("/api/label", {"rows": [3, 4], "label": "hat"}).json()
    lab.post("/api/mark", {"rows": [0], "kind": "skip"}).json()

    def rows(query: str) -> tuple[int, list[int]]:
        found = lab.get(f"/api/items?{query}").json()
        return found["total"], [item["row"] for item in found["items"]]

    assert rows("offset=5&limit=3") == (24, [5, 6, 7])
    assert rows("state=label") == (2, [3, 4])
    assert rows("label=hat&offset=1") == (2, [4])
    assert rows("label=none") == (0, [])
    assert rows("state=skip") == (1, [0])
    assert rows("state=unlabelled&limit=0") == (21, [])
    assert rows("q=DAY1%2F%200001") == (1, [12])  # all words, in any case
    assert rows("q=%3Cscript%3E") == (0, [])
    assert rows("q=day0&state=label") == (2, [3, 4])
    lab.post("/api/mark", {"rows": [3], "kind": "clear"}).json()
    assert rows("state=label") == (1, [4])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("items?rows=24", "`rows` must be at most 500 numbers from 0 to 23, separated by commas."),
        ("items?rows=", "`rows` must be at most 500 numbers from 0 to 23, separated by commas."),
        ("items?rows=1;2", "`rows` must be at most 500 numbers from 0 to 23, separated by commas."),
        ("items?limit=501", "`limit` must be a number from 0 to 500."),
        ("items?offset=-1", "`offset` must be a number from 0 to 1000000000."),
        ("items?state=x", "`state` must be unlabelled, labelled, label, skip, unsure or accept."),
        (
            "items?sort=label",
            "`sort` must be path, confidence, size or date, or one of them after `-`.",
        ),
        ("items?min_confidence=95", "`min_confidence` must be a number from 0 to 1."),
        ("items?max_confidence=1.5", "`max_confidence` must be a number from 0 to 1."),
        ("items?max_confidence=nan", "`max_confidence` must be a number from 0 to 1."),
        ("items?min_side=-1", "`min_side` must be a number from 0 to 1000000."),
        ("items?after=31.5.2024", "`after` must be a day, such as 2024-05-31."),
        ("items?before=2024-02-30", "`before` must be a day, such as 2024-05-31."),
        ("batch?n=1e3", "`n` must be a number from 0 to 500."),
        ("similar?row=24", "`row` must be a number from 0 to 23."),
        ("map/colours?by=x", "`by` must be label, prediction or confidence."),
    ],
)
def test_invalid_queries_are_refused(still: Lab, query: str, message: str) -> None:
    assert still.get(f"/api/{query}").error() == (400, message)


def test_similar_items_are_the_nearest(still: Lab) -> None:
    found = still.get("/api/similar?row=7&n=5").json()
    vectors = np.asarray(still.embeddings.matrix, dtype=np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = [row for row in np.argsort(-(unit @ unit[7]), kind="stable") if row != 7]
    assert found["of"]["row"] == 7
    assert [item["row"] for item in found["items"]] == order[:5]


def test_the_map_shows_two_principal_components(lab: Lab) -> None:
    points = np.frombuffer(lab.get("/api/map/points").body, "<u2").reshape(24, 2).astype(float)
    vectors = np.asarray(lab.embeddings.matrix, dtype=np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    _, _, axes = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    wanted = (unit - unit.mean(axis=0)) @ axes[:2].T
    for column in range(2):
        share = abs(np.corrcoef(points[:, column], wanted[:, column])[0, 1])
        assert share > 0.999
    assert points.min(axis=0).tolist() == [0, 0]
    assert points.max(axis=0).tolist() == [65535, 65535]
    lab.post("/api/classes", {"name": "cap"})
    lab.post("/api/label", {"rows": [5], "label": "hat"})
    colours = np.frombuffer(lab.get("/api/map/colours?by=label").body, np.uint8)
    assert colours.tolist() == [2 if row == 5 else 0 for row in range(24)]
    assert not any(lab.get("/api/map/colours?by=prediction").body)


def test_thumbnails_are_made_once_and_stored_by_content(lab: Lab) -> None:
    content_id = lab.embeddings.content_ids[3].hex()
    first = lab.get(f"/api/items/3/thumbnail?v={content_id[:12]}")
    (kept,) = (lab.workspace / "thumbnails").glob(f"224-*/{content_id[:2]}/{content_id}")
    assert first.headers["content-type"] == "image/jpeg"
    assert first.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert kept.read_bytes() == first.body
    kept.write_bytes(b"\xff\xd8\xffkept")
    assert lab.get("/api/items/3/thumbnail").body == b"\xff\xd8\xffkept"
    kept.write_bytes(b"")  # as after a power failure
    assert lab.get("/api/items/3/thumbnail").body == first.body
    again = lab.get("/api/items/3/thumbnail", **{"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    other = lab.get(f"/api/items/4/thumbnail?v={content_id[:12]}")  # of another image
    assert other.headers["cache-control"] == "private, no-cache"


def test_a_picture_is_the_file_or_a_converted_image(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    folder = make_photos(tmp_path / "photos", 3)
    Image.new("RGB", (50, 40), "red").save(folder / "scan.tiff")
    Image.new("L", (8, 8), 9).save(folder / "tiny.pgm")
    lab = open_lab(folder)
    for row, path in enumerate(lab.session.ids):
        answer = lab.get(f"/api/items/{row}/picture")
        if path.endswith(".jpg"):
            assert answer.body == (folder / path).read_bytes()
        with Image.open(BytesIO(answer.body)) as shown, Image.open(folder / path) as original:
            assert shown.size == original.size
        assert answer.headers["content-type"] in ("image/jpeg", "image/png")


def test_a_picture_shows_the_embedded_pixels(tmp_path: Path, open_lab: Callable[..., Lab]) -> None:
    folder = make_photos(tmp_path / "photos", 2)
    hidden = Image.new("RGB", (50, 40), (9, 8, 7))
    hidden.paste((200, 0, 0), (0, 0, 10, 10))
    hidden.save(folder / "clear.png", transparency=(9, 8, 7))
    frames = [Image.new("L", (50, 40), level) for level in (40, 250)]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    deep = np.full((40, 50), 2000, np.uint16)  # of 4,095: half grey
    deep[0] = 4095
    Image.fromarray(deep).save(folder / "deep.png")
    lab = open_lab(folder)
    seen = {"clear.png": 255, "film.gif": 40, "deep.png": 125}
    for row, path in enumerate(lab.session.ids):
        for size in ("picture", "thumbnail"):
            if path in seen:
                with Image.open(BytesIO(lab.get(f"/api/items/{row}/{size}").body)) as shown:
                    assert getattr(shown, "n_frames", 1) == 1
                    level = np.asarray(shown.convert("L"))[-5:, -5:].mean()
                assert abs(level - seen[path]) <= 2


def test_a_changed_or_missing_file_is_not_shown(lab: Lab) -> None:
    path = lab.folder / lab.session.ids[0]
    path.write_bytes((lab.folder / lab.session.ids[1]).read_bytes())
    for size in ("thumbnail", "picture"):
        assert lab.get(f"/api/items/0/{size}").error() == (
            410, "the image changed after it was embedded: start the server again.",
        )  # fmt: skip
    path.unlink()
    status, message = lab.get("/api/items/0/picture").error()
    assert (status, message) == (410, "the image cannot be read: No such file or directory.")


def test_each_export_is_a_new_file_with_the_labels(lab: Lab) -> None:
    nothing = lab.post("/api/export", {"format": "csv"}).error()
    assert nothing == (400, "there are no labels to export: label some images first.")
    label_all(lab, list(range(6)))
    lab.post("/api/mark", {"rows": [7], "kind": "skip"})
    for name in ("imagefolder", "csv", "jsonl", "parquet", "huggingface", "fiftyone", "cvat"):
        found = lab.post("/api/export", {"format": name}).json()
        assert (found["items"], found["note"]) == (6, None)
        path = Path(found["path"])
        assert path.parent == lab.folder.parent.resolve() / "embedpipe-exports"
        back = {item.path: item.label for item in formats[name].read(path) if item.is_sure}
        assert back == {lab.session.ids[row]: kind_of(lab.session.ids[row]) for row in range(6)}
    found = lab.post("/api/export", {"format": "label-studio"}).json()
    assert (Path(found["path"]) / "config.xml").exists()
    tasks = json.loads((Path(found["path"]) / "tasks.json").read_text())
    first = f"/data/local-files/?d={lab.folder.name}/{lab.session.ids[0]}"
    assert tasks[0]["data"]["image"] == first
    assert f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={lab.folder.parent}" in found["note"]
    one, two = (lab.post("/api/export", {"format": "csv"}).json()["path"] for _ in range(2))
    assert one != two
    assert lab.post("/api/export", {"format": "../../x"}).status == 400


def test_the_exported_model_predicts(lab: Lab) -> None:
    from embedpipe.active import predict

    label_all(lab, list(range(12)))
    path = lab.post("/api/export", {"format": "model"}).json()["path"]
    assert lab.post("/api/export", {"format": "head"}).json()["format"] == "model"  # the old name
    prediction = predict(lab.embeddings, path)
    assert [str(name) for name in prediction.labels] == [kind_of(path) for path in lab.session.ids]


def test_two_servers_on_one_workspace_see_each_other(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    folder = make_photos(tmp_path / "photos", 6)
    one, two = open_lab(folder), open_lab(folder)
    assert one.port != two.port
    one.post("/api/label", {"rows": [0], "label": "hat"}).json()
    two.post("/api/label", {"rows": [1], "label": "cap"}).json()
    for lab in (one, two):
        status = lab.get("/api/status").json()
        assert {each["name"]: each["count"] for each in status["classes"]} == {"hat": 1, "cap": 1}
    assert two.raw("GET", "/api/status", {"authorization": f"Bearer {one.token}"}).status == 401


@pytest.mark.parametrize("name", ["می\u200cخواهم", "👨\u200d👩\u200d👧", "猫\u3000白"])
def test_class_names_of_every_script(lab: Lab, name: str) -> None:
    lab.post("/api/label", {"rows": [3], "label": name}).json()
    assert lab.labels() == {lab.session.ids[3]: name}


def test_search_ignores_the_unicode_form_of_accents(
    tmp_path: Path, open_lab: Callable[..., Lab]
) -> None:
    folder = make_photos(tmp_path / "photos", 3)
    (folder / "day0" / "0000.jpg").rename(folder / "day0" / "u\u0308ber.jpg")
    found = open_lab(folder).get("/api/items?q=%C3%9CBER").json()
    assert [item["path"] for item in found["items"]] == ["day0/u\u0308ber.jpg"]
