"""Typical items first, uncertain ones later."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from ..errors import UsageError
from .base import Diagnostic, Selection, Strategy, get_strategy, strategies
from .parts.readiness import Readiness
from .pool import Pool
from .spelling import spelling_of

__all__ = ["Auto"]

LATE = "combine(margin^2, diversity, typicality)"
"""Uncertain, far from what is labelled, and not alone: no outliers, no repetition."""

UNSEEN = 0.05
"""As long as the next item is likelier than this to be of a new class, classes are sought."""

ERRORS = 2
"""By how many standard errors the accuracy must exceed that of guessing."""


@strategies.register("auto")
class Auto(Strategy):
    """Typical items while labels are few, uncertain ones once a head can be trusted; says why.

    The labels alone decide. Uncertain items are taken as soon as the labelled items hold no
    hint of further classes and tell their own classes apart:

    - the share of labels that are the only one of their class, which estimates how likely the
      next item is of a class not seen yet, is at most 5 % (20 labels a class always suffice);
    - the nearest class mean is right about labelled items left out of it more often than
      guessing the most frequent class would be, by two standard errors.

    Until then, and where there is no head, typical items of clusters without labels are taken:
    with few labels a head is sure of the wrong things, and what it is unsure of is seldom typical.

    Parameters
    ----------
    early
        The strategy for few labels, as `get_strategy` reads it; it must need no labels.
    late
        The strategy for later, likewise. Default: ``combine(margin^2, diversity, typicality)``.

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
    chose; and where there are labels ``labels_per_class``, ``unseen``, ``accuracy`` and
    ``chance``, the numbers that the decision was taken by.

    O(m·C·d) time for m labels (2,048 at most) of C classes beside what the strategy takes, and
    16·C·d bytes of extra memory.

    References
    ----------
    Hacohen, Dekel, Weinshall (2022), "Active learning on a budget: opposite strategies suit high
    and low budgets", arXiv:2202.02794. Gupte, Aklilu, Nirschl, Yeung-Levy (2024), "Revisiting
    active learning in the era of vision foundation models", arXiv:2401.14555. Good (1953), "The
    population frequencies of species and the estimation of population parameters".

    Examples
    --------
    >>> line = np.array([[0], [3], [4], [6], [50], [51], [53]], dtype=np.float32)
    >>> strategy = Auto(early="typiclust(min_cluster_size=3)")
    >>> selection = strategy.select(Pool(line), 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["phase"], selection.diagnostics["reason"]
    ([2, 4], 'typical', 'nothing is labelled yet')
    """

    name: ClassVar[str] = "auto"
    distinct: ClassVar[bool] = True

    def __init__(self, *, early: str = "typiclust", late: str = LATE) -> None:
        first, second = get_strategy(early), get_strategy(late)
        if first.needs_labels:
            raise UsageError(
                f"early is {early!r}, which needs labels: give a strategy that needs none."
            )
        # Written out, so that a file that changes is another strategy.
        self.early, self.late = _written_out(first, early), _written_out(second, late)
        vars(self).update(
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
        spelling, reason = self.early, objection
        if not objection:
            spelling = self.late
            reason = (
                f"{readiness.labels} labels tell {readiness.classes} classes apart: "
                f"{readiness.accuracy:.0%} right when left out"
            )
        selection = get_strategy(spelling).select(pool, n, rng)
        told: dict[str, Diagnostic] = {
            "phase": "typical" if objection else "uncertain",
            "reason": reason,
            "strategy": spelling,
        }
        return Selection(
            selection.rows, selection.scores, {**selection.diagnostics, **told, **found}
        )

    def _has_what_it_asks(self, pool: Pool) -> bool:
        late = get_strategy(self.late)
        if late.needs_head:
            return pool.has_head
        return pool.has_predictions or not late.needs_labels


def _written_out(strategy: Strategy, given: str) -> str:
    """Return the line that makes a strategy, or what was given if it has none."""
    try:
        return spelling_of(strategy)
    except UsageError:
        return given


def _objection(readiness: Readiness) -> str:
    """Return why uncertainty would come too early, or nothing."""
    labels, classes = readiness.labels, readiness.classes
    if classes == 1:
        return f"all {labels} labels are of one class"
    if readiness.unseen > UNSEEN:
        single = round(readiness.unseen * labels)
        return (
            f"{single} of {labels} labels are the only one of their class: there may be more "
            "classes"
        )
    chance = readiness.chance
    error = math.sqrt(chance * (1 - chance) / labels)
    if readiness.accuracy <= chance + ERRORS * error:
        return (
            f"{labels} labels do not tell {classes} classes apart yet: "
            f"{readiness.accuracy:.0%} right when left out, {chance:.0%} by guessing"
        )
    return ""
