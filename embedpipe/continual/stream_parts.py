"""The division of a dataset into the parts of a stream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import known_labels, uniform_of_rows
from ..datasets.dataset import canonical_split, split_of
from ..embedding import Embeddings
from ..errors import LabelError, UnknownNameError, UsageError
from ..tables import column_of

__all__ = ["KINDS", "Part", "natural_key", "parts_of", "parts_of_arrays"]

KINDS = ("buckets", "classes", "order", "folders", "random", "skewed")
"""Kinds of stream; see `Stream.of`."""

NAMED = ("buckets", "folders")
"""Kinds of stream whose experiences have names in the dataset."""

HELD_OUT = 0.3
"""Share of the rows of each class that are test rows, in an experience without a test split."""

EXPERIENCES = 10
"""Default number of experiences of a stream, except for a stream of classes."""

SKEW = 0.5
"""Concentration of the Dirichlet distribution of a class over the experiences."""

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Part:
    """The labelled rows of an experience, in order."""

    name: str
    rows: Rows
    """(m,)."""
    labels: NDArray[Any]
    """(m,)."""
    tested: NDArray[np.bool_]
    """(m,) mask of the test split; all False without a test split."""

    def experience(self, codes: Rows, protocol: str, seed: int) -> tuple[str, Rows, Rows]:
        """Return the name, the training rows and the test rows."""
        if protocol == "streaming":
            return self.name, self.rows, self.rows
        tested = self.tested if self.tested.any() else self._held_out(codes[self.rows], seed)
        return self.name, self.rows[~tested], self.rows[tested]

    def _held_out(self, codes: Rows, seed: int) -> NDArray[np.bool_]:
        """Return a mask of 30 % of each class, drawn with `seed`; never of a whole class."""
        keys = uniform_of_rows(self.rows, seed, "held out")
        order = np.lexsort((keys, codes))
        sizes = np.bincount(codes)
        starts = np.cumsum(sizes) - sizes
        rank = np.arange(codes.size) - starts[codes[order]]  # position within the class
        wanted = np.minimum(np.floor(HELD_OUT * sizes + 0.5), sizes - 1)
        tested = np.zeros(codes.size, dtype=np.bool_)
        tested[order] = rank < wanted[codes[order]]
        return tested


def natural_key(text: str) -> list[tuple[int, Decimal, str]]:
    """Return a sort key that orders the numbers inside strings by value."""
    # Only a number at the start can have a sign: the ``-`` in ``2014-05`` is not a sign.
    if _NUMBER.fullmatch(text):
        return [(0, Decimal(text), text)]
    first = re.match(r"[+-]?\d+", text)
    start = first[0] if first else ""
    parts = [start, *re.split(r"(\d+)", text[len(start) :])]
    return [
        (0, Decimal(part), part) if part == start or part.isdecimal() else (1, Decimal(0), part)
        for part in parts
        if part
    ]


def parts_of(
    embeddings: Embeddings,
    kind: str,
    *,
    n: int | None,
    classes: Sequence[Sequence[str]] | None,
    leave_out: Sequence[str],
    seed: int,
) -> list[Part]:
    """Return the parts of a labelled dataset; see `Stream.of`."""
    if leave_out and kind not in NAMED:
        raise UsageError(
            f"leave_out is for buckets and folders, and a stream of {kind} has none: omit "
            "leave_out."
        )
    items = embeddings.items
    labels: list[Any] = [item.label for item in items]
    splits = [item.split for item in items]
    if kind == "folders":
        buckets, labels = _folders([item.id for item in items])
    elif kind == "buckets":
        buckets = [item.bucket for item in items]
        if not any(buckets):
            raise UsageError(
                f"dataset {embeddings.dataset.name!r} has no buckets: give a manifest with a "
                "bucket column, or use another kind of stream (classes, order, folders, random, "
                "skewed)."
            )
    else:
        if not any(label is not None for label in labels):
            raise LabelError(f"dataset {embeddings.dataset.name!r} has no labels: label it first.")
        return _cut(embeddings, kind, n, classes, seed)
    if n is not None:
        raise UsageError(
            f"a stream of {kind} has one experience for each {kind.rstrip('s')}: omit n."
        )
    omitted = set(map(str, leave_out))
    unknown = sorted(omitted - {str(bucket) for bucket in buckets if bucket is not None})
    if unknown:
        raise UnknownNameError(kind.rstrip("s"), unknown[0], sorted({str(b) for b in buckets if b}))
    kept = [None if bucket is None or bucket in omitted else bucket for bucket in buckets]
    return parts_of_arrays(len(items), labels, kept, splits)


def parts_of_arrays(
    n: int,
    labels: Sequence[Any] | NDArray[Any],
    buckets: Sequence[Any] | NDArray[Any],
    splits: Sequence[Any] | NDArray[Any] | None,
) -> list[Part]:
    """Return the rows of each bucket in natural order; None, NaN, NA and blanks are missing."""
    columns = {"labels": labels, "buckets": buckets, "splits": [None] * n}
    if splits is not None:
        columns["splits"] = splits
    for name, column in columns.items():
        if len(column) != n:
            raise LabelError(f"{n} rows but {len(column)} {name}: give one for each row.")
    rows_of: dict[str, list[int]] = {}
    for row, bucket in enumerate(_texts(buckets, "buckets")):
        if bucket:
            rows_of.setdefault(bucket, []).append(row)
    known, plain = known_labels(labels, "labels")
    label_of: list[Any] = [None] * n
    for row, label in zip(np.flatnonzero(known).tolist(), plain.tolist(), strict=True):
        label_of[row] = label
    split_of_row = _splits(columns["splits"])
    parts = []
    for name in sorted(rows_of, key=natural_key):
        rows = [row for row in rows_of[name] if label_of[row] is not None]
        if not rows:
            raise LabelError(
                f"bucket {name!r} has {len(rows_of[name])} rows and no label: label some of its "
                "rows, or leave the bucket out."
            )
        parts.append(_part(name, rows, label_of, split_of_row))
    return parts


def _part(name: str, rows: Sequence[int], labels: Sequence[Any], splits: Sequence[Any]) -> Part:
    used = [row for row in rows if splits[row] != "validation"]
    return Part(
        name,
        np.array(used, dtype=np.int64),
        np.array([labels[row] for row in used], dtype=object),
        np.array([splits[row] == "test" for row in used], dtype=np.bool_),
    )


def _texts(column: Sequence[Any] | NDArray[Any], name: str) -> list[str]:
    """Return the values of a column as text; missing values are empty."""
    try:
        return column_of(column)
    except TypeError as error:
        raise LabelError(f"{name} must be strings or numbers: {error}.") from None


def _splits(column: Sequence[Any] | NDArray[Any]) -> list[str | None]:
    splits = []
    for row, text in enumerate(_texts(column, "splits")):
        try:
            splits.append(split_of(text))
        except ValueError as error:
            raise LabelError(f"row {row} of splits: {error}.") from None
    return splits


def _folders(ids: Sequence[str]) -> tuple[list[str | None], list[str | None]]:
    """Return the domains and classes in ids such as ``[split/]domain/[split/]class/…/file``."""
    buckets: list[str | None] = []
    labels: list[str | None] = []
    for item_id in ids:
        folders = item_id.split("/")[:-1]
        if folders and canonical_split(folders[0]) is not None:
            folders = folders[1:]
        if len(folders) > 2 and canonical_split(folders[1]) is not None:
            folders = [folders[0], *folders[2:]]
        buckets.append(folders[0] if len(folders) >= 2 else None)
        labels.append(folders[1] if len(folders) >= 2 else None)
    if not any(buckets):
        raise UsageError(
            "no item is in nested folders: a stream of folders needs paths such as "
            "domain/class/image."
        )
    return buckets, labels


def _cut(
    embeddings: Embeddings,
    kind: str,
    n: int | None,
    classes: Sequence[Sequence[str]] | None,
    seed: int,
) -> list[Part]:
    """Return the parts of a stream of classes, order, random or skewed."""
    items = embeddings.items
    labels = [item.label for item in items]
    splits = [item.split for item in items]
    known = [row for row, label in enumerate(labels) if label is not None]
    if kind == "classes":
        groups = classes or _drawn_classes([str(labels[row]) for row in known], n, seed)
        place = _place_of_classes(groups, [str(labels[row]) for row in known])
        names = [", ".join(group) for group in groups]
        lists: list[list[int]] = [[] for _ in groups]
        for row in known:
            if (at := place.get(str(labels[row]))) is not None:
                lists[at].append(row)
        return [_part(name, rows, labels, splits) for name, rows in zip(names, lists, strict=True)]
    if classes is not None:
        raise UsageError(
            f"`classes` is for a stream of classes, not of kind {kind!r}: omit `classes`."
        )
    count = EXPERIENCES if n is None else n
    if not 2 <= count <= len(known):
        raise UsageError(
            f"the number of experiences is {count}: give 2 to {len(known)} (the labelled items)."
        )
    if kind == "order":
        names = [items[row].id for row in known]
        known = [known[at] for at in sorted(range(len(known)), key=lambda at: _place(names[at]))]
        splits = [None] * len(splits)  # test images are part of the sequence
    else:
        keys = uniform_of_rows(known, seed, "random stream")
        known = [known[at] for at in np.argsort(keys, kind="stable")]
    if kind == "skewed":
        chunks = _skewed(known, labels, splits, count, seed)
    else:
        chunks = [chunk.tolist() for chunk in np.array_split(np.array(known), count)]
    width = len(str(count - 1))
    parts = [_part(f"{at:0{width}d}", chunk, labels, splits) for at, chunk in enumerate(chunks)]
    for part in parts:
        if not part.rows.size:
            raise UsageError(
                f"experience {part.name!r} of {count} would be empty: give fewer experiences, or "
                "another seed."
            )
    return parts


def _skewed(
    rows: Sequence[int], labels: Sequence[Any], splits: Sequence[Any], count: int, seed: int
) -> list[list[int]]:
    """Divide each class over the experiences in random shares, the same for all splits."""
    rng = np.random.default_rng([seed, 0x5C3D])
    shares = {
        label: rng.dirichlet(np.full(count, SKEW))
        for label in sorted({labels[row] for row in rows})
    }
    groups: dict[tuple[Any, bool], list[int]] = {}
    for row in rows:
        groups.setdefault((labels[row], splits[row] == "test"), []).append(row)
    place: dict[int, int] = {}
    for (label, _), group in groups.items():
        ends = np.floor(shares[label].cumsum() * len(group) + 0.5)  # (T,)
        place |= zip(group, np.searchsorted(ends, np.arange(len(group)), side="right"), strict=True)
    chunks: list[list[int]] = [[] for _ in range(count)]
    for row in rows:
        chunks[min(int(place[row]), count - 1)].append(row)
    return chunks


def _place(item_id: str) -> tuple[Any, Any]:
    return natural_key(item_id.rpartition("/")[2]), natural_key(item_id)


def _drawn_classes(labels: Sequence[str], n: int | None, seed: int) -> list[list[str]]:
    names = sorted(set(labels), key=natural_key)
    count = max(2, len(names) // 2) if n is None else n
    if not 2 <= count <= len(names):
        raise UsageError(
            f"the number of experiences is {count}: give 2 to {len(names)} (the classes)."
        )
    order = np.random.default_rng([seed, 0xC1A55]).permutation(len(names))
    groups = np.array_split(order, count)
    return [sorted((names[at] for at in group), key=natural_key) for group in groups]


def _place_of_classes(groups: Sequence[Sequence[str]], labels: Sequence[str]) -> dict[str, int]:
    known = set(labels)
    place: dict[str, int] = {}
    for at, group in enumerate(groups):
        for name in group:
            if name not in known:
                raise UnknownNameError("class", name, sorted(known))
            if name in place:
                raise UsageError(f"class {name!r} is in two experiences: give it once.")
            place[name] = at
    if not groups or any(not group for group in groups):
        raise UsageError("an experience has no class: give at least one class for each experience.")
    return place
