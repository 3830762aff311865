"""Logistic regression that also learns from rows without labels."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import map_blocks, one_blas_thread
from ..errors import LabelError
from ._embedding_head import BLOCK_ROWS, LinearHead
from ._held_out import fit_temperature
from ._labelled import Labelled, scaled
from ._mixture import find_clouds, main_axes, spaced
from ._parameters import check_count
from ._rows import NEVER_SCORED, Float32, Float64, assign_folds, refuse_non_finite
from ._softmax import softmax
from .logistic import LogisticHead

STRENGTHS = (0.0, 0.1, 0.3, 1.0)
"""Weights of the clouds to choose from; the last is right with few labels."""

TRUST = 5.0
"""Nats of log-loss by which another strength must be better than the last."""

N_FOLDS = 5


class LabelPropagationHead(LinearHead):
    """Logistic regression whose labels propagate to unlabelled rows, cluster by cluster.

    A logistic regression on the labelled rows gives class probabilities of the unlabelled rows.
    Then one normal cloud for each class is fitted to all rows, in the space of their main axes, by
    expectation and maximisation. The head adds the log-likelihood of the clouds to the logits;
    cross-validation chooses their weight, which stays at its default unless another is clearly
    better. Without unlabelled rows this is `LogisticHead`.

    Parameters
    ----------
    C
        Of the logistic regression, see `LogisticHead`.
    n_components
        Number of main axes.
    max_unlabelled
        Maximum unlabelled rows; of more, these are drawn at random.
    seed
        Of the draw. None: 0, or the seed of the run that trains the head.
    class_weight
        None, ``"balanced"`` or weights by label.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    uses_unlabelled
        True: `fit` takes `unlabelled`, and the loop gives it the candidates.
    classes_
        (K,) the distinct labels, sorted.
    coef_, intercept_
        (K, d) and (K,) float64: the logits, which are linear in a row.
    C_
        C as the logistic regression used it; None with one class.
    strength_
        Weight of the clouds: 0, 0.1, 0.3 or 1.
    n_unlabelled_
        Number of unlabelled rows used.
    temperature_
        Probabilities are softmax(logits / temperature_); fitted to cross-validated logits.
    loss_
        Of the logistic regression, see `LogisticHead`.
    cv_accuracy_, cv_ece_, cv_n_
        Accuracy and calibration error in five folds of the labelled rows, and the number of rows;
        those of the logistic regression without unlabelled rows.

    Notes
    -----
    All classes share one spread, diagonal along the axes, so the whole stays linear.

    It gains most with tens of labels, and nothing from about 1,000 on:
    ``docs/benchmarks/heads.md`` has the accuracies. Propagation over a graph of
    nearest neighbours lost accuracy from 50 labels on.

    O(N d r + N r K) time for N unlabelled rows and r axes beside the logistic regression and one
    eigendecomposition of a (d, d) matrix; extra memory 4·(d + r) + 24·K bytes a drawn row. Never
    N x N.

    References
    ----------
    Nigam, McCallum, Thrun, Mitchell (2000), "Text classification from labeled and unlabeled
    documents using EM". Zanella, Gérin, Ben Ayed (2024), "Boosting vision-language models with
    transduction", arXiv:2406.01837, which has the clouds and the beliefs.

    Examples
    --------
    One label each lies between two clusters; the unlabelled rows show where these are:

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

    def __init__(
        self,
        C: float | str = "auto",
        *,
        n_components: int = 96,
        max_unlabelled: int = 20_000,
        seed: int | None = None,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.C = C
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
        unlabelled: ArrayLike | None = None,
    ) -> Self:
        """Learn from labelled rows, and from rows without labels.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) numbers of at least 0: how many equal rows each stands for. 1 each when None.
        unlabelled
            (N, d) numbers, memory-mapped or not; only the rows drawn are read.

        Returns
        -------
        LabelPropagationHead
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, or a row holds NaN or infinity.
        UsageError
            If a parameter has no meaning.
        """
        batch = self._read(X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        pool = self._drawn(unlabelled)  # (N, d) or None
        logistic = LogisticHead(self.C, normalize=self.normalize, class_weight=self.class_weight)
        logistic.fit(X, y, sample_weight)
        self._take_over(logistic)
        self.n_unlabelled_ = 0 if pool is None else len(pool)
        self.strength_ = 0.0
        if pool is not None and len(self.classes_) > 1:
            with one_blas_thread():
                self._propagate(batch, pool, logistic)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("n_components", self.n_components)
        check_count("max_unlabelled", self.max_unlabelled)

    def _take_over(self, logistic: LogisticHead) -> None:
        """Copy the fitted logistic regression."""
        self.coef_, self.intercept_ = logistic.coef_, logistic.intercept_
        self.C_, self.loss_ = logistic.C_, logistic.loss_
        self.temperature_ = logistic.temperature_
        self.cv_accuracy_, self.cv_ece_ = logistic.cv_accuracy_, logistic.cv_ece_
        self.cv_n_ = logistic.cv_n_ or 0

    def _drawn(self, unlabelled: ArrayLike | None) -> Float32 | None:
        """Return at most `max_unlabelled` scaled rows, or None if there are none."""
        if unlabelled is None:
            return None
        rows = np.asarray(unlabelled)
        if rows.ndim != 2 or rows.shape[1] != self.n_features_in_:
            raise LabelError(
                f"unlabelled has the shape {rows.shape}: "
                f"give rows of {self.n_features_in_} numbers."
            )
        if not len(rows):
            return None
        if len(rows) > self.max_unlabelled:
            rng = np.random.default_rng(self.seed or 0)
            some = rng.choice(len(rows), self.max_unlabelled, replace=False)
            rows = rows[np.sort(some)]
        found = np.empty(rows.shape, dtype=np.float32)

        def work(part: slice) -> None:
            refuse_non_finite(rows[part], part.start)
            found[part] = scaled(rows[part], normalize=self.normalize)

        map_blocks(work, len(rows), BLOCK_ROWS)
        return found

    def _propagate(self, batch: Labelled, pool: Float32, logistic: LogisticHead) -> None:
        """Add the clouds to the logits, with the strength that cross-validation chooses."""
        space = main_axes(pool, batch.rows, self.n_components)
        projected, rows = space.project(pool), space.project(batch.rows)
        folds = assign_folds(batch.digests, batch.codes, N_FOLDS)  # (m,)
        judged = self._cross_validated(batch, pool, projected, rows, folds)
        scored = np.flatnonzero(folds != NEVER_SCORED)
        codes, weights = batch.codes[scored], batch.weights[scored]
        self.strength_, self.temperature_ = _choose(
            [logits[scored] for logits in judged], codes, weights
        )
        clouds = find_clouds(
            projected, _beliefs(logistic, pool), rows, batch.codes, batch.weights, self.strength_
        )
        coef = clouds.coef @ space.axes.T  # (K, d)
        self.coef_ = logistic.coef_ / logistic.temperature_ + coef
        base = logistic.intercept_ / logistic.temperature_  # (K,)
        self.intercept_ = base + clouds.intercept - coef @ space.mean
        logits = judged[STRENGTHS.index(self.strength_)][scored]
        self._evaluate(logits if len(scored) else None, codes)

    def _cross_validated(
        self,
        batch: Labelled,
        pool: Float32,
        projected: Float32,
        rows: Float32,
        folds: NDArray[np.intp],
    ) -> list[Float64]:
        """Return the (m, K) held-out logits for each strength."""
        C = 1.0 if self.C_ is None else self.C_
        some = spaced(len(pool))
        found = [np.zeros((len(batch.rows), len(batch.classes))) for _ in STRENGTHS]
        for fold in np.unique(folds[folds != NEVER_SCORED]):
            out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            labels, weights = batch.labels[rest], batch.weights[rest]
            logistic = LogisticHead(C, normalize=self.normalize)
            logistic.fit(batch.rows[rest], labels, weights)
            beliefs, own = _beliefs(logistic, pool[some]), _beliefs(logistic, batch.rows[out])
            for strength, logits in zip(STRENGTHS, found, strict=True):
                clouds = find_clouds(
                    projected[some], beliefs, rows[rest], batch.codes[rest], weights, strength
                )
                logits[out] = own + clouds.logits(rows[out])
        return found


def _beliefs(logistic: LogisticHead, rows: Float32) -> Float64:
    """Return the (m, K) log-probabilities of a logistic regression."""
    likely = np.asarray(logistic.predict_proba(rows), dtype=np.float64)
    return np.asarray(np.log(np.maximum(likely, 1e-12)))


def _choose(
    judged: list[Float64], codes: NDArray[np.intp], weights: Float64
) -> tuple[float, float]:
    """Return the strength and temperature of the least log-loss; the last strength if close."""
    if not len(codes):
        return STRENGTHS[-1], 1.0
    losses, temperatures = [], []
    for logits in judged:
        temperature = fit_temperature(logits, codes, weights, prior_rows=5.0)
        likely = softmax(logits / temperature)[np.arange(len(codes)), codes]
        losses.append(float(-np.log(np.maximum(likely, 1e-12)) @ weights / weights.mean()))
        temperatures.append(temperature)
    losses[-1] -= TRUST
    best = int(np.argmin(np.round(losses, 3)))
    return STRENGTHS[best], temperatures[best]
