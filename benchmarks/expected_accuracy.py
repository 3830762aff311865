"""The error of the expected accuracy: the tables of docs/benchmarks/expected-accuracy.md.

    python benchmarks/expected_accuracy.py --sources DIR              # all spaces, four strategies
    python benchmarks/expected_accuracy.py clothing-lite2 tuning --sources DIR --strategies auto
    python benchmarks/expected_accuracy.py --show                     # from the stored results

Spaces are names of `benchmarks/spaces.py`, or the roles tuning, reporting and seen-before. For each
seed, the pool is a random 80 % of the candidates. A strategy chooses 20 images in each round, and
they get the labels of the dataset. The expected accuracy is compared with the share of right
predictions for the rest of the pool, the images without a label. Rounds count from 40 labels on.
The estimate does not use the labels of the rest.

Runs are stored in the workspace and shared with `benchmarks/labels.py`. The estimates are written
to one Parquet file. New rows replace those of the same space, strategy and head.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import without_slowing_settings
from labels import BATCH, head_in, strategy_in
from spaces import SPACES, Space, add_source_options, problem_of, spaces_of

from embedpipe._loops.fitting import Batch, Trainer, joined, run_head
from embedpipe._workspace import Workspace
from embedpipe.active import Problem, RunFolder
from embedpipe.active.expected import expected_of_candidates
from embedpipe.experiments import Experiment

STRATEGIES = ("auto", "margin", "typiclust")
"""Default strategies; random selection is always added."""

ROUNDS = 14
"""Rounds after the first one: up to 300 labels."""

LEAST_LABELS = 40
"""Labels from which rounds count."""

SHOWN = (40, 60, 100, 200, 300)
"""Numbers of labels in the table by number of labels."""

RESULTS = Path(__file__).parents[1] / "docs/benchmarks/results/expected-accuracy.parquet"

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("space", "strategy", "head")),
        *(pa.field(name, pa.int32()) for name in ("seed", "labelled")),
        *(
            pa.field(name, pa.float32())
            for name in ("truth", "expected", "low", "high", "cross_validated", "class_error")
        ),
    ]
)
"""One row for each round, with accuracies from 0 to 1: the measured one on the rest, the expected
one, the limits of its interval, and the cross-validated one on the labelled images. For the last
round also the mean absolute error of the expected accuracies of the classes, see `class_error`."""

LEAST_ROWS = 20
"""Images of a class in the rest from which its accuracy is compared."""


def main() -> int:
    arguments = parse()
    failed = False
    if not arguments.show:
        for space in arguments.spaces:
            failed |= run(space, arguments)
    names = [space.name for space in arguments.spaces]
    rows = [row for row in pq.read_table(arguments.results).to_pylist() if row["space"] in names]
    show(rows)
    return int(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--heads", nargs="*", default=["auto"])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--results", type=Path, default=RESULTS, help="Parquet file")
    parser.add_argument("--show", action="store_true", help="print stored results, run nothing")
    arguments = parser.parse_args()
    arguments.spaces = spaces_of(arguments.spaces)
    return arguments


def run(space: Space, arguments: argparse.Namespace) -> bool:
    """Run the loops of a space and store their estimates; return whether a run failed."""
    print(space.name, file=sys.stderr)
    workspace = Workspace(arguments.workspace)
    strategies = {strategy_in(space, name): name for name in [*arguments.strategies, "random"]}
    heads = {head_in(space, name): name for name in arguments.heads}
    problem = problem_of(space, arguments.sources, workspace)
    experiment = Experiment(
        {space.name: problem},
        strategies=list(strategies),
        heads=list(heads),
        seeds=list(range(arguments.seed_offset, arguments.seed_offset + arguments.seeds)),
        initial_size=BATCH,
        batch_size=BATCH,
        rounds=ROUNDS,
        upper_baseline=False,
        workspace=workspace,
    )
    results = experiment.run(
        workers=arguments.workers, progress=lambda now: print(now, end="\r", file=sys.stderr)
    )
    for failure in results.failures:
        print(failure, file=sys.stderr)
    rows = []
    for row in results.table.to_pylist():
        if row["labelled"] >= LEAST_LABELS and row["expected_accuracy"] is not None:
            found = estimate(row)
            if row["round"] == ROUNDS:
                pool = problem.subsampled(experiment.pool_share, row["seed"])
                folder = RunFolder(workspace.runs / row["run_id"])
                found["class_error"] = class_error(pool, folder, row["head"], row["seed"])
            names = {"strategy": strategies[row["strategy"]], "head": heads[row["head"]]}
            rows.append({"space": space.name, **found, **names})
    write(rows, arguments.results)
    return bool(results.failures)


def estimate(row: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a round without the names and the class error."""
    low, high = row["expected_accuracy_ci"]
    return {
        "seed": row["seed"],
        "labelled": row["labelled"],
        "truth": row["rest_accuracy"],
        "expected": row["expected_accuracy"],
        "low": low,
        "high": high,
        "cross_validated": json.loads(row["advice"])["cv_accuracy"],
    }


