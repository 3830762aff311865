"""Erasing an image: rewriting stored data without it, and removing or listing other files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .._files import TEMPORARY_PREFIX, read_parquet, write_parquet
from .._storage import StoredPath
from .._workspace import Workspace
from ..cache import CONTENT_ID, memories, read_memory, write_memory
from ..cache.fragments import (
    KINDS,
    fragments_of_all_specs,
    unwritable,
    vectors_of,
    write_fragment,
)
from ..cache.maintenance import matrix_folders, needed_matrices, remove, specs_of_library
from ..cache.store import COMBINED
from ..errors import ReadOnlyError
from ..labels import LabelLog
from .file_search import all_files, contains, contains_name, encodings, file_holds
from .image_lookup import FoundImage

__all__ = ["Erased", "forget"]

ANY_DATASET = ("problems", "experiments", "bounds", "tracking")
"""Folders of the workspace whose files may contain several datasets."""


@dataclass(frozen=True)
class Erased:
    """The result of erasing an image."""

    rewritten: tuple[StoredPath, ...]  # files that were rewritten without the image
    removed: tuple[Path, ...]  # files and folders that can be recreated
    label_events: int  # number of cleared events
    remaining: tuple[tuple[str, str], ...]  # files that contain the image, with instructions


def forget(workspace: Workspace, image: FoundImage, *, dry_run: bool = False) -> Erased:
    """Erase an image from a workspace.

    Fragments, failures, scan memories and picks of runs are rewritten without the image, and its
    label events are cleared. Matrices, indexes, problems, thumbnails, pages and exports with the
    image are removed; they can be recreated. New files are written before old ones are deleted. If
    the process is killed, the same command finishes the work. With `dry_run`, the changes are
    returned but not made.
    """
    return _Eraser(workspace, image, dry_run).run()


@dataclass
class _Eraser:
    workspace: Workspace
    image: FoundImage
    dry_run: bool
    rewritten: list[StoredPath] = field(default_factory=list)
    removed: list[Path] = field(default_factory=list)
    remaining: list[tuple[str, str]] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def run(self) -> Erased:
        self.contents = pa.array(self.image.content_ids, CONTENT_ID)
        self.ids = pa.array(sorted({path for _, path in self.image.items}), pa.string())
        try:
            # Derived files are removed first, and scan memories are rewritten last. If the process
            # is killed, the same command still finds the image and its remaining files.
            fragments = self._fragments()
            picks = self._picks()
            self._remove_matrices()
            self._search_others({*picks, self.workspace.labels})
            for path, of_image in picks.items():
                self._rewrite_picks(path, of_image)
            events = self._clear_labels()
            for fragment, rest in fragments.items():
                self._rewrite_fragment(fragment, rest)
            self._rewrite_memories()
        except OSError as error:
            place = error.filename or self.workspace.root
            raise unwritable(
                f"cannot erase the image from {place}: {error.strerror or error}. Run the same "
                "command again to finish.",
                error,
            ) from error
        self.remaining += self._elsewhere()
        return Erased(tuple(self.rewritten), tuple(self.removed), events, tuple(self.remaining))

    def _elsewhere(self) -> Iterator[tuple[str, str]]:
        """Yield the data outside the workspace and on other machines."""
        delete = "Delete it, or the next `embed` stores it again"
        image, url = self.image, self.workspace.url
        for file in image.files:
            yield str(file), f"the image file. {delete}"
        if image.address is not None:
            yield image.address, f"the image at this address, if it still exists. {delete}"
        elif not image.files:
            for dataset, item in image.items:
                yield f"{item} in {dataset}", f"the image itself, if it still exists. {delete}"
        if url is not None:
            yield url, "earlier versions of the objects, if the store keeps them. Delete them there"
            yield (
                f"other machines that use {url}",
                "matrices, labels, runs and pages. Run the same command there with the content id"
                f"{''.join(f' {each.hex()}' for each in image.content_ids)}, and with the address "
                "of the image if it has one",
            )
        yield (
            "files outside the workspace",
            "not searched. Delete the image from predictions, label files and copies. Retrain "
            "models that were trained on it",
        )

    def _fragments(self) -> dict[StoredPath, pa.Table]:
        """Return the fragments that contain the image, each with its rows of other images."""
        found = {}
        for kind in KINDS:
            for path in fragments_of_all_specs(self.workspace.cache, kind):
                table = read_parquet(path)
                of_image = pc.is_in(table["content_id"], value_set=self.contents)
                if kind == "failures":
                    unread = pc.is_null(table["content_id"])
                    of_image = pc.or_(
                        of_image, pc.and_(unread, pc.is_in(table["path"], value_set=self.ids))
                    )
                if pc.any(of_image).as_py():
                    found[path] = table.filter(pc.invert(of_image))
                    if kind == "fragments":
                        self.vectors += list(vectors_of(table.filter(of_image)).copy())
        return found

    def _rewrite_fragment(self, path: StoredPath, rest: pa.Table) -> None:
        self.rewritten.append(path)
        if self.dry_run:
            return
        if rest.num_rows:
            metadata = {k.decode(): v.decode() for k, v in rest.schema.metadata.items()}
            write_fragment(path.parent, rest, metadata)
        path.unlink()

    def _remove_matrices(self) -> None:
        with_image = needed_matrices(self.workspace, self.image.content_ids)
        needed = needed_matrices(self.workspace)
        combined = {spec.id for spec in specs_of_library(self.workspace, COMBINED)}
        for folder in matrix_folders(self.workspace):
            key = folder.parent.name, folder.name
            # The items of a matrix that no dataset needs are unknown. Only a search for the vectors
            # of the image can tell whether the matrix contains it. Without these, it is removed. So
            # is a matrix of scaled vectors.
            can_search = self.vectors and folder.parent.name not in combined
            if key in with_image or (key not in needed and not can_search):
                self._remove(folder)

    def _rewrite_memories(self) -> None:
        for path in memories(self.workspace):
            table = read_memory(path)
            ids = pa.array(
                [each for name, each in self.image.items if name == path.parent.name], pa.string()
            )
            of_image = pc.or_(
                pc.fill_null(pc.is_in(table["content_id"], value_set=self.contents), False),
                pc.is_in(table["id"], value_set=ids),
            )
            if not pc.any(of_image).as_py():
                continue
            self.rewritten.append(path)
            if not self.dry_run and not write_memory(path, table.filter(pc.invert(of_image))):
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
        """Return the tables of runs with the image, each with a mask of the image's rows."""
        found = {}
        for dataset in sorted({name for name, _ in self.image.items}):
            ids = pa.array([each for name, each in self.image.items if name == dataset])
            for path in sorted(self.workspace.runs.glob(f"{_literal(dataset)}*/*.parquet")):
                table = read_parquet(path)
                if "id" in table.column_names:
                    of_image = pc.is_in(table["id"], value_set=ids)
                    if pc.any(of_image).as_py():
                        found[path] = of_image
        return found

    def _rewrite_picks(self, path: Path, of_image: Any) -> None:
        """Remove the id from the picks of a run, and keep row, score and label."""
        self.rewritten.append(path)
        if not self.dry_run:
            table = read_parquet(path)
            column = pc.if_else(of_image, pa.scalar(None, pa.string()), table["id"])
            place = table.column_names.index("id")
            write_parquet(path, table.set_column(place, table.schema.field("id"), column))

    def _remove(self, path: Path) -> None:
        if path not in self.removed:
            self.removed.append(path)
            if not self.dry_run:
                remove(path)

    def _search_others(self, known: set[Path]) -> None:
        """Search the files that are not `known`; remove or list the files with the image."""
        for path in all_files(self.workspace.root):
            if path in known or self._is_rewritten(path):
                continue
            if any(parent in self.removed for parent in (path, *path.parents)):
                continue
            if not file_holds(path, self._tests(path), self.image.content_ids, self.vectors):
                continue
            derived = self._derived(path)
            if derived is None:
                self.remaining.append((str(path), "contains the image. Edit or delete the file"))
            else:
                self._remove(derived)

    def _is_rewritten(self, path: Path) -> bool:
        """Return whether another step rewrites the rows of a file."""
        parts = path.relative_to(self.workspace.root).parts
        if _is_temporary(path.name):
            return False
        if parts[0] == "cache":
            return len(parts) == 4 and parts[2] in ("fragments", "failures")
        return parts[0] in ("datasets", f"{self.workspace.labels.name}-wal")

    def _tests(self, path: Path) -> list[Callable[[bytes], bool]]:
        """Return tests of file contents for the content ids and paths of the image."""
        digests = [each.hex().encode() for each in self.image.content_ids]
        digests += list(self.image.content_ids)
        tests: list[Callable[[bytes], bool]] = [contains(digest) for digest in digests]
        parts = path.relative_to(self.workspace.root).parts
        for dataset, item in self.image.items:
            # An id is searched only in files of its dataset: another dataset may have the same id.
            if any(part.startswith(dataset) for part in parts) or parts[0] in ANY_DATASET:
                tests += [contains_name(name) for name in encodings(item)]
        return tests

    def _derived(self, path: Path) -> Path | None:
        """Return the file or the folder to remove; None if the file cannot be recreated."""
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


def _is_temporary(name: str) -> bool:
    return name.startswith(TEMPORARY_PREFIX)


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)
