"""The headline of a replay study: which policy is best, and whether that is more than chance."""

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
    """A number that the page tells: its name, what it means, and whether less of it is better."""

    name: str
    meaning: str
    lower_is_better: bool = False


def ranked(
    summary: ReplaySummary, key: tuple[str, str], metric: ReplayMetric
) -> tuple[ReplayRow, ...]:
    """Return the rows of a stream and head: the best policy first, then the bounds."""
    rows = [row for row in summary.rows if (row.setting.stream, row.setting.head) == key]
    policies = [row for row in rows if row.setting.policy]
    sign = 1 if metric.lower_is_better else -1

    def place(row: ReplayRow) -> tuple[bool, float]:
        mean = row.metrics[metric.name].estimate
        return math.isnan(mean), 0.0 if math.isnan(mean) else sign * mean

    return (*sorted(policies, key=place), *(row for row in rows if not row.setting.policy))


def headline(
    groups: Sequence[tuple[ReplayRow, ...]], summary: ReplaySummary, metric: ReplayMetric
) -> tuple[str, str]:
    """Return the headline and the sentences below it, for the ranked rows of each group."""
    if not groups:
        return "Nothing was learned", "No run is finished."
    if len(groups) > 1:
        return _headline_of_several(groups, summary, metric)
    best, *others = groups[0]
    if not best.setting.policy:
        return _reached(best, metric), _bounds(others, metric)
    result, afterwards = _reached(best, metric), ""
    policies = sum(bool(row.setting.policy) for row in groups[0])
    if policies > 1:
        end = "lowest" if metric.lower_is_better else "highest"
        result += f", the {end} of {policies} in this study"
        afterwards = "It was chosen after the fact."
    sentences = (afterwards, _lead(best, groups[0], summary, metric), _bounds(others, metric))
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
        f"{ways} ways to learn in {len(groups)} settings",
        f"The best most often, chosen after the fact: {best}, in {names.count(best)} of "
        f"{len(names)}. The best is ahead of {summary.baseline} by more than chance in {ahead} of "
        f"{len(names)}.",
    )


def _reached(row: ReplayRow, metric: ReplayMetric) -> str:
    mean = row.metrics[metric.name].estimate
    phrase = metric.meaning.partition(":")[0]
    if math.isnan(mean):
        return f"{row.setting.learned}: {phrase} is not defined"
    joint = " " if phrase.startswith("accuracy") else ", "
    return f"{row.setting.learned}: {mean:.3f}{joint}{phrase}"


def _lead(
    best: ReplayRow,
    rows: Sequence[ReplayRow],
    summary: ReplaySummary,
    metric: ReplayMetric,
) -> str:
    """Say how far the best policy is ahead of the baseline, or the baseline of the others."""
    if math.isnan(best.metrics[metric.name].estimate):
        return ""
    if best.setting.policy == summary.baseline:
        rivals = [
            row
            for row in rows
            if row.setting.policy not in ("", summary.baseline)
            and row.setting.retain == best.setting.retain
        ]
        if not rivals:
            return ""
        near = rivals[0]
        told = f"{near.metrics[metric.name].estimate:.3f}"
        return (
            f"No other policy has a better mean with as large a buffer; the nearest is "
            f"{near.setting.policy} with {told}, and {_outcome(near, metric)}."
        )
    other = next((row for row in rows if row.setting == best.against), None)
    if other is None:
        return ""
    name = summary.baseline[:1].upper() + summary.baseline[1:]
    told = f"{other.metrics[metric.name].estimate:.3f}"
    return f"{name} with as large a buffer reaches {told}; {_outcome(best, metric)}."


def _outcome(row: ReplayRow, metric: ReplayMetric) -> str:
    from ..experiments.formatting import format_outcome

    found = row.comparisons[metric.name]
    if found is None:
        return "the difference was not tested: no common seeds"
    return format_outcome(found)


def _bounds(rows: Sequence[ReplayRow], metric: ReplayMetric) -> str:
    """Say what the bounds reach."""
    means = {
        row.setting.method: row.metrics[metric.name].estimate
        for row in rows
        if not row.setting.policy
    }
    words = {
        "naive": "without a buffer it is",
        "cumulative": "a fresh head from all so far has",
        "joint": "learning all at once gives",
    }
    told = [f"{words[method]} {mean:.3f}" for method, mean in means.items() if not math.isnan(mean)]
    sentence = ", ".join(told)
    return f"{sentence[:1].upper()}{sentence[1:]}." if told else ""


def verdict_of(row: ReplayRow, metric: ReplayMetric) -> str:
    """Return what a comparison comes to in words; empty if there is none."""
    found = row.comparisons[metric.name]
    if found is None or math.isnan(found.difference):
        return ""
    if found.reason is not None:
        return "not tested"
    if not found.significant():
        return "no difference shown"
    return "better" if (found.difference > 0) != metric.lower_is_better else "worse"
