"""The label efficiency of strategies: the tables of docs/benchmarks/label-efficiency.md.

    python benchmarks/labels.py --sources DIR                  # all spaces, all strategies
    python benchmarks/labels.py clothing-lite2 tuning --sources DIR --strategies auto margin
    python benchmarks/labels.py --show                         # the tables, from the stored results

Spaces are names of `benchmarks/spaces.py`, or the roles tuning, reporting and seen-before. Every
strategy starts without labels and chooses 20 images in each round. If a strategy needs labels,
`typiclust` chooses the first 20. For each seed, the pool is a random 80 % of the candidates, the
same for all strategies. The test images are used only to measure the accuracy.

Runs are stored in the workspace. After an interruption, the same command continues. The accuracies
are written to a Parquet file for each space. New rows replace those of the same strategy and head.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import without_slowing_settings
from spaces import ROLES, Space, add_source_options, problem_of, spaces_of

from embedpipe._specs import format_spec
from embedpipe._workspace import Workspace
from embedpipe.experiments import Experiment, Results
from embedpipe.experiments.statistics import (
    LEAST_RUNS,
    Comparison,
    LabelsToTarget,
    RoundComparison,
    accuracy_at,
    area,
    compare_with_baseline,
    count_runs,
    labels_to_target,
    median_labels_to_target,
    per_round_comparison,
    prefix_runs,
)
from embedpipe.heads import get_head
from embedpipe.strategies import get_strategy

STRATEGIES = (
    "auto",
    "uncertainty_herding",
    "alfamix",
    "margin",
    "badge",
    "dropquery",
    "facility_location",
    "typiclust",
    "coreset",
)

BATCH = 20
"""Labels in each round."""

ALL_LABELS = "all labels"
"""The name of the upper baseline in the results."""

HEADS = ("`logistic`", "`auto`")

BUDGETS = (20, 60, 100, 200, 300)

TARGETS = {"digits-lite0": 0.85, "clothing-lite0": 0.85}
"""Target accuracies; for the other spaces 90 % of the accuracy with all labels."""

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results" / "label-efficiency"

SCHEMA = pa.schema(
    [
        pa.field("strategy", pa.string()),
        pa.field("head", pa.string()),
        pa.field("seed", pa.int32()),
        pa.field("labelled", pa.int32()),
        pa.field("accuracy", pa.float64()),
    ]
)
"""One row for each round; strategy and head are named as on the command line."""


def main() -> int:
    arguments = parse()
    failed = False
    if not arguments.show:
        for space in arguments.spaces:
            failed |= run(space, arguments)
    found = [curves for space in arguments.spaces for curves in read(space, arguments.results)]
    for curves in found:
        show_space(curves)
    show_across(found)
    show_heads(found)
    return int(failed)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--heads", nargs="*", default=["logistic"])
    parser.add_argument("--rounds", type=int, default=14, help="rounds of 20 labels")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seed-offset", type=int, default=0)
    parser.add_argument(
        "--pool-share", type=float, default=0.8, help="pool of a seed, as a share of the candidates"
    )
    parser.add_argument("--workers", type=int)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of Parquet files")
    parser.add_argument("--show", action="store_true", help="print stored results, run nothing")
    parser.add_argument(
        "--no-upper-baseline", action="store_true", help="no training on the whole pool"
    )
    arguments = parser.parse_args()
    arguments.spaces = spaces_of(arguments.spaces)
    return arguments


# The runs


def run(space: Space, arguments: argparse.Namespace) -> bool:
    """Run the loops of a space and store their accuracies; return whether a run failed."""
    print(f"{space.name}", file=sys.stderr)
    workspace = Workspace(arguments.workspace)
    strategies = {strategy_in(space, name): name for name in [*arguments.strategies, "random"]}
    heads = {head_in(space, name): name for name in arguments.heads}
    experiment = Experiment(
        {space.name: problem_of(space, arguments.sources, workspace)},
        strategies=list(strategies),
        heads=list(heads),
        seeds=list(range(arguments.seed_offset, arguments.seed_offset + arguments.seeds)),
        pool_share=arguments.pool_share,
        initial_size=BATCH,
        batch_size=BATCH,
        rounds=arguments.rounds,
        upper_baseline=not arguments.no_upper_baseline,
        workspace=workspace,
    )
    results = experiment.run(
        workers=arguments.workers, progress=lambda now: print(now, end="\r", file=sys.stderr)
    )
    for failure in results.failures:
        print(failure, file=sys.stderr)
    write(space, rows_of(results, strategies, heads), arguments.results)
    return bool(results.failures)


def strategy_in(space: Space, spec: str) -> str:
    """Return a strategy for a space: with Euclidean distances if vectors keep their length."""
    strategy = get_strategy(spec)
    if space.keep_length and "metric" in inspect.signature(type(strategy)).parameters:
        strategy = get_strategy(spec, metric="euclidean")
    return format_spec(strategy)


def head_in(space: Space, spec: str) -> str:
    """Return a head for a space: without scaling to unit length if vectors keep their length."""
    return format_spec(get_head(spec, normalize=False)) if space.keep_length else spec


def rows_of(results: Results, strategies: dict[str, str], heads: dict[str, str]) -> pa.Table:
    """Return the accuracies, with strategies and heads by their names on the command line."""
    (pools,) = results.pools.values()
    rows = [
        {
            "strategy": strategies[row["strategy"]],
            "head": heads[row["head"]],
            **{name: row[name] for name in ("seed", "labelled", "accuracy")},
        }
        for row in results.table.to_pylist()
    ]
    rows += [
        {
            "strategy": ALL_LABELS,
            "head": heads[row["head"]],
            "seed": row["seed"],
            "labelled": pools.sizes[0],
            "accuracy": row["accuracy"],
        }
        for row in results.upper_baselines.to_pylist()
    ]
    return pa.Table.from_pylist(rows, SCHEMA)


def write(space: Space, rows: pa.Table, folder: Path) -> None:
    """Write the rows of a space; they replace the rows of the same strategies and heads."""
    path = folder / f"{space.name}.parquet"
    order = [(name, "ascending") for name in ("head", "strategy", "seed", "labelled")]
    if path.exists():
        new = {(row["strategy"], row["head"]) for row in rows.to_pylist()}
        kept = [
            row
            for row in pq.read_table(path).to_pylist()
            if (row["strategy"], row["head"]) not in new
        ]
        rows = pa.concat_tables([pa.Table.from_pylist(kept, SCHEMA), rows])
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows.sort_by(order), path, compression="zstd")


# The statistics


@dataclass(frozen=True)
class Curves:
    """The accuracies of one space and one head: S seeds, R rounds."""

    space: Space
    head: str
    labelled: np.ndarray
    """(R,) numbers of labels."""
    accuracies: dict[str, np.ndarray]
    """(S, R) by strategy; NaN where a seed has no such round."""
    upper: float | None
    """Mean accuracy with all labels."""

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.accuracies["random"])

    @cached_property
    def areas(self) -> dict[str, np.ndarray]:
        """The (S,) areas under the learning curves, divided by their width."""
        return {
            name: np.array([area(self.labelled, curve) for curve in curves])
            for name, curves in self.accuracies.items()
        }

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """The areas compared with random, with Holm's correction for all strategies."""
        runs = {name: prefix_runs(curves)[:, -1] for name, curves in self.accuracies.items()}
        return compare_with_baseline(self.areas, "random", runs=runs)

    @cached_property
    def rounds(self) -> dict[str, RoundComparison]:
        """The rounds compared with random, with Holm's correction for the rounds of a strategy."""
        random = self.accuracies["random"]
        return {
            name: per_round_comparison({name: curves, "random": random}, "random")[name]
            for name, curves in self.accuracies.items()
            if name != "random"
        }

    def distance(self, strategy: str) -> float:
        """Return the mean area of a strategy minus that of the best other single strategy."""
        means = {name: float(areas.mean()) for name, areas in self.areas.items()}
        others = [mean for name, mean in means.items() if name != strategy and not is_auto(name)]
        return means[strategy] - max(others)

    @property
    def target(self) -> float | None:
        """The target accuracy; None without the accuracy with all labels."""
        found = TARGETS.get(self.space.name)
        return 0.9 * self.upper if found is None and self.upper is not None else found

    def labels(self, strategy: str) -> LabelsToTarget | None:
        """Return the median number of labels to the target."""
        curves, target = self.accuracies[strategy], self.target
        if target is None:
            return None
        return median_labels_to_target(
            [labels_to_target(self.labelled, curve, target) for curve in curves],
            runs=prefix_runs(curves)[:, -1].tolist(),
        )


