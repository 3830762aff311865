"""The base classes of objectives, their registry and their parser."""

from __future__ import annotations

import math
import warnings
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
    "ObjectiveState",
    "StaticObjective",
    "objectives",
    "read_objective",
]

Float64s: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Objective(ABC):
    """A property that a batch should have; `combine` multiplies the values of several objectives.

    The fields of the dataclass are the options.

    Attributes
    ----------
    name
        The registered name.
    needs_labels
        Whether predictions, and so labels, are required.
    strength
        Exponent of the values.
    texts
        Texts whose vectors the pool must have.
    """

    name: ClassVar[str]
    needs_labels: ClassVar[bool] = False
    negative_strength: ClassVar[bool] = False

    strength: float = field(default=1.0, kw_only=True)

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts whose vectors the pool must have."""
        return ()

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
                "static objectives may have a negative strength."
            )

    @classmethod
    def from_spec(cls, term: Term) -> Objective:
        """Make the objective of a term; values without a name fill the fields in order."""
        own = [each.name for each in fields(cls) if each.name != "strength"]
        given: dict[str, Any] = dict(zip(own, map(_plain, term.arguments), strict=False))
        owner = f"objective {cls.name!r}"
        if len(term.arguments) > len(own):
            options = f"only {len(own)}: {', '.join(own)}" if own else "no options"
            count = len(term.arguments)
            raise UsageError(
                f"{owner} got {count} value{'' if count == 1 else 's'} in brackets, but has "
                f"{options}."
            )
        for name, value in term.options:
            if name in given:
                raise UsageError(f"{owner} has {name!r} twice: give it once.")
            if name == "strength":
                raise UsageError(
                    f"{owner} got strength={value!r}: write {cls.name}^{value} instead."
                )
            given[name] = value
        checked = checked_options(owner, cls, given)
        if term.strength is not None:
            checked["strength"] = term.strength
        check_complete(owner, cls, checked)
        return cls(**checked)

    def term(self) -> Term:
        """Return the term from which `from_spec` makes an equal objective."""
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

    For a negative strength −s, the factor of a value v is (0.001 / max(v, 0.001))^s.
    """

    negative_strength: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "worth" in vars(cls) and "factors" not in vars(cls):
            warnings.warn(
                f"`{cls.__name__}.worth` is now `factors`.", DeprecationWarning, stacklevel=2
            )
            cls.factors = vars(cls)["worth"]  # type: ignore[method-assign]

    @abstractmethod
    def measure(self, pool: Pool) -> Float64s:
        """Return the values that thresholds compare, for each unlabelled row: (u,) float64."""

    def factors(self, pool: Pool) -> Float64s:
        """Return the factors of the product, in [0, 1]: (u,) float64. Default: `measure`."""
        return self.measure(pool)


class ObjectiveState(ABC):
    """The state of a `ChangingObjective` during one selection."""

    @abstractmethod
    def values(self) -> Float64s:
        """Return the current factors, in [0, 1], for each unlabelled row: (u,) float64."""

    @abstractmethod
    def add(self, position: int) -> None:
        """Record the pick of the unlabelled row at `position`."""


@dataclass(frozen=True)
class ChangingObjective(Objective):
    """An objective whose values depend on earlier picks."""

    @abstractmethod
    def start(self, pool: Pool) -> ObjectiveState:
        """Return the state before the first pick."""


objectives: Registry[type[Objective]] = named_by(Registry("objective", "embedpipe.objectives"))
"""All objectives by name; ``@objectives.register("name")`` adds one."""


def _plain(argument: Any) -> Any:
    """Return the word or value of an argument without ``=``."""
    if isinstance(argument, Term) and argument == Term(argument.name):
        return argument.name
    if not isinstance(argument, (Term, Comparison)):
        return argument
    shown = format_term(Term("", arguments=(argument,)))[1:-1]
    raise UsageError(f"{shown!r} must be a name or a number.")


KEYS = ("objective", "strength", "options")


def read_objective(given: Any) -> Objective:
    """Return an objective, made from a spec string or a mapping if necessary.

    Parameters
    ----------
    given
        An objective; its spec string; or, from a YAML file, a mapping with the keys
        ``objective`` (the name), ``strength`` and ``options``.

    Raises
    ------
    UnknownNameError
        For an unknown name, option or key.
    UsageError
        If `given` is invalid in another way.

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
            f"{shown} is not an objective: give one of {', '.join(sorted(objectives))}, as in "
            "diversity^2 or threshold(margin >= 0.2)."
        )
    objective: Objective = build(objectives, given)
    return objective


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
            f"{dict(given)!r} is not an objective: give `objective: NAME` and, if needed, "
            "`strength: NUMBER` and `options:` with one `name: value` per line."
        )
    wrong = [key for key in options if isinstance(key, bool) or key is None]
    if wrong:
        raise UsageError(
            f"an option name of objective {name!r} is {wrong[0]!r}: put the name in quotes."
        )
    strength = given.get("strength")
    if strength is not None and (
        isinstance(strength, bool) or not isinstance(strength, (int, float))
    ):
        raise UsageError(f"the strength of {name} is {strength!r}: give a number.")
    pairs = tuple((str(key), value) for key, value in options.items())
    return Term(name, (), pairs, None if strength is None else float(strength))
