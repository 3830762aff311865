"""The zero-shot prior: logits of classes from the vectors of their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from .._threads import one_blas_thread
from ..errors import LabelError
from ._arrays import Float64, log_losses, row_norms
from ._held_out import calibrated_loss
from ._label_logits import (
    DEFAULT_TEMPERATURE,
    PRIOR_ROWS,
    FoldLogits,
    HeldOutLogits,
    LabelLogits,
)
from ._labelled import Labelled, checked_labels, join_classes

WEIGHTS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.5, 2.0)
"""Weights of the zero-shot logits that are compared with the weight 0."""

SPREAD = 0.8
"""Standard deviation of a normal prior on the logarithm of the weight, around the weight 1."""

MAX_PENALTY = 2.5
"""Maximum penalty of a weight by this prior, in nats; with labels, also that of the weight 0."""


@dataclass(frozen=True, eq=False)
class ZeroShotPrior:
    """Vectors of the names of classes, in the space of the rows.

    The zero-shot logit of a class is `scale` times the product of a row and the class's vector,
    both scaled to unit length.

    Parameters
    ----------
    classes
        (C,) distinct names, in any order.
    vectors
        (C, d) vectors of the names, such as those of a text tower.
    scale
        Factor of the cosines: the inverse temperature of the text tower.

    Raises
    ------
    LabelError
        If the shapes differ, a name is repeated, or a vector contains NaN or infinity.

    References
    ----------
    Radford et al. (2021), "Learning transferable visual models from natural language supervision",
    arXiv:2103.00020.

    Examples
    --------
    >>> from embedpipe.heads import AutoHead
    >>> prior = ZeroShotPrior(["hat", "shoe"], np.eye(2))
    >>> AutoHead.from_prior(prior).predict([[0.9, 0.1], [0.2, 0.7]]).tolist()
    ['hat', 'shoe']
    """

    classes: Any
    vectors: Any
    scale: float = 100.0

    def __post_init__(self) -> None:
        names, vectors = checked_labels(self.classes), np.asarray(self.vectors, dtype=np.float64)
        if vectors.ndim != 2 or len(vectors) != len(names) or not len(names):
            raise LabelError(
                f"the vectors of {len(names)} classes have the shape {vectors.shape}: give one row "
                "for each class."
            )
        if not np.isfinite(vectors).all():
            raise LabelError("a vector of a class holds NaN or infinity: compute it again.")
        order = np.argsort(names, kind="stable")
        twice = names[order][1:][names[order][1:] == names[order][:-1]]
        if len(twice):
            raise LabelError(f"the class {twice[0].item()!r} is given twice: give it once.")
        object.__setattr__(self, "classes", names[order])
        object.__setattr__(self, "vectors", vectors[order])

    @cached_property
    def weights(self) -> Float64:
        """The (C, d) weights of the zero-shot logits."""
        return np.asarray(self.scale * self.vectors / row_norms(self.vectors)[:, None])

    def weights_for(self, classes: NDArray[Any], dim: int) -> Float64:
        """Return the (K, d) weights for sorted classes, minus the mean weights of the names.

        They are zeros for a class without a name: its logit is the mean of the others.
        """
        if self.vectors.shape[1] != dim:
            raise LabelError(
                f"the vectors of the classes have {self.vectors.shape[1]} numbers and the rows "
                f"{dim}: compute both with the same backbone."
            )
        weights = np.zeros((len(classes), dim))
        # All texts and images have a common part of their cosines, such as 0.2.
        centred = self.weights - self.weights.mean(axis=0)
        weights[np.searchsorted(classes, self.classes)] = centred
        return weights

    def renamed(self, names: Mapping[str, str | None]) -> Self | None:
        """Return the prior with new names of classes; None if fewer than two classes are left.

        A class with the new name None is left out. Classes with the same new name are merged: the
        mean of their unit vectors is used.
        """
        unit: dict[str, list[Float64]] = {}
        for old, vector in zip(self.classes.tolist(), self.vectors, strict=True):
            new = names.get(old, old)
            if new is not None:
                unit.setdefault(new, []).append(vector / row_norms(vector[None])[0])
        if len(unit) < 2:
            return None
        vectors = [np.mean(each, axis=0) for each in unit.values()]
        return replace(self, classes=list(unit), vectors=vectors)


class Blend(NamedTuple):
    """The sum of the logits learned from labels and weighted zero-shot logits."""

    logits: LabelLogits
    labelled: Labelled
    """The labelled rows, with the classes of the prior added."""
    weight: float


@one_blas_thread()
def blend(logits: LabelLogits, labelled: Labelled, prior: ZeroShotPrior) -> Blend | None:
    """Add zero-shot logits with the weight of the least held-out log-loss; None for weight 0.

    The weight is also 0 if the names alone predict the labels of the rows no better than chance.
    If no label is held out, the names alone decide.
    """
    classes = join_classes(labelled.classes, prior.classes, None)
    at = np.searchsorted(classes, labelled.classes)
    named = prior.weights_for(classes, labelled.rows.shape[1]).astype(np.float32)  # (U, d)
    zero_shot = (labelled.rows @ named.T).astype(np.float64)  # (n, U)
    weight = _weight_alone(zero_shot, at[labelled.codes], labelled.weights)
    if weight and logits.folds is not None:
        # A held-out row has the class of another row: only the classes with a label are compared.
        weight = _weight_with_labels(_learned(logits, labelled), zero_shot[:, at])
    if not weight:
        return None
    if logits.folds is None:
        logits = LabelLogits(
            logits.weights / DEFAULT_TEMPERATURE, logits.intercepts / DEFAULT_TEMPERATURE, None
        )
    expanded = _expanded(logits, at, len(classes), len(labelled.rows))
    added, folds = np.float32(weight) * named, expanded.folds
    if folds is not None:
        folds = folds._replace(weights=folds.weights + added)
    summed = expanded._replace(weights=expanded.weights + added, folds=folds)
    return Blend(summed, replace(labelled, classes=classes, codes=at[labelled.codes]), weight)


def _learned(logits: LabelLogits, labelled: Labelled) -> HeldOutLogits:
    """Return the logits of all labelled rows from fits without their labels.

    They are 0 for a row that no fold leaves out: without this row, nothing is known of its class.
    """
    assert logits.folds is not None
    every = np.zeros((len(labelled.rows), len(labelled.classes)))
    every[logits.folds.scored] = logits.held_out(labelled).logits
    return HeldOutLogits(0.0, every, labelled.codes, labelled.weights)


def _weight_alone(zero_shot: Float64, codes: NDArray[np.integer[Any]], counts: Float64) -> float:
    """Return the best weight of the (n, U) zero-shot logits if they alone predict the labels."""

    def loss(weight: float) -> float:
        return float(counts @ log_losses(weight * zero_shot, codes))

    return _best_weight(loss, penalty_of_zero=0.0)  # names that are as good as chance are rejected


def _weight_with_labels(learned: HeldOutLogits, zero_shot: Float64) -> float:
    """Return the best weight of the (n, K) zero-shot logits in a sum with the learned logits."""
    counts = learned.weights

    def loss(weight: float) -> float:
        logits = learned.logits + weight * zero_shot
        each = calibrated_loss(logits, learned.codes, counts, prior_rows=PRIOR_ROWS)
        return float(counts.sum()) * each

    return _best_weight(loss)


def _best_weight(loss: Callable[[float], float], penalty_of_zero: float = MAX_PENALTY) -> float:
    """Return the weight of the zero-shot logits with the least penalised log-loss, or 0."""
    penalties = {0.0: penalty_of_zero, **{weight: _penalty(weight) for weight in WEIGHTS}}
    # Rounded, so that the choice does not depend on the last bits of a sum.
    scores = {weight: round(loss(weight) + more, 4) for weight, more in penalties.items()}
    return min(scores, key=lambda weight: (scores[weight], weight))


def _penalty(weight: float) -> float:
    """Return the negative logarithm of the prior of a weight, relative to the weight 1."""
    return min(MAX_PENALTY, float(np.log(weight) / SPREAD) ** 2 / 2.0)


def _expanded(logits: LabelLogits, at: NDArray[np.intp], n_classes: int, n: int) -> LabelLogits:
    """Return the logits for more classes; `at` are the places of the classes with a label.

    The logit of a class without a label is the mean of the others minus log(1 + n / U), for n
    labels and U classes: as many labels are expected for each class, and it has none.
    """
    if len(at) == n_classes:
        return logits
    shift = np.log1p(n / n_classes)

    def widened(values: NDArray[Any], axis: int, less: float = 0.0) -> NDArray[Any]:
        mean = values.mean(axis=axis, keepdims=True) - values.dtype.type(less)
        shape = list(values.shape)
        shape[axis] = n_classes
        found = np.broadcast_to(mean, shape).copy()
        np.moveaxis(found, axis, 0)[at] = np.moveaxis(values, axis, 0)
        return found

    folds = logits.folds
    if folds is not None:
        folds = FoldLogits(
            widened(folds.weights, 1), widened(folds.intercepts, 1, shift), folds.folds
        )
    return LabelLogits(widened(logits.weights, 0), widened(logits.intercepts, 0, shift), folds)
