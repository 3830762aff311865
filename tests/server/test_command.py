"""The command `embedpipe label`, and what SIGKILL does to a server at work."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from embedpipe.errors import RunError
from embedpipe.labels import LabelLog, replay
from embedpipe.server import LabellingServer
from tests.server.conftest import Client, Lab, make_photos

COMMAND = [sys.executable, "-m", "embedpipe", "label"]


class Process(Client):
    """A server as somebody starts it in a terminal."""

    def __init__(self, folder: Path, workspace: Path, *more: str) -> None:
        arguments = [*COMMAND, str(folder), "--backbone", "toy", "--workspace", str(workspace)]
        self.process = subprocess.Popen(
            [*arguments, "--json", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1])
        super().__init__(json.loads(line)["url"])

    def end(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_it_prints_its_address_serves_and_ends_in_peace(tmp_path: Path, number: int) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 6), tmp_path / "workspace"
    server = Process(folder, workspace)
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.token) >= 32
    said = server.post("/api/label", {"rows": [0, 1], "label": "hat"}).json()
    keeping = socket.create_connection(("127.0.0.1", server.port))  # a browser's open connection
    status, out, err = server.end(number)
    keeping.close()
    assert (status, out) == (0, "")
    assert err.splitlines() == [
        "Open this address in a browser on this machine; Ctrl-C ends.",
        "2 labels are stored; run the same command again to go on.",
    ]
    with LabelLog(workspace / "labels.sqlite") as log:
        events = list(log.events())
    assert [event.label for event in events] == ["hat", "hat"]
    assert events[-1].id == said["version"]
    assert server.token not in "".join(err)


def test_a_port_that_is_taken_is_said_in_one_line(lab: Lab) -> None:
    with pytest.raises(RunError) as caught:
        LabellingServer(lab.session, lab.workspace, port=lab.port)
    assert str(caught.value) == (
        f"cannot listen at port {lab.port} (Address already in use): give another --port, or none "
        "to have one chosen."
    )


class Load(threading.Thread):
    """Somebody who labels as fast as the server answers, and remembers what was acknowledged."""

    def __init__(self, server: Client, seed: int, acknowledged: list[str], sent: list[str]) -> None:
        super().__init__()
        self.server, self.random = server, random.Random(seed)
        self.acknowledged, self.sent, self.seed = acknowledged, sent, seed

    def run(self) -> None:
        for number in range(100_000):
            mark = f"{self.seed}-{number}"
            rows = self.random.sample(range(24), 2)
            label = self.random.choice(["hat", "cap", "shoe"])
            self.sent.append(mark)
            try:
                answer = self.server.post(
                    "/api/label",
                    {"rows": rows, "label": label, "suggestions": [None, None], "model": mark},
                )
            except (OSError, http.client.HTTPException):  # nothing was acknowledged
                return
            if answer.status == 200:
                self.acknowledged.append(mark)


def kill_under_load(tmp_path: Path, kills: int, requests: int) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 24), tmp_path / "workspace"
    acknowledged: list[str] = []
    sent: list[str] = []
    rng = random.Random(0)
    for kill in range(kills):
        server = Process(folder, workspace)
        before = len(acknowledged)
        loads = [Load(server, 3 * kill + each, acknowledged, sent) for each in range(3)]
        for load in loads:
            load.start()
        end = time.monotonic() + 20
        while len(acknowledged) - before < requests / kills and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.1))
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.communicate()
        for load in loads:
            load.join(20)
    assert len(acknowledged) >= requests
    with LabelLog(workspace / "labels.sqlite") as log:
        events = list(log.events())
        assert replay(events)[events[0].dataset].current == log.current(events[0].dataset)
    stored = Counter(event.model for event in events)
    assert set(stored.values()) == {2}  # both rows of an act or none, and never twice
    assert set(acknowledged) <= set(stored) <= set(sent)
    with closing(sqlite3.connect(workspace / "labels.sqlite")) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_kill_loses_no_acknowledged_label(tmp_path: Path) -> None:
    kill_under_load(tmp_path, kills=2, requests=60)


@pytest.mark.slow
def test_fifty_kills_lose_no_acknowledged_label(tmp_path: Path) -> None:
    kill_under_load(tmp_path, kills=50, requests=2000)
