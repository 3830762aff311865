"""Heads for which rows that come in parts give the same head as rows that come at once."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import one_blas_thread
from ..errors import UsageError
from ._embedding_head import EmbeddingHead, LinearHead
from ._held_out import cautious_temperature
from ._labelled import Labelled, Sample, join_classes
from ._moments import Moments, joined, moments_of, widened
from ._rows import Array, Codes, Float64

PRIOR_ROWS = 5.0
"""Weight of the prior at temperature 1, in rows."""

CLEAR = 0.12
"""Temperature where no row can be left out, as a share of the mean gap between class means.

A gap is a difference of logits. With one label a class, confidence is then near the accuracy.
"""


class ExactHead(EmbeddingHead):
    """A head with exact incremental updates.

    `fit` on all rows and `partial_fit` on parts of them, in any order, give the same head but for
    rounding. A subclass adds a batch to its state in `_learn`. Each keeps a `Sample` of the rows,
    which it uses to evaluate itself.
    """

    exact_on_streams: ClassVar[bool] = True

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from labelled rows.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) numbers of at least 0: how many equal rows each stands for; 1 each when None.

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
        return self._learn(batch, batch.codes, None)

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
            All labels that may ever come, if known; they have probability 0 until a row has them.

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
            return self._learn(batch, at[batch.codes], None)
        batch = self._read(X, y, sample_weight, reset=False)
        known = self.classes_
        self.classes_ = join_classes(known, batch.classes, classes)
        at = np.searchsorted(self.classes_, known)  # (K before,)
        codes = np.searchsorted(self.classes_, batch.classes)[batch.codes]
        return self._learn(batch, codes, at)

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        """Add a batch, and compute the head anew.

        `codes` are the (m,) classes of the batch as positions in `classes_`, and `at` the
        (K before,) positions of the earlier classes; None if the head starts anew.
        """
        raise NotImplementedError

    def _log_weights(self) -> Float64:
        """Return the (K,) numbers to add to the log-odds of the classes."""
        return np.zeros(len(self.classes_))

    def _temper(
        self,
        left_out: Float64,  # (m, K) logits of each row of the sample, from a fit without it
        scale: float,  # the temperature that a model of the rows expects
        counts: Float64,  # (K,) the weights of the classes
        sample: Sample,
        scored: NDArray[np.intp],  # from `scorable`
    ) -> Float64:
        """Set temperature and evaluation; return the (K,) shifts of the logits by class weight."""
        present = counts > 0.0  # (K,)
        logits = left_out[scored][:, present]  # (s, P)
        codes = (np.cumsum(present) - 1)[sample.codes[scored]]
        weights = sample.weights[scored]
        share = cautious_temperature(
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
    """Weights computed from moments."""

    coef: Float64
    """(K, d)."""
    intercept: Float64
    """(K,); minus infinity for a class without rows."""
    left_out: Float64
    """(m, K) the logits of each row of the sample, from a fit without it."""
    scale: float
    """The temperature that a model of the rows expects."""


class StreamingHead(ExactHead, LinearHead):
    """A linear head that is a function of `Moments`, evaluated by leaving rows out.

    For up to 2,000 distinct rows, all orders and splits give the same weights to the last bit. A
    subclass computes the weights in `_solve`, for the features of rows in `_features`.
    """

    _needs_scatter = True

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        """Return the weights; may set further attributes. Choices use the `scored` rows."""
        raise NotImplementedError

    def _features(self, rows: Array) -> Array:
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
            self._compute(moments, seen)
        return self

    def _add(
        self,
        batch: Labelled,
        codes: Codes,
        moments: Moments | None,
        before: Sample | None,
        seen: Sample,
    ) -> Moments:
        """Return the moments with the batch; with scatter only if the sample is not complete.

        `moments` and `before`, a sample of rows, are without the batch; `seen`, a sample of
        features, is with it.
        """
        n_classes = len(self.classes_)
        if seen.complete:
            return moments_of(seen.rows, seen.codes, seen.weights, n_classes, scatter=False)

        def of(rows: Array, codes: Codes, weights: Float64) -> Moments:
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

    def _compute(self, moments: Moments, seen: Sample) -> None:
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


def scorable(sample: Sample, counts: Float64) -> NDArray[np.intp]:
    """Return the rows of the sample that can be left out: their class has others.

    None can where there is one class, as there is nothing to tell apart.
    """
    if (counts > 0.0).sum() == 1:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(counts[sample.codes] > sample.weights * (1.0 + 1e-9))
