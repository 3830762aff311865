"""A few of the rows that a head has learned from, kept to judge it by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._inputs import Codes, Float32, Labelled
from ._weights import Float64

SAMPLE_ROWS = 2000
"""How many distinct rows are kept: 10 MB at 1,280 dimensions."""


@dataclass(frozen=True)
class Sample:
    """The distinct rows of the lowest digests: whatever the order and splits, the same rows.

    A row once let go is never missed later, as the highest digest kept only falls; so the weights
    of those kept are whole.

    Attributes
    ----------
    rows, codes, weights, digests
        As in `Labelled`: (m, d) float32, (m,), (m,), (m,) uint64, sorted by class, then digest.
    complete
        Whether every row is here.
    """

    rows: Float32
    codes: Codes
    weights: Float64
    digests: NDArray[np.uint64]
    complete: bool

    @classmethod
    def of(cls, batch: Labelled, codes: Codes, limit: int = SAMPLE_ROWS) -> Sample:
        """Take what is to be kept of a batch; `codes` are its classes as the head numbers them."""
        whole = cls(batch.rows, codes, batch.weights, batch.digests, True)
        return whole._cut(limit)

    def joined(self, other: Sample, limit: int = SAMPLE_ROWS) -> Sample:
        """Return the sample of the rows that both were taken from."""
        digests = np.concatenate([self.digests, other.digests])
        codes = np.concatenate([self.codes, other.codes])
        weights = np.concatenate([self.weights, other.weights])
        order = np.lexsort((digests, codes))
        codes, digests = codes[order], digests[order]
        new = np.append(True, (np.diff(codes) != 0) | (digests[1:] != digests[:-1]))
        first = np.flatnonzero(new)
        whole = Sample(
            np.concatenate([self.rows, other.rows])[order[first]],
            codes[first],
            np.add.reduceat(weights[order], first),
            digests[first],
            self.complete and other.complete,
        )
        return whole._cut(limit)

    def renumbered(self, at: NDArray[np.intp]) -> Sample:
        """Return the sample with the class k called ``at[k]``, which keeps their order."""
        return Sample(self.rows, at[self.codes], self.weights, self.digests, self.complete)

    def only(self, kept: NDArray[np.intp]) -> Sample:
        """Return what the sample holds at the positions `kept`, ascending."""
        return Sample(
            self.rows[kept], self.codes[kept], self.weights[kept], self.digests[kept], False
        )

    def _cut(self, limit: int) -> Sample:
        if len(self.rows) <= limit:
            return self
        return self.only(np.sort(np.lexsort((self.codes, self.digests))[:limit]))
