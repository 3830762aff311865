"""A real Label Studio server shows tasks in the order of the strategy, and sends the labels.

Run where it is installed: `make consumers`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe.labels import Current, LabelLog
from tests.label_studio import LabelStudio
from tests.processes import run, started
from tests.server.conftest import make_photos
from tests.server.tabs import kind_of

LIMIT = 300.0
"""Maximum seconds until Label Studio has the predictions or the log has a label."""

COMMAND = [sys.executable, "-m", "embedpipe"]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[LabelStudio]:
    pytest.importorskip("label_studio")
    (tmp_path / "server").mkdir()
    running = LabelStudio(tmp_path / "server", tmp_path)
    try:
        running.wait()
        yield running
    finally:
        running.close()


def eventually(found: Callable[[], Any]) -> Any:
    """Return the first true value of a function."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        value = found()
        if value:
            return value
        time.sleep(0.5)
    raise TimeoutError


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


class Project:
    """A project with a task for each photo."""

    def __init__(self, studio: LabelStudio, tasks: Path) -> None:
        self.studio = studio
        config = (tasks / "config.xml").read_text(encoding="utf-8")
        made = studio.ask("/api/projects", {"title": "photos", "label_config": config})
        self.id = made["id"]
        studio.ask(
            f"/api/projects/{self.id}/import", json.loads((tasks / "tasks.json").read_text())
        )

    def version(self) -> str:
        """Return the version of embedpipe's predictions; empty while there are none."""
        found = str(self.studio.ask(f"/api/projects/{self.id}")["model_version"])
        return found if found.startswith("embedpipe:") else ""  # at first, the model's title

    def has_only(self, version: str) -> bool:
        """Return whether the predictions of all other versions were removed."""
        counts = self.studio.ask(f"/api/projects/{self.id}/model-versions/")
        return [each for each, count in counts.items() if count] == [version]

    def ordered(self) -> list[dict[str, Any]]:
        """Return the tasks in the order of embedpipe's tab."""
        (view,) = self.studio.ask(f"/api/dm/views/?project={self.id}")
        query = f"view={view['id']}&project={self.id}&page_size=100&fields=all"
        tasks: list[dict[str, Any]] = self.studio.ask(f"/api/tasks?{query}")["tasks"]
        return tasks

    def next_task(self) -> dict[str, Any]:
        """Return the task that `Label All Tasks` shows in embedpipe's tab."""
        path = f"/api/dm/actions?id=next_task&project={self.id}"
        ordering = {"ordering": ["tasks:predictions_score"], "project": self.id}
        found: dict[str, Any] = self.studio.ask(path, ordering)
        return found


@contextmanager
def serving(
    folder: Path, workspace: Path, project: Project, key: str
) -> Iterator[subprocess.Popen[str]]:
    """Run `embedpipe label-studio`."""
    words = ["label-studio", folder, "--project", project.id, "--port", free_port()]
    words += ["--label-studio-url", project.studio.address, "--backbone", "toy"]
    words += ["--workspace", workspace]
    environment = {**os.environ, "LABEL_STUDIO_API_KEY": key}
    with started([*COMMAND, *map(str, words)], seconds=2 * LIMIT, env=environment) as process:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        errors = process.stderr.read()
        assert process.wait(timeout=60) == 0, errors
        assert "Traceback" not in errors


def test_tasks_are_ordered_and_their_labels_are_logged(tmp_path: Path, studio: LabelStudio) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 36), tmp_path / "workspace"
    options = ["--format", "label-studio", "--output", tmp_path / "tasks", "--all"]
    classes = ["--class", "red", "--class", "green", "--class", "blue"]
    exported = run([*COMMAND, "labels", "export", folder, *options, *classes])
    assert exported.returncode == 0, exported.stderr
    project = Project(studio, tmp_path / "tasks")
    key = studio.ask("/api/token/", {})["token"]  # a personal access token

    def current() -> dict[str, Current]:
        if not (workspace / "labels.sqlite").exists():
            return {}
        with LabelLog(workspace / "labels.sqlite") as log:
            found = log.current(ep.load_dataset(str(folder)).name)
        return {path: each for path, each in found.items() if each.kind == "label"}

    with serving(folder, workspace, project, key):
        first = eventually(project.version)
        assert first.startswith("embedpipe:no-model")
        tasks = project.ordered()
        scores = [task["predictions_score"] for task in tasks]
        assert scores == sorted(scores)
        assert len(set(scores)) == 36
        assert project.next_task()["id"] == tasks[0]["id"]
        (model,) = studio.ask(f"/api/ml?project={project.id}")
        assert (model["title"], model["readable_state"]) == ("embedpipe", "Connected")

        labelled = {}
        for task in tasks[:12]:
            label = kind_of(task["data"]["path"])
            choice = {"from_name": "choice", "to_name": "image", "type": "choices"}
            answer = {"result": [choice | {"value": {"choices": [label]}}]}
            made = studio.ask(f"/api/tasks/{task['id']}/annotations/", answer)
            labelled[task["data"]["path"]] = label, made["id"]
        eventually(lambda: len(current()) == 12)
        expected = {path: label for path, (label, _) in labelled.items()}
        assert {path: each.label for path, each in current().items()} == expected
        assert {each.by for each in current().values()} == {"ann@example.org"}

        # A training can begin before the last of the labels: ask for one with all of them.
        studio.ask(f"/api/ml/{model['id']}/train", {})
        with LabelLog(workspace / "labels.sqlite") as log:
            last = [event.id for event in log.events()][-1]
        second = eventually(lambda: f".{last}." in project.version() and project.version())
        assert second.startswith("embedpipe:auto-")
        eventually(lambda: project.has_only(second))
        left = [task for task in project.ordered() if task["data"]["path"] not in labelled]
        before = [task["id"] for task in tasks if task["data"]["path"] not in labelled]
        assert [task["id"] for task in left] != before
        assert sorted(task["id"] for task in left) == sorted(before)
        following = project.next_task()
        assert following["id"] == left[0]["id"]
        (prediction,) = left[0]["predictions"]
        assert prediction["model_version"] == second
        (result,) = prediction["result"]
        assert result["value"]["choices"][0] in ("red", "green", "blue")

        changed, removed = list(labelled)[:2]
        choice["value"] = {"choices": ["green" if expected[changed] == "red" else "red"]}
        studio.ask(
            f"/api/annotations/{labelled[changed][1]}/", {"result": [choice]}, method="PATCH"
        )
        studio.get(f"/api/annotations/{labelled[removed][1]}/", method="DELETE")
        eventually(lambda: removed not in current())
        assert current()[changed].label == choice["value"]["choices"][0]

    # Labels that are given while the service does not run are read at its next start.
    answer = {"result": [choice]}
    studio.ask(f"/api/tasks/{left[0]['id']}/annotations/", answer)
    with serving(folder, workspace, project, key):
        eventually(lambda: left[0]["data"]["path"] in current())
