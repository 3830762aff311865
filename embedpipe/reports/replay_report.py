"""The report of `replay`: its data and its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .charts import Axis, BarChart, HeatMap, LineChart, Series, heat_map
from .pages import check_type, write_page
from .replay_charts import experience_chart, metric_bars
from .replay_headline import ReplayMetric, headline, ranked, verdict_of
from .study_report import (
    StudyData,
    StudyGroup,
    StudyRow,
    difference_series,
    mean_series,
    placed,
    places_of,
    ranges,
    version_facts,
)

if TYPE_CHECKING:
    from ..experiments.replay import ReplaySetting
    from ..experiments.replay_results import ReplayResults, ReplayRow, ReplaySummary

__all__ = ["ReplayData", "replay_of", "write_replay"]

EXPERIENCES = Axis(
    name="experiences learned",
    description="the number of experiences learned",
    position="after experience {:.0f}",
    whole=True,
)

MAX_EXPERIENCE_CHARTS = 8
"""Maximum number of the best methods with a chart of the accuracy on each experience."""

MAX_HEADING = 6
"""Maximum number of letters in a heading of a heat map."""

ROLES = {
    "naive": "lower baseline: no buffer",
    "cumulative": "upper baseline: all data so far",
    "joint": "upper baseline: all data at once",
}
"""Roles of the reference methods."""

PROTOCOLS = {
    "iid": "iid: tested on test images of each experience",
    "streaming": "streaming: tested on the next experience, before learning it",
}

TESTED = {
    "iid": "mean accuracy on the experiences so far",
    "streaming": "accuracy on the next experience",
}
"""The measure of the curves, by protocol."""

Matrices = dict[int, NDArray[np.float64]]


@dataclass(frozen=True)
class Difference:
    """Difference of a setting from the baseline in one metric, as text."""

    text: str
    p: str  # corrected
    verdict: str  # empty without a comparison


@dataclass(frozen=True, kw_only=True)
class MethodRow(StudyRow):
    """A policy with its buffer size, or a reference method."""

    role: str  # of the baseline and the reference methods; otherwise empty
    kept: str  # rows in the buffer at the end
    means: tuple[str, ...]  # one for each metric
    differences: tuple[Difference, ...]  # one for each metric; empty for the baseline


@dataclass(frozen=True)
class AccuracyMap:
    """The mean accuracy matrix of a setting over the seeds; NaN in undefined cells."""

    name: str
    matrix: tuple[tuple[float, ...], ...]  # (L, T): L learned experiences, T in all
    so_far: tuple[float, ...]  # (L,) values of the curve of the setting
    shown: bool = False  # whether the map is unfolded at first
    chart: LineChart | None = None  # accuracy on each experience; None for a joint fit


@dataclass(frozen=True, kw_only=True)
class ReplayGroup(StudyGroup):
    """The settings of one stream and head: the policies, best first, then reference methods."""

    protocol: str  # "iid" or "streaming"
    headings: tuple[str, ...]  # short headings of the T experiences
    experiences: tuple[str, ...]  # names of the experiences, if the headings are numbers
    maps: tuple[AccuracyMap, ...]  # one for each row
    metric_bars: Mapping[str, BarChart] = field(default_factory=dict)  # see `bar_charts`

    @cached_property
    def bar_charts(self) -> dict[str, BarChart]:
        """The bars of differences, forgetting and transfer, in the colours of the lines."""
        places = {row.name: row.place for row in self.rows}
        return {
            kind: replace(chart, lines=tuple(places[name] for name in chart.names))
            for kind, chart in self.metric_bars.items()
        }

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the T experiences."""
        return self.experiences or self.headings

    @property
    def has_experience_charts(self) -> bool:
        """Whether a map has a chart of the accuracy on each experience."""
        return any(each.chart for each in self.maps)

    @cached_property
    def scale(self) -> tuple[float, float] | None:
        """The minimum and the maximum accuracy of all maps; None without an accuracy."""
        rows = [row for each in self.maps for row in each.matrix]
        known = [value for row in rows for value in row if math.isfinite(value)]
        return (min(known), max(known)) if known else None

    @cached_property
    def heat_maps(self) -> list[tuple[HeatMap, LineChart | None, bool]]:
        """Each map with the common scale, its chart, and whether it is unfolded at first."""
        total = "so far" if self.protocol == "iid" else "next"
        return [
            (
                heat_map(
                    each.name,
                    each.matrix,
                    self.headings,
                    each.so_far,
                    scale=self.scale,
                    corner="after ↓ on →",
                    total=total,
                ),
                each.chart,
                each.shown,
            )
            for each in self.maps
        ]


