"""The options of an experiment, checked, and what its grid combines: strategies, heads, seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._options import ExperimentFields
from ..active.modes import get_mode
from ..errors import UsageError
from ..heads import get_head
from ..index import check_kind
from ..strategies import Strategy, get_strategy

__all__ = [
    "FLOOR",
    "Axes",
    "Choice",
    "ExperimentOptions",
    "check_name",
    "check_seeds",
    "initial_for",
    "several",
    "strategy_choice",
]

SAME = "same"
"""In place of an initial strategy: the strategy itself, if it needs no labels."""

FIRST = "typiclust"
"""The initial strategy for `SAME` where the strategy needs labels."""

FLOOR = "random"
"""The lower baseline, which is in every grid."""


@dataclass(frozen=True)
class Choice:
    """A strategy or a head of a grid: its name there, and the object itself."""

    name: str
    made: Any


@dataclass(frozen=True)
class Axes:
    """What a grid combines, beside the datasets."""

    pairs: Sequence[tuple[Choice, Choice]]
    """The strategies of the first batch and of the others."""
    heads: Sequence[Choice]
    modes: Sequence[str]
    seeds: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions(ExperimentFields):
    """The options of an `Experiment`, where they are described; wrong ones are refused at once."""

    def __post_init__(self) -> None:
        check_name(self.name)
        for option, least in (("initial_size", 1), ("batch_size", 1), ("rounds", 0), ("skip", 0)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{option} is {value!r}: give a whole number, at least {least}.")
        check_kind(self.index)
        _ = self._axes  # which are checked too

    @cached_property
    def _axes(self) -> Axes:
        heads = _choices(self.heads, "heads", _head_choice)
        for mode in several(self.modes, "modes"):
            for head in heads:
                get_mode(mode).check(mode, head.made)
        strategies = _choices(self.strategies, "strategies", strategy_choice)
        initials = [_initial_choice(each) for each in several(self.initials, "initials")]
        return Axes(
            pairs=pairs_of(strategies, initials, strategy_choice(self.baseline)),
            heads=heads,
            modes=list(dict.fromkeys(self.modes)),
            seeds=check_seeds(self.seeds),
        )


def pairs_of(
    strategies: Sequence[Choice], initials: Sequence[Choice | None], baseline: Choice
) -> list[tuple[Choice, Choice]]:
    """Return the strategies of the first batch and of the others, the baselines among them."""
    floor = strategy_choice(FLOOR)
    known = {choice.name: choice for choice in (*strategies, baseline)}
    pairs = [(initial_for(i, s), s) for i in initials for s in known.values()]
    found = {(first.name, then.name): (first, then) for first, then in (*pairs, (floor, floor))}
    return list(found.values())


def strategy_choice(given: str | Strategy) -> Choice:
    """Return a strategy under its spec string."""
    made = get_strategy(given) if isinstance(given, str) else given
    return Choice(str(made), made)


def initial_for(initial: Choice | None, strategy: Choice) -> Choice:
    """Return what chooses the first batch before `strategy`; None stands for `SAME`."""
    if initial is not None:
        return initial
    return strategy_choice(FIRST) if strategy.made.needs_labels else strategy


def _initial_choice(given: str | Strategy) -> Choice | None:
    """Return an initial strategy, or None for `SAME`; one that needs labels is refused."""
    if given == SAME:
        return None
    choice = strategy_choice(given)
    if choice.made.needs_labels:
        raise UsageError(
            f"{choice.name!r} cannot choose the first batch: it needs labels. Use one that needs "
            f"none, such as {FIRST!r}, or {SAME!r}."
        )
    return choice


def _head_choice(given: Any) -> Choice:
    """Return a head under its spec string, or on one line as it is written in Python."""
    if isinstance(given, str):
        return Choice(given, get_head(given))
    return Choice(" ".join(repr(given).split()), given)


def _choices(given: Sequence[Any], what: str, make: Callable[[Any], Choice]) -> list[Choice]:
    """Return a choice for each of several, once; two that differ must not share a name."""
    found: dict[str, Choice] = {}
    for each in several(given, what):
        choice = make(each)
        before = found.setdefault(choice.name, choice)
        if before is not choice and not (isinstance(each, str) and each in given):
            raise UsageError(
                f"two of the {what} are both called {choice.name!r}: their options cannot be told "
                "apart by name; register them under names of their own."
            )
    return list(found.values())


def several(given: Sequence[Any], what: str) -> Sequence[Any]:
    """Return a list, unless it is empty or a single one was given in its place."""
    if isinstance(given, (str, Strategy)) or not given:
        raise UsageError(f"{what} is {given!r}: give a list with at least one.")
    return given


def check_seeds(given: int | Sequence[int]) -> list[int]:
    """Return the seeds: a number of them from 0 on, or those given."""
    seeds = list(range(given)) if isinstance(given, int) else list(dict.fromkeys(given))
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in seeds):
        raise UsageError(
            f"seeds is {given!r}: give how many, at least 1, or a list of whole numbers from 0 on."
        )
    return seeds


def check_name(name: str | None) -> None:
    """Refuse a name that is not the name of a single folder."""
    if name is None:
        return
    outside = not isinstance(name, str) or not name.strip() or name in (".", "..")
    if outside or any(sign in name for sign in "/\\\0"):
        raise UsageError(f"name is {name!r}: give the name of a folder, without a path.")
