"""Folders that exist whole or not at all, the images in them, and trees with a folder per class."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from ..._files import sync_folder, temporary_path
from ...datasets.folder import walk
from ...datasets.identifiers import decode_id, encode_id
from ...datasets.layout import are_splits
from ...datasets.suffixes import is_visible, suffix_of
from ...errors import FormatError
from ..resolver import DECODED, FOLDER_ADDED, Spelling
from .base import OpenImage, ReadOptions
from .entries import Entry
from .labelled import Labelled
from .paths import UNLABELLED, unescape, unescape_path

__all__ = [
    "MARKER",
    "ClassTree",
    "image_bytes",
    "sure_items",
    "tree_entries",
    "whole_folder",
    "write_image",
    "write_marker",
]

_ANNOTATIONS = frozenset({".xml", ".json", ".yaml", ".yml", ".names", ".data"})
"""Suffixes of files in which other formats keep labels."""

SUBSET = "default"
"""Folder of a task without subsets in exports of CVAT."""

MARKER = ".embedpipe.json"
"""Name of the hidden file in a tree that embedpipe wrote."""


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path` that becomes `path` at the end, or is removed.

    A reader sees no half of it, whenever the writer is killed; what is left behind then is a
    hidden folder beside it.

    Raises
    ------
    FormatError
        If there is something at `path`.
    """
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise FormatError(f"{path} is there already: remove it, or write elsewhere.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(path.parent)


def sure_items(name: str, items: Sequence[Labelled]) -> list[Labelled]:
    """Return the items with a label that nobody doubts.

    Raises
    ------
    FormatError
        If there are none: a tree of classes without classes would say nothing.
    """
    sure = [item for item in items if item.is_sure]
    if not sure:
        raise FormatError(f"nothing to write as {name}: none of {len(items)} items has a label.")
    return sure


def image_bytes(open_image: OpenImage, path: str) -> bytes:
    """Return the bytes of an item's image."""
    try:
        return open_image(path)
    except OSError as error:
        reason = error.strerror or error
        raise FormatError(f"the image {path!r} cannot be read: {reason}.") from error


def write_image(
    file: Path, path: str, open_image: OpenImage | None, link_to: str | Path | None = None
) -> None:
    """Put the image of item `path` at `file`: a link into the folder `link_to`, or a copy."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if link_to is not None:
        target = Path(link_to).resolve() / decode_id(path)
        if not target.is_file():
            raise FormatError(f"there is no image {path!r} in {link_to} to link to.")
        file.symlink_to(target)
        return
    assert open_image is not None  # a format that needs images has refused before
    file.write_bytes(image_bytes(open_image, path))


def write_marker(root: Path) -> None:
    """Leave word that the names of a tree are escaped and its first folders are classes."""
    (root / MARKER).write_text('{"written_by": "embedpipe", "names": "escaped"}\n')


def tree_entries(root: Path, given: ReadOptions) -> Iterator[Entry]:
    """Yield the images of a tree with a folder per class; those outside of a class say nothing.

    Raises
    ------
    FormatError
        If `root` is no folder, or no image is in a folder inside of it.
    """
    if not root.is_dir():
        raise FormatError(f"{root} is not a folder with a folder for each class.")
    names = sorted(walk(str(root), Counter()))
    ours = (root / MARKER).is_file()
    tree = ClassTree(str(root), names, ours=ours, others=[] if ours else _other_files(root))
    return tree.entries(given, location=encode_id(str(root.absolute())))


def _other_files(root: Path) -> list[str]:
    """Return the relative paths of the files that may hold annotations."""
    return sorted(
        encode_id(file.relative_to(root).as_posix())
        for pattern in ("*", "*/*")
        for file in root.glob(pattern)
        if suffix_of(file.name) in _ANNOTATIONS and is_visible(file.name)
    )


class ClassTree:
    """Images in folders of classes, as a tree on disk or in an archive.

    Parameters
    ----------
    source
        The path of the folder or the archive, for messages.
    names
        Relative POSIX paths of the images.
    ours
        Whether the names are known to be escaped, and the first folders to be classes.
    others
        Relative paths of other files, which may hold annotations.

    Raises
    ------
    FormatError
        If no image is in a folder.
    """

    def __init__(
        self, source: str, names: Sequence[str], *, ours: bool, others: Sequence[str] = ()
    ) -> None:
        self.source, self.names, self.ours = source, names, ours
        self.others = [name for name in others if suffix_of(name) in _ANNOTATIONS]
        if not any("/" in name for name in names):
            raise FormatError(f"{source} holds no images in folders of classes.")
        self.tops = {name.partition("/")[0] for name in names if "/" in name}

    def entries(
        self, given: ReadOptions, *, location: str | None = None, nested: bool = False
    ) -> Iterator[Entry]:
        """Yield an entry for each image.

        Parameters
        ----------
        given
            The options of the reader.
        location
            The absolute path of the tree, if it is one on disk.
        nested
            Whether a class folder may hold what was a class folder before, as CVAT's do.
        """
        depth = self._depth(given, nested)
        self._check_one_folder(given, depth)
        for name in self.names:
            where = f"{self.source}, file {name!r}"
            *folders, base = name.split("/")
            if len(folders) <= depth:
                yield Entry(where, name, reason="outside of the folders of classes")
                continue
            above, folder = folders[:depth], folders[depth]
            inside = "/".join([*folders[depth + 1 :], base])
            if folder in UNLABELLED:
                yield Entry(where, inside, reason=f"in {folder}/")
                continue
            spelling = self._spelling(above, folder, inside, nested)
            if location is not None and given.resolver is not None:
                here = given.resolver.inside(f"{location}/{name}")
                spelling = spelling._replace(exact=(here, *spelling.exact)) if here else spelling
            yield Entry(where, spelling, unescape(folder))

    def _spelling(self, above: Sequence[str], folder: str, inside: str, nested: bool) -> Spelling:
        plain = unescape_path(inside)
        more = [(plain, DECODED)] if plain != inside else []
        for begin in ([folder], [*above, folder], above) if above else ([folder],):
            more.append(("/".join([*begin, inside]), FOLDER_ADDED))
        if nested and inside.startswith(f"{folder}_"):
            more.append((inside.removeprefix(f"{folder}_"), "name of the class removed"))
        return Spelling(
            inside,
            exact=(plain,) if self.ours else (),
            more=tuple(more),
            class_folders=self._class_names if nested else None,
            default=plain,
        )

    def _check_one_folder(self, given: ReadOptions, depth: int) -> None:
        """Refuse a tree whose labels are in a file and whose images are in one folder."""
        folders = {name.split("/")[depth] for name in self.names if name.count("/") > depth}
        known = given.resolver.classes if given.resolver is not None else frozenset()
        if self.others and len(folders) == 1 and not self.ours and not folders <= known:
            (folder,) = folders
            wanted = "ImageNet 1.0" if given.format == "cvat" else given.format
            raise FormatError(
                f"{self.source} holds {self.others[0]}, and all images in the one folder "
                f"{folder!r}: that is no folder for each class. Export in the format "
                f"{wanted}; if {folder!r} is a class, say so with --class."
            )

    @cached_property
    def _class_names(self) -> frozenset[str]:
        return frozenset({*self.tops, *map(unescape, self.tops)})

    def _depth(self, given: ReadOptions, nested: bool) -> int:
        """Return how many folders are above those of the classes: splits, or a wrapping."""
        inner = [name.split("/") for name in self.names if "/" in name]
        known = given.resolver.classes if given.resolver is not None else frozenset()
        if self.ours or (len(self.tops) == 1 and self.tops <= known):
            return 0
        tops = ", ".join(sorted(self.tops))
        splits = are_splits(self.tops) and self.tops.isdisjoint(known)
        if not all(len(parts) > 2 for parts in inner):
            ids = given.resolver.ids if given.resolver is not None else {}
            if splits and any(name in ids for name in self.names if "/" in name):
                raise FormatError(
                    f"{self.source}: {tops} are splits of the dataset, and images lie in these "
                    f"folders without a class. For a class, say so with --class {min(self.tops)}."
                )
            return 0
        if splits:
            given.notes.append(f"The folders {tops} are read as splits; classes are inside.")
            return 1
        seconds = {parts[1] for parts in inner}
        wraps = bool(UNLABELLED & seconds) or (nested and tops == SUBSET)
        if len(self.tops) > 1 or not (wraps or seconds <= known | UNLABELLED):
            return 0
        if nested and not wraps:
            raise FormatError(
                f"{self.source}: the folder {tops!r} is no class yet, and the folders in it are "
                f"classes. If {tops!r} is a new class, say so with --class {shlex.quote(tops)}; "
                "else pack what is inside of it."
            )
        given.notes.append(f"The folder {tops} holds the folders of the classes.")
        return 1
