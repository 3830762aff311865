"""Choosing what to label next, from arrays or from embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.run_head import run_head
from .._seeds import check_seed
from ..embedding import Embeddings
from ..errors import SelectionError, UsageError
from ..index import Index
from ..strategies import Pool, Selection, Strategy, get_strategy
from .labelled import rows_of_labels

__all__ = ["index_of", "pool_of", "select"]


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
    index: Index | str = "exact",
    examples: ArrayLike | None = None,
    metadata: Mapping[str, ArrayLike] | None = None,
) -> Selection:
    """Choose the `n` items that are most worth labelling next.

    Parameters
    ----------
    embeddings
        Of a dataset, or any (m, d) array.
    n
        How many.
    strategy
        A registered name, with options if need be (``"coral(uncertainty=entropy)"``), a
        ``.yaml`` file, or an instance.
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
        A whole number, at least 0; the same seed gives the same picks. A head without a ``seed``
        or ``random_state`` of its own takes it too.
    index
        ``"exact"``, or ``"ivf"`` or ``"hnsw"`` for millions of items: how strategies find
        neighbours. Of a dataset's embeddings it is kept beside the matrix and built once. Or an
        `Index` of the same candidates, to use again what it has worked out.
    examples
        Rows, or (e, d) vectors, of what is looked for, for strategies that search by similarity.
    metadata
        (m,) numbers by name, for strategies that weigh by them.

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
    >>> select(points, n=2, strategy="coreset(metric=euclidean)", labelled=[0]).rows.tolist()
    [3, 2]
    """
    chooser = get_strategy(strategy) if isinstance(strategy, str) else strategy
    seed = check_seed(seed)
    pool = pool_of(
        embeddings,
        labelled=labelled,
        labels=labels,
        candidates=candidates,
        head=head,
        seed=seed,
        index=index,
        examples=examples,
        metadata=metadata,
    )
    return chooser.select(pool, n, np.random.default_rng(seed))


def pool_of(
    embeddings: Embeddings | ArrayLike,
    *,
    labelled: ArrayLike | None = None,
    labels: ArrayLike | Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    head: Any = "logistic",
    seed: int = 0,
    index: Index | str = "exact",
    examples: ArrayLike | None = None,
    metadata: Mapping[str, ArrayLike] | None = None,
) -> Pool:
    """Return what `select` chooses from, given the same arguments."""
    if isinstance(labels, Mapping):
        if not isinstance(embeddings, Embeddings) or labelled is not None:
            raise UsageError(
                "labels by item id go with the embeddings of a dataset, and without `labelled`."
            )
        labelled, labels = rows_of_labels(embeddings, labels)
    if candidates is None and isinstance(embeddings, Embeddings):
        candidates = default_candidates(embeddings)
    pool: Pool = Pool(
        np.asarray(embeddings),
        labelled=labelled,
        labels=labels,
        head=(
            None
            if labels is None or not np.size(labels)
            else lambda: _fit(pool, run_head(head, seed))
        ),
        candidates=candidates,
        index=partial(index_of, embeddings, kind=index) if isinstance(index, str) else index,
        examples=_vectors(embeddings, examples),
        metadata=metadata,
    )
    return pool


def index_of(
    embeddings: Embeddings | ArrayLike, candidates: NDArray[np.int64], kind: str = "exact"
) -> Index:
    """Return the index of some rows; of a dataset's embeddings, the one beside the matrix.

    Parameters
    ----------
    embeddings
        Of a dataset, or any (n, d) array.
    candidates
        Ascending rows; no other row is looked at.
    kind
        ``"exact"``, ``"ivf"`` or ``"hnsw"``.
    """
    if not isinstance(embeddings, Embeddings):
        return Index(np.asarray(embeddings, dtype=np.float32), candidates, kind=kind)
    return Index(
        embeddings.matrix,
        candidates,
        kind=kind,
        folder=embeddings.folder / "index",
        digest=embeddings.digest,
    )


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


def _vectors(embeddings: Embeddings | ArrayLike, examples: ArrayLike | None) -> Any:
    """Return example vectors, looked up if rows are given."""
    given = None if examples is None else np.asarray(examples)
    if given is None or given.ndim != 1 or given.dtype.kind not in "iu":
        return given
    matrix = np.asarray(embeddings)
    outside = given[(given < 0) | (given >= len(matrix))]
    if outside.size:
        raise SelectionError(
            f"examples name row {outside[0]}, but the embeddings have rows 0 to {len(matrix) - 1}."
        )
    return matrix[given]  # (e, d)


def _fit(pool: Pool, head: Any) -> Any:
    """Fit the head to what is labelled, when a strategy first asks for it."""
    return head.fit(pool.embeddings[pool.labelled], pool.labels)
