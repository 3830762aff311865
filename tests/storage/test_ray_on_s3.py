"""Images and the workspace on an S3 server, and the workers on a Ray cluster: no common folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedpipe as ep
from embedpipe._storage import ObjectPath
from tests.object_store import S3Server
from tests.processes import run

pytest.importorskip("ray", reason="needs Ray")

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Four nodes of one processor, which inherit the address of the server."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    made = Cluster(head_node_args={**node, "include_dashboard": False}, initialize_head=True)
    for _ in range(3):
        made.add_node(**node)
    yield made
    made.shutdown()


def test_four_nodes_embed_from_and_to_an_object_store(
    cluster: Any, bucket: str, photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(300, 3)
    for path in folder.rglob("*.jpg"):
        ObjectPath(f"s3://{bucket}/{path.relative_to(tmp_path)}").write(path.read_bytes())
    place, workspace = f"s3://{bucket}/photos", f"s3://{bucket}/ws"
    removed: list[Any] = []

    def disturb(stage: str, done: int, total: int) -> None:
        if not removed:
            removed.extend(cluster.worker_nodes)
            cluster.remove_node(removed[0])

    found = ep.embed(
        place, backbone="toy", workspace=workspace, executor="ray", address=cluster.address,
        progress=disturb,
    )  # fmt: skip
    assert removed
    local = ep.embed(folder, backbone="toy", workspace=tmp_path / "local")
    assert (found.report.items, found.report.embedded, found.report.failed) == (300, 300, 0)
    assert [item.id for item in found.items] == [item.id for item in local.items]
    assert np.array_equal(found.matrix, local.matrix)
    words = [
        sys.executable, "-m", "embedpipe", "embed", place, "--backbone", "toy", "--executor",
        "ray", "--address", cluster.address, "--fill-only", "--workspace", f"s3://{bucket}/other",
    ]  # fmt: skip
    done = run(words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{place}: 300 items, 300 embedded, 0 reused, 0 failed;")
