"""Core-set selection beside the plain incremental loop, in one run.

    python benchmarks/selection.py                             # CIFAR-10 if it is at hand
    python benchmarks/selection.py --embeddings vectors.npy    # any (n, d) float32 matrix
    python benchmarks/selection.py --synthetic --items 50000 --dim 1280 --picks 1000

The plain loop streams the matrix once per pick: one float32 matrix-vector product, a minimum, an
argmax. Both start from the same item. Ours is then checked against greedy k-center in float64:
every pick must be the item that the reference would have picked after the picks before it. The
script exits with 1 if one is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from embedpipe.index import squared_distances
from embedpipe.strategies import Pool, Selection, get_strategy

SLOWING = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Settings that tie NumPy's BLAS to another processor than this one."""

ARCHIVE = "cifar10-images.zip"


def main() -> int:
    arguments = parse()
    matrix, origin = load(arguments)
    n, d = matrix.shape
    picks = min(arguments.picks, n)
    print(f"{origin}: {n:,} x {d:,}, {picks:,} picks, {os.cpu_count()} CPUs")

    memory = Memory()
    ours: list[Selection] = []
    plain: list[list[int]] = []
    times: dict[str, list[float]] = {"embedpipe": [], "plain loop": []}
    for _ in range(arguments.repeats):
        with memory.watch():
            times["embedpipe"].append(timed(lambda: ours.append(coreset(matrix, picks))))
        first = int(ours[0].rows[0])
        times["plain loop"].append(
            timed(lambda first=first: plain.append(plain_loop(matrix, picks, first)))
        )

    rows = ours[0].rows
    wrong = first_wrong_pick(matrix, rows)
    shared = int((rows == np.array(plain[0])).sum())
    fastest = {name: min(values) for name, values in times.items()}
    print(f"\n{'':<12}{'seconds':>9}{'ratio':>8}  picks")
    verdict = "as the float64 reference" if wrong is None else f"WRONG from pick {wrong}"
    print(f"{'embedpipe':<12}{fastest['embedpipe']:>9.2f}{1:>8.1f}  {verdict}")
    ratio = fastest["plain loop"] / fastest["embedpipe"]
    print(f"{'plain loop':<12}{fastest['plain loop']:>9.2f}{ratio:>8.1f}  {shared:,} the same")
    print(f"\nradius after the last pick {ours[0].diagnostics['radius'][-1]:.4f}")
    print(f"extra memory at the peak: {memory.peak}")
    return 0 if wrong is None else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embeddings", type=Path, help="an .npy file with an (n, d) matrix")
    parser.add_argument("--source", type=Path, help=f"the CIFAR-10 images ({ARCHIVE})")
    parser.add_argument("--synthetic", action="store_true", help="made-up clusters")
    parser.add_argument("--items", type=int, default=50_000, help="of the made-up clusters")
    parser.add_argument("--dim", type=int, default=1_280, help="of the made-up clusters")
    parser.add_argument("--picks", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=1, help="the fastest counts")
    return parser.parse_args()


def load(arguments: argparse.Namespace) -> tuple[np.ndarray, str]:
    """Return the matrix to select from, and what it is."""
    if arguments.embeddings:
        given = np.load(arguments.embeddings, mmap_mode="r")
        return given.astype(np.float32, copy=False), str(arguments.embeddings)
    source = None if arguments.synthetic else arguments.source or find_archive()
    if source is None:
        return clusters(arguments.items, arguments.dim), "synthetic clusters"
    import embedpipe as ep

    embeddings = ep.embed(ep.load_dataset("cifar10", source=source))
    return np.array(embeddings)[embeddings.rows("train")], "CIFAR-10, training images"


def find_archive() -> Path | None:
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    path = Path(os.environ.get("EMBEDPIPE_TEST_DATA", beside)) / ARCHIVE
    return path if path.exists() else None