def is_auto(strategy: str) -> bool:
    return strategy.partition("(")[0] == "auto"


def read(space: Space, folder: Path) -> list[Curves]:
    """Return the stored results of a space, for each head; only rounds that all runs have."""
    path = folder / f"{space.name}.parquet"
    if not path.exists():
        return []
    runs: dict[str, dict[str, dict[int, dict[int, float]]]] = {}
    for row in pq.read_table(path).to_pylist():
        of_head = runs.setdefault(row["head"], {})
        of_seed = of_head.setdefault(row["strategy"], {}).setdefault(row["seed"], {})
        of_seed[row["labelled"]] = row["accuracy"]
    return [_curves(space, head, strategies) for head, strategies in sorted(runs.items())]


def _curves(space: Space, head: str, runs: dict[str, dict[int, dict[int, float]]]) -> Curves:
    upper = [value for run in runs.pop(ALL_LABELS, {}).values() for value in run.values()]
    seeds = sorted(set.intersection(*(set(of_seed) for of_seed in runs.values())))
    labelled = sorted(
        set.intersection(*(set(r) for of_seed in runs.values() for r in of_seed.values()))
    )
    accuracies = {
        name: np.array([[of_seed[seed][count] for count in labelled] for seed in seeds])
        for name, of_seed in runs.items()
    }
    return Curves(
        space, head, np.array(labelled), accuracies, float(np.mean(upper)) if upper else None
    )


