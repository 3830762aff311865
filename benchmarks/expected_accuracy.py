"""The error of the expected accuracy: the tables of docs/benchmarks/expected-accuracy.md.

    python benchmarks/expected_accuracy.py clothing --source clothing-dataset-small.zip
    python benchmarks/expected_accuracy.py digits
    python benchmarks/expected_accuracy.py cifar10 --source cifar10-images.zip --pool 4000

Each run draws a random pool: 80 % of the training split, or `--pool` images of it. The strategy
chooses 20 images in each round, and they get the labels of the dataset. In every round, the
expected accuracy is compared with the share of right predictions for the rest of the pool, the
images without a label. The estimate does not use the dataset's labels of the rest.
"""

from __future__ import annotations

import argparse
import sys
from typing import NamedTuple

import numpy as np
from common import without_slowing_settings

import embedpipe as ep
from embedpipe.active import Problem


class Estimate(NamedTuple):
    """Three estimates of the accuracy on the rest of the pool, and the measured one, in per cent.

    `truth` is the measured accuracy. `low` and `high` are the interval of `expected`.
    """

    labelled: int
    truth: float
    expected: float
    low: float
    high: float
    cross_validated: float
    confidence: float


def main() -> int:
    arguments = parse()
    embeddings = ep.embed(
        ep.load_dataset(arguments.dataset, source=arguments.source), workspace=arguments.workspace
    )
    for strategy in arguments.strategies:
        runs = []
        for seed in range(arguments.seed_offset, arguments.seed_offset + arguments.seeds):
            runs.append(run_loop(embeddings, strategy, seed, arguments))
            print(f"{strategy}: run {len(runs)} of {arguments.seeds}", end="\r", file=sys.stderr)
        show(f"{arguments.dataset}, `{strategy}`, {arguments.seeds} runs", runs, arguments.shown)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--source")
    parser.add_argument("--workspace")
    parser.add_argument("--strategies", nargs="*", default=["auto"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument("--pool", type=int, help="images in the pool, in place of 80 %%")
    parser.add_argument("--labels", type=int, default=300)
    parser.add_argument("--shown", type=int, nargs="*", default=[40, 60, 100, 200, 300])
    return parser.parse_args()


def run_loop(
    embeddings: ep.Embeddings, strategy: str, seed: int, arguments: argparse.Namespace
) -> list[Estimate]:
    """Run one loop; return the estimates of its rounds from 40 labels on."""
    problem = pool_of(embeddings, seed, arguments.pool)
    initial = "typiclust" if ep.strategies.get_strategy(strategy).needs_labels else strategy
    loop = ep.ActiveLoop(
        problem, strategy=strategy, initial=initial, initial_size=20, batch_size=20, seed=seed
    )
    found = []
    for record in loop.run(rounds=arguments.labels // 20 - 1):
        if record.labelled < 40 or record.expected_accuracy is None:
            continue
        assert record.expected_accuracy_ci is not None
        rest = np.setdiff1d(problem.candidates, loop.labelled()[0])
        probabilities = loop.predict_proba(problem.matrix[rest])  # (r, C)
        predicted = loop.classes_[probabilities.argmax(axis=1)]  # (r,)
        shares = (
            np.mean(predicted == problem.oracle.every_label(rest)),
            record.expected_accuracy,
            *record.expected_accuracy_ci,
            record.advice["cv_accuracy"],
            probabilities.max(axis=1).mean(),
        )
        found.append(Estimate(record.labelled, *(100 * float(share) for share in shares)))
    return found


def pool_of(embeddings: ep.Embeddings, seed: int, size: int | None) -> Problem:
    """Return a problem whose candidates are a random part of the training split."""
    whole = Problem.of(embeddings, seed)
    rows = np.random.default_rng([seed, 0x5AFE]).permutation(whole.candidates)
    labels = [item.label for item in embeddings.items]
    return Problem.from_arrays(
        embeddings.matrix,
        labels,
        rows[: size or round(0.8 * rows.size)],
        identity=[embeddings.digest.encode()],
    )


def show(title: str, runs: list[list[Estimate]], shown: list[int]) -> None:
    """Print a row for each number of labels, and a row for all rounds."""
    print(f"\n{title}\n")
    print(
        "| labels | truth | expected | error | within 5 | interval | inside | "
        "cross-validation (error) | confidence (error) |"
    )
    print("| --- |" + " --- |" * 8)
    every = [estimate for run in runs for estimate in run]
    for labels in shown:
        found = [estimate for estimate in every if estimate.labelled == labels]
        if found:
            print_row(str(labels), found)
    print_row("all rounds", every)


def print_row(name: str, found: list[Estimate]) -> None:
    _, truth, expected, low, high, crossed, confidence = np.array(found).T
    errors = [np.abs(each - truth) for each in (expected, crossed, confidence)]
    inside = (low <= truth) & (truth <= high)
    print(
        f"| {name} | {truth.mean():.1f} | {expected.mean():.1f} | {errors[0].mean():.1f} | "
        f"{100 * np.mean(errors[0] <= 5):.0f} % | ± {(high - low).mean() / 2:.1f} | "
        f"{100 * inside.mean():.0f} % | {crossed.mean():.1f} ({errors[1].mean():.1f}) | "
        f"{confidence.mean():.1f} ({errors[2].mean():.1f}) |",
        flush=True,
    )


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
