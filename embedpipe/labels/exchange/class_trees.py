"""Images in class folders, on disk or in an archive."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from ...datasets.files import walk
from ...datasets.identifiers import encode_id
from ...datasets.layout import PREDICTIONS, are_splits, is_visible, suffix_of
from ...datasets.resolver import DECODED, FOLDER_ADDED, ForeignPath
from ...errors import FormatError
from ...tables import read_table, table_bytes
from ...tables.text_files import read_json
from .entries import Entry, Labelled
from .format import ReadOptions, WriteOptions, exact_paths
from .safe_paths import UNLABELLED, check_lengths, escape, escape_path, unescape, unescape_path

__all__ = ["MARKER", "ClassTree", "class_file", "tree_entries", "write_tree"]

_ANNOTATIONS = frozenset({".xml", ".json", ".yaml", ".yml", ".names", ".data"})
"""Suffixes of files that may contain labels in another format."""

NO_CLASS = "_unlabeled"
"""Name of the folder for images without a label."""

SUBSET = "default"
"""Name of the folder that CVAT writes for a task without subsets."""

MARKER = ".embedpipe.json"
"""Name of the hidden file that marks a tree written by embedpipe."""


def class_file(item: Labelled, *, flat: bool) -> str:
    """Return an item's file in a tree. If `flat`, the item's folders are part of the file name."""
    name = item.label or item.prediction
    folder = NO_CLASS if name is None else escape(name)
    return f"{folder}/{escape(item.path) if flat else escape_path(item.path)}"


def write_tree(
    root: Path,
    name: str,
    files: Mapping[str, str],
    options: WriteOptions,
    predicted: Sequence[Labelled] = (),
) -> None:
    """Write images and the marker file into a tree; `files` has paths below `root` by item.

    The items in folders of predicted classes are listed in a table, so that no reader takes a
    prediction for a label.
    """
    check_lengths(name, files.items())
    for path, file in files.items():
        options.place_image(root / file, path)
    marker = {"written_by": "embedpipe", "names": "escaped"}
    if predicted:
        marker["predictions"] = PREDICTIONS
        table: dict[str, list[Any]] = {
            "path": [item.path for item in predicted],
            "label": ["" for _ in predicted],
            "prediction": [item.prediction for item in predicted],
            "score": [item.score for item in predicted],
        }
        (root / PREDICTIONS).write_bytes(table_bytes(table, ".csv"))
    (root / MARKER).write_text(f"{json.dumps(marker)}\n")


def tree_entries(root: Path, name: str, options: ReadOptions) -> Iterator[Entry]:
    """Yield the entries of a folder of class folders, for the format `name`."""
    if not root.is_dir():
        raise FormatError(f"{root} is a file; expected a folder with one subfolder per class.")
    names = sorted(walk(str(root), Counter()))
    escaped = (root / MARKER).is_file()
    others = [] if escaped else _annotation_files(root)
    tree = ClassTree(
        str(root),
        names,
        escaped=escaped,
        others=others,
        format_name=name,
        predicted=_predicted(root) if escaped else {},
    )
    return tree.entries(options, location=encode_id(str(root.absolute())))


def _predicted(root: Path) -> dict[str, str]:
    """Return the scores of the items in folders of predicted classes, by path."""
    marker = read_json(root / MARKER)
    if not isinstance(marker, dict) or "predictions" not in marker:
        return {}
    if not (root / PREDICTIONS).is_file():
        raise FormatError(
            f"{root / PREDICTIONS} is missing: it lists the images whose folder is only a "
            "prediction. Restore the file, or export again."
        )
    columns = read_table(
        root / PREDICTIONS, ("path", "score"), error=FormatError, exact_paths=True
    ).columns
    return dict(zip(columns["path"], columns["score"], strict=True))


def _annotation_files(root: Path) -> list[str]:
    """Return the relative paths of files that may contain annotations."""
    return sorted(
        encode_id(file.relative_to(root).as_posix())
        for pattern in ("*", "*/*")
        for file in root.glob(pattern)
        if suffix_of(file.name) in _ANNOTATIONS and is_visible(file.name)
    )


class ClassTree:
    """Images in class folders, on disk or in an archive."""

    def __init__(
        self,
        source: str,  # folder or archive, for messages
        names: Sequence[str],  # relative POSIX paths of the images
        *,
        escaped: bool,  # tree of embedpipe: names are escaped, top folders are classes
        others: Sequence[str],  # relative paths of the other files
        format_name: str,  # for messages
        predicted: Mapping[str, str] | None = None,  # scores of predicted items, by path
    ) -> None:
        self.source, self.names = source, names
        self.predicted = predicted or {}
        self.escaped, self.format_name = escaped, format_name
        self.others = [name for name in others if suffix_of(name) in _ANNOTATIONS]
        self.tops = {name.partition("/")[0] for name in names if "/" in name}
        if not self.tops:
            raise FormatError(
                f"{source} contains no images in class folders. Put each image in a folder with "
                "the name of its class."
            )

    def entries(
        self, options: ReadOptions, *, location: str | None = None, nested: bool = False
    ) -> Iterator[Entry]:
        """Yield an entry for each image."""
        # `location` is the absolute path of a tree on disk. If `nested`, a class folder may contain
        # folders of previous classes, as in CVAT's exports.
        depth = self._depth(options, nested)
        self._check_one_folder(options, depth)
        for name in self.names:
            where = f"{self.source}, file {name!r}"
            *folders, base = name.split("/")
            if len(folders) <= depth:
                yield Entry(where, name, reason="outside the class folders")
                continue
            above, folder = folders[:depth], folders[depth]
            inside = "/".join([*folders[depth + 1 :], base])
            if folder in UNLABELLED:
                yield Entry(where, inside, reason=f"in {folder}/")
                continue
            foreign = self._foreign_path(above, folder, inside, nested)
            if location is not None and options.resolver is not None:
                item = options.resolver.inside(f"{location}/{name}")
                foreign = foreign._replace(exact=(item, *foreign.exact)) if item else foreign
            label = unescape(folder)
            if foreign.default is not None and foreign.default in self.predicted:
                score = self.predicted[foreign.default]
                yield Entry(where, foreign, prediction=label, score=score)
            else:
                yield Entry(where, foreign, label)

    def _foreign_path(
        self, above: Sequence[str], folder: str, inside: str, nested: bool
    ) -> ForeignPath:
        plain = unescape_path(inside)
        more = [(plain, DECODED)] if plain != inside else []
        for begin in ([folder], [*above, folder], above) if above else ([folder],):
            more.append(("/".join([*begin, inside]), FOLDER_ADDED))
        if nested and inside.startswith(f"{folder}_"):
            more.append((inside.removeprefix(f"{folder}_"), "class name removed"))
        return ForeignPath(
            inside,
            exact=exact_paths(plain) if self.escaped else (),
            more=tuple(more),
            class_folders=self._class_names if nested else None,
            default=plain,
        )

    def _check_one_folder(self, options: ReadOptions, depth: int) -> None:
        """Refuse a tree with an annotation file and all images in one folder."""
        folders = {name.split("/")[depth] for name in self.names if name.count("/") > depth}
        known = options.resolver.classes if options.resolver is not None else frozenset()
        if self.others and len(folders) == 1 and not self.escaped and not folders <= known:
            (folder,) = folders
            raise FormatError(
                f"{self.source} contains {self.others[0]} and all images in one folder, "
                f"{folder!r}; expected one folder per class. Export in the format "
                f"{self.format_name}. If {folder!r} is a class, add --class {shlex.quote(folder)}."
            )

    @cached_property
    def _class_names(self) -> frozenset[str]:
        return frozenset({*self.tops, *map(unescape, self.tops)})

    def _depth(self, options: ReadOptions, nested: bool) -> int:
        """Return the number of folder levels above the class folders: 0 or 1."""
        inner = [name.split("/") for name in self.names if "/" in name]
        known = options.resolver.classes if options.resolver is not None else frozenset()
        if self.escaped or (len(self.tops) == 1 and self.tops <= known):
            return 0
        tops = ", ".join(sorted(self.tops))
        splits = are_splits(self.tops) and self.tops.isdisjoint(known)
        if not all(len(parts) > 2 for parts in inner):
            ids = options.resolver.ids if options.resolver is not None else {}
            if splits and any(name in ids for name in self.names if "/" in name):
                raise FormatError(
                    f"{self.source}: the folders {tops} are splits of the dataset, and they "
                    "contain images without a class folder. If they are classes, add --class "
                    f"{min(self.tops)}."
                )
            return 0
        if splits:
            options.notes.append(f"The folders {tops} are splits; their subfolders are classes.")
            return 1
        seconds = {parts[1] for parts in inner}
        wraps = bool(UNLABELLED & seconds) or (nested and tops == SUBSET)
        if len(self.tops) > 1 or not (wraps or seconds <= known | UNLABELLED):
            return 0
        if nested and not wraps:
            raise FormatError(
                f"{self.source}: the folder {tops!r} is not a known class, but its subfolders are. "
                f"If {tops!r} is a new class, add --class {shlex.quote(tops)}. Otherwise pack only "
                "its subfolders."
            )
        options.notes.append(f"The class folders are in the folder {tops}.")
        return 1
