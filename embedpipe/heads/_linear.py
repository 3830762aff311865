"""What a fitted linear classifier is used for: predictions, features, draws of its weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from .._threads import map_blocks
from ..errors import LabelError, UsageError
from ._folds import row_digests
from ._inputs import validated
from ._laplace import LaplacePosterior, draw_posterior
from ._rows import lengths, refuse_non_finite
from ._softmax import softmax

Array = NDArray[np.floating[Any]]

BLOCK_ROWS = 8192
"""Rows that are scored at a time: with 10 classes, 1 MB of extra memory."""


class LinearClassifier:
    """Predicts by softmax of linear functions of scaled rows.

    Attributes
    ----------
    classes_, coef_, intercept_, temperature_, C_
        Set by the `fit` of the class that inherits this, see `LogisticHead`.
    normalize
        Whether rows are scaled to unit length.
    """

    classes_: NDArray[Any]
    coef_: NDArray[np.float64]
    intercept_: NDArray[np.float64]
    temperature_: float
    C_: float | None
    normalize: bool

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return the probability of each class.

        Parameters
        ----------
        X
            (n, d) numbers, memory-mapped or not.

        Returns
        -------
        ndarray
            (n, K), float32 if `X` is float32 and float64 otherwise; rows sum to one.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        probabilities = np.empty((len(rows), len(self.classes_)), dtype=dtype)

        def work(block: slice) -> None:
            logits = self._logits(rows[block], dtype, block.start)  # (K, b)
            logits /= dtype(self.temperature_)
            softmax(logits)
            probabilities[block] = logits.T

        map_blocks(work, len(rows), BLOCK_ROWS)
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable label of each row.

        Parameters
        ----------
        X
            (n, d) numbers, memory-mapped or not.

        Returns
        -------
        ndarray
            (n,) entries of `classes_`; the first in their order on a tie.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.
        """
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    @property
    def prior_precision(self) -> float:
        """The penalty on the fitted weights W is this times the sum of their squares, halved.

        1/C; 2/C with two classes, whose weights are two opposite halves of the one weight vector
        that scikit-learn penalises; 1 with one class. Read as a prior, it is the precision of each
        weight.
        """
        check_is_fitted(self)
        if self.C_ is None:
            return 1.0
        return 1.0 / (self.C_ * binary_factor(len(self.classes_)))

    def features(self, X: ArrayLike) -> NDArray[np.floating[Any]]:
        """Return what the weights are applied to: the scaled rows, then a one for the intercept.

        With `prior_precision`, this makes the head one *with a linear last layer*: strategies
        such as ``logdet_bald`` ask for both, and any other head may have them.

        Parameters
        ----------
        X
            (n, d) numbers.

        Returns
        -------
        ndarray
            (n, d + 1), float32 if `X` is float32 and float64 otherwise.

        Raises
        ------
        LabelError
            If a row holds NaN or infinity.

        Examples
        --------
        >>> from embedpipe.heads import LogisticHead
        >>> head = LogisticHead().fit([[0.0, 1.0], [1.0, 0.0]], ["hat", "shoe"])
        >>> head.features([[3.0, 4.0]]).tolist()
        [[0.6, 0.8, 1.0]]
        """
        check_is_fitted(self)
        rows = validated(self, X, reset=False)
        refuse_non_finite(rows, 0)
        dtype = np.float32 if rows.dtype == np.float32 else np.float64
        found = np.ones((len(rows), rows.shape[1] + 1), dtype=dtype)
        scale = lengths(rows) if self.normalize else np.ones(len(rows))  # (n,)
        np.divide(rows, scale.astype(dtype)[:, None], out=found[:, :-1])
        return found

    def posterior(self, X: ArrayLike, n_samples: int, rng: np.random.Generator) -> LaplacePosterior:
        """Draw plausible weights around the fitted ones, to tell what the labels leave open.

        Draws come from the last-layer Laplace approximation: a normal distribution around the
        fitted weights whose precision is the curvature of the log-loss on the labelled rows, as a
        Kronecker product, plus `prior_precision`; see `Laplace` in ``heads/_laplace.py``. The
        probabilities of each draw are tempered as those of the head are. With one class nothing is
        uncertain, and every draw says 1.

        Having this method makes a head one *with a posterior*: strategies such as ``bald`` ask
        for it, and any other head may have it. It returns an object with
        ``predict_proba(V) -> (S, k, K) float32`` for (k, d) vectors, which may be called from
        several threads at once and uses the same S draws in every call. A head that draws in
        another way, such as dropout, may ignore `X`.

        Parameters
        ----------
        X
            (n, d) the labelled rows that the head was fitted to, in any order.
        n_samples
            S, how many draws.
        rng
            The source of randomness: the same state gives the same draws to the last bit.

        Returns
        -------
        LaplacePosterior
            4·d·K·S bytes.

        Raises
        ------
        LabelError
            If there are no rows, or one holds NaN or infinity.
        UsageError
            If `n_samples` is not at least 1.

        Notes
        -----
        O(n d min(n, d) + d min(n, d) K S) time: 0.3 s for 500 rows of 1,280 dimensions, 10 classes
        and 64 draws.

        References
        ----------
        Ritter, Botev, Barber (2018), "A scalable Laplace approximation for neural networks",
        ICLR. Daxberger et al. (2021), "Laplace redux", arXiv:2106.14806.

        Examples
        --------
        >>> from embedpipe.heads import LogisticHead
        >>> X, y = [[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [1.0, 0.1]], ["hat", "hat", "shoe", "shoe"]
        >>> posterior = LogisticHead(C=1.0).fit(X, y).posterior(X, 500, np.random.default_rng(0))
        >>> draws = posterior.predict_proba([[0.0, 1.0], [-1.0, -1.0]])
        >>> draws.shape, bool(draws[:, 0, 0].std() < draws[:, 1, 0].std())
        ((500, 2, 2), True)
        """
        check_is_fitted(self)
        whole = isinstance(n_samples, (int, np.integer)) and not isinstance(n_samples, bool)
        if not whole or n_samples < 1:
            raise UsageError(f"n_samples is {n_samples!r}: give a whole number, at least 1.")
        if len(np.asarray(X)) == 0:
            raise LabelError("a posterior is drawn given the labelled rows: X has none.")
        rows = np.asarray(validated(self, X, reset=False), dtype=np.float64)
        refuse_non_finite(rows, 0)
        scaled = rows / lengths(rows)[:, None] if self.normalize else rows
        order = np.argsort(row_digests(scaled), kind="stable")  # however they are listed
        logits = self._logits(rows[order], np.float64, 0)  # (K, n)
        softmax(logits)  # of the fitted weights as they are, without the temperature
        predicted = np.ascontiguousarray(logits.T, dtype=np.float64)  # (n, K)
        return draw_posterior(self, scaled[order], predicted, int(n_samples), rng)

    def _logits(self, rows: NDArray[Any], dtype: type, offset: int) -> Array:
        """Return (K, m) logits of a block whose first row has the number `offset`."""
        coef: Array = self.coef_.astype(dtype)
        with np.errstate(invalid="ignore", over="ignore"):  # looked at on the next line
            logits: Array = coef @ rows.astype(dtype, copy=False).T  # (K, m)
        if not np.isfinite(logits).all():
            refuse_non_finite(rows, offset)
            if self.normalize:  # finite rows so long that their products were not
                logits = coef @ (rows / lengths(rows)[:, None]).astype(dtype).T
        elif self.normalize:
            logits /= lengths(rows).astype(dtype)
        return np.asarray(logits + self.intercept_.astype(dtype)[:, None])


def binary_factor(n_classes: int) -> float:
    """Return what C stands for: two classes are penalised as one weight vector, not two halves."""
    return 0.5 if n_classes == 2 else 1.0
