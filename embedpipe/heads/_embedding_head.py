"""What the heads have in common when they predict: blocks of rows, a temperature, a softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._threads import map_blocks
from ._calibration import expected_calibration_error
from ._inputs import Codes, validated
from ._rows import lengths, refuse_non_finite
from ._weights import Float64

Array = NDArray[np.floating[Any]]

BLOCK_ROWS = 4096
"""Rows that a thread scores at a time."""


class EmbeddingHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier that turns logits of finite rows into probabilities.

    A subclass has the parameter `normalize`, sets `classes_` and `temperature_`, and says what the
    logits of a block of rows are.
    """

    classes_: NDArray[Any]
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
            probabilities[part] = softmax(logits, self.temperature_)

        map_blocks(work, len(rows), BLOCK_ROWS)
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
        """Return the (b, K) logits of a block whose first row has the number `offset`."""
        raise NotImplementedError

    def _scaled(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return a block of rows as the head sees them, in `dtype`.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        refuse_non_finite(rows, offset)
        if not self.normalize:
            return np.asarray(rows, dtype=dtype)
        return np.asarray(rows / lengths(rows)[:, None], dtype=dtype)

    def _judge(self, logits: Float64 | None, codes: Codes) -> None:
        """Keep what left-out rows say of the head; `logits` are None where no row could be."""
        self.cv_accuracy_: float | None = None
        self.cv_ece_: float | None = None
        self.cv_n_ = 0 if logits is None else len(codes)
        if logits is None or not len(codes):
            return
        probabilities = softmax(logits.copy(), self.temperature_)  # (m, K)
        self.cv_accuracy_ = float((probabilities.argmax(axis=1) == codes).mean())
        self.cv_ece_ = expected_calibration_error(probabilities, codes)


class LinearHead(EmbeddingHead):
    """A head whose logits are products with `coef_`, (K, d), plus `intercept_`, (K,)."""

    coef_: Float64
    intercept_: Float64

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        # Rows are scaled after the product, which spares a copy of them.
        weights: Array = self.coef_.T.astype(dtype)  # (d, K)
        with np.errstate(invalid="ignore", over="ignore"):  # looked at on the next line
            logits: Array = rows.astype(dtype, copy=False) @ weights  # (b, K)
        if not np.isfinite(logits).all():  # not finite, or so long that their products were not
            logits = self._scaled(rows, dtype, offset) @ weights
        elif self.normalize:
            logits /= lengths(rows)[:, None].astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype))


def softmax(logits: Array, temperature: float = 1.0) -> Array:
    """Turn (m, K) logits over a temperature into probabilities, in place.

    Examples
    --------
    >>> softmax(np.log([[1.0, 3.0]])).tolist()
    [[0.25, 0.75]]
    """
    logits -= logits.max(axis=1, keepdims=True)
    logits /= temperature
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
