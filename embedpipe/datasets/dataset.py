"""Items and datasets; a dataset has ordered items and the source of their bytes."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from .._html import result_html
from .._text import sentence_about
from .._urls import public_url
from ..errors import DatasetError, UsageError
from .cards import DatasetCard
from .source import Source, read_failure

if TYPE_CHECKING:
    from PIL import Image

__all__ = [
    "SPLITS",
    "SPLIT_NAMES",
    "Dataset",
    "FolderLabels",
    "Item",
    "address_name",
    "canonical_split",
    "former_path_name",
    "path_name",
    "sorted_class_names",
    "split_of",
]


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset.

    Parameters
    ----------
    id
        Relative POSIX path inside the dataset; label files and exports identify the image by it.
    label
        Name of its class, or None if unlabelled.
    split
        ``"train"``, ``"validation"``, ``"test"``, or None.
    bucket
        Part of a stream that the image belongs to, or None.

    Examples
    --------
    >>> Item("train/hat/0a1b.jpg", label="hat", split="train")
    Item(id='train/hat/0a1b.jpg', label='hat', split='train', bucket=None)
    """

    id: str
    label: str | None = None
    split: str | None = None
    bucket: str | None = None


@dataclass(frozen=True, slots=True)
class FolderLabels:
    """The folder names of a dataset that may be its classes.

    Parameters
    ----------
    names
        The folder names, sorted.
    used
        Whether the items have them as labels.
    doubt
        The reason why they may be no classes, as a clause; None without doubt.
    mixed
        Whether there are images beside the folders, or folders of predicted classes.
    """

    names: tuple[str, ...]
    used: bool
    doubt: str | None = None
    mixed: bool = False


SPLITS = ("train", "validation", "test")
"""Canonical names of splits, in their usual order."""

SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    # "eval" is the set for choosing a model if there is also a "test".
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing", "tst"),
}
"""Accepted names of each split, in lower case."""

_CANONICAL = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def canonical_split(name: str) -> str | None:
    """Return the canonical name of a split, ignoring upper and lower case; None if unknown."""
    return _CANONICAL.get(name.lower())


def split_of(text: str) -> str | None:
    """Return the split in a table's cell, None if blank; raise ValueError if it is unknown."""
    name = text.strip()
    if not name:
        return None
    split = canonical_split(name)
    if split is None:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise ValueError(f"the split is {name!r}; known splits: {known}")
    return split


