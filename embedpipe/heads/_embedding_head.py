"""Base classes of the heads: prediction in blocks of rows, calibrated by a temperature."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from .._specs import check_above, check_count, check_number
from .._threads import map_blocks
from . import registry as _registry  # noqa: F401  `format_spec` uses the registered names
from ._arrays import Array, Codes, Float64, check_finite, row_norms, softmax
from ._held_out import HeldOutPredictions, expected_calibration_error
from ._labelled import Labelled, check_class_weight, read_labelled, validated
from ._layers import Affine, Layers

BLOCK_ROWS = 4096
"""Rows that are predicted in one block."""


class EmbeddingHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose probabilities are softmax(logits / temperature).

    A subclass has the parameters `normalize` and `class_weight`, sets `classes_` and
    `temperature_`, and computes the logits of a block of rows in `_logits`.
    """

    accepts_new_classes: ClassVar[bool] = True
    block_rows: ClassVar[int] = BLOCK_ROWS
    classes_: NDArray[Any]
    class_weight: Any
    normalize: bool
    temperature_: float
    _held_out: HeldOutPredictions | None = None

    @property
    def held_out(self) -> HeldOutPredictions | None:
        """Predictions of labelled rows by cross-validation in `fit`; None if no row is scored.

        The predictions are not saved with the head.
        """
        return self._held_out

    def predict_proba(self, X: ArrayLike) -> Array:
        """Return the (n, K) class probabilities of (n, d) rows; float32 if `X` is float32."""
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
        """Return the most probable label of each of (n, d) rows; the first label of a tie."""
        check_is_fitted(self)
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])

    def layers(self) -> Layers | None:
        """Return the fitted head as affine layers; None if it is not a sequence of such layers."""
        return None

    def _as_layers(self, *affine: tuple[Array, Array]) -> Layers:
        """Return layers, each from (i, o) weights and (o,) intercepts."""
        parts = tuple(Affine(np.asarray(each[0]), np.asarray(each[1])) for each in affine)
        return Layers(parts, bool(self.normalize), float(self.temperature_))

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return new (b, K) logits of a block of rows; `offset` is the number of the first row."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        check_class_weight(self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        self._check_parameters()
        return read_labelled(self, X, y, sample_weight, reset=reset)

    def _scaled(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return finite rows in `dtype`, scaled if the head normalizes; refuse NaN and infinity."""
        check_finite(rows, offset)
        if not self.normalize:
            return np.asarray(rows, dtype=dtype)
        return np.asarray(rows / row_norms(rows)[:, None], dtype=dtype)

    def _evaluate(
        self, logits: Float64 | None, codes: Codes, weights: Float64 | None = None
    ) -> None:
        """Set accuracy and calibration error from (m, K) held-out logits; None without logits."""
        self.cv_accuracy_: float | None = None
        self.cv_ece_: float | None = None
        self.cv_n_: int | None = 0 if logits is None else len(codes)
        self._held_out = None
        if logits is None or not len(codes):
            return
        right = logits.argmax(axis=1) == codes
        self.cv_accuracy_ = float(np.average(right, weights=weights))
        self._held_out = HeldOutPredictions(softmax(logits / self.temperature_), codes)
        self.cv_ece_ = expected_calibration_error(*self._held_out)


class MinibatchHead(EmbeddingHead):
    """A head that is trained by steps on mini-batches; `n_calls_` counts the trainings."""

    epochs: int | str
    batch_size: int
    lr: float
    weight_decay: float
    seed: int | None
    n_calls_: int

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.epochs != "auto":
            check_count("epochs", self.epochs, alternative="'auto'")
        check_count("batch_size", self.batch_size)
        check_above("lr", self.lr)
        check_number("weight_decay", self.weight_decay, least=0)

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, self.n_calls_, purpose])


class LinearHead(EmbeddingHead):
    """A head whose logits are products with `coef_`, (K, d), plus `intercept_`, (K,)."""

    block_rows = 8192
    coef_: Float64
    intercept_: Float64

    def layers(self) -> Layers | None:
        """Return the fitted head as one affine layer."""
        check_is_fitted(self)
        return self._as_layers((self.coef_.T, self.intercept_))

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        # The logits of a class are contiguous in memory, which makes the softmax fast. Scaling the
        # products avoids a scaled copy of the rows.
        coef: Array = self.coef_.astype(dtype)  # (K, d)
        with np.errstate(invalid="ignore", over="ignore"):  # checked below
            logits: Array = coef @ rows.astype(dtype, copy=False).T  # (K, b)
        if not np.isfinite(logits).all():  # rows not finite, or an overflow of the products
            logits = coef @ self._scaled(rows, dtype, offset).T
        elif self.normalize:
            logits /= row_norms(rows).astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype)[:, None]).T  # (b, K)
