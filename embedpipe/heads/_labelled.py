"""Labelled rows as the logistic solvers take them: scaled, distinct, in an order of their own."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._folds import canonical_order, row_digests
from ._matrix import Array, Rows, gathered
from ._rows import lengths
from ._softmax import Codes, losses_and_residuals

ORDINARY = (1e-8, 1e8)
"""Entries whose squares, summed, are safe in float32."""


class Labelled(NamedTuple):
    """Labelled rows: however they were listed, the same arrays.

    Equal rows of a class are one row that counts as many times; rows of weight 0 are gone.

    Attributes
    ----------
    rows
        The n distinct rows as the solvers multiply them.
    codes
        (n,) class numbers, ascending.
    n_classes
        K, which may be more than the codes show.
    counts
        (n,) how much each row counts; 1 each when None.
    digests
        (n,) uint64, of the content of the rows.
    """

    rows: Rows
    codes: Codes
    n_classes: int
    counts: Array | None
    digests: NDArray[np.uint64]

    @property
    def total(self) -> float:
        """How many rows there are, as they count."""
        return float(len(self.codes)) if self.counts is None else float(self.counts.sum())

    def mean_loss(self, weights: Array, intercepts: Array) -> float:
        """Return the mean log-loss of (K, d) weights and (K,) intercepts for centred rows."""
        dtype = self.rows.values.dtype
        logits = self.rows.times(weights.astype(dtype)) + intercepts.astype(dtype)[:, None]
        counts = None if self.counts is None else self.counts.astype(dtype)
        losses = losses_and_residuals(logits, self.codes, counts)  # (n,)
        return float(losses.sum(dtype=np.float64)) / self.total

    def energy(self) -> float:
        """Return the total times the variance of the rows."""
        values, mean = self.rows
        counts = np.ones(len(values)) if self.counts is None else self.counts
        squares = np.einsum("nd,nd->n", values, values).astype(np.float64)
        raw = float((counts * squares).sum())
        shift = self.rows.pull(counts[None].astype(values.dtype))[0].astype(np.float64)  # (d,)
        average = shift / counts.sum() + mean
        energy = raw - float(counts.sum()) * float((average * average).sum())
        return energy if energy > 1e-6 * raw else 0.0


def arranged(
    values: NDArray[Any],
    codes: Codes,
    n_classes: int,
    weights: Array | None,
    *,
    normalize: bool,
    precise: bool,
) -> Labelled:
    """Bring finite rows into their own order, scaled, equal ones of a class made one.

    Parameters
    ----------
    values
        (n, d) floating-point numbers.
    codes
        (n,) class numbers.
    n_classes
        K.
    weights
        (n,) how much each row counts, or None.
    normalize
        Whether rows are scaled to unit length.
    precise
        Whether they stay in float64; else they become float32, if that can hold them.
    """
    if weights is not None and not weights.all():
        kept = np.flatnonzero(weights)
        values, codes, weights = values[kept], codes[kept], weights[kept]
    digests = row_digests(values)
    order = canonical_order(digests, codes)
    codes, digests = codes[order], digests[order]
    new = np.append(True, (np.diff(codes) != 0) | (digests[1:] != digests[:-1]))  # (n,)
    counts = None if weights is None else weights[order]
    if not new.all():
        first = np.flatnonzero(new)
        counts = np.add.reduceat(np.ones(len(codes)) if counts is None else counts, first)
        order, codes, digests = order[first], codes[first], digests[first]
    dtype = np.float64 if precise or not (normalize or _ordinary(values)) else np.float32
    scale = lengths(values) if normalize else None
    return Labelled(gathered(values, order, scale, dtype), codes, n_classes, counts, digests)


def _ordinary(values: NDArray[Any]) -> bool:
    largest = float(np.abs(values).max(initial=0.0))
    return largest == 0.0 or ORDINARY[0] < largest < ORDINARY[1]
