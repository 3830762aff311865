"""The base class of label formats, and their registry.

The base class checks options, resolves paths, validates entries and writes atomically. A format
yields entries from a file and writes checked items to a temporary file.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..._files import sync_folder, temporary_file, temporary_path
from ..._pixels import DecodeError, Picture, decoded
from ..._registry import Registry
from ..._text import sentence_about
from ...datasets.identifiers import decode_id
from ...datasets.layout import image_suffixes, is_image
from ...datasets.resolver import PathResolver
from ...errors import DatasetError, FormatError, LabelError, UsageError
from ...tables.text_files import TableError
from .entries import Entry, Labelled, check_items
from .reading import Reading, collect, collect_for

__all__ = [
    "Format",
    "FormatRegistry",
    "OpenImage",
    "ReadOptions",
    "WriteOptions",
    "exact_paths",
    "formats",
]

OpenImage = Callable[[str], bytes]
"""Function that returns the bytes of an item's image, given its path."""


@dataclass(frozen=True)
class ReadOptions:
    """Options of one call of `Format.read` or `Format.read_for`.

    Parameters
    ----------
    extra
        The format's own options, by name.
    resolver
        Finds the items of a dataset; None without a dataset.
    notes
        Sentences for the user about how the file is read. A format may append sentences.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    resolver: PathResolver | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class WriteOptions:
    """Options of one call of `Format.write`.

    Parameters
    ----------
    extra
        The format's own options, by name.
    open_image
        Returns the bytes of an item's image; None for formats without images.
    class_names
        All classes of labels and predictions, sorted.
    """

    extra: Mapping[str, Any] = field(default_factory=dict)
    open_image: OpenImage | None = None
    class_names: tuple[str, ...] = ()

    def image_bytes(self, path: str) -> bytes:
        """Return the bytes of the image of item `path`."""
        assert self.open_image is not None  # `Format.write` has checked it
        try:
            return self.open_image(path)
        except OSError as error:
            reason = error.strerror or error
            raise FormatError(f"the image {path!r} cannot be read: {reason}.") from error

    def place_image(self, file: Path, path: str) -> None:
        """Write the image of item `path` to `file`, as a copy or a link into ``link_to``."""
        file.parent.mkdir(parents=True, exist_ok=True)
        link_to = self.extra.get("link_to")
        if link_to is None:
            file.write_bytes(self.image_bytes(path))
            return
        target = Path(link_to).resolve() / decode_id(path)
        if not target.is_file():
            raise FormatError(f"the link target {path!r} does not exist in {link_to}.")
        file.symlink_to(target)


class Format:
    """Base class of label formats.

    A new format is a subclass with `read_entries`, `write_items` or both, registered with
    ``@formats.register("name")``. The module `embedpipe.labels` has an example.
    """

    name: ClassVar[str]
    """Registered name."""

    suffix: ClassVar[str] = ""
    """Suffix of an exported file, in lower case; blank for a folder."""

    carries: ClassVar[frozenset[str]] = frozenset()
    """Supported fields in addition to labels.

    Possible fields are ``accepted``, ``skip``, ``unsure``, ``prediction``, ``score``, ``who`` and
    ``model``. Fields that are not supported are left out. Accepted suggestions become labels if
    ``accepted`` is missing. Unsure labels are left out if ``unsure`` is missing.
    """

    only_labelled: ClassVar[bool] = False
    """Whether only items with a sure label are written; an export without such items is refused."""

    holds_unlabelled: ClassVar[bool] = False
    """Whether items without a label are written."""

    needs_images: ClassVar[bool] = False
    """Whether an export contains the images."""

    read_options: ClassVar[frozenset[str]] = frozenset()
    """Names of the format's own options for `read` and `read_for`."""

    write_options: ClassVar[frozenset[str]] = frozenset()
    """Names of the format's own options for `write`.

    The command line sets five options if they are listed here: ``classes`` (names of classes),
    ``embeddings`` (float32, a row for each item), ``image_url`` (prefix of image URLs),
    ``link_to`` (the dataset's folder) and ``by_prediction`` (whether items without a label are
    written with their predicted class).
    """

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the unchecked entries of a file or folder.

        A damaged file raises `FormatError` with the line, row or task. The caller converts
        `OSError` and `ValueError` to `FormatError`.
        """
        raise UsageError(f"the format {self.name} can only be written.")

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write checked items to `path`, a new temporary file or an empty folder.

        `path` is moved into place afterwards, or removed after an error. The items have only the
        fields that the format `carries`.
        """
        raise UsageError(f"the format {self.name} can only be read.")

    def read(self, path: str | Path, **options: Any) -> list[Labelled]:
        """Return the items of a file or folder, with paths as in the file.

        `options` are the format's own `read_options`. There is one item for each path with a
        label, a mark or a prediction, in the order of the file. `FormatError` is raised if the
        file is damaged, or has different labels for the same path.
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
        """Return the labels and marks that a file or folder has for the items of a dataset.

        `PathResolver.of` returns the `resolver` of a dataset. `FormatError` is raised as in `read`,
        or if no entry can be used. `UnmatchedError` is raised if a path matches no item or several
        items, unless `skip_unknown` is true.
        """
        path = Path(path)
        with self._reading(path, options):
            read_options = ReadOptions(options, resolver)
            entries = self.read_entries(path, read_options)
            reading = collect_for(
                entries, resolver, skip_unknown=skip_unknown, notes=read_options.notes
            )
        if reading.entries and not reading.items:
            text = " ".join([f"{reading.summary()}.", *reading.notes])
            raise FormatError(f"{path} contains no labels to import. {text}")
        return reading

    @contextlib.contextmanager
    def _reading(self, path: Path, options: Mapping[str, Any]) -> Iterator[None]:
        """Check the options and the path; convert errors of the ``with`` block to `FormatError`."""
        _check_options(self.name, options, self.read_options)
        if type(self).read_entries is not Format.read_entries and not path.exists():
            raise FormatError(f"there is no file or folder at {path}.")
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
        """Write labels atomically and return `path`.

        Parameters
        ----------
        path
            The file or folder. An existing file is replaced; an existing folder must be empty.
        items
            The items to write, each path once. Fields that the format does not carry are left out.
        open_image
            Returns the bytes of an item's image, for formats with images.
        existing
            Ids of the dataset's items. They may be any paths, including absolute paths.
        options
            The format's own `write_options`.
        """
        path = Path(path)
        self._check_usage(path, open_image, options)
        check_items(items, existing)
        if self.needs_images:
            items, open_image = _as_files(self.name, items, open_image, options.get("link_to"))
        carried = self._carried(items, by_prediction=bool(options.get("by_prediction")))
        names = {name for item in items for name in (item.label, item.prediction) if name}
        write_options = WriteOptions(options, open_image, tuple(sorted(names)))
        unfinished = _atomic_file if self.suffix else _atomic_folder
        try:
            with unfinished(path) as place:
                self.write_items(place, carried, write_options)
        except (FormatError, UsageError):
            raise
        except LabelError as error:
            raise FormatError(str(error)) from error
        except OSError as error:
            raise FormatError(f"cannot write {path}: {error.strerror or error}.") from error
        return path

    def check_path(self, path: Path) -> None:
        """Refuse a file with another suffix, and a folder that is not empty, before an export."""
        if not self.suffix:
            _check_free(path)
        elif path.suffix.lower() != self.suffix:
            raise UsageError(
                f"the format {self.name} writes a file that ends in {self.suffix}, not {path}."
            )

    def _check_usage(
        self, path: Path, open_image: OpenImage | None, options: Mapping[str, Any]
    ) -> None:
        _check_options(self.name, options, self.write_options)
        self.check_path(path)
        if self.needs_images and open_image is None and options.get("link_to") is None:
            raise UsageError(f"the format {self.name} contains the images. Give `open_image`.")

    def _carried(self, items: Sequence[Labelled], *, by_prediction: bool) -> list[Labelled]:
        """Return items with only the fields that the format carries."""
        absent = {"prediction", "score", "model", "who"} - self.carries
        if by_prediction:
            absent -= {"prediction", "score"}
        if "prediction" in absent:
            absent |= {"score", "model"}
        found = []
        for item in items:
            removed: dict[str, Any] = dict.fromkeys(absent)
            if item.status != "label" and item.status not in self.carries:
                removed |= {"label": item.label if item.is_sure else None, "status": "label"}
            found.append(replace(item, **removed) if removed else item)
        if not self.only_labelled:
            return found
        found = [
            item
            for item, given in zip(found, items, strict=True)
            if item.is_sure or (by_prediction and given.is_only_predicted)
        ]
        if not found:
            raise FormatError(
                f"no labels to write as {self.name}: none of {len(items)} items has a sure label."
            )
        return found


def _check_free(path: Path) -> None:
    """Refuse a path for a new folder if something is there, except for an empty folder."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise FormatError(f"{path} already exists. Remove it, or choose another path.")


