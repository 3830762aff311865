"""Combinations of objectives: greedy maximisation of their product."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import Term, checked_options, format_term
from ..errors import ExhaustedError, SelectionError, UsageError
from .objectives import (
    ChangingObjective,
    Diversity,
    Objective,
    TargetSimilarity,
    Threshold,
    read_objective,
)
from .objectives.product import Picked, ProductSearch
from .pool import Pool
from .strategy import Diagnostic, Selection, Strategy, strategies

__all__ = ["Combine"]

DEFAULT = ("typicality", "diversity")


@strategies.register("combine")
class Combine(Strategy):
    """The product of several objectives, e.g. ``combine(margin, diversity^2, balance(hat=0.3))``.

    Let vᵏ(x) be the value of objective k for item x, and sᵏ its strength, which is written after
    ``^``. Each pick is the item with the largest v¹(x)^s¹ · v²(x)^s² · …. Ties go to the lowest
    row. Items that fail a threshold are never picked. ``combine(diversity)`` selects like
    ``coreset`` and ``combine(margin, diversity)`` like ``coral``.

    Static objectives have fixed values; the values of changing objectives depend on earlier picks.
    If every product is 0, the static objectives are left out. If every product is still 0, the
    changing objectives (except the distance) are left out instead, and then both kinds. If only
    duplicates of labelled and picked items are left, these steps apply without the distance; then
    the lowest rows are picked.

    Without labels, the first pick ignores the distance. If there is no other objective, or all
    others are left out, the first pick is the item nearest to the mean.

    Parameters
    ----------
    objectives
        Objectives or their spec strings: ``["margin", Diversity(strength=2)]``. `Diversity` and
        `Balance` may occur once. Default: ``typicality`` and ``diversity``, which need no labels.

    Raises
    ------
    UsageError
        If a spec string or option is invalid, there are only thresholds, or an objective is
        repeated.
    SelectionError
        When selecting, if fewer items pass the thresholds than requested, or the pool lacks the
        input of an objective.

    Notes
    -----
    With ``diversity(min_distance=…)`` the selection stops early when all remaining items are nearer
    than `min_distance` to labelled or picked items. The diagnostic ``stopped`` gives the reason.

    Scores: the product when the item was picked. Diagnostics: the (n,) float32 values of each
    objective, named by its spec string without strength; ``stopped``.

    Products are in float64. Dividing all strengths by the strength of diversity keeps the order and
    allows the exact search of ``coral``. Extra memory besides the predictions and the index: at
    most 250 + 16·C bytes per unlabelled item with C classes, and blocks as in ``coral``.

    References
    ----------
    The selection of the Lightly platform combines objectives in the same way (DIVERSITY, WEIGHTS,
    BALANCE, SIMILARITY, TYPICALITY, THRESHOLD, ``stopping_condition_minimum_distance``).

    Examples
    --------
    >>> predictions = np.array([[1, 0], [0.5, 0.5], [0.9, 0.1], [0.6, 0.4]])
    >>> pool = Pool(
    ...     np.array([[0], [1], [9], [5]], dtype=np.float32),
    ...     labelled=[0], labels=[0], probabilities=lambda rows: predictions[rows],
    ... )
    >>> strategy = Combine(["margin", "diversity(metric=euclidean)^2"])
    >>> selection = strategy.select(pool, 2, np.random.default_rng(0))
    >>> selection.rows.tolist(), selection.diagnostics["diversity(metric=euclidean)"].tolist()
    ([3, 2], [5.0, 4.0])
    """

    name: ClassVar[str] = "combine"
    distinct: ClassVar[bool] = True

    def __init__(self, objectives: Iterable[Objective | str] | str | None = None) -> None:
        if objectives is None:
            objectives = DEFAULT
        elif isinstance(objectives, (str, Objective)):
            objectives = [objectives]
        elif not isinstance(objectives, Iterable):
            raise UsageError(f"objectives is {objectives!r}: give a list of objectives.")
        self.objectives = tuple(read_objective(each) for each in objectives)
        _check_numbers(self.objectives)
        diversities = [each for each in self.objectives if isinstance(each, Diversity)]
        metrics = {each.metric for each in self.objectives if hasattr(each, "metric")}
        # The class attributes describe the default; the attributes below depend on the objectives.
        vars(self).update(
            needs_labels=any(each.needs_labels for each in self.objectives),
            distinct=bool(diversities),
            may_stop_early=any(each.min_distance is not None for each in diversities),
            uses_target=any(isinstance(each, TargetSimilarity) for each in self.objectives),
            metric=metrics.pop() if len(metrics) == 1 else None,  # None: each objective has its own
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the objectives."""
        return tuple(dict.fromkeys(text for each in self.objectives for text in each.texts))

    @classmethod
    def from_spec(cls, term: Term) -> Combine:
        """Make the strategy from the objectives in brackets."""
        options = checked_options(f"strategy {cls.name!r}", cls, dict(term.options))
        if term.strength is not None:
            raise UsageError(
                f"strategy {cls.name!r} got the strength ^{term.strength:g}: only its "
                "objectives have a strength, as in combine(margin^2, diversity)."
            )
        if term.arguments and options:
            raise UsageError(
                "objectives are given both in brackets and as an option: give them once."
            )
        return cls(term.arguments or options.get("objectives"))

    def to_spec(self) -> str:
        """Return the spec string."""
        if self.objectives == tuple(read_objective(each) for each in DEFAULT):
            return self.name
        return format_term(Term(self.name, tuple(each.term() for each in self.objectives)))

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Apply the thresholds, then pick items one by one."""
        passing = self._passing(pool)  # (u,)
        if not self.may_stop_early:
            self._check_enough(int(passing.sum()), n)
        factors = [each for each in self.objectives if not isinstance(each, Threshold)]
        search = ProductSearch(pool, factors, passing)
        picks: list[Picked] = []
        while len(picks) < n and (pick := search.next()) is not None:
            picks.append(pick)
        if not picks:
            raise ExhaustedError(f"{self._ending(0)}: lower min_distance.")
        positions = np.array([pick.position for pick in picks], dtype=np.int64)
        diagnostics: dict[str, Diagnostic] = {
            label: np.array([pick.values[label] for pick in picks], dtype=np.float32)
            for label in picks[0].values
        }
        if len(picks) < n:
            diagnostics["stopped"] = self._ending(len(picks))
        scores = np.clip([pick.score for pick in picks], 0, np.finfo(np.float32).max)
        return Selection(pool.unlabelled[positions], scores.astype(np.float32), diagnostics)

    def _check_request(self, pool: Pool, n: int) -> None:
        missing = ", ".join(each.label for each in self.objectives if each.needs_labels)
        if missing and not pool.has_labels:
            raise SelectionError(
                f"{self.name} needs labels for {missing}: label some items, or use other "
                "objectives."
            )
        super()._check_request(pool, n)

    def _passing(self, pool: Pool) -> NDArray[np.bool_]:
        passing = np.ones(pool.unlabelled.size, dtype=np.bool_)
        for each in self._thresholds:
            passing &= each.passes(pool)
        if not passing.any():
            raise SelectionError(
                f"none of the {passing.size} unlabelled items passes {self._conditions}: "
                "relax the threshold."
            )
        return passing

    def _check_enough(self, found: int, n: int) -> None:
        if found < n:
            raise SelectionError(
                f"`n` must be at most {found} (the items that pass {self._conditions}); got {n}. "
                "Lower `n` or relax the threshold."
            )

    @property
    def _thresholds(self) -> list[Threshold]:
        return [each for each in self.objectives if isinstance(each, Threshold)]

    @property
    def _conditions(self) -> str:
        return " and ".join(each.label for each in self._thresholds)

    def _ending(self, found: int) -> str:
        diversity = next(each for each in self.objectives if isinstance(each, Diversity))
        those = f"items that pass {self._conditions}" if self._thresholds else "items"
        if not found:
            return (
                f"no {those} are at least {diversity.min_distance:g} away from all labelled items"
            )
        return (
            f"only {found} {those} are at least {diversity.min_distance:g} away from each other "
            "and from all labelled items"
        )


def _check_numbers(objectives: tuple[Objective, ...]) -> None:
    if all(isinstance(each, Threshold) for each in objectives):
        raise UsageError(
            "combine has no objective: give at least one that is not a threshold, as in "
            "combine(margin, diversity)."
        )
    once: set[str] = set()
    for each in objectives:
        twice = each.name if isinstance(each, (Diversity, ChangingObjective)) else each.label
        if twice in once:
            raise UsageError(
                f"combine has the objective {twice} twice: give it once, with a strength."
            )
        once.add(twice)
