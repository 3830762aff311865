"""Embedding on a Ray cluster with its head in another folder."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe import _ray
from embedpipe.cache import Store
from embedpipe.datasets import load_dataset
from embedpipe.errors import RunError

ray = pytest.importorskip("ray", reason="needs Ray")

REPOSITORY = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A head started in another folder, and its address as environment variables."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(REPOSITORY),
    }
    # The paths of sockets must be short, so the session has another folder.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as session:
        words = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
            f"--port={port}", "--num-cpus=2", "--node-ip-address=127.0.0.1",
            "--include-dashboard=false", f"--temp-dir={session}", "--disable-usage-stats",
            "--object-store-memory=100000000",
        ]  # fmt: skip
        with subprocess.Popen(
            words, cwd=elsewhere, env={**os.environ, **settings}, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        ) as head:  # fmt: skip
            try:
                deadline = time.monotonic() + 120
                while time.monotonic() < deadline and not _answers(port):
                    time.sleep(0.2)
                yield {**settings, "RAY_ADDRESS": f"127.0.0.1:{port}"}
            finally:
                head.send_signal(signal.SIGTERM)
                try:
                    head.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(head.pid, signal.SIGKILL)
    assert list(elsewhere.iterdir()) == []  # no worker wrote beside the head


def _answers(port: int) -> bool:
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relative", "ws-2026-11-28T12:00:00", "it's 50% größe"])
def test_workers_in_another_folder_find_relative_paths(
    cluster: dict[str, str], photos: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    photos(30, 3)
    done = subprocess.run(
        [sys.executable, "-m", "embedpipe", "embed", "photos", "--backbone", "toy", "--json",
         "--executor", "ray", "--workspace", name],
        cwd=tmp_path, env={**os.environ, **cluster}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["embedded"], result["failed"]) == (30, 0)
    assert done.stderr == ""
    found = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / name)
    local = ep.embed(tmp_path / "photos", backbone="toy", workspace=tmp_path / "local")
    assert found.report.embedded == 0
    assert np.array_equal(found.matrix, local.matrix)
    assert not list((tmp_path / name).rglob(".tmp-*"))


APART = """
import sys
from embedpipe.cli.main import main
from embedpipe.embedding.cluster import nodes

def without_images(source, path, item_id):
    answer = path.with_name(".tmp-answer")
    answer.write_bytes(path.read_bytes())
    return nodes.Seen(path.read_bytes(), answer, None)

def with_another_folder(source, path, item_id):
    return nodes.Seen(None, path.with_name("other"), None)

def writing_elsewhere(source, path, item_id):
    return nodes.Seen(path.read_bytes(), path.with_name("other"), None)

nodes.look = locals()[sys.argv.pop(1)]
main()
"""
"""Script of a node without the shared folders."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "message"),
    [
        ("without_images", "has another file 'class0/0000.jpg' in {photos}, or no such file: "),
        ("with_another_folder", "has no workspace at {workspace}: give a --workspace"),
        ("writing_elsewhere", "has no workspace at {workspace}: give a --workspace"),
    ],
)
def test_a_node_without_the_shared_folders_is_an_error(
    cluster: dict[str, str],
    photos: Callable[..., Path],
    tmp_path: Path,
    node: str,
    message: str,
) -> None:
    folder, workspace = photos(6, 2), tmp_path / "w"
    done = subprocess.run(
        [sys.executable, "-c", APART, node, "embed", "photos", "--backbone", "toy", "--json",
         "--executor", "ray", "--workspace", "w"],
        cwd=tmp_path, env={**os.environ, **cluster}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["kind"] == "RunError"
    assert result["error"].startswith("the Ray node ")
    assert message.format(photos=folder, workspace=workspace) in result["error"]
    assert done.stderr == f"embedpipe: {result['error']}\n"
    assert not list(workspace.rglob("fragments/*"))
    assert not list(workspace.rglob(".tmp-*"))


def test_errors_of_workers_are_one_line() -> None:
    from embedpipe.errors import CacheError

    cause = CacheError("cannot write to the cache at /w: No space left on device.")
    with pytest.raises(CacheError) as caught, _ray.explained_errors(ray):
        raise ray.exceptions.RayTaskError("_fill_share", "a traceback\nof many lines", cause)
    assert caught.value is cause
    with pytest.raises(RunError) as run, _ray.explained_errors(ray):
        raise ray.exceptions.RayTaskError("f", "trace", ModuleNotFoundError("No module 'x'\nmore"))
    assert str(run.value) == (
        "a Ray worker failed (ModuleNotFoundError: No module 'x'). Finished work is kept; run the "
        "same command again to continue."
    )
    with pytest.raises(RunError, match=r"^Ray lost the cluster \("), _ray.explained_errors(ray):
        raise ray.exceptions.WorkerCrashedError


def test_no_cluster_at_the_address(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**given: object) -> None:
        assert given["address"] == "127.0.0.1:1"
        raise ConnectionError("Failed to connect\nand more")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", refuse)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RunError) as caught:
        ep.embed(photos(4, 2), backbone="toy", workspace=tmp_path / "w", executor="ray")
    assert str(caught.value) == (
        "Ray cannot be used at 127.0.0.1:1 (Failed to connect): start a cluster with `ray start "
        "--head`, or correct --address or RAY_ADDRESS."
    )
    assert signal.getsignal(signal.SIGTERM) is before
    assert "RAY_USAGE_STATS_ENABLED" not in os.environ


def test_a_source_pickles_as_an_absolute_path(
    photos: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle
    import shutil

    monkeypatch.chdir(tmp_path)
    folder = photos(4, 2)
    shutil.make_archive("packed", "zip", folder)
    shutil.make_archive("packed", "tar", folder)
    (tmp_path / "m.csv").write_text("path\nphotos/class0/0000.jpg\n")
    sources = [
        load_dataset(name).source for name in ("photos", "packed.zip", "packed.tar", "m.csv")
    ]
    paths = ["class0/0000.jpg"] * 3 + ["photos/class0/0000.jpg"]
    (tmp_path / "elsewhere").mkdir()
    packed = pickle.dumps(sources)
    monkeypatch.chdir(tmp_path / "elsewhere")
    expected = (folder / "class0" / "0000.jpg").read_bytes()
    for source, path in zip(pickle.loads(packed), paths, strict=True):
        assert source.read_one(path) == expected


def test_weights_are_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedpipe.backbones import get_backbone

    monkeypatch.chdir(tmp_path)
    for name in ("timm:resnet18", "torchvision:resnet18"):
        assert get_backbone(name, "w.pth").weights == tmp_path / "w.pth"  # type: ignore[attr-defined]


def test_a_store_is_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from embedpipe import Workspace
    from embedpipe.cache import Spec

    monkeypatch.chdir(tmp_path)
    assert Store(Workspace("w"), Spec({"dim": 4}, {}, "fp32")).folder.is_relative_to(tmp_path)
