"""Readers of files that other processes replace."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from embedpipe._files import (
    count_rows,
    locked,
    read_parquet,
    write_parquet,
)

AWKWARD = ["ws-2026-11-28T12:00:00", "a b", "50%20off", 'it\'s "q"', "größe-写真", "a?b#c", "x\ny"]


def table(number: int) -> pa.Table:
    """A table whose columns and values differ between versions."""
    columns = {"n": [number] * 50, f"only_{number % 2}": [number] * 50}
    return pa.table(columns, metadata={"n": str(number)})


@pytest.mark.parametrize("name", AWKWARD)
def test_paths_are_not_read_as_urls(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path(name) / "t:1.parquet"
    write_parquet(path, table(1))
    assert read_parquet(path).equals(table(1))
    assert count_rows(path) == 50


def test_a_reader_sees_one_version_while_writers_replace_it(tmp_path: Path) -> None:
    path, ended = tmp_path / "t.parquet", threading.Event()
    write_parquet(path, table(0))

    def write(first: int) -> None:
        number = first
        while not ended.is_set():
            write_parquet(path, table(number))
            number += 2

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    try:
        seen: set[int] = set()
        reads, deadline = 0, time.monotonic() + 90
        while reads < 300 or (len(seen) <= 10 and time.monotonic() < deadline):
            reads += 1
            found = read_parquet(path)
            number = int(found.schema.metadata[b"n"])
            assert found.equals(table(number))
            assert count_rows(path) == 50
            seen.add(number)
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert len(seen) > 10
    assert [each.name for each in tmp_path.iterdir()] == ["t.parquet"]


def damaged(data: bytes, how: str) -> bytes:
    middle = len(data) // 3
    return {
        "empty": b"",
        "truncated": data[:-9],
        "altered": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "another format": b"path,label\n",
    }[how]


@pytest.mark.parametrize("how", ["empty", "truncated", "altered", "another format"])
def test_damage_and_errors_of_the_file_system_differ(tmp_path: Path, how: str) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, pa.table({"n": np.random.default_rng(0).normal(size=2000)}))
    path.write_bytes(damaged(path.read_bytes(), how))
    with pytest.raises(pa.ArrowInvalid):
        read_parquet(path)
    with pytest.raises(FileNotFoundError):
        read_parquet(tmp_path / "none.parquet")
    with pytest.raises(IsADirectoryError):
        read_parquet(tmp_path)


def test_a_missing_column(tmp_path: Path) -> None:
    write_parquet(tmp_path / "t.parquet", table(0))
    with pytest.raises(pa.ArrowInvalid, match="it has no column 'label'"):
        read_parquet(tmp_path / "t.parquet", ["n", "label"])


def test_a_lock_has_one_holder_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most = []

    def enter() -> None:
        for _ in range(50):
            with locked(tmp_path):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 200
    assert max(most) == 1
    assert os.listdir(tmp_path) == []  # noqa: PTH208
