"""The command `embedpipe label`: its output, its end, and a kill while clients label."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.errors import RunError
from embedpipe.labels import LabelLog, rebuild_states
from embedpipe.server import LabellingServer, address_stored, running_address
from tests.processes import run as run_program
from tests.processes import started
from tests.server.conftest import Client, Lab, make_photos

COMMAND = [sys.executable, "-m", "embedpipe", "label"]


@contextmanager
def served(folder: Path, workspace: Path) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """Start the command as a user does; give the program, and a client of its server."""
    options = ["--backbone", "toy", "--workspace", str(workspace), "--json"]
    with started([*COMMAND, str(folder), *options]) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate(timeout=90)[1]
        yield process, Client(json.loads(line)["url"])


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_command_prints_its_address_serves_and_ends_on_a_signal(
    tmp_path: Path, number: int
) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 6), tmp_path / "workspace"
    with served(folder, workspace) as (process, server):
        assert server.url.startswith("http://127.0.0.1:")
        assert len(server.token) >= 32
        stored = server.post("/api/label", {"rows": [0, 1], "label": "hat"}).json()
        # The open connection of a browser must not keep the server from ending.
        with socket.create_connection(("127.0.0.1", server.port)):
            process.send_signal(number)
            out, err = process.communicate(timeout=90)
    assert (process.returncode, out) == (0, "")
    assert err.splitlines() == [
        "Open this address in a browser on this machine. Press Ctrl-C to end.",
        "2 labels are stored. Run the same command again to continue.",
    ]
    with LabelLog(workspace / "labels.sqlite") as log:
        events = list(log.events())
    assert [event.label for event in events] == ["hat", "hat"]
    assert events[-1].id == stored["version"]
    assert server.token not in err


def printed_again(folder: Path, workspace: Path) -> tuple[int, str, str]:
    """Run the command with --url, and return its exit status and output."""
    command = [*COMMAND, folder, "--workspace", workspace, "--url"]
    done = run_program(command)
    return done.returncode, done.stdout, done.stderr


def test_a_lost_address_is_printed_again_while_the_server_runs(tmp_path: Path) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 6), tmp_path / "workspace"
    name = ep.load_dataset(folder).name
    refused = (
        f"embedpipe: no labelling page of {name!r} is running. Start it with `embedpipe label`.\n"
    )
    assert printed_again(folder, workspace) == (1, "", refused)
    assert not workspace.exists()
    with served(folder, workspace) as (process, server):
        path = workspace / "datasets" / name / f"page-{server.port}.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert printed_again(folder, workspace) == (0, f"{server.url}\n", "")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
    assert not path.exists()
    path.write_text(json.dumps({"url": server.url}))  # as after SIGKILL
    (path.parent / "page-1.json").write_text("damaged")
    assert printed_again(folder, workspace) == (1, "", refused)
    assert list(path.parent.glob("page-*.json")) == []


def test_the_address_is_found_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    folder = make_photos(tmp_path / "photos", 6)
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for each in (home, elsewhere):
        each.mkdir()
    with started([*COMMAND, folder, "--backbone", "toy"], cwd=home) as process:
        assert process.stdout is not None
        url = process.stdout.readline()
        again = run_program([*COMMAND, "../photos", "--url"], cwd=elsewhere)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    assert (again.returncode, again.stdout) == (0, url)
    assert err.splitlines()[0] == f"workspace: {home / '.embedpipe'}"
    assert list(elsewhere.iterdir()) == []


def test_the_file_of_a_stopped_server_does_not_lead_to_another_server(
    tmp_path: Path, lab: Lab
) -> None:
    (tmp_path / "page-1.json").write_text(
        json.dumps({"url": f"http://127.0.0.1:{lab.port}/?token=old"})
    )
    assert running_address(tmp_path) is None
    with address_stored(tmp_path, lab.url):
        assert running_address(tmp_path) == lab.url
    assert running_address(tmp_path) is None


def test_ctrl_c_at_any_moment_after_the_address_is_the_normal_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_photos(tmp_path / "photos", 6)

    def interrupted(self: LabellingServer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LabellingServer, "run", interrupted)
    words = ["label", str(folder), "--backbone", "toy", "--workspace", str(tmp_path / "workspace")]
    outcome = CliRunner().invoke(app, words)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr.splitlines()[-1] == (
        "0 labels are stored. Run the same command again to continue."
    )
    assert list((tmp_path / "workspace").glob("datasets/*/page-*.json")) == []


def test_a_single_image_is_refused_with_its_folder(tmp_path: Path) -> None:
    folder = make_photos(tmp_path / "photos", 2)
    for command in ("label", "annotate"):
        words = [command, str(folder / "day0" / "0000.jpg"), "--workspace", str(tmp_path / "w")]
        outcome = CliRunner().invoke(app, words)
        assert (outcome.exit_code, outcome.stderr) == (
            2,
            "embedpipe: '0000.jpg' is a single image. To label it, give its folder: "
            f"'{folder / 'day0'}'.\n",
        )
    assert not (tmp_path / "w").exists()


OPENS = {"DISPLAY": ":0"}


@pytest.mark.parametrize(
    ("variables", "words", "opened"),
    [
        (OPENS, [], True),
        (OPENS, ["--open"], True),
        (OPENS, ["--no-open"], False),
        (OPENS, ["--json"], False),
        ({**OPENS, "CI": "true"}, [], False),
        ({}, [], False),
    ],
)
def test_the_browser_opens_by_default_in_a_terminal_with_a_display(
    tmp_path: Path, variables: dict[str, str], words: list[str], opened: bool
) -> None:
    pty = pytest.importorskip("pty")
    folder = make_photos(tmp_path / "photos", 6)
    noted = tmp_path / "opened"
    browser = tmp_path / "browser"  # a program that stands for the browser
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {noted}.part; mv {noted}.part {noted}\n')
    browser.chmod(0o755)
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "CI")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"BROWSER": str(browser), **variables}
    ours, theirs = pty.openpty()
    command = [*COMMAND, folder, "--backbone", "toy", "--workspace", tmp_path / "w", *words]
    with started(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    ) as process:
        os.close(theirs)
        shown = b""
        while b"Press Ctrl-C to end." not in shown:
            shown += os.read(ours, 65536)
        end = time.monotonic() + 90
        while opened and not noted.exists() and time.monotonic() < end:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)
    os.close(ours)
    assert noted.exists() == opened
    assert (b"The page opens in your browser." in shown) == opened
    if opened:
        assert noted.read_text().startswith("http://127.0.0.1:")
        assert "token=" not in noted.read_text()


def test_an_occupied_port_is_an_error_in_one_line(lab: Lab) -> None:
    with pytest.raises(RunError) as caught:
        LabellingServer(lab.session, lab.workspace, port=lab.port)
    assert str(caught.value) == (
        f"cannot use port {lab.port} (Address already in use): give another --port, or leave it "
        "out to use any free port."
    )


class Load(threading.Thread):
    """A client that labels as fast as the server responds, and notes the acknowledged requests."""

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
            except (OSError, http.client.HTTPException):  # not acknowledged
                return
            if answer.status == 200:
                self.acknowledged.append(mark)


def kill_under_load(tmp_path: Path, kills: int, requests: int) -> None:
    folder, workspace = make_photos(tmp_path / "photos", 24), tmp_path / "workspace"
    acknowledged: list[str] = []
    sent: list[str] = []
    rng = random.Random(0)
    for kill in range(kills):
        with served(folder, workspace) as (process, server):
            before = len(acknowledged)
            loads = [Load(server, 3 * kill + each, acknowledged, sent) for each in range(3)]
            for load in loads:
                load.start()
            end = time.monotonic() + 180
            while len(acknowledged) - before < requests / kills and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
            process.communicate(timeout=90)
        for load in loads:
            load.join(90)
    assert len(acknowledged) >= requests
    with LabelLog(workspace / "labels.sqlite") as log:
        events = list(log.events())
        assert rebuild_states(events)[events[0].dataset].current == log.current(events[0].dataset)
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
