"""Multinomial logistic regression on embeddings, the default head."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._threads import one_blas_thread
from ..errors import LabelError, UsageError
from ._embedding_head import LinearHead
from ._held_out import fit_temperature
from ._labelled import Labelled, join_classes, read_rows, validated
from ._logistic.fit import SINGLE_PRECISION, fit_chosen
from ._logistic.laplace import LaplacePosterior, draw_posterior
from ._logistic.problem import Problem, arranged
from ._logistic.strength import N_FOLDS, Choice, HeldOut, choose_strength
from ._parameters import check_count, is_number
from ._rows import WORTH_THREADS, Array, assign_folds, lengths, refuse_non_finite, row_digests
from ._softmax import softmax

SOFTEN_PRIOR = 20.0
"""Weight of the prior at temperature 1 against temperatures above 1, in rows."""

SHARPEN_PRIOR, SHARPEN_ROWS = 300.0, 500
"""Weight of the prior against temperatures below 1, and the least held-out rows for one.

Folds learn from four fifths of the labels and are less sure than the head; few labels are often
chosen to be typical. Both ask for a sharpening that unseen rows do not confirm.
"""

ABSENT = 20.0
"""Intercept offset of a class without rows, below all others."""


class LogisticHead(LinearHead):
    """Multinomial logistic regression that chooses its own regularisation.

    The model and `C` are those of scikit-learn's ``LogisticRegression``. The same labelled rows
    give the same head to the last bit, in any order and with any number of threads; a row of
    weight 2 equals two rows.

    Parameters
    ----------
    C
        Inverse strength of the penalty, or ``"auto"``: by five-fold cross-validation on the
        labelled rows, with a prior that decides while there are few. If no class has two distinct
        rows, the prior decides alone: C = 60,000 / (n * variance of the scaled rows), to the
        nearest half decade.
    class_weight
        None, ``"balanced"`` or weights by label, as in scikit-learn.
    warm_start
        Whether `fit` begins at the solution of the fit before: the same optimum, up to `tol`, in
        fewer steps. Rows and classes may change in between.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.
    max_iter
        Maximum steps of the final fit in each precision.
    tol
        The final fit has converged when the decrease still to be had is about ``tol ** 2`` times
        the objective: 7e-4 is a relative gap of some 1e-6. Below 1e-4 it is finished in float64.

    Attributes
    ----------
    classes_
        (K,) the distinct labels of rows with a positive weight, sorted.
    coef_, intercept_
        (K, d) float64 weights on scaled rows, (K,) float64; (1, d) zeros with one class.
    C_, C_rule_
        The value of C used, None with one class; how it was chosen, in words.
    temperature_
        Divides the logits before the softmax. Fitted to held-out rows, with a prior at 1; below 1
        only from 500 such rows on; 1 where no row was held out. It changes no predicted label.
    cv_accuracy_, cv_ece_, cv_n_
        Accuracy and expected calibration error of held-out rows, and their number; None where no
        row was held out: C was given, or no class has two distinct rows.
    loss_
        Mean log-loss of the labelled rows, by their weights, in nats per label, without the penalty
        and the temperature; 0 with one class.
    n_iter_, converged_
        Steps of the final fit; whether it reached `tol`.

    Notes
    -----
    Minimises the sum of the log-losses, times the weights of the rows, plus half the squared
    length of the weights divided by C; intercepts are free. A fit takes O(n d K) a round for some
    ten to thirty rounds; few rows are solved in their own span. Extra memory is one copy of the
    labelled rows in float32, and two while C is chosen. Prediction reads the matrix in blocks of
    8,192 rows and copies none of it if it is C-contiguous float32 or float64.

    Folds follow from the content of the rows; equal rows of a class share one; a class with one
    distinct row is never scored. Of more than 1,200 rows only as many folds are scored as hold
    1,000.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks",
    arXiv:1706.04599.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> head = LogisticHead().fit(X, ["hat", "hat", "shoe", "shoe"])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist()
    ['hat', 'shoe']
    >>> head.C_rule_
    'cross-validation: least log-loss of 4 labels in 4 folds, with a prior at C = 31,600'
    """

    ignores_row_order: ClassVar[bool] = True
    C_: float | None

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
        """Move from the present weights to the optimum of these rows alone.

        All classes seen so far stay, but earlier rows are forgotten: a class without a row here is
        not predicted again before it has one.

        Parameters
        ----------
        X, y, sample_weight
            See `fit`.
        classes
            Labels that may come later; others may appear too.

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

    @property
    def prior_precision(self) -> float:
        """The precision of the prior on each weight: the penalty is half of it times |W|².

        1/C; 2/C with two classes, whose weights are opposite halves of the one weight vector that
        scikit-learn penalises; 1 with one class.
        """
        check_is_fitted(self)
        if self.C_ is None:
            return 1.0
        return 1.0 / (self.C_ * binary_factor(len(self.classes_)))

    def features(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the inputs of the linear layer: the scaled rows, then a one for the intercept.

        Strategies such as ``logdet_bald`` use `features` and `prior_precision` of any head.

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
        >>> from embedpipe.heads import LogisticHead
        >>> head = LogisticHead().fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
        >>> head.features([[3.0, 4.0]]).tolist()
        [[0.6, 0.8, 1.0]]
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        refuse_non_finite(rows, 0)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        found = np.ones((len(rows), rows.shape[1] + 1), dtype=dtype)
        scale = lengths(rows) if self.normalize else np.ones(len(rows))  # (n,)
        np.divide(rows, scale.astype(dtype)[:, None], out=found[:, :-1])
        return found

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> LaplacePosterior:
        """Draw weights from their posterior distribution, for strategies such as ``bald``.

        The last-layer Laplace approximation: a normal distribution around the fitted weights whose
        precision is the curvature of the log-loss on the labelled rows, as a Kronecker product,
        plus `prior_precision`. Probabilities are tempered as in `predict_proba`.

        Any head may have this method. It returns an object with ``predict_proba(V) -> (S, k, K)
        float32`` for (k, d) vectors, which is safe to call from several threads at once and uses
        the same S draws in every call. A head that draws in another way may ignore `X`.

        Parameters
        ----------
        X
            (n, d) the labelled rows that the head was fitted to, in any order.
        n_samples
            S, the number of draws.
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
        >>> from embedpipe.heads import LogisticHead
        >>> X, y = [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], ["hat", "hat", "shoe", "shoe"]
        >>> posterior = LogisticHead(C=1.0).fit(X, y).posterior(X, 500, np.random.default_rng(0))
        >>> draws = posterior.predict_proba([[0.0, 1.0], [-1.0, -1.0]])
        >>> draws.shape, bool(draws[:, 0, 0].std() < draws[:, 1, 0].std())
        ((500, 2, 2), True)
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        if len(np.asarray(X)) == 0:
            raise LabelError("a posterior is drawn given the labelled rows: X has none.")
        rows = np.asarray(validated(self, X, reset=False), dtype=np.float64)
        refuse_non_finite(rows, 0)
        scaled = rows / lengths(rows)[:, None] if self.normalize else rows
        order = np.argsort(row_digests(scaled), kind="stable")  # however they are listed
        # Of the fitted weights as they are, without the temperature.
        likely = softmax(self._logits(rows[order], np.float64, 0))  # (n, K)
        predicted = np.ascontiguousarray(likely, dtype=np.float64)
        return draw_posterior(self, scaled[order], predicted, int(n_samples), rng)

    def _check_parameters(self) -> None:
        if self.C != "auto" and not (is_number(self.C) and 0.0 < float(self.C) < float("inf")):
            raise UsageError(f"C must be a positive number or 'auto', not {self.C!r}.")
        if self.max_iter < 1:
            raise UsageError(f"max_iter must be at least 1, not {self.max_iter!r}.")
        if not self.tol > 0.0:
            raise UsageError(f"tol must be positive, not {self.tol!r}.")
        super()._check_parameters()

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
        """Fit, from the present weights if `going_on`; `keep` classes without a row."""
        self._check_parameters()
        rows, seen, codes, weights = read_rows(self, X, y, sample_weight, reset=not going_on)
        before: tuple[NDArray[Any], ...] | None = None
        if going_on:
            before = self.classes_, self.coef_, self.intercept_
        self.classes_ = seen
        if keep:
            self.classes_ = join_classes(before[0] if before else None, seen, declared)
            codes = np.searchsorted(self.classes_, seen)[codes]
        labelled = arranged(
            rows,
            self.classes_,
            codes.astype(np.intp),
            weights,
            normalize=self.normalize,
            precise=self.tol < SINGLE_PRECISION,
        )
        # Asking for the number of threads takes longer than so little work.
        little = labelled.rows.size * len(self.classes_) < WORTH_THREADS
        with one_blas_thread() if little else nullcontext():
            self._fit_labelled(labelled, before)
        return self

    def _fit_labelled(self, labelled: Labelled, before: tuple[Array, ...] | None) -> None:
        """Fit to `arranged` rows."""
        self._assess(None)
        K, d = len(labelled.classes), labelled.rows.shape[1]
        if K == 1:
            self.coef_, self.intercept_ = np.zeros((1, d)), np.zeros(1)
            self.C_ = None
            self.C_rule_ = "one class: predicted always"
            self.n_iter_, self.converged_, self.loss_ = 1, True, 0.0
            return
        problem, factor, start = Problem.of(labelled), binary_factor(K), None
        if before is not None:
            start = self._start(before, problem)
        present = np.unique(problem.codes)
        if 1 < len(present) < K:  # at the optimum, classes without rows have no part in it
            codes = np.searchsorted(present, problem.codes)
            problem = problem._replace(codes=codes, n_classes=len(present))
            start = None if start is None else (start[0][present], start[1][present])
        if self.C == "auto":
            folds = assign_folds(labelled.digests, problem.codes, N_FOLDS)
            choice = choose_strength(problem, folds, factor, start)
        else:
            choice = Choice(float(self.C), "given")
        self.C_, self.C_rule_ = choice.C, choice.rule
        found = fit_chosen(
            problem, choice, factor, start, tolerance=self.tol, max_steps=self.max_iter
        )
        intercepts = found.intercepts - found.weights @ problem.rows.mean.astype(np.float64)
        self.coef_, self.intercept_ = found.weights, intercepts
        self.loss_ = problem.mean_loss(found.weights, found.intercepts)
        if problem.n_classes < K:
            self.coef_, self.intercept_ = np.zeros((K, d)), np.full(K, intercepts.min() - ABSENT)
            self.coef_[present], self.intercept_[present] = found.weights, intercepts
        self.intercept_ -= self.intercept_.mean()  # a shift of all classes means nothing
        self.n_iter_, self.converged_ = found.steps, found.converged
        self._assess(choice.held_out)

    def _start(self, before: tuple[Array, ...], problem: Problem) -> tuple[Array, Array]:
        """Return the weights of the fit before, for the present classes and centred rows."""
        classes, coef, intercept = before
        K, d = problem.n_classes, problem.rows.values.shape[1]
        weights, intercepts = np.zeros((K, d)), np.zeros(K)
        known = np.isin(classes, self.classes_)
        places = np.searchsorted(self.classes_, classes[known])
        weights[places] = coef[known]
        intercepts[places] = intercept[known] + coef[known] @ problem.rows.mean
        return weights, intercepts

    def _assess(self, held_out: HeldOut | None) -> None:
        """Set the temperature, accuracy and calibration that the folds tell."""
        self.temperature_ = 1.0
        if held_out is None:
            self.cv_accuracy_, self.cv_n_, self.cv_ece_ = None, None, None
            return
        logits, codes, counts = held_out
        self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SOFTEN_PRIOR)
        if self.temperature_ < 1.0 and len(codes) < SHARPEN_ROWS:
            self.temperature_ = 1.0
        elif self.temperature_ < 1.0:
            self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SHARPEN_PRIOR)
        self._evaluate(np.asfortranarray(logits, dtype=np.float64), codes, counts)


def binary_factor(n_classes: int) -> float:
    """Return the factor of C: two classes have one penalised weight vector, not two halves."""
    return 0.5 if n_classes == 2 else 1.0
