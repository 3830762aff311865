"""Remarks on a dataset are written once, and again by the commands that report on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome

JXL = "skipped 1 .jxl files: unsupported format; convert them to JPEG or PNG"


def damaged(path: Path) -> str:
    path.write_bytes(b"\xff\xd8\xff damaged")
    return path.name


@pytest.fixture
def folder(photos: Callable[..., Path]) -> Path:
    folder = photos()
    (folder / "class0" / "phone.jxl").write_bytes(b"x")
    damaged(folder / "class0" / "broken.jpg")
    return folder


def test_remarks_are_written_once(call: Callable[..., Outcome], folder: Path) -> None:
    first = call("select", folder, "-n", 3).err.splitlines()
    assert first[0] == JXL
    assert first[1].startswith("`class0/broken.jpg` ")
    assert len(first) == 2
    assert call("select", folder, "-n", 3).err == ""
    damaged(folder / "class1" / "broken-too.jpg")
    (new,) = call("select", folder, "-n", 3).err.splitlines()
    assert new.startswith("`class1/broken-too.jpg` ")
    assert call("select", folder, "-n", 3, "--json").json()["failed"] == 2


def test_embed_and_check_write_them_again(call: Callable[..., Outcome], folder: Path) -> None:
    first = call("embed", folder).err.splitlines()
    assert len(first) == 2
    assert call("embed", folder).err.splitlines() == first
    assert call("check", folder, "--backbone", "toy").err.splitlines()[:2] == first


def test_remarks_that_quiet_suppressed_are_written_later(
    call: Callable[..., Outcome], folder: Path
) -> None:
    assert call("select", folder, "-n", 3, "--quiet").err == ""
    assert call("select", folder, "-n", 3).err.splitlines()[0] == JXL
