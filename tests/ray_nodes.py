"""Ray clusters on this machine for tests, the processes of their workers, and a slow backbone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedpipe.backbones import ToyBackbone

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
"""The options of a node of one processor."""

FATAL = 255
"""Average red of an image that ends its worker."""


class FragileBackbone(ToyBackbone):
    """A slow backbone; a red image kills its process."""

    name = "fragile"

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """See `ToyBackbone.encode`."""
        time.sleep(0.01 * len(pixels))
        if (pixels[..., 0].mean(axis=(1, 2)) == FATAL).any():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(pixels)


@contextmanager
def nodes_of_one_cpu(count: int, environment: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Start a cluster, whose nodes inherit the environment variables."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        for name, value in (settings | dict(environment or {})).items():
            patch.setenv(name, value)
        cluster = Cluster(head_node_args={**NODE, "include_dashboard": False}, initialize_head=True)
        try:
            for _ in range(count - 1):
                cluster.add_node(**NODE)
            yield cluster
        finally:
            cluster.shutdown()


def worker_processes(name: str = "ray::ShardWorker") -> list[int]:
    """Return the processes below this one that are workers of a name."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                names[int(folder.name)] = (folder / "cmdline").read_text()
            except OSError:
                continue
            parents[int(folder.name)] = int(fields[1])
    found = []
    for pid, title in names.items():
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() and title.startswith(name):
            found.append(pid)
    return found
