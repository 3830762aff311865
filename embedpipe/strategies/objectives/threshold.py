"""Conditions that are applied before anything is multiplied."""

from __future__ import annotations

import operator as operators
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._specs import OPERATORS, Comparison, Term
from ...errors import UsageError
from ..pool import Pool
from .objective import Objective, StaticObjective, objectives
from .static import Metadata

__all__ = ["Threshold"]

COMPARE: dict[str, Callable[[Any, float], NDArray[np.bool_]]] = {
    ">=": operators.ge,
    "<=": operators.le,
    ">": operators.gt,
    "<": operators.lt,
}


@objectives.register("threshold")
@dataclass(frozen=True)
class Threshold(Objective):
    """Only items above or below a value: ``threshold(margin >= 0.2)``.

    Thresholds come first; what does not pass is not picked, whatever the objectives say.

    Parameters
    ----------
    measure
        An objective that is fixed at the start, or the name of metadata; spelled
        ``metadata(margin)`` where the metadata is called like an objective.
    operator
        ``">="``, ``"<="``, ``">"`` or ``"<"``.
    value
        What it is compared with: an objective in [0, 1], metadata as they are.
    strength
        A threshold has none: 1.

    Examples
    --------
    >>> pool = Pool(np.zeros((3, 1)), metadata={"sharpness": [1, 4, 2]})
    >>> sharp = Threshold("sharpness", ">=", 2)
    >>> sharp.passes(pool).tolist(), sharp.label
    ([False, True, True], 'threshold(metadata(sharpness) >= 2)')
    """

    name: ClassVar[str] = "threshold"

    measure: StaticObjective | str
    operator: str
    value: float

    def __post_init__(self) -> None:
        if self.strength != 1:
            raise UsageError(
                f"a threshold is given the strength {self.strength!r}: it has none, an item "
                "passes or it does not."
            )
        if self.operator not in OPERATORS:
            raise UsageError(
                f"the operator of a threshold is {self.operator!r}: use one of "
                f"{', '.join(OPERATORS)}."
            )
        if not isinstance(self.value, (int, float)) or not np.isfinite(self.value):
            raise UsageError(f"a threshold compares with {self.value!r}: give a number.")
        if not isinstance(self.measure, StaticObjective):
            object.__setattr__(self, "measure", _measure(Term(self.measure)))
        object.__setattr__(self, "needs_labels", self._measure.needs_labels)

    @property
    def _measure(self) -> StaticObjective:
        assert isinstance(self.measure, StaticObjective)
        return self.measure

    def passes(self, pool: Pool) -> NDArray[np.bool_]:
        """Return which unlabelled rows may be picked: (u,) bool."""
        return COMPARE[self.operator](self._measure.measure(pool), self.value)

    @classmethod
    def from_spec(cls, term: Term) -> Threshold:
        """Make it from a comparison in brackets."""
        match term.arguments:
            case (Comparison(left, sign, right),) if not term.options:
                strength = 1.0 if term.strength is None else term.strength
                measure = _measure(left)
                return cls(measure, sign, right, strength=strength)
        raise UsageError(
            "a threshold is one comparison with a number, as in threshold(margin >= 0.2) or "
            "threshold(sharpness > 10)."
        )

    def term(self) -> Term:
        """Return the comparison."""
        return Term(self.name, (Comparison(self._measure.term(), self.operator, self.value),))


def _measure(term: Term) -> StaticObjective:
    """Return the objective of that name; any other name is one of metadata."""
    if term.name not in objectives and term == Term(term.name):
        return Metadata(term.name)
    found = objectives[term.name].from_spec(term)
    if not isinstance(found, StaticObjective) or found.strength != 1:
        static = [name for name in objectives if issubclass(objectives[name], StaticObjective)]
        raise UsageError(
            f"a threshold cannot be put on {term.name}: use metadata or, without a strength, one "
            f"of {', '.join(sorted(static))}."
        )
    return found
