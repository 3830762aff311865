"""Azure and Google Cloud Storage, in emulators of their servers on this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe import _storage
from embedpipe._storage import ObjectPath
from embedpipe._workspace import Workspace
from embedpipe.cache import Store, verify
from embedpipe.datasets import load_dataset
from embedpipe.datasets.streaming import stream_ids
from embedpipe.errors import StorageError
from tests.processes import run, started

fsspec = pytest.importorskip("fsspec", reason="needs embedpipe[cloud]")

AZURE = (
    "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLl"
    "mEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint="
    "http://127.0.0.1:{port}/devstoreaccount1;"
)
"""Address of azurite, with the account and the key that its documentation states."""

PROGRAMS = {
    "az": ("azurite-blob", "npm install --global azurite"),
    "gs": ("gcp-storage-emulator", "pip install gcp-storage-emulator"),
}
"""The emulator of each scheme, and its install command."""


def answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module", params=PROGRAMS)
def scheme(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A scheme whose emulator runs and has a bucket ``photos``."""
    name, install = PROGRAMS[request.param]
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed: {install}")
    pytest.importorskip({"az": "adlfs", "gs": "gcsfs"}[request.param], reason="needs its library")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = str(tmp_path_factory.mktemp(request.param))
    words, settings = [program, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"], {
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"
    }  # fmt: skip
    if request.param == "az":
        words = [program, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        words += ["--location", folder, "--blobPort", str(port)]
        settings = {"AZURE_STORAGE_CONNECTION_STRING": AZURE.format(port=port)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with started(words, seconds=600, **quiet) as server, pytest.MonkeyPatch.context() as patch:
        deadline = time.monotonic() + 120
        while not answers(port):
            assert server.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        for variable, value in settings.items():
            patch.setenv(variable, value)
        _storage._file_system.cache_clear()
        files, _ = fsspec.core.url_to_fs(f"{request.param}://photos", skip_instance_cache=True)
        files.mkdir("photos")
        yield request.param
    _storage._file_system.cache_clear()


def command(*words: object) -> tuple[str, str]:
    """Run a command, and return its output."""
    done = run([sys.executable, "-m", "embedpipe", *map(str, words)])
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_store_has_the_vectors_of_a_folder(
    scheme: str, photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = photos(12, 3)
    shutil.copy(folder / "class0" / "0000.jpg", folder / "class1" / "größe %20.jpg")
    place, workspace = f"{scheme}://photos/all", f"{scheme}://photos/ws"
    for path in folder.rglob("*.jpg"):
        (ObjectPath(place) / path.relative_to(folder).as_posix()).write(path.read_bytes())
    words = ("embed", place, "--backbone", "toy", "--workspace", workspace, "--json")
    out, err = command(*words, "--quiet")
    assert err == ""
    assert (json.loads(out)["items"], json.loads(out)["embedded"]) == (13, 12)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "another machine"))
    out, _ = command(*words)
    assert (json.loads(out)["embedded"], json.loads(out)["reused"]) == (0, 13)
    local = ep.embed(folder, backbone="toy", workspace=tmp_path / "w")
    found = ep.embed(place, backbone="toy", workspace=workspace, require_cached=True)
    assert found.items == local.items
    assert found.matrix.tobytes() == local.matrix.tobytes()
    ids = Store(Workspace(workspace), found.spec).content_ids().to_pylist()
    assert len(ids) == len(set(ids)) == 12
    assert "12 rows" in command("cache", "list", "--workspace", workspace)[0]
    assert command("cache", "verify", "--workspace", workspace)[0] == "no file is damaged\n"
    fragment = next(each for each in ObjectPath(workspace).files() if "/fragments/" in str(each))
    fragment.write(fragment.read_bytes()[:-1])
    assert [each.path for each in verify(Workspace(workspace))] == [fragment]
    command("cache", "gc", "--workspace", workspace)
    assert verify(Workspace(workspace)) == []
    again = ep.embed(place, backbone="toy", workspace=workspace)
    assert (again.report.embedded, again.matrix.tobytes()) == (12, local.matrix.tobytes())
    archive = shutil.make_archive(str(tmp_path / "photos"), "zip", folder)
    ObjectPath(f"{scheme}://photos/photos.zip").write(Path(archive).read_bytes())
    zipped = ep.embed(f"{scheme}://photos/photos.zip", backbone="toy", workspace=workspace)
    assert (zipped.report.items, zipped.report.embedded) == (13, 0)


def test_names_and_errors_of_a_store(scheme: str) -> None:
    place = ObjectPath(f"{scheme}://photos/names")
    names = [
        "a.jpg",
        "b/c.jpg",
        "b/d e%20.jpg",
        *(["b//f.jpg", "/g.jpg"] if scheme == "gs" else []),
    ]
    for name in names:
        (place / name).write(name.encode())
    assert sorted(stream_ids(str(place))) == sorted(
        item.id for item in load_dataset(str(place)).items
    )
    assert sorted(str(each).removeprefix(f"{place}/") for each in place.files()) == sorted(names)
    path = place / "a.jpg"
    before = path.entry()
    assert (before.size, path.read_range(2, 4)) == (5, b"jp")
    path.write(b"other")
    changed = ObjectPath(str(path)).entry()
    assert (changed.tag, changed.mtime_ns) != (before.tag, before.mtime_ns)
    with pytest.raises(FileNotFoundError):
        (place / "absent").read_bytes()
    place.remove_tree()
    assert list(place.files()) == list(place.iterdir()) == []
    absent = ObjectPath(f"{scheme}://no-such-bucket/x")
    for action in (lambda: absent.write(b"1"), lambda: list(absent.iterdir())):
        with pytest.raises(StorageError, match="The specified (bucket|container) does not exist"):
            action()
