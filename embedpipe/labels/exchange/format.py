"""The base class of label formats and their registry.

The base does what is the same for all of them: it checks options, resolves paths, refuses entries
that make no sense, and shows a reader the whole export or none. A format reads entries from a file
and writes checked items to an unfinished file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..._files import sync_folder, temporary_file, temporary_path
from ..._registry import Registry
from ...datasets.identifiers import decode_id
from ...datasets.layout import IMAGE_SUFFIXES, is_image
from ...errors import DatasetError, FormatError, LabelError, UsageError
from ...tables.text_files import TableError
from ..resolver import PathResolver
from .entries import Entry, Labelled, check_items
from .reading import Reading, collect, collect_for

__all__ = ["Format", "FormatRegistry", "OpenImage", "ReadOptions", "WriteOptions", "formats"]

OpenImage = Callable[[str], bytes]
"""Returns the bytes of the image of an item, given its path."""


@dataclass(frozen=True)
class ReadOptions:
    """The options of one reading.

    Parameters
    ----------
    extra
        The format's own options, by name.
    resolver
        Finds the items of a dataset; None where no dataset is at hand.
    notes
        Sentences about how the file is read, for the user; the format appends to it.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    resolver: PathResolver | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WriteOptions:
    """The options of one writing.

    Parameters
    ----------
    extra
        The format's own options, by name.
    open_image
        Returns the bytes of an item's image; None for formats without images.
    class_names
        The classes that occur, sorted: as a label, a doubtful label or a prediction.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    open_image: OpenImage | None = None
    class_names: tuple[str, ...] = ()

    def image_bytes(self, path: str) -> bytes:
        """Return the bytes of the image of item `path`."""
        assert self.open_image is not None  # `Format.write` has refused before
        try:
            return self.open_image(path)
        except OSError as error:
            reason = error.strerror or error
            raise FormatError(f"the image {path!r} cannot be read: {reason}.") from error

    def place_image(self, file: Path, path: str) -> None:
        """Put the image of item `path` at `file`: a link into the folder ``link_to``, or a copy."""
        file.parent.mkdir(parents=True, exist_ok=True)
        link_to = self.extra.get("link_to")
        if link_to is None:
            file.write_bytes(self.image_bytes(path))
            return
        target = Path(link_to).resolve() / decode_id(path)
        if not target.is_file():
            raise FormatError(f"there is no image {path!r} in {link_to} to link to.")
        file.symlink_to(target)


class Format:
    """A way in which labels are kept outside of the workspace.

    A new one is a subclass with `read_entries` or `write_items` or both, under
    ``@formats.register("name")``. The module `embedpipe.labels` has an example.
    """

    name: ClassVar[str]
    """The name under which it is registered."""

    suffix: ClassVar[str] = ""
    """Suffix of an exported file, in lower case; blank if an export is a folder."""

    carries: ClassVar[frozenset[str]] = frozenset()
    """What it holds beside labels, of ``skip``, ``unsure``, ``prediction``, ``score``, ``who``,
    ``model``. The rest is left out, never changed: an unsure label does not become a sure one."""

    only_labelled: ClassVar[bool] = False
    """Whether items without a sure label are left out, and an export without labels is refused."""

    holds_unlabelled: ClassVar[bool] = False
    """Whether an item without a label has a place in an export."""

    needs_images: ClassVar[bool] = False
    """Whether an export holds the images themselves."""

    read_options: ClassVar[frozenset[str]] = frozenset()
    """Names of the format's own options of `read` and `read_for`."""

    write_options: ClassVar[frozenset[str]] = frozenset()
    """Names of the format's own options of `write`. The command line gives ``classes`` (names),
    ``embeddings`` ((n, d) float32, aligned with the items), ``image_url`` (what precedes a path in
    an image's address) and ``link_to`` (the dataset's folder) to the formats that name them."""

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield what the file or folder at `path` holds, unchecked.

        It raises `FormatError` for a damaged file, with the line, row or task. `OSError` and
        `ValueError` become one.
        """
        raise UsageError(f"the format {self.name} is written, not read.")

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write checked items to `path`: a file that is not there yet, or an empty folder.

        `path` is moved to its place afterwards, or removed after an error. The items hold what
        the format `carries`, and nothing else.
        """
        raise UsageError(f"the format {self.name} is read, not written.")

    def read(self, path: str | Path, **options: Any) -> list[Labelled]:
        """Return all that a file or folder holds, with paths as the file spells them.

        Parameters
        ----------
        path
            The file or folder.
        options
            The format's own `read_options`.

        Returns
        -------
        list of Labelled
            One for each path that has a label, a status or a prediction, in the order of the file.

        Raises
        ------
        FormatError
            If the file is missing, damaged or contradicts itself, naming the line, row, task or
            file.
        """
        path = Path(path)
        with self._reading(path, options):
            return collect(self.read_entries(path, ReadOptions(options)))

    def read_for(
        self,
        path: str | Path,
        resolver: PathResolver,
        *,
        skip_unknown: bool = False,
        **options: Any,
    ) -> Reading:
        """Return what a file or folder holds for the items of a dataset.

        Parameters
        ----------
        path
            The file or folder.
        resolver
            Finds the items that the file's paths stand for: `PathResolver.of` a dataset.
        skip_unknown
            Leave out paths that the dataset has not.
        options
            The format's own `read_options`.

        Returns
        -------
        Reading
            Labels, skips and unsure answers by the ids of the items; how many entries were read,
            and why others were left out. Predictions are not labels.

        Raises
        ------
        FormatError
            As of `read`; or if no entry can be taken of a file that has some.
        UnmatchedError
            If a path is that of no item, or of several, and they are not skipped.
        """
        path = Path(path)
        with self._reading(path, options):
            given = ReadOptions(options, resolver)
            entries = self.read_entries(path, given)
            reading = collect_for(entries, resolver, skip_unknown=skip_unknown, notes=given.notes)
        if reading.entries and not reading.items:
            text = " ".join([f"{reading.summary()}.", *reading.notes])
            raise FormatError(f"{path}: nothing to import: {text}")
        return reading

    @contextlib.contextmanager
    def _reading(self, path: Path, options: Mapping[str, Any]) -> Iterator[None]:
        """Check what is to be read; turn what goes wrong in the block into a `FormatError`."""
        _check_options(self.name, options, self.read_options)
        if type(self).read_entries is not Format.read_entries and not path.exists():
            raise FormatError(f"there is nothing at {path}.")
        try:
            yield
        except (LabelError, UsageError):
            raise
        except (DatasetError, TableError) as error:
            raise FormatError(str(error)) from None
        except OSError as error:
            raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:
            raise FormatError(f"{path} cannot be read: {error}.") from error

    def write(
        self,
        path: str | Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None = None,
        *,
        existing: Container[str] = (),
        **options: Any,
    ) -> Path:
        """Write labels so that a reader sees all of them or no file.

        Parameters
        ----------
        path
            The file, which may exist, or the folder, which must not hold anything.
        items
            What to write, each path once. What the format does not carry is left out.
        open_image
            Returns the bytes of an item's image, for formats that hold the images.
        existing
            Ids of the dataset: such an id may be any path, also one that is absolute.
        options
            The format's own `write_options`.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        UsageError
            If an option, the images or the right suffix are missing.
        FormatError
            If an item cannot be held or read again as it is, or the disk refuses. Nothing is left.
        """
        path = Path(path)
        self._check_usage(path, open_image, options)
        check_items(items, existing)
        if self.needs_images:
            _check_suffixes(self.name, items)
        carried = self._carried(items)
        names = {name for item in items for name in (item.label, item.prediction) if name}
        given = WriteOptions(options, open_image, tuple(sorted(names)))
        unfinished = _whole_file if self.suffix else _whole_folder
        try:
            with unfinished(path) as place:
                self.write_items(place, carried, given)
        except (FormatError, UsageError):
            raise
        except LabelError as error:
            raise FormatError(str(error)) from error
        except OSError as error:
            raise FormatError(f"cannot write {path}: {error.strerror or error}.") from error
        return path

    def _check_usage(
        self, path: Path, open_image: OpenImage | None, options: Mapping[str, Any]
    ) -> None:
        _check_options(self.name, options, self.write_options)
        if self.suffix and path.suffix.lower() != self.suffix:
            raise UsageError(
                f"the format {self.name} writes a file that ends in {self.suffix}, not {path}."
            )
        if self.needs_images and open_image is None and options.get("link_to") is None:
            raise UsageError(f"the format {self.name} holds the images: give `open_image`.")

    def _carried(self, items: Sequence[Labelled]) -> list[Labelled]:
        """Return items without what the format does not carry."""
        absent = {"prediction", "score", "model", "who"} - self.carries
        if "prediction" in absent:
            absent |= {"score", "model"}
        found = []
        for item in items:
            removed: dict[str, Any] = dict.fromkeys(absent)
            if item.status != "label" and item.status not in self.carries:
                removed |= {"label": None, "status": "label"}
            found.append(replace(item, **removed) if removed else item)
        if not self.only_labelled:
            return found
        found = [item for item in found if item.is_sure]
        if not found:
            raise FormatError(
                f"nothing to write as {self.name}: none of {len(items)} items has a label."
            )
        return found


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Yield an unused name beside `path` whose file takes the place of `path` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as unfinished:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that becomes `path` at the end, or is removed."""
    # A writer that is killed leaves a hidden folder beside `path`, and nothing at `path`.
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise FormatError(f"{path} is there already: remove it, or write elsewhere.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = temporary_path(path)
    unfinished.mkdir()
    try:
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    sync_folder(path.parent)


def _check_options(name: str, options: Iterable[str], allowed: frozenset[str]) -> None:
    unknown = sorted(set(options) - allowed)
    if unknown:
        known = ", ".join(sorted(allowed)) or "none"
        raise UsageError(f"the format {name} has no option {unknown[0]!r}; its options: {known}.")


def _check_suffixes(name: str, items: Sequence[Labelled]) -> None:
    """Refuse an item that would not be found again among the images."""
    for item in items:
        if not is_image(item.path.rpartition("/")[2]):
            raise FormatError(
                f"{item.path!r} has not the suffix of an image ({', '.join(sorted(IMAGE_SUFFIXES))}"
                f"), by which the format {name} tells images."
            )


_Class = TypeVar("_Class", bound=type[Format])


class FormatRegistry(Registry[Format]):
    """The label formats by name: ``formats["csv"]`` is an instance of the class."""

    def register(self, name: str) -> Callable[[_Class], _Class]:  # type: ignore[override]
        """Return a decorator that registers a subclass of `Format` under `name`."""

        def file(kind: _Class) -> _Class:
            Registry.register(self, name)(_instance(kind, name))
            return kind

        return file

    def _load(self, name: str) -> Format:
        """Import the package behind an entry point: its class is registered, or to be."""
        found: Any = super()._load(name)
        if isinstance(found, type):
            found = self._entries[name] = _instance(found, name)
        return found  # type: ignore[no-any-return]


def _instance(kind: type[Format], name: str) -> Format:
    kind.name = name
    return kind()


formats = FormatRegistry("label format", "embedpipe.formats")
"""All label formats, in order of registration."""
