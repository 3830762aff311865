"""The checked options of an experiment and the axes of its grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .._options import ExperimentFields, check_pool_share
from ..active.ceiling import CEILING
from ..active.modes import get_mode
from ..active.target import check_loop_target
from ..active.words import texts_of
from ..errors import UsageError
from ..heads import get_head
from ..index import check_kind
from ..strategies import Strategy, get_strategy

__all__ = [
    "LOWER_BASELINE",
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
"""Value of `initials` for the strategy of the later batches, if it needs no labels."""

FIRST = "typiclust"
"""Initial strategy for `SAME` if the strategy of the later batches needs labels."""

FIRST_FOR_TARGET = "max_herding"
"""As `FIRST`, for a grid with a target."""

LOWER_BASELINE = "random"
"""Strategy of the lower baseline, which is in every grid."""


@dataclass(frozen=True)
class Choice:
    """A strategy or a head of a grid: its name and the object."""

    name: str
    value: Any


@dataclass(frozen=True)
class Axes:
    """The values that a grid combines, in addition to the datasets."""

    pairs: Sequence[tuple[Choice, Choice]]
    """Pairs of the strategy of the first batch and the strategy of the later batches."""
    heads: Sequence[Choice]
    modes: Sequence[str]
    seeds: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions(ExperimentFields):
    """The checked options of an `Experiment`."""

    def __post_init__(self) -> None:
        check_name(self.name)
        for option, least in (("initial_size", 1), ("batch_size", 1), ("rounds", 0), ("skip", 0)):
            value = getattr(self, option)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise UsageError(f"{option} is {value!r}: give a whole number, at least {least}.")
        check_kind(self.index)
        check_pool_share(self.pool_share)
        axes = self._axes  # raises if an option is invalid
        if self.target is not None and self.oracle_ceiling:
            raise UsageError(
                "the oracle ceiling compares batches on the pool, which a target replaces: give "
                "oracle_ceiling or target, not both."
            )
        if self.target is not None:
            check_loop_target(*(each.value for pair in axes.pairs for each in pair))

    @property
    def texts(self) -> list[str]:
        """The texts whose vectors the strategies need."""
        return texts_of(*(each.value for pair in self._axes.pairs for each in pair))

    @property
    def _first(self) -> str:
        """The initial strategy for `SAME` if the strategy of the later batches needs labels."""
        return FIRST if self.target is None else FIRST_FOR_TARGET

    @cached_property
    def _axes(self) -> Axes:
        heads = _choices(self.heads, "heads", _head_choice)
        for mode in several(self.modes, "modes"):
            for head in heads:
                get_mode(mode).check(mode, head.value)
        strategies = _choices(self.strategies, "strategies", strategy_choice)
        initials = [_initial_choice(each) for each in several(self.initials, "initials")]
        return Axes(
            pairs=pairs_of(strategies, initials, strategy_choice(self.baseline), self._first),
            heads=heads,
            modes=list(dict.fromkeys(self.modes)),
            seeds=check_seeds(self.seeds),
        )


def pairs_of(
    strategies: Sequence[Choice],
    initials: Sequence[Choice | None],
    baseline: Choice,
    without_labels: str = FIRST,
) -> list[tuple[Choice, Choice]]:
    """Return pairs of initial and later strategies, including the baselines."""
    lower = strategy_choice(LOWER_BASELINE)
    known = {choice.name: choice for choice in (*strategies, baseline)}
    pairs = [(initial_for(i, s, without_labels), s) for i in initials for s in known.values()]
    found = {(first.name, then.name): (first, then) for first, then in (*pairs, (lower, lower))}
    return list(found.values())


def strategy_choice(given: str | Strategy) -> Choice:
    """Return the choice of a strategy; its name is its spec string."""
    strategy = get_strategy(given) if isinstance(given, str) else given
    if str(strategy) == CEILING:
        raise UsageError(f"no strategy can have the name {CEILING!r}: give it another name.")
    return Choice(str(strategy), strategy)


def initial_for(initial: Choice | None, strategy: Choice, without_labels: str = FIRST) -> Choice:
    """Return the initial strategy before `strategy`; None means `SAME`.

    `without_labels` is used for `SAME` if `strategy` needs labels.
    """
    if initial is not None:
        return initial
    return strategy_choice(without_labels) if strategy.value.needs_labels else strategy


def _initial_choice(given: str | Strategy) -> Choice | None:
    """Return the choice of an initial strategy, or None for `SAME`; it must not need labels."""
    if given == SAME:
        return None
    choice = strategy_choice(given)
    if choice.value.needs_labels:
        raise UsageError(
            f"{choice.name!r} cannot choose the first batch: it needs labels. Use a strategy that "
            f"needs no labels, such as {FIRST!r}, or {SAME!r}."
        )
    return choice


def _head_choice(given: Any) -> Choice:
    """Return the choice of a head; its name is its spec string, or its ``repr`` on one line."""
    if isinstance(given, str):
        return Choice(given, get_head(given))
    return Choice(" ".join(repr(given).split()), given)


def _choices(given: Sequence[Any], what: str, make: Callable[[Any], Choice]) -> list[Choice]:
    """Return distinct choices; raise an error if two different choices have the same name."""
    found: dict[str, Choice] = {}
    for each in several(given, what):
        choice = make(each)
        before = found.setdefault(choice.name, choice)
        if before is not choice and not (isinstance(each, str) and each in given):
            raise UsageError(
                f"two of the {what} have the name {choice.name!r}: register them under different "
                "names."
            )
    return list(found.values())


def several(given: Sequence[Any], what: str) -> Sequence[Any]:
    """Return `given`; raise an error if it is a single value or an empty list."""
    if isinstance(given, (str, Strategy)) or not given:
        raise UsageError(f"{what} is {given!r}: give a list with at least one entry.")
    return given


def check_seeds(given: int | Sequence[int]) -> list[int]:
    """Return a list of seeds, from a number of seeds or a list."""
    seeds = list(range(given)) if isinstance(given, int) else list(dict.fromkeys(given))
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in seeds):
        raise UsageError(
            f"seeds is {given!r}: give a number of seeds, at least 1, or a list of whole numbers, "
            "at least 0."
        )
    return seeds


def check_name(name: str | None) -> None:
    """Raise an error unless `name` is None or the name of a folder without a path."""
    if name is None:
        return
    outside = not isinstance(name, str) or not name.strip() or name in (".", "..")
    if outside or any(sign in name for sign in "/\\\0"):
        raise UsageError(f"name is {name!r}: give the name of a folder, without a path.")
