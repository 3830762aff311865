"""Heads with exact incremental updates."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import one_blas_thread
from ..errors import UsageError
from ._arrays import Array, Codes, Float64
from ._embedding_head import EmbeddingHead, LinearHead
from ._held_out import capped_temperature
from ._labelled import Labelled, Sample, join_classes
from ._moments import Moments, expand_classes, joined, moments_of

PRIOR_ROWS = 5.0
"""Weight, in rows, of the prior whose most probable temperature is 1."""

DEFAULT_TEMPERATURE = 0.12
"""Temperature if no row can be left out, as a share of the mean logit gap between class means."""


class ExactHead(EmbeddingHead):
    """A head for which `partial_fit` on batches, in any order, equals one `fit` to all rows.

    A subclass adds a batch to its state in `_learn`, and keeps a `Sample` of the rows for
    leave-one-out evaluation.
    """

    exact_on_streams: ClassVar[bool] = True

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to (n, d) labelled rows; see `SimpleHead.fit`."""
        batch = self._read(X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        return self._learn(batch, batch.codes, None)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Add further rows: the result equals one `fit` to all rows.

        `classes` are all possible labels; None allows any label. A class has probability 0 until
        a row has its label.

        Raises
        ------
        LabelError
            For the same reasons as `SimpleHead.fit`, or if a label is not among `classes`.
        UsageError
            If `class_weight` is ``"balanced"``: the balance would change with every row.
        """
        if isinstance(self.class_weight, str):
            raise UsageError(
                "class_weight='balanced' does not work with partial_fit: "
                "give weights by label, or call fit with all rows."
            )
        if not hasattr(self, "classes_"):
            batch = self._read(X, y, sample_weight, reset=True)
            self.classes_ = join_classes(None, batch.classes, classes)
            at = np.searchsorted(self.classes_, batch.classes)
            return self._learn(batch, at[batch.codes], None)
        batch = self._read(X, y, sample_weight, reset=False)
        known = self.classes_
        self.classes_ = join_classes(known, batch.classes, classes)
        at = np.searchsorted(self.classes_, known)  # (number of known classes,)
        codes = np.searchsorted(self.classes_, batch.classes)[batch.codes]
        return self._learn(batch, codes, at)

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        """Add a batch and recompute the head.

        `codes` are the (m,) classes of the batch as positions in `classes_`. `at` are the
        positions of the classes of earlier batches; None for a new head.
        """
        raise NotImplementedError

    def _log_weights(self) -> Float64:
        """Return the (K,) shifts of the log-odds that the class weights cause."""
        return np.zeros(len(self.classes_))

    def _calibrate(
        self,
        left_out: Float64,  # (m, K) logits of the sample's rows, each from a fit without that row
        scale: float,  # initial temperature
        counts: Float64,  # (K,) total weights of the rows of each class
        sample: Sample,
        scored: NDArray[np.intp],  # from `scorable`
    ) -> Float64:
        """Set temperature and accuracy; return the (K,) logit shifts that class weights cause."""
        present = counts > 0.0  # (K,)
        logits = left_out[scored][:, present]  # (s, P)
        codes = (np.cumsum(present) - 1)[sample.codes[scored]]
        weights = sample.weights[scored]
        share = capped_temperature(
            logits / scale, codes, weights, sample.weights.sum(), prior_rows=PRIOR_ROWS
        )
        self.temperature_ = share * scale
        shift = self.temperature_ * self._log_weights()  # (K,)
        self._evaluate(logits + shift[present] if len(scored) else None, codes)
        return shift

    def _keep_sample(self, sample: Sample) -> None:
        self.sample_rows_ = sample.rows
        self.sample_codes_ = sample.codes
        self.sample_weights_ = sample.weights
        self.sample_digests_ = sample.digests
        self.sample_complete_ = sample.complete

    def _sample(self) -> Sample:
        return Sample(
            self.sample_rows_,
            self.sample_codes_,
            self.sample_weights_,
            self.sample_digests_,
            self.sample_complete_,
        )


class LinearFit(NamedTuple):
    """The result of `StreamingHead._solve`."""

    coef: Float64
    """(K, d)."""
    intercept: Float64
    """(K,); minus infinity for a class without rows."""
    left_out: Float64
    """(m, K) logits of the sample's rows, each from a fit without that row."""
    scale: float
    """Initial temperature for the fit of the temperature."""


class StreamingHead(ExactHead, LinearHead):
    """A linear head computed from `Moments`.

    For up to 2,000 distinct rows, all orders and batches give the same weights to the last bit. A
    subclass computes the features of rows in `_features`, and the weights in `_solve`.
    """

    _needs_scatter = True

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        """Return the weights; hyper-parameters are chosen on the `scored` rows of the sample."""
        raise NotImplementedError

    def _features(self, rows: Array) -> Array:
        """Return the (m, f) features of (m, d) scaled rows."""
        return rows

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        moments, before = None, None
        sample = Sample.of(batch, codes)
        if at is not None:
            moments = expand_classes(self._moments(), at, len(self.classes_))
            before = self._sample().renumbered(at)
            sample = before.joined(sample)
        with one_blas_thread():
            seen = replace(sample, rows=self._features(sample.rows))  # (m, f)
        moments = self._add(batch, codes, moments, before, seen)
        self._keep_moments(moments)
        self._keep_sample(sample)
        with one_blas_thread():
            self._compute(moments, seen)
        return self

    def _add(
        self,
        batch: Labelled,
        codes: Codes,
        moments: Moments | None,  # of the rows before the batch
        before: Sample | None,  # of the rows before the batch
        seen: Sample,  # of all rows, with features in place of vectors
    ) -> Moments:
        """Return the moments after the batch; without scatter if the sample is complete."""
        n_classes = len(self.classes_)
        if seen.complete:
            return moments_of(seen.rows, seen.codes, seen.weights, n_classes, scatter=False)

        def compute(rows: Array, codes: Codes, weights: Float64) -> Moments:
            return moments_of(
                rows,
                codes,
                weights,
                n_classes,
                scatter=self._needs_scatter,
                features=self._features,
            )

        new = compute(batch.rows, codes, batch.weights)
        if moments is None or before is None:
            return new
        if self._needs_scatter and moments.scatter is None:
            moments = compute(before.rows, before.codes, before.weights)
        return joined(moments, new)

    def _compute(self, moments: Moments, seen: Sample) -> None:
        scored = scorable(seen, moments.counts)
        fit = self._solve(moments, seen, scored)
        shift = self._calibrate(fit.left_out, fit.scale, moments.counts, seen, scored)
        self.coef_ = fit.coef
        self.intercept_ = np.where(moments.counts > 0.0, fit.intercept, -np.inf) + shift

    def _keep_moments(self, moments: Moments) -> None:
        self.class_count_ = moments.counts
        self.means_ = moments.means
        self.scatter_ = moments.scatter

    def _moments(self) -> Moments:
        return Moments(self.class_count_, self.means_, self.scatter_)


def scorable(sample: Sample, counts: Float64) -> NDArray[np.intp]:
    """Return the rows whose class has further rows, so that they can be left out."""
    if (counts > 0.0).sum() == 1:  # with one class, no accuracy can be computed
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(counts[sample.codes] > sample.weights * (1.0 + 1e-9))
