"""Selection of the items to label next, and the similar items that each pick represents."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.fitting import Batch, Trainer, run_head
from .._options import check_executor
from .._seeds import check_seed
from ..cache import earlier_of
from ..embedding import Embeddings
from ..errors import SelectionError, UsageError
from ..index import Index, ShardedMatrix, nearest_of_set, vectors_of
from ..index.ray_workers import with_ray_workers
from ..index.vectors import Matrix
from ..labels import rows_for
from ..strategies import Pool, Selection, Strategy, get_strategy
from ..strategies.pool import checked_rows
from ..strategies.strategy import METRIC
from .target import Target

__all__ = [
    "Group",
    "RoundPool",
    "default_candidates",
    "groups",
    "index_of",
    "pool_of",
    "rows_of_labels",
    "select",
]


def select(
    embeddings: Embeddings | ShardedMatrix | ArrayLike,
    n: int,
    strategy: str | Strategy = "coreset",
    *,
    labelled: ArrayLike | None = None,
    labels: ArrayLike | Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    declined: ArrayLike | None = None,
    head: Any = "auto",
    seed: int = 0,
    index: Index | str = "exact",
    examples: ArrayLike | None = None,
    metadata: Mapping[str, ArrayLike] | None = None,
    target: Embeddings | Target | ArrayLike | str | None = None,
    texts: Mapping[str, ArrayLike] | None = None,
    executor: str = "local",
    address: str | None = None,
) -> Selection:
    """Select the `n` most useful items to label next.

    Parameters
    ----------
    embeddings
        Embeddings of a dataset, an array of (m, d) vectors, or a `ShardedMatrix` of several files.
    n
        Number of picks.
    strategy
        A spec string such as ``"coral(uncertainty=entropy)"``, a ``.yaml`` file, or a `Strategy`.
    labelled, labels
        Labelled rows and their labels. With the embeddings of a dataset, `labels` can be a mapping
        from item ids to labels; then omit `labelled`.
    candidates
        Rows that can be selected; by default all rows outside the test and validation splits.
    declined
        Rows that are not selected although they have no label, such as skipped images. Copies of
        them are not selected either.
    head
        Classifier for strategies that need predictions: a spec string or a scikit-learn classifier.
        The classifier is fitted only if the strategy needs predictions.
    seed
        Seed of the strategy, and of a head without its own ``seed`` or ``random_state``; an integer
        of at least 0.
    index
        An `Index` of the same candidates, or the kind of the neighbour index: ``"exact"``, or
        ``"ivf"`` or ``"hnsw"`` for millions of items.
    examples
        Row numbers or (e, d) vectors of examples, for strategies that search by similarity.
    metadata
        Arrays of (m,) numbers by name, for strategies that use these numbers as weights.
    target
        Unlabelled items from where the classifier will be used: embeddings of a dataset, (t, d)
        vectors, or the name of a split of the same dataset. The picks represent these items instead
        of the candidates. Strategies that do not use a target raise an error.
    texts
        Vectors of texts by text, for strategies that search by words; see `text_vectors`.
    executor
        ``"local"``, or ``"ray"``: workers on a Ray cluster compute on parts of the rows. The picks
        are the same. The embeddings must be those of a dataset or a `ShardedMatrix`, and every
        worker must find their files at the same paths.
    address
        Address of the Ray cluster. Default: ``RAY_ADDRESS``, or else this machine.

    Returns
    -------
    Selection
        The ``rows`` are (n,) int64 row numbers in order of selection, and the ``scores`` are (n,)
        float32 acquisition scores. The ``diagnostics`` are numbers and texts by name.

    Raises
    ------
    SelectionError
        If the pool has fewer than `n` items, or the strategy needs labels and there are none.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0, 0], [0, 1], [5, 5], [9, 0]], dtype=np.float32)
    >>> select(points, n=2, strategy="coreset(metric=euclidean)", labelled=[0]).rows.tolist()
    [3, 2]
    """
    chooser = get_strategy(strategy) if isinstance(strategy, str) else strategy
    seed = check_seed(seed)
    with _on_workers(embeddings, executor, address) as matrix:
        pool = pool_of(
            embeddings,
            labelled=labelled,
            labels=labels,
            candidates=candidates,
            declined=declined,
            head=head,
            seed=seed,
            index=index,
            examples=examples,
            metadata=metadata,
            target=target,
            texts=texts,
            matrix=matrix,
        )
        return chooser.select(pool, n, np.random.default_rng(seed))


@contextlib.contextmanager
def _on_workers(
    embeddings: Embeddings | ShardedMatrix | ArrayLike, executor: str, address: str | None
) -> Iterator[Matrix | None]:
    """Yield the matrix with workers on a Ray cluster, or None for the executor ``local``."""
    check_executor(executor)
    if executor == "local":
        yield None
        return
    if isinstance(embeddings, Embeddings):
        embeddings = ShardedMatrix([embeddings.folder / "embeddings.npy"])
    if not isinstance(embeddings, ShardedMatrix):
        raise UsageError(
            "executor='ray' needs the embeddings of a dataset or a ShardedMatrix, whose files the "
            "workers can read: save the array with `np.save`."
        )
    with with_ray_workers(embeddings, address) as matrix:
        yield matrix


def pool_of(
    embeddings: Embeddings | ShardedMatrix | ArrayLike,
    *,
    labelled: ArrayLike | None = None,
    labels: ArrayLike | Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    declined: ArrayLike | None = None,
    head: Any = "auto",
    seed: int = 0,
    index: Index | str = "exact",
    examples: ArrayLike | None = None,
    metadata: Mapping[str, ArrayLike] | None = None,
    target: Embeddings | Target | ArrayLike | str | None = None,
    texts: Mapping[str, ArrayLike] | None = None,
    matrix: Matrix | None = None,
) -> Pool:
    """Return the pool from which `select` picks with these arguments.

    `matrix` has the same vectors as `embeddings`, such as a `ShardedMatrix` with workers.
    """
    if isinstance(labels, Mapping):
        if not isinstance(embeddings, Embeddings) or labelled is not None:
            raise UsageError(
                "labels by item id need the embeddings of a dataset, and no `labelled`."
            )
        labelled, labels = rows_of_labels(embeddings, labels)
    if candidates is None and isinstance(embeddings, Embeddings):
        candidates = default_candidates(embeddings)
    if matrix is None:
        matrix = embeddings if isinstance(embeddings, ShardedMatrix) else np.asarray(embeddings)
    make: Any = index
    if isinstance(index, str):
        make = partial(index_of, embeddings, kind=index, matrix=matrix)
    pool: Pool = RoundPool(
        matrix,
        declined=checked_rows([] if declined is None else declined, len(matrix), "declined"),
        labelled=labelled,
        labels=labels,
        head=(
            None
            if labels is None or not np.size(labels)
            else lambda: _fit(pool, run_head(head, seed), seed)
        ),
        candidates=candidates,
        index=make,
        examples=_vectors(embeddings, examples),
        metadata=metadata,
        target=None if target is None else Target.of(target, embeddings).vectors,
        texts=texts,
    )
    return pool


def index_of(
    embeddings: Embeddings | ShardedMatrix | ArrayLike,
    candidates: NDArray[np.int64],
    kind: str = "exact",
    matrix: Matrix | None = None,
) -> Index:
    """Return the index of the candidates; for a dataset, it is stored in the embeddings' folder.

    `matrix` has the same vectors as `embeddings`.
    """
    if not isinstance(embeddings, Embeddings):
        if not isinstance(matrix, ShardedMatrix):
            matrix = np.asarray(embeddings, dtype=np.float32)
        return Index(matrix, candidates, kind=kind)
    return Index(
        embeddings.matrix if matrix is None else matrix,
        candidates,
        kind=kind,
        folder=embeddings.folder / "index",
        digest=embeddings.digest,
        earlier=earlier_of(embeddings.folder),
    )


def default_candidates(embeddings: Embeddings) -> NDArray[np.int64]:
    """Return the rows outside the test and validation splits."""
    rows = [
        row for row, item in enumerate(embeddings.items) if item.split not in ("test", "validation")
    ]
    if not rows:
        raise SelectionError(
            f"all images of {embeddings.dataset.name!r} are in its test and validation splits: "
            "there is no image to select."
        )
    return np.array(rows, dtype=np.int64)


def rows_of_labels(
    embeddings: Embeddings, labels: Mapping[str, str]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the labelled rows with a readable image, ascending, and their labels."""
    rows_for(labels, [item.id for item in embeddings.dataset.items])
    failed = {failure.path for failure in embeddings.failures}
    usable = {item_id: label for item_id, label in labels.items() if item_id not in failed}
    return rows_for(usable, [item.id for item in embeddings.items])


