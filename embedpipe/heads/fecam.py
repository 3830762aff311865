"""Mahalanobis distances to class means, each class with a covariance of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._threads import map_blocks
from ..errors import UsageError
from ._class_clouds import Cloud, Spread
from ._embedding_head import BLOCK_ROWS
from ._exact_head import CLEAR, PRIOR_ROWS, ExactHead, scorable
from ._held_out import tempered_loss
from ._labelled import Labelled, Sample
from ._parameters import check_number, is_number, log_class_weights
from ._rows import Array, Codes, Float64, lengths

GRID = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
"""Shrinkages that are tried."""

DEFAULT = 100.0
"""The shrinkage where no row can be left out, as the paper has it for a few rows a class."""

JUDGES = 500
"""Maximum rows by which the shrinkage is chosen, so that this takes no longer than the rest."""

USUAL = 2.0
"""Typical standard deviation of the logits of a row when they are calibrated."""


class FeCAMHead(ExactHead):
    """The class whose mean is nearest, in units of how each class spreads; exact on streams.

    Rows are bent by Tukey's power, ``sign(x) |x|^beta``, and brought back to unit length. The
    covariance of each class is shrunk, ``S + shrinkage * mean(diag S) * I``, and scaled to a
    correlation matrix; predicted is the class whose mean is nearest in the Mahalanobis distance by
    its matrix. Probabilities are softmax(-distance² / temperature).

    Parameters
    ----------
    shrinkage
        More than 0; with a great one only the means count. ``"auto"``: the one of six, from 1 to
        1,000, whose leave-one-out log-loss is least; 100 where no row can be left out.
    beta
        The power, more than 0; 1 leaves the rows as they are. The power keeps the sign, as
        embeddings may be negative.
    class_weight
        None or weights by label, by which the probabilities are multiplied; neither means nor
        correlations depend on how much a class counts. ``"balanced"`` is the same as None.
    normalize
        Whether rows are scaled to unit length, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    class_count_, means_
        (K,) and (K, d) float64: the weights and the means of the classes.
    ranks_, spreads_, axes_
        How each class spreads: (K,) how many axes it has, all these one after another as (R,)
        sums of squares along them, float64, and (R, d) directions, float64.
    shrinkage_
        The shrinkage used.
    intercept_
        (K,) float64: what is added to -distance²; minus infinity for a class without rows.
    temperature_
        Fitted to rows left out one by one; 0.12 of the mean squared distance between class
        means where none can be.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and the number of rows; None where no
        row can be left out.
    sample_rows_, sample_codes_, sample_weights_, sample_digests_
        Up to 2,000 of the rows, bent, picked by a hash of their content, by which the shrinkage
        (by 500 of them) and the temperature are chosen.
    sample_complete_
        Whether the sample has every row.

    Notes
    -----
    A class of m rows has at most m - 1 axes, which are its state: 8·d·min(m - 1, d) bytes.
    At 1,280 dimensions that is 10 kB a row and 13 MB for a class of more than 1,280: 1.3 GB for a
    hundred such. (d, d) matrices are formed for classes of more than d rows only.

    The paper also adds a part of the mean covariance off the diagonal, and with networks whose
    features may be negative leaves it, and Tukey's power, out; where rows were all positive, means
    are scaled to unit length. Correlations do not depend on the scale of a class, so a class of one
    row, which has none, can be compared with the others; but classes of few rows look farther
    than those of many, whose axes are known.

    O(n d min(m, d)) time to learn n rows, and O(d min(m, d)²) for each class that they are of, m
    rows being known of it; O(d R) for each row predicted. Learning holds the state twice, and some
    blocks of 2,048 rows and three matrices of (d, d) for each thread.

    References
    ----------
    Goswami, Liu, Twardowski, van de Weijer (2023), "FeCAM: Exploiting the heterogeneity of class
    distributions in exemplar-free continual learning", arXiv:2309.14062.

    Examples
    --------
    Two slanting streaks; either mean is as far from either query, but each lies along one streak:

    >>> X = [[-2, -2], [2, 2], [-0.1, 0.1], [0.1, -0.1], [2, -2], [6, 2], [3.9, 0.1], [4.1, -0.1]]
    >>> head = FeCAMHead(0.1, beta=1.0, normalize=False)
    >>> head = head.partial_fit(X[:4], ["left"] * 4).partial_fit(X[4:], ["right"] * 4)
    >>> head.predict([[2.0, 2.0], [2.0, -2.0]]).tolist()
    ['left', 'right']
    """

    def __init__(
        self,
        shrinkage: float | str = "auto",
        *,
        beta: float = 0.5,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.shrinkage = shrinkage
        self.beta = beta
        self.class_weight = class_weight
        self.normalize = normalize

    def _check_parameters(self) -> None:
        super()._check_parameters()
        value: Any = self.shrinkage
        if value != "auto" and not (is_number(value) and 0.0 < value < float("inf")):
            raise UsageError(f"shrinkage must be a number of more than 0 or 'auto', not {value!r}.")
        check_number("beta", self.beta, 0.0, above=True)

    def _log_weights(self) -> Float64:
        return log_class_weights(self.classes_, self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        batch = super()._read(X, y, sample_weight, reset=reset)
        bent = np.empty_like(batch.rows)

        def work(part: slice) -> None:
            bent[part] = self._bent(batch.rows[part])

        map_blocks(work, len(bent), BLOCK_ROWS)
        return replace(batch, rows=bent)

    def _bent(self, rows: Array) -> Array:
        """Return the (m, d) scaled rows after Tukey's power, in their precision."""
        bent = np.copysign(np.abs(rows) ** rows.dtype.type(self.beta), rows)
        if self.normalize:
            bent /= lengths(bent)[:, None].astype(rows.dtype)
        return np.asarray(bent)

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        spreads = [Spread.of_nothing(batch.rows.shape[1]) for _ in self.classes_]
        sample = Sample.of(batch, codes)
        if at is not None:
            for k, spread in zip(at, self._spreads(), strict=True):
                spreads[k] = spread
            sample = self._sample().renumbered(at).joined(sample)
        bounds = np.searchsorted(codes, np.arange(len(spreads) + 1))
        seen = np.flatnonzero(np.diff(bounds))  # the classes of the batch

        def learn(part: slice) -> None:
            for k in seen[part]:
                own = slice(bounds[k], bounds[k + 1])
                spreads[k] = spreads[k].with_rows(batch.rows[own], batch.weights[own])

        map_blocks(learn, len(seen), 1)
        self._keep_spreads(spreads)
        self._keep_sample(sample)
        self._work_out(sample)
        return self

    def _work_out(self, sample: Sample) -> None:
        scored = scorable(sample, self.class_count_)
        self.shrinkage_ = self._choose(sample, scored)
        left_out = self._left_out(sample, self.shrinkage_)
        scale = self._scale(left_out[scored])
        shift = self._temper(left_out, scale, self.class_count_, sample, scored)
        self.intercept_ = np.where(self.class_count_ > 0.0, shift, -np.inf)

    def _choose(self, sample: Sample, scored: NDArray[np.intp]) -> float:
        """Return the shrinkage to use, by the scored rows with the lowest digests."""
        if not isinstance(self.shrinkage, str):
            return float(self.shrinkage)
        if not len(scored):
            return DEFAULT
        judges = np.sort(scored[np.argsort(sample.digests[scored], kind="stable")[:JUDGES]])
        few = sample.only(judges)
        losses = [self._loss(few, shrinkage) for shrinkage in GRID]
        return GRID[int(np.argmin(np.round(losses, 4)))]

    def _loss(self, sample: Sample, shrinkage: float) -> float:
        present = self.class_count_ > 0.0  # (K,)
        logits = self._left_out(sample, shrinkage)[:, present]  # (m, P)
        codes = (np.cumsum(present) - 1)[sample.codes]
        scaled = logits / self._scale(logits)
        return tempered_loss(scaled, codes, sample.weights, prior_rows=PRIOR_ROWS)

    def _left_out(self, sample: Sample, shrinkage: float) -> Float64:
        """Return the (m, K) logits of the rows of the sample, each from a fit without it."""
        found = np.full((len(sample.rows), len(self.classes_)), -np.inf)
        clouds = self._clouds(shrinkage)
        rows = sample.rows.astype(np.float64)  # (m, d)

        def work(part: slice) -> None:
            for k, cloud in clouds[part]:
                own = np.flatnonzero(sample.codes == k)
                found[:, k] = -cloud.distances(rows)
                found[own, k] = -cloud.left_out(rows[own], sample.weights[own])

        map_blocks(work, len(clouds), 1)
        return found

    def _scale(self, logits: Float64) -> float:
        """Return the temperature to start from, by the (s, K) logits of rows left out."""
        if len(logits):
            spread = np.sqrt(logits[:, np.isfinite(logits[0])].var(axis=1).mean())
            return float(spread) / USUAL or 1.0
        clouds = self._clouds(self.shrinkage_)
        means = self.means_[[k for k, _ in clouds]]  # (P, d)
        between = sum(float(cloud.distances(means).sum()) for _, cloud in clouds)
        return CLEAR * between / max(len(clouds) * (len(clouds) - 1), 1) or 1.0

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        if not self.normalize:
            dtype = np.float64  # long rows have products beyond float32
        bent = self._bent(self._scaled(rows, dtype, offset))  # (b, d)
        logits: Array = np.full((len(bent), len(self.classes_)), -np.inf, dtype=dtype)
        for k, cloud in self._clouds(self.shrinkage_):
            logits[:, k] = self.intercept_[k] - cloud.distances(bent)
        return logits

    def _clouds(self, shrinkage: float) -> list[tuple[int, Cloud]]:
        """Return the classes that have rows, by number, and their clouds."""
        return [
            (k, Cloud(spread, shrinkage))
            for k, spread in enumerate(self._spreads())
            if spread.count > 0.0
        ]

    def _keep_spreads(self, spreads: list[Spread]) -> None:
        self.class_count_ = np.array([spread.count for spread in spreads])
        self.means_ = np.array([spread.mean for spread in spreads])
        self.ranks_ = np.array([len(spread.values) for spread in spreads], dtype=np.int64)
        self.spreads_ = np.concatenate([spread.values for spread in spreads])
        self.axes_ = np.concatenate([spread.axes for spread in spreads])

    def _spreads(self) -> list[Spread]:
        ends = np.cumsum(self.ranks_)  # (K,)
        return [
            Spread(
                float(count), mean, self.spreads_[end - rank : end], self.axes_[end - rank : end]
            )
            for count, mean, rank, end in zip(
                self.class_count_, self.means_, self.ranks_, ends, strict=True
            )
        ]
