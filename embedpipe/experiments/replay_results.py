"""The tables, accuracy matrices and summary of a replay study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._html import result_html
from ..continual import METRICS, Stream, accuracy_matrix, continual_metrics
from .cells import Cell, ReplaySetting
from .formatting import (
    format_comparison,
    format_detectable,
    format_interval,
    format_runs,
    format_stream_pools,
    format_test,
)
from .problems import Pools
from .statistics import (
    LEAST_RUNS,
    Comparison,
    Interval,
    correct,
    count_runs,
    detectable_difference,
    mean_interval,
    paired_comparison,
    prefix_runs,
)
from .study import Failure, write_tables
from .summary import ends, number
from .tables import Table, Tabular

__all__ = ["ReplayResults", "ReplayRow", "ReplaySummary"]

SHOWN = {
    "iid": ("gem_accuracy", "clear_accuracy", "clear_next_domain", "forgetting_last"),
    "streaming": ("clear_next_domain", "clear_forward"),
}
"""Default metrics of a summary, by protocol."""


@dataclass(frozen=True)
class ReplayRow:
    """The statistics of one setting over its seeds."""

    setting: ReplaySetting
    against: ReplaySetting | None
    """The baseline of the comparison; None for the baseline itself."""
    seeds: int
    """Number of seeds with a run."""
    distinct_runs: int
    """Number of distinct accuracy matrices; identical runs are one observation."""
    metrics: dict[str, Interval]
    """Mean and interval, by metric."""
    comparisons: dict[str, Comparison | None]
    """Differences from the baseline, paired by seed, for each metric; None for the baseline itself
    and for undefined metrics. P-values are corrected for all rows of a stream and metric."""


@dataclass(frozen=True)
class ReplaySummary(Tabular):
    """The rows of all streams and heads; ``str`` gives a table."""

    rows: tuple[ReplayRow, ...]
    metrics: tuple[str, ...]
    baseline: str
    pools: Mapping[str, Pools] = field(default_factory=dict)
    """The training rows of the seeds, by stream."""

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.tables()))

    def tables(self) -> list[Table]:
        """Return a table for each stream and head."""
        keys = dict.fromkeys((row.setting.stream, row.setting.head) for row in self.rows)
        return [self._table(*key) for key in keys]

    def to_json(self) -> list[dict[str, Any]]:
        """Return a dictionary of JSON types for each row."""
        return [self._json(row) for row in self.rows]

    def tests(self, stream: str, metric: str) -> int:
        """Return the number of tested comparisons of a stream and a metric, at least 1."""
        compared = [row.comparisons[metric] for row in self.rows if row.setting.stream == stream]
        return max(sum(each is not None and each.reason is None for each in compared), 1)

    def _table(self, stream: str, head: str) -> Table:
        rows = [r for r in self.rows if (r.setting.stream, r.setting.head) == (stream, head)]
        settings = (row.setting for row in rows)
        only = all(each.method == "replay" or each.is_reference for each in settings)
        first = "policy" if only else "method"
        heads = (first, "distinct runs", *self.metrics, f"against {self.baseline}", "p (Holm)")
        seeds = max(row.seeds for row in rows)
        lines = [f"{stream}; {head}; {seeds} seed{'s' if seeds > 1 else ''}"]
        if stream in self.pools:
            lines.append(format_stream_pools(self.pools[stream]))
        detectable = format_detectable(row.comparisons[self.metrics[0]] for row in rows)
        below = (f"{self.metrics[0]}: {detectable}",) if detectable else ()
        return Table(tuple(lines), heads, tuple(map(self._cells, rows)), below)

    def _cells(self, row: ReplayRow) -> tuple[str, ...]:
        found = row.comparisons[self.metrics[0]]
        star = " *" if found is not None and found.significant() else ""
        runs = format_runs(row.distinct_runs, row.seeds)
        means = (format_interval(row.metrics[name]) for name in self.metrics)
        return (
            row.setting.learned,
            runs,
            *means,
            format_comparison(found),
            format_test(found) + star,
        )

    def _json(self, row: ReplayRow) -> dict[str, Any]:
        return {
            **vars(row.setting),
            "seeds": row.seeds,
            "distinct_runs": row.distinct_runs,
            "metrics": {
                name: {"mean": number(found.estimate), "ci": ends(found)}
                for name, found in row.metrics.items()
            },
            "against_baseline": {
                name: None
                if found is None
                else {
                    "difference": number(found.difference),
                    "ci": ends(found),
                    "p_value": number(found.p),
                    "p_reason": found.reason,
                    "significant": found.significant(),
                    "detectable_difference": number(
                        detectable_difference(found, tests=self.tests(row.setting.stream, name))
                    ),
                }
                for name, found in row.comparisons.items()
            },
        }


@dataclass(frozen=True)
class ReplayResults:
    """The results of a replay study.

    Attributes
    ----------
    table
        One row for each run and experience, as in ``results.parquet``. ``accuracies`` is a row of
        the accuracy matrix.
    metrics
        One row for each run, as in ``metrics.parquet``: the cell and every metric.
    settings
        All settings, in the order of the grid.
    baseline
        The policy that the other policies are compared with.
    protocols
        The protocol of each stream.
    experiences
        The names of the experiences of each stream; empty if they differ between seeds.
    never_learned
        Classes that are tested and, for at least one seed, never learned, by stream.
    left_out
        Minimum and maximum over the seeds of `Stream.copies_left_out`, by stream.
    pools
        The training rows of the seeds, by stream.
    failures, folder
        See `Results`.
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
    pools: Mapping[str, Pools] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        done: Sequence[tuple[Cell[ReplaySetting], Stream, Sequence[dict[str, Any]]]],
        *,
        baseline: str,
        failures: tuple[Failure, ...],
        folder: Path | None,
        pools: Mapping[str, Pools],
    ) -> ReplayResults:
        """Return the results; `done` has each finished cell with its stream and its experiences."""
        rows: list[dict[str, Any]] = []
        metric_rows: list[dict[str, Any]] = []
        names: dict[str, set[tuple[str, ...]]] = {}
        for cell, stream, records in done:
            run = {**vars(cell.setting), "seed": cell.seed, "run_id": cell.run_id}
            run |= {"pool_share": pools[cell.setting.stream].share, "pool_size": stream.n_learned}
            rows += [{**run, **{name: each[name] for name in _RECORD}} for each in records]
            accuracies = ((each["experience"], each["accuracies"]) for each in records)
            matrix = accuracy_matrix(accuracies, len(stream))
            values = continual_metrics(matrix, protocol=stream.protocol, floor=stream.floor)
            metric_rows.append({**run, **values})
            own = tuple(each.name for each in stream.experiences)
            names.setdefault(cell.setting.stream, set()).add(own)
        streams = {cell.setting.stream: stream for cell, stream, _ in done}
        counts: dict[str, list[int]] = {}
        for cell, stream, _ in done:
            counts.setdefault(cell.setting.stream, []).append(stream.copies_left_out)
        return cls(
            table=pa.Table.from_pylist(rows, _ROWS),
            metrics=pa.Table.from_pylist(metric_rows, _METRICS),
            settings=tuple(dict.fromkeys(cell.setting for cell, _, _ in done)),
            baseline=baseline,
            protocols={name: stream.protocol for name, stream in streams.items()},
            experiences={
                name: found.pop() if len(found) == 1 else () for name, found in names.items()
            },
            never_learned=_never_learned(done),
            failures=failures,
            folder=folder,
            left_out={name: (min(found), max(found)) for name, found in counts.items()},
            pools=pools,
        )

    @cached_property
    def matrices(self) -> dict[ReplaySetting, dict[int, NDArray[np.float64]]]:
        """The (T, T) accuracy matrices for T experiences, by setting and seed."""
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
        """Return the mean accuracy matrix of a setting over its seeds."""
        return np.asarray(np.mean(list(self.matrices[setting].values()), axis=0))

    @cached_property
    def runs(self) -> dict[ReplaySetting, dict[int, NDArray[np.int64]]]:
        """The run numbers after each of T experiences, see `prefix_runs`, by setting and seed."""
        found: dict[ReplaySetting, dict[int, NDArray[np.int64]]] = {}
        for setting, of_seeds in self.matrices.items():
            measures = np.stack(list(of_seeds.values()))  # (S, T, T)
            ids = prefix_runs(*np.moveaxis(measures, 2, 0))  # (S, T)
            found[setting] = dict(zip(of_seeds, ids, strict=True))
        return found

    def summary(self, metrics: Sequence[str] | None = None) -> ReplaySummary:
        """Return the statistics of each setting over the seeds.

        Each setting is compared by seed with the baseline policy at the same buffer size. Methods
        without a buffer are compared with the baseline at the last of the buffer sizes. The paired
        t-test has Holm's correction for all rows of one stream and metric. `metrics` are names from
        `METRICS`; the default depends on the protocol.
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
        return ReplaySummary(tuple(_corrected(rows, names)), names, self.baseline, self.pools)

    def _repr_html_(self) -> str:
        shown = ["gem_accuracy", "clear_next_domain", "forgetting_last"]
        values = self._values(shown)
        rows = [
            (
                f"{setting.stream}; {setting.head}",
                setting.learned,
                len(of_seeds),
                *(float(np.mean([each[name] for each in of_seeds.values()])) for name in shown),
            )
            for setting, of_seeds in values.items()
        ]
        facts = [
            ("runs", self.metrics.num_rows),
            ("failures", len(self.failures)),
            ("folder", None if self.folder is None else str(self.folder)),
            ("statistics", "results.summary(), plot_replay(results)"),
        ]
        headings = [
            "stream and head", "method", "seeds", "final accuracy", "next experience", "forgetting",
        ]  # fmt: skip
        return result_html("Results of a replay study", facts, headings, rows, n_rows=len(rows))

    def write(self) -> None:
        """Write the tables to `folder`, each whole or not at all."""
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
        """Compare a metric of two settings by seed; None without a common seed."""
        own, other = (
            {seed: each[name] for seed, each in values[setting].items() if not np.isnan(each[name])}
            for setting in pair
        )
        seeds = [seed for seed in own if seed in other]
        if not seeds:
            return None
        columns = [[each[seed] for seed in seeds] for each in (own, other)]
        # Runs that differ only in the order of the experiences have equal metrics. So if a metric
        # has fewer than three distinct values, equal values are one observation.
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
        """Return the baseline of a setting; None for the baseline itself."""
        if setting.is_baseline(self.baseline):
            return None
        same = [
            each
            for each in self.settings
            if each.stream == setting.stream and each.is_baseline(self.baseline)
        ]
        own_head = [each for each in same if each.head == setting.head]
        own_size = [each for each in own_head if each.retain == setting.retain] or own_head
        return own_size[-1] if own_size else None


def _never_learned(
    done: Sequence[tuple[Cell[ReplaySetting], Stream, Sequence[dict[str, Any]]]],
) -> dict[str, list[Any]]:
    """Return the classes that are tested and, for at least one seed, never learned, by stream."""
    streams = {(cell.setting.stream, cell.seed): stream for cell, stream, _ in done}
    found: dict[str, dict[Any, None]] = {}
    for (name, _), stream in streams.items():
        if stream.never_learned:
            found.setdefault(name, {}).update(dict.fromkeys(stream.never_learned))
    return {name: list(labels) for name, labels in found.items()}


def limits_of(metric: str) -> tuple[float, float]:
    """Return the minimum and the maximum of a metric."""
    return (0.0, 1.0) if metric.startswith("clear_") or metric == "gem_accuracy" else (-1.0, 1.0)


def _corrected(rows: list[ReplayRow], names: Sequence[str]) -> list[ReplayRow]:
    """Return the rows with p-values corrected for all comparisons of a stream and a metric."""
    for name in names:
        for stream in dict.fromkeys(row.setting.stream for row in rows):
            compared = {
                place: found
                for place, row in enumerate(rows)
                if row.setting.stream == stream and (found := row.comparisons[name]) is not None
            }
            for place, found in correct(compared).items():
                changed = {**rows[place].comparisons, name: found}
                rows[place] = replace(rows[place], comparisons=changed)
    return rows


_SETTING = ("stream", "head", "method", "policy", "retain")
_RECORD = ("experience", "name", "learned", "replayed", "kept", "labelled", "accuracies")
_CELL = [
    *(pa.field(name, pa.string()) for name in _SETTING),
    pa.field("seed", pa.int64()),
    pa.field("pool_share", pa.float64()),
    pa.field("pool_size", pa.int64()),
]
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
_METRICS = pa.schema(
    [
        *_CELL,
        pa.field("run_id", pa.string()),
        *(pa.field(name, pa.float64()) for name in METRICS),
    ]
)
