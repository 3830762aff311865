"""Classifiers of other libraries, as heads."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, has_fit_parameter

from .._specs import format_spec
from ..errors import LabelError
from ._arrays import check_finite
from ._labelled import check_lengths, checked_labels, checked_weights, validated


def _has(method: str) -> Any:
    return available_if(lambda head: hasattr(head.estimator, method))


class ForeignHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Any scikit-learn classifier as a head.

    With labels of a single class, the head always predicts this class. A `ValueError` of the
    classifier becomes a `LabelError` with a message of one line.

    Parameters
    ----------
    estimator
        The classifier; a clone is fitted.

    Attributes
    ----------
    classes_
        (K,) sorted labels.
    estimator_
        The fitted clone; None with one class.
    loss_
        The ``loss_`` of the classifier if it is a number, else None.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> head = ForeignHead(LogisticRegression()).fit([[0.0], [1.0]], ["hat", "hat"])
    >>> head.predict([[5.0]]).tolist(), head.predict_proba([[5.0]]).tolist()
    (['hat'], [[1.0]])
    >>> head.fit([[0.0], [1.0]], ["hat", "shoe"]).predict([[5.0]]).tolist()
    ['shoe']
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def to_spec(self) -> str:
        """Return the spec string of the classifier."""
        return format_spec(self.estimator)

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to (n, d) labelled rows.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, a row holds NaN or infinity, or the classifier
            does not accept `sample_weight` or fails on the labels.
        """
        rows, labels = self._checked(X, y, reset=True)
        options = self._weights(sample_weight, len(labels))
        self.classes_ = np.unique(labels)
        self.estimator_: Any = None
        if len(self.classes_) > 1:
            self.estimator_ = self._call(clone(self.estimator), "fit", rows, labels, options)
            self.classes_ = np.asarray(self.estimator_.classes_)
        self.loss_ = _own_loss(self.estimator_)
        return self

    @_has("partial_fit")  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Continue with further rows; the first call needs all possible `classes`."""
        first = getattr(self, "estimator_", None) is None
        rows, labels = self._checked(X, y, reset=not hasattr(self, "classes_"))
        options = self._weights(sample_weight, len(labels))
        if first:
            self.classes_ = np.unique(labels if classes is None else np.asarray(classes))
            self.estimator_ = None
            if len(self.classes_) == 1:
                return self
            options["classes"] = self.classes_
        target = clone(self.estimator) if first else self.estimator_
        self.estimator_ = self._call(target, "partial_fit", rows, labels, options)
        self.loss_ = _own_loss(self.estimator_)
        return self

    @_has("posterior")  # type: ignore[untyped-decorator]
    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> Any:
        """Return the draws of the classifier's own `posterior`."""
        check_is_fitted(self)
        return self.estimator_.posterior(X, n_samples, rng)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the (n, K) class probabilities of (n, d) rows; float32 if `X` is float32."""
        rows = self._to_predict(X)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        if self.estimator_ is None:
            return np.ones((len(rows), 1), dtype=dtype)
        return np.asarray(self.estimator_.predict_proba(rows), dtype=dtype)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the (n,) predicted labels of (n, d) rows."""
        rows = self._to_predict(X)
        if self.estimator_ is None:
            return np.repeat(self.classes_, len(rows))
        return np.asarray(self.estimator_.predict(rows))

    def _checked(
        self, X: ArrayLike, y: ArrayLike, *, reset: bool
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        check_lengths(X, y)
        rows = validated(self, X, reset=reset)
        check_finite(rows, 0)
        return rows, checked_labels(y)

    def _to_predict(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        check_finite(rows, 0)
        return rows

    def _weights(self, sample_weight: ArrayLike | None, n: int) -> dict[str, Any]:
        if sample_weight is None:
            return {}
        if not has_fit_parameter(self.estimator, "sample_weight"):
            raise LabelError(f"{type(self.estimator).__name__} does not accept sample_weight.")
        return {"sample_weight": checked_weights(sample_weight, n)}

    def _call(
        self,
        target: Any,
        method: str,
        rows: NDArray[Any],
        labels: NDArray[Any],
        options: dict[str, Any],
    ) -> Any:
        try:
            return getattr(target, method)(rows, labels, **options)
        except ValueError as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise LabelError(
                f"{type(target).__name__} failed on {len(labels)} labels of "
                f"{len(np.unique(labels))} classes: {reason}."
            ) from error


def _own_loss(estimator: Any) -> float | None:
    """Return the ``loss_`` of a fitted classifier if it is a number."""
    loss = getattr(estimator, "loss_", None)
    return float(loss) if isinstance(loss, (float, np.floating)) else None
