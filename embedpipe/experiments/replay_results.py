"""The results of a replay study: its tables, its accuracy matrices and its summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..continual import METRICS, Stream, accuracy_matrix, continual_metrics
from .cells import Cell, ReplaySetting
from .formatting import format_comparison, format_interval, format_runs, format_test
from .statistics import (
    LEAST_RUNS,
    Comparison,
    Interval,
    count_runs,
    holm,
    mean_interval,
    paired_comparison,
    prefix_runs,
)
from .study import Failure, write_tables

__all__ = ["ReplayResults", "ReplayRow", "ReplaySummary"]

SHOWN = {
    "iid": ("gem_accuracy", "clear_accuracy", "clear_next_domain", "forgetting_last"),
    "streaming": ("clear_next_domain", "clear_forward"),
}
"""The metrics of a summary unless others are asked for, by the protocol."""


@dataclass(frozen=True)
class ReplayRow:
    """The statistics of one setting over its seeds."""

    setting: ReplaySetting
    against: ReplaySetting | None
    """The setting that it is compared with, or None for the baseline itself."""
    seeds: int
    """Number of seeds with a run."""
    distinct_runs: int
    """Number of runs with distinct accuracy matrices: identical runs are one observation."""
    metrics: dict[str, Interval]
    """The mean and its interval, by metric."""
    comparisons: dict[str, Comparison | None]
    """Paired with the baseline by seed, by metric; None for the baseline itself, and for metrics
    that one of both does not have. P-values are corrected for all rows of a stream and metric."""


@dataclass(frozen=True)
class ReplaySummary:
    """The rows of every stream and head; ``str`` gives a table."""

    rows: tuple[ReplayRow, ...]
    metrics: tuple[str, ...]
    baseline: str

    def __str__(self) -> str:
        keys = dict.fromkeys((row.setting.stream, row.setting.head) for row in self.rows)
        return "\n\n".join(self._table(*key) for key in keys)

    def _table(self, stream: str, head: str) -> str:
        rows = [r for r in self.rows if (r.setting.stream, r.setting.head) == (stream, head)]
        heads = ["", "distinct runs", *self.metrics, f"against {self.baseline}", "p"]
        cells = [heads, *map(self._cells, rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        seeds = max(row.seeds for row in rows)
        lines = [f"{stream}; {head}; {seeds} seed{'s' if seeds > 1 else ''}"]
        for line in cells:
            padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
            lines.append("  ".join(padded).rstrip())
        return "\n".join(lines)

    def _cells(self, row: ReplayRow) -> list[str]:
        found = row.comparisons[self.metrics[0]]
        star = " *" if found is not None and found.significant() else ""
        runs = format_runs(row.distinct_runs, row.seeds)
        means = (format_interval(row.metrics[name]) for name in self.metrics)
        return [
            row.setting.learned,
            runs,
            *means,
            format_comparison(found),
            format_test(found) + star,
        ]


@dataclass(frozen=True)
class ReplayResults:
    """The results of a replay study.

    Attributes
    ----------
    table
        One row for each run and experience, as in ``results.parquet``: ``stream``, ``head``,
        ``method``, ``policy``, ``retain``, ``seed``, ``run_id``, ``experience``, ``name``,
        ``learned``, ``replayed``, ``kept``, ``labelled``, and ``accuracies``, the row of the
        accuracy matrix.
    metrics
        One row for each run, as in ``metrics.parquet``: what it is, and every metric.
    settings
        In the order of the grid.
    baseline
        The policy that the others are compared with.
    protocols
        Of each stream, by its name.
    experiences
        The names of the experiences of each stream; none where each seed has others.
    never_learned
        The classes that are tested but never learned, by the stream's name.
    failures
        What could not be done.
    folder
        Where the tables are written, or None.
    left_out
        By the stream's name: number of copies left out, see `Stream.copies_left_out`; the
        least and the most over the seeds.
    """

    table: pa.Table = field(repr=False)
    metrics: pa.Table = field(repr=False)
    settings: tuple[ReplaySetting, ...]
    baseline: str
    protocols: dict[str, str]
    experiences: dict[str, tuple[str, ...]]
    never_learned: dict[str, list[Any]]
    failures: tuple[Failure, ...] = ()
    folder: Path | None = None
    left_out: dict[str, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        done: Sequence[tuple[Cell[ReplaySetting], Stream, Sequence[dict[str, Any]]]],
        *,
        baseline: str,
        failures: tuple[Failure, ...],
        folder: Path,
    ) -> ReplayResults:
        """Gather finished cells, each with its stream and the rows of its experiences."""
        rows: list[dict[str, Any]] = []
        figures: list[dict[str, Any]] = []
        names: dict[str, set[tuple[str, ...]]] = {}
        for cell, stream, records in done:
            what = {**vars(cell.setting), "seed": cell.seed, "run_id": cell.run_id}
            rows += [{**what, **{name: each[name] for name in _RECORD}} for each in records]
            accuracies = ((each["experience"], each["accuracies"]) for each in records)
            matrix = accuracy_matrix(accuracies, len(stream))
            found = continual_metrics(matrix, protocol=stream.protocol, floor=stream.floor)
            figures.append({**what, **found})
            own = tuple(each.name for each in stream.experiences)
            names.setdefault(cell.setting.stream, set()).add(own)
        streams = {cell.setting.stream: stream for cell, stream, _ in done}
        counts: dict[str, list[int]] = {}
        for cell, stream, _ in done:
            counts.setdefault(cell.setting.stream, []).append(stream.copies_left_out)
        return cls(
            table=pa.Table.from_pylist(rows, _ROWS),
            metrics=pa.Table.from_pylist(figures, _FIGURES),
            settings=tuple(dict.fromkeys(cell.setting for cell, _, _ in done)),
            baseline=baseline,
            protocols={name: stream.protocol for name, stream in streams.items()},
            experiences={
                name: found.pop() if len(found) == 1 else () for name, found in names.items()
            },
            never_learned={
                name: stream.never_learned
                for name, stream in streams.items()
                if stream.never_learned
            },
            failures=failures,
            folder=folder,
            left_out={name: (min(found), max(found)) for name, found in counts.items()},
        )

    @cached_property
    def matrices(self) -> dict[ReplaySetting, dict[int, NDArray[np.float64]]]:
        """The (T, T) accuracy matrices by setting and seed."""
        rows: dict[ReplaySetting, dict[int, list[Any]]] = {s: {} for s in self.settings}
        for row in self.table.to_pylist():
            of_seed = rows[self._setting(row)].setdefault(row["seed"], [])
            of_seed.append((row["experience"], row["accuracies"]))
        return {
            setting: {
                seed: accuracy_matrix(known, len(known[0][1])) for seed, known in of_seeds.items()
            }
            for setting, of_seeds in rows.items()
        }

    def matrix(self, setting: ReplaySetting) -> NDArray[np.float64]:
        """Return the (T, T) accuracy matrix of a setting, the mean over its seeds."""
        return np.asarray(np.mean(list(self.matrices[setting].values()), axis=0))

    @cached_property
    def runs(self) -> dict[ReplaySetting, dict[int, NDArray[np.int64]]]:
        """Which seeds of a setting have the same run after each experience, (T,) by seed.

        See `prefix_runs`; the last number compares whole runs.
        """
        found: dict[ReplaySetting, dict[int, NDArray[np.int64]]] = {}
        for setting, of_seeds in self.matrices.items():
            measures = np.stack(list(of_seeds.values()))  # (S, T, T)
            ids = prefix_runs(*np.moveaxis(measures, 2, 0))  # (S, T)
            found[setting] = dict(zip(of_seeds, ids, strict=True))
        return found

    def summary(self, metrics: Sequence[str] | None = None) -> ReplaySummary:
        """Return how good each setting is, and whether it could be chance.

        Parameters
        ----------
        metrics
            Names out of `METRICS`, the first of which is compared; by default some that the
            protocol defines.

        Notes
        -----
        Differences are paired by seed with the baseline policy at the same size; what has no
        buffer with the baseline of the same head at the last size. P-values are those of the
        paired t-test, corrected by Holm's method for all rows of one stream and metric; see
        `decisive_p` for what the signed-rank test adds. Identical runs are one observation:
        nothing is tested below three distinct runs, or values of the metric, on either side.
        """
        streaming = "streaming" in self.protocols.values()
        names = tuple(metrics or SHOWN["streaming" if streaming else "iid"])
        values = self._values(names)
        rows = []
        for setting in self.settings:
            own, against = values[setting], self._against(setting)
            runs = [int(self.runs[setting][seed][-1]) for seed in own]
            rows.append(
                ReplayRow(
                    setting,
                    against,
                    len(own),
                    count_runs(runs),
                    {
                        name: mean_interval(
                            [each[name] for each in own.values()],
                            runs=runs,
                            within=limits_of(name),
                        )
                        for name in names
                    },
                    {
                        name: None
                        if against is None
                        else self._compared((setting, against), values, name)
                        for name in names
                    },
                )
            )
        return ReplaySummary(tuple(_corrected(rows, names)), names, self.baseline)

    def write(self) -> None:
        """Write the tables to `folder`, each whole or not at all.

        Raises
        ------
        RunError
            If they cannot be written.
        """
        write_tables(self.folder, {"results": self.table, "metrics": self.metrics})

    def _values(self, names: Sequence[str]) -> dict[ReplaySetting, dict[int, dict[str, float]]]:
        """Return the metrics by setting and seed."""
        found: dict[ReplaySetting, dict[int, dict[str, float]]] = {s: {} for s in self.settings}
        for row in self.metrics.to_pylist():
            found[self._setting(row)][row["seed"]] = {name: row[name] for name in names}
        return found

    def _compared(
        self,
        pair: tuple[ReplaySetting, ReplaySetting],
        values: dict[ReplaySetting, dict[int, dict[str, float]]],
        name: str,
    ) -> Comparison | None:
        """Compare a metric of two settings, seed by seed; None if no seed has it of both."""
        own, other = (
            {seed: each[name] for seed, each in values[setting].items() if not np.isnan(each[name])}
            for setting in pair
        )
        seeds = [seed for seed in own if seed in other]
        if not seeds:
            return None
        columns = [[each[seed] for seed in seeds] for each in (own, other)]
        # Runs may differ in the order of the experiences alone, as of what is learned at once:
        # then their metric is the same, and they are one observation of it.
        runs = [
            [self.runs[setting][seed][-1] for seed in seeds]
            if len(set(np.round(column, 12))) >= LEAST_RUNS
            else None
            for setting, column in zip(pair, columns, strict=True)
        ]
        least, most = limits_of(name)
        width = most - least
        return paired_comparison(*columns, runs=(runs[0], runs[1]), within=(-width, width))

    @cached_property
    def _by_name(self) -> dict[tuple[str, ...], ReplaySetting]:
        return {tuple(vars(setting).values()): setting for setting in self.settings}

    def _setting(self, row: dict[str, Any]) -> ReplaySetting:
        """Return the setting of a row of a table."""
        return self._by_name[tuple(row[name] for name in _SETTING)]

    def _against(self, setting: ReplaySetting) -> ReplaySetting | None:
        """Return what a setting is compared with, or None for the baseline itself."""
        if setting.policy == self.baseline:
            return None
        key = (setting.stream, self.baseline)
        same = [each for each in self.settings if (each.stream, each.policy) == key]
        own_head = [each for each in same if each.head == setting.head]
        own_size = [each for each in own_head if each.retain == setting.retain] or own_head
        return own_size[-1] if own_size else None


def limits_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a metric can have."""
    return (0.0, 1.0) if metric.startswith("clear_") or metric == "gem_accuracy" else (-1.0, 1.0)


