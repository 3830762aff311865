"""Error rates of studies with real runs: tables of docs/benchmarks/statistics.md.

    python benchmarks/null_studies.py equal              # digits: equal strategies
    python benchmarks/null_studies.py other-data         # needs the CIFAR-10 images

`equal` makes 1,000 studies of two equal strategies. Each study draws 5 or 10 of 160 pools of 80 %,
and each pool has one run of each strategy. So no run occurs twice in a study. The whole path of
`compare` is tested: the summary and the page.

`other-data` splits 40,000 images into 20 disjoint training splits of 2,000, with 10 pools of 80 %
of each split. It compares the intervals from the pools of one split with the other splits.

Runs are stored in the workspace, so the program continues after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from common import cifar10, find_archive, without_slowing_settings

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.experiments import Results
from embedpipe.experiments.results import RESULTS, TIMINGS, UPPER_BASELINES
from embedpipe.experiments.statistics import area, t_interval
from embedpipe.reports import comparison_of
from embedpipe.strategies import Pool, Selection, Strategy
from embedpipe.strategies.algorithms.predictions import margin, uncertainty_of
from embedpipe.strategies.strategy import top_k

SHARE = 0.8
ROUNDS = 7
"""Rounds of 20 labels after the first 20."""

PAIRS = (("random", "other_random"), ("margin_a", "margin_b"))
"""Equal strategies."""

Runs = dict[tuple[int, str], list[dict[str, Any]]]
"""The rounds of each run, by pool and strategy."""


@ep.strategies.register("other_random")
class OtherRandom(Strategy):
    """Random selection with other random numbers than `random`."""

    name: ClassVar[str] = "other_random"

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Draw `n` rows."""
        rng.random()
        rows = rng.choice(pool.unlabelled, size=n, replace=False)  # (n,)
        return Selection(rows, np.ones(n, dtype=np.float32))