# The tables


def show_space(curves: Curves) -> None:
    """Print the table of a space and a head, the best strategy first."""
    upper = "" if curves.upper is None else f"; {curves.upper:.3f} with all labels"
    budgets = [budget for budget in BUDGETS if budget <= curves.labelled[-1]]
    target = "target" if curves.target is None else f"{curves.target:.2f}"
    print(f"\n**{curves.space.name}**, `{curves.head}`, {curves.seeds} pools{upper}\n")
    columns = ["strategy", "mean", *map(str, budgets), f"to {target}", "area", "rounds"]
    print_table(
        columns,
        [
            cells(curves, name, budgets)
            for name in sorted(curves.areas, key=lambda name: -curves.areas[name].mean())
        ],
    )


def cells(curves: Curves, strategy: str, budgets: Sequence[int]) -> list[str]:
    values = curves.accuracies[strategy]  # (S, R)
    means = values.mean(axis=1)  # (S,)
    distinct = count_runs(prefix_runs(values)[:, -1])
    spread = f" ± {means.std(ddof=1):.3f}" if distinct >= LEAST_RUNS else ""
    found = [f"`{strategy}`", f"{means.mean():.3f}{spread}"]
    for budget in budgets:
        at = [accuracy_at(curves.labelled, curve, budget) for curve in values]
        found.append(f"{np.mean(at):.3f}")
    found.append(labels_text(curves.labels(strategy)))
    if strategy == "random":
        return [*found, "–", "–"]
    comparison, rounds = curves.comparisons[strategy], curves.rounds[strategy]
    if comparison.reason is not None:
        return [*found, f"{comparison.difference:+.3f} ({comparison.reason})", "–"]
    p = "p < 0.001" if comparison.p < 0.001 else f"p = {comparison.p:.3f}"
    area_text = f"{comparison.difference:+.3f} ({p})"
    return [*found, area_text, f"{rounds.above().sum()}, {rounds.below().sum()}"]


