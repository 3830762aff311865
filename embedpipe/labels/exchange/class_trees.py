"""Trees of images with a folder for each class, in a folder or an archive."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from ...datasets.files import walk
from ...datasets.identifiers import encode_id
from ...datasets.layout import are_splits, is_visible, suffix_of
from ...errors import FormatError
from ..resolver import DECODED, FOLDER_ADDED, ForeignPath
from .entries import Entry, Labelled
from .format import ReadOptions, WriteOptions
from .safe_paths import UNLABELLED, check_lengths, escape, escape_path, unescape, unescape_path

__all__ = ["MARKER", "ClassTree", "class_file", "tree_entries", "write_tree"]

_ANNOTATIONS = frozenset({".xml", ".json", ".yaml", ".yml", ".names", ".data"})
"""Suffixes of files in which other formats keep labels."""

NO_CLASS = "_unlabeled"
"""Folder of the images without a label."""

SUBSET = "default"
"""Folder of a task without subsets in exports of CVAT."""

MARKER = ".embedpipe.json"
"""Name of the hidden file in a tree that embedpipe wrote."""


def class_file(item: Labelled, *, flat: bool) -> str:
    """Return the file of an item's image in a tree; flat, its folders are part of the name."""
    folder = NO_CLASS if item.label is None else escape(item.label)
    return f"{folder}/{escape(item.path) if flat else escape_path(item.path)}"


def write_tree(root: Path, name: str, files: Mapping[str, str], options: WriteOptions) -> None:
    """Put the images of `files` (file below `root` by item) and the marker into a tree."""
    check_lengths(name, files.items())
    for path, file in files.items():
        options.place_image(root / file, path)
    (root / MARKER).write_text('{"written_by": "embedpipe", "names": "escaped"}\n')


def tree_entries(root: Path, name: str, options: ReadOptions) -> Iterator[Entry]:
    """Yield the images of a tree with a folder for each class, read as the format `name`."""
    if not root.is_dir():
        raise FormatError(f"{root} is not a folder with a folder for each class.")
    names = sorted(walk(str(root), Counter()))
    ours = (root / MARKER).is_file()
    others = [] if ours else _other_files(root)
    tree = ClassTree(str(root), names, ours=ours, others=others, wanted=name)
    return tree.entries(options, location=encode_id(str(root.absolute())))


def _other_files(root: Path) -> list[str]:
    """Return the relative paths of the files that may hold annotations."""
    return sorted(
        encode_id(file.relative_to(root).as_posix())
        for pattern in ("*", "*/*")
        for file in root.glob(pattern)
        if suffix_of(file.name) in _ANNOTATIONS and is_visible(file.name)
    )


class ClassTree:
    """Images in folders of classes, as a tree on disk or in an archive."""

    def __init__(
        self, source: str, names: Sequence[str], *, ours: bool, others: Sequence[str], wanted: str
    ) -> None:
        self.source = source  # folder or archive, for messages
        self.names = names  # relative POSIX paths of the images
        self.ours = ours  # names are escaped, and the first folders are classes
        self.wanted = wanted  # the format to ask for where this is no tree of classes
        self.others = [name for name in others if suffix_of(name) in _ANNOTATIONS]
        if not any("/" in name for name in names):
            raise FormatError(f"{source} holds no images in folders of classes.")
        self.tops = {name.partition("/")[0] for name in names if "/" in name}

    def entries(
        self, options: ReadOptions, *, location: str | None = None, nested: bool = False
    ) -> Iterator[Entry]:
        """Yield an entry for each image."""
        # `location`: absolute path of a tree on disk. `nested`: a class folder may hold what was
        # a class folder before, as CVAT's do.
        depth = self._depth(options, nested)
        self._check_one_folder(options, depth)
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
            foreign = self._foreign_path(above, folder, inside, nested)
            if location is not None and options.resolver is not None:
                here = options.resolver.inside(f"{location}/{name}")
                foreign = foreign._replace(exact=(here, *foreign.exact)) if here else foreign
            yield Entry(where, foreign, unescape(folder))

    def _foreign_path(
        self, above: Sequence[str], folder: str, inside: str, nested: bool
    ) -> ForeignPath:
        plain = unescape_path(inside)
        more = [(plain, DECODED)] if plain != inside else []
        for begin in ([folder], [*above, folder], above) if above else ([folder],):
            more.append(("/".join([*begin, inside]), FOLDER_ADDED))
        if nested and inside.startswith(f"{folder}_"):
            more.append((inside.removeprefix(f"{folder}_"), "name of the class removed"))
        return ForeignPath(
            inside,
            exact=(plain,) if self.ours else (),
            more=tuple(more),
            class_folders=self._class_names if nested else None,
            default=plain,
        )

    def _check_one_folder(self, options: ReadOptions, depth: int) -> None:
        """Refuse a tree whose labels are in a file and whose images are in one folder."""
        folders = {name.split("/")[depth] for name in self.names if name.count("/") > depth}
        known = options.resolver.classes if options.resolver is not None else frozenset()
        if self.others and len(folders) == 1 and not self.ours and not folders <= known:
            (folder,) = folders
            raise FormatError(
                f"{self.source} holds {self.others[0]}, and all images in the one folder "
                f"{folder!r}: that is no folder for each class. Export in the format "
                f"{self.wanted}; if {folder!r} is a class, say so with --class."
            )

    @cached_property
    def _class_names(self) -> frozenset[str]:
        return frozenset({*self.tops, *map(unescape, self.tops)})

    def _depth(self, options: ReadOptions, nested: bool) -> int:
        """Return how many folders are above those of the classes: splits, or a wrapping."""
        inner = [name.split("/") for name in self.names if "/" in name]
        known = options.resolver.classes if options.resolver is not None else frozenset()
        if self.ours or (len(self.tops) == 1 and self.tops <= known):
            return 0
        tops = ", ".join(sorted(self.tops))
        splits = are_splits(self.tops) and self.tops.isdisjoint(known)
        if not all(len(parts) > 2 for parts in inner):
            ids = options.resolver.ids if options.resolver is not None else {}
            if splits and any(name in ids for name in self.names if "/" in name):
                raise FormatError(
                    f"{self.source}: {tops} are splits of the dataset, and images lie in these "
                    f"folders without a class. For a class, say so with --class {min(self.tops)}."
                )
            return 0
        if splits:
            options.notes.append(f"The folders {tops} are read as splits; classes are inside.")
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
        options.notes.append(f"The folder {tops} holds the folders of the classes.")
        return 1
