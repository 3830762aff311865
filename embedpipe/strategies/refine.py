"""Refine: several strategies filter the pool, then a batch covers the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import (
    Term,
    build,
    check_count,
    check_share,
    checked_options,
    format_spec,
    format_term,
    parse_spec,
)
from ..errors import UsageError
from .pool import Pool
from .strategy import METRIC, DiverseStrategy, Strategy, UniquePicks, get_strategy, strategies

__all__ = ["Refine"]

STRATEGIES = ("margin", "badge", "typiclust")
"""Default strategies of the filter."""

COVERAGE = "doubtful_coverage"
"""Default strategy for the rest of the pool."""

LARGEST = 5_000
"""Maximum items of a random subset, unless two batches are more."""


@strategies.register("refine")
class Refine(DiverseStrategy):
    """Batches of several strategies filter the pool; the last batch covers the rest.

    In each round, every strategy selects a batch from each of several random subsets. The union of
    these batches is the pool of the next round. After the last round, `coverage` selects the batch
    from the remaining pool. Strategies are written in brackets, as in
    ``refine(margin, badge, typiclust, rounds=2)``.

    Strategies that need labels, predictions or a head take no part while the pool lacks them.

    Parameters
    ----------
    strategies
        Strategies or their spec strings. Default: ``margin``, ``badge`` and ``typiclust``.
    rounds
        Maximum number of rounds. The filter ends earlier if only one batch is left.
    subsets
        Number of random subsets per round.
    share
        Size of a subset, as a share of the pool of the round. A subset has at least two batches of
        items, and otherwise at most 5,000 items.
    coverage
        Spec string of the strategy for the last batch; it must not need labels.

    Raises
    ------
    UsageError
        If a spec string or an option is invalid, a strategy is repeated, or `coverage` needs labels
        or may select fewer items than requested.

    Notes
    -----
    The paper introduces the filter and the last batch by coverage. The default strategies and the
    default strategy for coverage, the number and size of the subsets and the number of rounds were
    chosen for embedpipe.

    Scores and diagnostics are those of `coverage`. Further diagnostics: ``left``, the number of
    items after the filter; ``strategies``, the spec strings of the strategies that took part.

    Time: that of each strategy on each subset, and that of `coverage` on the rest. Extra memory:
    that of one strategy on one subset, and 600 bytes per item of a subset.

    References
    ----------
    Huseljic, Herde, Rauch, Hahn, Sick (2025), "Cleaning the pool: progressive filtering of
    unlabeled pools in deep active learning", arXiv:2511.22344.

    Examples
    --------
    >>> str(get_strategy("refine(margin, typiclust, coverage=coreset)"))
    'refine(margin, typiclust, coverage=coreset)'
    """

    name: ClassVar[str] = "refine"

    def __init__(
        self,
        strategies: Iterable[Strategy | str] | Strategy | str = STRATEGIES,
        *,
        rounds: int = 3,
        subsets: int = 4,
        share: float = 0.5,
        coverage: str = COVERAGE,
    ) -> None:
        several = [strategies] if isinstance(strategies, (str, Strategy)) else strategies
        self.strategies = tuple(
            get_strategy(each) if isinstance(each, str) else each for each in several
        )
        _check_distinct(self.strategies)
        self.rounds = check_count("rounds", rounds)
        self.subsets = check_count("subsets", subsets)
        self.share = check_share("share", share, zero=False)
        last = get_strategy(coverage)
        if last.needs_labels:
            raise UsageError(
                f"coverage is {coverage!r}, which needs labels: give a strategy that needs no "
                "labels."
            )
        if last.may_stop_early:
            raise UsageError(
                f"coverage is {coverage!r}, which may select fewer items than requested: give "
                "another strategy."
            )
        self.coverage = format_spec(last)  # a spec string in place of the path of a YAML file
        vars(self).update(
            needs_labels=all(each.needs_labels for each in self.strategies),
            metric=last.metric or METRIC,
        )

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of all strategies."""
        every = (*self.strategies, get_strategy(self.coverage))
        return tuple(text for each in every for text in each.texts)

    @classmethod
    def from_spec(cls, term: Term) -> Refine:
        """Make the strategy from the strategies and options in brackets."""
        options = checked_options(f"strategy {cls.name!r}", cls, dict(term.options))
        if term.strength is not None:
            raise UsageError(
                f"strategy {cls.name!r} got the strength ^{term.strength:g}: only objectives have "
                "a strength, as in combine(margin^2, diversity)."
            )
        if not term.arguments:
            return cls(**options)
        if "strategies" in options:
            raise UsageError(
                "strategies are given both in brackets and as an option: give them once."
            )
        return cls([_read_strategy(each) for each in term.arguments], **options)

    def to_spec(self) -> str:
        """Return the spec string."""
        names = tuple(format_spec(each) for each in self.strategies)
        arguments = () if names == STRATEGIES else tuple(map(parse_spec, names))
        defaults = {"rounds": 3, "subsets": 4, "share": 0.5, "coverage": COVERAGE}
        options = [
            (name, getattr(self, name))
            for name, default in defaults.items()
            if getattr(self, name) != default
        ]
        return format_term(Term(self.name, arguments, tuple(options)))

    def choose_unique(self, pool: Pool, n: int, rng: np.random.Generator) -> UniquePicks:
        """Filter the pool, then cover the rest."""
        usable = [each for each in self.strategies if _takes_part(each, pool)]
        left = self._filtered(pool, usable or self.strategies, n, rng)  # (k,)
        found = get_strategy(self.coverage).select(pool.restricted(left), n, rng)
        return UniquePicks(
            pool.index.find(found.rows),
            found.scores,
            {
                **found.diagnostics,
                "left": float(left.size),
                "strategies": ", ".join(map(str, usable)),
            },
        )

    def _filtered(
        self, pool: Pool, usable: Sequence[Strategy], n: int, rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return the rows that are left after the rounds, at least `n`."""
        left = pool.index.rows[~pool.unique_labelled]  # (k,)
        for _ in range(self.rounds):
            if left.size <= n:
                break
            size = max(2 * n, min(round(self.share * left.size), LARGEST))
            size = min(size, left.size)
            batches = []
            for _ in range(self.subsets):
                subset = pool.restricted(rng.choice(left, size, replace=False, shuffle=False))
                batches += [each.select(subset, n, rng).rows for each in usable]
            union = np.unique(np.concatenate(batches))
            if union.size < n:  # the strategies stopped early
                break
            left = union
        return left


def _takes_part(strategy: Strategy, pool: Pool) -> bool:
    """Return whether the pool has the labels, predictions and head that a strategy needs."""
    if strategy.needs_labels and not (pool.has_labels and pool.has_predictions):
        return False
    return pool.has_head or not strategy.needs_head


def _read_strategy(given: Any) -> Strategy:
    """Return the strategy of an argument in brackets."""
    if not isinstance(given, Term):
        shown = format_term(Term("", (given,)))[1:-1]
        raise UsageError(f"{shown!r} is not a strategy: write refine(margin, typiclust).")
    strategy: Strategy = build(strategies, given)
    return strategy


def _check_distinct(given: tuple[Strategy, ...]) -> None:
    names = [str(each) for each in given]
    if not names:
        raise UsageError("refine has no strategies: give at least one, as in refine(margin).")
    for at, name in enumerate(names):
        if name in names[:at]:
            raise UsageError(f"refine has the strategy {name} twice: give it once.")
