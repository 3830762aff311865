"""Several processes with the same runs, studies and matrices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.active import ActiveLoop, RunFolder
from embedpipe.active.problem import Problem
from embedpipe.experiments.run_files import read_rounds, stored_of


def compare(workspace: Path, folder: Path, *more: str) -> subprocess.Popen[str]:
    words = [
        sys.executable, "-m", "embedpipe", "compare", str(folder), "--backbone", "toy", "--seeds",
        "2", "--initial-size", "6", "--batch-size", "3", "--rounds", "4", "--workers", "0",
        "--json", "--quiet", "--workspace", str(workspace), *more,
    ]  # fmt: skip
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_pair(workspace: Path, folder: Path) -> None:
    """Two studies that share the runs of random and margin, at the same time."""
    pair = [
        compare(workspace, folder, "--strategies", strategies)
        for strategies in ("margin,entropy", "margin,coreset")
    ]
    for process in pair:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        assert json.loads(out)["failures"] == []


def test_two_studies_at_once_share_their_runs(photos: Callable[..., Path], tmp_path: Path) -> None:
    folder = photos(60, 3)
    ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    run_pair(tmp_path / "w", folder)


@pytest.mark.slow
def test_twenty_pairs_of_studies_at_once(photos: Callable[..., Path], tmp_path: Path) -> None:
    folder = photos(60, 3)
    tables = []
    for number in range(20):
        workspace = tmp_path / f"w{number}"
        ep.embed(folder, backbone="toy", workspace=workspace)
        run_pair(workspace, folder)
        found = compare(workspace, folder, "--strategies", "margin,entropy,coreset")
        out, err = found.communicate(timeout=600)
        assert found.returncode == 0, err
        summary = json.loads(out)["summary"]
        tables.append([(row["strategy"], row["aubc_mean"]) for row in summary])
        assert not list(workspace.rglob(".tmp-*"))
    assert all(table == tables[0] for table in tables)


def test_three_writers_of_one_run_leave_one_whole_run(
    blobs: Callable[..., Problem], tmp_path: Path
) -> None:
    """Readers always find picks that fit the rounds, and never fewer rounds than before."""
    options = {"strategy": "margin", "initial": "coreset", "initial_size": 4}
    records = list(ActiveLoop(blobs(), **options).run(rounds=8, batch_size=2))  # type: ignore[arg-type]
    path = tmp_path / "run"
    RunFolder(path).start({"a": 1})
    ended, problems = threading.Event(), []

    def write() -> None:
        folder = RunFolder(path)
        for count in range(1, len(records) + 1):
            folder.write(records[:count], None)

    def read() -> None:
        most = 0
        while not ended.is_set():
            try:
                found = len(RunFolder(path).read())
                rows = len(read_rounds(path, 100))
                stored = stored_of(path).rounds
            except Exception as error:  # noqa: BLE001  any error fails the test
                problems.append(error)
                return
            assert most <= found <= rows <= stored
            most = found

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=write) for _ in range(3)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    ended.set()
    for thread in readers:
        thread.join()
    assert problems == []
    final = RunFolder(path).read()
    assert [record.labelled for record in final] == [record.labelled for record in records]
    assert all(np.array_equal(a.rows, b.rows) for a, b in zip(final, records, strict=True))
    assert sorted(os.listdir(path)) == [  # noqa: PTH208
        "config.json", "picks.parquet", "predictions.parquet", "rounds.parquet",
    ]  # fmt: skip


def test_a_writer_with_fewer_rounds_changes_nothing(
    blobs: Callable[..., Problem], tmp_path: Path
) -> None:
    records = list(ActiveLoop(blobs(), initial_size=4).run(rounds=3, batch_size=2))
    ahead, behind = RunFolder(tmp_path), RunFolder(tmp_path)
    ahead.write(records, None)
    before = (tmp_path / "picks.parquet").read_bytes()
    behind.write(records[:2], None)
    assert (tmp_path / "picks.parquet").read_bytes() == before
    assert len(behind.read()) == 4
