"""A base class for custom heads."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import NEVER_SCORED, Array, Codes, Float32, Float64, assign_folds
from ._embedding_head import EmbeddingHead
from ._held_out import N_FOLDS, capped_temperature
from ._labelled import Labelled, check_class_weight, read_labelled


class SimpleHead(EmbeddingHead):
    """A base class for custom heads; a subclass has the methods `learn` and `logits`.

    The base class checks, weights and scales rows, and calibrates probabilities by five-fold
    cross-validation. `learn` stores its results in attributes whose names end in an underscore.
    These attributes must be numbers, strings or arrays of both, so that the head can be saved. If a
    subclass has further parameters, ``__init__`` stores them as attributes of the same names.

    Parameters
    ----------
    class_weight
        None, ``"balanced"`` or weights by label.
    normalize
        Whether rows are scaled to unit length, in `fit` and in prediction.

    Attributes
    ----------
    classes_
        (K,) sorted labels.
    temperature_
        Probabilities are softmax(logits / temperature_). The temperature is 1 if no row can be held
        out.
    cv_accuracy_, cv_ece_, cv_n_
        Cross-validated accuracy and expected calibration error, and the number of scored rows.

    Examples
    --------
    >>> class MeansHead(SimpleHead):
    ...     '''The class whose mean has the largest product with the row.'''
    ...     def learn(self, rows, codes, weights):
    ...         members = weights[:, None] * (codes[:, None] == np.arange(len(self.classes_)))
    ...         self.means_ = members.T @ rows / members.sum(axis=0)[:, None]  # (K, d)
    ...     def logits(self, rows):
    ...         return rows @ self.means_.T  # (b, K)
    >>> head = MeansHead().fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
    >>> head.predict([[0.2, 0.9]]).tolist()
    ['hat']
    """

    ignores_row_order = True

    def __init__(self, *, class_weight: Any = None, normalize: bool = True) -> None:
        self.class_weight = class_weight
        self.normalize = normalize

    @abstractmethod
    def learn(self, rows: Float32, codes: Codes, weights: Float64) -> None:
        """Learn from (m, d) float32 rows, their (m,) codes and (m,) weights.

        `codes` are the classes of the rows, as positions in `classes_`.

        Equal rows of a class are merged into one row with the sum of their weights. Every class has
        a row.
        """

    @abstractmethod
    def logits(self, rows: Float32) -> NDArray[np.floating[Any]]:
        """Return the (b, K) logits of (b, d) float32 rows."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to (n, d) labelled rows; a row of weight 2 equals two rows.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, a row holds NaN or infinity, or weights are
            negative, not finite or all zero.
        UsageError
            If a parameter is out of range.
        """
        check_class_weight(self.class_weight)
        batch = read_labelled(self, X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        self._calibrate(batch)
        self.learn(np.asarray(batch.rows), batch.codes, batch.weights)
        return self

    def _calibrate(self, batch: Labelled) -> None:
        """Fit the temperature to held-out rows, fold by fold."""
        self.temperature_ = 1.0
        rows, codes, weights = np.asarray(batch.rows), batch.codes, batch.weights
        folds = assign_folds(batch.digests, codes, N_FOLDS)  # (m,)
        scored = np.flatnonzero(folds != NEVER_SCORED)
        if len(self.classes_) == 1 or not scored.size:
            self._evaluate(None, codes[:0])
            return
        logits = np.zeros((len(rows), len(self.classes_)))
        for fold in np.unique(folds[scored]):
            rest = folds != fold
            self.learn(rows[rest], codes[rest], weights[rest])
            logits[~rest] = self.logits(rows[~rest])
        self.temperature_ = capped_temperature(
            logits[scored], codes[scored], weights[scored], weights.sum(), prior_rows=1.0
        )
        self._evaluate(logits[scored], codes[scored], weights[scored])

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        return np.array(self.logits(self._scaled(rows, np.float32, offset)), dtype=dtype)
