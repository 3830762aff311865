"""Choosing what to label next, from arrays or from embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..embedding import Embeddings
from ..errors import SelectionError, UsageError
from ..heads import get_head
from ..strategies import Pool, Selection, Strategy, get_strategy
from .labelled import rows_of_labels

__all__ = ["choose", "select"]


def select(
    embeddings: Embeddings | ArrayLike,
    n: int,
    strategy: str | Strategy = "coreset",
    *,
    labelled: ArrayLike | None = None,
    labels: ArrayLike | Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    head: Any = "logistic",
    seed: int = 0,
) -> Selection:
    """Choose the `n` items that are most worth labelling next.

    Parameters
    ----------
    embeddings
        Of a dataset, or any (m, d) array.
    n
        How many.
    strategy
        A registered name or an instance.
    labelled
        Rows that are labelled already.
    labels
        Their labels; or, for embeddings of a dataset, labels by item id, and `labelled` left out.
    candidates
        Rows that may be chosen; by default all, and of a dataset with splits those outside the
        test and validation splits.
    head
        The classifier whose predictions a strategy may ask for: a registered name or any
        scikit-learn classifier. It is fitted only if it is asked.
    seed
        A whole number, at least 0; the same seed gives the same picks.

    Returns
    -------
    Selection
        ``rows`` (n,) int64 of the matrix in order of choice, ``scores`` (n,) float32, and
        ``diagnostics``.

    Raises
    ------
    SelectionError
        If the pool cannot give `n` items, or the strategy needs labels and there are none.
    LabelError
        If a label's id is not in the dataset.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0], [0, 1], [5, 5], [9, 0]], dtype=np.float32)
    >>> select(points, n=2, strategy="coreset", labelled=[0]).rows.tolist()
    [3, 2]
    """
    matrix: NDArray[np.float32] = np.asarray(embeddings)
    if isinstance(labels, Mapping):
        if not isinstance(embeddings, Embeddings) or labelled is not None:
            raise UsageError(
                "labels by item id go with the embeddings of a dataset, and without `labelled`."
            )
        labelled, labels = rows_of_labels(embeddings, labels)
    if candidates is None and isinstance(embeddings, Embeddings):
        candidates = default_candidates(embeddings)
    rows = np.array([] if labelled is None else labelled, dtype=np.int64)
    known = None if labels is None else np.asarray(labels)
    rng = np.random.default_rng(seed)
    return choose(matrix, n, strategy, rows, known, candidates, head, rng)


def choose(
    matrix: NDArray[np.float32],
    n: int,
    strategy: str | Strategy,
    labelled: NDArray[np.int64],
    labels: NDArray[Any] | None,
    candidates: ArrayLike | None,
    head: Any,
    rng: np.random.Generator,
    fitted: Any = None,
) -> Selection:
    """Choose as `select` does; `fitted` is the head fitted to these labels, if there is one."""
    chooser = get_strategy(strategy) if isinstance(strategy, str) else strategy
    predictor = _Predictor(matrix, labelled, labels, head, fitted)
    pool = Pool(
        matrix,
        labelled=labelled,
        labels=labels,
        probabilities=predictor if labels is not None and len(labels) else None,
        candidates=candidates,
    )
    return chooser.select(pool, n, rng)


def default_candidates(embeddings: Embeddings) -> NDArray[np.int64]:
    """Return the rows that may be labelled: those outside the test and validation splits."""
    rows = [
        row for row, item in enumerate(embeddings.items) if item.split not in ("test", "validation")
    ]
    if not rows:
        raise SelectionError(
            f"every item of {embeddings.dataset.name!r} is in its test or validation split: there "
            "is nothing to choose from."
        )
    return np.array(rows, dtype=np.int64)


class _Predictor:
    """Fits the head when a strategy first asks for probabilities."""

    def __init__(
        self,
        matrix: NDArray[np.float32],
        labelled: NDArray[np.int64],
        labels: NDArray[Any] | None,
        head: Any,
        fitted: Any,
    ) -> None:
        self._matrix, self._labelled, self._labels = matrix, labelled, labels
        self._head, self._given = head, fitted

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        probabilities: NDArray[Any] = self._fitted.predict_proba(self._matrix[rows])
        return probabilities  # (k, C)

    @cached_property
    def _fitted(self) -> Any:
        if self._given is not None:
            return self._given
        from sklearn.base import clone

        head = get_head(self._head) if isinstance(self._head, str) else clone(self._head)
        return head.fit(self._matrix[self._labelled], self._labels)
