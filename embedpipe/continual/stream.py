"""What comes in parts: a matrix, its labels, and which rows come when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import check_finite, memory_map_path, plain_labels
from ..embedding import Embeddings
from ..errors import LabelError, UnknownNameError, UsageError
from .stream_parts import KINDS, Part, parts_of, parts_of_arrays

__all__ = ["PROTOCOLS", "Experience", "Stream", "StreamIdentity"]

PROTOCOLS = ("iid", "streaming")
"""*iid*: a test set inside each experience; *streaming*: the next experience is the test."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Experience:
    """One part of a stream: (b,) int64 rows to learn from, in order, and (t,) to be judged by."""

    name: str
    train: Rows
    test: Rows


@dataclass(frozen=True)
class StreamIdentity:
    """Tells a stream from others, without its matrix.

    Attributes
    ----------
    name
        The first part of the names of its runs.
    digest
        SHA-256 of matrix, labels, experiences and protocol.
    protocol
        ``"iid"`` or ``"streaming"``.
    """

    name: str
    digest: str
    protocol: str = "iid"


@dataclass(frozen=True)
class Stream:
    """Experiences that follow each other over the rows of one matrix.

    No row is in two experiences, and no row that is learned from is ever a test row, except in
    the streaming protocol, where an experience is tested on before it is learned from.

    Attributes
    ----------
    matrix
        (n, d) float32, memory-mapped or not.
    classes
        (K,) the labels that rows have, sorted.
    codes
        (n,) int64: the class of each row as a position in `classes`; -1 for rows of no experience.
    experiences
        In the order in which they come, at least two.
    protocol
        ``"iid"`` or ``"streaming"``.
    name
        What runs are called.
    digest
        SHA-256 of all of it: two streams with the same digest are the same.
    ids
        The item of each row, if rows are items.
    copies_left_out
        How many copies of images are left out: of test images from what is learned, or in the
        streaming protocol of what was learned before from what is tested.

    Raises
    ------
    UsageError
        If there are fewer than two experiences, or one has nothing to learn from.

    Examples
    --------
    >>> matrix = np.arange(8, dtype=np.float32)[:, None]
    >>> labels = ["hat", "shoe"] * 4
    >>> stream = Stream.from_arrays(matrix, labels, [2010] * 4 + [2011] * 4, protocol="streaming")
    >>> [(each.name, each.train.tolist()) for each in stream.experiences]
    [('2010', [0, 1, 2, 3]), ('2011', [4, 5, 6, 7])]
    """

    matrix: NDArray[np.float32]
    classes: NDArray[Any]
    codes: Rows
    experiences: tuple[Experience, ...]
    protocol: str
    name: str
    digest: str
    ids: Sequence[str] | None = field(default=None, compare=False, repr=False)
    copies_left_out: int = field(default=0, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        embeddings: Embeddings,
        kind: str = "buckets",
        *,
        n: int | None = None,
        classes: Sequence[Sequence[str]] | None = None,
        leave_out: Sequence[str] = (),
        protocol: str = "iid",
        seed: int = 0,
    ) -> Self:
        """Return the stream that a labelled dataset poses.

        Parameters
        ----------
        embeddings
            Of a labelled dataset.
        kind
            ``"buckets"``: the items' buckets, in natural order (2 before 10). ``"classes"``: some
            classes at a time. ``"order"``: the items as their file names number them, whatever
            their split, cut into `n` parts. ``"folders"``: a first-level folder is an experience
            and a folder below it a class, as domains are kept. ``"random"``: `n` random parts, in
            which nothing changes. ``"skewed"``: `n` random parts in which the shares of the classes
            differ (Dirichlet, 0.5).
        n
            How many experiences, for all kinds but buckets and folders; by default as many as
            leave two classes each, or 10.
        classes
            Which classes come when, in place of an order drawn by `seed`.
        leave_out
            Buckets or folders that are no part of the stream; for these kinds alone.
        protocol
            ``"iid"``: the test rows of an experience are those of its items that are in the
            dataset's test split; where an experience has none, and in an ``order``, three tenths
            of each class in it, drawn by `seed`. ``"streaming"``: all of an experience is learned
            from, and tested on before. Copies of what is tested, or was learned before, are left
            out.
        seed
            Whatever is drawn follows from it. Where a dataset has several divisions into training
            and test items, it chooses one (`Dataset.for_seed`).

        Raises
        ------
        UsageError
            If there is no such kind or protocol, or fewer than two experiences.
        LabelError
            If an experience has no labels.
        """
        _check_protocol(protocol)
        embeddings = embeddings.for_seed(seed)
        if kind not in KINDS:
            raise UnknownNameError("kind of stream", str(kind), KINDS)
        parts = parts_of(embeddings, kind, n=n, classes=classes, leave_out=leave_out, seed=seed)
        return cls._made(
            embeddings.matrix,
            parts,
            protocol=protocol,
            seed=seed,
            name=f"{embeddings.dataset.name}-{kind}{'' if n is None else n}",
            identity=[embeddings.spec.id.encode(), *embeddings.content_ids],
            copies=embeddings.content_ids,
            ids=[item.id for item in embeddings.items],
        )

    @classmethod
    def from_arrays(
        cls,
        matrix: NDArray[Any],
        labels: Sequence[Any] | NDArray[Any],
        buckets: Sequence[Any] | NDArray[Any],
        splits: Sequence[Any] | NDArray[Any] | None = None,
        *,
        protocol: str = "iid",
        seed: int = 0,
        name: str = "arrays",
    ) -> Self:
        """Return the stream of anyone's features.

        Parameters
        ----------
        matrix
            (n, d) finite numbers, memory-mapped or not; float32 is not copied.
        labels
            (n,) texts or whole numbers; None, NaN or blank where it is not known.
        buckets
            (n,) which experience each row belongs to: they come in natural order, numbers by
            their value. None, NaN or blank: in none.
        splits
            (n,) ``"test"`` for test rows, in any case and by any name that a manifest may have
            for it; ``"validation"`` rows are left alone. ``"train"``, None, NaN and blank rows are
            to learn from. Other names are refused.
        protocol, seed
            As of `of`.
        name
            What runs are called.
        """
        _check_protocol(protocol)
        matrix = np.asanyarray(matrix).astype(np.float32, copy=False)
        if matrix.ndim != 2:
            raise UsageError(f"the matrix has shape {matrix.shape}: give one vector for each row.")
        if not matrix.size:
            raise UsageError("the matrix is empty: there is nothing to learn from.")
        parts = parts_of_arrays(len(matrix), labels, buckets, splits)
        for part in parts:
            check_finite(matrix, part.rows, "the matrix")
        whole = np.ascontiguousarray(matrix).data.cast("B")
        return cls._made(
            matrix,
            parts,
            protocol=protocol,
            seed=seed,
            name=name,
            identity=[whole],
            copies=None,
            ids=None,
        )

    @classmethod
    def _made(
        cls,
        matrix: NDArray[np.float32],
        parts: Sequence[Part],
        *,
        protocol: str,
        seed: int,
        name: str,
        identity: Sequence[bytes | memoryview],
        copies: Sequence[bytes] | None,
        ids: Sequence[str] | None,
    ) -> Self:
        if len(parts) < 2:
            found = f"only {parts[0].name!r}" if parts else "none"
            raise UsageError(
                f"a stream needs at least two experiences, and there is {found}: check the "
                "buckets, or ask for another kind of stream."
            )
        given = plain_labels([label for part in parts for label in part.labels.tolist()], "labels")
        classes, found_codes = np.unique(given, return_inverse=True)
        codes = np.full(len(matrix), -1, dtype=np.int64)
        codes[np.concatenate([part.rows for part in parts])] = found_codes
        experiences = [part.experience(codes, protocol, seed) for part in parts]
        left_out = 0
        if copies is not None:
            clean = _without_copies if protocol == "iid" else _without_learned
            kept = clean(experiences, copies)
            left_out = _size(experiences) - _size(kept)
            experiences = kept
        for each in experiences:
            if not each[1].size:
                raise LabelError(
                    f"experience {each[0]!r} has nothing to learn from: all its labelled rows are "
                    "test rows, or copies of test rows."
                )
        made = tuple(Experience(*each) for each in experiences)
        digest = hashlib.sha256(repr([protocol, classes.tolist()]).encode())
        for piece in identity:
            digest.update(hashlib.sha256(piece).digest())
        for one in made:
            for array in (one.train, one.test, codes[one.train], codes[one.test]):
                digest.update(hashlib.sha256(array.tobytes()).digest())
            digest.update(one.name.encode())
        return cls(matrix, classes, codes, made, protocol, name, digest.hexdigest(), ids, left_out)

    def __len__(self) -> int:
        return len(self.experiences)

    def __getstate__(self) -> dict[str, Any]:
        """Send a memory-mapped matrix to another process as its path."""
        state = dict(self.__dict__)
        path = memory_map_path(self.matrix)
        if path is not None:
            state["matrix"] = path
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not isinstance(state["matrix"], np.ndarray):
            state["matrix"] = np.load(state["matrix"], mmap_mode="r", allow_pickle=False)
        self.__dict__.update(state)

    @property
    def identity(self) -> StreamIdentity:
        """What the names of runs on it follow from."""
        return StreamIdentity(self.name, self.digest, self.protocol)

    @property
    def n_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    @property
    def floor(self) -> NDArray[np.float64]:
        """The (T,) accuracies to be expected of a head that has learned nothing: 1 / K."""
        return np.full(len(self), 1.0 / self.n_classes)

    @property
    def never_learned(self) -> list[Any]:
        """The labels that test rows have, but no row to learn from: nobody can predict them."""
        learned = np.concatenate([self.codes[each.train] for each in self.learned])
        tested = np.concatenate([self.codes[each.test] for each in self.experiences])
        return list(self.classes[np.setdiff1d(tested, learned)].tolist())

    @property
    def learned(self) -> tuple[Experience, ...]:
        """The experiences that are learned from: in the streaming protocol all but the last."""
        return self.experiences[: None if self.protocol == "iid" else -1]

    def labels(self, rows: Rows) -> NDArray[Any]:
        """Return the (k,) labels of rows that are in the stream."""
        return np.asarray(self.classes[self.codes[rows]])


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", str(protocol), PROTOCOLS)


def _size(experiences: Sequence[tuple[str, Rows, Rows]]) -> int:
    """Return how many rows are learned or tested in all."""
    return sum(train.size + test.size for _, train, test in experiences)


def _without_copies(
    experiences: Sequence[tuple[str, Rows, Rows]], content: Sequence[bytes]
) -> list[tuple[str, Rows, Rows]]:
    """Leave copies of test images out of what is learned from."""
    seen = {content[row] for _, _, test in experiences for row in test.tolist()}
    kept = []
    for name, train, test in experiences:
        new = np.array([content[row] not in seen for row in train.tolist()], dtype=np.bool_)
        kept.append((name, train[new], test))
    return kept


def _without_learned(
    experiences: Sequence[tuple[str, Rows, Rows]], content: Sequence[bytes]
) -> list[tuple[str, Rows, Rows]]:
    """Leave copies of what was learned in an earlier experience out of what is tested."""
    learned: set[bytes] = set()
    kept = []
    for name, train, test in experiences:
        new = np.array([content[row] not in learned for row in test.tolist()], dtype=np.bool_)
        kept.append((name, train, test[new]))
        learned.update(content[row] for row in train.tolist())
    return kept
