"""Typical items first, then those that stand for what the head is unsure of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import format_spec
from .._threads import map_blocks
from ..errors import UsageError
from ..index.distances import safe_frame
from ..index.vectors import Vectors, row_blocks
from .pool import Pool
from .strategy import METRIC, Diagnostic, Selection, Strategy, get_strategy, strategies

__all__ = ["Auto", "Readiness"]

EARLY = "doubtful_coverage(doubt=false)"
"""Items that stand for the whole pool, until a head can say what it does not know."""

LATE = "doubtful_coverage"
"""Items that stand for what the head is unsure of."""

ERRORS = 2
"""By how many standard errors the accuracy must exceed that of guessing."""


@strategies.register("auto")
class Auto(Strategy):
    """Typical items first, then those that stand for what the head is unsure of; says why.

    The labels alone decide when: as soon as they tell their own classes apart. That is so when the
    nearest class mean is right about labelled items left out of it more often than guessing the
    most frequent class would be, by two standard errors; an item that is the only one of its
    class counts as wrong. Until then, and where there is no head, what a head is unsure of says
    nothing, and items are taken that stand for the pool as a whole.

    Parameters
    ----------
    early
        The strategy for the first labels, as `get_strategy` reads it; it must need no labels.
        Default: ``doubtful_coverage(doubt=false)``.
    late
        The strategy for later, likewise. Default: ``doubtful_coverage``. Both cover the pool by
        direction; later, items count by the head's doubt. What is covered by one label narrows as
        labels come.

    Raises
    ------
    UsageError
        If `early` needs labels.
    UnknownNameError
        If there is no such strategy.

    Notes
    -----
    `Selection.scores` and the diagnostics are those of the strategy that chose, and:
    ``phase``, "typical" or "uncertain"; ``reason``, a sentence; ``strategy``, the one that
    chose; and where there are labels ``labels_per_class``; ``unseen``, the Good–Turing estimate of
    how likely the next item is of a class without labels; ``accuracy`` and ``chance``, by which
    the decision was taken.

    O(m·C·d) time for m labels (2,048 at most) of C classes beside what the strategy takes, and
    16·C·d bytes of extra memory.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794. Bae, Oliveira, Sutherland (2024), "Uncertainty herding:
    one active learning method for all label budgets", arXiv:2412.20644. Good (1953), "The
    population frequencies of species and the estimation of population parameters".

    Examples
    --------
    >>> angles = np.array([0.0, 0.1, 0.2, 0.35, 1.3, 1.5])
    >>> matrix = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    >>> selection = Auto().select(Pool(matrix), 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["phase"], selection.diagnostics["reason"]
    ([2, 4], 'typical', 'nothing is labelled yet')
    """

    name: ClassVar[str] = "auto"
    distinct: ClassVar[bool] = True

    def __init__(self, *, early: str = EARLY, late: str = LATE) -> None:
        first, second = get_strategy(early), get_strategy(late)
        if first.needs_labels:
            raise UsageError(
                f"early is {early!r}, which needs labels: give a strategy that needs none."
            )
        # Written out, so that a file that changes is another strategy.
        self.early, self.late = _written_out(first, early), _written_out(second, late)
        vars(self).update(
            metric=second.metric or METRIC,
            distinct=first.distinct and second.distinct,
            may_stop_early=first.may_stop_early or second.may_stop_early,
        )

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Decide, then leave the choice to the strategy decided on."""
        found: dict[str, Diagnostic] = {}
        objection = "nothing is labelled yet" if not pool.has_labels else ""
        if pool.has_labels:
            readiness = Readiness.of(pool)
            found = {
                "labels_per_class": readiness.labels / readiness.classes,
                "unseen": readiness.unseen,
                "accuracy": readiness.accuracy,
                "chance": readiness.chance,
            }
            objection = _objection(readiness)
            if not self._has_what_it_asks(pool):
                objection = "there is no head to be uncertain"
        spec, reason = self.early, objection
        if not objection:
            spec = self.late
            reason = (
                f"{readiness.labels} labels tell {readiness.classes} classes apart: "
                f"{readiness.accuracy:.0%} right when left out"
            )
        selection = get_strategy(spec).select(pool, n, rng)
        told: dict[str, Diagnostic] = {
            "phase": "typical" if objection else "uncertain",
            "reason": reason,
            "strategy": spec,
        }
        return Selection(
            selection.rows, selection.scores, {**selection.diagnostics, **told, **found}
        )

    def _has_what_it_asks(self, pool: Pool) -> bool:
        return pool.has_head if get_strategy(self.late).needs_head else pool.has_predictions


def _written_out(strategy: Strategy, given: str) -> str:
    """Return the line that makes a strategy, or what was given if it has none."""
    try:
        return format_spec(strategy)
    except UsageError:
        return given


def _objection(readiness: Readiness) -> str:
    """Return why uncertainty would come too early, or nothing."""
    labels, classes = readiness.labels, readiness.classes
    if classes == 1:
        return f"all {labels} labels are of one class"
    chance = readiness.chance
    error = math.sqrt(chance * (1 - chance) / labels)
    if readiness.accuracy <= chance + ERRORS * error:
        return (
            f"{labels} labels do not tell {classes} classes apart yet: "
            f"{readiness.accuracy:.0%} right when left out, {chance:.0%} by guessing"
        )
    return ""


MOST = 2048
"""At most so many labelled rows are tried out."""

ROWS = 256
"""How many of them at once."""

SUMMED = 512
"""How many vectors are added up at once; part of what the means follow from."""


@dataclass(frozen=True)
class Readiness:
    """What the labelled rows of a pool tell about the rest.

    Attributes
    ----------
    labels, classes
        How many labels there are, and of how many classes.
    unseen
        The Good–Turing estimate of how likely the next item is of a class without labels: the
        share of the labels that are the only one of their class.
    accuracy
        How often the nearest class mean is right about a labelled item that is left out of it.
    chance
        How often always guessing the most frequent class would be.

    Examples
    --------
    >>> matrix = np.array([[0], [1], [10], [11], [30], [5]], dtype=np.float32)
    >>> pool = Pool(matrix, labelled=range(5), labels=["a", "a", "b", "b", "c"])
    >>> Readiness.of(pool)
    Readiness(labels=5, classes=3, unseen=0.2, accuracy=0.8, chance=0.4)
    """

    labels: int
    classes: int
    unseen: float
    accuracy: float
    chance: float

    @classmethod
    def of(cls, pool: Pool) -> Readiness:
        """Measure the labelled rows of a pool that has labels."""
        names, own = np.unique(np.asarray(pool.labels), return_inverse=True)  # (C,), (m,)
        order = np.argsort(pool.labelled)  # the order of labelling must not matter
        rows, own = pool.labelled[order], own.ravel()[order]
        counts = np.bincount(own)  # (C,)
        return cls(
            labels=rows.size,
            classes=names.size,
            unseen=float((counts == 1).sum() / rows.size),
            accuracy=_left_out_accuracy(pool.vectors, rows, own, counts),
            chance=float(counts.max() / rows.size),
        )


def _left_out_accuracy(
    vectors: Vectors,
    rows: NDArray[np.int64],
    own: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> float:
    """Return how often the nearest mean is of the own class; wrong for what is alone in it."""
    frame, _ = safe_frame(vectors, rows)
    means = np.zeros((counts.size, vectors.shape[1]))  # (C, d)
    for part in row_blocks(rows.size, SUMMED):
        np.add.at(means, own[part], frame.rows(rows[part]).vectors)
    means = (means / counts[:, None]).astype(np.float32)
    norms = np.einsum("ij,ij->i", means, means).astype(np.float64)  # (C,)
    tried = np.arange(0, rows.size, -(-rows.size // MOST))  # (t,)
    others = np.maximum(counts - 1, 1)
    right = np.zeros(tried.size, dtype=np.bool_)

    def work(part: slice) -> None:
        at = tried[part]
        moved = frame.rows(rows[at])
        away = moved.norms[:, None] + norms - 2.0 * (moved.vectors @ means.T)  # (b, C)
        each, mine = np.arange(at.size), own[at]
        # Without x, the mean of its class is n/(n − 1) times as far from it.
        away[each, mine] *= np.square(counts[mine] / others[mine])
        nearest = away.argmin(axis=1) == mine
        right[part] = nearest & (counts[mine] > 1)

    map_blocks(work, tried.size, ROWS)
    return float(right.mean())
