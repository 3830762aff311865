"""Update rules that keep what a head learned before: penalties on its weights and its outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..heads import Minibatch, Network, Training, UpdateRule, log_loss_gradient, softmax

__all__ = ["Consolidation", "Distillation", "SynapticConsolidation"]

Float32 = NDArray[np.float32]


class _WeightPenalty(UpdateRule):
    """Adds the loss ``factor / 2 * sum(importance * (weights - anchor)²)``.

    The state of the rule has the (p,) importance of every weight and the (p,) anchor.
    """

    def __init__(self, factor: float) -> None:
        self._factor = np.float32(factor)

    def start(self, training: Training) -> None:
        """Read the importance and the anchor of the earlier experiences."""
        self._importance = training.state.get("importance")  # (p,), None at first
        self._anchor = training.state.get("anchor")  # (p,)

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the gradient of the log-loss and the penalty."""
        gradient = super().gradient(network, batch)
        if self._importance is None or self._anchor is None:
            return gradient
        gradient += self._factor * self._importance * (network.values - self._anchor)
        return gradient


class Consolidation(_WeightPenalty):
    """Elastic weight consolidation: the importance is the mean squared gradient of the log-loss.

    With `decay` None, the penalty is the sum of the penalties of all earlier experiences. A sum of
    quadratic functions is one quadratic function, so the sum of the importances and the mean of
    the anchors, weighted by importance, are enough. Otherwise, the anchor is the last weights, and
    the older importance is multiplied by `decay`. `importance_batch` rows have one gradient, which
    is then squared; None is the batch size of the head.
    """

    def __init__(
        self, strength: float, decay: float | None = None, importance_batch: int | None = None
    ) -> None:
        super().__init__(2.0 * strength)
        self._decay, self._importance_batch = decay, importance_batch

    def finish(self, training: Training) -> dict[str, NDArray[Any]]:
        """Add the importance of this experience."""
        new, weights = self._squared_gradients(training), training.network.values.astype(np.float64)
        if self._importance is None or self._anchor is None:
            return _state(new, weights)
        old = self._importance.astype(np.float64)
        if self._decay is not None:
            return _state(self._decay * old + new, weights)
        total = old + new
        share = np.divide(new, total, out=np.ones_like(total), where=total > 0.0)
        return _state(total, self._anchor + share * (weights - self._anchor))

    def _squared_gradients(self, training: Training) -> NDArray[np.float64]:
        """Return the (p,) mean over mini-batches of the squared gradients."""
        order = training.rng.permutation(len(training.rows))
        size = self._importance_batch or training.batch_size
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        total = np.zeros(training.network.values.size)
        for at in parts:
            total += np.square(
                UpdateRule.gradient(self, training.network, training.minibatch(at)),
                dtype=np.float64,
            )
        return total / len(parts)


class SynapticConsolidation(_WeightPenalty):
    """Synaptic intelligence: the importance is the part of the decrease of the loss.

    The importance of a weight in an experience is ``-sum(gradient * change)`` over the steps,
    divided by the squared change in the experience plus `damping`. It is summed over the
    experiences and kept between 0 and `limit`.
    """

    def __init__(self, strength: float, damping: float, limit: float) -> None:
        super().__init__(strength)
        self._damping, self._limit = damping, limit

    def start(self, training: Training) -> None:
        """Start a new path of the weights."""
        super().start(training)
        self._first = training.network.values.astype(np.float64)
        self._path = np.zeros(len(self._first))

    def after_step(self, network: Network, gradient: Float32, change: Float32) -> None:
        """Add the decrease of the loss in a step."""
        self._path -= np.multiply(gradient, change, dtype=np.float64)

    def finish(self, training: Training) -> dict[str, NDArray[Any]]:
        """Add the importance of this experience."""
        weights = training.network.values.astype(np.float64)
        total = self._path / (np.square(weights - self._first) + self._damping)
        total += training.state.get("decrease", 0.0)
        return {
            "decrease": total,
            **_state(np.clip(total, 0.0, self._limit), weights),
        }


class Distillation(UpdateRule):
    """Learning without forgetting: adds ``alpha`` times a distance from the earlier predictions.

    The distance is the Kullback-Leibler divergence between the probabilities of the classes learned
    before, at the given temperature, on the new rows. The earlier predictions are those of the
    weights at the start.
    """

    def __init__(self, alpha: float, temperature: float) -> None:
        self._alpha, self._temperature = alpha, np.float32(temperature)

    def start(self, training: Training) -> None:
        """Predict the new rows with the weights at the start."""
        classes = np.arange(len(training.classes))
        self._old = classes[training.state.get("learned", np.zeros(len(classes), dtype=bool))]
        if len(self._old):
            logits = training.network.logits(training.rows)[:, self._old]  # (m, k)
            self._targets = softmax(logits / self._temperature)

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the gradient of the log-loss and the distance."""
        forward = network.forward(batch.rows)
        residuals = log_loss_gradient(forward.logits, batch.codes, batch.weights)  # (b, K)
        if len(self._old):
            apart = softmax(forward.logits[:, self._old] / self._temperature)  # (b, k)
            apart -= self._targets[batch.at]
            apart *= np.float32(self._alpha / (self._temperature * len(batch.at)))
            residuals[:, self._old] += apart
        return network.gradient(batch.rows, forward, residuals)

    def finish(self, training: Training) -> dict[str, NDArray[Any]]:
        """Add the classes of the new rows to the learned classes."""
        learned = np.zeros(len(training.classes), dtype=bool)
        learned[self._old] = True
        learned[training.codes] = True
        return {"learned": learned}


def _state(importance: NDArray[np.float64], anchor: NDArray[np.float64]) -> dict[str, NDArray[Any]]:
    return {"importance": importance.astype(np.float32), "anchor": anchor.astype(np.float32)}
