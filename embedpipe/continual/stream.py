"""Streams: the experiences of a continual-learning run."""

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
"""*iid*: each experience has a test set; *streaming*: the next experience is the test set."""

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Experience:
    """One part of a stream: (b,) int64 training rows, in order, and (t,) test rows."""

    name: str
    train: Rows
    test: Rows


@dataclass(frozen=True)
class StreamIdentity:
    """The identity of a stream, without its matrix; see `Stream` for the attributes."""

    name: str
    digest: str
    protocol: str = "iid"


@dataclass(frozen=True)
class Stream:
    """A sequence of experiences over the rows of one matrix.

    No row is in two experiences. Training and test rows are distinct, except in the streaming
    protocol, where an experience is a test set before it is a training set.

    Attributes
    ----------
    matrix
        (n, d) float32, memory-mapped or not.
    classes
        (K,) sorted labels.
    codes
        (n,) int64 positions in `classes`; -1 for rows that are in no experience.
    experiences
        The experiences in order, at least two.
    protocol
        ``"iid"`` or ``"streaming"``.
    name
        First part of the names of runs.
    digest
        SHA-256 of the matrix (for `of`: of the embedding spec and the images), labels, experiences
        and protocol.
    ids
        Item ids of the rows, or None.
    copies_left_out
        Number of rows removed because they copy the image of another row: training rows that copy
        test images, or in the streaming protocol test rows that copy earlier training images.

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
        """Return a stream of a labelled dataset.

        Parameters
        ----------
        embeddings
            Embeddings of a labelled dataset.
        kind
            ``"buckets"``: the buckets of the items, in natural order (2 before 10). ``"classes"``:
            groups of classes. ``"order"``: the items of all splits in the natural order of their
            file names, in `n` parts. ``"folders"``: each first-level folder is an experience, and
            the folders in it are classes. ``"random"``: `n` random parts. ``"skewed"``: `n` random
            parts with different class frequencies (Dirichlet distribution with
            concentration 0.5).
        n
            Number of experiences, not for buckets and folders. Default: 10, or half the number of
            classes for ``"classes"``.
        classes
            Names of the classes of each experience, instead of random groups.
        leave_out
            Buckets or folders to omit.
        protocol
            ``"iid"``: the test rows of an experience are its items in the test split. Without such
            items, and for ``"order"``, the test rows are 30 % of each class of the experience,
            drawn with `seed`. Training rows that copy test images are omitted. ``"streaming"``: all
            rows of an experience are first test rows and then training rows. Test rows that copy
            earlier training images are omitted.
        seed
            Seed of all random numbers. The seed also chooses the training and test items of a
            dataset with several divisions (`Dataset.for_seed`).

        Raises
        ------
        UsageError, LabelError
            If an argument is invalid, or an experience has no labels.
        """
        _check_protocol(protocol)
        embeddings = embeddings.for_seed(seed)
        if kind not in KINDS:
            raise UnknownNameError("kind of stream", str(kind), KINDS)
        parts = parts_of(embeddings, kind, n=n, classes=classes, leave_out=leave_out, seed=seed)
        return cls._from_parts(
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
        """Return a stream of arrays.

        Parameters
        ----------
        matrix
            (n, d) finite numbers, memory-mapped or not; float32 is not copied.
        labels
            (n,) strings or integers; None, NaN or blank for unlabelled rows.
        buckets
            (n,) names of experiences; None, NaN or blank for rows in no experience. Experiences
            are in the natural order of their names.
        splits
            (n,) ``"test"``, ``"train"`` or ``"validation"``, or an alias that manifests accept.
            Rows with None, NaN or blank are training rows; validation rows are not used.
        protocol, seed, name
            See `of` and the attribute `name`.
        """
        _check_protocol(protocol)
        matrix = np.asanyarray(matrix).astype(np.float32, copy=False)
        if matrix.ndim != 2:
            raise UsageError(f"the matrix has shape {matrix.shape}: give one vector for each row.")
        if not matrix.size:
            raise UsageError("the matrix is empty: give at least one row.")
        parts = parts_of_arrays(len(matrix), labels, buckets, splits)
        for part in parts:
            check_finite(matrix, part.rows, "the matrix")
        whole = np.ascontiguousarray(matrix).data.cast("B")
        return cls._from_parts(
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
    def _from_parts(
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
                f"a stream needs at least two experiences, but there is {found}: check the "
                "buckets, or use another kind of stream."
            )
        labels = plain_labels([label for part in parts for label in part.labels.tolist()], "labels")
        classes, label_codes = np.unique(labels, return_inverse=True)
        codes = np.full(len(matrix), -1, dtype=np.int64)
        codes[np.concatenate([part.rows for part in parts])] = label_codes
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
                    f"experience {each[0]!r} has no training rows: all its labelled rows are test "
                    "rows, or copies of test rows."
                )
        built = tuple(Experience(*each) for each in experiences)
        digest = hashlib.sha256(repr([protocol, classes.tolist()]).encode())
        for piece in identity:
            digest.update(hashlib.sha256(piece).digest())
        for one in built:
            for array in (one.train, one.test, codes[one.train], codes[one.test]):
                digest.update(hashlib.sha256(array.tobytes()).digest())
            digest.update(one.name.encode())
        return cls(matrix, classes, codes, built, protocol, name, digest.hexdigest(), ids, left_out)

    def __len__(self) -> int:
        return len(self.experiences)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a memory-mapped matrix as its path."""
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
        """The identity of the stream, which determines the names of runs."""
        return StreamIdentity(self.name, self.digest, self.protocol)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def floor(self) -> NDArray[np.float64]:
        """The (T,) expected accuracies of an untrained head: 1 / K for K classes."""
        return np.full(len(self), 1.0 / self.n_classes)

    @property
    def never_learned(self) -> list[Any]:
        """The labels that test rows have and no training row has."""
        learned = np.concatenate([self.codes[each.train] for each in self.learned])
        tested = np.concatenate([self.codes[each.test] for each in self.experiences])
        return list(self.classes[np.setdiff1d(tested, learned)].tolist())

    @property
    def learned(self) -> tuple[Experience, ...]:
        """The experiences used for training: in the streaming protocol all but the last."""
        return self.experiences[: None if self.protocol == "iid" else -1]

    def labels(self, rows: Rows) -> NDArray[Any]:
        """Return the (k,) labels of rows that are in the stream."""
        return np.asarray(self.classes[self.codes[rows]])