@dataclass(frozen=True)
class ReplayData(StudyData):
    """The data of a replay study's page; the first of `metrics` ranks the policies."""

    metrics: tuple[ReplayMetric, ...] = ()


def replay_of(
    results: ReplayResults, summary: ReplaySummary | None = None, *, command: str | None = None
) -> ReplayData:
    """Return the data of a replay study's page.

    Without `summary`, the page has the metrics of the protocol.

    O(S·T²) time and memory for S runs of T experiences.
    """
    from ..experiments import ReplayResults

    check_type(results, ReplayResults, "give the results of a replay study")
    summary = results.summary() if summary is None else summary
    keys = dict.fromkeys((row.setting.stream, row.setting.head) for row in summary.rows)
    metrics = _metrics(summary.metrics)
    ordered = {key: ranked(summary, key, metrics[0]) for key in keys}
    matrices = results.matrices
    result, comparison = headline(list(ordered.values()), summary, metrics[0])
    runs = set(results.metrics.column("run_id").to_pylist())
    groups = [_group(results, summary, rows, matrices, metrics) for rows in ordered.values()]
    places = places_of(row.name for group in groups for row in group.rows)
    return ReplayData(
        title=", ".join(dict.fromkeys(stream for stream, _ in keys)) or "no results",
        result=result,
        comparison=comparison,
        facts=(
            ("runs", f"{len(runs):,}"),
            ("failures", f"{len(results.failures):,}"),
            ("settings", f"{len(summary.rows):,}"),
            *version_facts("embedpipe", "numpy"),
        ),
        metrics=metrics,
        groups=placed(groups, places),
        command=command,
        failures=tuple(str(failure) for failure in results.failures),
        source=results,
    )


def _metrics(names: Sequence[str]) -> tuple[ReplayMetric, ...]:
    from ..continual import METRICS

    return tuple(
        ReplayMetric(name, METRICS[name], lower_is_better=name.startswith("forgetting"))
        for name in names
    )


# A stream and a head


def _group(
    results: ReplayResults,
    summary: ReplaySummary,
    rows: tuple[ReplayRow, ...],
    matrices: dict[ReplaySetting, Matrices],
    metrics: tuple[ReplayMetric, ...],
) -> ReplayGroup:
    first = rows[0].setting
    protocol = results.protocols[first.stream]
    headings, names = _experiences(results, first.stream, len(next(iter(matrices[first].values()))))
    has_policies = any(row.setting.policy for row in rows)
    joint = next((row.setting for row in rows if row.setting.method == "joint"), None)
    shown = {first, *(row.setting for row in rows if row.setting.method in ("naive", "joint"))}
    drawn = {*shown, *[row.setting for row in rows][:MAX_EXPERIENCE_CHARTS]}
    kept = _kept(results)
    return ReplayGroup(
        title=f"{first.stream}; {first.head}",
        facts=_facts(results, rows, protocol, headings, names),
        protocol=protocol,
        headings=headings,
        experiences=names,
        rows=tuple(
            _row(row, summary.baseline, row.against, kept, metrics, has_policies=has_policies)
            for row in rows
        ),
        curves=tuple(_curve(row.setting, results, protocol) for row in rows),
        differences=_differences(rows, results, protocol, metrics[0].name),
        upper_baseline=None if joint is None else _last(matrices[joint], protocol),
        axis=EXPERIENCES,
        chart_titles=("Accuracy along the stream", "Against the baseline"),
        chart_notes=(
            f"{TESTED[protocol]}; mean over the seeds, 95 % interval; no interval below three "
            "distinct runs",
            "mean difference in the accuracy of the first chart, paired by seed, 95 % interval; "
            "filled points: significant after Holm's correction, for policies that differ "
            "significantly in the first metric",
        ),
        maps=tuple(
            replace(
                _map(row.setting, matrices, protocol, shown=row.setting in shown),
                chart=experience_chart(row.setting, results, names or headings, EXPERIENCES)
                if row.setting in drawn
                else None,
            )
            for row in rows
        ),
        metric_bars=metric_bars(rows, metrics[0], results),
    )