def class_error(problem: Problem, folder: RunFolder, head: str, seed: int) -> float:
    """Return the mean absolute error of the expected accuracies of the classes after a run.

    It is a mean over the classes with at least 20 images in the rest of the pool.
    """
    batch = joined([Batch(record.rows, record.labels) for record in folder.read()])
    none = np.array([], dtype=np.str_)
    trainer = Trainer(run_head(head, seed), problem.matrix, problem.candidates, none, seed=seed)
    fitted = trainer.fit(trainer.fresh(), batch)
    expected = expected_of_candidates(trainer, fitted, trainer.held_out(fitted, batch), batch)
    rest = np.setdiff1d(problem.candidates, batch.rows)
    truth = problem.oracle.every_label(rest)
    right = fitted.predict(problem.matrix[rest]) == truth
    errors = [
        abs(found.share - right[truth == label].mean())
        for label, found in expected.per_class.items()
        if found.share is not None and np.sum(truth == label) >= LEAST_ROWS
    ]
    return float(np.mean(errors))


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Write rows; they replace rows of the same spaces, strategies and heads."""
    table = pa.Table.from_pylist(rows, SCHEMA)
    if path.exists():
        new = {(row["space"], row["strategy"], row["head"]) for row in table.to_pylist()}
        old = [
            row
            for row in pq.read_table(path).to_pylist()
            if (row["space"], row["strategy"], row["head"]) not in new
        ]
        table = pa.concat_tables([pa.Table.from_pylist(old, SCHEMA), table])
    path.parent.mkdir(parents=True, exist_ok=True)
    order = [(name, "ascending") for name in SCHEMA.names[:5]]
    pq.write_table(table.sort_by(order), path, compression="zstd")


def show(rows: list[dict[str, Any]]) -> None:
    """Print tables: all rounds by role, by number of labels, and by space for each strategy."""
    role = {name: space.role for name, space in SPACES.items()}
    print_table("spaces, strategy", rows, lambda row: (role[row["space"]], row["strategy"]))
    some = [row for row in rows if row["labelled"] in SHOWN]
    print_table("spaces, labels", some, lambda row: (role[row["space"]], row["labelled"]))
    for strategy in dict.fromkeys(row["strategy"] for row in rows):
        own = [row for row in rows if row["strategy"] == strategy]
        print_table(f"space, `{strategy}`", own, lambda row: (row["space"],))


def print_table(
    title: str, rows: list[dict[str, Any]], key: Callable[[dict[str, Any]], tuple[Any, ...]]
) -> None:
    """Print a row for each group of rows with equal keys, in per cent."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    print(
        f"\n| {title} | truth | expected | error | within 5 | interval | inside | class error | "
        "cross-validation (error) |"
    )
    print("| --- |" + " --- |" * 8)
    for name, group in groups.items():
        values = [[row[column] for column in SCHEMA.names[5:]] for row in group]
        truth, expected, low, high, crossed, classes = 100 * np.array(values, dtype=float).T
        error = np.abs(expected - truth)
        inside = (low <= truth) & (truth <= high)
        known = classes[~np.isnan(classes)]
        print(
            f"| {', '.join(map(str, name))} | {truth.mean():.1f} | {expected.mean():.1f} | "
            f"{error.mean():.1f} | {100 * np.mean(error <= 5):.0f} % | "
            f"± {(high - low).mean() / 2:.1f} | {100 * inside.mean():.0f} % | "
            f"{f'{known.mean():.1f}' if known.size else '–'} | "
            f"{np.nanmean(crossed):.1f} ({np.nanmean(np.abs(crossed - truth)):.1f}) |"
        )


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
