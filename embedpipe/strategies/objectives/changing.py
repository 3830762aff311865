"""Objectives that change with every pick: distance and class balance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._specs import Term
from ...errors import SelectionError, UnknownNameError, UsageError
from ...index import check_metric
from ..pool import Pool
from ..strategy import METRIC
from .objective import ChangingObjective, Float64s, Objective, ObjectiveState, objectives

__all__ = ["Balance", "Diversity"]


@objectives.register("diversity")
@dataclass(frozen=True)
class Diversity(Objective):
    """Distance to the nearest labelled or picked item.

    Parameters
    ----------
    min_distance
        Items nearer than this to a labelled or picked item are never picked; the selection may
        stop early. The unit is that of the metric. Default: no limit.
    metric
        ``"cosine"`` (rows scaled to unit length) or ``"euclidean"``.
    strength
        Exponent of the distance, above 0.

    Examples
    --------
    >>> Diversity(strength=2, min_distance=0.1).label
    'diversity(min_distance=0.1)'
    """

    name: ClassVar[str] = "diversity"

    min_distance: float | None = None
    metric: str = METRIC

    def __post_init__(self) -> None:
        super().__post_init__()
        check_metric(self.metric)
        least = self.min_distance
        if least is not None and not (math.isfinite(least) and least > 0):
            raise UsageError(f"min_distance is {least!r}: give a number above 0, or leave it out.")


@objectives.register("balance")
@dataclass(frozen=True)
class Balance(ChangingObjective):
    """Wanted shares of the predicted classes: ``balance(hat=0.3)``.

    The value of an item of predicted class c is max(0, tᶜ − nᶜ/(N + 1)). Here tᶜ is the wanted
    share of class c. N is the number of labelled and picked items, and nᶜ of these items have class
    c by label or prediction.

    Parameters
    ----------
    shares
        Wanted share of each class by name, from 0 to 1, with a sum of at most 1. The other classes
        share the rest equally. If all classes have a share, the shares are scaled to the sum 1.
        Default: equal shares.
    strength
        Exponent of the value, above 0.
    """

    name: ClassVar[str] = "balance"
    needs_labels: ClassVar[bool] = True

    shares: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = {str(name): _share(str(name), share) for name, share in self.shares.items()}
        total = math.fsum(shares.values())
        if total > 1 + 1e-9:
            raise UsageError(f"the shares of balance add up to {total:g}: they must not exceed 1.")
        object.__setattr__(self, "shares", shares)

    @classmethod
    def from_spec(cls, term: Term) -> Balance:
        """Make the objective from shares given as options."""
        if term.arguments:
            raise UsageError("balance has a class without a share: write balance(hat=0.3).")
        strength = 1.0 if term.strength is None else term.strength
        shares: dict[str, Any] = dict(term.options)
        return cls(shares, strength=strength)

    def term(self) -> Term:
        """Return the term with the shares as options."""
        strength = None if self.strength == 1 else float(self.strength)
        return Term(self.name, options=tuple(self.shares.items()), strength=strength)

    def start(self, pool: Pool) -> ObjectiveState:
        """Count the labels and read the predictions."""
        predictions = pool.probabilities()  # (u, C)
        names = [str(name) for name in pool.classes]
        if predictions.shape[1] != len(names):
            classes = f"{len(names)} class{'' if len(names) == 1 else 'es'}: {', '.join(names)}"
            raise SelectionError(
                f"balance: the predictions have {predictions.shape[1]} columns, but the pool "
                f"has {classes}. Give the pool a head."
            )
        position = {name: at for at, name in enumerate(names)}
        counts = np.zeros(len(names))
        labels = [] if pool.labels is None else pool.labels.tolist()
        for label in labels:
            if str(label) in position:
                counts[position[str(label)]] += 1
        predicted = predictions.argmax(axis=1)  # (u,)
        return _Shares(predicted, self._targets(names), counts, len(labels))

    def _targets(self, names: list[str]) -> Float64s:
        for name in self.shares:
            if name not in names:
                raise UnknownNameError("class", name, names)
        others = len(names) - len(self.shares)
        rest = max(0.0, 1 - math.fsum(self.shares.values())) / max(1, others)
        targets = np.array([self.shares.get(name, rest) for name in names])
        if not others and targets.sum() > 0:
            targets /= targets.sum()
        return targets


class _Shares(ObjectiveState):
    """The current count of each class."""

    def __init__(
        self, predicted: NDArray[np.int64], targets: Float64s, counts: Float64s, total: int
    ) -> None:
        self._predicted = predicted  # (u,)
        self._targets, self._counts, self._total = targets, counts, total  # (C,), (C,)

    def values(self) -> Float64s:
        wanted = np.maximum(0.0, self._targets - self._counts / (self._total + 1))  # (C,)
        values: Float64s = wanted[self._predicted]  # (u,)
        return values

    def add(self, position: int) -> None:
        self._counts[self._predicted[position]] += 1
        self._total += 1


def _share(name: str, share: Any) -> float:
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not number or not 0 <= share <= 1:
        raise UsageError(f"the share of class {name!r} is {share!r}: give a number from 0 to 1.")
    return float(share)
