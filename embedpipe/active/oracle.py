"""Who answers when the loop asks for a label."""

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
"""What is drawn of each row, each apart from the others."""


class Oracle(Protocol):
    """Whoever labels: a person, or a dataset's own labels."""

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the labels of rows of the matrix, (k,), in the order asked for.

        None stands for a row that could not be labelled.
        """


class SimulatedOracle:
    """Answers with labels that are known already, for experiments and tests.

    The loop cannot see them: it has to ask, and what it asked for is counted.

    Parameters
    ----------
    labels
        One label for each row of the matrix; None, NaN or blank where there is none.
    labelling
        How it behaves; by default it knows everything, and each answer costs 1.
    seed
        What its errors and gaps follow from, with the row.
    matrix
        (n, d) vectors, one for each label: confusable noise is between classes that are near.

    Attributes
    ----------
    asked
        How many questions it was asked.
    labelling, seed
        As given.

    Raises
    ------
    LabelError
        If the labels are neither numbers nor texts, or mix them.
    UsageError
        If a cost is given for a class that does not exist, or confusable noise without vectors.

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
        known, given = known_labels(labels, "labels")
        classes, found = np.unique(given, return_inverse=True)
        codes = np.full(known.size, -1, dtype=np.int32)  # (n,)
        codes[known] = found
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
        """Return an oracle from the class of each row, as a position in `classes`; -1: none."""
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
                raise UsageError(
                    "confusable noise needs to know which classes are near: give the `matrix`."
                )
            self._nearest = nearest_classes(matrix, codes, classes.size)
        self.asked = 0

    def behaving(
        self, labelling: OracleOptions, seed: int, matrix: NDArray[np.float32]
    ) -> SimulatedOracle:
        """Return an oracle of the same labels that behaves in another way, and was not asked."""
        return self.of_codes(self.classes, self.codes, labelling, seed=seed, matrix=matrix)

    def restricted(self, rows: NDArray[np.int64]) -> SimulatedOracle:
        """Return an oracle that knows the labels of these rows, and no class but theirs."""
        present, found = np.unique(self._known(rows), return_inverse=True)
        codes = np.full_like(self.codes, -1)
        codes[rows] = found
        return self.of_codes(self.classes[present], codes)

    def label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return what the labeller says of `rows`, (k,); None where it abstains.

        Raises
        ------
        LabelError
            If one of them has no label to start from.
        """
        codes = self._known(rows)  # (k,)
        self.asked += len(rows)
        answers = self.classes[self._mistaken(rows, codes)]  # (k,)
        silent = self._drawn(rows, _ABSTAINED) < self.labelling.abstain
        if not silent.any():
            return np.asarray(answers)
        said = answers.astype(object)
        said[silent] = None
        return np.asarray(said)

    def cost(self, rows: NDArray[np.int64]) -> float:
        """Return what asking about `rows` costs, whatever the answers are."""
        return float(self._prices[self._known(rows)].sum())

    def every_label(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the true labels of `rows` without counting: for upper bounds, not for a loop."""
        return np.asarray(self.classes[self._known(rows)])

    def _known(self, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        codes = self.codes[rows]  # (k,)
        if (codes < 0).any():
            raise LabelError(
                f"row {int(rows[codes < 0][0])} has no label to answer with: leave it out of the "
                "candidates."
            )
        return codes

    def _mistaken(self, rows: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return the classes that are named, (k,): the true ones but for the noise."""
        named = codes.astype(np.int64)
        if not self.labelling.noise or self.classes.size < 2:
            return named
        wrong = self._drawn(rows, _FLIPPED) < self.labelling.noise  # (k,)
        if self._nearest is not None:
            named[wrong] = self._nearest[named[wrong]]
        else:
            steps = 1 + np.floor(self._drawn(rows, _OTHER) * (self.classes.size - 1))
            named[wrong] = (named + steps.astype(np.int64))[wrong] % self.classes.size
        return named

    def _drawn(self, rows: NDArray[np.int64], what: int) -> Float64:
        return uniform_of_rows(rows, self.seed, f"oracle {what}")


def nearest_classes(
    matrix: NDArray[np.float32], codes: NDArray[np.int32], n_classes: int
) -> NDArray[np.int64]:
    """Return for each class the other class with the nearest mean vector, (C,); code -1: none."""
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
    nearest = np.empty(n_classes, dtype=np.int64)
    for one in range(n_classes):
        distances = np.square(means - means[one]).sum(axis=1)  # (C,)
        distances[counts == 0] = np.inf
        distances[one] = np.inf
        nearest[one] = int(distances.argmin())
        if not np.isfinite(distances).any():
            nearest[one] = (one + 1) % n_classes
    return nearest


def _prices(classes: NDArray[Any], cost: Mapping[Any, float]) -> Float64:
    """Return the price of each class, (C,)."""
    names = {str(label) for label in classes.tolist()}
    for name in cost:
        if str(name) not in names:
            raise UnknownNameError("class with a cost", str(name), names)
    by_text = {str(name): float(price) for name, price in cost.items()}
    return np.array([by_text.get(str(label), 1.0) for label in classes.tolist()])
