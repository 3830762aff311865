"""Predictions of a network with hidden units left out: Monte Carlo dropout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._embedding_head import softmax

Float32 = NDArray[np.float32]


class DropoutPosterior:
    """Joint draws of a network by the hidden units that each leaves out.

    Every vector is judged by the same draws.

    Parameters
    ----------
    hidden
        Gives the (k, h) values of the hidden units of (k, d) vectors.
    masks
        (S, h) float32 factors of the units, from `draw_masks`.
    coef, intercept
        (h, K) and (K,), of the output.
    temperature
        What logits are divided by.

    Examples
    --------
    >>> masks = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> posterior = DropoutPosterior(np.asarray, masks, np.log(3) * np.eye(2), np.zeros(2), 1.0)
    >>> posterior.predict_proba([[1.0, 1.0]]).round(6).tolist()
    [[[0.75, 0.25]], [[0.25, 0.75]]]
    """

    def __init__(
        self,
        hidden: Callable[[Any], NDArray[Any]],
        masks: NDArray[Any],
        coef: NDArray[Any],
        intercept: NDArray[Any],
        temperature: float,
    ) -> None:
        self._hidden = hidden
        self._shape = (len(masks), len(intercept))
        products = masks[:, :, None] * coef  # (S, h, K)
        self._coef: Float32 = np.concatenate(list(products), axis=1).astype(np.float32)  # (h, S K)
        self._intercept = intercept.astype(np.float32)
        self._temperature = temperature

    def predict_proba(self, V: ArrayLike) -> Float32:
        """Return the class probabilities of each row under each draw.

        May be called from several threads at once.

        Parameters
        ----------
        V
            (k, d) numbers.

        Returns
        -------
        (S, k, K) float32
            A view of an array laid out as (k, S, K); rows sum to one over K.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        return self.of_hidden(self._hidden(np.asarray(V)))

    def of_hidden(self, hidden: NDArray[Any]) -> Float32:
        """Return (S, k, K) probabilities from (k, h) values of the hidden units."""
        logits = (hidden.astype(np.float32) @ self._coef).reshape(-1, self._shape[1])  # (k S, K)
        logits += self._intercept
        likely = softmax(logits, self._temperature)
        return np.asarray(likely).reshape(len(hidden), *self._shape).transpose(1, 0, 2)


def draw_masks(rng: np.random.Generator, n: int, hidden: int, dropout: float) -> Float32:
    """Return (n, hidden) factors: 0 for a unit left out, else what makes up for those that are."""
    kept = rng.random((n, hidden)) >= dropout
    return np.asarray(kept / (1.0 - dropout), dtype=np.float32)
