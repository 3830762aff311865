"""Compare selection with reference implementations: time ratios, checked picks and memory.

    python benchmarks/selection.py                        # CIFAR-10 if it is available
    python benchmarks/selection.py --only coreset table   # some of the parts
    python benchmarks/selection.py --embeddings x.npy     # any (n, d) float32 matrix
    python benchmarks/selection.py --million              # also 1,000,000 vectors, half an hour

Parts:

- `coreset`, `badge`: compared with plain NumPy loops that read the matrix once for each pick. The
  time of scikit-activeml's core-set (`pip install '.[bench]'`) is extrapolated from fewer picks.
- `typical`: `typiclust` and `probcover`, compared with scikit-activeml.
- `cells`: the share of distances that greedy k-center estimates with the bounds of embedpipe, and
  with the cells of the FAISS index and the triangle inequality.
- `table`: time and memory of every strategy, each in its own process.

Core-set picks are compared with greedy k-center in float64. The exit status is 1 if a pick differs,
or if a strategy of the table fails unexpectedly.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Memory, cifar10, clusters, find_archive, timed, without_slowing_settings
from peers import HAVE_SKACTIVEML, first_wrong_pick, plain_badge, plain_coreset, skactiveml

from embedpipe.errors import SelectionError
from embedpipe.heads import LogisticHead
from embedpipe.index import METRICS, FarthestFirst, Index, vectors_of
from embedpipe.index.vectors import Vectors
from embedpipe.strategies import Pool, Selection, get_strategy, strategies

LABELLED, BATCH = 500, 100
"""Number of labels and of picks in the table of all strategies."""

SMALL = 5_000
"""Number of items for scikit-activeml's TypiClust and ProbCover."""

PARTS = ("coreset", "cells", "badge", "typical", "table")


@dataclass(frozen=True)
class Problem:
    """A matrix on disk, a label for each row, and a description."""

    path: Path
    labels: np.ndarray
    origin: str

    @property
    def matrix(self) -> np.ndarray:
        """The (n, d) float32 matrix, memory-mapped."""
        return np.load(self.path, mmap_mode="r")

    def index(self, kind: str) -> Index:
        """Return the index, stored beside the matrix."""
        folder = self.path.with_suffix(".index")
        return Index(self.matrix, kind=kind, folder=folder, digest="0" * 64)


