"""Multinomial logistic regression, the default head."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._specs import check_above, check_count, check_number
from .._threads import one_blas_thread
from ..errors import LabelError
from ._arrays import (
    MIN_PARALLEL_COST,
    Array,
    assign_folds,
    check_finite,
    row_digests,
    row_norms,
    softmax,
)
from ._embedding_head import LinearHead
from ._held_out import fit_temperature
from ._labelled import Labelled, join_classes, read_rows, validated
from ._logistic import SINGLE_PRECISION, fit_chosen
from ._logistic.laplace import LaplacePosterior, draw_posterior
from ._logistic.problem import Problem, prepare_rows
from ._logistic.strength import N_FOLDS, Choice, FoldModels, HeldOut, choose_strength

SOFTEN_PRIOR = 20.0
"""Weight, in rows, of a prior for temperature 1 and against temperatures above 1."""

SHARPEN_PRIOR, SHARPEN_ROWS = 300.0, 500
"""Weight, in rows, of a prior against temperatures below 1, and minimum number of held-out rows for
such temperatures.

The held-out rows are predicted by fits to four fifths of the labels. These fits are less confident
than the head, which is fitted to all labels. So the best temperature of the fits is too low for the
head.
"""

ABSENT = 20.0
"""Lowest intercept minus the intercept of a class without rows."""


class LogisticHead(LinearHead):
    """Multinomial logistic regression that chooses its own regularisation.

    The model and `C` are as in scikit-learn's ``LogisticRegression``. The same labelled rows
    give the same head to the last bit, in any order and with any number of threads.

    Parameters
    ----------
    C
        Inverse strength of the penalty. ``"auto"`` chooses C by five-fold cross-validation, with a
        prior on C that dominates for few rows. If no class has two distinct rows, C is the centre
        of the prior. For n scaled rows, this centre is 60,000 / (n * variance), rounded to the
        nearest half decade.
    warm_start
        Whether `fit` starts from the last solution. Such a fit needs fewer steps and gives the same
        optimum, up to `tol`.
    class_weight, normalize
        See `SimpleHead`.
    max_iter
        Maximum steps of the final fit in float32, and again in float64.
    tol
        The final fit stops when the predicted decrease of the objective is at most ``tol ** 2``
        times the objective. If `tol` is below 1e-4, the fit is finished in float64.

    Attributes
    ----------
    coef_, intercept_
        (K, d) and (K,) float64, for scaled rows; (1, d) and (1,) zeros with one class.
    C_, C_rule_
        The C used, or None with one class; and how C was chosen, as text.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From cross-validation; see `Head`. If `C` is a number, `temperature_` is 1 and the other
        three are None.
    loss_
        Weighted mean log-loss of the labelled rows in nats, without penalty and temperature.
    n_iter_, converged_
        Steps of the final fit, and whether the fit reached `tol`.

    Notes
    -----
    A fit minimises the weighted sum of the log-losses plus ``|W|² / (2 C)``; intercepts are not
    penalised. A fit takes ten to thirty rounds of O(n d K) time for n rows of length d and K
    classes. Extra memory is one float32 copy of the labelled rows, or two copies while C is chosen.
    Prediction reads blocks of 8,192 rows.

    Folds depend on the content of the rows. Equal rows of a class are in the same fold. With more
    than 1,200 rows, folds are scored one by one until 1,000 rows are scored.

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
        """Fit to (n, d) labelled rows; see `SimpleHead.fit`."""
        self._fit_with_models(X, y, sample_weight)
        return self

    def _fit_with_models(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        keep_models: bool = False,
    ) -> tuple[Labelled, FoldModels | None]:
        """Fit, and return the rows of the fit and, with `keep_models`, the models of the folds.

        With `keep_models`, a given `C` is cross-validated too.
        """
        warm = self.warm_start and hasattr(self, "coef_")
        return self._learn(
            X, y, sample_weight, None, warm=warm, keep=False, keep_models=keep_models
        )

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Fit to these rows only, starting from the current weights.

        Earlier rows are forgotten. Earlier classes stay, but a class without a row in this call is
        not predicted. `classes` are all possible labels; None allows any label.

        Raises
        ------
        LabelError
            For the reasons in `fit`, or if a label is not among `classes`, or strings and numbers
            are mixed.
        """
        warm = hasattr(self, "coef_")
        self._learn(X, y, sample_weight, classes, warm=warm, keep=True)
        return self

    @property
    def prior_precision(self) -> float:
        """The precision of the normal prior on each weight; the penalty is |W|² * precision / 2.

        The precision is 1/C. With two classes, where scikit-learn has one weight vector, the
        precision is 2/C. With one class it is 1.
        """
        check_is_fitted(self)
        if self.C_ is None:
            return 1.0
        return 1.0 / (self.C_ * binary_factor(len(self.classes_)))

    def features(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the (n, d + 1) inputs of the linear layer: scaled rows, then 1 for the intercept.

        Strategies such as ``logdet_bald`` use `features` and `prior_precision` of any head
        that has both.
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        check_finite(rows, 0)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        inputs = np.ones((len(rows), rows.shape[1] + 1), dtype=dtype)
        scale = row_norms(rows) if self.normalize else np.ones(len(rows))  # (n,)
        np.divide(rows, scale.astype(dtype)[:, None], out=inputs[:, :-1])
        return inputs

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> LaplacePosterior:
        """Draw `n_samples` weights from the Laplace approximation of their posterior.

        `X` are the (n, d) labelled rows of the fit, in any order. The result has a thread-safe
        method ``predict_proba(V)``, which returns (S, k, K) float32 probabilities of (k, d) vectors
        with the same S draws in every call. Any head can have this method, for strategies such as
        ``bald``.

        Raises
        ------
        LabelError
            If there are no rows, or a row holds NaN or infinity.
        UsageError
            If `n_samples` is not at least 1.

        Notes
        -----
        The precision is a Kronecker-factored curvature of the log-loss plus `prior_precision`.
        Takes O(n d min(n, d) + d min(n, d) K S) time and 4·d·K·S bytes for K classes.

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
            raise LabelError("X has no rows: give the labelled rows of the head.")
        rows = np.asarray(validated(self, X, reset=False), dtype=np.float64)
        check_finite(rows, 0)
        scaled = rows / row_norms(rows)[:, None] if self.normalize else rows
        order = np.argsort(row_digests(scaled), kind="stable")  # independent of the order of X
        untempered = softmax(self._logits(rows[order], np.float64, 0))  # (n, K)
        predicted = np.ascontiguousarray(untempered, dtype=np.float64)
        return draw_posterior(self, scaled[order], predicted, int(n_samples), rng)

    def _check_parameters(self) -> None:
        if self.C != "auto":
            check_number("C", self.C, above=0, alternative="'auto'")
        check_count("max_iter", self.max_iter)
        check_above("tol", self.tol)
        super()._check_parameters()

    def _learn(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        declared: ArrayLike | None,
        *,
        warm: bool,
        keep: bool,
        keep_models: bool = False,
    ) -> tuple[Labelled, FoldModels | None]:
        """Fit, from the current weights if `warm`; with `keep`, keep classes without a row.

        Return the rows of the fit and, with `keep_models`, the models of the folds.
        """
        self._check_parameters()
        rows, seen, codes, weights = read_rows(self, X, y, sample_weight, reset=not warm)
        before: tuple[NDArray[Any], ...] | None = None
        if warm:
            before = self.classes_, self.coef_, self.intercept_
        self.classes_ = seen
        if keep:
            self.classes_ = join_classes(before[0] if before else None, seen, declared)
            codes = np.searchsorted(self.classes_, seen)[codes]
        labelled = prepare_rows(
            rows,
            self.classes_,
            codes.astype(np.intp),
            weights,
            normalize=self.normalize,
            precise=self.tol < SINGLE_PRECISION,
        )
        # A small fit takes less time than the query of the number of threads.
        little = labelled.rows.size * len(self.classes_) < MIN_PARALLEL_COST
        with one_blas_thread() if little else nullcontext():
            return labelled, self._fit_labelled(labelled, before, keep_models=keep_models)

    def _fit_labelled(
        self, labelled: Labelled, before: tuple[Array, ...] | None, *, keep_models: bool
    ) -> FoldModels | None:
        """Fit to rows from `prepare_rows`."""
        self._assess(None)
        K, d = len(labelled.classes), labelled.rows.shape[1]
        if K == 1:
            self.coef_, self.intercept_ = np.zeros((1, d)), np.zeros(1)
            self.C_ = None
            self.C_rule_ = "one class: predicted always"
            self.n_iter_, self.converged_, self.loss_ = 1, True, 0.0
            return None
        problem, factor, start = Problem.of(labelled), binary_factor(K), None
        if before is not None:
            start = self._start(before, problem)
        present = np.unique(problem.codes)
        if 1 < len(present) < K:  # fit only the classes that have rows
            codes = np.searchsorted(present, problem.codes)
            problem = problem._replace(codes=codes, n_classes=len(present))
            start = None if start is None else (start[0][present], start[1][present])
        if self.C == "auto" or keep_models:
            folds = assign_folds(labelled.digests, problem.codes, N_FOLDS)
            given = None if self.C == "auto" else float(self.C)
            choice = choose_strength(problem, folds, factor, start, given, keep_models=keep_models)
        else:
            choice = Choice(float(self.C), "given")
        self.C_, self.C_rule_ = choice.C, choice.rule
        solution = fit_chosen(
            problem, choice, factor, start, tolerance=self.tol, max_steps=self.max_iter
        )
        intercepts = solution.intercepts - solution.weights @ problem.rows.mean.astype(np.float64)
        self.coef_, self.intercept_ = solution.weights, intercepts
        self.loss_ = problem.mean_loss(solution.weights, solution.intercepts)
        if problem.n_classes < K:
            self.coef_, self.intercept_ = np.zeros((K, d)), np.full(K, intercepts.min() - ABSENT)
            self.coef_[present], self.intercept_[present] = solution.weights, intercepts
        self.intercept_ -= self.intercept_.mean()  # probabilities do not change
        self.n_iter_, self.converged_ = solution.steps, solution.converged
        self._assess(choice.held_out)
        return choice.models

    def _start(self, before: tuple[Array, ...], problem: Problem) -> tuple[Array, Array]:
        """Return the weights of the last fit, for the current classes and centred rows."""
        classes, coef, intercept = before
        K, d = problem.n_classes, problem.rows.values.shape[1]
        weights, intercepts = np.zeros((K, d)), np.zeros(K)
        known = np.isin(classes, self.classes_)
        places = np.searchsorted(self.classes_, classes[known])
        weights[places] = coef[known]
        intercepts[places] = intercept[known] + coef[known] @ problem.rows.mean
        return weights, intercepts

    def _assess(self, held_out: HeldOut | None) -> None:
        """Set the temperature, accuracy and calibration error from the held-out rows."""
        self.temperature_ = 1.0
        if held_out is None:
            self.cv_accuracy_, self.cv_n_, self.cv_ece_, self._held_out = None, None, None, None
            return
        logits, codes, counts = held_out
        self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SOFTEN_PRIOR)
        if self.temperature_ < 1.0 and len(codes) < SHARPEN_ROWS:
            self.temperature_ = 1.0
        elif self.temperature_ < 1.0:
            self.temperature_ = fit_temperature(logits, codes, counts, prior_rows=SHARPEN_PRIOR)
        self._evaluate(np.asfortranarray(logits, dtype=np.float64), codes, counts)


def binary_factor(n_classes: int) -> float:
    """Return the factor of C: 0.5 for two classes, where scikit-learn has one weight vector."""
    return 0.5 if n_classes == 2 else 1.0