def clusters(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Return features like a network's: 200 clusters, a decaying spectrum, never negative."""
    rng = np.random.default_rng(seed)
    rank = min(d, 512)
    spectrum = np.arange(1, rank + 1) ** -0.7  # (r,)
    basis = (rng.standard_normal((rank, d)) / np.sqrt(d)).astype(np.float32)
    centres = rng.standard_normal((200, rank)) * spectrum  # (200, r)
    matrix = np.empty((n, d), dtype=np.float32)
    for start in range(0, n, 10_000):
        part = matrix[start : start + 10_000]
        inside = 0.8 * rng.standard_normal((len(part), rank)) * spectrum
        member = centres[rng.integers(200, size=len(part))] + inside  # (b, r)
        noise = 0.1 * rng.standard_normal((len(part), d), dtype=np.float32) / np.sqrt(d)
        part[:] = np.maximum(member.astype(np.float32) @ basis + noise, 0)  # (b, d)
    return matrix


def coreset(matrix: np.ndarray, picks: int) -> Selection:
    return get_strategy("coreset").select(Pool(matrix), picks, np.random.default_rng(0))


def plain_loop(matrix: np.ndarray, picks: int, first: int) -> list[int]:
    """Return greedy k-center by one float32 matrix-vector product per pick."""
    norms = np.einsum("ij,ij->i", matrix, matrix)  # (n,)
    away = np.full(len(matrix), np.inf, dtype=np.float32)
    chosen = [first]
    while True:
        centre = chosen[-1]
        np.minimum(away, norms + norms[centre] - 2 * (matrix @ matrix[centre]), out=away)
        away[centre] = -1
        if len(chosen) == picks:
            return chosen
        chosen.append(int(away.argmax()))


def first_wrong_pick(matrix: np.ndarray, rows: np.ndarray) -> int | None:
    """Return the place of the first pick that greedy k-center in float64 would not make.

    Distances are expanded in float64 for every item and every pick; whatever comes within 1e-9
    of a pick's own distance, or beats it, is measured again by `squared_distances`.
    """
    centre = matrix[rows[0]].astype(np.float64)
    chosen = matrix[rows].astype(np.float64) - centre  # (k, d)
    norms = np.square(chosen).sum(axis=1)  # (k,)
    reach = np.array([nearest(matrix, rows[i], rows[:i]) for i in range(1, rows.size)])
    when = np.full(len(matrix), rows.size)  # the turn in which a row was picked
    when[rows] = np.arange(rows.size)
    wrong = rows.size
    for start in range(0, len(matrix), 1000):
        block = matrix[start : start + 1000].astype(np.float64) - centre  # (b, d)
        own = np.square(block).sum(axis=1)[:, None]  # (b, 1)
        away = own + norms[:-1] - 2 * (block @ chosen[:-1].T)  # (b, k - 1)
        np.minimum.accumulate(away, axis=1, out=away)
        rival = away >= reach - 1e-9 * (own + norms.max())
        rival &= when[start : start + 1000, None] > np.arange(1, rows.size)
        for item, turn in zip(*np.nonzero(rival), strict=True):
            row, place = start + int(item), int(turn) + 1
            value = nearest(matrix, row, rows[:place])
            if (value, -row) > (reach[turn], -rows[place]):
                wrong = min(wrong, place)
    return None if wrong == rows.size else wrong


def nearest(matrix: np.ndarray, row: int, centres: np.ndarray) -> float:
    return float(squared_distances(matrix[centres], matrix[row]).min())


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Memory:
    """Samples this process's anonymous memory (file pages of a memory map do not count)."""

    def __init__(self) -> None:
        self._extra = 0

    @property
    def peak(self) -> str:
        """The most that was added while watching."""
        return f"{self._extra / 2**20:.0f} MB" if self._now() else "not known on this system"

    @staticmethod
    def _now() -> int:
        status = Path("/proc/self/status")
        lines = status.read_text().splitlines() if status.exists() else []
        found = [int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon")]
        return found[0] if found else 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Sample until the block is left."""
        before, done = self._now(), threading.Event()

        def sample() -> None:
            while not done.wait(0.01):
                self._extra = max(self._extra, self._now() - before)

        sampler = threading.Thread(target=sample)
        sampler.start()
        try:
            yield
        finally:
            done.set()
            sampler.join()


if __name__ == "__main__":
    if any(name in os.environ for name in SLOWING):
        environment = {k: v for k, v in os.environ.items() if k not in SLOWING}
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)
    sys.exit(main())
