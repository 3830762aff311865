r"""Finding the items of paths that other programs wrote.

A path that equals an item's id belongs to that item. Other paths are rewritten in steps, alone or
combined. A step removes surrounding spaces, decodes percent escapes, reads ``\`` as ``/``, changes
the Unicode form, removes or adds a class folder, or removes leading folders. The rewritten path
must match exactly one item. A file name alone is not enough: two folders may contain
``img_001.jpg``.
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from .archive import ArchiveSource
from .identifiers import encode_id

if TYPE_CHECKING:
    from .dataset import Dataset

__all__ = ["ForeignPath", "PathResolver", "Resolved"]

DECODED = "percent escapes decoded"
SLASHES = "backslashes read as slashes"
UNICODE = "another Unicode form"
FOLDER_REMOVED = "class folder removed"
FOLDER_ADDED = "class folder added"
PREFIX = "leading folders removed"
DOTS = "'..' resolved"
BLANKS = "surrounding spaces removed"
UPLOAD = "upload prefix removed"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_DRIVE = re.compile(r"[A-Za-z]:(?=[/\\])")
_UPLOAD = re.compile(r"[0-9a-f]{8}-(?=.)", re.ASCII)
_NOT_IN_UPLOADS = re.compile(r"[^-\w.]")

_Steps = tuple[str, ...]


class ForeignPath(NamedTuple):
    """A path from a file of another program, with alternatives that its format permits."""

    text: str
    """The path as written in the file."""

    exact: tuple[str, ...] = ()
    """Ids to try before `text`."""

    more: tuple[tuple[str, str], ...] = ()
    """Alternative paths, each with its rewriting step for messages."""

    class_folders: frozenset[str] | None = None
    """Names of class folders; None if the format has no class folders."""

    upload: bool = False
    """Whether a server removed the folders and put 8 hexadecimal digits before the file name."""

    default: str | None = None
    """The id if there is no dataset; None if the id is `text`."""


class Resolved(NamedTuple):
    """The item of a path."""

    id: str | None
    """Id of the item; None if no item or more than one item matches."""

    steps: _Steps = ()
    """Steps by which the path was rewritten."""

    candidates: tuple[str, ...] = ()
    """Ids of the matching items, if more than one item matches."""


class PathResolver:
    r"""Find the items of paths that other programs wrote.

    Paths may begin with `folder`, the absolute path of the dataset's folder, or with the last
    parts of `folder`. `classes` are names of class folders. `strip_prefix` is removed from paths.

    Examples
    --------
    >>> resolver = PathResolver(["a b/1.jpg", "2.jpg"], folder="/home/ann/photos")
    >>> resolver.resolve("a%20b\\1.jpg")
    Resolved(id='a b/1.jpg', steps=('percent escapes decoded', 'backslashes read as slashes'),
    candidates=())
    >>> resolver.resolve("C:/old/photos/2.jpg").id
    '2.jpg'
    >>> resolver.resolve("elsewhere/2.jpg").id is None
    True
    """

    def __init__(
        self,
        ids: Iterable[str],
        *,
        folder: str | None = None,
        classes: Iterable[str] = (),
        strip_prefix: str = "",
    ) -> None:
        self.ids = dict.fromkeys(ids)
        self.folder = folder
        self.classes = frozenset(classes)
        self._root = _parts(_nfc(folder.replace("\\", "/"))) if folder else []
        self._prefix = _parts(_nfc(_without_origin(strip_prefix.replace("\\", "/"))[0]))
        self._forms: dict[str, list[str]] = defaultdict(list)
        for item in self.ids:
            if not item.isascii() or "\\" in item or item != item.strip():
                self._forms[_form(item)].append(item)
        self._base_names: dict[str, list[str]] | None = None

    @classmethod
    def of(
        cls, dataset: Dataset, *, classes: Iterable[str] = (), strip_prefix: str = ""
    ) -> PathResolver:
        """Return the resolver for a dataset; `classes` are added to the dataset's classes."""
        source = dataset.source
        folder = None if source.folder is None else encode_id(str(source.folder))
        return cls(
            (item.id for item in dataset.items),
            folder=source.unpacked if isinstance(source, ArchiveSource) else folder,
            classes={*classes, *dataset.class_names},
            strip_prefix=strip_prefix,
        )

    def inside(self, location: str) -> str | None:
        """Return the id of the item at an absolute path (from `encode_id`), or None."""
        if self.folder is None:
            return None
        root = self.folder.rstrip("/") + "/"
        item = location.removeprefix(root)
        return item if location.startswith(root) and item in self.ids else None

    def resolve(self, path: str | ForeignPath) -> Resolved:
        """Return the item of a path, and the steps by which the path was rewritten."""
        foreign = ForeignPath(path) if isinstance(path, str) else path
        for text in foreign.exact:
            if text in self.ids:
                return Resolved(text)
        if not self._begins_with_prefix(foreign.text):
            for text in (foreign.text, _tidied(foreign.text)):
                if text in self.ids:
                    return Resolved(text)
        if foreign.upload:
            return self._uploaded(foreign.text)
        found: dict[str, _Steps] = {}
        for variant, steps in self._variants(foreign):
            if variant in self.ids:
                found.setdefault(variant, steps)
            if self._forms:
                for item in self._forms.get(_form(variant), ()):
                    found.setdefault(item, _joined(steps, _differences(variant, item)))
        if len(found) > 1:
            return Resolved(None, candidates=tuple(sorted(found)))
        return next((Resolved(item, steps) for item, steps in found.items()), Resolved(None))

    def _begins_with_prefix(self, text: str) -> bool:
        """Return whether a path begins with `strip_prefix`."""
        parts = _parts(_nfc(text)) if self._prefix else []
        return bool(self._prefix) and parts[: len(self._prefix)] == self._prefix

    def _variants(self, foreign: ForeignPath) -> Iterator[tuple[str, _Steps]]:
        """Yield every rewritten path with its steps; paths with fewer steps are first."""
        for original, step in ((foreign.text, ""), *foreign.more):
            begun: _Steps = (step,) if step else ()
            for text, steps in _decodings(original, begun):
                for inside, more in self._stripped(text, steps):
                    yield inside, more
                    first, _, rest = inside.partition("/")
                    folders = foreign.class_folders
                    if rest and folders is not None and (first in folders or first in self.classes):
                        yield rest, (*more, FOLDER_REMOVED)

    def _stripped(self, text: str, steps: _Steps) -> Iterator[tuple[str, _Steps]]:
        """Yield a tidy path, with and without its known leading folders."""
        path, absolute = _without_origin(text)
        parts = _parts(path)
        forms = parts if path.isascii() else [_nfc(part) for part in parts]
        if self._prefix and forms[: len(self._prefix)] == self._prefix:
            yield "/".join(parts[len(self._prefix) :]), (*steps, PREFIX)
            return
        yield text, steps  # an id may itself be absolute or have a ".."
        if ".." in parts:
            forms = parts = _parts(posixpath.normpath(path))
            steps = (*steps, DOTS)
        if not parts or ".." in parts:
            return
        yield "/".join(parts), (*steps, PREFIX) if absolute else steps
        if absolute and len(parts) > 1 and _SCHEME.match(text):
            yield "/".join(parts[1:]), (*steps, PREFIX)
        for length in self._prefixes(forms, absolute):
            yield "/".join(parts[length:]), (*steps, PREFIX)

    def _prefixes(self, parts: list[str], absolute: bool) -> Iterator[int]:
        """Yield each number of leading parts that may be the dataset's folder."""
        root = self._root
        if not root:
            return
        if absolute and parts[: len(root)] == root:
            yield len(root)
        elif absolute:  # the folder was moved, or the path is from another computer
            yield from (n for n, part in enumerate(parts[:-1], start=1) if part == root[-1])
        else:
            ends = range(1, min(len(root), len(parts) - 1) + 1)
            yield from (n for n in ends if parts[:n] == root[-n:])

    def _uploaded(self, text: str) -> Resolved:
        """Return the only item with the file name of an upload, whose folders were removed."""
        if self._base_names is None:
            self._base_names = defaultdict(list)
            for item in self.ids:
                self._base_names[_upload_name(item.rpartition("/")[2])].append(item)
        name = _UPLOAD.sub("", text.rpartition("/")[2], count=1)
        found = self._base_names.get(_upload_name(name), [])
        if len(found) == 1:
            return Resolved(found[0], (UPLOAD,))
        return Resolved(None, candidates=tuple(sorted(found)))


