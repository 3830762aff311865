"""The class whose mean is nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._exact_head import CLEAR, LinearFit, StreamingHead
from ._labelled import Sample
from ._moments import Moments
from ._parameters import log_class_weights
from ._rows import Float64


class NearestMeanHead(StreamingHead):
    """The class whose mean is nearest: hard to beat with a few labels, and exact on streams.

    Probabilities are softmax(-|x - mean of the class|² / temperature). With `normalize`, rows are
    scaled to unit length before they are averaged.

    Parameters
    ----------
    class_weight
        None or weights by label, by which the probabilities are multiplied; a mean does not depend
        on the weight of its class. ``"balanced"`` is the same as None.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    means_
        (K, d) float64.
    coef_, intercept_
        (K, d) and (K,) float64: -|x - mean|² without the part that is the same for all classes.
    temperature_
        Fitted to rows left out one by one; 0.12 of the mean squared distance between class
        means where none can be.
    cv_accuracy_, cv_ece_, cv_n_
        Leave-one-out accuracy and expected calibration error, and the number of rows; None where no
        row can be left out.
    class_count_, scatter_, sample_rows_, sample_codes_, sample_weights_, sample_digests_
        What is remembered of the rows, for `partial_fit`: their total weights, and up to 2,000 of
        them, picked by a hash of their content, on which the temperature is fitted.
    sample_complete_
        Whether the sample has every row.

    Notes
    -----
    O(n d) time to learn from n rows.

    References
    ----------
    Mensink, Verbeek, Perronnin, Csurka (2013), "Distance-based image classification".

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> head = NearestMeanHead().fit(X, ["hat", "hat", "shoe", "shoe"])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist()
    ['hat', 'shoe']
    """

    _needs_scatter = False

    def __init__(self, *, class_weight: Any = None, normalize: bool = True) -> None:
        self.class_weight = class_weight
        self.normalize = normalize

    def _log_weights(self) -> Float64:
        return log_class_weights(self.classes_, self.class_weight)

    def _solve(self, moments: Moments, sample: Sample, scored: NDArray[np.intp]) -> LinearFit:
        means, counts, mean = moments.means, moments.counts, moments.mean
        centred = means - mean  # (K, d)
        intercept = np.where(counts > 0.0, -np.square(centred).sum(axis=1), -np.inf)  # (K,)
        rows = sample.rows - mean  # (m, d)
        away = np.square(rows).sum(axis=1)[:, None] - 2.0 * rows @ centred.T - intercept  # (m, K)
        own, each = sample.codes, np.arange(len(rows))
        rest = np.maximum(counts[own] - sample.weights, 1e-9 * counts[own])  # (m,)
        away[each, own] *= np.square(counts[own] / rest)  # from the mean of the others
        return LinearFit(
            2.0 * centred,
            intercept - 2.0 * centred @ mean,
            -away,
            _scale(counts, centred, rows[scored], own[scored]),
        )


def _scale(counts: Float64, centred: Float64, rows: Float64, codes: NDArray[np.intp]) -> float:
    """Return the temperature to start from.

    Two normal clouds with the variance v along the line between their means have the log-odds
    ``|difference of squared distances| / (2 v)``; so v is measured along the class means.
    """
    present = centred[counts > 0.0]  # (K, d)
    between = float(np.square(present).sum())
    if not between > 0.0:
        return 1.0
    if len(rows):
        along = (rows - centred[codes]) @ present.T  # (s, K)
        variance = float(np.square(along).sum()) / (len(rows) * between)
        if variance > 0.0:
            return 2.0 * variance
    return CLEAR * 2.0 * between / len(present)
