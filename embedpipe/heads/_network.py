"""One hidden layer, trained by AdamW in PyTorch; its weights are NumPy arrays."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._inputs import Codes, Float32
from ._weights import Float64

_lock = threading.Lock()


class Network(NamedTuple):
    """Weights: ``logits = relu(x @ hidden_coef + hidden_intercept) @ coef + intercept``.

    Attributes
    ----------
    hidden_coef, hidden_intercept
        (d, h) and (h,) float32.
    coef, intercept
        (h, K) and (K,) float32.
    """

    hidden_coef: Float32
    hidden_intercept: Float32
    coef: Float32
    intercept: Float32

    def logits(self, rows: Float32) -> Float32:
        """Return the (m, K) logits of (m, d) rows, without dropout."""
        hidden = np.maximum(rows @ self.hidden_coef + self.hidden_intercept, 0.0)
        return np.asarray(hidden @ self.coef + self.intercept)


class AdamState(NamedTuple):
    """What AdamW remembers of past gradients, each laid out like the weights.

    Attributes
    ----------
    mean, square
        Running means of the gradients and of their squares.
    steps
        How many steps were made.
    lr
        The learning rate after the last of them.
    """

    mean: Network
    square: Network
    steps: int
    lr: float


@dataclass(frozen=True)
class Plan:
    """How to train: see `MLPHead` for the meaning of each number."""

    epochs: int
    batch_size: int
    dropout: float
    lr: float
    gamma: float
    weight_decay: float
    seed: int


def initial(d: int, hidden: int, shares: Float64, rng: np.random.Generator) -> Network:
    """Return first weights: random, and such that the shares of the classes are predicted."""
    return Network(
        _random(rng, d, hidden),
        np.zeros(hidden, dtype=np.float32),
        _random(rng, hidden, len(shares)),
        np.log(np.maximum(shares, 1e-6)).astype(np.float32),
    )


def grown_state(state: AdamState, kept: NDArray[np.intp]) -> AdamState:
    """Return the state for a network from `grown`: new outputs have no gradients behind them."""
    new = kept < 0

    def of(network: Network) -> Network:
        coef, intercept = network.coef[:, kept], network.intercept[kept]
        coef[:, new], intercept[new] = 0.0, 0.0
        return network._replace(coef=coef, intercept=intercept)

    return state._replace(mean=of(state.mean), square=of(state.square))


def grown(network: Network, kept: NDArray[np.intp], rng: np.random.Generator) -> Network:
    """Return a network whose output k is the output ``kept[k]`` of another, or a new one for -1.

    New outputs are random, with the least of the intercepts that there are.
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
    plan: Plan,
    state: AdamState | None = None,
) -> tuple[Network, AdamState]:
    """Return the network after training on (m, d) rows, and the optimiser's state.

    `start` and `state`, with which the optimiser begins, stay as they are. The learning rate falls
    by the same factor each step, to `gamma` times itself. One thread, and
    randomness of its own: the same bits every time, and nothing global is touched.
    """
    import torch
    from torch.nn import functional

    with _one_thread():
        parameters = [torch.tensor(array, requires_grad=True) for array in start]
        hidden_coef, hidden_intercept, coef, intercept = parameters
        inputs, targets = torch.from_numpy(rows), torch.from_numpy(codes.astype(np.int64))
        counts = torch.from_numpy((weights / weights.mean()).astype(np.float32))  # (m,)
        random = torch.Generator().manual_seed(plan.seed)
        optimiser = torch.optim.AdamW(
            parameters, lr=plan.lr, weight_decay=plan.weight_decay, fused=True
        )
        if state is not None:
            for parameter, mean, square in zip(parameters, state.mean, state.square, strict=True):
                optimiser.state[parameter] = {
                    "step": torch.tensor(float(state.steps)),
                    "exp_avg": torch.tensor(mean),
                    "exp_avg_sq": torch.tensor(square),
                }
        batches = -(-len(rows) // plan.batch_size)
        factor = plan.gamma ** (1.0 / (plan.epochs * batches))
        for _ in range(plan.epochs):
            order = torch.randperm(len(rows), generator=random)
            for batch in torch.split(order, plan.batch_size):
                hidden = (inputs[batch] @ hidden_coef + hidden_intercept).relu()  # (b, h)
                if plan.dropout > 0.0:
                    on = torch.rand(hidden.shape, generator=random) >= plan.dropout
                    hidden = hidden * on / (1.0 - plan.dropout)
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


def _random(rng: np.random.Generator, inputs: int, outputs: int) -> Float32:
    """Return (inputs, outputs) weights, uniform with the variance 1 / (3 inputs)."""
    bound = 1.0 / np.sqrt(inputs)
    return rng.uniform(-bound, bound, size=(inputs, outputs)).astype(np.float32)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: its number belongs to the process, so one block at a time."""
    import torch

    with _lock:
        before: Any = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)
