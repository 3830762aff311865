"""The accuracy with and without a target: the tables of docs/benchmarks/targets.md.

    python benchmarks/target.py clothing-lite0 --case classes --sources DIR
    python benchmarks/target.py clothing-lite0-bursts-shift --case shift --sources DIR
    python benchmarks/target.py --show                        # the tables, from the stored results

Spaces are names of `benchmarks/spaces.py`. For each seed, the images of the place of use are
divided at random: half is the target, without labels, and half measures the accuracy. The pool is
the same with and without the target.

- `classes`: a third of all images is from the place of use, where only half of the classes occur.
  The pool has all classes.
- `shift`: the place of use is the test split of the space. The pool is a random 80 % of the
  candidates. With the variation `bursts-shift`, the test images are corrupted.

Accuracies are written to a Parquet file for each space and case, after each seed. New rows replace
those of the same strategy and seed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import without_slowing_settings
from spaces import Space, add_source_options, problem_of, spaces_of

from embedpipe._workspace import Workspace
from embedpipe.active import ActiveLoop, Problem
from embedpipe.experiments.statistics import paired_comparison

STRATEGIES = ("auto", "facility_location", "coreset")

BATCH = 20
"""Labels in each round."""

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks" / "results" / "targets"

SCHEMA = pa.schema(
    [
        pa.field("strategy", pa.string()),
        pa.field("with_target", pa.bool_()),
        pa.field("seed", pa.int32()),
        pa.field("labelled", pa.int32()),
        pa.field("accuracy", pa.float64()),
    ]
)
"""One row for each round."""

BUDGETS = (60, 100, 200)


def main() -> int:
    arguments = parse()
    if not arguments.show:
        for space in spaces_of(arguments.spaces):
            run(space, arguments)
    for path in sorted(arguments.results.glob("*.parquet")):
        show(path)
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_source_options(parser)
    parser.add_argument("--case", choices=("classes", "shift"), default="classes")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9, help="rounds of 20 labels")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of Parquet files")
    parser.add_argument("--show", action="store_true", help="print stored results, run nothing")
    return parser.parse_args()


# The runs


def run(space: Space, arguments: argparse.Namespace) -> None:
    """Run the loops of a space, and store their accuracies after each seed."""
    whole = problem_of(space, arguments.sources, Workspace(arguments.workspace))
    path = arguments.results / f"{space.name}-{arguments.case}.parquet"
    for seed in range(arguments.seeds):
        problem, target = divided(whole, arguments.case, seed)
        rows = []
        for strategy in [*arguments.strategies, "random"]:
            for chosen_for in (None, target) if strategy != "random" else (None,):
                loop = ActiveLoop(
                    problem,
                    target=chosen_for,
                    strategy=strategy,
                    initial=strategy,
                    head="logistic",
                    initial_size=BATCH,
                    batch_size=BATCH,
                    seed=seed,
                    advice="cheap",
                )
                for record in loop.run(arguments.rounds):
                    fields = (strategy, chosen_for is not None, seed, record.labelled)
                    rows.append((*fields, record.accuracy))
        store(path, rows)
        print(f"{path.stem}, seed {seed}", file=sys.stderr)


def divided(whole: Problem, case: str, seed: int) -> tuple[Problem, np.ndarray]:
    """Return the problem of a seed, and the vectors of its target."""
    rng = np.random.default_rng([seed, 0x7A26])
    labels = np.empty(len(whole.matrix), dtype=object)
    labels[whole.candidates] = whole.oracle.every_label(whole.candidates)
    labels[whole.test_rows] = whole.test_labels
    pool, used = rng.permutation(whole.candidates), rng.permutation(whole.test_rows)
    if case == "shift":
        pool = pool[: round(0.8 * len(pool))]
    else:
        every = rng.permutation(np.concatenate([pool, used]))
        used, pool = every[: len(every) // 3], every[len(every) // 3 :]
        names = sorted(set(labels[every]))
        kept = rng.permutation(names)[: len(names) // 2]
        used = used[np.isin(labels[used].astype(str), kept)]
    target, measured = used[: len(used) // 2], used[len(used) // 2 :]
    problem = Problem.from_arrays(
        whole.matrix,
        labels.tolist(),
        pool,
        np.sort(measured),
        [whole.digest.encode(), case.encode()],
        name=f"{whole.name}-{case}",
    )
    return problem, whole.matrix[np.sort(target)]


def store(path: Path, rows: list[tuple[object, ...]]) -> None:
    """Add rows to a file, in place of those of the same strategy, target and seed."""
    new = {row[:3] for row in rows}
    kept = [row for row in read(path) if row[:3] not in new]
    columns = zip(*sorted([*kept, *rows], key=lambda row: row[:4]), strict=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = dict(zip(SCHEMA.names, columns, strict=True))
    pq.write_table(pa.table(arrays, schema=SCHEMA), path, compression="zstd")


def read(path: Path) -> Iterator[tuple[object, ...]]:
    if path.exists():
        yield from zip(*pq.read_table(path).to_pydict().values(), strict=True)


# The tables


def show(path: Path) -> None:
    """Print the table of a space and a case."""
    table = pq.read_table(path).to_pandas()
    labelled = sorted(table["labelled"].unique())
    curves = {
        key: part.pivot_table(index="seed", columns="labelled", values="accuracy").to_numpy()
        for key, part in table.groupby(["strategy", "with_target"])
    }  # (S, R) of each strategy without and with the target
    seeds = table["seed"].nunique()
    print(f"\n**{path.stem}**, {seeds} pools, {labelled[0]} to {labelled[-1]} labels\n")
    at = [budget for budget in BUDGETS if budget in labelled]
    print(f"| strategy | mean | {' | '.join(map(str, at))} | difference by the target |")
    print("| --- |" + " --- |" * (len(at) + 2))
    for (strategy, aimed), values in sorted(
        curves.items(), key=lambda item: (item[0][0] == "random", *item[0])
    ):
        cells = [f"`{strategy}`{', with target' if aimed else ''}", f"{values.mean():.3f}"]
        cells += [f"{values[:, labelled.index(budget)].mean():.3f}" for budget in at]
        cells.append(difference(values, curves[strategy, False]) if aimed else "–")
        print("| " + " | ".join(cells) + " |")


def difference(aimed: np.ndarray, plain: np.ndarray) -> str:
    """Return the mean difference over the pools, with its interval and p-value."""
    found = paired_comparison(aimed.mean(axis=1), plain.mean(axis=1))
    if found.reason is not None:
        return f"{found.difference:+.3f} ({found.reason})"
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.3f}"
    return f"{found.difference:+.3f} [{found.low:+.3f}, {found.high:+.3f}], {p}"


if __name__ == "__main__":
    without_slowing_settings()
    sys.exit(main())