@dataclass(frozen=True, repr=False)
class Dataset:
    r"""Items in a fixed order, with the source of their bytes.

    Parameters
    ----------
    name
        The registered name; for a path, its stem and eight hexadecimal digits of the SHA-256 of
        the absolute path, with symbolic links resolved.
    items
        Sorted by id in code-point order; ids are unique.
    source
        Reads the bytes of each item.
    class_names
        The names of the classes in order; empty if all items are unlabelled.
    card
        The card of a named dataset.
    skipped
        Number of image files in unsupported formats, by suffix: ``{".heic": 3}``.
    folder_labels
        The folder names that may be classes; None for other kinds of datasets.
    listed
        Whether the user listed the items one by one.
    remote
        Whether the list of items and the images are at addresses, equal for all machines.
    division
        Function from a seed to the split of each item by id, for a dataset with several divisions
        into training and test items. It is None for other datasets, and after `for_seed` has
        selected a division.

    Raises
    ------
    DatasetError
        If ids are not unique or not sorted, or a split is not ``"train"``, ``"validation"``,
        ``"test"`` or None.

    Examples
    --------
    >>> from embedpipe.datasets import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits
    Dataset('digits': 1797 items, 10 classes, 1400 train, 397 test, from scikit-learn's digits)
    >>> digits.items[0]
    Item(id='test/1400.pgm', label='2', split='test', bucket=None)
    >>> digits.source.read_one("train/0000.pgm")[:11]
    b'P5\n8 8\n255\n'
    >>> digits.subset("test")
    Dataset('digits-test': 397 items, 10 classes, 397 test, from scikit-learn's digits)
    """

    name: str
    items: tuple[Item, ...]
    source: Source
    class_names: tuple[str, ...] = ()
    card: DatasetCard | None = field(default=None, compare=False)
    skipped: Mapping[str, int] = field(default_factory=dict, compare=False)
    folder_labels: FolderLabels | None = field(default=None, compare=False)
    listed: bool = field(default=False, compare=False)
    remote: bool = field(default=False, compare=False)
    division: Callable[[int], Mapping[str, str]] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        for before, after in pairwise(self.items):
            if before.id >= after.id:
                fault = "twice" if before.id == after.id else f"before {after.id!r}"
                raise DatasetError(
                    f"dataset {self.name!r} has {before.id!r} {fault}; "
                    "items must be sorted by id, and each id unique."
                )
        for item in self.items:
            if item.split is not None and item.split not in SPLITS:
                raise DatasetError(
                    f"dataset {self.name!r}: the split of {item.id!r} is {item.split!r}; it must "
                    f"be {', '.join(SPLITS)} or None."
                )

    def __len__(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        parts = [f"{len(self)} items"]
        parts += [f"{len(self.class_names)} classes" if self.class_names else "unlabelled"]
        parts += [f"{count} {split}" for split, count in self.counts().items() if split]
        return f"Dataset({self.name!r}: {', '.join(parts)}, from {self.source.location})"

    def _repr_html_(self) -> str:
        splits = self.counts()
        facts = [
            ("images", len(self)),
            ("classes", len(self.class_names) or "none"),
            *((f"{split} images", count) for split, count in splits.items() if split),
            ("source", str(self.source.location)),
            ("files left out", sum(self.skipped.values()) or None),
        ]
        counts = Counter((item.label, item.split) for item in self.items)
        labels = [*self.class_names, *([None] if any(i.label is None for i in self.items) else [])]
        several = [split for split in splits if split] if len(splits) > 1 else []
        rows = [
            (
                "no label" if label is None else label,
                sum(counts[label, split] for split in splits),
                *(counts[label, split] for split in several),
            )
            for label in labels
        ]
        headings = ["class", "images", *several] if self.class_names else ()
        return result_html(f"Dataset {self.name}", facts, headings, rows, n_rows=len(rows))

    def labels(self) -> list[str | None]:
        """Return the label of each item, in order."""
        return [item.label for item in self.items]

    def splits(self) -> list[str | None]:
        """Return the split of each item, in order."""
        return [item.split for item in self.items]

    def counts(self) -> dict[str | None, int]:
        """Return the number of items of each split: train, validation, test, then None."""
        counts = Counter(item.split for item in self.items)
        return {split: counts[split] for split in (*SPLITS, None) if counts[split]}

    def images(self) -> Iterator[tuple[Item, Image.Image]]:
        """Yield each item with its image, RGB and upright, in the fastest order for the storage.

        Raises
        ------
        DatasetError
            If an image cannot be read or decoded.
        """
        from .._pixels import DecodeError, decoded

        items = {item.id: item for item in self.items}
        for item_id, content in self.source.read(list(items)):
            if isinstance(content, OSError):
                raise DatasetError(sentence_about(item_id, read_failure(content))) from content
            try:
                # The image of `picture` is closed when `decoded` returns.
                yield items[item_id], decoded(content, lambda picture: picture.rgb.copy())
            except DecodeError as error:
                raise DatasetError(sentence_about(item_id, str(error))) from error

    def with_labels(self, labels: Mapping[str, str]) -> Dataset:
        """Return the dataset with these labels by item id; other items have no label."""
        items = tuple(replace(item, label=labels.get(item.id)) for item in self.items)
        return replace(self, items=items, class_names=sorted_class_names(items))

    def for_seed(self, seed: int) -> Dataset:
        """Return the dataset with the splits for the seed of a run.

        A dataset with one division is returned unchanged. The 2021 layout of CLEAR has five
        divisions: seed k selects division k modulo 5.
        """
        if self.division is None:
            return self
        splits = self.division(seed)
        items = tuple(
            replace(item, split=splits[item.id]) if item.id in splits else item
            for item in self.items
        )
        return replace(self, items=items, division=None)

    def subset(self, split: str | None) -> Dataset:
        """Return the dataset of the items of one split; raise UsageError if no item is in it."""
        items = tuple(item for item in self.items if item.split == split)
        if not items:
            known = ", ".join(str(name) for name in self.counts())
            raise UsageError(f"dataset {self.name!r} has no split {split!r}; it has: {known}.")
        return replace(self, name=f"{self.name}-{split or 'unsplit'}", items=items, division=None)


def sorted_class_names(items: Iterable[Item]) -> tuple[str, ...]:
    """Return the labels that occur among `items`, sorted."""
    return tuple(sorted({item.label for item in items if item.label is not None}))


_SUFFIX = re.compile(
    r"\.(zip|tar|tgz|tbz2|txz|(tar\.)?(gz|bz2|xz)|csv|jsonl|parquet)$", re.IGNORECASE
)


def path_name(path: str, identity: str | None = None) -> str:
    """Return a name for the dataset at `path`: readable, unique, and valid for a folder."""
    # `identity`, the text that is hashed, distinguishes datasets with the same path.
    return _name(os.path.realpath(path), identity)


def address_name(url: str) -> str:
    """Return a name for the dataset at an address, as `path_name`; signatures do not change it."""
    return _name(public_url(url).partition("?")[0], public_url(url))


def former_path_name(path: str) -> str:
    """Return the name that earlier versions gave, in which symbolic links are not resolved."""
    return _name(os.path.abspath(path), None)


def _name(absolute: str, identity: str | None) -> str:
    stem = _SUFFIX.sub("", os.path.basename(absolute))
    slug = re.sub(r"[^\w.]+", "-", stem.encode("utf-8", "replace").decode()).strip("-.")
    digest = hashlib.sha256(os.fsencode(identity or absolute)).hexdigest()
    return f"{slug[:64] or 'dataset'}-{digest[:8]}"