class RoundPool(Pool):
    """A pool without the rows for which the oracle gave no label.

    These rows are called declined. If a row is labelled or declined, no row with an equal vector is
    selected later.
    ``checked=True`` skips the check for NaN and infinity.
    """

    def __init__(
        self,
        embeddings: Matrix,
        *,
        declined: NDArray[np.int64],
        checked: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(embeddings, **options)
        self._declined, self._checked = declined, checked
        if declined.size:
            left = np.setdiff1d(self.unlabelled, declined, assume_unique=True)
            left.flags.writeable = False
            self.unlabelled = left

    def check_finite(self) -> None:
        """Raise an error for NaN and infinity, unless the rows were checked before."""
        if not self._checked:
            super().check_finite()

    @cached_property
    def unique_labelled(self) -> NDArray[np.bool_]:
        """(p,) mask of the p unique vectors of `index`: True if labelled or declined."""
        mask = super().unique_labelled
        if self._declined.size:
            mask = mask.copy()
            numbers = self.index.find(self._declined)
            mask[numbers[numbers >= 0]] = True
            mask.flags.writeable = False
        return mask


@dataclass(frozen=True)
class Group:
    """The items to which a pick is nearer than every other pick and every labelled item.

    `rows` are (k,) int64 unlabelled rows without the pick, nearest first; `distances` are (k,)
    float32 distances to the pick.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float32]


def groups(
    embeddings: Embeddings | ArrayLike,
    picks: ArrayLike,
    *,
    labelled: ArrayLike | None = None,
    labels: Mapping[str, str] | None = None,
    candidates: ArrayLike | None = None,
    declined: ArrayLike | None = None,
    metric: str = METRIC,
) -> list[Group]:
    """Return the group of items that each pick represents.

    Every unlabelled item that is not a pick belongs to the nearest pick, or to no pick if a
    labelled item is nearer than every pick. O(u·(n + m)·d) time for n picks, u unlabelled
    items, m labelled items and vectors of length d; 32 bytes of extra memory for each item.

    Parameters
    ----------
    embeddings, labelled, labels, candidates, declined
        The same as in `select`.
    picks
        (n,) distinct rows, such as ``Selection.rows``.
    metric
        ``"cosine"``: distances between vectors scaled to unit length. ``"euclidean"``: distances
        between unscaled vectors. If the strategy has an option ``metric``, give the same metric.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[0.0], [1], [2], [9], [7], [20]], dtype=np.float32)
    >>> found = groups(points, picks=[1, 3], labelled=[5], metric="euclidean")
    >>> [group.rows.tolist() for group in found]
    [[0, 2], [4]]
    >>> found[1].distances.tolist()
    [2.0]
    """
    pool = pool_of(
        embeddings, labelled=labelled, labels=labels, candidates=candidates, declined=declined
    )
    pool.check_finite()
    vectors = vectors_of(pool.embeddings, metric)
    chosen = checked_rows(picks, len(pool.embeddings), "picks")  # (n,)
    if not chosen.size:
        return []
    rest = np.setdiff1d(pool.unlabelled, chosen, assume_unique=True)  # (r,)
    # Picks come first: at equal distances, the pick is preferred to a labelled item.
    centres = np.concatenate([chosen, np.setdiff1d(pool.labelled, chosen)])
    nearest, distances = nearest_of_set(vectors, rest, centres)
    order = np.lexsort((rest, distances, nearest))
    starts = np.searchsorted(nearest[order], chosen, side="left")
    stops = np.searchsorted(nearest[order], chosen, side="right")
    return [
        Group(rest[order[a:b]], distances[order[a:b]].astype(np.float32))
        for a, b in zip(starts, stops, strict=True)
    ]


def _vectors(embeddings: Embeddings | ShardedMatrix | ArrayLike, examples: ArrayLike | None) -> Any:
    """Return the vectors of examples that are given as vectors or as row numbers."""
    given = None if examples is None else np.asarray(examples)
    if given is None or given.ndim != 1 or given.dtype.kind not in "iu":
        return given
    matrix = embeddings if isinstance(embeddings, ShardedMatrix) else np.asarray(embeddings)
    outside = given[(given < 0) | (given >= len(matrix))]
    if outside.size:
        raise SelectionError(
            f"examples contain row {outside[0]}, but the embeddings have rows 0 to "
            f"{len(matrix) - 1}."
        )
    return matrix[given]  # (e, d)


def _fit(pool: Pool, head: Any, seed: int) -> Any:
    """Fit the head to a pool."""
    labels = np.asarray(pool.labels)
    trainer = Trainer(head, pool.embeddings, pool.candidates, labels[:0], seed=seed)
    return trainer.fit(head, Batch(pool.labelled, labels))
