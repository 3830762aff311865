"""Common parts of the benchmarks: real or synthetic embeddings, clocks, memory."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")

SLOW_SETTINGS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Environment variables that configure NumPy's BLAS for another processor."""

ARCHIVE = "cifar10-images.zip"


def without_slowing_settings() -> None:
    """Restart this program if its environment slows NumPy's BLAS."""
    if any(name in os.environ for name in SLOW_SETTINGS):
        environment = {k: v for k, v in os.environ.items() if k not in SLOW_SETTINGS}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)


def find_archive() -> Path | None:
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    path = Path(os.environ.get("EMBEDPIPE_TEST_DATA", beside)) / ARCHIVE
    return path if path.exists() else None


def cifar10(source: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings and the labels of the 50,000 training images."""
    import embedpipe as ep

    embeddings = ep.embed(ep.load_dataset("cifar10", source=source))
    rows = embeddings.rows("train")
    return np.array(embeddings)[rows], np.array([embeddings.items[row].label for row in rows])


def clusters(path: Path, n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Write synthetic features to `path`; return them, memory-mapped, with their classes.

    The features have 200 clusters in 10 classes, a decaying spectrum and no negative values.
    """
    rng = np.random.default_rng(seed)
    rank = min(d, 512)
    spectrum = np.arange(1, rank + 1) ** -0.7  # (r,)
    basis = (rng.standard_normal((rank, d)) / np.sqrt(d)).astype(np.float32)
    centres = rng.standard_normal((200, rank)) * spectrum  # (200, r)
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (n, d))
    member = rng.integers(200, size=n)
    for start in range(0, n, 10_000):
        part = matrix[start : start + 10_000]
        inside = 0.8 * rng.standard_normal((len(part), rank)) * spectrum
        inside += centres[member[start : start + 10_000]]  # (b, r)
        noise = 0.1 * rng.standard_normal((len(part), d), dtype=np.float32) / np.sqrt(d)
        part[:] = np.maximum(inside.astype(np.float32) @ basis + noise, 0)  # (b, d)
    matrix.flush()
    return np.load(path, mmap_mode="r"), (member % 10).astype(str)


def timed(work: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    """Return the seconds and the result of a call."""
    start = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - start, result


class Memory:
    """Sampled anonymous memory of this process, without memory-mapped files."""

    def __init__(self) -> None:
        self.extra = 0

    def __str__(self) -> str:
        return f"{self.extra / 2**20:.0f} MB" if self._now() else "unknown on this system"

    @staticmethod
    def _now() -> int:
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        found = [int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon")]
        return found[0] if found else 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Sample until the end of the block; `extra` is the maximum increase in bytes."""
        before, done = self._now(), threading.Event()

        def sample() -> None:
            while not done.wait(0.01):
                self.extra = max(self.extra, self._now() - before)

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()
