"""The headline of a comparison: which strategies differ from the baseline, and for which data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .formatting import format_detectable
from .statistics import LEAST_RUNS

if TYPE_CHECKING:
    from .summary import Group, Row

__all__ = ["headline"]

MOST_NAMES = 5
"""Maximum number of names that a sentence lists in full."""

NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def headline(groups: Sequence[Group]) -> tuple[str, str]:
    """Return the headline of a summary with these groups, and the sentences below it."""
    if not groups:
        return "No accuracy to compare", "There are no labelled test images."
    if len(groups) > 1:
        return _of_several(groups)
    group = groups[0]
    compared = [row for row in group.rows if row.comparison is not None]
    if not compared:
        best = group.rows[0]
        return f"{_name(best)}: {_area(best)} mean accuracy {_over(group)}", ""
    return _result(group, compared), " ".join(filter(None, _sentences(group, compared)))


def _result(group: Group, compared: Sequence[Row]) -> str:
    """Return which strategies are above and below the baseline."""
    base, seeds = _baseline(compared), _seeds(group)
    above, below = _with(compared, "above"), _with(compared, "below")
    if not any(row.comparison is not None and row.comparison.reason is None for row in compared):
        return f"No comparison with {base} was possible with {seeds}"
    if above:
        result = f"{_are(above)} above {base}{_among(above, group)}"
        return f"{result}; {_are(below)} below it" if below else result
    if below:
        return f"{_are(below)} below {base}; no strategy is above it"
    if len(compared) == 1:
        return f"{_name(compared[0])} cannot be told apart from {base} with {seeds}"
    return f"No strategy can be told apart from {base} with {seeds}"


def _among(above: Sequence[Row], group: Group) -> str:
    """Return how the best of the strategies above the baseline compares with the others."""
    best, *others = above
    if not others:
        return ""
    worse = [row for row in others if group.pairs[best.setting, row.setting].significant()]
    equal = [row for row in others if row not in worse]
    if not equal:
        rest = _name(others[0]) if len(others) == 1 else "the others"
        return f"; {_name(best)} is above {rest}"
    if any(each.significant() for each in group.pairs.values()):
        return f"; {_name(best)} cannot be told apart from {_listed(map(_name, equal), 'or')}"
    return f"; the {NUMBERS.get(len(above), len(above))} cannot be told apart"


def _sentences(group: Group, compared: Sequence[Row]) -> list[str]:
    above, below = _with(compared, "above"), _with(compared, "below")
    bases = {row.against for row in compared}
    shown = ([*above, *below] or [*compared])[:3]
    shown += [row for row in group.rows if row.setting in bases and row.comparison is None][:1]
    areas = ", ".join(f"{_name(row)} {_area(row)}" for row in shown)
    return [
        f"Mean accuracy {_over(group)}: {areas}.",
        _images(group, [*above, *below]),
        format_detectable(row.comparison for row in compared),
        _untested(compared),
    ]


def _images(group: Group, different: Sequence[Row]) -> str:
    """Return whether the differences also hold for other test images."""
    if not different:
        return ""
    if group.untested is not None:
        return f"Other test images: not known, because {group.untested}."
    alone = [row for row in different if not _holds_over_both(row)]
    if not alone:
        return f"This also holds for other {group.draws} with other test images."
    names = _listed(map(_name, alone), "and")
    return (
        f"For {names}, this holds for other {group.draws} with the same {group.tested:,} test "
        "images. With other test images, it could be chance."
    )


def _holds_over_both(row: Row) -> bool:
    """Whether the interval over seeds and test images does not contain 0."""
    if row.comparison_crossed is None:
        return False
    both = row.comparison_crossed.over_both
    return both.low > 0 or both.high < 0


def _untested(compared: Sequence[Row]) -> str:
    reasons: dict[str, list[str]] = {}
    for row in compared:
        if row.comparison is not None and row.comparison.reason is not None:
            reasons.setdefault(row.comparison.reason, []).append(_name(row))
    parts = [f"{_listed(names, 'and')} ({reason})" for reason, names in reasons.items()]
    if not parts:
        return ""
    needed = f"A test needs {LEAST_RUNS} distinct runs of a strategy and of its baseline."
    return f"Not tested: {'; '.join(parts)}. {needed}"


def _of_several(groups: Sequence[Group]) -> tuple[str, str]:
    every = [row for group in groups for row in group.rows]
    rows = [row for row in every if row.comparison is not None]
    names = dict.fromkeys(map(_name, rows))
    counts = {
        name: [
            sum(_name(row) == name and row.verdict == verdict for row in rows)
            for verdict in ("above", "below")
        ]
        for name in names
    }
    settings = len(groups)
    result = f"{len(set(map(_name, every)))} strategies in {settings} settings"
    different = {name: each for name, each in counts.items() if any(each)}
    if not different:
        return f"{result}: none can be told apart from the baseline", ""
    order = sorted(different, key=lambda name: (-different[name][0], different[name][1]))
    parts = [f"{name} above in {counts[name][0]}, below in {counts[name][1]}" for name in order]
    return result, (
        f"Significantly different from the baseline, of {settings} settings: {'; '.join(parts)}."
    )


# Words


def _name(row: Row) -> str:
    return row.setting.chosen_by


def _area(row: Row) -> str:
    return f"{row.aubc.estimate:.3f}"


def _with(rows: Sequence[Row], verdict: str) -> list[Row]:
    return [row for row in rows if row.verdict == verdict]


def _are(rows: Sequence[Row]) -> str:
    return f"{_listed(map(_name, rows), 'and')} {'is' if len(rows) == 1 else 'are'}"


def _listed(names: Iterable[str], word: str) -> str:
    """Return names as a list: "a, b and c"; of more than five names, the first three."""
    every = list(names)
    if len(every) > MOST_NAMES:
        every = [*every[:3], f"{len(every) - 3} others"]
    *first, last = every
    return f"{', '.join(first)} {word} {last}" if first else str(last)


def _baseline(compared: Sequence[Row]) -> str:
    names = {row.against.chosen_by for row in compared if row.against is not None}
    return names.pop() if len(names) == 1 else "the baseline"


def _seeds(group: Group) -> str:
    count = max(row.seeds for row in group.rows)
    return f"these {count} {group.draws}" if count > 1 else f"one {group.draws.removesuffix('s')}"


def _over(group: Group) -> str:
    budgets = group.curves[group.rows[0].setting].budgets
    return f"over {budgets[0]:,.0f} to {budgets[-1]:,.0f} labels"
