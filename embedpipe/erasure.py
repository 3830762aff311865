"""Erasing an image from a workspace: every file that holds its vector, its digest or its path.

Files are found by what is in them, not by what they are called: after the known places were
rewritten, every file of the workspace is searched, and what still holds the image is removed if it
can be made again, or named.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ._files import TEMPORARY_PREFIX, read_parquet, write_parquet
from ._workspace import Workspace
from .cache import CONTENT_ID, read_memory, write_memory
from .cache.fragments import fragment_paths, unwritable, vectors_of, write_fragment
from .cache.maintenance import matrix_folders, needed_matrices, remove
from .datasets.dataset import path_name
from .datasets.identifiers import encode_id
from .errors import ReadOnlyError, UsageError
from .labels import LabelLog

__all__ = ["Erased", "FoundImage", "find_image", "forget"]

_CONTENT_ID = re.compile(r"[0-9a-fA-F]{64}")

SEARCHED = 1 << 24
"""Bytes that are searched at a time."""


@dataclass(frozen=True)
class FoundImage:
    """What a workspace knows of an image.

    Attributes
    ----------
    content_ids
        SHA-256 of its bytes; several if the file was edited.
    items
        Dataset and id of every item with these bytes.
    files
        Where the image itself still is.
    """

    content_ids: tuple[bytes, ...]
    items: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Erased:
    """What was done to erase an image.

    Attributes
    ----------
    rewritten
        Files that are now without it.
    removed
        Files and folders that held it and can be made again.
    label_events
        Number of events of the label log that were cleared.
    remaining
        What still holds it, and why.
    """

    rewritten: tuple[Path, ...]
    removed: tuple[Path, ...]
    label_events: int
    remaining: tuple[tuple[str, str], ...]


def find_image(workspace: Workspace, image: str) -> FoundImage:
    """Return what the workspace knows of an image.

    Parameters
    ----------
    workspace
        Where to look.
    image
        Path of its file, which need not be there any more; its id in a dataset; or the SHA-256 of
        its bytes in hexadecimal.

    Raises
    ------
    UsageError
        If the workspace holds nothing of it.
    """
    known = _Known(workspace)
    file = Path(image).expanduser()
    contents: set[bytes] = set()
    items = {(name, each) for name in known.datasets for each in _rooted(image, name)}
    items &= known.items
    if file.is_file():
        contents.add(hashlib.sha256(file.read_bytes()).digest())
    elif _CONTENT_ID.fullmatch(image):
        contents.add(bytes.fromhex(image))
    elif not items:
        items = {each for each in known.items if each[1] == image.removeprefix("./")}
        if len(items) > 1 and len(found := known.contents_of(items)) > 1:
            listing = ", ".join(f"{path!r} in {name}" for name, path in sorted(items)[:3])
            digests = ", ".join(sorted(each.hex() for each in found)[:3])
            raise UsageError(
                f"{image!r} may be {len(found)} images ({listing}): give the absolute path or the "
                f"content id ({digests})."
            )
    contents |= known.contents_of(items)
    items |= known.items_of(contents)
    if not items and not _embedded(workspace, contents):
        raise UsageError(
            f"nothing in {workspace.root} is of {image!r}: give the path of the image, its id in a "
            "dataset, or the SHA-256 of its bytes."
        )
    files = (file.resolve(),) if file.is_file() else ()
    return FoundImage(tuple(sorted(contents)), tuple(sorted(items)), files)


class _Known:
    """The items of all datasets and what bytes they had, by the scan memories and the label log."""

    def __init__(self, workspace: Workspace) -> None:
        self._rows: set[tuple[str, str, bytes | None]] = set()
        for path in sorted(workspace.root.glob("datasets/*/items.parquet")):
            table = read_memory(path)
            columns = table["id"].to_pylist(), table["content_id"].to_pylist()
            self._rows.update((path.parent.name, *row) for row in zip(*columns, strict=True))
        if workspace.labels.exists():
            with LabelLog(workspace.labels) as log:
                for event in log.events():
                    if event.path is not None:
                        self._rows.add((event.dataset, event.path, event.content_id))
        self.items = {(name, path) for name, path, _ in self._rows}
        self.datasets = sorted({name for name, _, _ in self._rows})

    def contents_of(self, items: set[tuple[str, str]]) -> set[bytes]:
        return {
            content
            for name, path, content in self._rows
            if content is not None and (name, path) in items
        }

    def items_of(self, contents: set[bytes]) -> set[tuple[str, str]]:
        return {(name, path) for name, path, content in self._rows if content in contents}


def _rooted(image: str, dataset: str) -> list[str]:
    """Return the ids that a path may have in a dataset of one of the folders above it."""
    parts = Path(os.path.abspath(Path(image).expanduser())).parts  # noqa: PTH100 - links stay
    return [
        encode_id("/".join(parts[start:]))
        for depth in range(1, len(parts))
        if path_name(str(Path(*parts[:depth]))) == dataset
        for start in range(depth, len(parts))  # folders that wrap all images are no part of an id
    ]


def _embedded(workspace: Workspace, contents: set[bytes]) -> bool:
    wanted = pa.array(sorted(contents), CONTENT_ID)
    return any(
        pc.any(pc.is_in(read_parquet(path, ["content_id"])["content_id"], value_set=wanted)).as_py()
        for kind in ("fragments", "failures")
        for folder in sorted(workspace.cache.glob(f"*/{kind}"))
        for path in fragment_paths(folder)
    )


def forget(workspace: Workspace, image: FoundImage, *, dry_run: bool = False) -> Erased:
    """Erase an image from everything that the workspace keeps.

    Fragments, failures, scan memories and picks of runs are rewritten without it: the new file is
    there before the old one goes, so that a kill at any instant loses no other image; the same
    command then finishes. Events of the label log are cleared. Matrices with their indexes,
    problems, thumbnails, pages and exports that hold it are removed; they can be made again.

    Parameters
    ----------
    workspace
        Where.
    image
        From `find_image`.
    dry_run
        Change nothing and return what would be done.

    Raises
    ------
    CacheError
        If a file cannot be read or written. Run again, it goes on.
    """
    return _Eraser(workspace, image, dry_run).run()


@dataclass
class _Eraser:
    workspace: Workspace
    image: FoundImage
    dry_run: bool
    rewritten: list[Path] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    remaining: list[tuple[str, str]] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def run(self) -> Erased:
        self.contents = pa.array(self.image.content_ids, CONTENT_ID)
        self.ids = pa.array(sorted({path for _, path in self.image.items}), pa.string())
        try:
            # What is derived goes first and the scan memories last: after a kill at any instant,
            # the same command still finds the image and what is left of it.
            fragments = self._fragments()
            picks = self._picks()
            self._remove_matrices()
            self._sweep({*picks, self.workspace.labels})
            for path, held in picks.items():
                self._rewrite_picks(path, held)
            events = self._clear_labels()
            for path, rest in fragments.items():
                self._rewrite_fragment(path, rest)
            self._rewrite_memories()
        except OSError as error:
            place = error.filename or self.workspace.root
            raise unwritable(
                f"cannot erase from {place}: {error.strerror or error}. Run the same command again "
                "to finish.",
                error,
            ) from error
        for file in self.image.files:
            self.remaining.append(
                (str(file), "the image itself: delete it, or the next `embed` stores it again")
            )
        self.remaining.append(
            (
                "files outside of the workspace",
                "models that were trained on it keep its digest, and were fitted to it: train them "
                "again; predictions, labels and copies elsewhere are not looked at",
            )
        )
        return Erased(tuple(self.rewritten), tuple(self.removed), events, tuple(self.remaining))

    def _fragments(self) -> dict[Path, pa.Table]:
        """Return the fragments that hold the image, each with its other rows."""
        found = {}
        for kind in ("fragments", "failures"):
            for folder in sorted(self.workspace.cache.glob(f"*/{kind}")):
                for path in fragment_paths(folder):
                    table = read_parquet(path)
                    held = pc.is_in(table["content_id"], value_set=self.contents)
                    if kind == "failures":
                        unread = pc.is_null(table["content_id"])
                        held = pc.or_(
                            held, pc.and_(unread, pc.is_in(table["path"], value_set=self.ids))
                        )
                    if pc.any(held).as_py():
                        found[path] = table.filter(pc.invert(held))
                        if kind == "fragments":
                            self.vectors += list(vectors_of(table.filter(held)).copy())
        return found

    def _rewrite_fragment(self, path: Path, rest: pa.Table) -> None:
        self.rewritten.append(path)
        if self.dry_run:
            return
        if rest.num_rows:
            metadata = {k.decode(): v.decode() for k, v in rest.schema.metadata.items()}
            write_fragment(path.parent, rest, metadata)
        path.unlink()

    def _remove_matrices(self) -> None:
        holding = needed_matrices(self.workspace, self.image.content_ids)
        needed = needed_matrices(self.workspace)
        for folder in matrix_folders(self.workspace):
            key = folder.parent.name, folder.name
            # Of a matrix that no dataset has, the items are not known any more.
            if key in holding or (key not in needed and not self.vectors):
                self._remove(folder)

    def _rewrite_memories(self) -> None:
        for path in sorted(self.workspace.root.glob("datasets/*/items.parquet")):
            table = read_memory(path)
            ids = pa.array(
                [each for name, each in self.image.items if name == path.parent.name], pa.string()
            )
            held = pc.or_(
                pc.fill_null(pc.is_in(table["content_id"], value_set=self.contents), False),
                pc.is_in(table["id"], value_set=ids),
            )
            if not pc.any(held).as_py():
                continue
            self.rewritten.append(path)
            if not self.dry_run and not write_memory(path, table.filter(pc.invert(held))):
                raise ReadOnlyError(f"cannot write {path}: Read-only file system.")

    def _clear_labels(self) -> int:
        if not self.workspace.labels.exists():
            return 0
        with LabelLog(self.workspace.labels) as log:
            if self.dry_run:
                events = (event for event in log.events() if event.path is not None)
                return sum(
                    (event.dataset, event.path) in self.image.items
                    or event.content_id in self.image.content_ids
                    for event in events
                )
            return log.forget(self.image.items, self.image.content_ids)

    def _picks(self) -> dict[Path, Any]:
        """Return the tables of runs that name the image, each with the rows that do."""
        found = {}
        for dataset in sorted({name for name, _ in self.image.items}):
            ids = pa.array([each for name, each in self.image.items if name == dataset])
            for path in sorted(self.workspace.runs.glob(f"{_literal(dataset)}*/*.parquet")):
                table = read_parquet(path)
                if "id" in table.column_names:
                    held = pc.is_in(table["id"], value_set=ids)
                    if pc.any(held).as_py():
                        found[path] = held
        return found

    def _rewrite_picks(self, path: Path, held: Any) -> None:
        """Take the id out of the picks of a run; row, score and label stay, the run stays whole."""
        self.rewritten.append(path)
        if not self.dry_run:
            table = read_parquet(path)
            column = pc.if_else(held, pa.scalar(None, pa.string()), table["id"])
            place = table.column_names.index("id")
            write_parquet(path, table.set_column(place, table.schema.field("id"), column))

    def _remove(self, path: Path) -> None:
        if path not in self.removed:
            self.removed.append(path)
            if not self.dry_run:
                remove(path)

    def _sweep(self, known: set[Path]) -> None:
        """Search every file but the known ones; remove what can be made again, name the rest."""
        for path in _files(self.workspace.root):
            if path in known or self._is_rewritten(path):
                continue
            if any(parent in self.removed for parent in (path, *path.parents)):
                continue
            if not _holds(path, self._needles(path), self.image.content_ids, self.vectors):
                continue
            derived = self._derived(path)
            if derived is None:
                self.remaining.append((str(path), "it holds the image; look at it yourself"))
            else:
                self._remove(derived)

    def _is_rewritten(self, path: Path) -> bool:
        """Return whether a file is one of those whose rows are looked at one by one."""
        parts = path.relative_to(self.workspace.root).parts
        if _is_temporary(path.name):
            return False
        if parts[0] == "cache":
            return len(parts) == 4 and parts[2] in ("fragments", "failures")
        return parts[0] in ("datasets", f"{self.workspace.labels.name}-wal")

    def _needles(self, path: Path) -> list[Callable[[bytes], bool]]:
        """Return tests for the texts that stand for the image in a file."""
        digests = [each.hex().encode() for each in self.image.content_ids]
        digests += list(self.image.content_ids)
        tests: list[Callable[[bytes], bool]] = [_finder(digest) for digest in digests]
        parts = path.relative_to(self.workspace.root).parts
        for dataset, item in self.image.items:
            # An id counts in files of its dataset: others may have an item of the same name.
            if any(part.startswith(dataset) for part in parts) or parts[0] in _ANY_DATASET:
                tests += [_named(spelling) for spelling in _spellings(item)]
        return tests

    def _derived(self, path: Path) -> Path | None:
        """Return what to remove so that a file is gone; None if it cannot be made again."""
        root = self.workspace.root
        parts = path.relative_to(root).parts
        temporary = next((n for n, part in enumerate(parts) if _is_temporary(part)), None)
        if temporary is not None:
            return root.joinpath(*parts[: temporary + 1])
        depth = {"matrices": 3, "problems": 2, "exports": 2}.get(parts[0])
        if depth is not None:
            return root.joinpath(*parts[:depth])
        derived = parts[0] in ("thumbnails", "bounds") or path.suffix in (".html", ".png", ".svg")
        return path if derived else None


_ANY_DATASET = ("problems", "experiments", "bounds", "tracking")
"""Folders of the workspace whose names do not tell the dataset."""


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and not name.endswith("-shm"):
                yield path


def _spellings(item: str) -> set[bytes]:
    """Return how files spell an id: as text, in JSON, HTML and addresses."""
    texts = {item, json.dumps(item)[1:-1], html.escape(item), quote(item), html.escape(quote(item))}
    return {text.encode("utf-8", "surrogateescape") for text in texts}


def _finder(needle: bytes) -> Callable[[bytes], bool]:
    return lambda data: needle in data


def _named(needle: bytes) -> Callable[[bytes], bool]:
    """Return a test for a path that is no part of a longer name."""
    pattern = re.compile(rb"(?<![\w.\-])" + re.escape(needle) + rb"(?![\w\-])")
    return lambda data: pattern.search(data) is not None


def _holds(
    path: Path,
    tests: Sequence[Callable[[bytes], bool]],
    content_ids: Sequence[bytes],
    vectors: Sequence[np.ndarray],
) -> bool:
    """Return whether a file holds the image: its digest, path, vector or bytes."""
    if any(test(os.fsencode(path.name)) for test in tests):
        return True
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\x93NUMPY"):
        return _array_holds(path, vectors)
    if head.startswith(b"PAR1"):
        return _table_holds(path, tests, content_ids, vectors)
    if head.startswith(b"PK\x03\x04"):
        return _archive_holds(path, tests, content_ids)
    needles = [_finder(vector.tobytes()) for vector in vectors]
    if path.stat().st_size <= SEARCHED:
        data = path.read_bytes()
        whole = hashlib.sha256(data).digest() in content_ids
        return whole or any(test(data) for test in (*tests, *needles))
    return any(test(data) for data in _windows(path) for test in (*tests, *needles))


def _windows(path: Path) -> Iterator[bytes]:
    """Yield overlapping parts of a large file."""
    overlap = 1 << 16
    with path.open("rb") as file:
        before = b""
        while data := file.read(SEARCHED):
            yield before + data
            before = data[-overlap:]


def _array_holds(path: Path, vectors: Sequence[np.ndarray]) -> bool:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    if array.ndim != 2 or array.dtype != np.float32:
        return False
    rows = max(1, SEARCHED // max(1, array.shape[1] * 4))
    for vector in vectors:
        if array.shape[1] != vector.size:
            continue
        for start in range(0, len(array), rows):
            if (np.asarray(array[start : start + rows]) == vector).all(axis=1).any():
                return True
    return False


def _table_holds(
    path: Path,
    tests: Sequence[Callable[[bytes], bool]],
    content_ids: Sequence[bytes],
    vectors: Sequence[np.ndarray],
) -> bool:
    try:
        table = read_parquet(path)
    except pa.ArrowException:
        data = path.read_bytes()
        return any(test(data) for test in tests)
    contents = {*content_ids, *(vector.tobytes() for vector in vectors)}
    for column in table.columns:
        for value in pc.unique(column).to_pylist() if _is_text(column.type) else ():
            data = value.encode() if isinstance(value, str) else value
            if data is not None and (data in contents or any(test(data) for test in tests)):
                return True
        if pa.types.is_fixed_size_list(column.type):
            rows = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
            rows = rows.reshape(-1, column.type.list_size)
            if any((rows == v).all(axis=1).any() for v in vectors if v.size == rows.shape[1]):
                return True
    return False


def _is_text(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_binary(kind)
        or types.is_fixed_size_binary(kind)
    )


def _archive_holds(
    path: Path, tests: Sequence[Callable[[bytes], bool]], content_ids: Sequence[bytes]
) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if any(test(member.filename.encode()) for test in tests):
                    return True
                if member.file_size <= SEARCHED:
                    data = archive.read(member)
                    if hashlib.sha256(data).digest() in content_ids:
                        return True
                    if any(test(data) for test in tests):
                        return True
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return any(test(path.read_bytes()) for test in tests)
    return False
