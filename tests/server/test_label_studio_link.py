"""The set-up of a project and its predictions, against the answers of Label Studio 1.23.

The answers are written by hand; `test_label_studio_project.py` uses a real server.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import embedpipe as ep
from embedpipe.errors import EmbedpipeError
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog
from embedpipe.labels.exchange import labelling_config
from embedpipe.server.label_studio import BackendOptions, Client, LabelStudioBackend
from embedpipe.server.local_server import LocalServer, listen
from tests.server.conftest import make_photos

KEY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = "head.claims.signature"
TIME = "2026-05-01T08:00:00.000001Z"


class Studio:
    """The part of Label Studio's API that is used, for one project with the id 1."""

    def __init__(self, paths: list[str]) -> None:
        self.project: dict[str, Any] = {
            "id": 1,
            "created_at": TIME,
            "label_config": labelling_config(["red", "green"]),
            "model_version": "",
        }
        self.tasks: list[dict[str, Any]] = [
            {"id": number, "data": {"path": path}, "annotations": []}
            for number, path in enumerate(paths)
        ]
        self.stored: dict[str, list[dict[str, Any]]] = {"dm/views": [], "webhooks": [], "ml": []}
        self.predictions: list[dict[str, Any]] = [{"model_version": "mine", "task": 0}]
        self.refused: set[str] = set()  # paths that are answered with an error
        self.requests: list[str] = []
        self.access = "first"
        routes = [
            Route("/api/token/refresh/", self._refresh, methods=["POST"]),
            Route("/{path:path}", self._answer, methods=["GET", "POST", "PATCH", "DELETE"]),
        ]
        self.server = LocalServer(
            Starlette(routes=routes), listen(0, remedy="use another port"), timeout=30.0
        )
        self.url = f"http://127.0.0.1:{self.server.port}"
        self.server.start()

    async def _refresh(self, request: Request) -> Response:
        assert (await request.json())["refresh"] == PERSONAL
        return JSONResponse({"access": self.access})

    async def _answer(self, request: Request) -> Response:
        path, method = request.url.path.strip("/").removeprefix("api/"), request.method
        self.requests.append(f"{method} {path}")
        if request.headers["authorization"] not in (f"Token {KEY}", f"Bearer {self.access}"):
            return JSONResponse({"detail": "Invalid token."}, 401)
        if path in self.refused and method == "POST":
            return JSONResponse({"detail": "URL resolves to a reserved network address"}, 400)
        body = await request.json() if method != "GET" else None
        if path == "users":
            return JSONResponse([{"id": 7, "email": "ann@example.org"}])
        if path == "tasks":
            page = int(request.query_params["page"])
            size = int(request.query_params["page_size"])
            found = self.tasks[(page - 1) * size : page * size]
            return JSONResponse({"tasks": found, "total": len(self.tasks)})
        if path == "projects/1/export":
            return JSONResponse([task for task in self.tasks if task["annotations"]])
        if path == "projects/1":
            self.project |= body or {}
            return JSONResponse(self.project)
        if path == "projects/1/import/predictions":
            self.predictions += body
            return JSONResponse({"created": len(body)}, 201)
        if path == "projects/1/model-versions":
            if body is not None:
                version = body["model_version"]
                kept = [each for each in self.predictions if each["model_version"] != version]
                self.predictions = kept
            return JSONResponse(Counter(each["model_version"] for each in self.predictions))
        name, _, number = path.partition("/") if path != "dm/views" else (path, "", "")
        if name not in self.stored:
            return JSONResponse({"detail": "Not found."}, 404)
        if method == "POST":
            self.stored[name].append({"id": len(self.stored[name]), **body})
        if method == "PATCH":
            self.stored[name][int(number)] |= body
        return JSONResponse(self.stored[name])

    def versions(self) -> Counter[str]:
        return Counter(each["model_version"] for each in self.predictions)


