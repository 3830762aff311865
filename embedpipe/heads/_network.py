"""A network with one hidden layer: training by AdamW in PyTorch, and Monte Carlo dropout."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arrays import Codes, Float32, Float64, softmax

_lock = threading.Lock()


class Network(NamedTuple):
    """Weights: ``logits = relu(x @ hidden_coef + hidden_intercept) @ coef + intercept``."""

    hidden_coef: Float32
    """(d, h)."""
    hidden_intercept: Float32
    """(h,)."""
    coef: Float32
    """(h, K)."""
    intercept: Float32
    """(K,)."""

    def logits(self, rows: Float32) -> Float32:
        """Return the (m, K) logits of (m, d) rows, without dropout."""
        hidden = np.maximum(rows @ self.hidden_coef + self.hidden_intercept, 0.0)
        return np.asarray(hidden @ self.coef + self.intercept)


class AdamState(NamedTuple):
    """The state of AdamW after some steps."""

    mean: Network
    """Running means of the gradients."""
    square: Network
    """Running means of the squares of the gradients."""
    steps: int
    lr: float
    """The learning rate after the last step."""


@dataclass(frozen=True)
class TrainingOptions:
    """Training options, as in `MLPHead`."""

    epochs: int
    batch_size: int
    dropout: float
    lr: float
    gamma: float
    weight_decay: float
    seed: int


def initial_network(d: int, hidden: int, shares: Float64, rng: np.random.Generator) -> Network:
    """Return random initial weights, with intercepts that predict the (K,) class shares."""
    return Network(
        _random(rng, d, hidden),
        np.zeros(hidden, dtype=np.float32),
        _random(rng, hidden, len(shares)),
        np.log(np.maximum(shares, 1e-6)).astype(np.float32),
    )


def resize_state(state: AdamState, kept: NDArray[np.intp]) -> AdamState:
    """Return the optimiser's state after `resize_outputs`; new outputs have zeros."""
    new = kept < 0

    def resized(network: Network) -> Network:
        coef, intercept = network.coef[:, kept], network.intercept[kept]
        coef[:, new], intercept[new] = 0.0, 0.0
        return network._replace(coef=coef, intercept=intercept)

    return state._replace(mean=resized(state.mean), square=resized(state.square))


def resize_outputs(network: Network, kept: NDArray[np.intp], rng: np.random.Generator) -> Network:
    """Return the network with the outputs at the positions `kept` only.

    Each -1 in `kept` adds an output with random weights and a low probability.
    """
    new = kept < 0
    coef = network.coef[:, kept]  # (h, K)
    intercept = network.intercept[kept]
    coef[:, new] = _random(rng, len(coef), int(new.sum()))
    intercept[new] = network.intercept.min()
    return network._replace(coef=coef, intercept=intercept)


def train(
    start: Network,
    rows: Float32,
    codes: Codes,
    weights: Float64,
    options: TrainingOptions,
    state: AdamState | None = None,
) -> tuple[Network, AdamState]:
    """Return the network after training on (m, d) rows, and the state of the optimiser.

    Every step multiplies the learning rate by the same factor; all steps together multiply it by
    `gamma`. Training uses one thread and its own random generator, so that results are reproducible
    to the last bit.
    """
    import torch
    from torch.nn import functional

    with _one_thread():
        parameters = [torch.tensor(array, requires_grad=True) for array in start]
        hidden_coef, hidden_intercept, coef, intercept = parameters
        inputs, targets = torch.from_numpy(rows), torch.from_numpy(codes.astype(np.int64))
        counts = torch.from_numpy((weights / weights.mean()).astype(np.float32))  # (m,)
        random = torch.Generator().manual_seed(options.seed)
        optimiser = torch.optim.AdamW(
            parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True
        )
        if state is not None:
            for parameter, mean, square in zip(parameters, state.mean, state.square, strict=True):
                optimiser.state[parameter] = {
                    "step": torch.tensor(float(state.steps)),
                    "exp_avg": torch.tensor(mean),
                    "exp_avg_sq": torch.tensor(square),
                }
        batches = -(-len(rows) // options.batch_size)
        factor = options.gamma ** (1.0 / (options.epochs * batches))
        for _ in range(options.epochs):
            order = torch.randperm(len(rows), generator=random)
            for batch in torch.split(order, options.batch_size):
                hidden = (inputs[batch] @ hidden_coef + hidden_intercept).relu()  # (b, h)
                if options.dropout > 0.0:
                    on = torch.rand(hidden.shape, generator=random) >= options.dropout
                    hidden = hidden * on / (1.0 - options.dropout)
                losses = functional.cross_entropy(
                    hidden @ coef + intercept, targets[batch], reduction="none"
                )  # (b,)
                optimiser.zero_grad()
                (losses * counts[batch]).mean().backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                for group in optimiser.param_groups:
                    group["lr"] *= factor
        kept = [optimiser.state[parameter] for parameter in parameters]
        return Network(*(parameter.detach().numpy() for parameter in parameters)), AdamState(
            Network(*(each["exp_avg"].numpy() for each in kept)),
            Network(*(each["exp_avg_sq"].numpy() for each in kept)),
            int(kept[0]["step"].item()),
            float(optimiser.param_groups[0]["lr"]),
        )


class DropoutPosterior:
    """Monte Carlo dropout: S draws of the hidden units, the same for every vector."""

    def __init__(
        self,
        hidden: Callable[[Any], NDArray[Any]],  # from (k, d) vectors to (k, h) hidden units
        masks: NDArray[Any],  # (S, h), from `draw_masks`
        coef: NDArray[Any],  # (h, K)
        intercept: NDArray[Any],  # (K,)
        temperature: float,
    ) -> None:
        self._hidden = hidden
        self._shape = (len(masks), len(intercept))
        products = masks[:, :, None] * coef  # (S, h, K)
        self._coef: Float32 = np.concatenate(list(products), axis=1).astype(np.float32)  # (h, S K)
        self._intercept = intercept.astype(np.float32)
        self._temperature = temperature

    def predict_proba(self, V: ArrayLike) -> Float32:
        """Return the (S, k, K) class probabilities of (k, d) rows under each draw; thread-safe."""
        return self.from_hidden(self._hidden(np.asarray(V)))

    def from_hidden(self, hidden: NDArray[Any]) -> Float32:
        """Return the (S, k, K) class probabilities of (k, h) hidden units."""
        logits = (hidden.astype(np.float32) @ self._coef).reshape(-1, self._shape[1])  # (k S, K)
        logits += self._intercept
        logits /= np.float32(self._temperature)
        return softmax(logits).reshape(len(hidden), *self._shape).transpose(1, 0, 2)


def draw_masks(rng: np.random.Generator, n: int, hidden: int, dropout: float) -> Float32:
    """Return (n, hidden) factors: 0 for a dropped unit, 1 / (1 - dropout) for a kept unit."""
    kept = rng.random((n, hidden)) >= dropout
    return np.asarray(kept / (1.0 - dropout), dtype=np.float32)


def _random(rng: np.random.Generator, inputs: int, outputs: int) -> Float32:
    """Return (inputs, outputs) uniform weights of variance 1 / (3 inputs)."""
    bound = 1.0 / np.sqrt(inputs)
    return rng.uniform(-bound, bound, size=(inputs, outputs)).astype(np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread, in the whole process."""
    import torch

    with _lock:
        before: Any = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
