"""Nearest class mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._arrays import Float64
from ._exact_head import DEFAULT_TEMPERATURE, LinearFit, StreamingHead
from ._labelled import Sample, log_class_weights
from ._moments import Moments


class NearestMeanHead(StreamingHead):
    """Nearest class mean; accurate with few labels and exact on streams.

    Probabilities are softmax(-|x - class mean|² / temperature).

    Parameters
    ----------
    class_weight
        None, or weights by label that multiply the probabilities. ``"balanced"`` equals None.
    normalize
        See `SimpleHead`.

    Attributes
    ----------
    means_
        (K, d) float64.
    coef_, intercept_
        (K, d) and (K,) float64: -|x - mean|² without the part that all classes share.
    temperature_, cv_accuracy_, cv_ece_, cv_n_
        From leave-one-out evaluation; see `Head`.
    class_count_, scatter_, sample_rows_, sample_codes_, sample_weights_, …
        The state for `partial_fit`.

    Notes
    -----
    A fit takes O(n d) time for n rows of length d.

    References
    ----------
    Mensink, Verbeek, Perronnin, Csurka (2013), "Distance-based image classification".
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
        products = 2.0 * rows @ centred.T  # (m, K)
        distances = np.square(rows).sum(axis=1)[:, None] - products - intercept  # (m, K)
        own, each = sample.codes, np.arange(len(rows))
        rest = np.maximum(counts[own] - sample.weights, 1e-9 * counts[own])  # (m,)
        # The distance of a row to the mean of the other rows of its class.
        distances[each, own] *= np.square(counts[own] / rest)
        return LinearFit(
            2.0 * centred,
            intercept - 2.0 * centred @ mean,
            -distances,
            _scale(counts, centred, rows[scored], own[scored]),
        )


def _scale(counts: Float64, centred: Float64, rows: Float64, codes: NDArray[np.intp]) -> float:
    """Return the initial temperature: twice the variance of the rows along the class means.

    Two normal distributions of variance v along the line between their means have the log-odds
    ``(difference of squared distances) / (2 v)``, so the temperature is 2 v.
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
    return DEFAULT_TEMPERATURE * 2.0 * between / len(present)
