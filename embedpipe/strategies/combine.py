"""Several objectives at once: their product, picked greedily."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import Term, checked_options, format_term
from ..errors import ExhaustedError, SelectionError, UsageError
from .objectives import ChangingObjective, Diversity, Objective, Threshold, read_objective
from .objectives.product import Picked, ProductSearch
from .pool import Pool
from .strategy import Diagnostic, Selection, Strategy, strategies

__all__ = ["Combine"]

DEFAULT = ("typicality", "diversity")


@strategies.register("combine")
class Combine(Strategy):
    """Several objectives at once, e.g. ``combine(margin, diversity^2, balance(hat=0.3))``.

    With vᵏ(x) the value of objective k for item x, given what is labelled or picked, each pick
    is the item with the largest v¹(x)^s¹ · v²(x)^s² · …, ties going to the lowest row. sᵏ is the
    strength of objective k, written after ``^``. Thresholds come first: what does not pass is
    never picked. ``combine(margin)`` picks as ``margin`` does, ``combine(diversity)`` as
    ``coreset``, ``combine(margin, diversity)`` as ``coral``.

    Where every product is 0, the objectives fixed at the start are left out of it; where that
    leaves 0s only, those that change (but not the distance) instead; where that does, both. When
    only copies of labelled or picked items are left, the distance is left out and the same order
    applies again; at the very end the lowest rows are picked. So balance gives way when nothing
    is left of the classes that are wanted, and uncertainty when the head is certain.

    With nothing labelled there is no distance for the first pick: it is the item that the other
    objectives value most, or the one nearest to the mean if there are none.

    Parameters
    ----------
    objectives
        Objectives, or their spec strings: ``["margin", Diversity(strength=2)]``. `objectives` has
        all names; `Diversity` and `Balance` can be given once. Default: ``typicality`` and
        ``diversity``, which need no labels.

    Raises
    ------
    UsageError
        If an objective cannot be read or has a wrong option, if there is none beside thresholds,
        or one that can be given once is given twice.
    SelectionError
        When it is used: if fewer items pass the thresholds than are asked for, or the pool lacks
        what an objective looks at.

    Notes
    -----
    With ``diversity(min_distance=…)`` nothing nearer to a labelled or picked item is picked, and
    the selection ends early when nothing else is left: then there are fewer than n rows, and the
    diagnostic ``stopped`` says why.

    `Selection.scores` holds the product when each item was picked. The first pick from nothing
    gets the distance from it to the farthest item as its own.

    Diagnostics: for each objective the (n,) float32 values of the picks, by its spec string without
    the strength; ``stopped``.

    Values are in [0, 1] except distances, products in float64. With s the strength of diversity
    every other strength is divided by s and the product of these powers with the distance is
    maximised: the same order, and exact. Without changing objectives a pick takes a fraction of
    O(u·d) time, as in ``coral``; with them O(u) more and a new block. Extra memory beside the
    predictions and the index: at most 250 bytes per unlabelled item and 16 for each class of it,
    and what ``coral`` needs for blocks.

    References
    ----------
    The selection of the Lightly platform (DIVERSITY, WEIGHTS, BALANCE, SIMILARITY, TYPICALITY,
    THRESHOLD, with strengths and ``stopping_condition_minimum_distance``) combines objectives in
    the same way.

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
            raise UsageError(f"objectives are {objectives!r}: give a list of them.")
        self.objectives = tuple(read_objective(each) for each in objectives)
        _check_numbers(self.objectives)
        far = [each for each in self.objectives if isinstance(each, Diversity)]
        metrics = {each.metric for each in self.objectives if hasattr(each, "metric")}
        # What the class says is true of the default; an instance says it of its objectives.
        vars(self).update(
            needs_labels=any(each.needs_labels for each in self.objectives),
            distinct=bool(far),
            may_stop_early=any(each.min_distance is not None for each in far),
            metric=metrics.pop() if len(metrics) == 1 else None,  # each has its own
        )

    @classmethod
    def from_spec(cls, term: Term) -> Combine:
        """Make it from the objectives in its brackets."""
        options = checked_options(f"strategy {cls.name!r}", cls, dict(term.options))
        if term.strength is not None:
            raise UsageError(
                f"strategy {cls.name!r} is given the strength ^{term.strength:g}: only its "
                "objectives have one, as in combine(margin^2, diversity)."
            )
        if term.arguments and options:
            raise UsageError("objectives are given twice, in brackets and as an option.")
        return cls(term.arguments or options.get("objectives"))

    def to_spec(self) -> str:
        """Return the spec string."""
        if self.objectives == tuple(read_objective(each) for each in DEFAULT):
            return self.name
        return format_term(Term(self.name, tuple(each.term() for each in self.objectives)))

    def choose(self, pool: Pool, n: int, rng: np.random.Generator) -> Selection:
        """Apply the thresholds, then pick one by one."""
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
        wanting = ", ".join(each.label for each in self.objectives if each.needs_labels)
        if wanting and not pool.has_labels:
            raise SelectionError(
                f"{self.name} needs labels for {wanting}: give some, or leave out what needs them."
            )
        super()._check_request(pool, n)

    def _passing(self, pool: Pool) -> NDArray[np.bool_]:
        passing = np.ones(pool.unlabelled.size, dtype=np.bool_)
        for each in self._thresholds:
            passing &= each.passes(pool)
        if not passing.any():
            raise SelectionError(
                f"none of the {passing.size} unlabelled items passes {self._conditions}: "
                "loosen the threshold."
            )
        return passing

    def _check_enough(self, found: int, n: int) -> None:
        if found < n:
            raise SelectionError(
                f"asked for {n} items, but only {found} pass {self._conditions}: ask for at most "
                f"{found} or loosen the threshold."
            )

    @property
    def _thresholds(self) -> list[Threshold]:
        return [each for each in self.objectives if isinstance(each, Threshold)]

    @property
    def _conditions(self) -> str:
        return " and ".join(each.label for each in self._thresholds)

    def _ending(self, found: int) -> str:
        far = next(each for each in self.objectives if isinstance(each, Diversity))
        those = f"items that pass {self._conditions}" if self._thresholds else "items"
        if not found:
            return f"no {those} are at least {far.min_distance:g} away from what is labelled"
        return (
            f"only {found} {those} are at least {far.min_distance:g} away from each other and "
            "from what is labelled"
        )


def _check_numbers(objectives: tuple[Objective, ...]) -> None:
    if all(isinstance(each, Threshold) for each in objectives):
        raise UsageError(
            "combine is given no objective: give at least one beside thresholds, as in "
            "combine(margin, diversity)."
        )
    once: set[str] = set()
    for each in objectives:
        twice = each.name if isinstance(each, (Diversity, ChangingObjective)) else each.label
        if twice in once:
            raise UsageError(f"combine is given {twice} twice: give it once, with a strength.")
        once.add(twice)
