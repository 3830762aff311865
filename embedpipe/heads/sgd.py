"""A head trained by stochastic gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._specs import check_count, check_share
from .._threads import one_blas_thread
from ..errors import LabelError, UnknownNameError, UsageError
from ._arrays import Array, Codes, Float32, log_losses
from ._embedding_head import MinibatchHead
from ._labelled import Labelled, join_classes, validated
from ._layers import Layers
from ._sgd import SCHEDULES, Network, SGDOptions, Training, UpdateRule, train

MIN_EPOCHS, MIN_STEPS = 10, 100
"""Minimum epochs and steps with ``epochs="auto"``."""

STATE = "rule_"
"""Prefix of the attributes with the state of an update rule."""


class SGDHead(MinibatchHead):
    """Softmax regression trained by mini-batch gradient descent, as in continual-learning studies.

    Unlike `LogisticHead`, training stops after a number of epochs, before the optimum, so the head
    depends on the learning rate, the schedule and the order of the rows. Continual-learning
    methods such as EWC act on the steps of this training: see `UpdateRule`. The same rows give
    the same head to the last bit, in any order and with any number of threads.

    Parameters
    ----------
    hidden
        Units of a hidden layer (ReLU), or 0 for softmax regression.
    lr
        Learning rate of the first step. With `normalize`, rows have length 1, so that learning
        rates near 1 are stable.
    momentum
        Factor of the last step's velocity in each step, at least 0 and below 1.
    schedule
        ``"cosine"``: the learning rate falls from `lr` to 0 within each call. ``"constant"``: it
        does not change.
    epochs
        Passes over the rows in each call, or ``"auto"``: 10, and more with few rows, for at least
        100 steps.
    batch_size
        Number of rows in a training step.
    weight_decay
        The loss contains ``weight_decay / 2 * sum(weights**2)``, with the intercepts.
    seed
        Seed of the initial weights of a hidden layer and of the order of the rows. None is the seed
        of the run, or 0 without a run.
    keep_optimiser
        Whether the next `partial_fit` starts with the velocity of the last one, not with 0.
    class_weight, normalize
        See `SimpleHead`.

    Attributes
    ----------
    coef_, intercept_
        (K, d) and (K,) float32 weights, or (K, hidden) with a hidden layer. Zero at first.
    hidden_coef_, hidden_intercept_
        (hidden, d) and (hidden,) float32 weights of the hidden layer.
    velocity_
        (p,) float32 velocity of all weights, with `keep_optimiser`.
    epochs_, n_calls_
        Epochs of the last call, and number of calls that trained these weights.
    loss_
        Weighted mean log-loss of the rows of the last call, in nats per label.
    temperature_
        1: probabilities are not calibrated.
    rule_…_
        The state of the update rule.

    Notes
    -----
    A step takes O(b·d·K) time for b rows. `partial_fit` needs all classes in its first call.

    References
    ----------
    Loshchilov, Hutter (2017), "SGDR: stochastic gradient descent with warm restarts",
    arXiv:1608.03983.
    """

    accepts_new_classes: ClassVar[bool] = False
    accepts_update_rule: ClassVar[bool] = True

    def __init__(
        self,
        hidden: int = 0,
        *,
        lr: float = 0.5,
        momentum: float = 0.9,
        schedule: str = "cosine",
        epochs: int | str = "auto",
        batch_size: int = 64,
        weight_decay: float = 1e-4,
        seed: int | None = None,
        keep_optimiser: bool = False,
        class_weight: Any = None,
        normalize: bool = True,
    ) -> None:
        self.hidden = hidden
        self.lr = lr
        self.momentum = momentum
        self.schedule = schedule
        self.epochs = epochs
        self.batch_size = batch_size
        self.weight_decay = weight_decay
        self.seed = seed
        self.keep_optimiser = keep_optimiser
        self.class_weight = class_weight
        self.normalize = normalize

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train new weights on (n, d) labelled rows; see `SimpleHead.fit`."""
        batch = self._read(X, y, sample_weight, reset=True)
        return self._start(batch, batch.classes)._train(batch, batch.codes, UpdateRule())

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        rule: UpdateRule | None = None,
    ) -> Self:
        """Continue the training on these rows only.

        Parameters
        ----------
        X, y, sample_weight
            See `SimpleHead.fit`.
        classes
            All labels; needed in the first call if `y` lacks some. Later calls need no classes.
        rule
            How a step computes its gradient; None for the gradient of the log-loss.

        Raises
        ------
        LabelError
            If a later call has a new label.
        UsageError
            If a weight is not finite after the training: the steps are too large.
        """
        started = hasattr(self, "classes_")
        batch = self._read(X, y, sample_weight, reset=not started)
        known = join_classes(self.classes_ if started else None, batch.classes, classes)
        if not started:
            self._start(batch, known)
        elif len(known) > len(self.classes_):
            new = next(label for label in known.tolist() if label not in self.classes_.tolist())
            raise LabelError(
                f"label {new!r} is new: give all labels as classes=... in the first call of "
                "partial_fit."
            )
        codes = np.searchsorted(known, batch.classes)[batch.codes]
        return self._train(batch, codes, rule or UpdateRule())

    def logits(self, X: ArrayLike) -> Float32:
        """Return the (n, K) float32 logits of (n, d) rows."""
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        scaled = np.asarray(self._scaled(rows, np.float32, 0), dtype=np.float32)
        with one_blas_thread():
            return self._network().logits(scaled)

    def _start(self, batch: Labelled, classes: NDArray[Any]) -> Self:
        """Set the initial weights."""
        for name in [name for name in vars(self) if name.startswith(STATE) or name == "velocity_"]:
            delattr(self, name)
        self.classes_, self.n_calls_ = classes, 0
        network = Network(batch.rows.shape[1], self.hidden, len(classes))
        if self.hidden:  # a hidden layer of equal units would stay so
            bound = np.sqrt(6.0 / self.hidden)  # rows of length 1 give units of length 1
            drawn = self._rng(0).uniform(-bound, bound, size=network.hidden_coef.shape)
            network.hidden_coef[:] = drawn
        self._keep(network)
        return self

    def _train(self, batch: Labelled, codes: Codes, rule: UpdateRule) -> Self:
        network = self._network().copy()
        rows = np.ascontiguousarray(batch.rows, dtype=np.float32)
        weights = (batch.weights / batch.weights.mean()).astype(np.float32)
        training = Training(
            network,
            rows,
            codes,
            weights,
            self.classes_,
            self.batch_size,
            self._rng(1),
            lambda vectors: np.asarray(self._scaled(vectors, np.float32, 0), dtype=np.float32),
            self._state(),
        )
        self.epochs_ = self._epochs(len(rows))
        options = SGDOptions(
            float(self.lr),
            float(self.momentum),
            self.schedule,
            self.epochs_,
            float(self.weight_decay),
        )
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore"):
            rule.start(training)
            before = getattr(self, "velocity_", None) if self.keep_optimiser else None
            velocity = train(training, options, rule, self._rng(2), before)
            if not np.isfinite(network.values).all():
                raise UsageError(
                    f"the training of sgd diverged: lower the learning rate lr={self.lr:g}, or the "
                    "strength of the method."
                )
            for name, array in rule.finish(training).items():
                setattr(self, f"{STATE}{name}_", array)
            losses = log_losses(network.logits(rows).astype(np.float64), codes)  # (m,)
        if self.keep_optimiser:
            self.velocity_ = velocity
        self.loss_ = float(np.average(losses, weights=batch.weights))
        self.temperature_ = 1.0
        self.n_calls_ += 1
        self._keep(network)
        self._evaluate(None, codes)
        return self

    def layers(self) -> Layers | None:
        """Return the fitted head as one or two affine layers."""
        check_is_fitted(self)
        output = (self.coef_.T, self.intercept_)
        if not self.hidden:
            return self._as_layers(output)
        return self._as_layers((self.hidden_coef_.T, self.hidden_intercept_), output)

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        scaled = np.asarray(self._scaled(rows, np.float32, offset), dtype=np.float32)
        return np.asarray(self._network().forward(scaled).logits, dtype=dtype)

    def _network(self) -> Network:
        """Return the fitted network."""
        parts = [self.coef_, self.intercept_]
        if self.hidden:
            parts += [self.hidden_coef_, self.hidden_intercept_]
        values: Float32 = np.concatenate([np.asarray(part).ravel() for part in parts])
        return Network(self.n_features_in_, self.hidden, len(self.classes_), values)

    def _keep(self, network: Network) -> None:
        """Store the weights of a network as attributes."""
        self.coef_, self.intercept_ = network.coef.copy(), network.intercept.copy()
        if self.hidden:
            self.hidden_coef_ = network.hidden_coef.copy()
            self.hidden_intercept_ = network.hidden_intercept.copy()

    def _state(self) -> dict[str, NDArray[Any]]:
        """Return the state of the last update rule."""
        return {
            name.removeprefix(STATE).removesuffix("_"): value
            for name, value in vars(self).items()
            if name.startswith(STATE)
        }

    def _epochs(self, m: int) -> int:
        if self.epochs != "auto":
            return int(self.epochs)
        batches = -(-m // self.batch_size)
        return max(MIN_EPOCHS, -(-MIN_STEPS // batches))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_count("hidden", self.hidden, 0)
        check_share("momentum", self.momentum, zero=True)
        if self.schedule not in SCHEDULES:
            raise UnknownNameError("schedule", str(self.schedule), SCHEDULES)
