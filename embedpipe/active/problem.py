"""What a loop runs on: a matrix, the rows to choose from, the rows to be judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embedding import Embeddings
from ..errors import RunError
from ..index import Index
from .oracle import SimulatedOracle
from .selecting import index_of

__all__ = ["HELD_OUT", "Problem"]

HELD_OUT = 0.2
"""Share of the labelled items that is kept for testing where a dataset has no test split."""


@dataclass(frozen=True)
class Problem:
    """Rows to choose from, an oracle for them, and rows to test on.

    Attributes
    ----------
    matrix
        Shape (n, d), float32.
    candidates
        Rows that may be labelled: ascending int64.
    oracle
        Knows the labels of the candidates, and of nothing else.
    test_rows, test_labels
        Used only for the reported figures.
    digest
        SHA-256 of all of it: two problems with the same digest are the same.
    index
        Of the candidates; it works out neighbours and clusters once for all rounds.
    """

    matrix: NDArray[np.float32]
    candidates: NDArray[np.int64]
    oracle: SimulatedOracle
    test_rows: NDArray[np.int64]
    test_labels: NDArray[Any]
    digest: str
    index: Index = field(compare=False)

    @classmethod
    def of(cls, embeddings: Embeddings, seed: int, index: str = "exact") -> Problem:
        """Return the problem that a labelled dataset poses.

        The test split is for testing; where there is none, a fifth of the items of each class,
        drawn by `seed`. A validation split is left alone. Everything else is to choose from,
        except copies of test images.

        Raises
        ------
        RunError
            If the dataset has no labels, or too few.
        """
        labels = [item.label for item in embeddings.items]
        labelled = np.array([label is not None for label in labels])
        if not labelled.any():
            raise RunError(
                f"dataset {embeddings.dataset.name!r} has no labels to play the oracle with: use "
                "`embedpipe select` to choose what to label, or sort its images into one folder "
                "for each class."
            )
        splits = np.array([item.split or "" for item in embeddings.items])
        test = labelled & (splits == "test")
        pool = labelled & ~np.isin(splits, ["test", "validation"])
        if not test.any():
            test = _held_out(labels, pool, embeddings.content_ids, seed)
            pool &= ~test
        seen = {embeddings.content_ids[row] for row in np.flatnonzero(test)}
        pool &= np.array([content_id not in seen for content_id in embeddings.content_ids])
        if not pool.any():
            raise RunError(
                f"dataset {embeddings.dataset.name!r} has no labelled items outside its test and "
                "validation splits: there is nothing to choose from."
            )
        identity: list[bytes | memoryview] = [
            *embeddings.content_ids,
            *(str(label).encode() for label in labels),
        ]
        problem = cls.from_arrays(
            embeddings.matrix, labels, np.flatnonzero(pool), np.flatnonzero(test), identity
        )
        return replace(problem, index=index_of(embeddings, problem.candidates, index))

    @classmethod
    def from_arrays(
        cls,
        matrix: NDArray[np.float32],
        labels: Sequence[Any],
        candidates: ArrayLike,
        test: ArrayLike,
        identity: Sequence[bytes | memoryview] | None = None,
    ) -> Problem:
        """Return the problem that a matrix and its labels pose.

        Parameters
        ----------
        matrix
            Shape (n, d).
        labels
            One for each row; None where it is not known.
        candidates, test
            Rows to choose from and rows to test on.
        identity
            What stands for matrix and labels in the digest; by default they themselves.
        """
        rows = np.sort(np.asarray(candidates, dtype=np.int64))
        test_rows = np.asarray(test, dtype=np.int64)
        both = np.intersect1d(rows, test_rows)
        if len(both):
            raise RunError(
                f"row {both[0]} is both to choose from and to test on: a test row must never be "
                "labelled."
            )
        if identity is None:
            whole = np.ascontiguousarray(matrix).data.cast("B")
            identity = [whole, repr(list(labels)).encode()]
        digest = hashlib.sha256()
        for part in (*identity, rows.tobytes(), test_rows.tobytes()):
            digest.update(hashlib.sha256(part).digest())
        candidate_set = set(rows.tolist())
        visible = [label if row in candidate_set else None for row, label in enumerate(labels)]
        return cls(
            matrix=matrix,
            candidates=rows,
            oracle=SimulatedOracle(visible),
            test_rows=test_rows,
            test_labels=np.array([labels[row] for row in test_rows]),
            digest=digest.hexdigest(),
            index=Index(matrix, rows),
        )


def _held_out(
    labels: Sequence[str | None],
    pool: NDArray[np.bool_],
    content_ids: Sequence[bytes],
    seed: int,
) -> NDArray[Any]:
    """Return a mask: a fifth of the images of each class among `pool`, never all of one.

    Copies of an image go the same way.
    """
    rng = np.random.default_rng([seed, 0x7E57])
    mask = np.zeros(len(labels), bool)
    of_class: dict[str, list[int]] = {}
    for row in np.flatnonzero(pool).tolist():
        of_class.setdefault(str(labels[row]), []).append(row)
    for _, rows in sorted(of_class.items()):
        images = sorted({content_ids[row] for row in rows})
        count = max(0, min(len(images) - 1, round(HELD_OUT * len(images))))
        drawn = {images[number] for number in rng.permutation(len(images))[:count]}
        mask[[row for row in rows if content_ids[row] in drawn]] = True
    return mask
