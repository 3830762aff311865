"""Typical items first, uncertain items once the labels separate the classes."""

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
"""Default for the first labels: typical items of the whole pool."""

LATE = "doubtful_coverage"
"""Default for later labels: typical items weighted by uncertainty."""

ERRORS = 2
"""Number of standard errors by which the accuracy must exceed chance."""


@strategies.register("auto")
class Auto(Strategy):
    """Typical items first; typical and uncertain items once the labels separate the classes.

    The labels separate the classes if the leave-one-out accuracy of a nearest-class-mean classifier
    exceeds the share of the most frequent class by more than two standard errors. An item that is
    the only one of its class counts as an error. If the pool lacks the head or the predictions for
    `late`, `early` is used.

    Parameters
    ----------
    early
        Spec string of the strategy for the first labels; it must need no labels. Default:
        ``doubtful_coverage(doubt=false)``.
    late
        Spec string of the strategy for later labels. Default: ``doubtful_coverage``.

    Raises
    ------
    UsageError
        If `early` needs labels.

    Notes
    -----
    Scores and diagnostics are those of the strategy used. Further diagnostics: ``phase``, "typical"
    or "uncertain"; ``reason``, a sentence; ``strategy``, the spec string. With labels also:
    ``labels_per_class``; ``unseen``, the Good–Turing estimate of the probability that the next
    item is of a class without labels; ``accuracy`` and ``chance``, which the decision compares.

    Time besides the strategy: O(m·C·d) for m ≤ 2,048 labels of C classes and vectors of length d.
    Extra memory: 16·C·d bytes.

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
    ([2, 4], 'typical', 'there are no labels yet')
    """

    name: ClassVar[str] = "auto"
    distinct: ClassVar[bool] = True

    def __init__(self, *, early: str = EARLY, late: str = LATE) -> None:
        first, second = get_strategy(early), get_strategy(late)
        if first.needs_labels:
            raise UsageError(
                f"early is {early!r}, which needs labels: give a strategy that needs no labels."
            )
        # A spec string replaces the path of a YAML file: a run's identity must depend on the
        # content of the file.
        self.early, self.late = _written_out(first, early), _written_out(second, late)
        vars(self).update(
            metric=second.metric or METRIC,
            distinct=first.distinct and second.distinct,
            may_stop_early=first.may_stop_early or second.may_stop_early,
        )

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Select with the early or the late strategy."""
        found: dict[str, Diagnostic] = {}
        objection = "there are no labels yet" if not pool.has_labels else ""
        if pool.has_labels:
            readiness = Readiness.of(pool)
            found = {
                "labels_per_class": readiness.labels / readiness.classes,
                "unseen": readiness.unseen,
                "accuracy": readiness.accuracy,
                "chance": readiness.chance,
            }
            objection = _objection(readiness)
            if not self._late_is_possible(pool):
                objection = "there is no head to measure uncertainty"
        spec, reason = self.early, objection
        if not objection:
            spec = self.late
            reason = (
                f"{readiness.labels} labels separate {readiness.classes} classes: "
                f"leave-one-out accuracy {readiness.accuracy:.0%}"
            )
        selection = get_strategy(spec).select(pool, n, rng)
        decision: dict[str, Diagnostic] = {
            "phase": "typical" if objection else "uncertain",
            "reason": reason,
            "strategy": spec,
        }
        return Selection(
            selection.rows, selection.scores, {**selection.diagnostics, **decision, **found}
        )

    def _late_is_possible(self, pool: Pool) -> bool:
        return pool.has_head if get_strategy(self.late).needs_head else pool.has_predictions


def _written_out(strategy: Strategy, given: str) -> str:
    """Return the spec string of a strategy, or the given text if it has none."""
    try:
        return format_spec(strategy)
    except UsageError:
        return given


def _objection(readiness: Readiness) -> str:
    """Return the reason to use the early strategy, or an empty text."""
    labels, classes = readiness.labels, readiness.classes
    if classes == 1:
        return f"all {labels} labels are of one class"
    chance = readiness.chance
    error = math.sqrt(chance * (1 - chance) / labels)
    if readiness.accuracy <= chance + ERRORS * error:
        return (
            f"{labels} labels do not separate {classes} classes yet: leave-one-out accuracy "
            f"{readiness.accuracy:.0%}, {chance:.0%} by guessing"
        )
    return ""


MOST = 2048
"""Maximum labelled rows that are tested."""

ROWS = 256
"""Rows per block."""

SUMMED = 512
"""Vectors per partial sum; changing it changes the last bits of the means."""


@dataclass(frozen=True)
class Readiness:
    """Measures of whether the labels of a pool separate its classes."""

    labels: int
    classes: int
    unseen: float  # share of labels that are the only one of their class (Good–Turing)
    accuracy: float  # leave-one-out accuracy of the nearest class mean
    chance: float  # share of the most frequent class

    @classmethod
    def of(cls, pool: Pool) -> Readiness:
        """Measure the labelled rows of a pool that has labels."""
        names, own = np.unique(np.asarray(pool.labels), return_inverse=True)  # (C,), (m,)
        order = np.argsort(pool.labelled)  # the result must not depend on the order of labelling
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
    """Return the leave-one-out accuracy of the nearest class mean."""
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
        shifted = frame.rows(rows[at])
        away = shifted.norms[:, None] + norms - 2.0 * (shifted.vectors @ means.T)  # (b, C)
        each, mine = np.arange(at.size), own[at]
        # Without a row, the mean of its class of n rows is farther from it by the factor n/(n − 1).
        away[each, mine] *= np.square(counts[mine] / others[mine])
        nearest = away.argmin(axis=1) == mine
        right[part] = nearest & (counts[mine] > 1)

    map_blocks(work, tried.size, ROWS)
    return float(right.mean())
