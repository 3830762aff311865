"""Heads that are worked out from sums over the rows, and so can learn a stream exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from ._embedding_head import LinearHead
from ._exact_head import ExactHead, scorable
from ._inputs import Codes, Labelled
from ._moments import Moments, Rows, joined, moments_of, widened
from ._sample import Sample
from ._weights import Float64


class Solution(NamedTuple):
    """Weights worked out from moments.

    Attributes
    ----------
    coef
        (K, d) float64.
    intercept
        (K,) float64; minus infinity for a class without rows.
    left_out
        (m, K) float64: the logits of each row of the sample, without that row in the fit.
    scale
        The temperature that a model of the rows expects.
    """

    coef: Float64
    intercept: Float64
    left_out: Float64
    scale: float


class StreamingHead(ExactHead, LinearHead):
    """A linear head that is a function of `Moments`, and judges itself by leaving rows out.

    For up to 2,000 distinct rows, all orders and splits give the same weights to the last bit. A
    subclass says in `_solve` what the weights are, and in `_features` what they are for.
    """

    _needs_scatter = True

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> Solution:
        """Return the weights; may set further attributes. `scored` rows count in choices."""
        raise NotImplementedError

    def _features(self, rows: Rows) -> Rows:
        """Return the (m, f) features that the weights are for, of (m, d) scaled rows."""
        return rows

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        moments, before = None, None
        sample = Sample.of(batch, codes)
        if at is not None:
            moments = widened(self._moments(), at, len(self.classes_))
            before = self._sample().renumbered(at)
            sample = before.joined(sample)
        with one_blas_thread():
            seen = replace(sample, rows=self._features(sample.rows))  # (m, f)
        moments = self._add(batch, codes, moments, before, seen)
        self._keep_moments(moments)
        self._keep_sample(sample)
        with one_blas_thread():
            self._work_out(moments, seen)
        return self

    def _add(
        self,
        batch: Labelled,
        codes: Codes,
        moments: Moments | None,
        before: Sample | None,
        seen: Sample,
    ) -> Moments:
        """Return the moments with the batch; the scatter only once the sample is not everything.

        `moments` and `before`, a sample of rows, are those without the batch; `seen` is a sample
        of features, with it.
        """
        n_classes = len(self.classes_)
        if seen.complete:
            return moments_of(seen.rows, seen.codes, seen.weights, n_classes, scatter=False)

        def of(rows: Rows, codes: Codes, weights: Float64) -> Moments:
            return moments_of(
                rows,
                codes,
                weights,
                n_classes,
                scatter=self._needs_scatter,
                features=self._features,
            )

        new = of(batch.rows, codes, batch.weights)
        if moments is None or before is None:
            return new
        if self._needs_scatter and moments.scatter is None:
            moments = of(before.rows, before.codes, before.weights)
        return joined(moments, new)

    def _work_out(self, moments: Moments, seen: Sample) -> None:
        scored = scorable(seen, moments.counts)
        found = self._solve(moments, seen, scored)
        shift = self._temper(found.left_out, found.scale, moments.counts, seen, scored)
        self.coef_ = found.coef
        self.intercept_ = np.where(moments.counts > 0.0, found.intercept, -np.inf) + shift

    def _keep_moments(self, moments: Moments) -> None:
        self.class_count_ = moments.counts
        self.means_ = moments.means
        self.scatter_ = moments.scatter

    def _moments(self) -> Moments:
        return Moments(self.class_count_, self.means_, self.scatter_)
