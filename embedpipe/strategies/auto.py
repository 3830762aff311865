"""Items that represent the pool first, then items that also are uncertain."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._specs import format_spec
from ..errors import UsageError
from .pool import Pool
from .strategy import METRIC, Diagnostic, Selection, Strategy, get_strategy, strategies

__all__ = ["Auto"]

EARLY = "doubtful_coverage(doubt=false)"
"""Default for the first labels: typical items of the whole pool."""

LATE = "doubtful_coverage"
"""Default for later labels: typical items weighted by uncertainty."""


@strategies.register("auto")
class Auto(Strategy):
    """Typical items first; with a head, items that are typical and uncertain.

    `early` selects while there are no labels, all labels are of one class, or the pool lacks the
    head or the predictions that `late` needs. Otherwise `late` selects.

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
    item is of a class without labels.

    Time and memory are those of the strategy used.

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
    uses_target: ClassVar[bool] = True

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
            uses_target=first.uses_target and second.uses_target,
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the early and the late strategy."""
        return get_strategy(self.early).texts + get_strategy(self.late).texts

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Select with the early or the late strategy."""
        found: dict[str, Diagnostic] = {}
        classes = 0
        if pool.has_labels:
            counts = np.unique(np.asarray(pool.labels), return_counts=True)[1]  # (C,)
            classes = counts.size
            found["labels_per_class"] = float(counts.mean())
            found["unseen"] = float((counts == 1).sum() / counts.sum())
        objection = self._objection(pool, classes)
        spec = self.early if objection else self.late
        selection = get_strategy(spec).select(pool, n, rng)
        reason = objection or f"a head predicts {classes} classes from {pool.labelled.size} labels"
        decision: dict[str, Diagnostic] = {
            "phase": "typical" if objection else "uncertain",
            "reason": reason,
            "strategy": spec,
        }
        return Selection(
            selection.rows, selection.scores, {**selection.diagnostics, **decision, **found}
        )

    def _objection(self, pool: Pool, classes: int) -> str:
        """Return the reason to use the early strategy, or an empty text."""
        if not classes:
            return "there are no labels yet"
        if classes == 1:
            return f"all {pool.labelled.size} labels are of one class"
        late = get_strategy(self.late)
        if not (pool.has_head if late.needs_head else pool.has_predictions):
            return "there is no head to measure uncertainty"
        return ""


def _written_out(strategy: Strategy, given: str) -> str:
    """Return the spec string of a strategy, or the given text if it has none."""
    try:
        return format_spec(strategy)
    except UsageError:
        return given