@contextlib.contextmanager
def _atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary file that replaces `path` at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(path) as unfinished:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    sync_folder(path.parent)


@contextlib.contextmanager
def _atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes `path`, or is removed after an error."""
    # A killed writer leaves only a hidden folder beside `path`.
    _check_free(path)
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
        raise UsageError(f"the format {name} has no option {unknown[0]!r}. Its options: {known}.")


ADDED_SUFFIX = ".png"
"""Suffix that an export adds to the path of an item without the suffix of an image."""


def exact_paths(path: str) -> tuple[str, ...]:
    """Return the items that a path in an export of embedpipe may mean, the likeliest first."""
    return (path, path[: -len(ADDED_SUFFIX)]) if path.endswith(ADDED_SUFFIX) else (path,)


def _as_files(
    name: str, items: Sequence[Labelled], open_image: OpenImage | None, link_to: object
) -> tuple[Sequence[Labelled], OpenImage | None]:
    """Return the items with paths of image files; parts of files and rows are written as PNG."""
    changed = {
        f"{item.path}{ADDED_SUFFIX}": item.path
        for item in items
        if not is_image(item.path.rpartition("/")[2])
    }
    if not changed:
        return items, open_image
    if link_to is not None or open_image is None:
        raise FormatError(
            f"the format {name} links image files, but {next(iter(changed.values()))!r} does not "
            f"end in one of {', '.join(sorted(image_suffixes()))}. Leave out --link."
        )
    taken = changed.keys() & {item.path for item in items}
    if taken:
        raise FormatError(f"two items would be written to {taken.pop()!r}. Rename one of them.")
    open_file = open_image

    def opened(path: str) -> bytes:
        if path not in changed:
            return open_file(path)
        try:
            return decoded(open_file(changed[path]), _as_png)
        except DecodeError as error:
            raise FormatError(sentence_about(changed[path], str(error))) from error

    names = {before: after for after, before in changed.items()}
    return [replace(item, path=names.get(item.path, item.path)) for item in items], opened


def _as_png(picture: Picture) -> bytes:
    buffer = io.BytesIO()
    picture.rgb.save(buffer, "PNG")
    return buffer.getvalue()


_Class = TypeVar("_Class", bound=type[Format])


class FormatRegistry(Registry[Format]):
    """Label formats by name: ``formats["csv"]`` is an instance of `CsvFormat`."""

    def register(self, name: str) -> Callable[[_Class], _Class]:  # type: ignore[override]
        """Return a decorator that registers a subclass of `Format` under `name`."""

        def decorator(kind: _Class) -> _Class:
            Registry.register(self, name)(_instance(kind, name))
            return kind

        return decorator

    def _load(self, name: str) -> Format:
        """Load the format of an entry point, which may be a class that is not registered yet."""
        found: Any = super()._load(name)
        if isinstance(found, type):
            found = self._entries[name] = _instance(found, name)
        return found  # type: ignore[no-any-return]


def _instance(kind: type[Format], name: str) -> Format:
    kind.name = name
    return kind()


formats = FormatRegistry("label format", "embedpipe.formats")
"""All label formats, in order of registration."""
