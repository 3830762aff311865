"""Compare the logistic head with scikit-learn's at an equal objective, and time a round.

    python benchmarks/heads.py                  # all parts, on CIFAR-10 if it is available
    python benchmarks/heads.py solver           # fits: few and many labels, cold and warm
    python benchmarks/heads.py round            # train with a choice of C, predict, pick 100
    python benchmarks/heads.py million          # the same round with 1,000,000 memory-mapped rows

Both libraries fit the same float32 rows of unit length with the same number of threads. A fit
counts only if its objective is within 1e-5 of the float64 optimum. scikit-learn runs with the
loosest tolerance that is sufficient. Its solvers are ``lbfgs``, the default, and ``newton-cg``, the
fastest. (With K = 10 classes and d = 1,280 dimensions, ``newton-cholesky`` would need 1.3 GB for a
matrix of (K d)^2 numbers.) The exit status is 1 if our objective is not within 1e-5 of the optimum.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Memory, cifar10, clusters, find_archive, without_slowing_settings
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from embedpipe.heads import LogisticHead
from embedpipe.strategies import Pool, get_strategy

GAP = 1e-5
"""Maximum relative difference of the objective from the optimum."""

LADDER = (1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
"""Tolerances of scikit-learn, in the order in which they are tried."""

SOLVERS = ("lbfgs", "newton-cg")
PARTS = ("solver", "round", "million")

SETTLE = 0.5
"""Seconds of waiting before a measurement, so that threads of earlier work become idle."""


@dataclass(frozen=True)
class Problem:
    """Labelled rows of unit length, C, and the optimal objective."""

    name: str
    X: np.ndarray
    y: np.ndarray
    C: float
    best: float

    @classmethod
    def of(cls, name: str, X: np.ndarray, y: np.ndarray, C: float) -> Problem:
        """Compute the optimal objective in float64."""
        exact = LogisticHead(C=C, tol=1e-5, max_iter=10_000).fit(X.astype(np.float64), y)
        best = objective(exact.coef_, exact.intercept_, X, y, C)
        return cls(name, X, y, C, best)

    def gap(self, coef: np.ndarray, intercept: np.ndarray) -> float:
        """Return the relative difference of the objective from the optimum."""
        return objective(coef, intercept, self.X, self.y, self.C) / self.best - 1.0


def objective(
    coef: np.ndarray, intercept: np.ndarray, X: np.ndarray, y: np.ndarray, C: float
) -> float:
    """Return the sum of log-losses and the penalty, in float64 by blocks."""
    total = float((coef.astype(np.float64) ** 2).sum()) / (2.0 * C)
    for start in range(0, len(X), 8192):
        rows = X[start : start + 8192].astype(np.float64)
        logits = rows @ coef.T.astype(np.float64) + intercept  # (b, K)
        own = logits[np.arange(len(rows)), y[start : start + 8192]]
        total += float((logsumexp(logits, axis=1) - own).sum())
    return total


@dataclass(frozen=True)
class Clock:
    """Wall time and processor time, in seconds."""

    wall: float
    processor: float

    @classmethod
    def of(cls, work: Callable[[], Any], repeats: int = 1) -> Clock:
        """Return the minimum times of several calls."""
        time.sleep(SETTLE)
        found = []
        for _ in range(repeats):
            wall, processor = time.perf_counter(), time.process_time()
            work()
            found.append((time.perf_counter() - wall, time.process_time() - processor))
        return cls(min(pair[0] for pair in found), min(pair[1] for pair in found))

    def __str__(self) -> str:
        return f"{self.wall:8.3f} s ({self.processor:8.3f} s processor time)"

    def over(self, ours: Clock) -> str:
        """Return the ratios to our wall time and processor time."""
        ratio, processors = self.wall / ours.wall, self.processor / ours.processor
        return f"{ratio:6.1f} x ({processors:6.1f} x)"


def fit_theirs(
    problem: Problem, solver: str, loosest: float = LADDER[0]
) -> tuple[Clock, LogisticRegression, float]:
    """Return scikit-learn's time and fit at the loosest sufficient tolerance, and the tolerance."""
    repeats = 5 if len(problem.X) < 5000 else 1
    for tol in LADDER[LADDER.index(loosest) :]:
        model = LogisticRegression(C=problem.C, solver=solver, tol=tol, max_iter=5000)
        clock = Clock.of(lambda model=model: model.fit(problem.X, problem.y), repeats)
        if problem.gap(model.coef_, model.intercept_) < GAP:
            return clock, model, tol
    raise RuntimeError(f"scikit-learn's {solver} did not reach the optimum of {problem.name}")


def bench_solver(problem: Problem, solvers: tuple[str, ...], *, more: Problem | None) -> bool:
    """Print times of a cold fit and of a warm fit to `more`; return whether our fit is inexact.

    A cold fit starts without weights, a warm fit from the weights of the fit to `problem`.
    """
    repeats = 5 if len(problem.X) < 5000 else 3
    ours = Clock.of(lambda: LogisticHead(C=problem.C).fit(problem.X, problem.y), repeats)
    head = LogisticHead(C=problem.C, warm_start=True).fit(problem.X, problem.y)
    gap = problem.gap(head.coef_, head.intercept_)
    print(f"\n{problem.name}, C = {problem.C:g}: ours {ours}, gap {gap:.0e}", flush=True)
    again, gap_again = None, 0.0
    if more is not None:
        tries = [warm(deepcopy(head), more) for _ in range(repeats)]
        again = min((taken for taken, _ in tries), key=lambda taken: taken.wall)
        gap_again = more.gap(tries[0][1].coef_, tries[0][1].intercept_)
        added = len(more.X) - len(problem.X)
        print(f"  warm, {added} more labels: ours {again}, gap {gap_again:.0e}")
    for solver in solvers:
        theirs, model, tol = fit_theirs(problem, solver)
        print(f"  {solver}, tol {tol:g}: cold {theirs} {theirs.over(ours)}", flush=True)
        if more is None or again is None:
            continue
        cold, _, _ = fit_theirs(more, solver, tol)
        slow = Clock.of(lambda model=model: model.set_params(warm_start=True).fit(more.X, more.y))
        print(f"    relative to our warm fit: cold {cold} {cold.over(again)}")
        print(f"                              warm {slow} {slow.over(again)}", flush=True)
    return max(gap, gap_again) >= GAP


