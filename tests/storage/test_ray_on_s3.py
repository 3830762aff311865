"""Images and the workspace on an S3 server, and the workers on a Ray cluster: no common folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.cache import Store, verify
from embedpipe.embedding import Embeddings
from embedpipe.embedding.cluster import pool
from tests.object_store import S3Server
from tests.processes import run, started
from tests.ray_nodes import NODE, FragileBackbone, nodes_of_one_cpu, worker_processes

pytest.importorskip("ray", reason="needs Ray")

SHARD = 8
"""Minimum images of a shard in these tests."""


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def cluster(
    request: pytest.FixtureRequest, server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Two or four nodes of one processor, which write files nowhere but on the server."""
    home = tmp_path_factory.mktemp("nodes") / "data"
    environment = {**server.environment, "XDG_DATA_HOME": str(home)}
    with nodes_of_one_cpu(request.param, environment) as made:
        yield made
    assert not home.exists()


@pytest.fixture
def local(
    cluster: Any, s3: S3Server, bucket: str, photos: Callable[..., Path], tmp_path: Path
) -> Embeddings:
    """The vectors of a folder, which is also at ``s3://bucket/photos``: 16 shards for each node."""
    folder = photos(16 * SHARD * len(cluster.list_all_nodes()) // 2, 3)
    s3.upload(folder, bucket, "photos/")
    return ep.embed(folder, backbone="toy", workspace=tmp_path / "local")


def assert_same(found: Embeddings, local: Embeddings, workspace: str) -> None:
    """Check that nothing is lost or doubled, and that every vector is equal to the byte."""
    assert found.items == local.items
    assert found.matrix.tobytes() == local.matrix.tobytes()
    assert found.content_ids == local.content_ids
    assert not found.failures
    ids = Store(Workspace(workspace), found.spec).content_ids().to_pylist()
    assert len(ids) == len(set(ids)) == len(local)
    assert verify(Workspace(workspace)) == []


def test_killed_workers_and_a_removed_node_lose_and_double_nothing(
    cluster: Any, s3: S3Server, bucket: str, local: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SMALLEST", SHARD)
    extra = cluster.add_node(**NODE)
    last = f"/photos/{local.items[-1].id}"
    killed: dict[str, list[int]] = {}
    one_at_a_time = threading.Lock()

    def kill(method: str, path: str) -> None:
        """Kill workers after the first fragment, and while they read the last images."""
        is_read = method == "GET" and path.endswith(last)
        is_written = method == "PUT" and "/fragments/" in path
        instant = "read" if is_read else "written"
        with one_at_a_time:
            if (is_read or is_written) and instant not in killed:
                if busy := worker_processes("ray::ShardWorker.embed"):
                    killed[instant] = busy
                for process in busy:
                    os.kill(process, signal.SIGKILL)

    def remove(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("embed", len(local))
        if 2 * done >= total and extra in cluster.list_all_nodes():
            cluster.remove_node(extra)

    workspace = f"s3://{bucket}/ws"
    with s3.calling(kill):
        found = ep.embed(
            f"s3://{bucket}/photos", backbone=FragileBackbone(), workspace=workspace,
            executor="ray", address=cluster.address, progress=remove,
        )  # fmt: skip
    assert killed.keys() == {"read", "written"}
    assert extra not in cluster.list_all_nodes()
    assert found.report.embedded == len(local)
    assert_same(found, local, workspace)


DRIVER = """
import sys
import embedpipe as ep
from embedpipe.embedding.cluster import pool
from tests.ray_nodes import FragileBackbone

pool.SMALLEST = int(sys.argv[4])
ep.embed(
    sys.argv[1], backbone=FragileBackbone(), workspace=sys.argv[2], executor="ray",
    address=sys.argv[3], progress=lambda *done: print(*done, flush=True),
)
"""


@pytest.mark.slow
def test_a_killed_driver_continues(
    cluster: Any, bucket: str, local: Embeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, workspace = f"s3://{bucket}/photos", f"s3://{bucket}/ws"
    words = [sys.executable, "-c", DRIVER, place, workspace, cluster.address, str(SHARD)]
    with started(words, stderr=subprocess.DEVNULL) as driver:
        assert driver.stdout is not None
        for _ in range(2):
            assert driver.stdout.readline().startswith("embed ")
        driver.kill()
    deadline = time.monotonic() + 120
    while worker_processes() and time.monotonic() < deadline:  # Ray ends them
        time.sleep(0.2)
    monkeypatch.setattr(pool, "SMALLEST", SHARD)
    found = ep.embed(
        place, backbone=FragileBackbone(), workspace=workspace, executor="ray",
        address=cluster.address,
    )  # fmt: skip
    assert 0 < found.report.embedded <= len(local) - 2 * SHARD
    assert_same(found, local, workspace)


@pytest.mark.slow
def test_a_folder_on_a_store_is_filled_without_a_list(
    cluster: Any, bucket: str, local: Embeddings
) -> None:
    place, workspace = f"s3://{bucket}/photos", f"s3://{bucket}/ws"
    words = [
        sys.executable, "-m", "embedpipe", "embed", place, "--backbone", "toy", "--executor",
        "ray", "--address", cluster.address, "--fill-only", "--workspace", workspace, "--json",
    ]  # fmt: skip
    done = run(words)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["items"], result["embedded"], result["failed"]) == (len(local), len(local), 0)
    found = ep.embed(place, backbone="toy", workspace=workspace, require_cached=True)
    assert_same(found, local, workspace)
