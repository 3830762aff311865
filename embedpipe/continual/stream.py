"""Streams: the experiences of a continual-learning run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from .._html import result_html
from .._loops.arrays import check_finite, memory_map_path, plain_labels
from .._options import check_pool_share
from .._workspace import Workspace
from ..backbones import Backbone
from ..embedding import Embeddings, Progress, embed
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

    No training row is in two experiences; experiences may share test rows. Training and test rows
    are distinct, except in the streaming protocol, where an experience is a test set before it is a
    training set.

    Attributes
    ----------
    matrix
        (n, d) float32, memory-mapped or not.
    classes
        (K,) sorted labels.
    codes
        (n,) int64 positions in `classes`; -1 for rows without a known label. Rows that `subsampled`
        leaves out keep their number.
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

    def _repr_html_(self) -> str:
        facts = [
            ("protocol", self.protocol),
            ("classes", len(self.classes)),
            ("dimensions", self.matrix.shape[1]),
            ("copies left out", self.copies_left_out or None),
        ]
        rows = [
            (
                number,
                each.name,
                each.train.size,
                each.test.size,
                len(np.unique(self.codes[each.train])),
            )
            for number, each in enumerate(self.experiences)
        ]
        headings = ["experience", "name", "training rows", "test rows", "classes"]
        return result_html(f"Stream {self.name}", facts, headings, rows, n_rows=len(rows))

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
        return cls._of_rows(
            matrix,
            classes,
            codes,
            experiences,
            protocol=protocol,
            name=name,
            identity=identity,
            ids=ids,
            left_out=left_out,
        )

    @classmethod
    def _of_rows(
        cls,
        matrix: NDArray[np.float32],
        classes: NDArray[Any],
        codes: Rows,
        experiences: Sequence[tuple[str, Rows, Rows]],
        *,
        protocol: str,
        name: str,
        identity: Sequence[bytes | memoryview],
        ids: Sequence[str] | None,
        left_out: int = 0,
    ) -> Self:
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

    @classmethod
    def from_avalanche(
        cls,
        benchmark: Any,
        *,
        test: str = "test",
        class_names: Sequence[str] | None = None,
        backbone: str | Backbone | None = None,
        workspace: str | Path | Workspace | None = None,
        progress: Progress | None = None,
        protocol: str | None = None,
        name: str = "avalanche",
    ) -> Self:
        """Return the stream of a benchmark of Avalanche, with the same experiences.

        Parameters
        ----------
        benchmark
            A benchmark for classification (``CLScenario``) with a training stream and a stream of
            test sets: one for each training experience, or one for all. Its items are vectors,
            which are copied into one matrix, or images.
        test
            Name of the stream of the test sets, such as ``"valid"``. Other streams are not used.
        class_names
            The name of each target, from 0. Default: the names from `to_avalanche`, otherwise the
            targets are the labels.
        backbone
            For images: the backbone that embeds them, such as ``"efficientnet_lite0"``. Vectors in
            the cache are reused. The transformations of the benchmark are not applied.
        workspace, progress
            For images: folder of the cache, and function that takes the progress; see `embed`.
        protocol
            See `of`. Default: that of the stream from which `to_avalanche` made the benchmark,
            otherwise ``"iid"``.
        name
            See the attribute `name`.

        Raises
        ------
        UsageError, LabelError
            If the benchmark has no such streams or has several task labels, if its items are
            images and there is no backbone, or if targets have no name.
        DatasetError
            If an image cannot be embedded.

        Notes
        -----
        Without names, an experience has its number as a name. Copies of images are not removed.
        With ``"streaming"``, the test set of an experience contains its training rows, as in the
        streaming protocol of the CLEAR benchmark.

        The matrix has O(n·d) elements for n items in all experiences and d dimensions. A test set
        that all experiences share is stored once.

        References
        ----------
        Lomonaco et al. (2021), "Avalanche: an end-to-end library for continual learning",
        arXiv:2104.00405.
        """
        from .avalanche import read_benchmark

        protocol = str(protocol or getattr(benchmark, "protocol", "iid"))
        _check_protocol(protocol)
        embed_images = partial(embed, backbone=backbone, workspace=workspace, progress=progress)
        rows, identity, ids = read_benchmark(
            benchmark,
            test=test,
            class_names=class_names,
            embed_images=None if backbone is None else embed_images,
        )
        return cls._of_rows(
            rows.matrix,
            rows.classes,
            rows.codes,
            rows.experiences,
            protocol=protocol,
            name=name,
            identity=identity,
            ids=ids,
        )

    def to_avalanche(self) -> Any:
        """Return a benchmark of Avalanche (``CLScenario``) with the experiences of the stream.

        The items are (d,) float32 tensors, read from the matrix when they are used. If all
        experiences have the same test rows, the test stream has one experience.

        The targets are the labels if these are integers from 0, otherwise positions in `classes`.
        The benchmark has the attributes ``n_classes`` (largest target + 1), ``protocol``, and
        ``class_names`` (names of the targets, for labels that are strings). Experiences have
        ``name``, ``classes_in_this_experience`` and the other attributes of a class timeline, and
        task label 0. The datasets have a data attribute ``stream_rows`` with the rows of the
        stream, which shows the items that a buffer of Avalanche contains.

        Raises
        ------
        UsageError
            If Avalanche is not installed.

        References
        ----------
        See `from_avalanche`.
        """
        from .avalanche import StreamRows, benchmark_of

        experiences = [(each.name, each.train, each.test) for each in self.experiences]
        benchmark = benchmark_of(StreamRows(self.matrix, self.classes, self.codes, experiences))
        benchmark.protocol = self.protocol
        return benchmark

    def subsampled(self, share: float, seed: int = 0) -> Self:
        """Return the stream with a random share of the training rows of each experience.

        The draw does not depend on labels. For an experience with b training rows, it takes the
        first ``round(share * b)`` of a permutation of b numbers, at least one. The permutations are
        drawn by ``np.random.default_rng([seed, 0x5AFE])``, experience by experience. The rows keep
        their order, and test rows do not change. With a share of 1, this stream is returned.

        Examples
        --------
        >>> buckets = [2010] * 5 + [2011] * 10
        >>> stream = Stream.from_arrays(
        ...     np.zeros((15, 1)), ["hat"] * 15, buckets, protocol="streaming"
        ... )
        >>> [each.train.size for each in stream.subsampled(0.8, seed=0).experiences]
        [4, 8]
        """
        check_pool_share(share)
        if share == 1:
            return self
        rng = np.random.default_rng([seed, 0x5AFE])
        digest = hashlib.sha256(bytes.fromhex(self.digest))
        drawn = []
        for each in self.experiences:
            b = each.train.size
            kept = np.sort(rng.permutation(b)[: max(1, round(share * b))])
            drawn.append(replace(each, train=each.train[kept]))
            digest.update(hashlib.sha256(drawn[-1].train.tobytes()).digest())
        return replace(
            self,
            experiences=tuple(drawn),
            name=f"{self.name}-share{share:g}",
            digest=digest.hexdigest(),
        )

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
    def n_learned(self) -> int:
        """Number of training rows in all experiences that are used for training."""
        return sum(each.train.size for each in self.learned)

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