def _experiences(
    results: ReplayResults, stream: str, size: int
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return short headings, and the names of experiences if the headings are numbers."""
    known = results.experiences[stream]
    if known and all(0 < len(name) <= MAX_HEADING for name in known):
        return known, ()
    return tuple(str(number + 1) for number in range(size)), known


def _facts(
    results: ReplayResults,
    rows: Sequence[ReplayRow],
    protocol: str,
    headings: Sequence[str],
    names: Sequence[str],
) -> tuple[tuple[str, str], ...]:
    from ..experiments.formatting import format_range, format_stream_pools

    first = rows[0].setting
    runs = [
        row
        for row in results.table.select(["stream", "head", "method", "seed", "learned"]).to_pylist()
        if (row["stream"], row["head"]) == (first.stream, first.head)
    ]
    learned = sorted({row["learned"] for row in runs if row["method"] != "joint"})
    facts = [
        ("stream", first.stream),
        ("protocol", PROTOCOLS[protocol]),
        ("experiences", _in_words(results.experiences[first.stream], headings, names)),
        ("head", first.head),
        ("seeds", ranges(sorted({row["seed"] for row in runs}))),
    ]
    if first.stream in results.pools:
        facts.append(("pool", format_stream_pools(results.pools[first.stream])))
    if learned:
        span = f"{learned[0]:,}" + (f" to {learned[-1]:,}" if len(learned) > 1 else "")
        facts.append(("training images in each experience", span))
    if first.stream in results.left_out:
        what = "test images" if protocol == "iid" else "earlier images"
        facts.append((f"copies of {what} left out", format_range(results.left_out[first.stream])))
    never = results.never_learned.get(first.stream)
    if never:
        facts.append(("tested but never learned", ", ".join(map(str, never))))
    return tuple(facts)


def _in_words(known: Sequence[str], headings: Sequence[str], names: Sequence[str]) -> str:
    count = f"{len(headings)}"
    if names:
        return count
    return f"{count}: {', '.join(headings)}" if known else f"{count}, different for each seed"


def _kept(results: ReplayResults) -> dict[tuple[str, ...], float]:
    """Return the mean final number of rows in the buffer of each setting."""
    last: dict[tuple[str, ...], dict[int, tuple[int, int]]] = {}
    names = ("stream", "head", "method", "policy", "retain")
    for row in results.table.select([*names, "seed", "experience", "kept"]).to_pylist():
        of_seed = last.setdefault(tuple(row[name] for name in names), {})
        now = (row["experience"], row["kept"])
        of_seed[row["seed"]] = max(now, of_seed.get(row["seed"], now))
    return {
        key: float(np.mean([kept for _, kept in of_seed.values()])) for key, of_seed in last.items()
    }


def _row(
    row: ReplayRow,
    baseline: str,
    against: ReplaySetting | None,
    kept: dict[tuple[str, ...], float],
    metrics: tuple[ReplayMetric, ...],
    *,
    has_policies: bool,
) -> MethodRow:
    from ..experiments.formatting import (
        format_comparison,
        format_interval,
        format_runs,
        format_test,
    )

    setting = row.setting
    role = "" if setting.policy else ROLES.get(setting.method, "no buffer")
    if not has_policies and setting.method == "naive":
        role = "no buffer"
    found = {metric: row.comparisons[metric.name] for metric in metrics}
    return MethodRow(
        name=setting.learned,
        role="baseline" if setting.is_baseline(baseline) else role,
        baseline=setting.is_baseline(baseline),
        runs=format_runs(row.distinct_runs, row.seeds),
        kept=f"{kept[tuple(vars(setting).values())]:,.0f}" if setting.policy else "–",
        means=tuple(format_interval(row.metrics[metric.name]) for metric in metrics),
        differences=tuple(
            Difference(
                format_comparison(each),
                format_test(each),
                verdict_of(row, metric),
            )
            for metric, each in found.items()
        )
        if not setting.is_baseline(baseline)
        else (),
        against="" if against is None else against.learned,
        at_once=setting.method == "joint",
    )


# Matrices and curves


def _so_far(matrix: NDArray[np.float64], protocol: str) -> NDArray[np.float64]:
    """Return the values of a curve after each of the T experiences; NaN where undefined."""
    size = len(matrix)
    if protocol == "streaming":
        return np.append(matrix.diagonal(1), np.nan)
    return np.array([matrix[at, : at + 1].mean() for at in range(size)])


def _values(matrices: Matrices, protocol: str) -> dict[int, NDArray[np.float64]]:
    return {seed: _so_far(matrix, protocol) for seed, matrix in sorted(matrices.items())}


def _curve(setting: ReplaySetting, results: ReplayResults, protocol: str) -> Series | None:
    from ..experiments.statistics import mean_interval

    if setting.method == "joint":  # drawn as a horizontal line
        return None
    of_seeds = _values(results.matrices[setting], protocol)
    values = np.array(list(of_seeds.values()))  # (S, T): S seeds, T experiences
    runs = np.array([results.runs[setting][seed] for seed in of_seeds])  # (S, T)
    whole = ~np.isnan(values).any(axis=0)  # (T,)
    points = [
        mean_interval(values[:, at], runs=runs[:, at], within=(0.0, 1.0))
        for at in np.flatnonzero(whole)
    ]
    x = [float(at + 1) for at in np.flatnonzero(whole)]
    of_runs = [
        Series(f"{setting.learned}, seed {seed}", x, row[whole].tolist())
        for seed, row in zip(of_seeds, values, strict=True)
    ]
    return mean_series(setting.learned, x, points, of_runs)


def _differences(
    rows: Sequence[ReplayRow], results: ReplayResults, protocol: str, metric: str
) -> tuple[Series | None, ...]:
    """Return differences from the baseline; they are tested if `metric` differs significantly."""
    from ..experiments.statistics import correct_rounds, per_round_comparison

    found, places = {}, {}
    for row in rows:
        setting, against = row.setting, row.against
        if against is None or setting.is_reference:
            continue
        own, other = (_values(results.matrices[each], protocol) for each in (setting, against))
        seeds = [seed for seed in own if seed in other]
        if not seeds:
            continue
        pair = {
            name: np.array([values[seed] for seed in seeds])  # (S, T)
            for name, values in (("own", own), ("baseline", other))
        }
        runs = {
            name: np.array([results.runs[each][seed] for seed in seeds])  # (S, T)
            for name, each in (("own", setting), ("baseline", against))
        }
        whole = ~(np.isnan(pair["own"]) | np.isnan(pair["baseline"])).any(axis=0)  # (T,)
        places[setting] = np.flatnonzero(whole) + 1.0
        found[setting] = per_round_comparison(
            {name: values[:, whole] for name, values in pair.items()},
            "baseline",
            runs={name: ids[:, whole] for name, ids in runs.items()},
            within=(-1.0, 1.0),
        )["own"]
    compared = {row.setting: row.comparisons[metric] for row in rows}
    significant = {s for s, each in compared.items() if each is not None and each.significant()}
    corrected = correct_rounds(found, significant)

    return tuple(
        None
        if row.against is None or row.setting not in corrected
        else difference_series(
            row.setting.learned,
            row.against.learned,
            places[row.setting].tolist(),
            corrected[row.setting],
        )
        for row in rows
    )


def _last(matrices: Matrices, protocol: str) -> float | None:
    """Return the mean accuracy of a joint fit over the seeds."""
    rows = [values[~np.isnan(values)] for values in _values(matrices, protocol).values()]
    ends = [float(row[-1]) for row in rows if row.size]
    return float(np.mean(ends)) if ends else None


def _map(
    setting: ReplaySetting,
    matrices: dict[ReplaySetting, Matrices],
    protocol: str,
    *,
    shown: bool,
) -> AccuracyMap:
    every = list(matrices[setting].values())
    mean = np.mean(every, axis=0)  # (T, T), NaN where a seed has no accuracy
    so_far = np.mean([_so_far(each, protocol) for each in every], axis=0)  # (T,)
    learned = len(mean) - (protocol == "streaming")  # the last experience is only tested
    return AccuracyMap(
        setting.learned,
        tuple(map(tuple, mean[:learned].tolist())),
        tuple(so_far[:learned].tolist()),
        shown,
    )


def write_replay(path: str | Path, data: ReplayData) -> Path:
    """Write the page of a replay study, whole or not at all; `data` is from `replay_of`.

    Examples
    --------
    >>> data = ReplayData("digits", "random, 5 %: final accuracy 0.913", "", (), (), ())
    >>> "final accuracy 0.913" in write_replay(tmp / "report.html", data).read_text()
    True
    """
    check_type(data, ReplayData, "give the result of `replay_of`")
    return write_page(
        path, "replay.html.j2", data, data.result, data.comparison, failures=data.failures
    )
