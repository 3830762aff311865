"""Problems: a matrix, candidates with an oracle, and test rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._loops.arrays import check_finite, plain_labels
from .._options import check_pool_share
from .._workspace import Workspace
from ..embedding import Embeddings
from ..errors import LabelError, RunError, UnknownNameError, UsageError
from ..index import Index
from ..strategies.pool import checked_rows
from .oracle import SimulatedOracle
from .problem_files import META, read_matrix, read_meta, write_problem
from .selection import index_of
from .target import Target
from .words import text_vectors

__all__ = ["HELD_OUT", "Problem", "ProblemIdentity"]

HELD_OUT = 0.2
"""Share of the labelled items used as test rows if a dataset has no test split."""


@dataclass(frozen=True)
class ProblemIdentity:
    """The identity of a problem: its name, digest, embedding spec and kind of index."""

    name: str
    digest: str
    spec_id: str | None = None
    index: str = "exact"


@dataclass(frozen=True)
class Problem:
    """The input of an active-learning loop: candidates, an oracle for them, and test rows.

    Attributes
    ----------
    matrix
        (n, d) float32 vectors.
    candidates
        Rows that can be labelled: ascending int64.
    oracle
        Oracle with the labels of the candidates only.
    test_rows, test_labels
        Rows and labels that are used only for the reported measures.
    digest
        SHA-256 of the images (without a dataset: the matrix), labels, candidates and test rows.
        Equal problems have equal digests.
    index
        Neighbour index of the candidates.
    name
        First part of the ids of runs on this problem.
    spec_id, ids, embeddings
        Id of the embedding spec, item id of each row, and the embeddings themselves; None without a
        dataset.
    untested
        Reason why a dataset has no test rows; otherwise None.
    copies_left_out
        Number of labelled copies of test images, which are not candidates.
    target
        Unlabelled items that the picks represent, see `with_target`; None for the candidates.
    texts
        Vectors of texts by text, for strategies that search by words; see `text_vectors`.
    """

    matrix: NDArray[np.float32]
    candidates: NDArray[np.int64]
    oracle: SimulatedOracle
    test_rows: NDArray[np.int64]
    test_labels: NDArray[Any]
    digest: str
    index: Index = field(compare=False)
    name: str = "arrays"
    spec_id: str | None = None
    ids: Sequence[str] | None = field(default=None, compare=False, repr=False)
    embeddings: Embeddings | None = field(default=None, compare=False, repr=False)
    untested: str | None = field(default=None, compare=False, repr=False)
    copies_left_out: int = field(default=0, compare=False, repr=False)
    target: Target | None = None
    texts: Mapping[str, ArrayLike] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, embeddings: Embeddings, seed: int, index: str = "exact") -> Problem:
        """Return the problem of a labelled dataset.

        Test rows are the labelled items of the test split. Without such items, a random fifth of
        the images of each class is the test set; `seed` determines it. If a dataset has several
        divisions into splits, the seed selects one of them (`Dataset.for_seed`).

        Candidates are all other labelled items outside the validation split, except copies of test
        images. If the test split shares no class with the candidates, there are no test rows.

        Raises
        ------
        RunError
            If the dataset has no labels, or no labelled candidates.
        """
        embeddings = embeddings.for_seed(seed)
        labels = [item.label for item in embeddings.items]
        labelled = np.array([label is not None for label in labels])
        if not labelled.any():
            raise RunError(
                f"the dataset {embeddings.dataset.name!r} has no labels for the simulated oracle: "
                "label images with `embedpipe label`, or sort them into one folder for each "
                f"class.{_unused_folders(embeddings)}"
            )
        splits = np.array([item.split or "" for item in embeddings.items])
        test = labelled & (splits == "test")
        pool = labelled & ~np.isin(splits, ["test", "validation"])
        if not test.any():
            test = _held_out(labels, pool, embeddings.content_ids, seed)
            pool &= ~test
        tested = {embeddings.content_ids[row] for row in np.flatnonzero(test)}
        copies = pool & np.array([content_id in tested for content_id in embeddings.content_ids])
        pool &= ~copies
        if not pool.any():
            raise RunError(
                f"the dataset {embeddings.dataset.name!r} has no labelled images outside its test "
                "and validation splits: there is no image to select."
            )
        untested = None
        names = np.array([str(label) for label in labels])
        if not test.any():
            untested = "there are no test images"
        elif not np.isin(names[test], names[pool]).any():
            test[:] = False
            untested = "the test split has no class in common with the other images"
        identity: list[bytes | memoryview] = [
            *embeddings.content_ids,
            *(str(label).encode() for label in labels),
        ]
        problem = cls.from_arrays(
            embeddings.matrix, labels, np.flatnonzero(pool), np.flatnonzero(test), identity
        )
        return replace(
            problem,
            index=index_of(embeddings, problem.candidates, index),
            name=embeddings.dataset.name,
            spec_id=embeddings.spec.id,
            ids=[item.id for item in embeddings.items],
            embeddings=embeddings,
            untested=untested,
            copies_left_out=int(copies.sum()),
        )

    @classmethod
    def from_arrays(
        cls,
        matrix: NDArray[np.float32],
        labels: Sequence[Any] | NDArray[Any],
        candidates: ArrayLike,
        test: ArrayLike = (),
        identity: Sequence[bytes | memoryview] | None = None,
        *,
        index: str = "exact",
        name: str = "arrays",
    ) -> Problem:
        """Return the problem of a matrix and its labels.

        Parameters
        ----------
        matrix
            (n, d) vectors, memory-mapped or not. A float32 matrix is not copied.
        labels
            One label for each row; None, NaN or blank for a missing label.
        candidates, test
            Row numbers without repetition; no row is in both.
        identity
            Bytes from which the digest is computed, in place of the matrix and the labels. Default:
            the bytes of the matrix and the labels.
        index
            Kind of the neighbour index: ``"exact"``, ``"ivf"`` or ``"hnsw"``.
        name
            First part of the ids of runs.
        """
        matrix = _vectors(matrix)  # (n, d)
        if len(labels) != len(matrix):
            raise LabelError(
                f"there are {len(matrix)} rows, but {len(labels)} labels: give one for each row."
            )
        rows = np.sort(checked_rows(candidates, len(matrix), "candidates"))
        test_rows = checked_rows(test, len(matrix), "test")
        shared = np.intersect1d(rows, test_rows)
        if len(shared):
            raise RunError(
                f"row {shared[0]} is both a candidate and a test row: remove it from one of them."
            )
        oracle = SimulatedOracle(labels)
        if identity is None:
            check_finite(matrix, np.concatenate([rows, test_rows]), "the matrix")
            content = np.ascontiguousarray(matrix).data.cast("B")
            identity = [content, repr(oracle.classes.tolist()).encode(), oracle.codes.tobytes()]
        digest = hashlib.sha256()
        for part in (*identity, rows.tobytes(), test_rows.tobytes()):
            digest.update(hashlib.sha256(part).digest())
        return cls(
            matrix=matrix,
            candidates=rows,
            oracle=oracle.restricted(rows),
            test_rows=test_rows,
            test_labels=oracle.every_label(test_rows),
            digest=digest.hexdigest(),
            index=Index(matrix, rows, kind=index),
            name=name,
        )

    @classmethod
    def of_features(
        cls,
        X_train: ArrayLike,
        y_train: ArrayLike,
        X_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        index: str = "exact",
    ) -> Problem:
        """Return the problem of (n, d) candidates and (t, d) test rows, copied as float32.

        Examples
        --------
        >>> problem = Problem.of_features([[0.0], [1.0]], ["a", "b"], [[0.5]], ["a"])
        >>> problem.matrix.ravel().tolist(), problem.candidates.tolist(), problem.test_rows.tolist()
        ([0.0, 1.0, 0.5], [0, 1], [2])
        """
        if (X_test is None) != (y_test is None):
            missing = "y_test" if y_test is None else "X_test"
            raise UsageError(f"{missing} is missing: give both X_test and y_test, or neither.")
        train = _features(X_train, "X_train")  # (n, d)
        test = train[:0] if X_test is None else _features(X_test, "X_test")  # (t, d)
        if not len(train):
            raise UsageError("X_train has no rows: give at least one candidate.")
        if test.shape[1] != train.shape[1]:
            raise UsageError(
                f"X_train has {train.shape[1]} columns and X_test has {test.shape[1]}: give both "
                "the same features."
            )
        labels = _labels_of(y_train, len(train), "train")  # (n,)
        if y_test is not None:
            labels = _joined(labels, _labels_of(y_test, len(test), "test"))  # (n + t,)
        n = len(train)
        matrix = np.empty((n + len(test), train.shape[1]), dtype=np.float32)  # (n + t, d)
        with np.errstate(over="ignore"):  # an overflow becomes infinity, which is an error below
            matrix[:n], matrix[n:] = train, test
        for name, first, last in (("X_train", 0, n), ("X_test", n, len(matrix))):
            check_finite(matrix, np.arange(first, last), name, first=first)
        return cls.from_arrays(matrix, labels, np.arange(n), np.arange(n, len(matrix)), index=index)

    def subsampled(self, share: float, seed: int = 0) -> Problem:
        """Return the problem with a random share of its candidates, drawn without their labels.

        With m candidates in ascending order, the new candidates are the first ``round(share * m)``
        of ``np.random.default_rng([seed, 0x5AFE]).permutation(m)``. Strategies and heads use other
        random numbers. A smaller share of the same seed is a subset of a larger share. Test rows do
        not change. With a share of 1, this problem is returned. Memory: 12 bytes for each row. The
        index of the new problem stores nothing in files; it uses the neighbours of this index.

        Examples
        --------
        >>> problem = Problem.from_arrays(np.zeros((10, 2), np.float32), ["hat"] * 10, range(10))
        >>> problem.subsampled(0.8, seed=0).candidates.tolist()
        [2, 3, 4, 5, 6, 7, 8, 9]
        >>> problem.subsampled(0.8, seed=1).candidates.tolist()
        [0, 1, 2, 3, 4, 5, 6, 9]
        """
        check_pool_share(share)
        if share == 1:
            return self
        m = len(self.candidates)
        size = max(1, round(share * m))
        rng = np.random.default_rng([seed, 0x5AFE])
        rows = np.sort(self.candidates[rng.permutation(m)[:size]])
        kind, exact_up_to = self.index.kind, self.index.exact_up_to
        # Nothing is stored for each pool: neighbours are selected from those of all candidates.
        index = Index(self.matrix, rows, kind=kind, exact_up_to=exact_up_to, whole=self.index)
        return replace(self._with_candidates(rows, f"share{share:g}"), index=index)

    def long_tailed(self, ratio: float, seed: int = 0) -> Problem:
        """Return the problem with long-tailed classes.

        Class sizes fall by a constant factor from class to class. The largest class is `ratio`
        times as large as the smallest (Cui et al. 2019, arXiv:1901.05555). The classes keep the
        order of their sizes; classes of equal size are ordered at random. `seed` sets this order
        and the items that are kept. Test rows do not change.

        Examples
        --------
        >>> labels = ["hat"] * 100 + ["shoe"] * 100 + ["sock"] * 100
        >>> problem = Problem.from_arrays(np.zeros((300, 2), np.float32), labels, range(300))
        >>> sorted(problem.long_tailed(25, seed=0).class_sizes.values())
        [4, 20, 100]
        """
        if not ratio >= 1:
            raise RunError(f"the ratio of a long tail is {ratio!r}: give a number, at least 1.")
        rng = np.random.default_rng([seed, 0x7A11])
        codes = self.oracle.codes[self.candidates]  # (m,)
        counts = np.bincount(codes, minlength=self.oracle.classes.size)  # (C,)
        order = np.lexsort((rng.random(counts.size), -counts))  # class numbers, largest class first
        order = order[counts[order] > 0]
        shares = float(ratio) ** -np.linspace(0.0, 1.0, order.size)
        scale = float((counts[order] / shares).min())
        sizes = np.zeros_like(counts)
        # Without the small addition, a rounding error could make a whole number too small by 1.
        sizes[order] = np.maximum(1, np.floor(scale * shares + 1e-6)).astype(counts.dtype)
        return self._with_candidates(_drawn(self.candidates, codes, sizes, rng), f"tail{ratio:g}")

    def rare(self, label: Any, n: int, seed: int = 0) -> Problem:
        """Return the problem with fewer candidates of one class: `n`, drawn at random.

        Examples
        --------
        >>> labels = ["hat"] * 100 + ["shoe"] * 100
        >>> problem = Problem.from_arrays(np.zeros((200, 2), np.float32), labels, range(200))
        >>> problem.rare("shoe", 5).class_sizes
        {'hat': 100, 'shoe': 5}
        """
        names = [str(name) for name in self.class_sizes]
        if str(label) not in names:
            raise UnknownNameError("class", str(label), names)
        codes = self.oracle.codes[self.candidates]  # (m,)
        sizes = np.bincount(codes, minlength=self.oracle.classes.size)  # (C,)
        code = [str(name) for name in self.oracle.classes.tolist()].index(str(label))
        if not 1 <= n <= sizes[code]:
            raise RunError(
                f"n is {n}, but class {str(label)!r} has {sizes[code]} candidates: give a number "
                f"from 1 to {sizes[code]}."
            )
        sizes[code] = n
        rng = np.random.default_rng([seed, 0x4A4E])
        return self._with_candidates(_drawn(self.candidates, codes, sizes, rng), f"rare{n}")

    def with_target(self, target: Target | Embeddings | ArrayLike | str) -> Problem:
        """Return the problem whose picks represent unlabelled items of a target.

        The digest contains the target. Candidates, labels and test rows do not change.

        Parameters
        ----------
        target
            Embeddings of another dataset, (t, d) vectors, or the name of a split of the dataset.
            If its items are test rows, the accuracy is transductive: it is measured on the items
            that the picks represent. Their labels are used only for the measures.

        Examples
        --------
        >>> problem = Problem.from_arrays(np.eye(3, dtype=np.float32), ["a", "b", "c"], range(3))
        >>> aimed = problem.with_target([[1, 1, 0]])
        >>> len(aimed.target), aimed.digest == problem.digest
        (1, False)
        """
        found = Target.of(target, self.matrix if self.embeddings is None else self.embeddings)
        digest = hashlib.sha256(bytes.fromhex(self.digest) + bytes.fromhex(found.digest))
        return replace(self, digest=digest.hexdigest(), target=found)

    def with_texts(
        self, texts: Sequence[str], workspace: str | Path | Workspace | None = None
    ) -> Problem:
        """Return the problem with the vectors of texts for strategies that search by words.

        Without a dataset there are no new vectors. The digest does not change.
        """
        new = [text for text in texts if text not in self.texts]
        if self.embeddings is None or not new:
            return self
        found = text_vectors(self.embeddings, new, workspace=workspace)
        return replace(self, texts={**self.texts, **found})

    @property
    def test_items_in_target(self) -> int:
        """The number of images of the target that are test images; 0 without a dataset."""
        if self.target is None or self.embeddings is None:
            return 0
        return self.target.count_of(self.embeddings.content_ids[row] for row in self.test_rows)

    @property
    def identity(self) -> ProblemIdentity:
        """The identity of the problem in run ids."""
        return ProblemIdentity(self.name, self.digest, self.spec_id, self.index.kind)

    @cached_property
    def test_set(self) -> str | None:
        """Digest of the test items in their order, and of their labels; None without test rows.

        Problems with equal digests have the same test items, also if their candidates differ.
        """
        if not self.test_rows.size:
            return None
        digest = hashlib.sha256(repr(self.test_labels.tolist()).encode())
        if self.ids is None:
            digest.update(np.ascontiguousarray(self.matrix[self.test_rows]).data.cast("B"))
        else:
            digest.update(repr([self.ids[row] for row in self.test_rows.tolist()]).encode())
        return digest.hexdigest()[:16]

    @property
    def class_sizes(self) -> dict[Any, int]:
        """The number of candidates of each class, for reports and checks."""
        counts = np.bincount(self.oracle.codes[self.candidates], minlength=self.oracle.classes.size)
        pairs = zip(self.oracle.classes.tolist(), counts.tolist(), strict=True)
        return {label: count for label, count in pairs if count}

    def save(self, folder: Path) -> None:
        """Write the problem to a folder, for `load` in other processes.

        Only the path of a memory-mapped matrix is written; any other matrix is copied. If the
        folder contains an equal problem, nothing is written. If it contains a different problem, an
        error is raised.
        """
        folder, index = Path(folder), self.index
        if (folder / META).exists():
            stored = read_meta(folder)
            identity = self.digest, self.name, self.spec_id
            if (stored["digest"], stored["name"], stored["spec_id"]) != identity:
                raise RunError(f"{folder} holds another problem: choose another folder.")
            return
        # An index without a folder or digest is stored in the folder of the problem.
        own = index.folder is None or index.digest is None
        index_folder = folder / "index" if index.folder is None or own else index.folder
        meta = {
            "digest": self.digest,
            "name": self.name,
            "spec_id": self.spec_id,
            "index": {
                "kind": index.kind,
                "folder": str(index_folder.resolve()),
                "digest": self.digest if own else index.digest,
                "exact_up_to": index.exact_up_to,
            },
            "ids": None if self.ids is None else list(self.ids),
            "copies_left_out": self.copies_left_out,
            "target": None if self.target is None else [self.target.name, self.target.digest],
        }
        arrays = {
            "candidates": self.candidates,
            "classes": self.oracle.classes,
            "codes": self.oracle.codes,
            "test_rows": self.test_rows,
            "test_labels": self.test_labels,
        }
        if self.target is not None:
            arrays["target"] = self.target.vectors
        write_problem(folder, meta, arrays, self.matrix)

    @classmethod
    def load(cls, folder: Path) -> Problem:
        """Return a saved problem with a memory-mapped matrix and a stored index."""
        folder = Path(folder)
        meta = read_meta(folder)
        candidates, classes, codes, test_rows, test_labels = (
            np.load(folder / f"{name}.npy", allow_pickle=False)
            for name in ("candidates", "classes", "codes", "test_rows", "test_labels")
        )
        matrix = read_matrix(folder, meta)
        index = meta["index"]
        target = None
        if meta.get("target") is not None:
            vectors = np.load(folder / "target.npy", mmap_mode="r", allow_pickle=False)
            target = Target(vectors, *meta["target"])
        return cls(
            matrix=matrix,
            candidates=candidates,
            oracle=SimulatedOracle.of_codes(classes, codes),
            test_rows=test_rows,
            test_labels=test_labels,
            digest=meta["digest"],
            index=Index(
                matrix,
                candidates,
                kind=index["kind"],
                folder=Path(index["folder"]),
                digest=index["digest"],
                exact_up_to=index["exact_up_to"],
            ),
            name=meta["name"],
            spec_id=meta["spec_id"],
            ids=meta["ids"],
            copies_left_out=meta.get("copies_left_out", 0),
            target=target,
        )

    def _with_candidates(self, rows: NDArray[np.int64], suffix: str) -> Problem:
        """Return the problem with only the candidates `rows`, which ascend."""
        digest = hashlib.sha256(bytes.fromhex(self.digest))
        digest.update(rows.tobytes())
        index = Index(
            self.matrix,
            rows,
            kind=self.index.kind,
            folder=self.index.folder,
            digest=self.index.digest,
            exact_up_to=self.index.exact_up_to,
        )
        return replace(
            self,
            candidates=rows,
            oracle=self.oracle.restricted(rows),
            digest=digest.hexdigest(),
            index=index,
            name=f"{self.name}-{suffix}",
        )


def _unused_folders(embeddings: Embeddings) -> str:
    """Return a sentence about folder names that are not read as classes; blank without them."""
    found = embeddings.dataset.folder_labels
    if found is None or found.used or found.doubt is None:
        return ""
    return f" Its folder names are not read as classes: {found.doubt}."


def _drawn(
    rows: NDArray[np.int64],
    codes: NDArray[np.int32],
    sizes: NDArray[np.int64],
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return random rows, ascending; `sizes[c]` is the number of rows of class c."""
    shuffled = rng.permutation(rows.size)
    kept = [shuffled[codes[shuffled] == code][:size] for code, size in enumerate(sizes)]
    return np.asarray(rows[np.sort(np.concatenate(kept))])


