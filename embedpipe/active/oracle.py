"""Oracles: the sources of labels in a loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import known_labels, uniform_of_rows
from .._options import OracleOptions
from .._threads import one_blas_thread
from ..errors import LabelError, UnknownNameError, UsageError
from ..index.vectors import block_rows, row_blocks, take_rows

__all__ = ["Oracle", "OracleOptions", "SimulatedOracle"]

Float64 = NDArray[np.float64]

_FLIPPED, _OTHER, _ABSTAINED = range(3)
"""Three independent random numbers of a row decide: whether the label is wrong, which class the
wrong label has, and whether the oracle abstains."""


class Oracle(Protocol):
    """A source of labels: a person, or the labels of a dataset."""

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the (k,) labels of these rows of the matrix; None for a row without an answer."""


class SimulatedOracle:
    """An oracle with known labels, for experiments and tests.

    `asked` is the number of rows for which a label was asked.

    Parameters
    ----------
    labels
        One label for each row of the matrix; None, NaN or blank for a missing label.
    labelling
        Errors, abstention and costs; by default all answers are right and each question costs 1.
    seed
        Seed of errors and abstention.
    matrix
        (n, d) vectors of the rows; only confusable noise needs them.

    Examples
    --------
    >>> import numpy as np
    >>> oracle = SimulatedOracle(["hat", None, "shoe"])
    >>> oracle.label(np.array([2, 0])).tolist(), oracle.asked
    (['shoe', 'hat'], 2)
    """

    def __init__(
        self,
        labels: Sequence[Any] | NDArray[Any],
        labelling: OracleOptions | None = None,
        *,
        seed: int = 0,
        matrix: NDArray[np.float32] | None = None,
    ) -> None:
        known, known_values = known_labels(labels, "labels")
        classes, class_numbers = np.unique(known_values, return_inverse=True)
        codes = np.full(known.size, -1, dtype=np.int32)  # (n,)
        codes[known] = class_numbers
        self._set(classes, codes, labelling or OracleOptions(), seed, matrix)

    @classmethod
    def of_codes(
        cls,
        classes: NDArray[Any],
        codes: NDArray[np.int32],
        labelling: OracleOptions | None = None,
        *,
        seed: int = 0,
        matrix: NDArray[np.float32] | None = None,
    ) -> SimulatedOracle:
        """Return an oracle from the class number of each row; -1 means a missing label."""
        oracle = cls.__new__(cls)
        oracle._set(classes, codes, labelling or OracleOptions(), seed, matrix)
        return oracle

    def _set(
        self,
        classes: NDArray[Any],
        codes: NDArray[np.int32],
        labelling: OracleOptions,
        seed: int,
        matrix: NDArray[np.float32] | None,
    ) -> None:
        self.classes, self.codes = classes, codes  # (C,), (n,)
        self.labelling, self.seed = labelling, seed
        self._prices = _prices(classes, labelling.cost)  # (C,)
        self._nearest: NDArray[np.int64] | None = None  # (C,)
        if labelling.noise and labelling.kind == "confusable" and classes.size > 1:
            if matrix is None:
                raise UsageError("confusable noise needs the vectors of the rows: give `matrix`.")
            self._nearest = nearest_classes(matrix, codes, classes.size)
        self.asked = 0

    def behaving(
        self, labelling: OracleOptions, seed: int, matrix: NDArray[np.float32]
    ) -> SimulatedOracle:
        """Return a new oracle with the same labels and these options."""
        return self.of_codes(self.classes, self.codes, labelling, seed=seed, matrix=matrix)

    def restricted(self, rows: NDArray[np.int64]) -> SimulatedOracle:
        """Return an oracle with only the labels and classes of these rows."""
        present, class_numbers = np.unique(self._known(rows), return_inverse=True)
        codes = np.full_like(self.codes, -1)
        codes[rows] = class_numbers
        return self.of_codes(self.classes[present], codes)

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the (k,) answers for `rows`; None where the oracle abstains."""
        codes = self._known(rows)  # (k,)
        self.asked += len(rows)
        answers = self.classes[self._mistaken(rows, codes)]  # (k,)
        abstained = self._drawn(rows, _ABSTAINED) < self.labelling.abstain
        if not abstained.any():
            return np.asarray(answers)
        with_gaps = answers.astype(object)
        with_gaps[abstained] = None
        return np.asarray(with_gaps)

    def cost(self, rows: NDArray[np.int64]) -> float:
        """Return the cost of asking about `rows`."""
        return float(self._prices[self._known(rows)].sum())

    def every_label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the true labels of `rows` for the upper baseline; `asked` does not count them."""
        return np.asarray(self.classes[self._known(rows)])

    def _known(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        codes = self.codes[rows]  # (k,)
        if (codes < 0).any():
            raise LabelError(
                f"row {int(rows[codes < 0][0])} has no label: leave it out of the candidates."
            )
        return codes

    def _mistaken(self, rows: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the (k,) class numbers of the answers, with label noise."""
        answered = codes.astype(np.int64)
        if not self.labelling.noise or self.classes.size < 2:
            return answered
        wrong = self._drawn(rows, _FLIPPED) < self.labelling.noise  # (k,)
        if self._nearest is not None:
            answered[wrong] = self._nearest[answered[wrong]]
        else:
            steps = 1 + np.floor(self._drawn(rows, _OTHER) * (self.classes.size - 1))
            answered[wrong] = (answered + steps.astype(np.int64))[wrong] % self.classes.size
        return answered

    def _drawn(self, rows: NDArray[np.int64], purpose: int) -> Float64:
        return uniform_of_rows(rows, self.seed, f"oracle {purpose}")


def nearest_classes(
    matrix: NDArray[np.float32], codes: NDArray[np.int32], n_classes: int
) -> NDArray[np.int64]:
    """Return for each class the other class with the nearest mean; code -1 means no label."""
    known = np.flatnonzero(codes >= 0)
    sums = np.zeros((n_classes, matrix.shape[1]))  # (C, d)
    for part in row_blocks(known.size, block_rows(matrix.shape[1])):
        rows = known[part]
        of_class = np.zeros((n_classes, rows.size))  # (C, b)
        of_class[codes[rows], np.arange(rows.size)] = 1.0
        with one_blas_thread():
            sums += of_class @ take_rows(matrix, rows)  # (C, d)
    counts = np.bincount(codes[known], minlength=n_classes)  # (C,)
    means = sums / np.maximum(counts, 1)[:, None]
    nearest = np.empty(n_classes, dtype=np.int64)  # (C,)
    for number in range(n_classes):
        distances = np.square(means - means[number]).sum(axis=1)  # (C,)
        distances[counts == 0] = np.inf
        distances[number] = np.inf
        nearest[number] = int(distances.argmin())
        if not np.isfinite(distances).any():
            nearest[number] = (number + 1) % n_classes
    return nearest


def _prices(classes: NDArray[Any], cost: Mapping[Any, float]) -> Float64:
    """Return the cost of a question for each class, (C,)."""
    names = {str(label) for label in classes.tolist()}
    for name in cost:
        if str(name) not in names:
            raise UnknownNameError("class with a cost", str(name), names)
    by_text = {str(name): float(price) for name, price in cost.items()}
    return np.array([by_text.get(str(label), 1.0) for label in classes.tolist()])
