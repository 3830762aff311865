"""A network with one hidden layer and dropout."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ._embedding_head import EmbeddingHead
from ._held_out import fit_temperature
from ._labelled import Labelled, join_classes
from ._network import (
    AdamState,
    DropoutPosterior,
    Network,
    Plan,
    draw_masks,
    grown,
    grown_state,
    initial,
    train,
)
from ._parameters import check_count, check_number
from ._rows import Array, Codes, Float64, assign_folds
from ._softmax import losses_and_residuals

STEPS = 200
"""Approximate number of steps with ``epochs="auto"``."""

N_FOLDS = 5
HELD_OUT = 20
"""Least rows of the held-out fold for a temperature to be fitted."""


class MLPHead(EmbeddingHead):
    """A network with one hidden layer and dropout, which can be kept on when predicting.

    Trained by AdamW on mini-batches in PyTorch. The rows are centred and scaled by one number, so
    that the same settings suit every backbone. The same labelled rows give the same head to the
    last bit, in any order and with any number of threads.

    Parameters
    ----------
    hidden
        Units of the hidden layer, which are rectified.
    dropout
        Share of hidden units left out at each training step, from 0 to less than 1.
    epochs
        Passes over the rows, or ``"auto"``: about 200 steps, from 4 to 75 epochs.
    lr
        The learning rate at the first step.
    gamma
        Factor of the learning rate over the whole training, applied step by step.
    batch_size
        Rows a step.
    weight_decay
        AdamW's.
    seed
        For the first weights, the order of the rows and the dropout. None: 0, or the seed of the
        run that trains the head.
    warm_start
        Whether `fit` begins with the weights of the fit before. Classes may change in between.
    keep_optimiser
        Whether the head keeps the state of AdamW. A call that continues from the weights then
        continues from it as well, with the learning rate of a first step; so does a saved head.
        The head becomes three times as large.
    stochastic_pred
        Whether dropout stays on when predicting: probabilities are the mean over `mc_samples`
        draws of the units left out (Monte Carlo dropout), the same draws for every row.
    mc_samples
        Number of these draws.
    class_weight
        None, ``"balanced"`` or weights by label.
    normalize
        Whether rows are scaled to unit length first, here and when predicting.

    Attributes
    ----------
    classes_
        (K,) the distinct labels, sorted.
    hidden_coef_, hidden_intercept_
        (d, hidden) and (hidden,) float32, of the hidden layer.
    coef_, intercept_
        (hidden, K) and (K,) float32, of the output.
    input_mean_, input_scale_
        What rows are centred on, (d,) float64, and divided by.
    epochs_
        Epochs of the last call.
    n_calls_
        Calls of `fit` and `partial_fit` that trained these weights.
    loss_
        Mean log-loss of the rows of the last call at the final weights, in nats per label, by
        their weights: the training loss without dropout, weight decay and temperature.
    adam_mean_hidden_coef_, adam_square_hidden_coef_, …
        With `keep_optimiser`: AdamW's running means of the gradients and of their squares, for
        each array of weights.
    adam_steps_, adam_lr_
        With `keep_optimiser`: the steps of AdamW so far, and the learning rate after the last.
    temperature_
        Probabilities are softmax(logits / temperature_). With at least 100 distinct rows, one of
        five folds is left out of a training of its own and the temperature fitted to it, before
        all rows are learned; with fewer it is 1.
    cv_accuracy_, cv_ece_, cv_n_
        None, None and 0: leaving rows out would take as many trainings.

    Notes
    -----
    A step takes about a millisecond for 1,280 dimensions and 128 hidden units; ``epochs="auto"``
    makes 200 of them for up to 1,600 rows, and 200 more for every further 1,600. The temperature
    takes four fifths of that again.

    References
    ----------
    Gal, Ghahramani (2016), "Dropout as a Bayesian approximation", arXiv:1506.02142. Loshchilov,
    Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101.

    Examples
    --------
    >>> X = np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], dtype=np.float32)
    >>> head = MLPHead(hidden=8).fit(X, ["hat", "hat", "shoe", "shoe"])
    >>> head.predict([[0.0, 2.0], [3.0, 0.0]]).tolist()
    ['hat', 'shoe']
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
        """Learn from labelled rows; with `warm_start`, from where the last fit ended.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) numbers of at least 0: how many equal rows each stands for. 1 each when None.

        Returns
        -------
        MLPHead
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, or a row holds NaN or infinity.
        UsageError
            If a parameter has no meaning.
        """
        again = self.warm_start and hasattr(self, "classes_")
        batch = self._read(X, y, sample_weight, reset=not again)
        return self._go_on(batch, batch.classes, again=again)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train further on these rows only: earlier rows may be forgotten.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. A new class gets an output of its own; the others keep theirs.
        classes
            All labels that may ever come, if known.

        Returns
        -------
        MLPHead
            Itself.

        Raises
        ------
        LabelError
            As `fit`; also if a label is not among `classes`.
        """
        again = hasattr(self, "classes_")
        batch = self._read(X, y, sample_weight, reset=not again)
        every = join_classes(self.classes_ if again else None, batch.classes, classes)
        return self._go_on(batch, every, again=again)

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> DropoutPosterior:
        """Draw which hidden units are left out, for strategies such as ``bald``.

        Each draw leaves out `dropout` of the units, as in training: Monte Carlo dropout.

        Parameters
        ----------
        X
            The labelled rows; not used.
        n_samples
            S, the number of draws.
        rng
            The source of randomness: the same state gives the same draws.

        Returns
        -------
        DropoutPosterior
            ``predict_proba(V) -> (S, k, K) float32`` for (k, d) vectors.

        Raises
        ------
        UsageError
            If `n_samples` is not at least 1.
        """
        check_is_fitted(self)
        check_count("n_samples", n_samples)
        masks = draw_masks(rng, int(n_samples), len(self.hidden_intercept_), self.dropout)
        return DropoutPosterior(self._hidden, masks, self.coef_, self.intercept_, self.temperature_)

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        hidden = self._hidden(rows, offset)  # (b, hidden)
        if self.stochastic_pred:
            rng = np.random.default_rng(self.seed or 0)
            masks = draw_masks(rng, self.mc_samples, hidden.shape[1], self.dropout)
            draws = DropoutPosterior(
                self._hidden, masks, self.coef_, self.intercept_, self.temperature_
            )
            mean = draws.of_hidden(hidden).mean(axis=0, dtype=np.float64)  # (b, K)
            # The temperature is in the draws already, and the softmax that follows divides by it.
            return np.asarray(self.temperature_ * np.log(mean + 1e-30), dtype=dtype)
        return np.asarray(hidden @ self.coef_ + self.intercept_, dtype=dtype)

    def _hidden(self, rows: NDArray[Any], offset: int = 0) -> NDArray[np.float32]:
        """Return the (b, hidden) values of the hidden units."""
        scaled = self._scaled(rows, np.float64, offset)  # (b, d)
        centred = ((scaled - self.input_mean_) / self.input_scale_).astype(np.float32)
        values = centred @ self.hidden_coef_ + self.hidden_intercept_
        return np.asarray(np.maximum(values, 0.0, out=values))

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.epochs != "auto":
            check_count("epochs", self.epochs, " or 'auto'")
        for name in ("hidden", "batch_size", "mc_samples"):
            check_count(name, getattr(self, name))
        check_number("dropout", self.dropout, 0.0, 1.0)
        check_number("weight_decay", self.weight_decay, 0.0)
        check_number("lr", self.lr, 0.0, above=True)
        check_number("gamma", self.gamma, 0.0, above=True)

    def _measure(self, batch: Labelled) -> None:
        """Set the centre and the scale of rows, once."""
        share = batch.weights / batch.weights.sum()  # (m,)
        self.input_mean_: Float64 = share @ batch.rows.astype(np.float64)  # (d,)
        apart = batch.rows - self.input_mean_
        variance = float(share @ np.square(apart).sum(axis=1)) / len(self.input_mean_)
        self.input_scale_ = float(np.sqrt(variance)) if variance > 0.0 else 1.0
        self.n_calls_ = 0

    def _go_on(self, batch: Labelled, classes: NDArray[Any], *, again: bool) -> Self:
        """Learn a batch with these classes, from the present weights or from new ones."""
        start, state = None, None
        if again:
            place = {label: at for at, label in enumerate(self.classes_.tolist())}
            kept = np.array([place.get(label, -1) for label in classes.tolist()], dtype=np.intp)
            start = grown(self._network("", "_"), kept, self._rng(1))
            state = self._state(kept)
        else:
            self._measure(batch)
        codes = np.searchsorted(classes, batch.classes)[batch.codes]
        self.classes_ = classes
        return self._learn(batch, codes, start, state)

    def _network(self, prefix: str, suffix: str) -> Network:
        """Return the fitted arrays that are laid out like the weights."""
        return Network(*(getattr(self, f"{prefix}{name}{suffix}") for name in Network._fields))

    def _state(self, kept: NDArray[np.intp]) -> AdamState | None:
        """Return what the optimiser remembers, for the outputs that are kept."""
        if not self.keep_optimiser or getattr(self, "adam_steps_", 0) == 0:
            return None
        state = AdamState(
            self._network("adam_mean_", "_"),
            self._network("adam_square_", "_"),
            self.adam_steps_,
            self.adam_lr_,
        )
        return grown_state(state, kept)

    def _keep_state(self, state: AdamState | None) -> None:
        """Keep what the optimiser remembers, or forget what it did."""
        for name in [name for name in vars(self) if name.startswith("adam_")]:
            delattr(self, name)
        if state is None or not self.keep_optimiser:
            return
        for name in Network._fields:
            setattr(self, f"adam_mean_{name}_", getattr(state.mean, name))
            setattr(self, f"adam_square_{name}_", getattr(state.square, name))
        self.adam_steps_, self.adam_lr_ = state.steps, state.lr

    def _rng(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed or 0, self.n_calls_, purpose])

    def _learn(
        self, batch: Labelled, codes: Codes, start: Network | None, state: AdamState | None
    ) -> Self:
        rows = ((batch.rows - self.input_mean_) / self.input_scale_).astype(np.float32)  # (m, d)
        n_classes = len(self.classes_)
        if start is None:
            shares = np.bincount(codes, weights=batch.weights, minlength=n_classes)
            start = initial(rows.shape[1], self.hidden, shares / shares.sum(), self._rng(0))
        self.epochs_ = self._epochs(len(rows))
        self.temperature_ = 1.0
        found = start
        if n_classes > 1:
            self.temperature_ = self._temperature(rows, codes, batch, start, state)
            found, state = train(start, rows, codes, batch.weights, self._plan(2), state)
        self.loss_ = _mean_loss(found.logits(rows), codes, batch.weights)
        self._keep_state(state)
        self.hidden_coef_, self.hidden_intercept_ = found.hidden_coef, found.hidden_intercept
        self.coef_, self.intercept_ = found.coef, found.intercept
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
        """Fit the temperature to a fold held out of a training of its own."""
        held_out = assign_folds(batch.digests, codes, N_FOLDS) == 0  # (m,)
        if held_out.sum() < HELD_OUT:
            return 1.0
        rest = ~held_out
        weights = batch.weights
        found, _ = train(start, rows[rest], codes[rest], weights[rest], self._plan(3), state)
        return fit_temperature(
            found.logits(rows[held_out]), codes[held_out], weights[held_out], prior_rows=5.0
        )

    def _plan(self, purpose: int) -> Plan:
        return Plan(
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
