"""Measure the index of a large matrix: neighbours, growth, opening and memory.

    python benchmarks/scale.py --items 100000                  # synthetic clusters, 384 dimensions
    python benchmarks/scale.py --items 1000000                 # about ten minutes on two cores
    python benchmarks/scale.py --items 200000 --like x.npy     # perturbed copies of a matrix

Steps, each in its own process:

- `build`: the matrix from the fragments, and the 32 neighbours of all vectors with an `ivf` index.
- `peer`: the same search by FAISS alone, vector by vector, on a sample of the vectors. Its
  candidates are compared with the vectors in NumPy. The time is extrapolated.
- `grow`: the matrix and the index with 1 % more images, which lie between the others.
- `open`: the grown matrix and index, with every digest checked, and again without a change.
- `anew`: the index of the grown matrix without the earlier one, and how many neighbours differ.

Seconds are of the clock and of all processors. Memory is anonymous memory per item at the peak.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import Memory, clusters, without_slowing_settings

from embedpipe._workspace import Workspace
from embedpipe.cache import CONTENT_ID, Row, Spec, Store, earlier_of, open_matrix
from embedpipe.index import Index
from embedpipe.index.vectors import take_rows
from embedpipe.strategies import Pool, get_strategy

STEPS = ("build", "peer", "grow", "open", "anew")

ADDED = 0.01
"""New images as a share of the others."""

ROWS = 4096
"""Rows of a fragment, and vectors in the sample of the peer."""

NEIGHBOURS, PROBES, CANDIDATES = 32, 64, 129
"""Neighbours of each vector; lists and candidates of the peer."""


def main() -> None:
    """Run all steps and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--like", type=Path, help="a .npy file with (n, d) float32 vectors")
    parser.add_argument("--folder", type=Path, help="keep the data here")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        print(json.dumps(STEP[given.step](given.folder, given.items)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        fill(folder, given.items, given.dim, given.like)
        found: dict[str, Any] = {}
        for step in STEPS:
            command = [sys.executable, __file__, "--step", step, "--items", str(given.items)]
            done = subprocess.run(
                [*command, "--folder", str(folder)], check=True, stdout=subprocess.PIPE, text=True
            )
            found[step] = json.loads(done.stdout.splitlines()[-1])
            print(step, json.dumps(found[step]), flush=True)
    build, peer, grow, anew = (found[step] for step in ("build", "peer", "grow", "anew"))
    seconds = sum(value for name, value in build.items() if name.endswith("cpu"))
    print(f"{peer['cpu'] / build['neighbours cpu']:.1f}x the search of the peer, by processor time")
    print(f"{anew['cpu'] / grow['cpu']:.1f}x an index that is built anew, by processor time")
    print(f"{1e6 * seconds / given.items:.0f} processor seconds for a million items")


def fill(folder: Path, items: int, dim: int, like: Path | None) -> None:
    """Write the fragments of the old and the new images."""
    count = int(items * (1 + ADDED))
    path = folder / "all.npy"
    matrix = clusters(path, count, dim)[0] if like is None else perturbed(path, count, dim, like)
    store = Store(workspace(folder), spec(matrix.shape[1]))
    store.create()
    for start in range(0, count, ROWS):
        rows = range(start, min(start + ROWS, count))
        store.add([Row(content(row), matrix[row], 1, 1, 1) for row in rows], {})


def perturbed(path: Path, n: int, dim: int, like: Path) -> np.ndarray:
    """Write mixtures of neighbours in a matrix, projected on its principal directions."""
    # A vector is a random point between a row and one of its ten nearest rows, plus noise.
    source = Index(np.load(like).astype(np.float32), metric="cosine")
    near = source.neighbours(10)
    unit = take_rows(source.vectors, source.rows)
    centred = unit - unit.mean(axis=0)
    directions = np.linalg.eigh(centred.T @ centred)[1][:, ::-1][:, :dim]
    short = centred @ directions  # (p, dim)
    rng = np.random.default_rng(0)
    matrix = np.lib.format.open_memmap(path, "w+", np.float32, (n, short.shape[1]))
    for start in range(0, n, 10_000):
        rows = rng.integers(len(short), size=min(10_000, n - start))
        other = near.positions[rows, rng.integers(10, size=rows.size)]
        share = rng.random((rows.size, 1), dtype=np.float32)
        noise = rng.standard_normal((rows.size, short.shape[1]), dtype=np.float32)
        noise *= 0.3 * near.distances[rows, :1] / np.sqrt(short.shape[1], dtype=np.float32)
        matrix[start : start + rows.size] = short[rows] * (1 - share) + short[other] * share + noise
    matrix.flush()
    written: np.ndarray = np.load(path, mmap_mode="r")
    return written


def workspace(folder: Path) -> Workspace:
    """Return the workspace of the benchmark."""
    return Workspace(folder / "workspace")


def spec(dim: int) -> Spec:
    """Return the spec of the vectors."""
    return Spec({"architecture": "synthetic", "dim": dim}, {"size": [1, 1]}, "fp32")


def content(row: int) -> bytes:
    """Return the content id of an image."""
    return hashlib.sha256(b"%d" % row).digest()


def opened(folder: Path, items: int, *, grown: bool) -> tuple[np.ndarray, Path, str]:
    """Open the matrix of the old images, or of all images with the new ones between the others."""
    count = int(items * (1 + ADDED))
    order = np.arange(items)
    if grown:
        order = np.insert(
            order, np.linspace(0, items, count - items).astype(int), range(items, count)
        )
    dim = np.load(folder / "all.npy", mmap_mode="r").shape[1]
    ids = pa.array([content(row) for row in order.tolist()], CONTENT_ID)
    return open_matrix(workspace(folder), Store(workspace(folder), spec(dim)), ids)


def index_of(found: tuple[np.ndarray, Path, str], *, earlier: bool = True) -> Index:
    """Return the stored index of a matrix."""
    matrix, folder, digest = found
    return Index(
        matrix,
        kind="ivf",
        metric="cosine",
        folder=folder / "index" if earlier else None,
        digest=digest,
        earlier=earlier_of(folder) if earlier else None,
    )


class Steps:
    """Seconds of the steps of one process, and its memory."""

    def __init__(self, items: int) -> None:
        self.found: dict[str, Any] = {}
        self._items, self._memory = items, Memory()

    def run(self, name: str, work: Callable[[], Any]) -> Any:
        """Run one step and store its seconds."""
        wall, cpu = time.perf_counter(), time.process_time()
        with self._memory.watch():
            result = work()
        self.found[f"{name} seconds"] = round(time.perf_counter() - wall, 2)
        self.found[f"{name} cpu"] = round(time.process_time() - cpu, 2)
        self.found["bytes per item"] = round(self._memory.extra / self._items)
        return result


def build(folder: Path, items: int) -> dict[str, Any]:
    """Build the matrix and the index."""
    steps = Steps(items)
    found = steps.run("matrix", lambda: opened(folder, items, grown=False))
    index = index_of(found)
    steps.run("copies", lambda: index.rows)
    steps.run("sketch", lambda: index.sketch)
    steps.run("lists", lambda: index.faiss)
    steps.run("neighbours", lambda: index.neighbours(NEIGHBOURS))
    return {**steps.found, "recall": round(index.recall, 4), "disk": index.describe()["bytes"]}


def peer(folder: Path, items: int) -> dict[str, Any]:
    """Search with FAISS, and compare the candidates in NumPy, one vector at a time."""
    import faiss

    index = index_of(opened(folder, items, grown=False))
    faiss.omp_set_num_threads(1)
    inverted = faiss.extract_index_ivf(index.faiss)
    inverted.nprobe = min(PROBES, inverted.nlist)
    some = np.arange(0, index.rows.size, -(-index.rows.size // ROWS))
    start = time.process_time()
    candidates = inverted.search(np.ascontiguousarray(index.sketch[some]), CANDIDATES)[1]
    near = []
    for row, found in zip(index.rows[some], candidates, strict=True):
        others = found[(found >= 0) & (found != row)]
        gaps = take_rows(index.vectors, others) - take_rows(index.vectors, np.array([row]))
        near.append(others[np.argsort(np.einsum("ij,ij->i", gaps, gaps))[:NEIGHBOURS]])
    seconds = time.process_time() - start
    own = index.rows[index.neighbours(NEIGHBOURS).positions[some]]
    shared = np.mean([np.intersect1d(*pair).size for pair in zip(own, near, strict=True)])
    return {
        "cpu": round(seconds * index.rows.size / some.size, 1),
        "shared neighbours": round(float(shared) / NEIGHBOURS, 3),
    }


def grow(folder: Path, items: int) -> dict[str, Any]:
    """Extend the matrix and the index."""
    steps = Steps(items)
    found = steps.run("matrix", lambda: opened(folder, items, grown=True))
    index = index_of(found)
    start = time.process_time()
    steps.run("lists", lambda: index.faiss)
    steps.run("neighbours", lambda: index.neighbours(NEIGHBOURS))
    steps.found["cpu"] = round(time.process_time() - start, 1)
    return {**steps.found, "recall": round(index.recall, 4)}


def reopen(folder: Path, items: int) -> dict[str, Any]:
    """Open the grown matrix and its index twice, and pick images."""
    steps = Steps(items)
    for name in ("first", "again"):

        def work() -> Index:
            index = index_of(opened(folder, items, grown=True))
            index.neighbours(NEIGHBOURS)
            index.faiss, index.sketch  # noqa: B018
            return index

        index = steps.run(name, work)
    pool = Pool(index.matrix, index=index)
    for name in ("coreset", "typiclust"):
        steps.run(name, partial(get_strategy(name).select, pool, 100, np.random.default_rng(0)))
    return steps.found


def anew(folder: Path, items: int) -> dict[str, Any]:
    """Build the index of the grown matrix without the earlier one, and compare neighbours."""
    found = opened(folder, items, grown=True)
    grown, new = index_of(found), index_of(found, earlier=False)
    start = time.process_time()
    near = new.neighbours(NEIGHBOURS).positions
    seconds = time.process_time() - start
    some = np.arange(0, len(near), -(-len(near) // ROWS))
    both = zip(near[some], grown.neighbours(NEIGHBOURS).positions[some], strict=True)
    shared = np.mean([np.intersect1d(*pair).size for pair in both])
    return {
        "cpu": round(seconds, 1),
        "recall": round(new.recall, 4),
        "shared neighbours": round(float(shared) / NEIGHBOURS, 3),
    }


STEP = {"build": build, "peer": peer, "grow": grow, "open": reopen, "anew": anew}

if __name__ == "__main__":
    without_slowing_settings()
    main()
