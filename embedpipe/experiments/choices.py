"""What a grid chooses from, by name: strategies, initial selections, heads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from ..heads import get_head
from ..strategies import Strategy, get_strategy

__all__ = [
    "FIRST",
    "FLOOR",
    "SAME",
    "Choice",
    "check_seeds",
    "choices",
    "head_choice",
    "initial_for",
    "several",
]

SAME = "same"
"""In place of an initial strategy: the strategy itself, if it needs no labels."""

FIRST = "typiclust"
"""What `SAME` stands for where the strategy needs labels."""

FLOOR = "random"
"""What every strategy must beat; it is in every grid."""


@dataclass(frozen=True)
class Choice:
    """Something that a grid can take: its name there, and the thing itself."""

    name: str
    made: Any


def choices(given: Sequence[Any], what: str, make: Any) -> list[Choice]:
    """Return what `make` makes of each of several, under names that differ.

    Parameters
    ----------
    given
        Names or instances; what is named twice is taken once.
    what
        What they are, for messages: ``"strategies"``.
    make
        From one of them to a `Choice`.

    Raises
    ------
    UsageError
        If there are none, a single name was given where several belong, or two different ones
        have the same name.

    Examples
    --------
    >>> [choice.name for choice in choices(["margin", "coral( )"], "strategies", strategy_choice)]
    ['margin', 'coral']
    """
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


def strategy_choice(given: str | Strategy) -> Choice:
    """Return a strategy under the line that spells it out."""
    made = get_strategy(given) if isinstance(given, str) else given
    return Choice(str(made), made)


def head_choice(given: Any) -> Choice:
    """Return a head under the line that spells it out."""
    made = get_head(given) if isinstance(given, str) else given
    return Choice(given if isinstance(given, str) else _written(given), made)


def initial_choice(given: str | Strategy) -> Choice | None:
    """Return an initial strategy, or None for the one that `SAME` stands for.

    Raises
    ------
    UsageError
        If it needs labels.
    """
    if given == SAME:
        return None
    choice = strategy_choice(given)
    if choice.made.needs_labels:
        raise UsageError(
            f"{choice.name!r} cannot choose the first batch: it needs labels. Use one that needs "
            f"none, such as {FIRST!r}, or {SAME!r}."
        )
    return choice


def initial_for(initial: Choice | None, strategy: Choice) -> Choice:
    """Return what chooses the first batch before `strategy`.

    Examples
    --------
    >>> [initial_for(None, strategy_choice(name)).name for name in ("coreset", "margin")]
    ['coreset', 'typiclust']
    """
    if initial is not None:
        return initial
    return strategy_choice(FIRST) if strategy.made.needs_labels else strategy


def _written(head: Any) -> str:
    return " ".join(repr(head).split())


def several(given: Sequence[Any], what: str) -> Sequence[Any]:
    """Return a list that must not be empty.

    Raises
    ------
    UsageError
        If it is, or if a single one was given in its place.
    """
    if isinstance(given, (str, Strategy)) or not given:
        raise UsageError(f"{what} is {given!r}: give a list with at least one.")
    return given


def check_seeds(given: int | Sequence[int]) -> list[int]:
    """Return the seeds: so many from 0 on, or those given.

    Raises
    ------
    UsageError
        If there are none, or one is no whole number from 0 on.
    """
    seeds = list(range(given)) if isinstance(given, int) else list(dict.fromkeys(given))
    if not seeds or any(isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in seeds):
        raise UsageError(
            f"seeds is {given!r}: give how many, at least 1, or a list of whole numbers from 0 on."
        )
    return seeds