def labels_text(found: LabelsToTarget | None) -> str:
    if found is None:
        return "–"
    if found.median is None:
        return f"{found.n_reached} of {found.n} seeds"
    return f"{found.median:.0f}"


def show_across(found: Sequence[Curves]) -> None:
    """Print the tables over all spaces of a role, for each head."""
    for head in dict.fromkeys(curves.head for curves in found):
        for role, spaces in ROLES.items():
            chosen = [each for each in found if each.head == head and each.space in spaces]
            if chosen:
                show_role(f"{role}, `{head}`", chosen)


def show_role(title: str, found: Sequence[Curves]) -> None:
    strategies = list(dict.fromkeys(name for each in found for name in each.accuracies))
    strategies = sorted(
        (name for name in strategies if name != "random"),
        key=lambda name: (
            -np.mean([e.comparisons[name].difference for e in found if name in e.areas])
        ),
    )
    columns = [f"`{name}`" for name in strategies]
    print(f"\n**Area, in points above random: {title}**\n")
    print_table(
        ["space", "random", *columns],
        [
            [
                each.space.name,
                f"{100 * each.areas['random'].mean():.1f}",
                *(area_cell(each, name) for name in strategies),
            ]
            for each in found
        ],
    )
    print(f"\n**Area, in points above the best other strategy: {title}**\n")
    distances = [
        [100 * each.distance(name) if name in each.areas else None for name in strategies]
        for each in found
    ]
    rows = [
        [each.space.name, *("–" if value is None else f"{value:+.1f}" for value in row)]
        for each, row in zip(found, distances, strict=True)
    ]
    for limit in (1, 2):
        counts = []
        for column in zip(*distances, strict=True):
            known = [value for value in column if value is not None]
            counts.append(f"{sum(value >= -limit for value in known)} of {len(known)}")
        rows.append([f"within {limit} point{'s' if limit > 1 else ''}", *counts])
    print_table(["space", *columns], rows)
    print(f"\n**Rounds below random: {title}**\n")
    print_table(
        ["space", *columns],
        [[each.space.name, *(below_cell(each, name) for name in strategies)] for each in found],
    )


def show_heads(found: Sequence[Curves]) -> None:
    """Print the accuracy of the heads `logistic` and `auto` with labels chosen by `auto`."""
    rows = []
    for curves in found:
        others = [e for e in found if (e.space, e.head) == (curves.space, "logistic")]
        if curves.head != "auto" or not others:
            continue
        accuracies = [each.accuracies["auto"] for each in (others[0], curves)]  # each (S, R)
        areas = [100 * each.areas["auto"].mean() for each in (others[0], curves)]
        rows.append(
            [
                curves.space.name,
                *(f"{each:.1f}" for each in areas),
                f"{areas[1] - areas[0]:+.1f}",
                *(f"{100 * each[:, at].mean():.1f}" for at in (0, -1) for each in accuracies),
            ]
        )
    if rows:
        ends = [f"{found[0].labelled[at]} labels, {head}" for at in (0, -1) for head in HEADS]
        print("\n**Heads, with labels chosen by `auto`**\n")
        print_table(["space", *(f"area, {head}" for head in HEADS), "difference", *ends], rows)


def area_cell(curves: Curves, strategy: str) -> str:
    if strategy not in curves.areas:
        return "–"
    comparison = curves.comparisons[strategy]
    if comparison.reason is not None:
        return f"{100 * comparison.difference:+.1f} (not tested)"
    return f"{100 * comparison.difference:+.1f}{'*' if comparison.significant() else ''}"


def below_cell(curves: Curves, strategy: str) -> str:
    if strategy not in curves.areas:
        return "–"
    rounds = curves.rounds[strategy]
    return f"{rounds.below().sum()} ({rounds.below(corrected=False).sum()})"


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(columns) + " |")
    print("| --- |" + " --- |" * (len(columns) - 1))
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
