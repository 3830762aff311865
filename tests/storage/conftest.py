"""Fixtures: an S3 server with an empty bucket."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from embedpipe import _storage

if TYPE_CHECKING:
    from tests.object_store import S3Server

if find_spec("s3fs") is None or find_spec("moto") is None:
    collect_ignore = [
        "test_cli_addresses.py",
        "test_object_path.py",
        "test_ray_on_s3.py",
        "test_sources.py",
        "test_two_machines.py",
        "test_workspace_on_s3.py",
    ]


@pytest.fixture(scope="session")
def server() -> Iterator[S3Server]:
    """One server for all tests."""
    from tests.object_store import S3Server

    server = S3Server()
    yield server
    server.close()


@pytest.fixture
def s3(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, with its address and credentials in the environment."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server.requests.clear()
    _storage._file_system.cache_clear()
    return server


@pytest.fixture
def bucket(s3: S3Server, request: pytest.FixtureRequest) -> str:
    """The name of an empty bucket."""
    import secrets

    return s3.make_bucket(f"bucket-{secrets.token_hex(4)}")


@pytest.fixture
def images(tmp_path: Path, s3: S3Server, bucket: str) -> Path:
    """A folder of 40 images in two classes and two splits, also at ``s3://bucket/images``."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    folder = tmp_path / "images"
    for number in range(40):
        split, label = ("test" if number % 4 == 0 else "train"), number % 2
        path = folder / split / f"class{label}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.integers(0, 100, (24, 24, 3)) + 120 * label
        Image.fromarray(noise.astype(np.uint8)).save(path)
    s3.upload(folder, bucket, "images/")
    return folder
