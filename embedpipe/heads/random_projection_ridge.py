"""Ridge regression on random features: a wide layer that is never trained."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ._embedding_head import BLOCK_ROWS
from ._labelled import Sample
from ._moments import Moments
from ._parameters import check_count
from ._rows import Array, Float32
from .ridge import FactorFits, Fits, RidgeHead, SpectralFits

SEEDS = 2**32
"""Seeds are less than this."""

SHARES = 10.0 ** np.arange(-6.0, 1.0)
"""Strengths that are tried, as shares of the sum of squares of the centred features: few, as each
takes a factorisation where there are many rows."""

SAFE = 1e-9
"""Strengths of less than this share of the energy may be lost in the rounding of a factor."""


class RandomProjectionRidgeHead(RidgeHead):
    """Ridge regression on random features of the rows: bends where `ridge` is straight.

    A row x becomes the features ``max(0, x W)``, where W is drawn once from the standard normal
    distribution, and `ridge` is fitted to these: exact on streams, its strength by leave-one-out.

    Parameters
    ----------
    alpha
        Strength of the penalty on the weights of the features, at least 0, or ``"auto"``: the one
        of seven, a decade apart, whose leave-one-out squared error is least; they go from 1e-6
        times the sum of squares of the centred features up to once that. Beyond 2,000 rows they
        are tried from the weakest on, until the error grows.
    features
        Number of features; several times the dimensions of the rows are worth their time. Beyond
        2,000 rows, time grows with their cube and memory with their square.
    seed
        From which W is drawn, 0 to 2³² - 1. None: 0, or the seed of the run that trains the head.
    class_weight
        None, ``"balanced"`` or weights by label.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    coef_, intercept_
        (K, features) and (K,) float64: the regression on the features.
    alpha_
        The strength used.
    loss_
        As of `RidgeHead`.
    temperature_
        Probabilities are softmax(scores / temperature_); fitted to leave-one-out scores.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and the number of rows; None where no
        row can be left out.
    class_count_, means_, scatter_, sample_rows_, sample_codes_, sample_weights_, sample_digests_
        What is remembered, for `partial_fit`: sums over the features, and rows as they are.
    sample_complete_
        Whether the sample has every row.

    Notes
    -----
    W, (d, features), is derived from the seed whenever it is needed and is not part of a saved
    head; NumPy promises never to change what ``RandomState`` draws. Features are float64 in a fit.
    This is the second phase of the paper: the first, which adapts the network, has no place where
    embeddings are given. Rows have unit length here, so that features are around 1.

    With F features: O(n d F + n F²) time for n rows and O(F³) for each call beyond 2,000 distinct
    rows, O(n d F + n² F) up to there. Memory: 4·d bytes for each row kept, 8·F² beyond and five
    times that while learning, 4·d·F for W, and on each thread three blocks of 2,048·F float64.

    References
    ----------
    McDonnell, Gong, Parvaneh, Abbasnejad, van den Hengel (2023), "RanPAC: Random projections and
    pre-trained models for continual learning", arXiv:2307.02251.

    Examples
    --------
    The classes lie across from each other, so that no straight line parts them:

    >>> X = np.array([[1, 0.1], [-1, 0.1], [0.1, 1], [0.1, -1]] * 3, dtype=np.float32)
    >>> X += 0.1 * np.arange(12, dtype=np.float32)[:, None] % 0.3
    >>> y = np.array(["flat", "flat", "steep", "steep"] * 3)
    >>> head = RandomProjectionRidgeHead(features=100).partial_fit(X[:4], y[:4])
    >>> head.partial_fit(X[4:], y[4:]).predict([[3.0, 0.0], [-3.0, 0.0], [0.0, -3.0]]).tolist()
    ['flat', 'flat', 'steep']
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
        seed: Any = self.seed if self.seed is not None else 0
        if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < SEEDS:
            raise UsageError(
                f"seed must be a whole number from 0 to {SEEDS - 1}, not {self.seed!r}."
            )

    def _fits(self, moments: Moments, sample: Sample) -> Fits:
        if moments.scatter is None:
            return SpectralFits(moments, sample)
        fits = FactorFits(moments, sample)
        alpha = fits.energy if self.alpha == "auto" else float(self.alpha)
        return fits if alpha > SAFE * fits.energy else SpectralFits(moments, sample)

    def _features(self, rows: Array) -> Array:
        return self._projected(rows.astype(np.float64))

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        if not self.normalize:
            dtype = np.float64  # long rows have products beyond float32
        features = self._projected(self._scaled(rows, dtype, offset))  # (b, F)
        return np.asarray(features @ self.coef_.T.astype(dtype) + self.intercept_.astype(dtype))

    def _projected(self, rows: Array) -> Array:
        """Return the (m, F) features of (m, d) scaled rows, in their precision."""
        weights = _projection(rows.shape[1], int(self.features), int(self.seed or 0))
        products = rows @ weights.astype(rows.dtype, copy=False)  # (m, F)
        return np.maximum(products, 0.0, out=products)


@lru_cache(maxsize=4)
def _projection(dimensions: int, features: int, seed: int) -> Float32:
    """Return the (dimensions, features) matrix W of a seed."""
    # A Generator may draw other numbers in a later NumPy; heads that were saved need the same.
    drawn = np.random.RandomState(seed).standard_normal((dimensions, features))
    weights = drawn.astype(np.float32)
    weights.flags.writeable = False
    return weights
