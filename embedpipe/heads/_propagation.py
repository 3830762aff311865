"""Normal distributions of classes, fitted to labelled and unlabelled rows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import map_blocks, one_blas_thread
from ..errors import LabelError
from ._arrays import Codes, Float32, Float64, check_finite, row_norms, softmax
from ._label_logits import HeldOutLogits, LabelLogits
from ._labelled import Labelled, scaled

MAX_ROWS = 2048
"""Maximum unlabelled rows of a head."""

N_AXES = 96
"""Default number of principal axes."""

ROWS_PER_AXIS = 4
"""Minimum number of rows for each principal axis."""

EXTRA_AXES, POWER_STEPS = 16, 2
"""Additional random directions, and power iterations, in the search for the principal axes."""

MIN_SPREAD = 1e-6
"""Minimum variance along an axis, as a share of the largest variance."""

STEPS = 5
"""Steps of expectation-maximisation; with more steps, the classes drift away from the labels."""

SHRINKAGE = 0.1
"""Weight of the covariance of all rows in the covariance of the rows around their class means."""

BLOCK_ROWS = 1024
"""Rows in one product."""


MIN_COUNT = 1e-9
"""Minimum number of rows of a class in a division."""


class PrincipalAxes(NamedTuple):
    """The (d,) mean of rows and their (d, r) principal axes, divided by the standard deviations."""

    mean: Float64
    axes: Float64

    def project(self, rows: NDArray[np.floating[Any]]) -> Float32:
        """Return the (m, r) coordinates of (m, d) rows, in standard deviations."""
        shift = (self.mean @ self.axes).astype(np.float32)
        return products(rows, self.axes) - shift


@dataclass(frozen=True)
class UnlabelledRows:
    """Unlabelled rows for heads that use them, such as `AutoHead`.

    `fit` of such heads accepts these rows as the argument `unlabelled`. If several fits receive the
    same rows, their principal axes are computed only once.

    Attributes
    ----------
    rows
        (N, d) rows; at most 2,048 are used.
    kept
        (N,) bool: the rows that are still unlabelled; None for all.

    Notes
    -----
    Each row needs 4·(d + r) bytes in addition to `rows`, for r principal axes. The axes take
    O(N d r) time.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> rows = UnlabelledRows(X)
    >>> np.asarray(rows.without([0, 2])).tolist()
    [[0.10000000149011612, 1.0], [1.0, 0.10000000149011612]]
    """

    rows: NDArray[np.floating[Any]]
    kept: NDArray[np.bool_] | None = None
    _spaces: dict[tuple[bool, int], Space] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls, rows: ArrayLike | UnlabelledRows, dim: int, most: int = MAX_ROWS, seed: int = 0
    ) -> UnlabelledRows | None:
        """Return at most `most` rows of `dim` numbers, drawn at random; None without rows."""
        array = rows.rows if isinstance(rows, UnlabelledRows) else np.asarray(rows)
        if array.ndim != 2 or array.shape[1] != dim:
            raise LabelError(f"unlabelled has the shape {array.shape}: give rows of {dim} numbers.")
        if isinstance(rows, UnlabelledRows) and len(rows) <= most:
            return rows if len(rows) else None
        array = np.asarray(rows)
        if len(array) > most:
            some = np.random.default_rng(seed).choice(len(array), most, replace=False)
            array = array[np.sort(some)]
        return cls(array) if len(array) else None

    def __len__(self) -> int:
        return len(self.rows) if self.kept is None else int(self.kept.sum())

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self.rows if self.kept is None else self.rows[self.kept], dtype=dtype)

    def without(self, positions: ArrayLike) -> UnlabelledRows:
        """Return the rows without those at `positions`; the principal axes stay the same."""
        kept = np.ones(len(self.rows), dtype=np.bool_) if self.kept is None else self.kept.copy()
        kept[np.asarray(positions, dtype=np.intp)] = False
        return replace(self, kept=kept)

    def space(self, *, normalize: bool, n_axes: int = N_AXES) -> Space:
        """Return the scaled rows and their coordinates; computed once."""
        key = normalize, n_axes
        if key not in self._spaces:
            self._spaces[key] = Space.of(self.rows, normalize=normalize, n_axes=n_axes)
        found = self._spaces[key]
        return found if self.kept is None else found._replace(at=np.flatnonzero(self.kept))


class Space(NamedTuple):
    """Scaled (M, d) rows, their principal axes, their (M, r) coordinates, and the rows to use."""

    scaled: Float32
    axes: PrincipalAxes
    projected: Float32
    at: NDArray[np.intp]
    """(N,) positions, ascending."""

    @classmethod
    def of(cls, rows: NDArray[Any], *, normalize: bool, n_axes: int) -> Self:
        """Scale rows and project them to at most `n_axes` principal axes."""
        single = np.empty(rows.shape, dtype=np.float32)

        def work(part: slice) -> None:
            check_finite(rows[part], part.start)
            if normalize and rows.dtype == np.float32:  # without a copy in float64
                single[part] = rows[part] / row_norms(rows[part]).astype(np.float32)[:, None]
            else:
                single[part] = scaled(rows[part], normalize=normalize)

        map_blocks(work, len(rows), BLOCK_ROWS)
        axes = principal_axes(single, n_axes)
        return cls(single, axes, axes.project(single), np.arange(len(single)))

    @property
    def coordinates(self) -> Float32:
        """The (N, r) coordinates of the rows to use."""
        return self.projected if len(self.at) == len(self.projected) else self.projected[self.at]

    def products(self, directions: NDArray[Any]) -> Float32:
        """Return the (k, N) products of (k, d) directions with the rows to use."""
        if 2 * len(self.at) < len(self.scaled):
            return products(self.scaled[self.at], directions.T).T
        found = products(self.scaled, directions.T).T  # (k, M): without a copy of the rows
        return found if len(self.at) == len(self.scaled) else found[:, self.at]


def products(rows: NDArray[Any], directions: NDArray[Any]) -> Float32:
    """Return the (m, k) products of (m, d) rows with (d, k) directions, block by block."""
    found = np.empty((len(rows), directions.shape[1]), dtype=np.float32)
    single = directions.astype(np.float32)

    def work(part: slice) -> None:
        found[part] = rows[part] @ single

    map_blocks(work, len(rows), BLOCK_ROWS)
    return found


@one_blas_thread()
def principal_axes(rows: Float32, n_axes: int) -> PrincipalAxes:
    """Return at most `n_axes` principal axes of (N, d) rows, by a randomised search.

    References
    ----------
    Halko, Martinsson, Tropp (2011), "Finding structure with randomness", arXiv:0909.4061.
    """
    n, d = rows.shape
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(np.float32)
    r = min(n_axes, d, max(1, n // ROWS_PER_AXIS))
    rng = np.random.default_rng(0)
    basis: NDArray[Any] = rng.normal(size=(d, min(d, r + EXTRA_AXES))).astype(np.float32)
    if basis.shape[1] == d:
        basis = np.eye(d, dtype=np.float32)
    else:
        for _ in range(POWER_STEPS):
            basis = np.linalg.qr(centred.T @ (centred @ basis))[0]  # (d, q)
    inside = (centred @ basis).astype(np.float64)  # (n, q)
    values, vectors = np.linalg.eigh(inside.T @ inside / n)  # ascending
    values, vectors = values[::-1][:r], vectors[:, ::-1][:, :r]
    least = MIN_SPREAD * max(float(values[0]), float(np.finfo(np.float32).tiny))
    kept = values > least
    axes = basis @ (vectors[:, kept] / np.sqrt(values[kept]))
    return PrincipalAxes(mean, np.asarray(axes, dtype=np.float64))


class Gaussians(NamedTuple):
    """Normal distributions of one covariance, as logits: ``coef @ row + intercept``."""

    coef: Float64
    """(..., K, r)."""
    intercept: Float64
    """(..., K)."""

    def logits(self, rows: Float32) -> Float32:
        """Return (..., K, m) logits of (m, r) rows."""
        inside = self.coef.astype(np.float32) @ rows.T
        return np.asarray(inside + self.intercept.astype(np.float32)[..., None])


class Sums(NamedTuple):
    """Weights and weighted sums of the labelled rows of each class."""

    counts: Float64
    """(..., K)."""
    totals: Float64
    """(..., K, r)."""

    @classmethod
    def of(cls, rows: Float32, codes: Codes, weights: Float64, n_classes: int) -> Self:
        """Add up (n, r) rows with (..., n) weights by their (n,) ascending codes."""
        present, starts = np.unique(codes, return_index=True)
        counts = np.zeros((*weights.shape[:-1], n_classes))
        totals = np.zeros((*weights.shape[:-1], n_classes, rows.shape[1]))
        counts[..., present] = np.add.reduceat(weights, starts, axis=-1)
        for place in np.ndindex(weights.shape[:-1]):
            weighted = weights[place][:, None] * rows  # (n, r)
            totals[(*place, present)] = np.add.reduceat(weighted, starts, axis=0)
        return cls(counts, totals)


def fit_gaussians(
    pool: Float32,  # (N, r) unlabelled rows, in coordinates of `PrincipalAxes`
    predicted: Float32,  # (..., K, N) logits of classifiers fitted to the labels only
    labelled: Sums,
    strength: float,  # weight of the distances relative to `predicted`
) -> Gaussians:
    """Fit a normal distribution for each class; all share one covariance.

    The memberships of a row of the pool are ``softmax(predicted - strength * distance² / 2)``, with
    Mahalanobis distances. A labelled row is a member of its class. Leading dimensions are separate
    problems. Each row needs 8·K bytes, and each step takes O(N r K) time.
    """
    total = len(pool) + labelled.counts.sum(axis=-1, keepdims=True)  # (..., 1)
    gaussians = Gaussians(np.zeros(labelled.totals.shape), np.zeros(labelled.counts.shape))
    for _ in range(STEPS):
        members = softmax(predicted + gaussians.logits(pool), axis=-2)  # (..., K, N)
        counts = members.sum(axis=-1, dtype=np.float64) + labelled.counts  # (..., K)
        sums = members @ pool + labelled.totals  # (..., K, r)
        means = sums / np.maximum(counts, MIN_COUNT)[..., None]
        coef = strength * _precise(means, np.sqrt(counts / total))
        gaussians = Gaussians(coef, -0.5 * (coef * means).sum(axis=-1))
    return gaussians


def _precise(means: Float64, shares: Float64) -> Float64:
    """Return the (..., K, r) products of the class means with the inverse shared covariance.

    The covariance of all rows is I. Around the class means it is ``I - B'B``, where B has the rows
    ``shares * means``. The smaller one of B'B and BB' is decomposed (Woodbury's identity).
    """
    scaled_means = shares[..., None] * means  # (..., K, r)
    across = scaled_means.swapaxes(-1, -2)  # (..., r, K)
    few = means.shape[-2] <= means.shape[-1]
    # The eigenvalues are at most 1, except for errors of rounding and of the sample.
    values, vectors = np.linalg.eigh(scaled_means @ across if few else across @ scaled_means)
    rest = np.maximum(1.0 - (1.0 - SHRINKAGE) * values, SHRINKAGE)[..., None, :]
    if not few:
        return np.asarray(means @ (vectors / rest) @ vectors.swapaxes(-1, -2))
    inside = (means @ across) @ (vectors / rest) @ vectors.swapaxes(-1, -2)  # (..., K, K)
    return np.asarray(means + (1.0 - SHRINKAGE) * inside @ scaled_means)


class FoldProblems(NamedTuple):
    """The problems of `fit_gaussians` without the labels of each of F folds."""

    pool: Float32
    """(S, r) coordinates of the unlabelled rows."""
    predicted: Float32
    """(F, K, S)."""
    labelled: Sums

    def gaussians(self, strength: float) -> Gaussians:
        """Return the normal distributions of the folds."""
        return fit_gaussians(self.pool, self.predicted, self.labelled, strength)


class Propagation:
    """The normal distributions of the classes, which are added to logits learned from labels.

    `logits` are those of a head that was fitted to `labelled` rows; with `normalize`, the head
    scales rows to unit length.
    """

    def __init__(
        self,
        logits: LabelLogits,
        labelled: Labelled,
        pool: UnlabelledRows,
        n_axes: int,
        *,
        normalize: bool,
    ) -> None:
        self.logits, self.labelled = logits, labelled
        self.space = pool.space(normalize=normalize, n_axes=n_axes)
        self.rows = self.space.axes.project(labelled.rows)  # (n, r)
        self.weights = labelled.weights / labelled.weights.mean()  # (n,)
        self.n_classes = len(labelled.classes)

    @one_blas_thread()
    def held_out(self, strength: float) -> HeldOutLogits:
        """Return the logits of the labelled rows from fits without their labels."""
        found, folds = self.logits.held_out(self.labelled), self.logits.folds
        if folds is not None and strength:
            added = self._problems.gaussians(strength)
            for fold in range(len(folds.weights)):
                part = np.flatnonzero(folds.folds[folds.scored] == fold)
                rows = self.rows[folds.scored[part]]
                found.logits[part] += rows @ added.coef[fold].T + added.intercept[fold]
        return replace(found, strength=strength)

    @cached_property
    def _problems(self) -> FoldProblems:
        folds, space = self.logits.folds, self.space
        assert folds is not None
        F, K, d = folds.weights.shape
        predicted = space.products(folds.weights.reshape(F * K, d)).reshape(F, K, -1)
        seen = folds.folds != np.arange(F)[:, None]  # (F, n)
        sums = Sums.of(self.rows, self.labelled.codes, seen * self.weights, K)
        return FoldProblems(space.coordinates, predicted + folds.intercepts[..., None], sums)

    @one_blas_thread()
    def combined(self, strength: float) -> tuple[Float64, Float64]:
        """Return the (K, d) weights and (K,) intercepts of the sum of both logits."""
        (weights, intercepts, _), axes = self.logits, self.space.axes
        predicted = self.space.products(weights) + intercepts[:, None]  # (K, N)
        sums = Sums.of(self.rows, self.labelled.codes, self.weights, self.n_classes)
        added = fit_gaussians(self.space.coordinates, predicted.astype(np.float32), sums, strength)
        inside = added.coef @ axes.axes.T  # (K, d)
        return weights + inside, intercepts + added.intercept - inside @ axes.mean
