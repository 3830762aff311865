"""Studies of equal strategies: the share that reports a significant difference.

All runs are runs of random selection with different seeds. A study gives some of them the names of
strategies, so all strategies are equal. Deterministic strategies have one run for all seeds, others
have two to four distinct runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from embedpipe.active import Problem
from embedpipe.experiments import Experiment, Results
from embedpipe.experiments.results import RESULTS
from embedpipe.reports import comparison_of

Rows = list[dict[str, Any]]

DISTINCT = {
    "independent": None,
    "constant": 1,
    "two runs": 2,
    "three runs": 3,
    "four runs": 4,
}
"""Number of distinct runs of each strategy; None: one for each seed."""


def real_runs(problem: Problem, folder: Path, count: int) -> list[Rows]:
    """Return the rounds of runs of random selection, one for each seed."""
    grid = Experiment(
        problem,
        strategies=["random"],
        seeds=count,
        initial_size=8,
        batch_size=8,
        rounds=4,
        upper_baseline=False,
        workspace=folder,
    )
    runs: dict[int, Rows] = {}
    for row in grid.run(workers=0).table.to_pylist():
        runs.setdefault(row["seed"], []).append(row)
    return list(runs.values())


@pytest.fixture(scope="module")
def bank(blobs: Callable[..., Problem], tmp_path_factory: pytest.TempPathFactory) -> list[Rows]:
    return real_runs(blobs(900), tmp_path_factory.mktemp("bank"), 40)


@pytest.fixture(scope="module")
def large_bank(
    blobs: Callable[..., Problem], tmp_path_factory: pytest.TempPathFactory
) -> list[Rows]:
    return real_runs(blobs(900), tmp_path_factory.mktemp("bank"), 120)


def study(
    bank: list[Rows], strategies: dict[str, int | None], seeds: int, rng: np.random.Generator
) -> Results:
    """Return a study of `seeds` runs of each strategy and of random selection."""
    order = iter(rng.permutation(len(bank)).tolist())
    rows: Rows = []
    for name, distinct in {"random": None, **strategies}.items():
        drawn = [bank[next(order)] for _ in range(min(distinct or seeds, seeds))]
        # Every run occurs at least once, at random seeds.
        which = rng.permutation([*range(len(drawn)), *rng.integers(len(drawn), size=seeds)][:seeds])
        for seed, at in enumerate(which.tolist()):
            place = {"strategy": name, "initial": name, "seed": seed, "run_id": f"{name}-{seed}"}
            rows += [row | place for row in drawn[at]]
    return Results(
        table=pa.Table.from_pylist(rows, RESULTS),
        timings=pa.table({}),
        upper_baselines=pa.Table.from_pylist([], pa.schema([])),
        baseline=("random", "random"),
    )


def declared(results: Results) -> set[str]:
    """Return the places that report a difference: the JSON, the table, the rounds, the headline."""
    summary = results.summary(accuracy=0.8)
    page = comparison_of(results, summary)
    (group,) = page.groups
    found = set()
    p_values = [row["p_value"] for row in summary.to_json()]
    if any(p is not None and p <= 0.05 for p in p_values):
        found.add("json")
    if any(row.verdict for row in group.rows):
        found.add("table")
    if any(band is not None and any(band.significant) for band in group.differences):
        found.add("rounds")
    if re.search(r"\b(above|below)\b", page.result):
        found.add("headline")
    return found


def count(bank: list[Rows], kind: str, seeds: int, studies: int) -> dict[str, int]:
    """Return the number of studies of equal strategies that report a difference, by place."""
    rng = np.random.default_rng([seeds, studies, len(kind)])
    counts = {"any": 0, "json": 0, "table": 0, "rounds": 0, "headline": 0}
    for _ in range(studies):
        strategies = dict(DISTINCT) if kind == "all of these" else {kind: DISTINCT[kind]}
        found = declared(study(bank, strategies, seeds, rng))
        for where in found | ({"any"} if found else set()):
            counts[where] += 1
    return counts


KINDS = [*DISTINCT, "all of these"]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_strategies_rarely_differ_significantly(bank: list[Rows], kind: str) -> None:
    counts = count(bank, kind, seeds=5, studies=40)
    assert counts["json"] == counts["table"]
    most = 0 if kind in ("constant", "two runs") else 6  # of 40; more by chance in 1 of 300
    assert counts["any"] <= most


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("kind", KINDS)
def test_at_most_five_percent_of_a_thousand(large_bank: list[Rows], kind: str, seeds: int) -> None:
    counts = count(large_bank, kind, seeds, studies=1000)
    print(f"{kind}, {seeds} seeds: {counts}")
    assert counts["any"] <= 50