def main() -> int:
    arguments = parse()
    if arguments.one:
        return one(arguments)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        problem = load(arguments, Path(folder))
        n, d = problem.matrix.shape
        print(f"{problem.origin}: {n:,} vectors, {d:,} dimensions, {os.cpu_count()} CPUs")
        if "coreset" in arguments.only:
            failed |= bench_coreset(np.array(problem.matrix), arguments.picks)
        if "cells" in arguments.only:
            bench_cells(np.array(problem.matrix))
        if "badge" in arguments.only:
            bench_badge(np.array(problem.matrix), problem.labels)
        if "typical" in arguments.only:
            bench_typical(np.array(problem.matrix[:SMALL]))
        if "table" in arguments.only:
            failed |= bench_table(problem, "exact")
        if arguments.million:
            failed |= bench_million(Path(folder))
    return int(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--embeddings", type=Path, help="an .npy file with an (n, d) matrix")
    parser.add_argument("--labels", type=Path, help="an .npy file with the (n,) labels of the rows")
    parser.add_argument("--source", type=Path, help="the CIFAR-10 images")
    parser.add_argument("--items", type=int, default=50_000, help="number of synthetic vectors")
    parser.add_argument("--dim", type=int, default=1_280, help="dimensions of synthetic vectors")
    parser.add_argument("--picks", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--million", action="store_true", help="also 1,000,000 vectors")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # run this strategy only
    parser.add_argument("--index", default="exact", help=argparse.SUPPRESS)
    return parser.parse_args()


def load(arguments: argparse.Namespace, folder: Path) -> Problem:
    """Return the problem: the matrix on disk, labels and a description."""
    path = folder / "embeddings.npy"
    if arguments.embeddings:
        matrix = np.load(arguments.embeddings, mmap_mode="r")
        labels = np.load(arguments.labels) if arguments.labels else pseudo_labels(matrix)
        np.save(path, matrix.astype(np.float32, copy=False))
        return Problem(path, labels.astype(str), str(arguments.embeddings))
    source = arguments.source or find_archive()
    if source is None:
        _, labels = clusters(path, arguments.items, arguments.dim)
        return Problem(path, labels, "synthetic clusters")
    matrix, labels = cifar10(source)
    np.save(path, matrix)
    return Problem(path, labels, "CIFAR-10, training images")


def pseudo_labels(matrix: np.ndarray) -> np.ndarray:
    index = Index(np.asarray(matrix))
    return index.clusters(10).labels[index.copy_of].astype(str)


def bench_coreset(matrix: np.ndarray, counts: list[int]) -> bool:
    """Print the times of core-set and of the references; return whether a pick was wrong."""
    failed = False
    for metric, picks in itertools.product(METRICS, counts):
        memory, spec = Memory(), f"coreset(metric={metric})"
        with memory.watch():
            ours, found = timed(select, spec, Pool(matrix), picks)
        theirs, _ = timed(plain_loop, matrix, metric, picks, int(found.rows[0]))
        wrong = first_wrong_pick(wide_rows(matrix, metric), found.rows)
        failed |= wrong is not None
        verdict = "equal to the float64 reference" if wrong is None else f"WRONG from pick {wrong}"
        print(f"\n{spec}, {picks:,} picks: {ours:.2f} s, {memory} extra, picks {verdict}")
        print(f"  plain loop        {theirs:8.2f} s  {theirs / ours:6.1f} x")
        if HAVE_SKACTIVEML and picks == counts[0] and metric == "euclidean":
            few = max(10, picks // 50)
            slow = timed(skactiveml, "CoreSet", matrix, few)[0] * picks / few
            print(f"  scikit-activeml   {slow:8.2f} s  {slow / ours:6.1f} x  (from {few} picks)")
    return failed


def bench_cells(matrix: np.ndarray, picks: int = 300, labelled: int = 5_000) -> None:
    """Print shares of estimated distances, and times with many labels."""
    n, d = matrix.shape
    plane = np.random.default_rng(0).standard_normal((n, 2)) @ np.eye(2, d)
    print(f"\ngreedy k-center, {picks:,} picks: estimated distances, as a share of all")
    for name, vectors in (("these vectors", matrix), ("a plane", plane.astype(np.float32))):
        for metric in METRICS if vectors is matrix else ("euclidean",):
            first = int(select(f"coreset(metric={metric})", Pool(vectors), 1).rows[0])
            items = np.delete(np.arange(n), first)
            search = FarthestFirst(vectors_of(vectors, metric), items, np.array([first]))
            chosen = [first]
            while len(chosen) < picks:
                at = search.farthest().position
                search.add(at)
                chosen.append(int(items[at]))
            share = touched_by_cells(vectors_of(vectors, metric), metric, np.array(chosen))
            print(
                f"  {name:<14}{metric:<10} bounds {search.compared / n / picks:7.2%}   "
                f"cells {share:7.2%}"
            )
    import faiss

    rows = np.sort(np.random.default_rng(0).permutation(n)[:labelled])
    ours, _ = timed(select, "coreset(metric=euclidean)", Pool(matrix, labelled=rows), 100)
    search, _ = timed(faiss.knn, matrix, matrix[rows], 1)
    print(f"100 picks from {labelled:,} labels: {ours:.2f} s; a FAISS search alone {search:.2f} s")


def touched_by_cells(vectors: Vectors, metric: str, chosen: np.ndarray) -> float:
    """Return the share of distances to members of cells that a new centre may be near to.

    A cell is left out if the distance of the centre to the mean of the cell, minus the radius of
    the cell, is at least the largest distance of a member to its nearest centre.
    """
    plain = (
        np.asarray(vectors) if metric == "euclidean" else vectors.narrow(np.arange(len(vectors)))
    )
    index = Index(plain)
    plain, cells = plain[index.rows], index.cells()
    order = np.argsort(cells.labels, kind="stable")
    plain, labels = plain[order], cells.labels[order]
    starts = labels.searchsorted(np.arange(cells.sizes.size))
    means = np.add.reduceat(plain, starts, axis=0, dtype=np.float64) / cells.sizes[:, None]
    means = means.astype(np.float32)
    norms, sizes = np.square(plain).sum(axis=1), np.square(means).sum(axis=1)
    radii = np.array(
        [
            np.linalg.norm(plain[start:stop] - mean, axis=1).max()
            for start, stop, mean in zip(starts, [*starts[1:], len(plain)], means, strict=True)
        ]
    )
    nearest, touched = np.full(len(plain), np.inf), 0
    place = np.empty(len(plain), dtype=np.int64)
    place[order] = np.arange(len(plain))
    for at in place[index.find(chosen)]:
        away = np.sqrt(np.maximum(sizes + norms[at] - 2 * means @ plain[at], 0))
        near = away - radii < np.maximum.reduceat(nearest, starts)
        touched += cells.sizes[near].sum()
        squared = norms + norms[at] - 2 * plain @ plain[at]
        np.minimum(nearest, np.sqrt(np.maximum(squared, 0)), out=nearest)
    return touched / len(plain) / chosen.size


def plain_loop(matrix: np.ndarray, metric: str, picks: int, first: int) -> list[int]:
    """Run the plain loop; for cosine, on rows of unit length."""
    if metric == "cosine":
        matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return plain_coreset(matrix, picks, first)


def wide_rows(matrix: np.ndarray, metric: str) -> np.ndarray:
    """Return float64 rows whose Euclidean distances are those of the metric."""
    wide = matrix.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True) if metric == "cosine" else wide


def bench_badge(matrix: np.ndarray, labels: np.ndarray, picks: int = 500) -> None:
    pool = labelled_pool(matrix, labels)
    probabilities = np.array(pool.probabilities())
    ours, _ = timed(select, "badge", pool, picks)
    theirs, _ = timed(plain_badge, matrix[pool.unlabelled], probabilities, picks, 0)
    print(f"\nbadge, {picks:,} picks, {probabilities.shape[1]} classes: {ours:.2f} s")
    print(f"  plain factorised  {theirs:8.2f} s  {theirs / ours:6.1f} x")


def bench_typical(matrix: np.ndarray) -> None:
    print(f"\n{len(matrix):,} items, {BATCH} picks; index: the arrays stored beside a matrix")
    for name, peer in (("typiclust", "TypiClust"), ("probcover(metric=cosine)", "ProbCover")):
        index = Index(matrix)
        once, _ = timed(build, index)
        ours, _ = timed(select, name, Pool(matrix, index=index), BATCH)
        line = f"  {name:<24}{ours:6.2f} s and {once:.2f} s for the index"
        if HAVE_SKACTIVEML:
            theirs, _ = timed(skactiveml, peer, matrix, BATCH)
            line += f"   scikit-activeml {theirs:6.2f} s: {theirs / ours:6.1f} x, "
            line += f"{theirs / (ours + once):.1f} x with the index"
        print(line)


def bench_table(problem: Problem, kind: str) -> bool:
    """Print each strategy's seconds and extra memory; return whether one failed unexpectedly."""
    n, d = problem.matrix.shape
    print(f"\n{BATCH} picks from {n:,} vectors, {d} dimensions, {LABELLED} labelled, index {kind}")
    built, memory = one_process(problem, "index", kind), "bytes per item"
    print(f"  index: {built['seconds']:.1f} s, {built['bytes'] / n:,.0f} {memory}, once")
    print(f"  {'strategy':<22}{'seconds':>8}{memory:>16}")
    failed = False
    for name in sorted(strategies):
        result = one_process(problem, name, kind)
        if "error" in result:
            print(f"  {name:<22}{result['error']}")
            failed |= not result["expected"]
        else:
            print(f"  {name:<22}{result['seconds']:8.2f}{result['bytes'] / n:16,.0f}")
    return failed


def bench_million(folder: Path) -> bool:
    path = folder / "million.npy"
    _, labels = clusters(path, 1_000_000, 384)
    problem = Problem(path, labels, "synthetic clusters")
    matrix, memory, few = problem.matrix, Memory(), 100
    with memory.watch():
        ours, found = timed(select, "coreset(metric=euclidean)", Pool(matrix), 1_000)
    plain = timed(plain_coreset, matrix, few, int(found.rows[0]))[0] * 1_000 / few
    print(f"\ncoreset, 1,000,000 memory-mapped vectors, 384 dimensions, 1,000 picks: {ours:.2f} s")
    print(f"  extra memory      {memory}")
    print(f"  plain loop        {plain:8.2f} s  {plain / ours:6.1f} x  (from {few} picks)")
    return bench_table(problem, "ivf")


def one_process(problem: Problem, name: str, kind: str) -> dict[str, object]:
    """Run one strategy in its own process, to measure its memory.

    By default, glibc retains large freed blocks, which would count as used. The setting that
    returns them is slower. So a strategy is run once for the time and once for the memory.
    """
    labels = problem.path.with_suffix(".labels.npy")
    if not labels.exists():
        np.save(labels, problem.labels)
    command = [sys.executable, __file__, "--one", name, "--index", kind]
    command += ["--embeddings", str(problem.path), "--labels", str(labels)]
    sparing = {"MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
    found: dict[str, object] = {}
    for more in ({}, sparing) if name != "index" else (sparing,):
        environment = {**os.environ, **more}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            return {"error": done.stderr.strip().splitlines()[-1], "expected": False}
        found = {**json.loads(done.stdout), **{k: found[k] for k in ("seconds",) if k in found}}
    return found


def one(arguments: argparse.Namespace) -> int:
    """Run one strategy, or build the index, and print its time and memory as JSON."""
    problem = Problem(arguments.embeddings, np.load(arguments.labels), "")
    index = problem.index(arguments.index)
    pool = labelled_pool(problem.matrix, problem.labels, index)
    import faiss  # noqa: F401  its import is not timed

    memory = Memory()
    try:
        if arguments.one == "index":
            with memory.watch():
                seconds, _ = timed(build, index)
        else:
            pool.probabilities(), build(index)
            with memory.watch():
                seconds, _ = timed(select, arguments.one, pool, BATCH)
    except SelectionError as error:
        print(json.dumps({"error": str(error), "expected": True}))
        return 0
    print(json.dumps({"seconds": seconds, "bytes": memory.extra}))
    return 0


def build(index: Index) -> None:
    """Compute the arrays of the cosine index that are stored beside a matrix."""
    index = index.measured_by("cosine")
    index.rows, index.sketch, index.neighbours(32)


def labelled_pool(matrix: np.ndarray, labels: np.ndarray, index: Index | None = None) -> Pool:
    """Return a pool with 500 labelled rows, drawn at random, and a fitted head."""
    rows = np.sort(np.random.default_rng(0).permutation(len(matrix))[:LABELLED])
    head = LogisticHead().fit(matrix[rows], labels[rows])
    return Pool(matrix, labelled=rows, labels=labels[rows], head=head, index=index)


def select(name: str, pool: Pool, n: int) -> Selection:
    return get_strategy(name).select(pool, n, np.random.default_rng(0))


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
