"""The quality of the stopping advice: expected gains and observed gains in accuracy.

    python benchmarks/stopping.py digits
    python benchmarks/stopping.py clothing --source clothing-dataset-small.zip --candidates 2000

Each seed splits the labelled items into a pool and a large test set. A loop runs to its end. In
every round, the expected gain of the next 100 labels is compared with the observed gain of the test
accuracy. The observed gain has a standard error of a few tenths of a point. The column *within* is
the share of observed gains that lie in the interval of the expected gain, widened at both ends by
1.64 standard errors.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

import numpy as np
from common import without_slowing_settings

import embedpipe as ep
from embedpipe.active.problem import Problem


class Forecast(NamedTuple):
    """The expected and the observed gain of the next 100 labels, in accuracy points.

    `noise` is the standard error of the observed gain. `cv_bias` is the difference of the
    cross-validated accuracy from the test accuracy.
    """

    expected: float
    low: float
    high: float
    observed: float
    noise: float
    cv_bias: float


class Stop(NamedTuple):
    """The number of labels at the first advice to stop, and the gain from there to the end."""

    labelled: int | None
    missed: float


def main() -> int:
    arguments = parse()
    embeddings = ep.embed(
        ep.load_dataset(arguments.dataset, source=arguments.source), workspace=arguments.workspace
    )
    print(
        f"{arguments.dataset}: {arguments.seeds} seeds from {arguments.seed_offset}, "
        f"batches of {arguments.batch_size} up to {arguments.labels} labels\n"
    )
    print(
        "| strategy | forecasts | gain | expected | error | within | cv - test | stops | missed |"
    )
    print("| --- |" + " --- |" * 8)
    for name in arguments.strategies:
        seeds = range(arguments.seed_offset, arguments.seed_offset + arguments.seeds)
        print_row(name, [run_loop(embeddings, name, seed, arguments) for seed in seeds])
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--source")
    parser.add_argument("--workspace")
    parser.add_argument("--strategies", nargs="*", default=["random", "margin", "auto", "coreset"])
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--seed-offset", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--labels", type=int, default=600)
    parser.add_argument(
        "--candidates", type=int, default=900, help="pool size; all other items are for tests"
    )
    return parser.parse_args()


def run_loop(
    embeddings: ep.Embeddings, strategy: str, seed: int, arguments: argparse.Namespace
) -> tuple[list[Forecast], Stop]:
    """Run one loop to its end; return its forecasts and its first advice to stop."""
    problem = split(embeddings, seed, arguments.candidates)
    size = arguments.batch_size
    initial = "random" if strategy == "random" else "typiclust"
    loop = ep.ActiveLoop(problem, strategy=strategy, initial=initial, initial_size=size, seed=seed)
    records = list(loop.run(rounds=arguments.labels // size - 1, batch_size=size))
    accuracy = {record.labelled: 100 * record.accuracy for record in records}
    found = []
    for record in records:
        advice, later = record.advice, record.labelled + record.advice["next_labels"]
        if advice["expected_gain"] is None or later not in accuracy:
            continue
        changed = max(1e-4, advice["expected_gain"] / 30)  # assumed share of changed predictions
        found.append(
            Forecast(
                advice["expected_gain"],
                advice["gain_low"],
                advice["gain_high"],
                accuracy[later] - accuracy[record.labelled],
                100 * np.sqrt(changed / len(problem.test_rows)),
                100 * (advice["cv_accuracy"] or np.nan) - accuracy[record.labelled],
            )
        )
    stops = [r.labelled for r in records if r.advice["advice"] == "stop"]
    missed = accuracy[records[-1].labelled] - accuracy[stops[0]] if stops else np.nan
    return found, Stop(stops[0] if stops else None, missed)


def split(embeddings: ep.Embeddings, seed: int, candidates: int) -> Problem:
    labels = [item.label for item in embeddings.items]
    rows = np.array([row for row, label in enumerate(labels) if label is not None])
    rows = np.random.default_rng([seed, 77]).permutation(rows)
    return Problem.from_arrays(embeddings.matrix, labels, rows[:candidates], rows[candidates:])


def print_row(name: str, runs: list[tuple[list[Forecast], Stop]]) -> None:
    expected, low, high, observed, noise, bias = np.array([f for found, _ in runs for f in found]).T
    inside = (observed >= low - 1.64 * noise) & (observed <= high + 1.64 * noise)
    stops = [stop for _, stop in runs]
    labels = ", ".join("-" if stop.labelled is None else str(stop.labelled) for stop in stops)
    missed = [stop.missed for stop in stops if stop.labelled is not None]
    print(
        f"| `{name}` | {len(observed)} | {observed.mean():.1f} | {expected.mean():.1f} | "
        f"{np.abs(observed - expected).mean():.1f} | {100 * inside.mean():.0f} % | "
        f"{np.nanmean(bias):+.0f} | {labels} | "
        f"{'-' if not missed else f'{np.mean(missed):.1f}'} |",
        flush=True,
    )


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
