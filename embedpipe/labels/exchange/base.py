"""What a format is: it reads all of a file or none, and writes all of one or none."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ..._registry import Registry
from ...datasets.suffixes import IMAGE_SUFFIXES, is_image
from ...errors import DatasetError, FormatError, LabelError, UsageError
from ..resolver import PathResolver
from .entries import Entry, Reading, check_items, collect, collect_for
from .labelled import Labelled

__all__ = ["Format", "OpenImage", "ReadOptions", "formats", "register"]

OpenImage = Callable[[str], bytes]
"""Gives the bytes of the image of an item."""


@dataclass(frozen=True)
class ReadOptions:
    """What a format may use to read a file.

    Parameters
    ----------
    format
        The name of the format, for messages.
    resolver
        Finds the items of a dataset; None where no dataset is at hand.
    control
        The name of the control that holds the class.
    notes
        Sentences about how the file was read, which the format adds.
    """

    format: str
    resolver: PathResolver | None = None
    control: str | None = None
    notes: list[str] = field(default_factory=list)


class Format(ABC):
    """A way in which labels are kept outside of the workspace.

    A new one is a subclass with `_entries` or `_write` or both, under ``@register``. Paths are
    resolved here, for all formats; paths of no item, items that come twice and labels that cannot
    be meant are refused here.
    """

    name: ClassVar[str]
    """What it is called on the command line."""

    reads: ClassVar[bool] = True
    """Whether it can be imported."""

    writes: ClassVar[bool] = True
    """Whether it can be exported."""

    carries: ClassVar[frozenset[str]] = frozenset()
    """What it holds beside labels, of ``skip``, ``unsure``, ``prediction``, ``score``, ``who``,
    ``model``.

    What it does not hold is left out, never changed: an unsure label does not become a sure one.
    """

    needs_images: ClassVar[bool] = False
    """Whether an export holds the images themselves."""

    suffix: ClassVar[str] = ""
    """How the name of an exported file ends; blank if it is a folder."""

    options: ClassVar[frozenset[str]] = frozenset()
    """The keywords that `write` takes beside its arguments."""

    read_options: ClassVar[frozenset[str]] = frozenset()
    """The keywords that `read` and `read_for` take beside their arguments: fields of
    `ReadOptions`."""

    def read(self, path: str | Path, **options: Any) -> list[Labelled]:
        """Return what a file or folder says, all of it, with paths as the file spells them.

        Parameters
        ----------
        path
            The file or folder.
        options
            The format's own `read_options`.

        Returns
        -------
        list of Labelled
            One for each path about which something is said, in the order of the file.

        Raises
        ------
        FormatError
            If it is missing, damaged, or says what cannot be meant, naming the line, row, task or
            file. Nothing is returned then.
        """
        path = Path(path)
        given = self._given(path, options)
        with _reading(path):
            return collect(self._entries(path, given))

    def read_for(
        self,
        path: str | Path,
        resolver: PathResolver,
        *,
        skip_unknown: bool = False,
        **options: Any,
    ) -> Reading:
        """Return what a file or folder says of the items of a dataset.

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
            As of `read`; or if nothing can be taken of a file that has entries.
        UnmatchedError
            If a path is that of no item, or of several, and they are not skipped.
        """
        path = Path(path)
        given = self._given(path, options, resolver)
        with _reading(path):
            entries = self._entries(path, given)
            reading = collect_for(entries, resolver, skip_unknown=skip_unknown, notes=given.notes)
        if reading.entries and not reading.items:
            told = " ".join([f"{reading.told()}.", *reading.notes])
            raise FormatError(f"{path}: nothing to import: {told}")
        return reading

    def _given(
        self, path: Path, options: Mapping[str, Any], resolver: PathResolver | None = None
    ) -> ReadOptions:
        if not self.reads:
            raise UsageError(f"the format {self.name} is written, not read.")
        _check_names(self.name, options, self.read_options)
        if not path.exists():
            raise FormatError(f"there is nothing at {path}.")
        return ReadOptions(self.name, resolver, **options)

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
            Gives the bytes of an item's image, for formats that hold the images.
        existing
            Ids of the dataset: such an id may be any path, also one that is absolute.
        options
            The format's own `options`.

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
        try:
            self._write(path, items, open_image, options)
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
        if not self.writes:
            raise UsageError(f"the format {self.name} is read, not written.")
        _check_names(self.name, options, self.options)
        if self.suffix and path.suffix.lower() != self.suffix:
            raise UsageError(
                f"the format {self.name} writes a file that ends in {self.suffix}, not {path}."
            )
        if self.needs_images and open_image is None and options.get("link_to") is None:
            raise UsageError(f"the format {self.name} holds the images: give `open_image`.")

    @abstractmethod
    def _entries(self, path: Path, given: ReadOptions) -> Iterable[Entry]:
        """Yield what stands in the file or folder, unchecked, and where."""

    @abstractmethod
    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        """Write the checked items, whole or not at all."""


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a `FormatError`."""
    try:
        yield
    except (LabelError, UsageError):
        raise
    except DatasetError as error:
        raise FormatError(str(error)) from None
    except OSError as error:
        raise FormatError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check_names(name: str, options: Iterable[str], allowed: frozenset[str]) -> None:
    """Refuse an option that a format has not."""
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


formats: Registry[Format] = Registry("label format", "embedpipe.formats")

_Class = TypeVar("_Class", bound=type[Format])


def register(kind: _Class) -> _Class:
    """File a format under its name."""
    formats.register(kind.name)(kind())
    return kind
