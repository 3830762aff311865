"""A network with one hidden layer."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._specs import check_above, check_count, check_share
from ._arrays import Array, Codes, Float64, assign_folds, losses_and_residuals
from ._embedding_head import MinibatchHead
from ._held_out import fit_temperature
from ._labelled import Labelled, join_classes
from ._layers import Layers
from ._network import (
    AdamState,
    DropoutPosterior,
    Network,
    TrainingOptions,
    draw_masks,
    initial_network,
    resize_outputs,
    resize_state,
    train,
)

STEPS = 200
"""Approximate number of steps with ``epochs="auto"``."""

N_FOLDS = 5
MIN_HELD_OUT = 20
"""Minimum rows of a held-out fold to which a temperature is fitted."""


class MLPHead(MinibatchHead):
    """A network with one hidden layer, with optional Monte Carlo dropout in prediction.

    AdamW in PyTorch trains the network on mini-batches of centred rows that are divided by one
    scale. The same labelled rows give the same head to the last bit, in any order and with any
    number of threads.

    Parameters
    ----------
    hidden
        Units of the hidden layer (ReLU).
    dropout
        Share of hidden units dropped in each training step, at least 0 and below 1.
    epochs
        Passes over the rows, or ``"auto"``: about 200 steps, from 4 to 75 epochs.
    lr
        Learning rate of the first step.
    gamma
        Learning rate after the last step, as a share of `lr`. Every step multiplies the learning
        rate by the same factor.
    batch_size
        Number of rows in a training step.
    weight_decay
        Weight decay of AdamW.
    seed
        Seed of the initial weights, the order of the rows and the dropout. None is the seed of the
        run, or 0 without a run.
    warm_start
        Whether `fit` starts from the weights of the last fit.
    keep_optimiser
        Whether the head keeps the state of AdamW. A later call that starts from the current weights
        continues from this state, but with the initial learning rate. The head is then three times
        as large.
    stochastic_pred
        Whether probabilities are the mean over `mc_samples` draws of the dropped units (Monte
        Carlo dropout). Every row has the same draws.
    mc_samples
        Number of draws.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    hidden_coef_, hidden_intercept_
        (d, hidden) and (hidden,) float32 of the hidden layer.
    coef_, intercept_
        (hidden, K) and (K,) float32 of the output layer.
    input_mean_, input_scale_
        Mean of the rows, (d,) float64, and scale of the rows, a float.
    epochs_
        Epochs of the last call.
    n_calls_
        Number of calls of `fit` and `partial_fit` that trained these weights.
    loss_
        Weighted mean log-loss of the rows of the last call, in nats per label, without dropout,
        weight decay and temperature.
    adam_mean_hidden_coef_, adam_square_hidden_coef_, …
        With `keep_optimiser`: running means of the gradients and of their squares.
    adam_steps_, adam_lr_
        With `keep_optimiser`: number of steps, and the learning rate after the last step.
    temperature_
        See `Head`. With at least 100 distinct rows, the temperature is fitted to one of five folds,
        which a separate training leaves out. With fewer rows the temperature is 1. The head has no
        ``cv_accuracy_``.

    References
    ----------
    Gal, Ghahramani (2016), "Dropout as a Bayesian approximation", arXiv:1506.02142. Loshchilov,
    Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101.
    """

    def __init__(
        self,
        hidden: int = 128,
        *,
        dropout: float = 0.5,
        epochs: int | str = "auto",
        lr: float = 3e-3,
        gamma: float = 0.1,
        batch_size: int = 32,
        weight_decay: float = 1e-2,
        seed: int | None = None,
        warm_start: bool = False,
        keep_optimiser: bool = False,
        stochastic_pred: bool = False,
        mc_samples: int = 32,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.epochs = epochs
        self.lr = lr
        self.gamma = gamma
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.seed = seed
        self.warm_start = warm_start
        self.keep_optimiser = keep_optimiser
        self.stochastic_pred = stochastic_pred
        self.mc_samples = mc_samples
        self.class_weight = class_weight
        self.normalize = normalize

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to (n, d) labelled rows; see `SimpleHead.fit`."""
        warm = self.warm_start and hasattr(self, "classes_")
        batch = self._read(X, y, sample_weight, reset=not warm)
        return self._start(batch, batch.classes, warm=warm)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Continue the training on these rows only; see `LogisticHead.partial_fit`."""
        warm = hasattr(self, "classes_")
        batch = self._read(X, y, sample_weight, reset=not warm)
        all_classes = join_classes(self.classes_ if warm else None, batch.classes, classes)
        return self._start(batch, all_classes, warm=warm)

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> DropoutPosterior:
        """Draw the dropped units of Monte Carlo dropout; see `LogisticHead.posterior`."""
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        masks = draw_masks(rng, int(n_samples), len(self.hidden_intercept_), self.dropout)
        return DropoutPosterior(self._hidden, masks, self.coef_, self.intercept_, self.temperature_)

    def layers(self) -> Layers | None:
        """Return the fitted head as two affine layers; None with `stochastic_pred`."""
        check_is_fitted(self)
        if self.stochastic_pred:
            return None
        hidden_coef = self.hidden_coef_ / self.input_scale_  # (d, hidden) float64
        shift = self.hidden_intercept_ - self.input_mean_ @ hidden_coef  # (hidden,)
        return self._as_layers((hidden_coef, shift), (self.coef_, self.intercept_))

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        hidden = self._hidden(rows, offset)  # (b, hidden)
        if self.stochastic_pred:
            rng = np.random.default_rng(self.seed or 0)
            masks = draw_masks(rng, self.mc_samples, hidden.shape[1], self.dropout)
            draws = DropoutPosterior(
                self._hidden, masks, self.coef_, self.intercept_, self.temperature_
            )
            mean = draws.from_hidden(hidden).mean(axis=0, dtype=np.float64)  # (b, K)
            # The draws are already divided by the temperature. The caller divides by it again, so
            # multiply by it here.
            return np.asarray(self.temperature_ * np.log(mean + 1e-30), dtype=dtype)
        return np.asarray(hidden @ self.coef_ + self.intercept_, dtype=dtype)

    def _hidden(self, rows: NDArray[Any], offset: int = 0) -> NDArray[np.float32]:
        """Return the (b, hidden) hidden units of a block of rows."""
        scaled = self._scaled(rows, np.float64, offset)  # (b, d)
        centred = ((scaled - self.input_mean_) / self.input_scale_).astype(np.float32)
        values = centred @ self.hidden_coef_ + self.hidden_intercept_
        return np.asarray(np.maximum(values, 0.0, out=values))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("hidden", self.hidden)
        check_count("mc_samples", self.mc_samples)
        check_share("dropout", self.dropout, zero=True)
        check_above("gamma", self.gamma)

    def _set_input_scale(self, batch: Labelled) -> None:
        """Set the mean and the scale of the rows."""
        share = batch.weights / batch.weights.sum()  # (m,)
        self.input_mean_: Float64 = share @ batch.rows.astype(np.float64)  # (d,)
        apart = batch.rows - self.input_mean_
        variance = float(share @ np.square(apart).sum(axis=1)) / len(self.input_mean_)
        self.input_scale_ = float(np.sqrt(variance)) if variance > 0.0 else 1.0
        self.n_calls_ = 0

    def _start(self, batch: Labelled, classes: NDArray[Any], *, warm: bool) -> Self:
        """Train on a batch, from the current weights if `warm`, else from random weights."""
        start, state = None, None
        if warm:
            place = {label: at for at, label in enumerate(self.classes_.tolist())}
            kept = np.array([place.get(label, -1) for label in classes.tolist()], dtype=np.intp)
            start = resize_outputs(self._network("", "_"), kept, self._rng(1))
            state = self._state(kept)
        else:
            self._set_input_scale(batch)
        codes = np.searchsorted(classes, batch.classes)[batch.codes]
        self.classes_ = classes
        return self._learn(batch, codes, start, state)

    def _network(self, prefix: str, suffix: str) -> Network:
        """Return the fitted arrays of these names as a network."""
        return Network(*(getattr(self, f"{prefix}{name}{suffix}") for name in Network._fields))

    def _state(self, kept: NDArray[np.intp]) -> AdamState | None:
        """Return the state of the optimiser, for the outputs `kept`."""
        if not self.keep_optimiser or getattr(self, "adam_steps_", 0) == 0:
            return None
        state = AdamState(
            self._network("adam_mean_", "_"),
            self._network("adam_square_", "_"),
            self.adam_steps_,
            self.adam_lr_,
        )
        return resize_state(state, kept)

    def _keep_state(self, state: AdamState | None) -> None:
        """Store the state of the optimiser, or delete it."""
        for name in [name for name in vars(self) if name.startswith("adam_")]:
            delattr(self, name)
        if state is None or not self.keep_optimiser:
            return
        for name in Network._fields:
            setattr(self, f"adam_mean_{name}_", getattr(state.mean, name))
            setattr(self, f"adam_square_{name}_", getattr(state.square, name))
        self.adam_steps_, self.adam_lr_ = state.steps, state.lr

    def _learn(
        self, batch: Labelled, codes: Codes, start: Network | None, state: AdamState | None
    ) -> Self:
        rows = ((batch.rows - self.input_mean_) / self.input_scale_).astype(np.float32)  # (m, d)
        n_classes = len(self.classes_)
        if start is None:
            shares = np.bincount(codes, weights=batch.weights, minlength=n_classes)
            start = initial_network(rows.shape[1], self.hidden, shares / shares.sum(), self._rng(0))
        self.epochs_ = self._epochs(len(rows))
        self.temperature_ = 1.0
        network = start
        if n_classes > 1:
            self.temperature_ = self._temperature(rows, codes, batch, start, state)
            network, state = train(
                start, rows, codes, batch.weights, self._training_options(2), state
            )
        self.loss_ = _mean_loss(network.logits(rows), codes, batch.weights)
        self._keep_state(state)
        self.hidden_coef_, self.hidden_intercept_ = network.hidden_coef, network.hidden_intercept
        self.coef_, self.intercept_ = network.coef, network.intercept
        self.n_calls_ += 1
        self._evaluate(None, codes)
        return self

    def _temperature(
        self,
        rows: NDArray[np.float32],
        codes: Codes,
        batch: Labelled,
        start: Network,
        state: AdamState | None,
    ) -> float:
        """Return a temperature, fitted to a fold that a separate training leaves out."""
        held_out = assign_folds(batch.digests, codes, N_FOLDS) == 0  # (m,)
        if held_out.sum() < MIN_HELD_OUT:
            return 1.0
        rest = ~held_out
        weights = batch.weights
        network, _ = train(
            start, rows[rest], codes[rest], weights[rest], self._training_options(3), state
        )
        return fit_temperature(
            network.logits(rows[held_out]), codes[held_out], weights[held_out], prior_rows=5.0
        )

    def _training_options(self, purpose: int) -> TrainingOptions:
        return TrainingOptions(
            epochs=self.epochs_,
            batch_size=self.batch_size,
            dropout=float(self.dropout),
            lr=float(self.lr),
            gamma=float(self.gamma),
            weight_decay=float(self.weight_decay),
            seed=int(self._rng(purpose).integers(2**62)),
        )

    def _epochs(self, n: int) -> int:
        if self.epochs != "auto":
            return int(self.epochs)
        return int(np.clip(round(STEPS * self.batch_size / n), 4, 75))


def _mean_loss(logits: NDArray[np.float32], codes: Codes, weights: Float64) -> float:
    """Return the mean log-loss of (m, K) logits, in nats."""
    losses = losses_and_residuals(np.ascontiguousarray(logits.T, dtype=np.float64), codes, weights)
    return float(losses.sum() / weights.sum())
