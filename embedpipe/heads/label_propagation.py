"""Logistic regression that also learns from unlabelled rows."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike

from .._specs import check_count, check_number
from ._embedding_head import LinearHead
from ._label_logits import LabelLogits
from ._propagation import MAX_ROWS, N_AXES, Propagation, UnlabelledRows
from .logistic import LogisticHead


class LabelPropagationHead(LinearHead):
    """Logistic regression that also learns from unlabelled rows (semi-supervised).

    A logistic regression predicts the unlabelled rows. Then a normal distribution of each class is
    fitted to all rows, along their principal axes, by expectation-maximisation. The log-likelihoods
    of these distributions, times a weight, are added to the logits. Without unlabelled rows this is
    `LogisticHead`.

    Parameters
    ----------
    C
        See `LogisticHead`.
    strength
        Weight of the log-likelihoods. `AutoHead` chooses it from held-out labels.
    n_components
        Maximum number of principal axes; at most a quarter of the number of unlabelled rows.
    max_unlabelled
        Maximum unlabelled rows. If there are more, a random sample of this size is used.
    seed
        Seed of the sample; None is the seed of the run, or 0 without a run.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    uses_unlabelled, reuses_unlabelled
        True: `fit` accepts `unlabelled`, which can be `UnlabelledRows`.
    coef_, intercept_
        (K, d) and (K,) float64: the logits are ``x @ coef_.T + intercept_``.
    C_, loss_
        Values of the logistic regression; see `LogisticHead`.
    strength_
        Weight of the log-likelihoods; 0 without unlabelled rows.
    n_unlabelled_
        Number of unlabelled rows used.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From five-fold cross-validation; see `Head`.

    Notes
    -----
    The classes share one covariance, so that logits are linear. It is 0.9 times the covariance
    around the class means plus 0.1 times the covariance of all rows.

    A fit takes O(N K (d + r)) time for N unlabelled rows of length d, r axes and K classes, in
    addition to the time of the logistic regression and of the principal axes. `UnlabelledRows`
    contains the principal axes and states its memory.

    References
    ----------
    Nigam, McCallum, Thrun, Mitchell (2000), "Text classification from labeled and unlabeled
    documents using EM". Zanella, Gérin, Ben Ayed (2024), "Boosting vision-language models with
    transduction", arXiv:2406.01837.

    Examples
    --------
    Two clusters; each has one label, far from the centre of the cluster:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> left = rng.normal([-3, 1], [0.3, 1], size=(50, 2))
    >>> right = rng.normal([3, 1], [0.3, 1], size=(50, 2))
    >>> X, y = [[-1.5, 3.0], [1.5, -1.0]], ["left", "right"]
    >>> alone = LabelPropagationHead(normalize=False).fit(X, y)
    >>> helped = LabelPropagationHead(normalize=False).fit(X, y, unlabelled=np.r_[left, right])
    >>> truth = ["left"] * 50 + ["right"] * 50
    >>> alone.score(np.r_[left, right], truth) < helped.score(np.r_[left, right], truth)
    True
    """

    uses_unlabelled: ClassVar[bool] = True
    reuses_unlabelled: ClassVar[bool] = True

    def __init__(
        self,
        C: float | str = "auto",
        *,
        strength: float = 1.0,
        n_components: int = N_AXES,
        max_unlabelled: int = MAX_ROWS,
        seed: int | None = None,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.C = C
        self.strength = strength
        self.n_components = n_components
        self.max_unlabelled = max_unlabelled
        self.seed = seed
        self.class_weight = class_weight
        self.normalize = normalize

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        unlabelled: ArrayLike | UnlabelledRows | None = None,
    ) -> Self:
        """Fit to (n, d) labelled and (N, d) unlabelled rows; see `SimpleHead.fit`."""
        self._read(X, y, sample_weight, reset=True)
        logistic = LogisticHead(self.C, normalize=self.normalize, class_weight=self.class_weight)
        labelled, models = logistic._fit_with_models(
            X, y, sample_weight, keep_models=unlabelled is not None
        )
        self._copy(logistic)
        if unlabelled is None:
            return self
        pool = UnlabelledRows.of(
            unlabelled, self.n_features_in_, self.max_unlabelled, self.seed or 0
        )
        if pool is None or len(self.classes_) < 2 or not self.strength:
            return self
        self.strength_, self.n_unlabelled_ = float(self.strength), len(pool)
        propagation = Propagation(
            LabelLogits.of(logistic, models),
            labelled,
            pool,
            self.n_components,
            normalize=self.normalize,
        )
        self.coef_, self.intercept_ = propagation.combined(self.strength_)
        held_out = propagation.held_out(self.strength_)
        self.temperature_ = held_out.temperature()
        found = held_out.logits if len(held_out.codes) else None
        self._evaluate(found, held_out.codes, held_out.weights)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_number("strength", self.strength, least=0)
        check_count("n_components", self.n_components)
        check_count("max_unlabelled", self.max_unlabelled)

    def _copy(self, logistic: LogisticHead) -> None:
        """Copy the fitted logistic regression."""
        self.classes_ = logistic.classes_
        self.coef_, self.intercept_ = logistic.coef_, logistic.intercept_
        self.C_, self.loss_ = logistic.C_, logistic.loss_
        self.temperature_ = logistic.temperature_
        self.cv_accuracy_, self.cv_ece_ = logistic.cv_accuracy_, logistic.cv_ece_
        self.cv_n_, self._held_out = logistic.cv_n_ or 0, logistic.held_out
        self.strength_, self.n_unlabelled_ = 0.0, 0