def _corrected(rows: list[ReplayRow], names: Sequence[str]) -> list[ReplayRow]:
    """Correct p-values for all comparisons of a stream and a metric."""
    for name in names:
        for stream in dict.fromkeys(row.setting.stream for row in rows):
            at = [
                place
                for place, row in enumerate(rows)
                if row.setting.stream == stream and row.comparisons[name] is not None
            ]
            found = [rows[place].comparisons[name] for place in at]
            p = holm([each.p_t for each in found if each is not None])
            for place, each, corrected in zip(at, found, p.tolist(), strict=True):
                assert each is not None
                changed = {**rows[place].comparisons, name: replace(each, p_holm=corrected)}
                rows[place] = replace(rows[place], comparisons=changed)
    return rows


_SETTING = ("stream", "head", "method", "policy", "retain")
_RECORD = ("experience", "name", "learned", "replayed", "kept", "labelled", "accuracies")
_CELL = [*(pa.field(name, pa.string()) for name in _SETTING), pa.field("seed", pa.int64())]
_ROWS = pa.schema(
    [
        *_CELL,
        pa.field("run_id", pa.string()),
        pa.field("experience", pa.int32()),
        pa.field("name", pa.string()),
        *(pa.field(name, pa.int64()) for name in _RECORD[2:6]),
        pa.field("accuracies", pa.list_(pa.float64())),
    ]
)
_FIGURES = pa.schema(
    [
        *_CELL,
        pa.field("run_id", pa.string()),
        *(pa.field(name, pa.float64()) for name in METRICS),
    ]
)