def _held_out(
    labels: Sequence[str | None],
    pool: NDArray[np.bool_],
    content_ids: Sequence[bytes],
    seed: int,
) -> NDArray[Any]:
    """Return a mask of a random fifth of the images of each class, with all copies of them."""
    rng = np.random.default_rng([seed, 0x7E57])
    mask = np.zeros(len(labels), bool)
    rows_of_class: dict[str, list[int]] = {}
    for row in np.flatnonzero(pool).tolist():
        rows_of_class.setdefault(str(labels[row]), []).append(row)
    for _, rows in sorted(rows_of_class.items()):
        images = sorted({content_ids[row] for row in rows})
        count = max(0, min(len(images) - 1, round(HELD_OUT * len(images))))
        drawn = {images[number] for number in rng.permutation(len(images))[:count]}
        mask[[row for row in rows if content_ids[row] in drawn]] = True
    return mask


def _vectors(given: ArrayLike) -> NDArray[np.float32]:
    """Return an (n, d) matrix as float32, without a copy if possible."""
    matrix = np.asanyarray(given)
    if matrix.ndim != 2:
        raise UsageError(f"`matrix` must have the shape (n, d); got {matrix.shape}.")
    if matrix.dtype.kind not in "biuf":
        raise UsageError(f"`matrix` must contain real numbers; its dtype is {matrix.dtype}.")
    return matrix.astype(np.float32, copy=False)


