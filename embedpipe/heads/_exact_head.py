"""Heads to which it is the same whether rows come at once or in parts."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ._calibration import cautious_temperature
from ._embedding_head import EmbeddingHead
from ._inputs import Codes, Labelled, join_classes, read_labelled
from ._sample import Sample
from ._weights import Float64, check_class_weight

PRIOR_ROWS = 5.0
"""As many rows say that the temperature is 1, while there are few that say anything."""

CLEAR = 0.12
"""Temperature where no row can be left out: this share of the mean gap between class means.

A gap is a difference of logits. With one label a class, confidence is then near the accuracy.
"""


class ExactHead(EmbeddingHead):
    """A head that learns parts of a stream as if all rows had been there from the start.

    Fitting is learning from the first rows, so `fit` on all rows and `partial_fit` on parts of
    them, in any order, give the same head but for rounding. A subclass says in `_learn` how a
    batch is added to what is known. All keep rows in a `Sample`, by which they judge themselves.
    """

    exact_on_streams: ClassVar[bool] = True
    class_weight: Any

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Learn from labelled rows.

        Parameters
        ----------
        X
            (n, d) numbers, n >= 1.
        y
            (n,) strings or integers.
        sample_weight
            (n,) numbers of at least 0: how many equal rows each stands for. Default: 1 each.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        LabelError
            If there are no rows, the lengths differ, or a row holds NaN or infinity.
        UsageError
            If a parameter has no meaning.
        """
        batch = self._read(X, y, sample_weight, reset=True)
        self.classes_ = batch.classes
        return self._learn(batch, batch.codes, None)

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Learn from further rows, as if they had been there from the start.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`. New classes may appear in any call.
        classes
            All labels that may ever come, where that is known; they have probability 0 until a
            row has them.

        Returns
        -------
        Self
            Itself.

        Raises
        ------
        LabelError
            As `fit`; also if a label is not among `classes`.
        UsageError
            If `class_weight` is ``"balanced"``: the balance would change with every row.
        """
        if isinstance(self.class_weight, str):
            raise UsageError(
                "class_weight='balanced' cannot be kept up from call to call: "
                "give weights by label, or fit again to all rows."
            )
        if not hasattr(self, "classes_"):
            batch = self._read(X, y, sample_weight, reset=True)
            self.classes_ = join_classes(None, batch.classes, classes)
            at = np.searchsorted(self.classes_, batch.classes)
            return self._learn(batch, at[batch.codes], None)
        batch = self._read(X, y, sample_weight, reset=False)
        known = self.classes_
        self.classes_ = join_classes(known, batch.classes, classes)
        at = np.searchsorted(self.classes_, known)  # (K before,)
        codes = np.searchsorted(self.classes_, batch.classes)[batch.codes]
        return self._learn(batch, codes, at)

    def _learn(self, batch: Labelled, codes: Codes, at: NDArray[np.intp] | None) -> Self:
        """Add a batch to what is known, and work the head out again.

        Parameters
        ----------
        batch
            What has come.
        codes
            (m,) its classes, as positions in `classes_`.
        at
            (K before,) the positions in `classes_` of the classes known before; None if nothing
            is known yet, or what is known is to be forgotten.
        """
        raise NotImplementedError

    def _log_weights(self) -> Float64:
        """Return what is added to the log-odds of the (K,) classes."""
        return np.zeros(len(self.classes_))

    def _check_parameters(self) -> None:
        """Refuse parameters without meaning."""
        check_class_weight(self.class_weight)

    def _read(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool
    ) -> Labelled:
        self._check_parameters()
        return read_labelled(
            self,
            X,
            y,
            sample_weight,
            class_weight=self.class_weight,
            normalize=self.normalize,
            reset=reset,
        )

    def _temper(
        self,
        left_out: Float64,
        scale: float,
        counts: Float64,
        sample: Sample,
        scored: NDArray[np.intp],
    ) -> Float64:
        """Fit the temperature to rows left out, and judge by them.

        Parameters
        ----------
        left_out
            (m, K) the logits of each row of the sample, without that row in the fit.
        scale
            The temperature that a model of the rows expects.
        counts
            (K,) the weights of the classes.
        sample, scored
            The sample, and which of its rows count: see `scorable`.

        Returns
        -------
        ndarray
            (K,) what is added to the logits for the weights of the classes.
        """
        present = counts > 0.0  # (K,)
        logits = left_out[scored][:, present]  # (s, P)
        codes = (np.cumsum(present) - 1)[sample.codes[scored]]
        weights = sample.weights[scored]
        share = cautious_temperature(
            logits / scale, codes, weights, sample.weights.sum(), prior_rows=PRIOR_ROWS
        )
        self.temperature_ = share * scale
        shift = self.temperature_ * self._log_weights()  # (K,)
        self._judge(logits + shift[present] if len(scored) else None, codes)
        return shift

    def _keep_sample(self, sample: Sample) -> None:
        self.sample_rows_ = sample.rows
        self.sample_codes_ = sample.codes
        self.sample_weights_ = sample.weights
        self.sample_digests_ = sample.digests
        self.sample_complete_ = sample.complete

    def _sample(self) -> Sample:
        return Sample(
            self.sample_rows_,
            self.sample_codes_,
            self.sample_weights_,
            self.sample_digests_,
            self.sample_complete_,
        )


def scorable(sample: Sample, counts: Float64) -> NDArray[np.intp]:
    """Return the rows of the sample that can be left out: their class has others.

    None can where there is one class, so that nothing is to be told apart.
    """
    if (counts > 0.0).sum() == 1:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(counts[sample.codes] > sample.weights * (1.0 + 1e-9))
