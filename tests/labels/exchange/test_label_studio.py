"""Label Studio imports the tasks and shows the images, and its exports are read.

Run where it is installed: `make consumers`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from embedpipe.labels.exchange import Labelled, formats, local_files_url

TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTS_IN_SECONDS = 300


class Server:
    """A Label Studio on a port of its own, with its data in a folder of its own."""

    def __init__(self, folder: Path, document_root: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "HOME": str(folder),
            "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            **dict.fromkeys(["COLLECT_ANALYTICS", "LATEST_VERSION_CHECK"], "false"),
            **dict.fromkeys(["SENTRY_DSN", "FRONTEND_SENTRY_DSN"], ""),
        }
        command = [str(Path(sys.executable).with_name("label-studio")), "start", "--no-browser"]
        command += ["--internal-host", "127.0.0.1", "--port", str(port)]
        command += ["--username", "ann@example.org", "--password", "of-this-test"]
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--user-token", TOKEN], env=environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        deadline = time.monotonic() + STARTS_IN_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.get("/health")
            except OSError:
                time.sleep(1)
            else:
                return
        raise TimeoutError(self.log.read_text())

    def get(self, path: str, body: object = None) -> bytes:
        """Return the content at a path, or the response to `body`."""
        request = urllib.request.Request(
            self.address + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
        return content

    def ask(self, path: str, body: object = None) -> Any:
        return json.loads(self.get(path, body))


@pytest.fixture
def photos(
    tmp_path: Path, items: list[Labelled], open_image: Callable[[str], bytes]
) -> tuple[Path, list[Labelled]]:
    """A folder of photos, and its items."""
    folder = tmp_path / "my photos, 帽"
    for item in items:
        (folder / item.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / item.path).write_bytes(open_image(item.path))
    return folder, items


@pytest.fixture
def server(tmp_path: Path, photos: tuple[Path, list[Labelled]]) -> Iterator[Server]:
    pytest.importorskip("label_studio")
    (tmp_path / "server").mkdir()
    running = Server(tmp_path / "server", photos[0].parent)
    try:
        running.wait()
        yield running
    finally:
        running.process.terminate()
        running.process.wait()


def test_tasks_go_there_and_back(
    server: Server, photos: tuple[Path, list[Labelled]], tmp_path: Path
) -> None:
    folder, items = photos
    studio = formats["label-studio"]
    tree = studio.write(tmp_path / "tasks", items, image_url=local_files_url(folder))
    config = (tree / "config.xml").read_text(encoding="utf-8")
    project = server.ask("/api/projects", {"title": "mine", "label_config": config})["id"]
    tasks = json.loads((tree / "tasks.json").read_text(encoding="utf-8"))
    taken = server.ask(f"/api/projects/{project}/import", tasks)
    assert taken["task_count"] == len(items)
    assert taken["prediction_count"] == sum(item.prediction is not None for item in items)

    with pytest.raises(urllib.error.HTTPError, match="404"):  # before there is a storage
        server.get(tasks[0]["data"]["image"])
    server.ask("/api/storages/localfiles/", {"project": project, "path": str(folder)})
    for task in tasks:
        content = server.get(task["data"]["image"])
        assert content == (folder / task["data"]["path"]).read_bytes(), task["data"]["path"]

    kept = {
        task["data"]["path"]: task["id"]
        for task in server.ask(f"/api/tasks?project={project}&page_size=100")["tasks"]
    }
    choice = {"from_name": "choice", "to_name": "image", "type": "choices"}
    result = [choice | {"value": {"choices": ["a, b"]}}]
    for path in ("s/silent.jpg", "s/guessed.jpg"):
        server.ask(f"/api/tasks/{kept[path]}/annotations/", {"result": result})
    skip = {"result": [], "was_cancelled": True}
    server.ask(f"/api/tasks/{kept['s/unsure.jpg']}/annotations/", skip)

    labels = {item.path: item.label for item in items if item.is_sure}
    labels |= {"s/silent.jpg": "a, b", "s/guessed.jpg": "a, b"}
    for form in ("JSON", "JSON_MIN"):
        file = tmp_path / f"{form}.json"
        file.write_bytes(server.get(f"/api/projects/{project}/export?exportType={form}"))
        read = studio.read(file)
        assert {item.path: item.label for item in read if item.label is not None} == labels
        skipped = {item.path for item in read if item.status == "skip"}
        assert skipped == ({"s/skipped.jpg", "s/unsure.jpg"} if form == "JSON" else set())
        seen = [item for item in read if item.prediction is not None]
        assert seen == (
            [Labelled("s/guessed.jpg", "a, b", "label", "a, b", 0.25, "1", "größe 帽")]
            if form == "JSON"
            else []
        )
