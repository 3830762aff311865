"""Multinomial logistic regression on embeddings, the default head."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
from threadpoolctl import ThreadpoolController

from ..errors import LabelError, UsageError
from ._folds import assign_folds, canonical_order, row_digests
from ._multinomial import Array, Float64, Span, rotate_to_span, solve
from ._regularisation import N_FOLDS, Choice, choose_strength

BLOCK_ROWS = 8192
"""Rows that are scored at a time: with 10 classes, 1 MB of extra memory."""

SINGLE_PRECISION = 1e-4
"""The tolerance down to which float32 is trusted; float64 goes on from there."""

_Index = NDArray[np.intp]


class LogisticHead(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression that chooses its own regularisation.

    The model and the meaning of `C` are those of scikit-learn's ``LogisticRegression``. Rows are
    scaled to unit length, and the fit works in their span, so that it costs the same for 1,280
    dimensions as for one per label. The same labelled rows give the same head to the last bit,
    in whatever order they come and however many threads there are: the products of a fit are too
    thin to gain from a second thread, and lose from one that waits for a busy core.

    Parameters
    ----------
    C
        Inverse strength of the penalty, or ``"auto"``: by cross-validation on the labelled
        rows, with a prior that decides while there are few, see `C_rule_`. Five folds, fixed by
        the content of the rows; equal rows of a class share a fold; a class with one distinct
        row is learned from in every fold and scored in none. If no class has two, the prior
        decides alone: C = 60,000 / (n * variance of the scaled rows), to the nearest half
        decade.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.
    max_iter
        Most steps of the final fit in each precision. When they do not suffice, `converged_` is
        False.
    tol
        The final fit has arrived when the gradient, scaled by a bound on the Hessian, is at most
        this times the root of the number of rows.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    coef_
        (K, d) float64 weights on scaled rows; (1, d) zeros when there is one class.
    intercept_
        (K,) float64.
    C_
        The value of C used; None when there is one class, which nothing can be learned from.
    C_rule_
        How it was chosen, in words.
    n_iter_
        Steps of the final fit, counting the first evaluation.
    converged_
        Whether the final fit reached `tol`.
    n_features_in_
        d.

    Notes
    -----
    A fit to n rows takes O(n d min(n, d)) to rotate, then O(n min(n, d) K) a step; extra memory
    is three copies of the labelled rows in float64. Prediction reads the matrix in blocks of
    8,192 rows and copies none of it if it is C-contiguous float32 or float64, memory-mapped or
    not.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> head = LogisticHead().fit(X, ["hat", "hat", "shoe", "shoe"])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist()
    ['hat', 'shoe']
    >>> head.C_rule_
    'cross-validation: least log-loss of 4 labels in 4 folds, with a prior at C = 31,600'
    """

    def __init__(
        self,
        C: float | str = "auto",
        *,
        normalize: bool = True,
        max_iter: int = 1000,
        tol: float = 3e-4,
    ) -> None:
        self.C = C
        self.normalize = normalize
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn from labelled rows.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.

        Returns
        -------
        LogisticHead
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, or a row holds NaN or infinity.
        UsageError
            If a parameter has no meaning.
        """
        self._check_parameters()
        rows = np.asarray(self._validated(X, y, reset=True), dtype=np.float64)
        _refuse_non_finite(rows, 0)
        labels = _checked_labels(y)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if self.normalize:
            rows = rows / _lengths(rows)[:, None]
        digests = row_digests(rows)
        order = canonical_order(digests, codes)
        with _blas().limit(limits=1, user_api="blas"):
            self._fit_rows(rows[order], codes[order], digests[order])
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
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
        rows = self._validated(X, None, reset=False)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        probabilities = np.empty((len(rows), len(self.classes_)), dtype=dtype)
        for block in _blocks(len(rows)):
            probabilities[block] = _softmax(self._logits(rows[block], dtype, block.start))
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
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _check_parameters(self) -> None:
        if self.C != "auto" and not _is_positive(self.C):
            raise UsageError(f"C must be a positive number or 'auto', not {self.C!r}.")
        if self.max_iter < 1:
            raise UsageError(f"max_iter must be at least 1, not {self.max_iter!r}.")
        if not self.tol > 0.0:
            raise UsageError(f"tol must be positive, not {self.tol!r}.")

    def _validated(self, X: ArrayLike, y: ArrayLike | None, *, reset: bool) -> NDArray[Any]:
        """Return `X` as a two-dimensional array of numbers, without a copy if it is one."""
        if y is not None:
            _check_lengths(X, y)
        return np.asarray(
            validate_data(self, X, reset=reset, dtype="numeric", ensure_all_finite=False)
        )

    def _fit_rows(self, rows: Float64, codes: _Index, digests: NDArray[np.uint64]) -> None:
        """Fit to finite, scaled rows in canonical order."""
        if len(self.classes_) == 1:
            self.coef_, self.intercept_ = np.zeros((1, rows.shape[1])), np.zeros(1)
            self.C_: float | None = None
            self.C_rule_ = "one class: predicted always"
            self.n_iter_, self.converged_ = 1, True
            return
        # scikit-learn penalises two classes as one weight vector, not as two opposite halves.
        binary_factor = 0.5 if len(self.classes_) == 2 else 1.0
        span = rotate_to_span(rows)
        choice = self._choice(span, digests, codes, binary_factor)
        self.C_, self.C_rule_ = choice.C, choice.rule
        weights = self._solve(span, codes, choice.C * binary_factor, choice.start)  # (r + 1, K)
        self.coef_ = (span.axes @ weights[:-1]).T  # (K, d)
        intercept = weights[-1] - self.coef_ @ span.mean  # (K,)
        self.intercept_ = intercept - intercept.mean()  # a shift of all classes means nothing

    def _choice(
        self, span: Span, digests: NDArray[np.uint64], codes: _Index, binary_factor: float
    ) -> Choice:
        if self.C == "auto":
            return choose_strength(
                span, codes, assign_folds(digests, codes, N_FOLDS), binary_factor
            )
        start = np.zeros((span.rows.shape[1], 1, len(self.classes_)))
        return Choice(float(self.C), "given", start)

    def _solve(self, span: Span, codes: _Index, C: float, start: Array) -> Float64:
        """Solve in float32 as far as it is trusted, then in float64 to `tol`."""
        everything = np.ones((len(codes), 1), dtype=bool)
        one_hot: Float64 = np.eye(len(self.classes_))[codes]  # (n, K)
        steps = 1
        for dtype, tolerance in (
            (np.float32, max(self.tol, SINGLE_PRECISION)),
            (np.float64, self.tol),
        ):
            found = solve(
                span,
                one_hot.astype(dtype),
                C,
                start=start,
                masks=everything,
                tolerance=tolerance,
                max_steps=self.max_iter,
            )
            steps, start = steps + found.steps, found.point
        self.n_iter_, self.converged_ = steps, found.converged
        return np.asarray(start[:, 0], dtype=np.float64)

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> NDArray[np.floating[Any]]:
        """Return (m, K) logits of a block whose first row has the number `offset`."""
        with np.errstate(invalid="ignore", over="ignore"):  # looked at on the next line
            logits: Array = rows.astype(dtype, copy=False) @ self.coef_.T.astype(dtype)  # (m, K)
        if not np.isfinite(logits).all():
            _refuse_non_finite(rows, offset)
        if self.normalize:
            logits /= _lengths(rows)[:, None].astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype))


def _is_positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0.0 < float(value) < float("inf")


@cache
def _blas() -> ThreadpoolController:
    """Return the control over the threads of the linear algebra libraries."""
    return ThreadpoolController()


def _check_lengths(X: ArrayLike, y: ArrayLike) -> None:
    """Refuse no rows at all, and a number of labels that is not that of the rows."""
    rows, labels = np.asarray(X), np.asarray(y)
    if rows.ndim != 2 or labels.ndim == 0 or rows.shape[1] == 0:
        return  # the validation that follows says what is wrong
    if len(rows) == 0 and len(labels) == 0:
        raise LabelError("there is nothing to fit on: no row is labelled.")
    if len(rows) != len(labels):
        raise LabelError(f"{len(rows)} rows but {len(labels)} labels: give one for each row.")


def _checked_labels(y: ArrayLike) -> NDArray[Any]:
    """Return the labels as a one-dimensional array of strings or integers."""
    if y is None:
        raise LabelError("the head requires y to be passed, but the target y is None.")
    labels = np.asarray(column_or_1d(y, warn=True))
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = int(np.flatnonzero(~np.isfinite(labels))[0])
        raise LabelError(f"the label of row {row} is NaN or infinity: leave unlabelled rows out.")
    check_classification_targets(labels)
    return labels


def _lengths(rows: NDArray[Any]) -> Float64:
    """Return the (n,) Euclidean lengths; one for a row of zeros, which has no direction."""
    squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    return np.where(squares > 0.0, np.sqrt(squares), 1.0)


def _refuse_non_finite(rows: NDArray[Any], offset: int) -> None:
    """Raise if a row holds NaN or infinity, and name it."""
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(bad):
        count = f" ({len(bad)} such rows here)" if len(bad) > 1 else ""
        raise LabelError(
            f"row {offset + int(bad[0])} of X holds NaN or infinity{count}: "
            "embed the item again or leave it out."
        )


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, n))


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Turn (m, K) logits into probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
