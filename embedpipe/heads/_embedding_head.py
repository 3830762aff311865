"""What the heads have in common when they predict: blocks of rows, a temperature, a softmax."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._threads import map_blocks
from ._held_out import expected_calibration_error
from ._labelled import Labelled, read_labelled, validated
from ._parameters import check_class_weight
from ._rows import Array, Codes, Float64, lengths, refuse_non_finite
from ._softmax import softmax

BLOCK_ROWS = 4096
"""Rows that a thread scores at a time."""


class EmbeddingHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that turns logits of finite rows into probabilities.

    A subclass has the parameters `normalize` and `class_weight`, sets `classes_` and
    `temperature_`, and computes the logits of a block of rows in `_logits`.
    """

    accepts_new_classes: ClassVar[bool] = True
    block_rows: ClassVar[int] = BLOCK_ROWS
    classes_: NDArray[Any]
    class_weight: Any
    normalize: bool
    temperature_: float

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X
            (n, d) numbers, memory-mapped or not.

        Returns
        -------
        ndarray
            (n, K), float32 if `X` is float32 and float64 otherwise; rows sum to one.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        probabilities = np.empty((len(rows), len(self.classes_)), dtype=dtype)

        def work(part: slice) -> None:
            block = rows[part]
            logits = self._logits(block, dtype, part.start)  # (b, K)
            logits /= logits.dtype.type(self.temperature_)
            probabilities[part] = softmax(logits)

        map_blocks(work, len(rows), self.block_rows)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X
            (n, d) numbers, memory-mapped or not.

        Returns
        -------
        ndarray
            (n,) entries of `classes_`; the first in their order on a tie.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return new (b, K) logits of a block of rows, which are numbered from `offset` on."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        """Refuse parameters without meaning."""
        check_class_weight(self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        self._check_parameters()
        return read_labelled(self, X, y, sample_weight, reset=reset)

    def _scaled(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return a block of rows as the head uses them, in `dtype`; refuse rows not finite."""
        refuse_non_finite(rows, offset)
        if not self.normalize:
            return np.asarray(rows, dtype=dtype)
        return np.asarray(rows / lengths(rows)[:, None], dtype=dtype)

    def _evaluate(
        self, logits: Float64 | None, codes: Codes, weights: Float64 | None = None
    ) -> None:
        """Set accuracy and calibration from (m, K) held-out logits; None if there are none."""
        self.cv_accuracy_: float | None = None
        self.cv_ece_: float | None = None
        self.cv_n_: int | None = 0 if logits is None else len(codes)
        if logits is None or not len(codes):
            return
        right = logits.argmax(axis=1) == codes
        self.cv_accuracy_ = float(np.average(right, weights=weights))
        self.cv_ece_ = expected_calibration_error(softmax(logits / self.temperature_), codes)


class LinearHead(EmbeddingHead):
    """A head whose logits are products with `coef_`, (K, d), plus `intercept_`, (K,)."""

    block_rows = 8192
    coef_: Float64
    intercept_: Float64

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        # Class by class in memory, where the softmax is fastest; scaled after the product, which
        # spares a copy of the rows.
        coef: Array = self.coef_.astype(dtype)  # (K, d)
        with np.errstate(invalid="ignore", over="ignore"):  # looked at on the next line
            logits: Array = coef @ rows.astype(dtype, copy=False).T  # (K, b)
        if not np.isfinite(logits).all():  # rows not finite, or so long that the products were not
            logits = coef @ self._scaled(rows, dtype, offset).T
        elif self.normalize:
            logits /= lengths(rows).astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype)[:, None]).T  # (b, K)
