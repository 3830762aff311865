"""Ridge regression on random nonlinear features."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._specs import check_count
from ._arrays import Array, Float32
from ._embedding_head import BLOCK_ROWS
from ._labelled import Sample
from ._layers import Layers
from ._moments import Moments
from .ridge import CholeskySolver, RidgeHead, RidgeSolver, SpectralSolver

MAX_SEED = 2**32 - 1
"""Largest seed of ``RandomState``."""

SHARES = 10.0 ** np.arange(-6.0, 1.0)
"""Candidate penalties, as shares of the sum of squares of the centred features."""

MIN_CHOLESKY_SHARE = 1e-9
"""Minimum penalty for a Cholesky factorisation, as a share of the sum of squares."""


class RandomProjectionRidgeHead(RidgeHead):
    """Ridge regression on random nonlinear features; exact on streams.

    A row x becomes the features ``max(0, x W)`` of a fixed random normal matrix W; `RidgeHead` is
    fitted to the features.

    Parameters
    ----------
    alpha
        Penalty on the squared weights, at least 0, or ``"auto"``, which chooses the penalty with
        the least leave-one-out squared error. The seven candidates are from 1e-6 to 1 times the sum
        of squares of the centred features. With more than 2,000 rows the search stops when the
        error grows.
    features
        Number of features; several times the dimension of the rows is best.
    seed
        Seed of W, 0 to 2³² - 1; None is the seed of the run, or 0 without a run.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    coef_, intercept_
        (K, features) and (K,) float64.
    alpha_, loss_
        See `RidgeHead`.

    Notes
    -----
    W, (d, features), is recomputed from the seed and not saved. The first phase of the paper, which
    adapts the backbone, is omitted.

    With F features and up to 2,000 distinct rows, a fit to n rows of length d takes O(n d F + n² F)
    time. With more rows it takes O(n d F + n F² + F³) time and 40·F² bytes.

    References
    ----------
    McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel (2023), "RanPAC: Random projections and
    pre-trained models for continual learning", arXiv:2307.02251.
    """

    block_rows = BLOCK_ROWS
    _shares = SHARES

    def __init__(
        self,
        alpha: float | str = "auto",
        *,
        features: int = 5000,
        seed: int | None = None,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        super().__init__(alpha, class_weight=class_weight, normalize=normalize)
        self.features = features
        self.seed = seed

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("features", self.features)
        if self.seed is not None:
            check_count("seed", self.seed, 0, MAX_SEED)

    def _solver(self, moments: Moments, sample: Sample) -> RidgeSolver:
        if moments.scatter is None:
            return SpectralSolver(moments, sample)
        fits = CholeskySolver(moments, sample)
        alpha = fits.energy if self.alpha == "auto" else float(self.alpha)
        return fits if alpha > MIN_CHOLESKY_SHARE * fits.energy else SpectralSolver(moments, sample)

    def _features(self, rows: Array) -> Array:
        return self._projected(rows.astype(np.float64))

    def layers(self) -> Layers | None:
        """Return the fitted head as two affine layers."""
        check_is_fitted(self)
        weights = _projection(self.n_features_in_, int(self.features), int(self.seed or 0))
        zeros = np.zeros(weights.shape[1], dtype=np.float32)
        return self._as_layers((weights, zeros), (self.coef_.T, self.intercept_))

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        if not self.normalize:
            dtype = np.float64  # products of rows with large norms overflow float32
        features = self._projected(self._scaled(rows, dtype, offset))  # (b, F)
        return np.asarray(features @ self.coef_.T.astype(dtype) + self.intercept_.astype(dtype))

    def _projected(self, rows: Array) -> Array:
        """Return the (m, F) features of (m, d) scaled rows, in the precision of the rows."""
        weights = _projection(rows.shape[1], int(self.features), int(self.seed or 0))
        products = rows @ weights.astype(rows.dtype, copy=False)  # (m, F)
        return np.maximum(products, 0.0, out=products)


@lru_cache(maxsize=4)
def _projection(dimensions: int, features: int, seed: int) -> Float32:
    """Return the (dimensions, features) matrix W of a seed."""
    # Only RandomState is guaranteed to give the same numbers in later versions of NumPy.
    drawn = np.random.RandomState(seed).standard_normal((dimensions, features))
    weights = drawn.astype(np.float32)
    weights.flags.writeable = False
    return weights