class ShakenMargin(Strategy):
    """Margin sampling with random changes of 0.001 in the scores."""

    needs_labels: ClassVar[bool] = True
    stream: ClassVar[int]

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Take the `n` largest scores."""
        scores = uncertainty_of(pool, margin)  # (u,)
        noise = np.random.default_rng([self.stream, int(rng.integers(2**31))])
        scores = scores + 1e-3 * noise.standard_normal(scores.size)
        best = top_k(scores, n)  # (n,)
        return Selection(pool.unlabelled[best], scores[best].astype(np.float32))


@ep.strategies.register("margin_a")
class MarginA(ShakenMargin):
    """The first of two equal strategies."""

    name, stream = "margin_a", 1


@ep.strategies.register("margin_b")
class MarginB(ShakenMargin):
    """The second of two equal strategies."""

    name, stream = "margin_b", 2


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", choices=["equal", "other-data"])
    parser.add_argument("--workspace", default=".embedpipe")
    parser.add_argument("--source", type=Path, default=find_archive(), help="CIFAR-10 images")
    parser.add_argument("--pools", type=int, default=160)
    parser.add_argument("--studies", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.part == "equal":
        equal(arguments)
    else:
        other_data(arguments)
    return 0


def run(problem: Problem, strategy: str, seed: int, workspace: str) -> list[dict[str, Any]]:
    """Return the rounds of one run, with the columns of `Results.table`."""
    needs_labels = ep.strategies.get_strategy(strategy).needs_labels
    loop = ep.ActiveLoop(
        problem,
        strategy=strategy,
        initial="random" if needs_labels else strategy,
        initial_size=20,
        batch_size=20,
        seed=seed,
        advice="cheap",
        workspace=workspace,
    )
    return [
        {
            "dataset": problem.name,
            "backbone": "net",
            "head": "logistic",
            "mode": "cumulative",
            "round": record.round,
            "labelled": record.labelled,
            "accuracy": record.accuracy,
            "macro_f1": record.macro_f1,
            "balanced_accuracy": record.balanced_accuracy,
            "test_set": record.test_set,
            "tested": len(problem.test_rows),
            "correct": None if record.correct is None else np.packbits(record.correct).tobytes(),
        }
        for record in loop.run(ROUNDS)
    ]


# Equal strategies


def equal(arguments: argparse.Namespace) -> None:
    digits = ep.embed(ep.load_dataset("digits"), workspace=arguments.workspace)
    whole = Problem.of(digits, 0)
    runs: Runs = {}
    for seed in range(arguments.pools):
        problem = whole.subsampled(SHARE, seed)
        for name in (each for pair in PAIRS for each in pair):
            runs[seed, name] = run(problem, name, seed, arguments.workspace)
        print(f"pool {seed + 1} of {arguments.pools}", end="\r", file=sys.stderr)
    for pair in PAIRS:
        for size in (5, 10):
            rng = np.random.default_rng(size)
            counts: Counter[str] = Counter()
            for _ in range(arguments.studies):
                pools = rng.choice(arguments.pools, size, replace=False)
                counts.update(declared(study(runs, pair, pools.tolist())))
            print(f"{pair}, {size} pools, {arguments.studies:,} studies: {dict(counts)}")


def study(runs: Runs, pair: tuple[str, str], pools: list[int]) -> Results:
    """Return a study of two strategies; the first of them has the name of the baseline."""
    rows = [
        row | {"strategy": name, "initial": name, "seed": seed, "run_id": f"{name}-{seed}"}
        for seed, pool in enumerate(pools)
        for name, strategy in zip(("random", "other"), pair, strict=True)
        for row in runs[pool, strategy]
    ]
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.Table.from_pylist([], TIMINGS),
        upper_baselines=pa.Table.from_pylist([], UPPER_BASELINES),
        baseline=("random", "random"),
    )


def declared(results: Results) -> set[str]:
    """Return the places that report a difference."""
    summary = results.summary(accuracy=0.8)
    page = comparison_of(results, summary)
    (group,) = page.groups
    places = {
        "json": any((row["p_value"] or 1) <= 0.05 for row in summary.to_json()),
        "table": any(row.verdict for row in group.rows),
        "rounds": any(each is not None and any(each.significant) for each in group.differences),
        "headline": "above" in page.result or "below" in page.result,
    }
    found = {place for place, reported in places.items() if reported}
    return found | {"any"} if found else found


# Other data

SPLITS, SPLIT_SIZE, POOLS, TESTED = 20, 2_000, 10, 5_000


def other_data(arguments: argparse.Namespace) -> None:
    matrix, labels = cifar10(arguments.source)
    order = np.random.default_rng(0).permutation(len(labels))
    test = np.sort(order[:TESTED])
    areas: dict[str, list[list[float]]] = {"random": [], "margin": [], "typiclust": []}
    for split in range(SPLITS):
        start = 10_000 + SPLIT_SIZE * split
        rows = np.concatenate([np.sort(order[start : start + SPLIT_SIZE]), test])
        whole = Problem.from_arrays(
            np.ascontiguousarray(matrix[rows]),
            labels[rows],
            np.arange(SPLIT_SIZE),
            np.arange(SPLIT_SIZE, len(rows)),
            name="cifar10",
        )
        for name, found in areas.items():
            pools = [whole.subsampled(SHARE, seed) for seed in range(POOLS)]
            found.append(
                [area_of(run(p, name, s, arguments.workspace)) for s, p in enumerate(pools)]
            )
    for name in ("margin", "typiclust"):
        show(name, np.array(areas[name]) - np.array(areas["random"]))


def area_of(rows: list[dict[str, Any]]) -> float:
    return area([row["labelled"] for row in rows], [row["accuracy"] for row in rows])


def show(name: str, differences: np.ndarray) -> None:
    """Print the variance between splits, and the coverage of the mean of the other splits."""
    within = differences.var(axis=1, ddof=1).mean()  # (20, 10) splits and pools
    between = max(0.0, differences.mean(axis=1).var(ddof=1) - within / POOLS)
    print(
        f"{name} - random: share of the variance between splits {between / (between + within):.2f}"
    )
    rng = np.random.default_rng(0)
    for size in (5, 10):
        inside, wide, trials, width = 0, 0, 0, 0.0
        for split, values in enumerate(differences):
            truth = np.delete(differences.mean(axis=1), split).mean()
            for _ in range(20 if size < POOLS else 1):
                found = t_interval(rng.permutation(values)[:size])
                half = (found.high - found.low) / 2
                error = abs(found.estimate - truth)
                inside += error <= half
                wide += error <= half * np.sqrt(1 + size * SHARE / (1 - SHARE))
                trials, width = trials + 1, width + half
        print(
            f"  {size} pools: ± {100 * width / trials:.1f} points, coverage {inside / trials:.0%}, "
            f"with the correction for overlap {wide / trials:.0%}"
        )


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
