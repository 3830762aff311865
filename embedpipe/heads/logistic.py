"""Multinomial logistic regression on embeddings, the default head."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from .._threads import one_blas_thread
from ..errors import UsageError
from ._calibration import expected_calibration_error, fit_temperature
from ._fitting import SINGLE_PRECISION, fit_inside, fit_weights
from ._folds import assign_folds
from ._inputs import check_lengths, checked_labels, join_classes, validated
from ._labelled import Labelled, arranged
from ._linear import LinearClassifier, binary_factor
from ._matrix import WORTH_THREADS
from ._regularisation import N_FOLDS, Choice, HeldOut, choose_strength
from ._rows import refuse_non_finite
from ._softmax import softmax
from ._subspace import Solution
from ._weights import check_class_weight, row_weights

SOFTEN_PRIOR = 20.0
"""So many rows' worth of belief that the temperature is at most 1."""

SHARPEN_PRIOR, SHARPEN_ROWS = 300.0, 500
"""The same that it is at least 1, and the least number of held-out rows that can say otherwise.

Folds learn from four fifths of the labels, and are less sure than the head for it; few labels are
often chosen to be typical. Both ask for a sharpening that unseen rows do not bear out.
"""

Array = NDArray[np.floating[Any]]

ABSENT = 20.0
"""How far below all others the intercept of a class lies that no row has."""


