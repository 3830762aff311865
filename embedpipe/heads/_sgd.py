"""Stochastic gradient descent: a network, its gradients, and rules that change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._arrays import Codes, Float32, softmax

SCHEDULES = ("cosine", "constant")
"""*cosine*: the learning rate falls to 0 along half a cosine. *constant*: it does not change."""

FORWARD_ROWS = 4096
"""Rows whose logits are computed in one block."""


class Forward(NamedTuple):
    """The values of a network for b rows."""

    inputs: Float32
    """(b, i) inputs of the output layer: the rows, or the hidden units."""
    logits: Float32
    """(b, K)."""


class Network:
    """Softmax regression, or a network with one hidden layer of ReLU units.

    Parameters
    ----------
    d, hidden, n_classes
        Numbers of features, of hidden units (0 for no hidden layer) and of classes.
    values
        (p,) float32 weights of all layers. The arrays of the layers are views of it.

    Attributes
    ----------
    coef, intercept
        (K, i) and (K,) weights of the output layer for i inputs.
    hidden_coef, hidden_intercept
        (hidden, d) and (hidden,) weights of the hidden layer.
    """

    def __init__(self, d: int, hidden: int, n_classes: int, values: Float32 | None = None) -> None:
        inputs = hidden or d
        shapes = [(n_classes, inputs), (n_classes,), (hidden, d), (hidden,)]
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes])
        self.shape = d, hidden, n_classes
        self.values: Float32 = np.zeros(ends[-1], dtype=np.float32) if values is None else values
        self.coef, self.intercept, self.hidden_coef, self.hidden_intercept = (
            part.reshape(shape)
            for part, shape in zip(np.split(self.values, ends[:-1]), shapes, strict=True)
        )

    def copy(self) -> Network:
        """Return a network with its own weights."""
        return Network(*self.shape, self.values.copy())

    def forward(self, rows: Float32) -> Forward:
        """Return the values for (b, d) rows."""
        inputs = rows
        if self.shape[1]:
            inputs = rows @ self.hidden_coef.T  # (b, h)
            inputs += self.hidden_intercept
            np.maximum(inputs, 0.0, out=inputs)
        logits = inputs @ self.coef.T  # (b, K)
        logits += self.intercept
        return Forward(inputs, logits)

    def logits(self, rows: Float32) -> Float32:
        """Return the (m, K) logits of (m, d) rows."""
        logits = np.empty((len(rows), self.shape[2]), dtype=np.float32)
        for start in range(0, len(rows), FORWARD_ROWS):
            part = slice(start, start + FORWARD_ROWS)
            logits[part] = self.forward(rows[part]).logits
        return logits

    def gradient(self, rows: Float32, forward: Forward, residuals: Float32) -> Float32:
        """Return the (p,) gradient of a loss with (b, K) gradients `residuals` in the logits."""
        found = Network(*self.shape)
        np.matmul(residuals.T, forward.inputs, out=found.coef)
        residuals.sum(axis=0, out=found.intercept)
        if self.shape[1]:
            below = residuals @ self.coef  # (b, h)
            below *= forward.inputs > 0.0
            np.matmul(below.T, rows, out=found.hidden_coef)
            below.sum(axis=0, out=found.hidden_intercept)
        return found.values


class Minibatch(NamedTuple):
    """The rows of a training step."""

    at: NDArray[np.intp]
    """(b,) positions in the rows of `Training`."""
    rows: Float32
    """(b, d)."""
    codes: Codes
    """(b,) classes."""
    weights: Float32
    """(b,) weights, with mean 1 over all rows of the training."""


@dataclass(frozen=True)
class Training:
    """A call of `SGDHead.partial_fit` with an `UpdateRule`.

    Attributes
    ----------
    network
        The network with its current weights.
    rows, codes, weights
        (m, d) rows as the network receives them, (m,) classes, (m,) weights with mean 1.
    classes
        (K,) labels; a class is a position in them.
    batch_size
        Number of rows in a step.
    rng
        Random numbers for the rule.
    prepare
        Scales (k, d) embeddings as the network expects them.
    state
        Arrays that the rule returned from `finish` in the last call, by name; empty at first.
    """

    network: Network
    rows: Float32
    codes: Codes
    weights: Float32
    classes: NDArray[Any]
    batch_size: int
    rng: np.random.Generator
    prepare: Callable[[NDArray[Any]], Float32]
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def minibatch(self, at: NDArray[np.intp]) -> Minibatch:
        """Return the rows at these positions."""
        return Minibatch(at, self.rows[at], self.codes[at], self.weights[at])


class UpdateRule:
    """The rule of a training step: by default, the gradient of the mean log-loss.

    A continual-learning method is a subclass that adds a penalty to the loss, adds rows to a step
    or changes the gradient. `SGDHead.partial_fit` calls `start` before the first step, `gradient`
    in each step, `after_step` after it, and `finish` at the end. The head stores the arrays of
    `finish` in attributes such as ``rule_anchor_``, saves them with the weights, and passes them to
    the rule of the next call as ``training.state``.

    Examples
    --------
    >>> from embedpipe.heads import SGDHead, UpdateRule
    >>> class Frozen(UpdateRule):
    ...     def gradient(self, network, batch):
    ...         return 0.0 * super().gradient(network, batch)
    >>> X, y = [[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"]
    >>> SGDHead().partial_fit(X, y, rule=Frozen()).predict_proba(X).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def start(self, training: Training) -> None:
        """Prepare the rule for a training."""

    def gradient(self, network: Network, batch: Minibatch) -> Float32:
        """Return the (p,) gradient of a step, without weight decay."""
        forward = network.forward(batch.rows)
        return network.gradient(
            batch.rows, forward, log_loss_gradient(forward.logits, batch.codes, batch.weights)
        )

    def after_step(self, network: Network, gradient: Float32, change: Float32) -> None:
        """Take note of a step: its (p,) gradient and the (p,) change of the weights."""

    def finish(self, training: Training) -> dict[str, NDArray[Any]]:
        """Return the arrays to keep for the next training, by name."""
        return dict(training.state)


@dataclass(frozen=True)
class SGDOptions:
    """The options of `SGDHead` for a training."""

    lr: float
    momentum: float
    schedule: str
    epochs: int
    weight_decay: float


def log_loss_gradient(logits: Float32, codes: Codes, weights: Float32 | None = None) -> Float32:
    """Return the (b, K) gradient of the mean log-loss in the logits; `weights` multiply rows."""
    residuals = softmax(logits.copy())  # (b, K)
    residuals[np.arange(len(codes)), codes] -= 1.0
    residuals *= np.float32(1.0 / len(codes))
    if weights is not None:
        residuals *= weights[:, None]
    return residuals


def train(
    training: Training,
    options: SGDOptions,
    rule: UpdateRule,
    order: np.random.Generator,
    velocity: Float32 | None = None,
) -> Float32:
    """Train the network in place; return the (p,) velocity of the momentum.

    `order` draws the order of the rows. Every step is ``v = momentum * v + gradient`` and
    ``weights -= lr * v``, as in PyTorch.
    """
    network, m, size = training.network, len(training.rows), training.batch_size
    velocity = np.zeros_like(network.values) if velocity is None else velocity.copy()
    steps = options.epochs * -(-m // size)
    for step, at in enumerate(_minibatches(m, size, options.epochs, order)):
        gradient = rule.gradient(network, training.minibatch(at))
        velocity *= np.float32(options.momentum)
        velocity += gradient
        if options.weight_decay:
            velocity += np.float32(options.weight_decay) * network.values
        change = np.float32(-learning_rate(options, step, steps)) * velocity
        network.values += change
        rule.after_step(network, gradient, change)
    return velocity


def _minibatches(
    m: int, size: int, epochs: int, order: np.random.Generator
) -> Iterator[NDArray[np.intp]]:
    for _ in range(epochs):
        shuffled = order.permutation(m)
        for start in range(0, m, size):
            yield shuffled[start : start + size]


def learning_rate(options: SGDOptions, step: int, steps: int) -> float:
    """Return the learning rate of a step, from 0 to `steps` - 1."""
    if options.schedule == "constant":
        return options.lr
    return options.lr * 0.5 * (1.0 + float(np.cos(np.pi * step / steps)))