def _check_protocol(protocol: str) -> None:
    if protocol not in PROTOCOLS:
        raise UnknownNameError("protocol", str(protocol), PROTOCOLS)


def _size(experiences: Sequence[tuple[str, Rows, Rows]]) -> int:
    """Return the number of training and test rows."""
    return sum(train.size + test.size for _, train, test in experiences)


def _without_copies(
    experiences: Sequence[tuple[str, Rows, Rows]], content: Sequence[bytes]
) -> list[tuple[str, Rows, Rows]]:
    """Remove training rows that are copies of test images."""
    seen = {content[row] for _, _, test in experiences for row in test.tolist()}
    kept = []
    for name, train, test in experiences:
        new = np.array([content[row] not in seen for row in train.tolist()], dtype=np.bool_)
        kept.append((name, train[new], test))
    return kept


def _without_learned(
    experiences: Sequence[tuple[str, Rows, Rows]], content: Sequence[bytes]
) -> list[tuple[str, Rows, Rows]]:
    """Remove test rows that are copies of training images of earlier experiences."""
    learned: set[bytes] = set()
    kept = []
    for name, train, test in experiences:
        new = np.array([content[row] not in learned for row in test.tolist()], dtype=np.bool_)
        kept.append((name, train, test[new]))
        learned.update(content[row] for row in train.tolist())
    return kept
