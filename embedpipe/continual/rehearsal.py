"""Update rules that train on rows of a replay buffer in every step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..heads import Minibatch, Network, Training, UpdateRule, log_loss_gradient

__all__ = ["DarkExperience", "GradientProjection", "Rehearsal"]

Float32 = NDArray[np.float32]


class BufferRule(UpdateRule):
    """The base of rules whose steps draw rows of a buffer.

    `vectors` are the (m, d) embeddings of the buffer, and `labels` their (m,) labels. A step draws
    the next `size` rows in random order, by default as many as a mini-batch has. If the buffer is
    smaller, every step draws the whole buffer.
    """

    def __init__(self, vectors: Float32, labels: NDArray[Any], size: int | None = None) -> None:
        self._vectors, self._labels, self._size = vectors, labels, size

    def start(self, training: Training) -> None:
        """Scale the rows of the buffer."""
        super().start(training)
        m = len(self._labels)
        self._rows = training.prepare(self._vectors) if m else self._vectors  # (m, d)
        self._codes = np.searchsorted(training.classes, self._labels)  # (m,)
        size = min(m, self._size or training.batch_size)
        self._draws = _draws(m, size, training.rng)

    def _drawn(self) -> Minibatch:
        """Return the next rows of the buffer."""
        at = next(self._draws)
        return Minibatch(at, self._rows[at], self._codes[at], np.ones(len(at), dtype=np.float32))


class Rehearsal(BufferRule):
    """Every step adds `batch_size` rows of the buffer (all of a smaller one) to the new rows."""

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the gradient of the mean log-loss of the new rows and rows of the buffer."""
        drawn = self._drawn()
        both = Minibatch(
            np.concatenate([batch.at, drawn.at]),
            np.concatenate([batch.rows, drawn.rows]),
            np.concatenate([batch.codes, drawn.codes]),
            np.concatenate([batch.weights, drawn.weights]),
        )
        return super().gradient(network, both)


class DarkExperience(BufferRule):
    """Adds two losses on rows of the buffer: of their logits, and of their labels (DER++)."""

    def __init__(
        self,
        vectors: Float32,
        labels: NDArray[Any],
        logits: Float32,
        *,
        alpha: float,
        beta: float,
    ) -> None:
        super().__init__(vectors, labels)
        self._logits, self._alpha, self._beta = logits, alpha, beta

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the gradient of the log-loss of the new rows, plus both losses of the buffer."""
        gradient = super().gradient(network, batch)
        if not len(self._labels):
            return gradient
        drawn = self._drawn()
        forward = network.forward(drawn.rows)
        apart = forward.logits - self._logits[drawn.at]  # (b, K)
        residuals = np.float32(2.0 * self._alpha / apart.size) * apart
        residuals += np.float32(self._beta) * log_loss_gradient(forward.logits, drawn.codes)
        return gradient + network.gradient(drawn.rows, forward, residuals)


class GradientProjection(BufferRule):
    """Removes the part of a step's gradient that raises the loss on rows of the buffer (A-GEM)."""

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the gradient of the new rows, projected if it opposes that of the buffer."""
        gradient = super().gradient(network, batch)
        if not len(self._labels):
            return gradient
        return project(gradient, super().gradient(network, self._drawn()))


def project(gradient: Float32, reference: Float32) -> Float32:
    """Return the (p,) gradient without its part against `reference`, if there is such a part."""
    product = np.dot(gradient, reference)
    if product >= 0.0:
        return gradient
    projected: Float32 = gradient - product / np.dot(reference, reference) * reference
    return projected


def _draws(m: int, size: int, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Yield (size,) positions without end: the rows in random order, then in another order."""
    while True:
        order = rng.permutation(m)
        for start in range(0, m - size + 1, size):
            yield order[start : start + size]