def _decodings(text: str, begun: _Steps) -> Iterator[tuple[str, _Steps]]:
    """Yield a text unchanged, stripped and decoded; then these texts with ``/`` for backslashes."""
    texts = [(text, begun)]
    if text != text.strip():
        texts.append((text.strip(), (*begun, BLANKS)))
    if "%" in text and (decoded := _unquoted(text)) != text:
        texts.append((decoded, begun if DECODED in begun else (*begun, DECODED)))
    yield from texts
    for one, steps in texts:
        if "\\" in one:
            yield _slashed(one), (*steps, SLASHES)


def _unquoted(text: str) -> str:
    """Return a text with percent escapes decoded; unchanged if they do not decode to UTF-8."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _without_origin(path: str) -> tuple[str, bool]:
    """Return a path without scheme, drive and leading slash, and whether it is absolute."""
    if ":" in path and (match := _SCHEME.match(path) or _DRIVE.match(path)):
        return path[match.end() :].lstrip("/"), True
    return path.lstrip("/"), path.startswith("/")


def _tidied(path: str) -> str:
    """Return a path without empty and ``.`` parts, with its leading slash."""
    return ("/" if path.startswith("/") else "") + "/".join(_parts(path))


def _form(path: str) -> str:
    """Return a path for comparisons: in NFC, with slashes, without surrounding spaces."""
    return _nfc(_slashed(path)).strip()


def _differences(path: str, item: str) -> _Steps:
    """Return the rewriting steps between two paths with the same `_form`."""
    one, other = _slashed(path), _slashed(item)
    found = {
        SLASHES: _nfc(path).strip() != _nfc(item).strip(),
        UNICODE: one.strip() != other.strip(),
        BLANKS: _nfc(one) != _nfc(other),
    }
    return tuple(step for step, differs in found.items() if differs)


def _slashed(path: str) -> str:
    return path.replace("\\", "/")


def _joined(steps: _Steps, more: _Steps) -> _Steps:
    return tuple(dict.fromkeys((*steps, *more)))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _nfc(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _upload_name(name: str) -> str:
    """Return a name as Label Studio stores it: no special characters, underscores for spaces."""
    return _nfc(_NOT_IN_UPLOADS.sub("", _nfc(name).strip().replace(" ", "_")))