class Linked:
    """A service that is linked to the project."""

    def __init__(
        self, folder: Path, workspace: Path, studio: Studio, key: str = KEY, **options: Any
    ) -> None:
        embeddings = ep.embed(ep.load_dataset(str(folder)), backbone="toy", workspace=workspace)
        self.lines: list[str] = []
        self.log = LabelLog(workspace / "labels.sqlite")
        self.session = LabellingSession(embeddings, self.log)
        try:
            self.server = LabelStudioBackend(
                self.session,
                options=BackendOptions(port=0, **options),
                project=(Client(studio.url, key), 1),
                remark=self.lines.append,
            )
        except BaseException:
            self.log.close()
            raise
        self.server.start()

    def line(self, text: str, count: int = 1) -> str:
        """Wait for a line that contains a text."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [line for line in self.lines if text in line]
            if len(found) >= count:
                return found[-1]
            time.sleep(0.02)
        raise TimeoutError(self.lines)

    def close(self) -> None:
        self.server.stop()
        self.log.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", 24)


@pytest.fixture
def studio(folder: Path) -> Iterator[Studio]:
    running = Studio([item.id for item in ep.load_dataset(str(folder)).items])
    yield running
    running.server.stop()


@pytest.fixture
def link(tmp_path: Path, folder: Path, studio: Studio) -> Iterator[Callable[..., Linked]]:
    opened: list[Linked] = []

    def open_(key: str = KEY, **options: Any) -> Linked:
        opened.append(Linked(folder, tmp_path / "workspace", studio, key, **options))
        return opened[-1]

    yield open_
    for each in opened:
        each.close()


ORDERED = "the order of 24 tasks is in Label Studio."


def annotation(number: int, label: str, second: int = 0) -> dict[str, Any]:
    choice = {"from_name": "choice", "to_name": "image", "type": "choices"}
    return {
        "id": number,
        "completed_by": 7,
        "updated_at": f"2026-05-01T08:00:{second:02}Z",
        "result": [choice | {"value": {"choices": [label]}}],
    }


@pytest.mark.parametrize("key", [KEY, PERSONAL])
def test_the_project_is_set_up_once(studio: Studio, link: Callable[..., Linked], key: str) -> None:
    first = link(key, token="secret")
    line = first.line(ORDERED)
    version = line.partition(": the")[0]
    (view,), (webhook,), (model,) = studio.stored.values()
    assert view["data"]["ordering"] == ["tasks:predictions_score"]
    assert webhook["url"] == f"{first.server.url}/webhook"
    assert webhook["headers"] == {"Authorization": "Bearer secret"}
    assert "ANNOTATIONS_DELETED" in webhook["actions"]
    assert (model["url"], model["auth_method"]) == (first.server.url, "BASIC_AUTH")
    assert model["basic_auth_pass"] == "secret"
    assert studio.versions() == {"mine": 1, version: 24}
    assert studio.project["model_version"] == version
    scores = [each["score"] for each in studio.predictions[1:]]
    assert sorted(scores) == [number / 24 for number in range(24)]
    first.close()

    studio.access, studio.requests = "second", []  # the access token has expired
    again = link(key, token="other", public_url=first.server.url)
    again.line(ORDERED)
    (_, (webhook,), (model,)) = studio.stored.values()
    assert webhook["headers"] == {"Authorization": "Bearer other"}
    assert model["basic_auth_pass"] == "other"
    assert "POST projects/1/import/predictions" not in studio.requests


def test_annotations_of_another_project_are_refused(
    studio: Studio, link: Callable[..., Linked]
) -> None:
    first = link()
    first.line(ORDERED)
    other = {**studio.project, "id": 2}
    with pytest.raises(ep.errors.FormatError) as refused:
        first.server._state.receive(other, annotation(1, "red"), studio.tasks[0])
    assert str(refused.value) == (
        "the annotations are of project 2, and this service is for project 1: start one with "
        "--project 2."
    )
    assert not first.log.current(first.session.dataset)
    assert first.server._state.receive(studio.project, annotation(1, "red"), studio.tasks[0]) == 1


def test_annotations_from_before_are_read_and_predictions_are_replaced(
    studio: Studio, link: Callable[..., Linked]
) -> None:
    for number, task in enumerate(studio.tasks[:12]):
        label = ["red", "green"][number % 2]
        task["annotations"] = [annotation(number, label)]
    several = annotation(99, "red")
    several["result"] = several["result"] * 2
    several["result"][1] = {**several["result"][0], "value": {"choices": ["green"]}}
    studio.tasks[20]["annotations"] = [several]
    first = link()
    assert first.line("left out:") == (
        "left out: annotation 99: 2 classes are chosen; expected one."
    )
    assert first.line("were read") == "12 labels were read from Label Studio."
    version = first.line("embedpipe:auto-12").partition(": the")[0]
    current = first.log.current(first.session.dataset)
    assert {each.by for each in current.values()} == {"ann@example.org"}
    assert studio.versions() == {"mine": 1, version: 24}
    results = [each["result"] for each in studio.predictions if each["model_version"] == version]
    assert {result["value"]["choices"][0] for (result,) in results} <= {"red", "green"}
    page = studio.tasks[15]["data"]["path"]
    first.session.label([first.session.row_of(page)], "green")
    first.close()

    studio.tasks[0]["annotations"] = []  # deleted while the service did not run
    studio.tasks[1]["annotations"] = [annotation(1, "red", second=5)]
    before = annotation(50, "red") | {"updated_at": "2020-01-01T00:00:00Z"}
    studio.tasks[15]["annotations"] = [before]  # older than the label of the page
    again = link()
    again.line("2 labels were read")
    assert again.log.current(again.session.dataset)[studio.tasks[0]["data"]["path"]].label is None
    assert again.log.current(again.session.dataset)[studio.tasks[1]["data"]["path"]].label == "red"
    assert again.log.current(again.session.dataset)[page].label == "green"


def test_the_order_is_stored_although_the_webhook_is_refused(
    studio: Studio, link: Callable[..., Linked]
) -> None:
    studio.refused = {"webhooks"}
    linked = link()
    assert linked.line("refuses the address") == (
        f"Label Studio at {studio.url} answers POST /api/webhooks/ with status 400: URL resolves "
        f"to a reserved network address. If Label Studio refuses the address {linked.server.url}, "
        "start it with SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false, or give "
        "--public-url."
    )
    linked.line(ORDERED)


@pytest.mark.parametrize(
    ("key", "options", "message"),
    [
        (
            "wrong",
            {},
            "Label Studio at {url} refuses the access token. Set LABEL_STUDIO_API_KEY to a token "
            "of your account page there.",
        ),
        (
            KEY,
            {"control": "kind"},
            "the labelling interface has no Choices control 'kind' for a whole image; it has "
            "choice. Choose one with --control.",
        ),
        (
            KEY,
            {"host": "0.0.0.0"},
            "Label Studio needs an address at which it reaches this service: give --public-url "
            "too.",
        ),
        (
            KEY,
            {"public_url": "here"},
            "--public-url is 'here'; expected an address such as http://host.docker.internal:9090.",
        ),
    ],
)
def test_a_link_that_cannot_work_is_refused_at_the_start(
    studio: Studio,
    link: Callable[..., Linked],
    key: str,
    options: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(EmbedpipeError) as error:
        link(key, **options)
    assert str(error.value) == message.format(url=studio.url)


def test_an_unknown_project_and_an_unreachable_server() -> None:
    studio = Studio([])
    client = Client(studio.url, KEY)
    with pytest.raises(EmbedpipeError) as error:
        client.get("/api/other")
    assert str(error.value) == (
        f"Label Studio at {studio.url} answers GET /api/other with status 404: Not found."
    )
    studio.server.stop()
    with pytest.raises(EmbedpipeError) as error:
        client.get("/api/users/")
    assert str(error.value) == (
        f"Label Studio at {studio.url} cannot be reached (ConnectionError). Start it, or give its "
        "address with --label-studio-url."
    )
    with pytest.raises(EmbedpipeError) as error:
        Client("ftp://ann:pw@host", KEY)
    assert "ann" not in str(error.value)
