"""The base classes of objectives, their registry, and how they are read."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..._registry import Registry
from ..._specs import (
    Comparison,
    Term,
    build,
    check_complete,
    checked_options,
    format_term,
    named_by,
    parse_spec,
)
from ...errors import UnknownNameError, UsageError
from ..pool import Pool

__all__ = [
    "ChangingObjective",
    "Float64s",
    "Objective",
    "Standing",
    "StaticObjective",
    "objectives",
    "read_objective",
]

Float64s: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Objective(ABC):
    """Something that a batch should have; `combine` multiplies several.

    A new one is a frozen dataclass under ``@objectives.register(name)`` that derives from
    `StaticObjective` or `ChangingObjective`; its fields are its options.

    Attributes
    ----------
    name
        The name that it is registered under.
    needs_labels
        Whether it asks for predictions, hence for labels.
    strength
        The power that its values are raised to.
    """

    name: ClassVar[str]
    needs_labels: ClassVar[bool] = False
    negative_strength: ClassVar[bool] = False

    strength: float = field(default=1.0, kw_only=True)

    def __post_init__(self) -> None:
        number = isinstance(self.strength, (int, float)) and not isinstance(self.strength, bool)
        if not number or not math.isfinite(self.strength) or not self.strength:
            raise UsageError(
                f"the strength of {self.name} is {self.strength!r}: give a number other than 0, "
                "or leave the objective out."
            )
        if self.strength < 0 and not self.negative_strength:
            raise UsageError(
                f"the strength of {self.name} is {self.strength:g}: it must be above 0; only "
                "objectives that are fixed at the start can be turned round."
            )

    @classmethod
    def from_spec(cls, term: Term) -> Objective:
        """Make the objective that a term describes; its values in brackets fill fields in order."""
        own = [each.name for each in fields(cls) if each.name != "strength"]
        given: dict[str, Any] = dict(zip(own, map(_plain, term.arguments), strict=False))
        what = f"objective {cls.name!r}"
        if len(term.arguments) > len(own):
            meant = f"only {len(own)}: {', '.join(own)}" if own else "no options"
            count = len(term.arguments)
            raise UsageError(
                f"{what} is given {count} value{'' if count == 1 else 's'} in brackets, but has "
                f"{meant}."
            )
        for name, value in term.options:
            if name in given:
                raise UsageError(f"{what} is given {name!r} twice: give it once.")
            if name == "strength":
                raise UsageError(
                    f"{what} is given strength={value!r}: write {cls.name}^{value} instead."
                )
            given[name] = value
        checked = checked_options(what, cls, given)
        if term.strength is not None:
            checked["strength"] = term.strength
        check_complete(what, cls, checked)
        return cls(**checked)

    def term(self) -> Term:
        """Return what `from_spec` makes an equal objective from."""
        options = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if each.name != "strength"
            and (each.default is MISSING or getattr(self, each.name) != each.default)
        }
        strength = None if self.strength == 1 else float(self.strength)
        return Term(self.name, options=tuple(options.items()), strength=strength)

    def to_spec(self) -> str:
        """Return the spec string."""
        return format_term(self.term())

    @property
    def label(self) -> str:
        """The spec string without the strength."""
        return format_term(replace(self.term(), strength=None))


@dataclass(frozen=True)
class StaticObjective(Objective):
    """An objective whose values are fixed when a selection starts.

    A negative strength turns it round: values v become 0.001 / max(v, 0.001) before they are
    raised to the strength without its sign.
    """

    negative_strength: ClassVar[bool] = True

    @abstractmethod
    def measure(self, pool: Pool) -> Float64s:
        """Return what thresholds are compared with, for each unlabelled row: (u,) float64."""

    def worth(self, pool: Pool) -> Float64s:
        """Return what is multiplied, in [0, 1]: (u,) float64. By default the same."""
        return self.measure(pool)


class Standing(ABC):
    """Where a `ChangingObjective` stands in the course of one selection."""

    @abstractmethod
    def values(self) -> Float64s:
        """Return what is multiplied now, in [0, 1], for each unlabelled row: (u,) float64."""

    @abstractmethod
    def add(self, position: int) -> None:
        """Take note that the unlabelled row at `position` was picked."""


@dataclass(frozen=True)
class ChangingObjective(Objective):
    """An objective whose values depend on what was picked before."""

    @abstractmethod
    def start(self, pool: Pool) -> Standing:
        """Return where it stands before the first pick."""


objectives: Registry[type[Objective]] = named_by(Registry("objective", "embedpipe.objectives"))
"""Every objective by name; ``@objectives.register("name")`` adds one."""


def _plain(argument: Any) -> Any:
    """Return the word or value that stands in brackets without ``=``."""
    if isinstance(argument, Term) and argument == Term(argument.name):
        return argument.name
    if not isinstance(argument, (Term, Comparison)):
        return argument
    shown = format_term(Term("", arguments=(argument,)))[1:-1]
    raise UsageError(f"{shown!r} stands where a name or a number should.")


KEYS = ("objective", "strength", "options")


def read_objective(given: Any) -> Objective:
    """Return the objective that is given.

    Parameters
    ----------
    given
        An objective; its spec string; or, from a YAML file, a mapping with the keys
        ``objective`` (the name), ``strength`` and ``options``.

    Raises
    ------
    UnknownNameError
        For a name, an option or a key that there is not.
    UsageError
        If it cannot be read otherwise.

    Examples
    --------
    >>> from embedpipe.strategies.objectives import Diversity
    >>> read_objective("diversity(min_distance=0.1)^2") == Diversity(0.1, strength=2)
    True
    >>> given = {"objective": "diversity", "options": {"min_distance": 0.1}}
    >>> read_objective(given) == Diversity(0.1)
    True
    """
    if isinstance(given, Objective):
        return given
    if isinstance(given, str):
        given = parse_spec(given, "objective", objectives)
    if isinstance(given, Mapping):
        given = _term_of_mapping(given)
    if not isinstance(given, Term):
        shown = given if isinstance(given, (int, float)) else _shown(given)
        raise UsageError(
            f"{shown} is no objective: give one of {', '.join(sorted(objectives))}, as in "
            "diversity^2 or threshold(margin >= 0.2)."
        )
    made: Objective = build(objectives, given)
    return made


def _shown(given: Any) -> str:
    try:
        return repr(format_term(Term("", arguments=(given,)))[1:-1])
    except (TypeError, AttributeError):
        return repr(given)


def _term_of_mapping(given: Mapping[Any, Any]) -> Term:
    for key in given:
        if key not in KEYS:
            raise UnknownNameError("key of an objective", str(key), KEYS)
    name, options = given.get("objective"), given.get("options") or {}
    if not isinstance(name, str) or not isinstance(options, Mapping):
        raise UsageError(
            f"{dict(given)!r} is no objective: give `objective: NAME` and, if needed, "
            "`strength: NUMBER` and `options:` with one `name: value` a line."
        )
    wrong = [key for key in options if isinstance(key, bool) or key is None]
    if wrong:
        raise UsageError(
            f"an option of objective {name!r} reads as {wrong[0]!r}: put its name in quotes."
        )
    strength = given.get("strength")
    if strength is not None and (
        isinstance(strength, bool) or not isinstance(strength, (int, float))
    ):
        raise UsageError(f"the strength of {name} is {strength!r}: give a number.")
    pairs = tuple((str(key), value) for key, value in options.items())
    return Term(name, (), pairs, None if strength is None else float(strength))
