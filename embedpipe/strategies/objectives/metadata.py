"""A number that is known of every item."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..._specs import Term
from ...errors import SelectionError
from ..pool import Pool
from .base import Float64s, StaticObjective, objectives

__all__ = ["Metadata"]


@objectives.register("metadata")
@dataclass(frozen=True)
class Metadata(StaticObjective):
    """Large in a number known of every item, such as its sharpness.

    Parameters
    ----------
    column
        Its name in the pool's `metadata`. As an objective it must not be negative, and is
        divided by the largest one among the unlabelled.
    strength
        The power that it is raised to.

    Examples
    --------
    >>> pool = Pool(np.zeros((3, 1)), metadata={"sharpness": [1, 4, 2]})
    >>> Metadata("sharpness").worth(pool).tolist()
    [0.25, 1.0, 0.5]
    """

    name: ClassVar[str] = "metadata"

    column: str

    def term(self) -> Term:
        """Return it with the name of the column in brackets."""
        strength = None if self.strength == 1 else float(self.strength)
        return Term(self.name, (self.column,), strength=strength)

    def measure(self, pool: Pool) -> Float64s:
        """Return the numbers of the unlabelled rows: (u,).

        Raises
        ------
        SelectionError
            If the pool has no such metadata, or one of them is NaN or infinity.
        """
        if self.column not in pool.metadata:
            raise SelectionError(self._missing(pool))
        values: Float64s = np.asarray(pool.metadata[self.column])[pool.unlabelled]  # (u,)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise SelectionError(
                f"metadata {self.column!r} of row {pool.unlabelled[bad[0]]} is "
                f"{values[bad[0]]:g}: give every unlabelled row a number."
            )
        return values

    def worth(self, pool: Pool) -> Float64s:
        """Return the numbers divided by the largest: (u,), in [0, 1]."""
        values = self.measure(pool)  # (u,)
        bad = np.flatnonzero(values < 0)
        if bad.size:
            raise SelectionError(
                f"metadata {self.column!r} of row {pool.unlabelled[bad[0]]} is "
                f"{values[bad[0]]:g}: what is multiplied must not be negative; "
                "shift it, or use it in a threshold."
            )
        largest = values.max(initial=0)
        return values / largest if largest else values

    def _missing(self, pool: Pool) -> str:
        known = sorted(pool.metadata)
        near = difflib.get_close_matches(self.column, known, n=1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        has = f"It has: {', '.join(known)}." if known else "It has none: give some."
        return f"the pool has no metadata {self.column!r}.{meant} {has}"
