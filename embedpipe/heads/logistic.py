"""Multinomial logistic regression on embeddings, the default head."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .._threads import one_blas_thread
from ..errors import LabelError, UsageError
from ._folds import assign_folds, canonical_order, row_digests
from ._laplace import LaplacePosterior, draw_posterior
from ._multinomial import Array, Float64, Span, rotate_to_span, solve
from ._regularisation import N_FOLDS, Choice, choose_strength
from ._rows import lengths, refuse_non_finite

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
        refuse_non_finite(rows, 0)
        labels = _checked_labels(y)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if self.normalize:
            rows = rows / lengths(rows)[:, None]
        digests = row_digests(rows)
        order = canonical_order(digests, codes)
        with one_blas_thread():
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

    @property
    def prior_precision(self) -> float:
        """The penalty on the fitted weights W is this times the sum of their squares, halved.

        1/C; 2/C with two classes, whose weights are two opposite halves of the one weight vector
        that scikit-learn penalises; 1 with one class. Read as a prior, it is the precision of each
        weight.
        """
        check_is_fitted(self)
        if self.C_ is None:
            return 1.0
        return 1.0 / (self.C_ * _binary_factor(len(self.classes_)))

    def features(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return what the weights are applied to: the scaled rows, then a one for the intercept.

        With `prior_precision`, this makes the head one *with a linear last layer*: strategies
        such as ``logdet_bald`` ask for both, and any other head may have them.

        Parameters
        ----------
        X
            (n, d) numbers.

        Returns
        -------
        ndarray
            (n, d + 1), float32 if `X` is float32 and float64 otherwise.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.

        Examples
        --------
        >>> head = LogisticHead().fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
        >>> head.features([[3.0, 4.0]]).tolist()
        [[0.6, 0.8, 1.0]]
        """
        check_is_fitted(self)
        rows = self._validated(X, None, reset=False)
        refuse_non_finite(rows, 0)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        found = np.ones((len(rows), rows.shape[1] + 1), dtype=dtype)
        scale = lengths(rows) if self.normalize else np.ones(len(rows))  # (n,)
        np.divide(rows, scale.astype(dtype)[:, None], out=found[:, :-1])
        return found

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> LaplacePosterior:
        """Draw plausible weights around the fitted ones, to tell what the labels leave open.

        Draws come from the last-layer Laplace approximation: a normal distribution around the
        fitted weights whose precision is the curvature of the log-loss on the labelled rows, as a
        Kronecker product, plus `prior_precision`; see `Laplace` in ``heads/_laplace.py``. With
        one class nothing is uncertain, and every draw says 1.

        Having this method makes a head one *with a posterior*: strategies such as ``bald`` ask
        for it, and any other head may have it. It returns an object with
        ``predict_proba(V) -> (S, k, K) float32`` for (k, d) vectors, which may be called from
        several threads at once and uses the same S draws in every call. A head that draws in
        another way, such as dropout, may ignore `X`.

        Parameters
        ----------
        X
            (n, d) the labelled rows that the head was fitted to, in any order.
        n_samples
            S, how many draws.
        rng
            The source of randomness: the same state gives the same draws to the last bit.

        Returns
        -------
        LaplacePosterior
            4·d·K·S bytes.

        Raises
        ------
        LabelError
            If there are no rows, or one holds NaN or infinity.
        UsageError
            If `n_samples` is not at least 1.

        Notes
        -----
        O(n d min(n, d) + d min(n, d) K S) time: 0.3 s for 500 rows of 1,280 dimensions, 10 classes
        and 64 draws.

        References
        ----------
        Ritter, Botev, Barber (2018), "A scalable Laplace approximation for neural networks",
        ICLR. Daxberger et al. (2021), "Laplace redux", arXiv:2106.14806.

        Examples
        --------
        >>> X, y = [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], ["hat", "hat", "shoe", "shoe"]
        >>> posterior = LogisticHead(C=1.0).fit(X, y).posterior(X, 500, np.random.default_rng(0))
        >>> draws = posterior.predict_proba([[0.0, 1.0], [-1.0, -1.0]])
        >>> draws.shape, bool(draws[:, 0, 0].std() < draws[:, 1, 0].std())
        ((500, 2, 2), True)
        """
        check_is_fitted(self)
        whole = isinstance(n_samples, (int, np.integer)) and not isinstance(n_samples, bool)
        if not whole or n_samples < 1:
            raise UsageError(f"n_samples is {n_samples!r}: give a whole number, at least 1.")
        if len(np.asarray(X)) == 0:
            raise LabelError("a posterior is drawn given the labelled rows: X has none.")
        rows = np.asarray(self._validated(X, None, reset=False), dtype=np.float64)
        refuse_non_finite(rows, 0)
        scaled = rows / lengths(rows)[:, None] if self.normalize else rows
        order = np.argsort(row_digests(scaled), kind="stable")  # however they are listed
        predicted = np.asarray(self.predict_proba(rows[order]), dtype=np.float64)  # (n, K)
        return draw_posterior(self, scaled[order], predicted, int(n_samples), rng)

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
        binary_factor = _binary_factor(len(self.classes_))
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
            refuse_non_finite(rows, offset)
            if self.normalize:  # finite rows so long that their products were not
                logits = (rows / lengths(rows)[:, None]).astype(dtype) @ self.coef_.T.astype(dtype)
        elif self.normalize:
            logits /= lengths(rows)[:, None].astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype))


def _binary_factor(n_classes: int) -> float:
    """Return what C stands for: two classes are penalised as one weight vector, not two halves."""
    return 0.5 if n_classes == 2 else 1.0


def _is_positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0.0 < float(value) < float("inf")


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


def _blocks(n: int) -> Iterator[slice]:
    for start in range(0, n, BLOCK_ROWS):
        yield slice(start, min(start + BLOCK_ROWS, n))


def _softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Turn (m, K) logits into probabilities, in place."""
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