class LogisticHead(LinearClassifier, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression that chooses its own regularisation.

    The model and the meaning of `C` are those of scikit-learn's ``LogisticRegression``. Rows are
    scaled to unit length. The same labelled rows give the same head to the last bit, in whatever
    order they come and however many threads there are; a row of weight 2 is two equal rows.

    Parameters
    ----------
    C
        Inverse strength of the penalty, or ``"auto"``: by cross-validation on the labelled
        rows, with a prior that decides while there are few, see `C_rule_`. Five folds, fixed by
        the content of the rows; equal rows of a class share a fold; a class with one distinct
        row is learned from in every fold and scored in none. Of more than 1,200 rows only as many
        folds are scored as hold 1,000. If no class has two distinct rows, the prior decides
        alone: C = 60,000 / (n * variance of the scaled rows), to the nearest half decade.
    class_weight
        None, ``"balanced"`` or weights by label, with the meaning that scikit-learn gives them.
    warm_start
        Whether `fit` begins at the solution of the fit before: the same optimum, up to `tol`, in
        fewer steps. Rows and classes may have been added or taken away since.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.
    max_iter
        Most steps of the final fit in each precision. When they do not suffice, `converged_` is
        False.
    tol
        The final fit has arrived when the decrease of the objective that is still to be had is
        about the square of this times the objective: 7e-4 is a relative gap of some 1e-6. Below
        1e-4 the fit is finished in float64.

    Attributes
    ----------
    classes_
        (K,) the distinct labels of rows that count, sorted.
    coef_
        (K, d) float64 weights on scaled rows; (1, d) zeros when there is one class.
    intercept_
        (K,) float64.
    C_
        The value of C used; None when there is one class, which nothing can be learned from.
    C_rule_
        How it was chosen, in words.
    temperature_
        What logits are divided by before they become probabilities: fitted to what the folds said
        of the rows they had not seen, with a prior at 1; below 1 from 500 such rows on. It changes
        no predicted label.
        1 where nothing was held out: C was given, or no class has two distinct rows.
    cv_accuracy_
        Share of the held-out rows that were predicted right; None where nothing was held out.
    cv_n_
        How many rows that is the share of; None likewise.
    cv_ece_
        Expected calibration error of the held-out probabilities, after `temperature_`, with 15
        bins; None likewise.
    loss_
        Mean log-loss of the labelled rows, in nats per label, by their weights: the training loss,
        without the penalty and without the temperature. 0 where there is one class.
    n_iter_
        Steps of the final fit, counting the first evaluation.
    converged_
        Whether the final fit reached `tol`.
    n_features_in_
        d.

    Notes
    -----
    Minimises the sum of the log-losses, times the weights of the rows, plus half the squared
    length of the weights divided by C; intercepts are free. A fit takes O(n d K) a round for some
    ten to thirty rounds, see ``heads/_subspace.py``; few rows are solved in their own span. Extra
    memory is one copy of the labelled rows in float32, and two while C is chosen. Prediction reads
    the matrix in blocks of 8,192 rows and copies none of it if it is C-contiguous float32 or
    float64, memory-mapped or not.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks",
    arXiv:1706.04599, for the temperature.

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
        class_weight: str | Mapping[Any, float] | None = None,
        warm_start: bool = False,
        max_iter: int = 1000,
        tol: float = 7e-4,
    ) -> None:
        self.C = C
        self.normalize = normalize
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.max_iter = max_iter
        self.tol = tol

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from labelled rows.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) how much each row counts, at least 0; 1 each when None.

        Returns
        -------
        LogisticHead
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, a row holds NaN or infinity, or weights are
            negative, not finite or all zero.
        UsageError
            If a parameter has no meaning.
        """
        warm = self.warm_start and hasattr(self, "coef_")
        return self._learn(X, y, sample_weight, None, going_on=warm, keep=False)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go on from the present weights to the optimum of these rows alone.

        All classes seen so far stay; but what these rows do not show is forgotten, and a class
        that no row has is not predicted again before one has it.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes
            Labels that may come later; new ones may also appear without notice.

        Returns
        -------
        LogisticHead
            Itself.

        Raises
        ------
        LabelError
            As `fit`; also if a label is not among `classes`, or texts and numbers are mixed.
        UsageError
            If a parameter has no meaning.

        Examples
        --------
        >>> head = LogisticHead(C=10.0).partial_fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
        >>> head.partial_fit([[-1.0, 0.0], [1.0, 0.1]], ["skirt", "shoe"]).classes_.tolist()
        ['hat', 'shoe', 'skirt']
        """
        known = hasattr(self, "coef_")
        return self._learn(X, y, sample_weight, classes, going_on=known, keep=True)

    def _check_parameters(self) -> None:
        if self.C != "auto" and not _is_positive(self.C):
            raise UsageError(f"C must be a positive number or 'auto', not {self.C!r}.")
        if self.max_iter < 1:
            raise UsageError(f"max_iter must be at least 1, not {self.max_iter!r}.")
        if not self.tol > 0.0:
            raise UsageError(f"tol must be positive, not {self.tol!r}.")
        check_class_weight(self.class_weight)

    def _learn(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        declared: ArrayLike | None,
        *,
        going_on: bool,
        keep: bool,
    ) -> Self:
        """Fit, perhaps `going_on` from the present weights and to `keep` classes without a row."""
        self._check_parameters()
        check_lengths(X, y)
        rows = validated(self, X, reset=not going_on)
        if rows.dtype.kind != "f" or rows.dtype.itemsize < 4:
            rows = rows.astype(np.float64)
        refuse_non_finite(rows, 0)
        seen, codes = np.unique(checked_labels(y), return_inverse=True)
        weights = row_weights(seen, codes, self.class_weight, sample_weight)
        if weights is not None:
            present = np.unique(codes[weights > 0.0])
            codes, seen = np.searchsorted(present, codes), seen[present]
            codes[weights == 0.0] = 0  # of no consequence
        before: tuple[NDArray[Any], ...] | None = None
        if going_on:
            before = self.classes_, self.coef_, self.intercept_
        self.classes_ = seen
        if keep:
            self.classes_ = join_classes(before[0] if before else None, seen, declared)
            codes = np.searchsorted(self.classes_, seen)[codes]
        labelled = arranged(
            rows,
            codes.astype(np.intp),
            len(self.classes_),
            weights,
            normalize=self.normalize,
            precise=self.tol < SINGLE_PRECISION,
        )
        # What is too little work for two threads is not to ask each time how many there are.
        little = labelled.rows.values.size * labelled.n_classes < WORTH_THREADS
        with one_blas_thread() if little else nullcontext():
            self._fit_labelled(labelled, before)
        return self

    def _fit_labelled(self, labelled: Labelled, before: tuple[Array, ...] | None) -> None:
        """Fit to finite, scaled rows in canonical order."""
        self._judge(None)
        K, d = labelled.n_classes, labelled.rows.values.shape[1]
        if K == 1:
            self.coef_, self.intercept_ = np.zeros((1, d)), np.zeros(1)
            self.C_ = None
            self.C_rule_ = "one class: predicted always"
            self.n_iter_, self.converged_, self.loss_ = 1, True, 0.0
            return
        factor, start = binary_factor(K), None
        if before is not None:
            start = self._start(before, labelled)
        present = np.unique(labelled.codes)
        if 1 < len(present) < K:  # at the optimum, classes without rows have no part in it
            codes = np.searchsorted(present, labelled.codes)
            labelled = labelled._replace(codes=codes, n_classes=len(present))
            start = None if start is None else (start[0][present], start[1][present])
        choice = self._choice(labelled, factor, start)
        self.C_, self.C_rule_ = choice.C, choice.rule
        found = self._solve(labelled, choice, factor, choice.start or start)
        intercepts = found.intercepts - found.weights @ labelled.rows.mean.astype(np.float64)
        self.coef_, self.intercept_ = found.weights, intercepts
        self.loss_ = labelled.mean_loss(found.weights, found.intercepts)
        if labelled.n_classes < K:
            self.coef_, self.intercept_ = np.zeros((K, d)), np.full(K, intercepts.min() - ABSENT)
            self.coef_[present], self.intercept_[present] = found.weights, intercepts
        self.intercept_ -= self.intercept_.mean()  # a shift of all classes means nothing
        self.n_iter_, self.converged_ = found.steps, found.converged
        self._judge(choice.held_out)

    def _choice(
        self, labelled: Labelled, binary_factor: float, start: tuple[Array, Array] | None
    ) -> Choice:
        if self.C != "auto":
            return Choice(float(self.C), "given")
        folds = assign_folds(labelled.digests, labelled.codes, N_FOLDS)
        return choose_strength(labelled, folds, binary_factor, start)

    def _solve(
        self,
        labelled: Labelled,
        choice: Choice,
        binary_factor: float,
        start: tuple[Array, Array] | None,
    ) -> Solution:
        C = choice.C * binary_factor
        if choice.coordinates is not None and choice.inside is not None:
            found = fit_inside(
                labelled, choice.coordinates, choice.inside, C, self.tol, self.max_iter
            )
            if found.converged and self.tol >= SINGLE_PRECISION:
                return found
            start = found.weights, found.intercepts
        return fit_weights(labelled, C, start=start, tolerance=self.tol, max_steps=self.max_iter)

    def _start(self, before: tuple[Array, ...], labelled: Labelled) -> tuple[Array, Array]:
        """Return the weights of the fit before, for the classes there are now."""
        classes, coef, intercept = before
        K, d = labelled.n_classes, labelled.rows.values.shape[1]
        weights, intercepts = np.zeros((K, d)), np.zeros(K)
        known = np.isin(classes, self.classes_)
        places = np.searchsorted(self.classes_, classes[known])
        weights[places] = coef[known]
        intercepts[places] = intercept[known] + coef[known] @ labelled.rows.mean
        return weights, intercepts

    def _judge(self, held_out: HeldOut | None) -> None:
        """Set what the folds tell of the head: the temperature, accuracy and calibration."""
        self.temperature_ = 1.0
        self.cv_accuracy_: float | None = None
        self.cv_n_: int | None = None
        self.cv_ece_: float | None = None
        if held_out is None:
            return
        logits, codes, counts = held_out
        self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SOFTEN_PRIOR)
        if self.temperature_ < 1.0 and len(codes) < SHARPEN_ROWS:
            self.temperature_ = 1.0
        elif self.temperature_ < 1.0:
            self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SHARPEN_PRIOR)
        scaled = np.ascontiguousarray(logits.T, dtype=np.float64) / self.temperature_  # (K, m)
        softmax(scaled)
        right = logits.argmax(axis=1) == codes
        self.cv_accuracy_ = float(np.average(right, weights=counts))
        self.cv_n_ = len(codes)
        self.cv_ece_ = expected_calibration_error(scaled.T, codes)


def _is_positive(value: Any) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    return number and 0.0 < float(value) < float("inf")
