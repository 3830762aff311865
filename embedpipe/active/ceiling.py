"""The oracle ceiling: a reference that chooses each batch by the true labels of unlabelled rows.

No strategy can do this. A strategy receives a `Pool`, which has the labels of the labelled rows
only. The ceiling is therefore not a `Strategy` and not in the registry: `Rounds` calls it with the
oracle, and only for a loop with the option ``oracle_ceiling``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.fitting import Batch, Trainer, joined, probabilities_of
from ..strategies import Pool, Selection, Strategy, get_strategy
from .oracle import SimulatedOracle

__all__ = ["CEILING", "OracleCeiling"]

CEILING = "oracle ceiling"
"""Name of the ceiling in records and tables; it is not a spec string."""

STRATEGIES = (
    "random",
    "margin",
    "badge",
    "coreset",
    "typiclust",
    "max_herding",
    "uncertainty_herding",
    "doubtful_coverage",
    "dropquery",
    "alfamix",
)
"""Strategies that draw the candidate batches."""

BATCHES = 100
"""Number of candidate batches per round."""

LEAST_BATCHES_PER_SUBSET, LARGEST_SUBSET = 4, 2_500
"""Minimum rows of a random subset as a multiple of the batch, and its maximum rows."""

HELD_OUT = 2_000
"""Maximum rows on which the batches are compared."""


@dataclass(frozen=True)
class _Candidate:
    """A candidate batch, and the spec string of the strategy that drew it."""

    rows: NDArray[np.int64]
    strategy: str


class OracleCeiling:
    """Chooses the best of about 100 candidate batches by the true labels of the candidates.

    Ten strategies draw candidate batches from random subsets of the unlabelled rows; strategies
    that need labels take no part in the first round. For each batch, a new head is trained on all
    labels so far and the true labels of the batch. Its gain is the increase of the accuracy on at
    most 2,000 random unlabelled rows outside the batch. The batch with the largest gain is
    chosen; of equal gains, the first.

    The test rows are not used, so their accuracy is an honest measure of the chosen batches. The
    ceiling is a reference, not an upper bound: a better batch can exist outside the candidates, and
    the gain on the candidates can differ from the gain on the test rows.

    Notes
    -----
    The paper compares the batches on a separate test set; a pool of unlabelled images has none, so
    the other candidates are used here. A batch is left out of its own comparison, before and after
    the training. Otherwise, a batch of wrongly predicted rows would gain without any effect on
    other rows. A head that chooses its ``C`` keeps the current C while batches are compared.

    References
    ----------
    Huseljic et al. (2026), "BoSS: a best-of-strategies selector as an oracle for deep active
    learning", arXiv:2603.13109.
    """

    def __init__(self, oracle: SimulatedOracle, trainer: Trainer) -> None:
        self._oracle, self._trainer = oracle, trainer

    @staticmethod
    def config() -> dict[str, Any]:
        """Return everything that determines the choice, as plain JSON."""
        return {"strategies": list(STRATEGIES), "batches": BATCHES, "held_out": HELD_OUT}

    def choose(
        self, pool: Pool, n: int, batches: list[Batch], rng: np.random.Generator
    ) -> Selection:
        """Return the best batch of `n` rows; `batches` are the labels so far."""
        held_out = pool.unlabelled  # (h,)
        if held_out.size > HELD_OUT:
            held_out = rng.choice(held_out, HELD_OUT, replace=False)
        truth = self._oracle.every_label(held_out)  # (h,)
        head = pool.head if pool.has_head else None
        before = self._right(head, held_out, truth)  # (h,)
        candidates = _drawn(pool, n, rng)
        gains = []
        for each in candidates:
            after = self._right(self._fitted(head, batches, each.rows), held_out, truth)  # (h,)
            outside = ~np.isin(held_out, each.rows)  # (h,)
            gains.append(float((after - before)[outside].sum() / max(outside.sum(), 1)))
        best = int(np.argmax(gains))
        chosen = candidates[best]
        return Selection(
            chosen.rows,
            np.full(chosen.rows.size, gains[best], np.float32),
            {"gain": gains[best], "drawn_by": chosen.strategy, "batches": float(len(candidates))},
        )

    def _fitted(self, head: Any, batches: list[Batch], rows: NDArray[np.int64]) -> Any:
        """Return a new head, trained on the labels so far and the true labels of the rows."""
        batch = Batch(rows, self._oracle.every_label(rows))
        strength = getattr(head, "C_", None)
        known = {} if strength is None or not hasattr(head, "C") else {"C": strength}
        return self._trainer.fit(self._trainer.fresh(**known), joined([*batches, batch]))

    def _right(
        self, head: Any, rows: NDArray[np.int64], truth: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return 1 for each right prediction and 0 for each wrong one; 0 without a head."""
        if head is None:
            return np.zeros(rows.size)
        predicted = probabilities_of(head, self._trainer.matrix, rows).argmax(axis=1)  # (h,)
        right: NDArray[np.bool_] = np.asarray(head.classes_)[predicted] == truth
        return right.astype(np.float64)


def _drawn(pool: Pool, n: int, rng: np.random.Generator) -> list[_Candidate]:
    """Return the distinct candidate batches, in the order in which they were drawn."""
    usable = [
        strategy
        for strategy in map(get_strategy, STRATEGIES)
        if pool.has_predictions or not strategy.needs_labels
    ]
    found: dict[bytes, _Candidate] = {}
    for number in range(BATCHES):
        strategy: Strategy = usable[number % len(usable)]
        subset = _subset(pool.unlabelled, n, rng)
        rows = strategy.select(pool.restricted(subset), n, rng).rows
        found.setdefault(np.sort(rows).tobytes(), _Candidate(rows, str(strategy)))
    return list(found.values())


def _subset(rows: NDArray[np.int64], n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random part of the rows; the logarithm of its size is uniformly distributed."""
    most = min(rows.size, max(LARGEST_SUBSET, n))
    least = min(LEAST_BATCHES_PER_SUBSET * n, most)
    size = round(float(np.exp(rng.uniform(np.log(least), np.log(most)))))
    return rng.choice(rows, size, replace=False, shuffle=False)
