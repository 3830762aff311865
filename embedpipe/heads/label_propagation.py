"""Logistic regression that also learns from unlabelled rows."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh

from .._specs import check_count
from .._threads import map_blocks, one_blas_thread
from ..errors import LabelError
from ._arrays import NEVER_SCORED, Codes, Float32, Float64, assign_folds, check_finite, softmax
from ._embedding_head import BLOCK_ROWS, LinearHead
from ._held_out import fit_temperature
from ._labelled import Labelled, scaled
from .logistic import LogisticHead

STRENGTHS = (0.0, 0.1, 0.3, 1.0)
"""Candidate weights of the normal distributions; the last is the default."""

MIN_GAIN = 5.0
"""Minimum decrease of the total log-loss, in nats, for which a strength replaces the default."""

N_FOLDS = 5

STEPS = 5
"""Steps of expectation-maximisation; with more steps, the classes drift away from the labels."""

LABELLED_SHARE = 0.05
"""Minimum total weight of the labelled rows, as a share of the number of unlabelled rows."""

MIN_VARIANCE = 1e-6
"""Minimum variance along an axis, as a share of the mean variance."""

AXES_ROWS = 4096
"""Maximum unlabelled rows in the computation of the axes and in the fits of the folds."""


class LabelPropagationHead(LinearHead):
    """Logistic regression that also learns from unlabelled rows (semi-supervised).

    A logistic regression predicts the unlabelled rows. Then a normal distribution of each class is
    fitted to all rows, along their principal axes, by expectation-maximisation. The log-likelihoods
    of these distributions, times a weight, are added to the logits. Cross-validation chooses the
    weight. Without unlabelled rows this is `LogisticHead`.

    Parameters
    ----------
    C
        See `LogisticHead`.
    n_components
        Number of principal axes.
    max_unlabelled
        Maximum unlabelled rows. If there are more, a random sample of this size is used.
    seed
        Seed of the sample; None is the seed of the run, or 0 without a run.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    uses_unlabelled
        True: `fit` accepts `unlabelled`.
    coef_, intercept_
        (K, d) and (K,) float64: the logits are ``x @ coef_.T + intercept_``.
    C_, loss_
        Values of the logistic regression; see `LogisticHead`.
    strength_
        Weight of the normal distributions: 0, 0.1, 0.3 or 1.
    n_unlabelled_
        Number of unlabelled rows used.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From five-fold cross-validation; see `Head`.

    Notes
    -----
    The classes share one diagonal covariance, so that logits are linear. The gain in accuracy over
    `LogisticHead` is largest with tens of labels and zero from about 1,000 labels.

    A fit takes O(N d r + N r K) time for N unlabelled rows of length d, r axes and K classes. It
    also needs the time of the logistic regression and of one eigendecomposition of a (d, d) matrix.
    Each unlabelled row needs 4·(d + r) + 24·K bytes.

    References
    ----------
    Nigam, McCallum, Thrun, Mitchell (2000), "Text classification from labeled and unlabeled
    documents using EM". Zanella, Gérin, Ben Ayed (2024), "Boosting vision-language models with
    transduction", arXiv:2406.01837.

    Examples
    --------
    Two clusters; each has one label, far from the centre of the cluster:

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
        """Fit to (n, d) labelled and (N, d) unlabelled rows; see `SimpleHead.fit`."""
        batch = self._read(X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        pool = self._sampled(unlabelled)  # (N, d) or None
        logistic = LogisticHead(self.C, normalize=self.normalize, class_weight=self.class_weight)
        logistic.fit(X, y, sample_weight)
        self._copy(logistic)
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

    def _copy(self, logistic: LogisticHead) -> None:
        """Copy the fitted logistic regression."""
        self.coef_, self.intercept_ = logistic.coef_, logistic.intercept_
        self.C_, self.loss_ = logistic.C_, logistic.loss_
        self.temperature_ = logistic.temperature_
        self.cv_accuracy_, self.cv_ece_ = logistic.cv_accuracy_, logistic.cv_ece_
        self.cv_n_, self._held_out = logistic.cv_n_ or 0, logistic.held_out

    def _sampled(self, unlabelled: ArrayLike | None) -> Float32 | None:
        """Return at most `max_unlabelled` scaled rows; None if there are none."""
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
        sampled = np.empty(rows.shape, dtype=np.float32)

        def work(part: slice) -> None:
            check_finite(rows[part], part.start)
            sampled[part] = scaled(rows[part], normalize=self.normalize)

        map_blocks(work, len(rows), BLOCK_ROWS)
        return sampled

    def _propagate(self, batch: Labelled, pool: Float32, logistic: LogisticHead) -> None:
        """Add the normal distributions to the logits; cross-validation chooses their weight."""
        space = principal_axes(pool, batch.rows, self.n_components)
        projected, rows = space.project(pool), space.project(batch.rows)
        folds = assign_folds(batch.digests, batch.codes, N_FOLDS)  # (m,)
        held_out = self._cross_validate(batch, pool, projected, rows, folds)
        scored = np.flatnonzero(folds != NEVER_SCORED)
        codes, weights = batch.codes[scored], batch.weights[scored]
        self.strength_, self.temperature_ = _choose(
            [logits[scored] for logits in held_out], codes, weights
        )
        predicted = _log_probabilities(logistic, pool)  # (N, K)
        gaussians = fit_gaussians(
            projected, predicted, rows, batch.codes, batch.weights, self.strength_
        )
        coef = gaussians.coef @ space.axes.T  # (K, d)
        self.coef_ = logistic.coef_ / logistic.temperature_ + coef
        base = logistic.intercept_ / logistic.temperature_  # (K,)
        self.intercept_ = base + gaussians.intercept - coef @ space.mean
        logits = held_out[STRENGTHS.index(self.strength_)][scored]
        self._evaluate(logits if len(scored) else None, codes)

    def _cross_validate(
        self,
        batch: Labelled,
        pool: Float32,
        projected: Float32,
        rows: Float32,
        folds: NDArray[np.intp],
    ) -> list[Float64]:
        """Return the (m, K) held-out logits for each strength."""
        C = 1.0 if self.C_ is None else self.C_
        some = evenly_spaced(len(pool))
        held_out = [np.zeros((len(batch.rows), len(batch.classes))) for _ in STRENGTHS]
        for fold in np.unique(folds[folds != NEVER_SCORED]):
            out, rest = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
            labels, weights = batch.labels[rest], batch.weights[rest]
            logistic = LogisticHead(C, normalize=self.normalize)
            logistic.fit(batch.rows[rest], labels, weights)
            predicted = _log_probabilities(logistic, pool[some])
            own = _log_probabilities(logistic, batch.rows[out])
            for strength, logits in zip(STRENGTHS, held_out, strict=True):
                gaussians = fit_gaussians(
                    projected[some], predicted, rows[rest], batch.codes[rest], weights, strength
                )
                logits[out] = own + gaussians.logits(rows[out])
        return held_out


def _log_probabilities(logistic: LogisticHead, rows: Float32) -> Float64:
    """Return the (m, K) log-probabilities of a logistic regression."""
    likely = np.asarray(logistic.predict_proba(rows), dtype=np.float64)
    return np.asarray(np.log(np.maximum(likely, 1e-12)))


def _choose(
    held_out: list[Float64], codes: NDArray[np.intp], weights: Float64
) -> tuple[float, float]:
    """Return the strength with the least log-loss, and its temperature.

    A strength replaces the default only if its log-loss is lower by `MIN_GAIN`.
    """
    if not len(codes):
        return STRENGTHS[-1], 1.0
    losses, temperatures = [], []
    for logits in held_out:
        temperature = fit_temperature(logits, codes, weights, prior_rows=5.0)
        likely = softmax(logits / temperature)[np.arange(len(codes)), codes]
        losses.append(float(-np.log(np.maximum(likely, 1e-12)) @ weights / weights.mean()))
        temperatures.append(temperature)
    losses[-1] -= MIN_GAIN
    best = int(np.argmin(np.round(losses, 3)))
    return STRENGTHS[best], temperatures[best]


def evenly_spaced(n: int) -> Codes:
    """Return at most `AXES_ROWS` evenly spaced positions below `n`."""
    return np.unique(np.linspace(0, n - 1, AXES_ROWS).astype(np.intp))


class PrincipalAxes(NamedTuple):
    """The (d,) mean of rows, and (d, r) orthonormal axes of largest variance."""

    mean: Float64
    axes: Float64

    def project(self, rows: Float32) -> Float32:
        """Return the (m, r) coordinates of (m, d) rows."""
        coordinates = np.empty((len(rows), self.axes.shape[1]), dtype=np.float32)
        axes = self.axes.astype(np.float32)
        shift = (self.mean @ self.axes).astype(np.float32)

        def work(part: slice) -> None:
            coordinates[part] = rows[part] @ axes - shift

        map_blocks(work, len(rows), BLOCK_ROWS)
        return coordinates


def principal_axes(pool: Float32, labelled: Float32, n: int) -> PrincipalAxes:
    """Return the `n` principal axes of the rows of the pool and the labelled rows."""
    rows = np.concatenate([pool[evenly_spaced(len(pool))], labelled]).astype(np.float64)  # (s, d)
    mean = rows.mean(axis=0)
    rows -= mean
    d, small = rows.shape[1], rows.shape[0] < rows.shape[1]
    matrix = rows @ rows.T if small else rows.T @ rows
    last = len(matrix) - 1
    values, vectors = eigh(matrix, subset_by_index=[max(last - min(n, d) + 1, 0), last])
    kept = values > 1e-9 * max(float(values[-1]), np.finfo(np.float64).tiny)
    axes = rows.T @ (vectors[:, kept] / np.sqrt(values[kept])) if small else vectors[:, kept]
    return PrincipalAxes(mean, axes)


class Gaussians(NamedTuple):
    """Normal distributions of one covariance, as logits: ``rows @ coef.T + intercept``."""

    coef: Float64
    """(K, r)."""
    intercept: Float64
    """(K,)."""

    def logits(self, rows: Float32) -> Float64:
        """Return (m, K) logits of (m, r) rows."""
        return np.asarray(rows @ self.coef.T + self.intercept)


def fit_gaussians(
    pool: Float32,  # (N, r) unlabelled rows
    predicted: Float64,  # (N, K) log-probabilities of a classifier fitted to the labels only
    rows: Float32,  # (n, r) labelled rows
    codes: Codes,
    weights: Float64,
    strength: float,  # weight of the distances relative to `predicted`
) -> Gaussians:
    """Fit a normal distribution for each class; all share one diagonal covariance.

    The memberships of a row of the pool are ``softmax(predicted - strength * distance² / 2)``, with
    distances in standard deviations. A labelled row is a member of its class. Each row needs 8·K
    bytes, and each step takes O((N + n) r K) time.
    """
    n_classes = predicted.shape[1]
    share = max(1.0, LABELLED_SHARE * len(pool) / len(rows))
    own = np.zeros((len(rows), n_classes))
    own[np.arange(len(rows)), codes] = share * weights / weights.mean()  # (n, K)
    total = len(pool) + own.sum()
    squares = np.square(pool).sum(axis=0, dtype=np.float64) + own.sum(axis=1) @ np.square(rows)
    fixed = own.T @ rows  # (K, r)
    gaussians = Gaussians(np.zeros((n_classes, pool.shape[1])), np.zeros(n_classes))
    for _ in range(STEPS):
        members = softmax(predicted + gaussians.logits(pool))  # (N, K)
        counts = members.sum(axis=0) + own.sum(axis=0)  # (K,)
        means = (members.T @ pool + fixed) / counts[:, None]  # (K, r)
        variances = (squares - counts @ np.square(means)) / total  # (r,)
        variances = np.maximum(variances, MIN_VARIANCE * max(variances.mean(), 0.0))
        if not variances.max() > 0.0:
            break  # all rows are equal
        coef = strength * means / variances  # (K, r)
        gaussians = Gaussians(coef, -0.5 * (coef * means).sum(axis=1))
    return gaussians
