"""A server on a folder of photos, and a browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.labelling import LabellingSession
from embedpipe.labels import LabelLog
from embedpipe.server import LabellingServer
from tests.conftest import make_image
from tests.server.tabs import Tab


class Response:
    """A response of the server."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.body = response.status, response.read()
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def json(self) -> Any:
        assert self.status == 200, self.body
        return json.loads(self.body)

    def progress(self) -> Any:
        assert self.status == 202, self.body
        return json.loads(self.body)

    def error(self) -> tuple[int, str]:
        return self.status, json.loads(self.body)["error"]


class Client:
    """A client with the token of a server; `raw` sends any headers."""

    def __init__(self, url: str) -> None:
        self.url, parts = url, urlsplit(url)
        self.port = parts.port or 80
        self.token = parse_qs(parts.query)["token"][0]

    def raw(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> Response:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            connection.putrequest(method, path, skip_host="host" in headers)
            if body is not None and "content-length" not in headers:
                headers = {**headers, "content-length": str(len(body))}
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            return Response(connection.getresponse())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.raw("GET", path, {"authorization": f"Bearer {self.token}", **headers})

    def post(self, path: str, content: Any) -> Response:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/json"}
        return self.raw("POST", path, headers, json.dumps(content).encode())


class Lab(Client):
    """A server on a thread of the tests, with its session."""

    def __init__(
        self,
        folder: Path,
        workspace: Path,
        backbone: str | ep.Backbone = "toy",
        classes: Sequence[str] = (),
    ) -> None:
        self.folder, self.workspace = folder, workspace
        self.embeddings = ep.embed(
            ep.load_dataset(str(folder)), backbone=backbone, workspace=workspace
        )
        self.log = LabelLog(workspace / "labels.sqlite")
        prior = (
            ep.zero_shot_prior(self.embeddings, classes, workspace=workspace) if classes else None
        )
        self.session = LabellingSession(self.embeddings, self.log, who="ann", prior=prior)
        self.server = LabellingServer(self.session, workspace, port=0)
        super().__init__(self.server.url)
        self.server.start()

    def close(self) -> None:
        self.server.stop()
        self.log.close()

    def labels(self) -> dict[str, str]:
        """Return the labels of the log, read from its file, without accepted suggestions."""
        with LabelLog(self.workspace / "labels.sqlite") as log:
            current = log.current(self.session.dataset)
        labels = {path: each.label for path, each in current.items() if each.kind == "label"}
        return {path: label for path, label in labels.items() if label is not None}


@pytest.fixture
def open_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """Return a function that serves a folder."""
    labs = []

    def open_(folder: Path, workspace: str = "workspace") -> Lab:
        labs.append(Lab(folder, tmp_path / workspace))
        return labs[-1]

    yield open_
    for lab in labs:
        lab.close()


def make_photos(folder: Path, count: int, classes: int = 3) -> Path:
    """Make a folder of JPEGs whose names contain no class."""
    for number in range(count):
        kind = number % classes
        image = make_image(number, (64, 48))
        colour = tuple(int(part) for part in np.eye(3)[kind % 3] * 200 + 20 * (kind // 3))
        image = Image.blend(image, Image.new("RGB", image.size, colour), 0.75)
        path = folder / f"day{number % 2}" / f"{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=90)
    return folder


@pytest.fixture
def lab(tmp_path: Path, open_lab: Callable[..., Lab]) -> Lab:
    """A served folder of 24 photos of three classes; 0, 3, 6 … have the same class."""
    return open_lab(make_photos(tmp_path / "photos", 24))


@pytest.fixture
def tab_on(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Return a function that opens a tab; all of them share a browser's cookies."""
    contexts: dict[int, Any] = {}
    tabs = []

    def open_(
        lab: Lab,
        url: str | None = None,
        width: int = 1280,
        view: str | None = "single",
        **more: Any,
    ) -> Tab:
        key = id(lab) + width
        if key not in contexts:
            contexts[key] = browser.new_context(viewport={"width": width, "height": 800}, **more)
        tabs.append(Tab(contexts[key], url or lab.url, view))
        return tabs[-1]

    yield open_
    for context in contexts.values():
        context.close()
    for tab in tabs:
        assert tab.problems == []
        assert all(url.startswith("http://127.0.0.1:") for url in tab.requests)
