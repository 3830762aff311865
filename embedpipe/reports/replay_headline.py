"""The headline of a replay study: the best policy, and whether it is significantly better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..experiments.replay_results import ReplayRow, ReplaySummary

__all__ = ["ReplayMetric", "headline", "ranked", "verdict_of"]


@dataclass(frozen=True)
class ReplayMetric:
    """A metric of the page: its name, its meaning, and whether lower is better."""

    name: str
    meaning: str
    lower_is_better: bool = False


def ranked(
    summary: ReplaySummary, key: tuple[str, str], metric: ReplayMetric
) -> tuple[ReplayRow, ...]:
    """Return the rows of a stream and head: the methods, best first, then reference methods."""
    rows = [row for row in summary.rows if (row.setting.stream, row.setting.head) == key]
    methods = [row for row in rows if not row.setting.is_reference]
    sign = 1 if metric.lower_is_better else -1

    def place(row: ReplayRow) -> tuple[bool, float]:
        mean = row.metrics[metric.name].estimate
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return (*sorted(methods, key=place), *(row for row in rows if row.setting.is_reference))


def headline(
    groups: Sequence[tuple[ReplayRow, ...]], summary: ReplaySummary, metric: ReplayMetric
) -> tuple[str, str]:
    """Return the headline and the sentences below it, for the ranked rows of each group."""
    from ..experiments.formatting import format_detectable

    if not groups:
        return "No results", "No run is finished."
    if len(groups) > 1:
        return _headline_of_several(groups, summary, metric)
    best, *others = groups[0]
    if best.setting.is_reference:
        return _reached(best, metric), _references(others, metric)
    result, afterwards = _reached(best, metric), ""
    compared = [row.setting for row in groups[0] if not row.setting.is_reference]
    if len(compared) > 1:
        end = "lowest" if metric.lower_is_better else "highest"
        kind = "policies" if {each.method for each in compared} == {"replay"} else "methods"
        result += f", the {end} of {len(compared)} {kind} in this study"
        afterwards = "It was selected after the results were known, which favours it."
    sentences = (
        afterwards,
        _comparison(best, groups[0], summary, metric),
        format_detectable(row.comparisons[metric.name] for row in groups[0]),
        _references(others, metric),
    )
    return result, " ".join(filter(None, sentences))


def _headline_of_several(
    groups: Sequence[tuple[ReplayRow, ...]], summary: ReplaySummary, metric: ReplayMetric
) -> tuple[str, str]:
    firsts = [rows[0] for rows in groups]
    names = [row.setting.learned for row in firsts]
    best = max(dict.fromkeys(names), key=names.count)
    ahead = sum(verdict_of(row, metric) == "better" for row in firsts)
    ways = len({row.setting.learned for rows in groups for row in rows})
    return (
        f"{ways} methods in {len(groups)} settings",
        f"{best} is best most often, in {names.count(best)} of {len(names)} settings. It was "
        "selected after the results were known, which favours it. The best method is "
        f"significantly better than {summary.baseline} in {ahead} of {len(names)} settings.",
    )


def _reached(row: ReplayRow, metric: ReplayMetric) -> str:
    mean = row.metrics[metric.name].estimate
    phrase = metric.meaning.partition(":")[0]
    if math.isnan(mean):
        return f"{row.setting.learned}: {phrase} is not defined"
    return f"{row.setting.learned}: {phrase} {mean:.3f}"


def _comparison(
    best: ReplayRow,
    rows: Sequence[ReplayRow],
    summary: ReplaySummary,
    metric: ReplayMetric,
) -> str:
    """Compare the best policy with the baseline, or the baseline with the next best policy."""
    if math.isnan(best.metrics[metric.name].estimate):
        return ""
    if best.setting.is_baseline(summary.baseline):
        rivals = [
            row
            for row in rows
            if not (row.setting.is_reference or row.setting.is_baseline(summary.baseline))
            and row.setting.retain in ("", best.setting.retain)
        ]
        if not rivals:
            return ""
        second, only = rivals[0], all(row.setting.method == "replay" for row in rivals)
        kind, end = ("policy", "") if only else ("method", " or without a buffer")
        name = second.setting.policy if only else second.setting.learned
        return (
            f"No other {kind} has a better mean with the same buffer size{end}. The second is "
            f"{name} with {second.metrics[metric.name].estimate:.3f}; {_outcome(second, metric)}."
        )
    other = next((row for row in rows if row.setting == best.against), None)
    if other is None:
        return ""
    name = summary.baseline[:1].upper() + summary.baseline[1:]
    reached = f"{other.metrics[metric.name].estimate:.3f}"
    same = "with the same buffer size"
    size = same if best.setting.retain else f"({other.setting.learned.rpartition(', ')[2]})"
    return f"{name} {size} reaches {reached}; {_outcome(best, metric)}."


def _outcome(row: ReplayRow, metric: ReplayMetric) -> str:
    from ..experiments.formatting import format_outcome

    found = row.comparisons[metric.name]
    if found is None:
        return "the difference was not tested: no common seeds"
    return format_outcome(found)


def _references(rows: Sequence[ReplayRow], metric: ReplayMetric) -> str:
    """Return the means of the reference methods as a sentence."""
    means = {
        row.setting.method: row.metrics[metric.name].estimate
        for row in rows
        if row.setting.is_reference
    }
    words = {
        "naive": "naive (no buffer)",
        "cumulative": "cumulative (all data so far)",
        "joint": "joint (all data at once)",
    }
    reached = [f"{words[name]} {mean:.3f}" for name, mean in means.items() if not math.isnan(mean)]
    return f"Reference methods: {', '.join(reached)}." if reached else ""


def verdict_of(row: ReplayRow, metric: ReplayMetric) -> str:
    """Return the verdict of a comparison; empty without a comparison."""
    found = row.comparisons[metric.name]
    if found is None or math.isnan(found.difference):
        return ""
    if found.reason is not None:
        return "not tested"
    if not found.significant():
        return "no difference shown"
    return "better" if (found.difference > 0) != metric.lower_is_better else "worse"
