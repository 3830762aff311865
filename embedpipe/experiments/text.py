"""A summary as text for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .statistics import Comparison, Interval, LabelsToTarget, WinsTiesLosses

if TYPE_CHECKING:
    from .summary import Group, Row, Summary

__all__ = ["told", "told_comparison", "told_gap", "told_interval", "told_labels", "told_p"]

LEFT_OUT = "–"


def told(summary: Summary) -> str:
    """Return a table for each group, and for several datasets who beats whom how often."""
    parts = [_group(group, summary.share) for group in summary.groups]
    parts += [_matrix(key, each) for key, each in summary.matrices.items()]
    return "\n\n".join(parts)


def told_interval(interval: Interval, digits: int = 3) -> str:
    """Return a mean and its interval.

    >>> told_interval(Interval(0.7534, 0.7471, 0.7602, 5, 0.95, 0.9375))
    '0.753 [0.747, 0.760]'
    """
    if math.isnan(interval.estimate):
        return LEFT_OUT
    if math.isnan(interval.low):
        return f"{interval.estimate:.{digits}f}"
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def told_comparison(found: Comparison | None, digits: int = 3) -> str:
    """Return a difference and its interval, with signs."""
    if found is None or math.isnan(found.difference):
        return LEFT_OUT
    if math.isnan(found.low):
        return f"{found.difference:+.{digits}f}"
    return f"{found.difference:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def told_p(p: float | None) -> str:
    """Return a p-value.

    >>> told_p(0.00004), told_p(0.0312), told_p(0.51), told_p(None)
    ('<0.001', '0.031', '0.51', '–')
    """
    if p is None or math.isnan(p):
        return LEFT_OUT
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def told_gap(gap: float | None) -> str:
    """Return how much of the gap is closed, in percent.

    >>> told_gap(31.2), told_gap(-0.2), told_gap(None)
    ('31 %', '0 %', '–')
    """
    return LEFT_OUT if gap is None else f"{round(gap)} %"


def told_labels(labels: LabelsToTarget | None, last: float) -> str:
    """Return how many labels a target takes, and how many of the seeds got there.

    >>> told_labels(LabelsToTarget(162.5, 140.0, None, 4, 5), 300)
    '163 (4 of 5)'
    >>> told_labels(LabelsToTarget(None, None, None, 1, 5), 300)
    'over 300 (1 of 5)'
    """
    if labels is None:
        return LEFT_OUT
    if labels.median is None:
        found = f"over {last:,.0f}"
    else:
        found = f"{'at most ' if labels.at_most else ''}{math.ceil(labels.median):,}"
    return found if labels.n_reached == labels.n else f"{found} ({labels.n_reached} of {labels.n})"


def _group(group: Group, share: float | None) -> str:
    first = group.curves[group.rows[0].setting]
    budgets = first.budgets
    seeds = max(row.seeds for row in group.rows)
    lines = [f"{group.title}; {seeds} seeds, {budgets[0]:,.0f} to {budgets[-1]:,.0f} labels"]
    facts = []
    if group.bound is not None:
        facts.append(f"with all labels {group.bound:.3f}")
    if group.target is not None:
        of_it = "" if share is None else f" ({100 * share:g} % of it)"
        facts.append(f"target {group.target:.3f}{of_it}")
    if group.floor is not None:
        facts.append(f"floor (random) {group.floor:.3f}")
    lines.append(", ".join(facts))
    heads = ["strategy", "area [95 % interval]", f"at {group.budgets[-1]:,}"]
    heads += ["against the baseline", "p (Holm)", "gap closed", "labels to target"]
    table = [heads, *([*_row(row, group)] for row in group.rows)]
    return "\n".join([*lines, *_aligned(table)])


def _row(row: Row, group: Group) -> Sequence[str]:
    last = group.curves[row.setting].budgets[-1]
    final = row.at[group.budgets[-1]].estimate
    return (
        row.setting.chosen_by,
        told_interval(row.aubc),
        LEFT_OUT if math.isnan(final) else f"{final:.3f}",
        "baseline" if row.against is None else told_comparison(row.comparison),
        told_p(None if row.comparison is None else row.comparison.p_holm),
        told_gap(row.gap_closed),
        told_labels(row.labels, last),
    )


def _matrix(key: tuple[str, str], found: WinsTiesLosses) -> str:
    lines = [f"{key[0]}, {key[1]}: on how many datasets the row is significantly better"]
    heads = ["", *(str(number) for number in range(1, len(found.strategies) + 1)), "mean rank"]
    table = [heads]
    for at, name in enumerate(found.strategies):
        wins = [
            "·" if at == other else str(found.wins[at, other])
            for other in range(len(found.strategies))
        ]
        rank = found.ranks[at]
        table.append([f"{at + 1} {name}", *wins, LEFT_OUT if math.isnan(rank) else f"{rank:.1f}"])
    return "\n".join([*lines, *_aligned(table)])


def _aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Return lines with columns of one width: the first to the left, the others to the right."""
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
