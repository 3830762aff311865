"""The registry of named datasets."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from .._registry import Registry
from ..errors import DatasetError
from .cards import UNSPLIT, CardLike, DatasetCard, read_card
from .dataset import Dataset, Item, sorted_class_names
from .download import Progress
from .identifiers import encode_id
from .source import FolderSource, Source, Stamp

__all__ = ["Content", "DatasetRegistry", "NamedDataset", "Request", "datasets"]

DOWNLOADS = Path(".embedpipe") / "downloads"
"""Default folder for downloads, relative to the working directory."""

Content = bytes | str | os.PathLike[str]
"""The bytes of an item, or the path of its file."""


@dataclass(frozen=True)
class Request:
    """Arguments of `load_dataset` for a named dataset.

    Parameters
    ----------
    source
        Folder, archive or URL; None for a dataset from a library or the folder for downloads.
    download
        Whether to download the dataset if it is missing.
    directory
        Folder for downloads.
    progress
        Function that takes the number of downloaded bytes, and the total number or None.
    within
        Folder that must contain every path of a manifest; None for no limit.
    folder_labels
        Whether the folder names of a folder or an archive are labels; None to decide by layout.
    every
        Seconds between two frames of a video; None to leave videos out.
    card
        The registered card.
    """

    source: str | None = None
    download: bool = False
    directory: Path = DOWNLOADS
    progress: Progress | None = None
    within: str | None = None
    folder_labels: bool | None = None
    every: Fraction | None = None
    card: DatasetCard = field(default_factory=lambda: DatasetCard(""))


Loader = Callable[[Request], Dataset | Iterable[tuple[Item, Content]]]
"""Function or class that takes a `Request`."""


class NamedDataset:
    """A registered dataset; a call with a `Request` loads it."""

    def __init__(self, name: str, load: Loader, card: CardLike = None) -> None:
        self.name, self._load, self._card = name, load, card
        self.__doc__ = load.__doc__

    @cached_property
    def card(self) -> DatasetCard:
        """The card of the dataset."""
        return read_card(self.name, self._card)

    def __call__(self, request: Request) -> Dataset:
        """Return the dataset, checked against its card."""
        request = replace(request, card=self.card)
        loaded = self._load(request)
        if not isinstance(loaded, Dataset):
            source = YieldedSource(self._load, request)
            items = source.collect(loaded)
            loaded = Dataset(self.name, items, source, sorted_class_names(items))
        return checked(loaded, self.card)


class DatasetRegistry(Registry[NamedDataset]):
    """Every named dataset, in order of registration."""

    def register(  # type: ignore[override]  # `card` is an additional parameter
        self, name: str, card: CardLike = None
    ) -> Callable[[Loader], Loader]:
        """Return a decorator that registers a function or class as the dataset `name`.

        The counts and classes of the card are checked at every load.
        """

        def add(load: Loader) -> Loader:
            super(DatasetRegistry, self).register(name)(NamedDataset(name, load, card))
            return load

        return add

    def _load(self, name: str) -> NamedDataset:
        """Load an entry point: a registered dataset, or a function or class."""
        entry: Any = super()._load(name)
        if not isinstance(entry, NamedDataset):
            entry = NamedDataset(name, entry, getattr(entry, "card", None))
        self._entries[name] = entry
        return self._entries[name]


datasets = DatasetRegistry("dataset", "embedpipe.datasets")
"""Every named dataset.

Examples
--------
>>> from embedpipe.datasets import datasets
>>> "digits" in datasets, datasets["digits"].card.total
(True, 1797)
"""


class YieldedSource(Source):
    """The items of a registered function, each with its bytes or the path of its file.

    It pickles as the function and the request; another process calls the function again.
    """

    def __init__(self, load: Loader, request: Request) -> None:
        self._load, self._request = load, replace(request, progress=None, download=False)
        self._lock = threading.Lock()
        self._cached: dict[str, Content] | None = None
        self._files = FolderSource(os.sep)  # every path is absolute

    def __reduce__(self) -> tuple[type[YieldedSource], tuple[Loader, Request]]:
        return type(self), (self._load, self._request)

    def collect(self, pairs: object) -> tuple[Item, ...]:
        """Store the yielded pairs and return their items, sorted by id."""
        name = self.location
        if not isinstance(pairs, Iterable):
            raise DatasetError(_wrong_pair(name, pairs))
        contents: dict[str, Content] = {}
        items = []
        for pair in pairs:
            if not _is_pair(pair):
                raise DatasetError(_wrong_pair(name, pair))
            item, content = pair
            if not isinstance(content, bytes):
                content = encode_id(os.path.abspath(os.path.expanduser(os.fspath(content))))
            contents[item.id] = content
            items.append(item)
        if not items:
            raise DatasetError(f"dataset {name!r} has no items: its loader yields no pairs.")
        self._cached = contents
        return tuple(sorted(items, key=lambda item: item.id))

    @property
    def location(self) -> str:
        """The name of the dataset."""
        return self._request.card.name

    def path(self, id: str) -> str:
        """Return the path of the file of item `id` if it has one."""
        content = self._contents().get(id)
        return self._files.path(content) if isinstance(content, str) else super().path(id)

    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of the file of item `id`, None for bytes."""
        content = self._contents().get(id)
        return self._files.stamp(content) if isinstance(content, str) else None

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the bytes of each item."""
        contents = self._contents()
        for id in ids:
            content = contents.get(id)
            if isinstance(content, str):
                yield id, self._files.content(content)
            elif isinstance(content, bytes):
                yield id, content
            else:
                yield id, FileNotFoundError(f"it is not in {self.location}")

    def _contents(self) -> dict[str, Content]:
        with self._lock:
            if self._cached is None:
                self.collect(self._load(self._request))
            assert self._cached is not None
            return self._cached


def _is_pair(pair: object) -> bool:
    return (
        isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], Item)
        and isinstance(pair[1], bytes | str | os.PathLike)
    )


def _wrong_pair(name: str, found: object) -> str:
    return (
        f"the loader of dataset {name!r} returns {found!r:.80}: return a Dataset, or yield pairs "
        "of an Item and its bytes or the path of its file."
    )


def checked(dataset: Dataset, card: DatasetCard) -> Dataset:
    """Return `dataset` with the name and classes of `card`; refuse one that differs from it."""
    found = {split or UNSPLIT: count for split, count in dataset.counts().items()}
    if card.counts and found != dict(card.counts):
        raise DatasetError(
            f"{card.name} has {_format_counts(card.counts)} in its card, "
            f"the source {dataset.source.location!r} has {_format_counts(found)}."
        )
    different = set(dataset.class_names) ^ set(card.classes)
    if card.classes and different:
        raise DatasetError(
            f"the classes of {card.name} in the source {dataset.source.location!r} differ from the "
            f"classes in the card: {', '.join(map(repr, sorted(different)))}."
        )
    names = card.classes or dataset.class_names
    return replace(dataset, name=card.name, class_names=names, card=card)


def _format_counts(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"{sum(counts.values())} images ({parts})"
