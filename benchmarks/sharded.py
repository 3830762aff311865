"""Select from four files by four workers: equal picks, bytes per pick, and rows read.

    python benchmarks/sharded.py                     # 200,000 vectors of 384 dimensions
    python benchmarks/sharded.py --ray               # four Ray actors instead of this process
    python benchmarks/sharded.py --items 20000 --dim 64

The picks of greedy k-center, k-means and margin are compared with those from one array in memory.
The exit status is 1 if a pick differs. Printed for each strategy: seconds, bytes of the messages to
the workers and of their answers, for all workers together and per pick, and rows that a worker
reads, as a share of its rows.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import clusters, timed, without_slowing_settings

import embedpipe as ep
from embedpipe.index.part_workers import PartWorker, PartWorkers
from embedpipe.index.ray_workers import with_ray_workers

STRATEGIES = ("coreset", "centroid", "margin")
LABELLED = 500


class WorkersHere(PartWorkers):
    """Workers in this process, one after the other, that count the rows they read."""

    def __init__(self, count: int, matrix: ep.ShardedMatrix) -> None:
        super().__init__(count, len(matrix))
        self.matrices = [_Counted(matrix.shards) for _ in range(count)]
        self._workers = [PartWorker(each) for each in self.matrices]

    def send(self, workers, messages):  # noqa: D102
        pairs = zip(workers, messages, strict=True)
        return [self._workers[worker].handle(message) for worker, message in pairs]


class _Counted(ep.ShardedMatrix):
    read = 0

    def take(self, rows: np.ndarray) -> np.ndarray:
        self.read += rows.size
        return super().take(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--picks", type=int, default=200)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--ray", action="store_true", help="use actors of a local Ray cluster")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return int(bench(arguments, Path(folder)))


def bench(arguments: argparse.Namespace, folder: Path) -> bool:
    n, d, picks = arguments.items, arguments.dim, arguments.picks
    vectors, classes = clusters(folder / "all.npy", n, d)
    paths = [folder / f"{number}.npy" for number in range(arguments.workers)]
    for path, part in zip(paths, np.array_split(vectors, arguments.workers), strict=True):
        np.save(path, part)
    labelled = np.sort(np.random.default_rng(0).permutation(n)[:LABELLED])
    known = {"labelled": labelled, "labels": classes[labelled], "head": "logistic(C=1)"}
    print(f"{n:,} vectors, {d} dimensions, {arguments.workers} workers, {picks} picks")
    print(f"  {'strategy':<18}{'local s':>9}{'workers s':>11}{'sent':>9}{'answers':>11}", end="")
    print(f"{'messages':>10}{'rows read':>11}  picks")
    failed = False
    with matrix_with_workers(arguments, ep.ShardedMatrix(paths)) as matrix:
        for name in arguments.strategies:
            here, plain = timed(lambda name=name: ep.select(vectors, picks, name, **known))
            before = counts(matrix)
            there, found = timed(lambda name=name: ep.select(matrix, picks, name, **known))
            sent, received, messages, read = counts(matrix) - before
            same = np.array_equal(found.rows, plain.rows)
            same &= np.array_equal(found.scores, plain.scores)
            failed |= not same
            print(
                f"  {name:<18}{here:>9.2f}{there:>11.2f}{sent / picks:>9,.0f}"
                f"{received / picks:>11,.0f}{messages / picks:>10.2f}{read / n:>11.2f}"
                f"  {'equal' if same else 'DIFFERENT'}"
            )
    print("  sent, answers: bytes per pick; messages: per pick; rows read: of all rows")
    return failed


def counts(matrix: ep.ShardedMatrix) -> np.ndarray:
    workers = matrix.workers
    read = sum(each.read for each in getattr(workers, "matrices", []))
    return np.array([workers.sent, workers.received, workers.messages, read])


@contextlib.contextmanager
def matrix_with_workers(
    arguments: argparse.Namespace, matrix: ep.ShardedMatrix
) -> Iterator[ep.ShardedMatrix]:
    if not arguments.ray:
        shared = copy.copy(matrix)
        shared.workers = WorkersHere(arguments.workers, matrix)
        yield shared
        return
    import ray

    ray.init(address="local", num_cpus=arguments.workers, include_dashboard=False)
    with with_ray_workers(matrix) as shared:
        yield shared


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