def warm(head: LogisticHead, more: Problem) -> tuple[Clock, LogisticHead]:
    """Fit a fitted head to `more`, from its last weights; return the time and the head."""
    return Clock.of(lambda: head.fit(more.X, more.y)), head


def bench_round(matrix: np.ndarray, labels: np.ndarray, n: int = 1_000, picks: int = 100) -> None:
    """Print the time of a round: train with a choice of C, predict all rows, pick by margin."""
    rows = np.sort(np.random.default_rng(0).choice(len(matrix), n, replace=False))
    y = labels[rows]
    taken: list[tuple[float, float, float]] = []
    memory = Memory()
    with memory.watch():
        for _ in range(3):
            start = time.perf_counter()
            head = LogisticHead().fit(matrix[rows], y)
            fitted = time.perf_counter()
            head.predict(matrix)
            predicted = time.perf_counter()
            pool = Pool(matrix, labelled=rows, labels=y, head=head)
            get_strategy("margin").select(pool, picks, np.random.default_rng(0))
            end = time.perf_counter()
            taken.append((fitted - start, predicted - fitted, end - predicted))
    fit, predict, select = min(taken, key=sum)
    n_items, d = matrix.shape
    print(
        f"\na round with {n:,} labels, {n_items:,} rows, {d:,} dimensions: "
        f"{fit + predict + select:.2f} s "
        f"(fit with C = {head.C_:.3g} chosen {fit:.2f}, predict {predict:.2f}, "
        f"pick {picks} by margin {select:.2f}), {memory} in addition to the matrix",
        flush=True,
    )


def unit(X: np.ndarray) -> np.ndarray:
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def load(folder: Path, arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (n, d) embeddings, their classes and their description."""
    if arguments.embeddings:
        matrix, names = np.load(arguments.embeddings, mmap_mode="r"), np.load(arguments.labels)
        return matrix, np.unique(names, return_inverse=True)[1], str(arguments.embeddings)
    source = find_archive()
    if source is None:
        matrix, names = clusters(folder / "synthetic.npy", 50_000, 1_280)
        return matrix, names.astype(int), "synthetic clusters"
    matrix, names = cifar10(source)
    return matrix, np.unique(names, return_inverse=True)[1], "CIFAR-10, training images"


def hard(folder: Path, n: int, d: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return synthetic features with overlapping classes; a linear head's error rate is 25 %."""
    matrix, _ = clusters(folder / "hard.npy", n, d)
    X = unit(np.array(matrix))
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((d, n_classes)).astype(np.float32)
    logits = (X - X.mean(axis=0)) @ weights
    logits = 4.0 * logits / logits.std() + rng.gumbel(size=logits.shape)
    return X, logits.argmax(axis=1)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help=f"{', '.join(PARTS)} [default: all]")
    parser.add_argument("--embeddings", type=Path, help="an .npy file with an (n, d) matrix")
    parser.add_argument("--labels", type=Path, help="an .npy file with the (n,) labels of the rows")
    parser.add_argument("--labelled", type=int, nargs="*", default=[300, 10_000])
    parser.add_argument("--strength", type=float, nargs="*", default=[1.0, 10.0, 100.0])
    parser.add_argument("--solvers", nargs="*", choices=SOLVERS, default=list(SOLVERS))
    parser.add_argument(
        "--no-hundred", action="store_true", help="skip the fit of 50,000 rows in 100 classes"
    )
    arguments = parser.parse_args()
    parts, solvers = arguments.parts or list(PARTS), tuple(arguments.solvers)
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]!r}: give {', '.join(PARTS)}")
    warnings.simplefilter("ignore", ConvergenceWarning)
    wrong = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if {"solver", "round"} & set(parts):
            matrix, codes, origin = load(folder, arguments)
            n_items, d = matrix.shape
            print(f"{origin}: {n_items:,} rows, {d:,} dimensions, {os.cpu_count()} CPUs")
        if "solver" in parts:
            order = np.random.default_rng(0).permutation(len(matrix))
            for n in arguments.labelled:
                X, y = unit(matrix[order[: n + 100]]), codes[order[: n + 100]]
                for C in arguments.strength:
                    first = Problem.of(f"{n:,} labels", X[:n], y[:n], C)
                    more = Problem.of(f"{n + 100:,} labels", X, y, C)
                    wrong |= bench_solver(first, solvers, more=more)
            if not arguments.no_hundred:
                X, y = hard(folder, 50_000, 384, 100)
                problem = Problem.of("100 classes, 50,000 rows, 384 dimensions", X, y, 10.0)
                # newton-cg takes more than eight minutes here
                wrong |= bench_solver(problem, ("lbfgs",), more=None)
        if "round" in parts:
            bench_round(matrix, codes)
        if "million" in parts:
            million, names = clusters(folder / "million.npy", 1_000_000, 384)
            bench_round(million, names.astype(int))
    return int(wrong)


if __name__ == "__main__":
    without_slowing_settings()
    raise SystemExit(main())
