"""The label efficiency of strategies: the tables of docs/benchmarks/label-efficiency.md.

    python benchmarks/labels.py clothing --source clothing-dataset-small.zip
    python benchmarks/labels.py digits
    python benchmarks/labels.py cifar10 --source cifar10-images.zip --strategies auto typiclust

Every strategy starts without labels. If a strategy needs labels, `typiclust` chooses the first
batch. The default head is trained after each batch. For each seed, the pool is a random 80 % of the
training split, the same for all strategies. Many strategies ignore the seed, so that ten seeds on a
fixed pool would be one observation. `--share 1` uses the whole split. The test split is used only
to measure the accuracy.

Runs are stored in the workspace. After an interruption, the same command continues. With more seeds
or strategies, it computes only the new runs.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from common import without_slowing_settings

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.experiments import Experiment
from embedpipe.experiments.statistics import LEAST_RUNS
from embedpipe.experiments.summary import Group, Row, Summary

STRATEGIES = (
    "auto",
    "uncertainty_herding",
    "alfamix",
    "galaxy",
    "margin",
    "badge",
    "dropquery",
    "facility_location",
    "typiclust",
    "coreset",
)

BUDGETS = (20, 60, 100, 200, 300)


def main() -> int:
    arguments = parse()
    embeddings = ep.embed(
        ep.load_dataset(arguments.dataset, source=arguments.source), workspace=arguments.workspace
    )

    def problem_of(seed: int) -> Problem:
        return part_of(embeddings, seed, arguments.share)

    experiment = Experiment(
        {arguments.dataset: problem_of},
        strategies=[*arguments.strategies, "random"],
        seeds=list(range(arguments.seed_offset, arguments.seed_offset + arguments.seeds)),
        initial_size=20,
        batch_size=20,
        rounds=arguments.rounds,
        heads=arguments.heads,
        upper_baseline=not arguments.no_upper_baseline,
        workspace=arguments.workspace,
    )
    results = experiment.run(
        workers=arguments.workers, progress=lambda now: print(now, end="\r", file=sys.stderr)
    )
    for failure in results.failures:
        print(failure, file=sys.stderr)
    budgets = tuple(range(20, 20 * (arguments.rounds + 1) + 1, 20))
    show(results.summary(accuracy=arguments.accuracy, budgets=budgets), arguments)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("--source")
    parser.add_argument("--workspace")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--heads", nargs="*", default=["logistic"])
    parser.add_argument("--rounds", type=int, default=14, help="rounds of 20 labels")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument(
        "--share", type=float, default=0.8, help="pool size, as a share of the training split"
    )
    parser.add_argument("--accuracy", type=float, default=0.85, help="target accuracy")
    parser.add_argument("--workers", type=int)
    parser.add_argument(
        "--no-upper-baseline", action="store_true", help="no training on the whole pool"
    )
    return parser.parse_args()


def part_of(embeddings: ep.Embeddings, seed: int, share: float) -> Problem:
    """Return the dataset's problem with a random share of its candidates, drawn by the seed."""
    whole = Problem.of(embeddings, seed)
    if share >= 1:
        return whole
    rng = np.random.default_rng([seed, 0x5AFE])
    size = round(share * whole.candidates.size)
    labels = [item.label for item in embeddings.items]
    return Problem.from_arrays(
        embeddings.matrix,
        labels,
        rng.permutation(whole.candidates)[:size],
        whole.test_rows,
        [embeddings.digest.encode(), repr(labels).encode()],
        name=f"{embeddings.dataset.name}-share{share:g}",
    )


def show(summary: Summary, arguments: argparse.Namespace) -> None:
    """Print a table for each head."""
    last = 20 * (arguments.rounds + 1)
    budgets = [*(budget for budget in BUDGETS if budget < last), last]
    for group in summary.groups:
        upper = (
            "" if group.upper_baseline is None else f"; {group.upper_baseline:.3f} with all labels"
        )
        head = group.title.partition("; ")[2]
        print(f"\n{arguments.dataset}, {arguments.seeds} seeds, {head}{upper}\n")
        at = " | ".join(map(str, budgets))
        print(
            f"| strategy | mean of the rounds | {at} | labels to {arguments.accuracy} | "
            "difference of the area from random | rounds above, below random |"
        )
        print("| --- |" + " --- |" * (len(budgets) + 4))
        for row in group.rows:
            print("| " + " | ".join(cells(group, row, budgets)) + " |")


def cells(group: Group, row: Row, budgets: list[int]) -> list[str]:
    curves = group.curves[row.setting].values  # (S, R)
    means = np.nanmean(curves, axis=1)  # (S,)
    spread = f" ± {means.std(ddof=1):.3f}" if row.distinct_runs >= LEAST_RUNS else ""
    found = [f"`{row.setting.strategy}`", f"{means.mean():.3f}{spread}"]
    found += [f"{row.at[budget].estimate:.3f}" for budget in budgets]
    found.append(labels_to_target(row, budgets[-1]))
    if row.comparison is None or row.rounds is None:
        return [*found, "", ""]
    difference, p = f"{row.comparison.difference:+.3f}", row.comparison.p
    if row.comparison.reason is not None:
        return [*found, f"{difference} (not tested: {row.comparison.reason})", ""]
    found.append(f"{difference} (p {'< 0.001' if p < 0.001 else f'= {p:.3f}'})")
    return [*found, f"{row.rounds.above().sum()}, {row.rounds.below().sum()}"]


def labels_to_target(row: Row, last: int) -> str:
    found = row.labels
    if found is None or found.median is None:
        reached = 0 if found is None else found.n_reached
        return f"more than {last} (reached with {reached} of {row.seeds} seeds)"
    return f"{found.median:.0f}"


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
