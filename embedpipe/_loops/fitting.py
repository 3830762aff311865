"""Train heads on rows of a matrix, and predict other rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._seeds import seeded
from ..heads import get_head
from ..index.vectors import Matrix, block_rows, row_blocks, take_rows
from .arrays import uniform_of_rows

if TYPE_CHECKING:
    from ..heads import HeldOutPredictions, UnlabelledRows, ZeroShotPrior

__all__ = [
    "Batch",
    "Trainer",
    "head_attributes",
    "joined",
    "probabilities_of",
    "run_head",
    "timed",
]

T = TypeVar("T")

MAX_UNLABELLED = 2048
"""Maximum candidates for a semi-supervised head."""

PREDICT_BYTES = 64 << 20
"""Maximum bytes of the vectors that are predicted in one block."""


def run_head(head: Any, seed: int) -> Any:
    """Return an unfitted head from a spec string or a classifier; an unset seed becomes `seed`."""
    return seeded(get_head(head) if isinstance(head, str) else head, seed)


@dataclass(frozen=True)
class Batch:
    """Labelled rows: (b,) row numbers in the matrix and their (b,) labels."""

    rows: NDArray[np.int64]
    labels: NDArray[Any]


class Trainer:
    """Fits copies of a head to rows of an (n, d) matrix.

    `candidates` are the rows that can be labelled, ascending. `classes` are all possible labels,
    for heads that need them in the first `partial_fit`. `buffer_size` is the size of the replay
    buffer in training mode ``replay``. `prior` is for heads that use the vectors of class names.
    """

    def __init__(
        self,
        head: Any,
        matrix: Matrix,
        candidates: NDArray[np.int64],
        classes: NDArray[Any],
        *,
        seed: int = 0,
        buffer_size: int = 0,
        prior: ZeroShotPrior | None = None,
    ) -> None:
        self.head, self.matrix, self.candidates, self.classes = head, matrix, candidates, classes
        self.seed, self.buffer_size, self.prior = seed, buffer_size, prior

    def fresh(self, **parameters: Any) -> Any:
        """Return an unfitted copy of the head, with the given parameters changed."""
        from sklearn.base import clone

        return clone(self.head).set_params(**parameters)

    def fit(self, head: Any, batch: Batch) -> Any:
        """Fit `head` to labelled rows; a semi-supervised head also receives unlabelled rows."""
        options = self._unlabelled_option(head, batch)
        if self.prior is not None and getattr(head, "uses_prior", False):
            options["prior"] = self.prior
        return head.fit(self.matrix[batch.rows], batch.labels, **options)

    def partial_fit(self, head: Any, batch: Batch, **options: Any) -> Any:
        """Continue the training of `head` on labelled rows; `options` are for its `partial_fit`."""
        if not getattr(head, "accepts_new_classes", False):
            options["classes"] = self.classes
        return head.partial_fit(self.matrix[batch.rows], batch.labels, **options)

    def held_out(self, head: Any, batch: Batch, *, refit: bool = True) -> HeldOutPredictions | None:
        """Return cross-validated predictions of the labelled rows, or None if there are none.

        With `refit`, a head that does not cross-validate itself is cross-validated here.
        """
        found: HeldOutPredictions | None = getattr(head, "held_out", None)
        return self._cross_validate(batch) if found is None and refit else found

    @staticmethod
    def cv_accuracy(head: Any, held_out: HeldOutPredictions | None) -> tuple[float | None, int]:
        """Return a head's cross-validated accuracy and the number of rows that were scored.

        `held_out` is from `held_out`. Without predictions the result is (None, 0).
        """
        accuracy = getattr(head, "cv_accuracy_", None)
        if accuracy is not None:
            return float(accuracy), int(head.cv_n_)
        return (None, 0) if held_out is None else (held_out.accuracy, len(held_out.codes))

    def _cross_validate(self, batch: Batch) -> HeldOutPredictions | None:
        from ..heads import HeldOutPredictions, cross_validated_probabilities

        vectors = self.matrix[batch.rows]  # (m, d)
        options = self._unlabelled_option(self.head, batch)
        try:
            probabilities, scored = cross_validated_probabilities(
                self.fresh(), vectors, batch.labels, **options
            )
        except ValueError:  # too few labels, for example four labels for five neighbours
            return None
        codes = np.unique(batch.labels, return_inverse=True)[1].ravel()  # (m,)
        return HeldOutPredictions(probabilities[scored], codes[scored]) if scored.any() else None

    def _unlabelled_option(self, head: Any, batch: Batch) -> dict[str, Any]:
        """Return the argument ``unlabelled`` of `fit`; empty for a supervised head."""
        if not getattr(head, "uses_unlabelled", False):
            return {}
        labelled = np.flatnonzero(np.isin(self.sample, batch.rows, assume_unique=True))
        rows = self._unlabelled.without(labelled)
        if not len(rows):
            return {}
        reuses = getattr(head, "reuses_unlabelled", False)
        return {"unlabelled": rows if reuses else np.asarray(rows)}

    @cached_property
    def sample(self) -> NDArray[np.int64]:
        """Candidates for a semi-supervised head, labelled or not: ascending, at most 2,048."""
        rows = self.candidates
        if rows.size <= MAX_UNLABELLED:
            return rows
        keys = uniform_of_rows(rows, self.seed, "unlabelled")
        return np.asarray(rows[np.sort(np.argpartition(keys, MAX_UNLABELLED)[:MAX_UNLABELLED])])

    @cached_property
    def _unlabelled(self) -> UnlabelledRows:
        from ..heads import UnlabelledRows

        return UnlabelledRows(take_rows(self.matrix, self.sample))

    def buffer(self, batches: Sequence[Batch]) -> Batch:
        """Return a uniform sample of at most `buffer_size` labelled rows."""
        # Keep the rows with the highest random keys. A reservoir with these keys that receives the
        # rows one by one keeps the same rows.
        labelled = joined(batches)
        keys = uniform_of_rows(labelled.rows, self.seed, "replay")
        kept = np.sort(np.argsort(-keys, kind="stable")[: self.buffer_size])
        return Batch(labelled.rows[kept], labelled.labels[kept])


def joined(batches: Sequence[Batch]) -> Batch:
    """Concatenate batches."""
    return Batch(
        np.concatenate([batch.rows for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
    )


def probabilities_of(head: Any, matrix: Matrix, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the (k, C) class probabilities of (k,) rows, k >= 1."""
    size = block_rows(matrix.shape[1], PREDICT_BYTES)
    parts = [
        np.asarray(head.predict_proba(take_rows(matrix, rows[part])))
        for part in row_blocks(rows.size, size)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return the result of `work` and its duration in seconds."""
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def head_attributes(head: Any, names: Iterable[str]) -> dict[str, float | str | None]:
    """Return the attributes of `head` in `names` that are numbers or strings."""
    found: dict[str, float | str | None] = {}
    for name in names:
        value = getattr(head, name, None)
        value = value.item() if isinstance(value, np.generic) else value
        if isinstance(value, (int, float, str)):
            found[name] = value
    return found
