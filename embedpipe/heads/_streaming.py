"""Heads that are worked out from sums over the rows, and so can learn a stream exactly."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import one_blas_thread
from ..errors import UsageError
from ._calibration import fit_temperature
from ._embedding_head import LinearHead
from ._inputs import Codes, Labelled, join_classes, read_labelled
from ._moments import Moments, joined, moments_of, widened
from ._sample import Sample
from ._weights import Float64, check_class_weight

PRIOR_ROWS = 5.0
"""As many rows say that the temperature is 1, while there are few that say anything."""


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


class StreamingHead(LinearHead):
    """A linear head that is a function of `Moments`, and judges itself by leaving rows out.

    Fitting is learning from the first rows, so `fit` on all rows and `partial_fit` on parts of
    them, in any order, give the same weights but for rounding, and for up to 2,000 distinct rows
    the same to the last bit. A subclass says in `_solve` what the weights are.
    """

    class_weight: Any
    _needs_scatter = True

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from labelled rows.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) numbers of at least 0: how many equal rows each stands for. Default: 1 each.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, or a row holds NaN or infinity.
        UsageError
            If a parameter has no meaning.
        """
        batch = self._read(X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        return self._learn(batch, batch.codes, None, None)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from further rows, as if they had been there from the start.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. New classes may appear in any call.
        classes
            All labels that may ever come, where that is known; they have probability 0 until a
            row has them.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        LabelError
            As `fit`; also if a label is not among `classes`.
        UsageError
            If `class_weight` is ``"balanced"``: the balance would change with every row.
        """
        if isinstance(self.class_weight, str):
            raise UsageError(
                "class_weight='balanced' cannot be kept up from call to call: "
                "give weights by label, or fit again to all rows."
            )
        if not hasattr(self, "classes_"):
            batch = self._read(X, y, sample_weight, reset=True)
            self.classes_ = join_classes(None, batch.classes, classes)
            at = np.searchsorted(self.classes_, batch.classes)
            return self._learn(batch, at[batch.codes], None, None)
        batch = self._read(X, y, sample_weight, reset=False)
        known = self.classes_
        self.classes_ = join_classes(known, batch.classes, classes)
        at = np.searchsorted(self.classes_, known)  # (K before,)
        moments = widened(self._moments(), at, len(self.classes_))
        codes = np.searchsorted(self.classes_, batch.classes)[batch.codes]
        return self._learn(batch, codes, moments, self._sample().renumbered(at))

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> Solution:
        """Return the weights; may set further attributes. `scored` rows count in choices."""
        raise NotImplementedError

    def _log_weights(self) -> Float64:
        """Return what is added to the log-odds of the (K,) classes."""
        return np.zeros(len(self.classes_))

    def _check_parameters(self) -> None:
        """Refuse parameters without meaning."""
        check_class_weight(self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        self._check_parameters()
        return read_labelled(
            self,
            X,
            y,
            sample_weight,
            class_weight=self.class_weight,
            normalize=self.normalize,
            reset=reset,
        )

    def _learn(
        self, batch: Labelled, codes: Codes, moments: Moments | None, sample: Sample | None
    ) -> Self:
        """Add a batch to what is known, and work the weights out again."""
        with one_blas_thread():
            new = Sample.of(batch, codes)
            sample_now = new if sample is None else sample.joined(new)
            moments_now = self._add(batch, codes, moments, sample, sample_now)
            self._keep(moments_now, sample_now)
            self._work_out(moments_now, sample_now)
        return self

    def _add(
        self,
        batch: Labelled,
        codes: Codes,
        moments: Moments | None,
        sample: Sample | None,
        sample_now: Sample,
    ) -> Moments:
        """Return the moments with the batch; the scatter only once the sample is not everything."""
        n_classes = len(self.classes_)
        if sample_now.complete:
            return moments_of(
                sample_now.rows, sample_now.codes, sample_now.weights, n_classes, scatter=False
            )
        scatter = self._needs_scatter
        new = moments_of(batch.rows, codes, batch.weights, n_classes, scatter=scatter)
        if moments is None or sample is None:
            return new
        if scatter and moments.scatter is None:
            moments = moments_of(sample.rows, sample.codes, sample.weights, n_classes, scatter=True)
        return joined(moments, new)

    def _work_out(self, moments: Moments, sample: Sample) -> None:
        present = moments.counts > 0.0  # (K,)
        others = moments.counts[sample.codes] > sample.weights * (1.0 + 1e-9)  # (m,)
        scored = np.flatnonzero(others)
        if present.sum() == 1:
            scored = scored[:0]  # one class: there is nothing to tell apart
        found = self._solve(moments, sample, scored)
        self.coef_ = found.coef
        self.intercept_ = np.where(present, found.intercept, -np.inf)
        logits = found.left_out[scored][:, present]  # (s, P)
        codes = (np.cumsum(present) - 1)[sample.codes[scored]]
        share = fit_temperature(
            logits / found.scale, codes, sample.weights[scored], prior_rows=PRIOR_ROWS
        )
        self.temperature_ = share * found.scale
        shift = self.temperature_ * self._log_weights()  # (K,)
        self.intercept_ += shift
        logits = logits + shift[present]
        self._judge(logits if len(scored) else None, codes)

    def _keep(self, moments: Moments, sample: Sample) -> None:
        self.class_count_ = moments.counts
        self.means_ = moments.means
        self.scatter_ = moments.scatter
        self.sample_rows_ = sample.rows
        self.sample_codes_ = sample.codes
        self.sample_weights_ = sample.weights
        self.sample_digests_ = sample.digests
        self.sample_complete_ = sample.complete

    def _moments(self) -> Moments:
        return Moments(self.class_count_, self.means_, self.scatter_)

    def _sample(self) -> Sample:
        return Sample(
            self.sample_rows_,
            self.sample_codes_,
            self.sample_weights_,
            self.sample_digests_,
            self.sample_complete_,
        )
