"""The ML backend for Label Studio, with the messages of Label Studio 1.23 written by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe.labelling import LabellingSession
from embedpipe.labels import Current, LabelLog
from embedpipe.labels.exchange import labelling_config
from embedpipe.server.label_studio import BackendOptions, LabelStudioBackend
from tests.server.conftest import Client, Response, make_photos
from tests.server.tabs import kind_of

CLASSES = ["blue", "green", "red"]
CONFIG = labelling_config(CLASSES)
PROJECT = {"id": 3, "created_at": "2026-05-01T07:30:00.123456Z", "label_config": CONFIG}


class Backend(Client):
    """A running service, and messages of Label Studio."""

    def __init__(self, folder: Path, workspace: Path, **options: Any) -> None:
        self.lines: list[str] = []
        self.folder, self.workspace = folder, workspace
        embeddings = ep.embed(ep.load_dataset(str(folder)), backbone="toy", workspace=workspace)
        self.log = LabelLog(workspace / "labels.sqlite")
        self.session = LabellingSession(embeddings, self.log)
        self.server = LabelStudioBackend(
            self.session,
            options=BackendOptions(port=0, **options),
            remark=self.lines.append,
        )
        self.port, self.token = self.server.port, self.server.token or ""
        self.server.start()

    def close(self) -> None:
        self.server.stop()
        self.log.close()

    def predict(self, *paths: str) -> Any:
        tasks = [{"id": number, "data": {"path": path}} for number, path in enumerate(paths)]
        return self.post("/predict", {"tasks": tasks, "label_config": CONFIG}).json()["results"]

    def order(self) -> list[str]:
        """Return the paths in the order of their scores."""
        found = self.predict(*self.session.ids)
        scores = {path: each["score"] for path, each in zip(self.session.ids, found, strict=True)}
        assert len(set(scores.values())) == len(scores)
        return sorted(scores, key=lambda path: scores[path])

    def selected(self) -> list[str]:
        """Return the paths of all unlabelled items in the order of the strategy."""
        return [self.session.ids[row] for row in self.session.order(100)]

    def webhook(self, action: str, content: dict[str, Any] | None = None) -> Any:
        body = {"action": action, "project": PROJECT, **(content or {})}
        return self.post("/webhook", body).json()

    def annotate(
        self, number: int, path: str, label: str | None, second: int = 0, **more: Any
    ) -> Any:
        """Send the message about a created or changed annotation; return the number of changes."""
        task = int(Path(path).stem)
        annotation = {
            "id": number,
            "task": task,
            "completed_by": 7,
            "was_cancelled": label is None,
            "updated_at": f"2026-05-01T08:00:{second:02}.000001Z",
            "result": [] if label is None else [answer(label)],
            **more,
        }
        image = f"/data/local-files/?d={self.folder.name}/{path}"
        message = {"annotation": annotation, "task": {"id": task, "data": {"image": image}}}
        kind = "ANNOTATION_CREATED" if second == 0 else "ANNOTATION_UPDATED"
        return self.webhook(kind, message)["changed"]

    def delete(self, *numbers: int) -> Any:
        deleted = {"annotations": [{"id": number} for number in numbers]}
        return self.webhook("ANNOTATIONS_DELETED", deleted)["changed"]

    def current(self, path: str) -> Current | None:
        """Return the current label of an item, read from the file of the log."""
        with LabelLog(self.workspace / "labels.sqlite") as log:
            return log.current(self.session.dataset).get(path)

    def state(self, path: str) -> tuple[str, str | None] | None:
        current = self.current(path)
        return None if current is None else (current.kind, current.label)


def answer(label: str, control: str = "choice") -> dict[str, Any]:
    return {
        "from_name": control,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [label]},
    }


@pytest.fixture
def open_backend(tmp_path: Path) -> Iterator[Callable[..., Backend]]:
    """Return a function that serves 24 photos of three classes; it may be called again."""
    opened: list[Backend] = []
    folder = make_photos(tmp_path / "photos", 24)

    def open_(**options: Any) -> Backend:
        opened.append(Backend(folder, tmp_path / "workspace", **options))
        return opened[-1]

    yield open_
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(open_backend: Callable[..., Backend]) -> Backend:
    return open_backend()


A, B = "day0/0000.jpg", "day1/0001.jpg"


def test_without_labels_tasks_are_ordered_without_suggestions(backend: Backend) -> None:
    setup = {"project": "3.1777620600", "schema": CONFIG, "hostname": "http://localhost:8080"}
    assert backend.get("/health").json() == {"status": "UP", "model_class": "embedpipe"}
    order = backend.order()
    version = backend.post("/setup", setup).json()["model_version"]
    assert backend.get("/versions").json() == {"versions": [version]}
    assert version.startswith("embedpipe:no-model.0.")
    first = backend.predict(order[0])[0]
    assert first == {"model_version": version, "score": 0.0, "result": []}
    assert order == backend.selected()


def test_labels_are_stored_the_model_is_trained_and_the_order_changes(backend: Backend) -> None:
    before = backend.order()
    labelled = before[:10]
    for number, path in enumerate(labelled):
        assert backend.annotate(number, path, kind_of(path)) == 1
    assert backend.server._state._training.wait(60)
    states = [backend.state(path) for path in labelled]
    assert states == [("label", kind_of(path)) for path in labelled]
    current = backend.current(labelled[0])
    assert current is not None
    assert current.by == "7"
    order, model = backend.order(), backend.session.model
    assert model is not None
    rest = [path for path in before if path not in labelled]
    assert order[:14] == backend.selected()
    assert order[:14] != rest
    assert sorted(order[:14]) == sorted(rest)
    (prediction,) = backend.predict(order[0])
    row = backend.session.row_of(order[0])
    suggestion = model.classes[model.codes[row]]
    assert prediction["model_version"].startswith(f"embedpipe:{model.name}.{model.version}.")
    assert prediction["result"] == [
        {"id": "r1", **answer(suggestion), "score": round(float(model.confidence[row]), 4)}
    ]


def test_changes_skips_and_deletions_are_stored(backend: Backend) -> None:
    assert backend.annotate(1, A, "red") == 1
    assert backend.annotate(1, A, "green", second=5) == 1
    assert backend.state(A) == ("label", "green")
    assert backend.annotate(2, B, None) == 1
    assert backend.state(B) == ("skip", None)
    assert backend.delete(1, 2) == 2
    assert (backend.state(A), backend.state(B)) == (("clear", None), ("clear", None))


def test_repeated_and_late_messages_change_nothing(
    backend: Backend, open_backend: Callable[..., Backend]
) -> None:
    backend.annotate(1, A, "red")
    backend.annotate(1, A, "green", second=5)
    backend.delete(2)  # its creation arrives later
    events = len(list(backend.log.events()))
    assert backend.annotate(1, A, "green", second=5) == 0
    assert backend.annotate(1, A, "red") == 0
    assert backend.annotate(2, B, "red") == 0
    backend.close()
    again = open_backend()  # the service was restarted
    assert again.annotate(1, A, "green", second=5) == 0
    assert again.delete(2) == 0
    assert len(list(again.log.events())) == events
    assert again.delete(1) == 1
    assert again.annotate(1, A, "blue", second=9) == 0
    assert again.state(A) == ("clear", None)


def test_an_incomplete_line_loses_no_later_change(open_backend: Callable[..., Backend]) -> None:
    backend = open_backend()
    backend.annotate(1, A, "red")
    backend.close()
    with (backend.workspace / "label-studio.jsonl").open("ab") as file:
        file.write(b'{"project": "3.1')  # the process was killed
    again = open_backend()
    assert again.annotate(2, B, "red") == 1
    again.close()
    assert open_backend().delete(1, 2) == 2


def test_the_newest_annotation_of_a_task_gives_the_label(backend: Backend) -> None:
    assert backend.annotate(2, A, "green", second=8, completed_by=8) == 1
    assert backend.annotate(1, A, "red", second=3) == 0
    assert backend.state(A) == ("label", "green")
    assert backend.delete(2) == 1
    current = backend.current(A)
    assert current is not None
    assert (current.label, current.by) == ("red", "7")


def test_a_label_from_elsewhere_is_not_deleted(backend: Backend) -> None:
    backend.annotate(1, A, "red")
    row = backend.session.row_of(A)
    backend.session.label([row], "green", who="ann")
    assert backend.delete(1) == 0
    assert backend.state(A) == ("label", "green")


def test_an_annotation_without_a_choice_clears_its_label(backend: Backend) -> None:
    backend.annotate(1, A, "red")
    assert backend.annotate(1, A, "red", second=2, result=[]) == 1
    assert backend.state(A) == ("clear", None)


def test_the_suggestion_that_the_annotator_saw_is_recorded(backend: Backend) -> None:
    seen = {"result": [answer("blue")], "model_version": "embedpipe:auto-12.12", "score": 0.2}
    backend.annotate(1, A, "red", prediction=seen)
    (event,) = backend.log.events()
    assert (event.label, event.suggestion, event.model, event.who) == (
        *("red", "blue", "embedpipe:auto-12.12"),
        "7",
    )


def test_several_annotations_in_one_message(backend: Backend) -> None:
    annotations, tasks = [], []
    for number, path in enumerate((A, B)):
        task = {"id": number, "data": {"image": f"http://host/any/{path}"}}
        tasks.append(task)
        time = "2026-05-01T08:00:00Z"
        answers = {"result": [answer("red")], "updated_at": time, "completed_by": None}
        annotations.append({"id": number, "task": number, **answers})
    message = {"annotation": annotations, "task": tasks}
    assert backend.webhook("ANNOTATIONS_CREATED", message) == {"status": "ok", "changed": 2}
    assert backend.state(B) == ("label", "red")


@pytest.mark.parametrize(
    "image",
    [
        "/data/local-files/?d=photos/day0/0000.jpg",
        "/data/local-files/?d=other%20folder/day0%2F0000.jpg",
        "/data/upload/3/0123abcd-0000.jpg",
        "http://photos.example.org/2026/day0/0000.jpg",
        "s3://bucket/photos/day0/0000.jpg",
        "day0/0000.jpg",
    ],
)
def test_tasks_belong_to_images_by_the_end_of_their_address(backend: Backend, image: str) -> None:
    task = {"id": 1, "data": {"image": image}}
    body = {"tasks": [task], "label_config": CONFIG}
    (result,) = backend.post("/predict", body).json()["results"]
    assert result == backend.predict(A)[0]
    assert backend.lines == []


def test_an_unknown_task_gets_an_empty_prediction_and_one_line(backend: Backend) -> None:
    tasks = [{"id": number, "data": {"image": f"http://host/x{number}.jpg"}} for number in (5, [6])]
    body = {"tasks": tasks, "label_config": CONFIG}
    for _ in range(2):
        results = backend.post("/predict", body).json()["results"]
        assert [(each["score"], each["result"]) for each in results] == [(1.0, [])] * 2
    assert backend.lines == [
        "tasks that match no image: 2, such as task 5 with the image 'http://host/x5.jpg'. They "
        "get no suggestion."
    ]


def test_a_class_that_the_project_does_not_offer_is_not_suggested(backend: Backend) -> None:
    for number, path in enumerate(backend.session.ids[:10]):
        backend.annotate(number, path, kind_of(path))
    assert backend.server._state._training.wait(60)
    paths = backend.session.ids
    tasks = [{"id": number, "data": {"path": path}} for number, path in enumerate(paths)]
    config = labelling_config(["red"]).replace("/></Choices>", ' alias="r"/></Choices>')
    results = backend.post("/predict", {"tasks": tasks, "label_config": config}).json()["results"]
    values = {json.dumps([each["value"] for each in found["result"]]) for found in results}
    assert values == {"[]", '[{"choices": ["r"]}]'}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/predict", b"{", "the body is not JSON."),
        ("/predict", b"[]", "the body is not a JSON object."),
        ("/predict", b"{}", "`tasks` must be a list."),
        (
            "/predict",
            json.dumps({"tasks": [1], "label_config": CONFIG}).encode(),
            "each task must be a JSON object with `data`.",
        ),
        ("/setup", b"{}", "the labelling interface is missing; expected XML."),
        (
            "/setup",
            b'{"schema": "<View>"}',
            "the labelling interface is not XML: no element found: line 1, column 6.",
        ),
        (
            "/setup",
            b'{"schema": "<!DOCTYPE x><View/>"}',
            "the labelling interface has more than 1,000,000 characters, or a document type; "
            "expected plain XML.",
        ),
        (
            "/setup",
            b'{"schema": "<View><Image name=\\"i\\" value=\\"$i\\"/></View>"}',
            "the labelling interface has no Choices control for a whole image. Add one, or use the "
            "config.xml of `embedpipe labels export --format label-studio`.",
        ),
        ("/webhook", b"{}", "`action` must be a text, such as ANNOTATION_CREATED."),
        ("/webhook", b'{"action": "ANNOTATION_CREATED"}', "`project` must be a JSON object."),
        (
            "/webhook",
            b'{"action": "ANNOTATIONS_DELETED", "project": {}, "annotations": []}',
            "the project must have an `id`, and a time as `created_at`.",
        ),
    ],
)
def test_malformed_messages_are_refused(
    backend: Backend, path: str, body: bytes, message: str
) -> None:
    headers = {"content-type": "application/json"}
    assert backend.raw("POST", path, headers, body).error() == (400, message)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": "x"}, "an annotation must have a number as its `id`; got 'x'."),
        (
            {"updated_at": "now"},
            "annotation 1: `updated_at` is 'now'; expected a time with its UTC offset.",
        ),
        (
            {"result": [answer("red"), answer("blue")]},
            "annotation 1: 2 classes are chosen; expected one.",
        ),
        (
            {"updated_at": "0001-01-01T00:00:00+09:00"},
            "annotation 1: `updated_at` is '0001-01-01T00:00:00+09:00'; expected a time with its "
            "UTC offset.",
        ),
        ({"was_cancelled": 3}, "annotation 1: was_cancelled is 3; expected true or false."),
    ],
)
def test_malformed_annotations_are_refused_with_a_line(
    backend: Backend, fields: dict[str, Any], message: str
) -> None:
    annotation = {"id": 1, "updated_at": "2026-05-01T08:00:00Z", "result": [], **fields}
    body = {
        "action": "ANNOTATION_CREATED",
        "project": PROJECT,
        "annotation": annotation,
        "task": {"id": 1, "data": {"path": A}},
    }
    assert backend.post("/webhook", body).error() == (400, message)
    assert backend.lines == [f"/webhook: {message}"]
    assert backend.state(A) is None


def test_other_messages_are_ignored(backend: Backend) -> None:
    assert backend.webhook("PROJECT_UPDATED") == {"status": "ignored"}
    assert backend.webhook("START_TRAINING") == {"status": "ok"}
    assert backend.post("/train", {"project": "3.1"}).json()["status"] == "ok"


def test_requests_of_other_sites_and_large_bodies_are_refused(backend: Backend) -> None:
    refused = backend.raw("GET", "/health", {"host": "example.org"})
    assert refused.error()[0] == 421
    refused = backend.raw("GET", "/health", {"origin": "http://example.org"})
    assert refused.error() == (403, "requests from other sites are refused.")
    headers = {"content-type": "application/json", "content-length": "64000001"}
    refused = backend.raw("POST", "/predict", headers)
    assert refused.error() == (413, "the body has more than 64,000,000 bytes.")
    refused = backend.raw("POST", "/webhook", {"content-type": "text/plain"}, b"{}")
    assert refused.error() == (415, "the content type must be application/json.")


def test_off_loopback_a_token_is_required(open_backend: Callable[..., Backend]) -> None:
    backend = open_backend(host="0.0.0.0")
    assert len(backend.token) >= 32

    def health(authorization: str) -> Response:
        return backend.raw("GET", "/health", {"authorization": authorization})

    assert health("Bearer wrong").error()[0] == 401
    assert health(f"Bearer {backend.token}").status == 200
    password = base64.b64encode(f"any:{backend.token}".encode()).decode()
    assert health(f"Basic {password}").status == 200
