"""Nearest neighbours among the labelled rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count, check_number
from .._threads import map_blocks, one_blas_thread
from ._arrays import Array, Codes, Float32, Float64, log_losses
from ._embedding_head import BLOCK_ROWS
from ._exact_head import ExactHead, scorable
from ._held_out import capped_temperature
from ._labelled import SAMPLE_ROWS, Labelled, Sample

GRID = (1, 2, 3, 5, 8, 12, 16, 24, 32)
"""Candidate numbers of neighbours."""

DEFAULT = 5
"""Number of neighbours if no row can be left out."""

MIN_SQUARED_DISTANCE = 1e-6
"""Minimum squared distance, as a share of the squared norm of the nearest row.

A smaller distance is a rounding error.
"""


class KNNHead(ExactHead):
    """Nearest neighbours, weighted by distance and found exactly by FAISS; exact on streams.

    The k nearest labelled rows share k votes in proportion to weight / distance, as with
    scikit-learn's ``weights="distance"``. Further votes, `smoothing` in number, are distributed by
    class frequency, so that no probability is 0.

    Parameters
    ----------
    n_neighbors
        k, or ``"auto"``, which chooses the value with the least leave-one-out log-loss of nine
        values from 1 to 32. If no row can be left out, k is 5.
    smoothing
        Number of votes distributed by class frequency, at least 0.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    n_neighbors_
        The k used.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From leave-one-out evaluation; see `Head`. The logits are log(share of votes).
    rows_, codes_, weights_, digests_
        The labelled rows: (m, d) float32, their classes, weights and digests.

    Notes
    -----
    Equal rows of a class are one neighbour with the sum of their weights. Prediction takes O(m d)
    time for each row, with m labelled rows of length d; `fit` predicts at most 2,000 rows.

    References
    ----------
    Cover, Hart (1967), "Nearest neighbor pattern classification". Johnson, Douze, Jégou (2017),
    "Billion-scale similarity search with GPUs", arXiv:1702.08734.
    """

    def __init__(
        self,
        n_neighbors: int | str = "auto",
        *,
        smoothing: float = 1.0,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.smoothing = smoothing
        self.class_weight = class_weight
        self.normalize = normalize

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        rows = Sample.of(batch, codes, len(codes))
        if at is not None:
            kept = self._kept().renumbered(at)
            rows = kept.joined(rows, len(kept.rows) + len(codes))
        self._keep(rows)
        self._choose(rows)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.n_neighbors != "auto":
            check_count("n_neighbors", self.n_neighbors, alternative="'auto'")
        check_number("smoothing", self.smoothing, least=0)

    def _keep(self, rows: Sample) -> None:
        self.rows_, self.codes_ = rows.rows, rows.codes
        self.weights_, self.digests_ = rows.weights, rows.digests

    def _kept(self) -> Sample:
        return Sample(self.rows_, self.codes_, self.weights_, self.digests_, True)

    def _choose(self, rows: Sample) -> None:
        """Choose the number of neighbours and the temperature by leaving rows out."""
        n_classes = len(self.classes_)
        counts = np.bincount(rows.codes, rows.weights, n_classes).astype(np.float64)  # (K,)
        scored = scorable(rows, counts)
        scored = np.sort(scored[np.argsort(rows.digests[scored], kind="stable")[:SAMPLE_ROWS]])
        most = len(rows.rows)
        wanted = GRID if self.n_neighbors == "auto" else (int(self.n_neighbors),)
        tried = sorted({min(k, max(most - 1, 1)) for k in wanted})
        self.temperature_ = 1.0
        if not len(scored):
            self.n_neighbors_ = min(DEFAULT if self.n_neighbors == "auto" else tried[-1], most)
            self._evaluate(None, rows.codes[:0])
            return
        squared, neighbours = self._left_out(scored, tried[-1])
        codes, weights = rows.codes[scored], rows.weights[scored]
        best = np.inf
        for k in tried:
            logits = self._votes(squared[:, :k], neighbours[:, :k])  # (s, K)
            temperature = capped_temperature(
                logits, codes, weights, rows.weights.sum(), prior_rows=1.0
            )
            losses = log_losses(logits / temperature, codes)  # (s,)
            loss = round(float(weights @ losses / weights.sum()), 4)
            if loss < best:
                best, self.n_neighbors_, self.temperature_ = loss, k, temperature
                self._evaluate(logits, codes)
        if self.n_neighbors != "auto":
            self.n_neighbors_ = min(int(self.n_neighbors), most)

    def _left_out(self, scored: NDArray[np.intp], k: int) -> tuple[Float32, NDArray[np.int64]]:
        """Return (s, k) squared distances and positions of the `k` nearest other rows."""
        squared = np.empty((len(scored), k), dtype=np.float32)
        neighbours = np.empty((len(scored), k), dtype=np.int64)

        def work(part: slice) -> None:
            away, near = self._search(self.rows_[scored[part]], k + 1)  # (b, k + 1)
            own = near == scored[part, None]
            # If more than k other rows equal this row, the search can omit the row itself. Then
            # the last result is dropped.
            own[~own.any(axis=1), -1] = True
            squared[part] = away[~own].reshape(-1, k)
            neighbours[part] = near[~own].reshape(-1, k)

        map_blocks(work, len(scored), BLOCK_ROWS)
        return squared, neighbours

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        scaled = np.asarray(self._scaled(rows, np.float32, offset))
        return self._votes(*self._search(scaled, self.n_neighbors_)).astype(dtype)

    def _search(self, rows: Float32, k: int) -> tuple[Float32, NDArray[np.int64]]:
        """Return (b, k) squared distances and positions of the `k` nearest labelled rows."""
        import faiss

        before = faiss.omp_get_max_threads()  # of the calling thread only
        faiss.omp_set_num_threads(1)
        try:
            with one_blas_thread():
                squared, neighbours = faiss.knn(np.ascontiguousarray(rows), self.rows_, k)
        finally:
            faiss.omp_set_num_threads(before)
        return squared, neighbours

    def _votes(self, squared: Float32, neighbours: NDArray[np.int64]) -> Float64:
        """Return the (b, K) logarithms of the shares of the votes."""
        k, n_classes = neighbours.shape[1], len(self.classes_)
        counts = np.bincount(self.codes_, weights=self.weights_, minlength=n_classes)
        shares = counts / counts.sum()  # (K,)
        norms = np.square(self.rows_[neighbours[:, 0]], dtype=np.float64).sum(axis=1)  # (b,)
        least = np.maximum(MIN_SQUARED_DISTANCE * norms, np.finfo(np.float32).tiny)[:, None]
        own = self.weights_[neighbours] / np.sqrt(np.maximum(squared, least))  # (b, k)
        own *= k / own.sum(axis=1, keepdims=True)
        votes = np.tile(self.smoothing * shares, (len(neighbours), 1))  # (b, K)
        np.add.at(votes, (np.arange(len(neighbours))[:, None], self.codes_[neighbours]), own)
        votes /= k + self.smoothing
        return np.asarray(np.log(np.maximum(votes, np.finfo(np.float32).tiny)))