def _features(given: ArrayLike, name: str) -> NDArray[Any]:
    rows = np.asarray(given)
    if rows.dtype.kind not in "biuf":
        raise UsageError(f"{name} has dtype {rows.dtype}: give a matrix of real numbers.")
    if rows.ndim != 2:
        hint = f", such as {name}.reshape(len({name}), -1)" if rows.ndim > 2 else ""
        raise UsageError(f"{name} has shape {rows.shape}: give one vector for each row{hint}.")
    if not rows.shape[1]:
        raise UsageError(f"{name} has shape {rows.shape}: its vectors are empty.")
    return rows


def _labels_of(given: ArrayLike, n: int, part: str) -> NDArray[Any]:
    labels = plain_labels(given, f"y_{part}")
    if len(labels) != n:
        raise LabelError(
            f"X_{part} has {n} rows, but y_{part} has {len(labels)} labels: give one for each row."
        )
    return labels


def _joined(train: NDArray[Any], test: NDArray[Any]) -> NDArray[Any]:
    if (train.dtype.kind == "U") != (test.dtype.kind == "U") and len(test):
        kinds = ["texts" if labels.dtype.kind == "U" else "numbers" for labels in (train, test)]
        raise LabelError(f"y_train has {kinds[0]}, y_test has {kinds[1]}: give the same kind.")
    return np.concatenate([train, test])
