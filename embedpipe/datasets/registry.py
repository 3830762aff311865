"""Named datasets: registering one, and loading it by its name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from .._registry import Registry
from ..errors import DatasetError
from .cards import UNSPLIT, CardLike, DatasetCard, read_card
from .dataset import Dataset, sorted_class_names
from .download import Progress
from .folder import FolderSource
from .identifiers import encode_id
from .item import Item
from .source import Source, Stamp

__all__ = ["Content", "DatasetRegistry", "NamedDataset", "Request", "datasets"]

DOWNLOADS = Path(".embedpipe") / "downloads"
"""Folder for downloads unless another is given, relative to the working directory."""

Content = bytes | str | os.PathLike[str]
"""The bytes of an item, or the path of its file."""


@dataclass(frozen=True)
class Request:
    """What a caller of `load_dataset` wants from a named dataset.

    Parameters
    ----------
    source
        A folder, an archive or a URL; None for a dataset that comes with a library or has been
        downloaded.
    download
        Whether it may be fetched from its home.
    directory
        Folder for downloads.
    progress
        Called with the bytes downloaded so far, and their total or None.
    within
        Folder that every path of a manifest must lie in; None for no limit.
    card
        The card that the dataset was registered with.
    """

    source: str | None = None
    download: bool = False
    directory: Path = DOWNLOADS
    progress: Progress | None = None
    within: str | None = None
    card: DatasetCard = field(default_factory=lambda: DatasetCard(""))


Loader = Callable[[Request], Dataset | Iterable[tuple[Item, Content]]]
"""A function or class that is called with a `Request`."""


class NamedDataset:
    """A registered dataset: call it with a `Request` to load it."""

    def __init__(self, name: str, load: Loader, card: CardLike = None) -> None:
        self.name, self._load, self._card = name, load, card
        self.__doc__ = load.__doc__

    @cached_property
    def card(self) -> DatasetCard:
        """Its card."""
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

    def register(  # type: ignore[override]  # the function is filed with its card
        self, name: str, card: CardLike = None
    ) -> Callable[[Loader], Loader]:
        """Return a decorator that registers a function or class as the dataset `name`.

        Parameters
        ----------
        name
            The name, as on the command line.
        card
            Facts about the dataset: a `DatasetCard`, a mapping of its fields, or the path of a
            YAML file with them. Counts and classes in it are checked whenever it is loaded.
        """

        def file(load: Loader) -> Loader:
            super(DatasetRegistry, self).register(name)(NamedDataset(name, load, card))
            return load

        return file

    def _load(self, name: str) -> NamedDataset:
        """Import the package behind an entry point; it may register, or be a function or class."""
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
    """The items that a registered function yields, each with its bytes or the path of its file.

    It pickles as the function and the request, and calls the function again in another process.
    """

    def __init__(self, load: Loader, request: Request) -> None:
        self._load, self._request = load, replace(request, progress=None, download=False)
        self._lock = threading.Lock()
        self._cached: dict[str, Content] | None = None
        self._files = FolderSource(os.sep)  # every path is absolute

    def __reduce__(self) -> tuple[type[YieldedSource], tuple[Loader, Request]]:
        return type(self), (self._load, self._request)

    def collect(self, pairs: object) -> tuple[Item, ...]:
        """Take the pairs that the function has yielded; return their items, sorted by id."""
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
            raise DatasetError(f"dataset {name!r} has no items: its loader yields nothing.")
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
                yield id, FileNotFoundError(f"{id!r} is not in {self.location}")

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
        f"the loader of dataset {name!r} gives {found!r:.80}: return a Dataset, or yield pairs of "
        "an Item and its bytes or the path of its file."
    )


def checked(dataset: Dataset, card: DatasetCard) -> Dataset:
    """Return `dataset` under the name and with the classes of its card, if the two agree."""
    found = {split or UNSPLIT: count for split, count in dataset.counts().items()}
    if card.counts and found != dict(card.counts):
        raise DatasetError(
            f"{card.name} has {_sum(card.counts)} in its card, "
            f"the source {dataset.source.location!r} has {_sum(found)}."
        )
    strange = set(dataset.class_names) ^ set(card.classes)
    if card.classes and strange:
        raise DatasetError(
            f"the classes of {card.name} in the source {dataset.source.location!r} are not those "
            f"of its card: they differ in {_listing(strange)}."
        )
    names = card.classes or dataset.class_names
    return replace(dataset, name=card.name, class_names=names, card=card)


def _sum(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"{sum(counts.values())} images ({parts})"


def _listing(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
