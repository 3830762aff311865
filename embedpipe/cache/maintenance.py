"""Maintenance of the cache: list, verify, and remove files."""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .._files import TEMPORARY_PREFIX, temporary_path
from .._storage import ObjectPath, StoredPath, entries, map_parallel
from .._workspace import Workspace
from ..errors import CacheError, DamagedFileError, UsageError
from .combined import open_store
from .fragments import (
    KINDS,
    OTHER_SPEC,
    describe_damage,
    digest_of_ids,
    fragment_paths,
    is_whole,
    spec_id_of,
    unwritable,
)
from .matrices import in_use, matrix_problem
from .scan_memory import memories, memory_problem, read_memory
from .store import AHEAD, CANARY, CONTENT_ID, Spec, read_with_digest

__all__ = [
    "Problem",
    "SpecFolders",
    "collect_garbage",
    "drop_spec",
    "find_spec",
    "list_specs",
    "matrix_folders",
    "needed_matrices",
    "remove",
    "specs_of_library",
    "verify",
]

UNFINISHED_AFTER = 3600.0
"""Seconds after which a temporary file counts as left over."""

UNUSED_DAYS = 30
"""Days after which an unread index counts as stale."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A damaged or unneeded file or folder, its size in bytes, and the reason as a phrase."""

    path: StoredPath
    reason: str
    size: int = field(default=0, compare=False)


def size_of(path: StoredPath) -> int:
    """Return the size of a file, or of all files in a folder, in bytes; 0 if it is missing."""
    if isinstance(path, ObjectPath):
        objects = path.files() if path.is_dir() else [path]
        return sum(each.entry().size for each in objects)
    total = 0
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            status = each.lstat()
            total += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return total


def list_specs(workspace: Workspace) -> list[dict[str, Any]]:
    """Return id, options, ``rows``, ``bytes`` and ``failed`` of each spec."""
    return [_summary(workspace, folder) for folder in _spec_folders(workspace)]


def _summary(workspace: Workspace, folder: StoredPath) -> dict[str, Any]:
    spec = _read_spec(folder)
    if spec is None:
        raise DamagedFileError(
            f"{folder / 'spec.json'} is missing or altered. Run `embedpipe cache verify` for "
            "details."
        )
    store = open_store(workspace, spec)
    of_images = (spec.parts or (spec,))[0].preprocess
    return {
        "spec_id": spec.id,
        "backbone": f"{spec.backbone['library']}:{spec.backbone['architecture']}",
        "image_size": of_images.get("size"),
        "pooling": spec.backbone.get("pooling"),
        "views": of_images.get("views", "none"),
        "dim": spec.dim,
        "precision": spec.precision,
        "rows": len(pc.unique(store.content_ids())),
        "fragments": len(fragment_paths(folder / "fragments")),
        "bytes": size_of(folder),
        "failed": len(store.failures()),
    }


def verify(workspace: Workspace) -> list[Problem]:
    """Check all bytes of the cache and the matrices; return a problem for each invalid file."""
    return [problem for problem, _ in _problems(workspace)]


def collect_garbage(
    workspace: Workspace, *, matrices: bool = False, dry_run: bool = False
) -> list[Problem]:
    """Remove damaged files, leftovers of killed runs, and derived files that no dataset needs.

    Three kinds of derived files are stale: matrices of former lists of items, indexes not read for
    30 days, and stored problems whose matrix is missing. Stale files are computed again when
    needed. Valid fragments, files in use and files of other programs are kept.

    Parameters
    ----------
    workspace
        The workspace.
    matrices
        Whether to remove all matrices.
    dry_run
        Whether to list the files without removing them.

    Returns
    -------
    list of Problem
        The removed files and folders, with the reason.
    """
    chosen: dict[StoredPath, Problem] = {
        problem.path: problem for problem, removable in _problems(workspace) if removable
    }
    for problem in _stale(workspace, everything=matrices):
        if chosen.keys().isdisjoint((problem.path, *problem.path.parents)):
            chosen[problem.path] = problem
    found = [replace(problem, size=size_of(path)) for path, problem in chosen.items()]
    if not dry_run:
        for path in chosen:
            remove(path)
    return found


def remove(path: StoredPath) -> None:
    """Remove a file or a folder; a folder is renamed first, so that no reader finds half of it.

    On an object store, the objects of a folder are removed one by one: the file of the spec last.
    """
    try:
        if isinstance(path, ObjectPath):
            if path.is_dir():
                path.remove_tree()
            else:
                path.unlink(missing_ok=True)
            return
        if not path.is_dir() or path.is_symlink():
            path.unlink(missing_ok=True)
            return
        aside = path
        if not path.name.startswith(TEMPORARY_PREFIX):
            aside = temporary_path(path)
            path.rename(aside)
        shutil.rmtree(aside)
    except FileNotFoundError:
        return  # another process removed it
    except OSError as error:
        raise unwritable(f"cannot remove {path}: {error.strerror or error}.", error) from error


def _stale(workspace: Workspace, *, everything: bool) -> Iterator[Problem]:
    """Yield valid derived files that no dataset needs."""
    needed = set() if everything else needed_matrices(workspace)
    removed = set()
    for folder in matrix_folders(workspace):
        if (folder.parent.name, folder.name) not in needed and not in_use(folder):
            removed.add(folder)
            derived = "derived: it is computed again when needed"
            yield Problem(folder, derived if everything else "stale: no dataset has these items")
        else:
            for index in entries(folder / "index"):
                if _unused(index) and not in_use(folder):
                    reason = f"stale: an index that was not read for {UNUSED_DAYS} days"
                    yield Problem(index, reason)
    for folder in entries(workspace.root / "problems"):
        matrix = _matrix_of_problem(folder)
        if matrix is not None and (matrix.parent in removed or not matrix.exists()):
            yield Problem(folder, "stale: its matrix is missing")


def needed_matrices(
    workspace: Workspace, holding: Collection[bytes] | None = None
) -> set[tuple[str, str]]:
    """Return (spec id, items digest) of each matrix that a dataset's scan memory needs."""
    # `holding` limits the result to matrices that contain at least one of these images.
    listings = [
        read_memory(path)["content_id"].combine_chunks().drop_null() for path in memories(workspace)
    ]
    if holding is not None:
        wanted = pa.array(list(holding), CONTENT_ID)
        listings = [each for each in listings if pc.any(pc.is_in(each, value_set=wanted)).as_py()]
    needed: set[tuple[str, str]] = set()
    for folder in _spec_folders(workspace):
        spec = _read_spec(folder)
        if spec is None:
            continue
        store = open_store(workspace, spec)
        try:
            for content_ids in listings:
                stored = content_ids.filter(pa.array(~store.missing(content_ids)))
                # The matrix of all items is needed too: a lost fragment may be computed again.
                needed.update((spec.id, digest_of_ids(each)) for each in (stored, content_ids))
        except DamagedFileError:  # it is unknown which images have a vector
            needed.update((spec.id, each.name) for each in entries(workspace.matrices / spec.id))
    return needed


def specs_of_library(workspace: Workspace, library: str) -> list[Spec]:
    """Return the specs of the backbones of one library, by id."""
    specs = map(_read_spec, _spec_folders(workspace))
    return [each for each in specs if each is not None and each.backbone["library"] == library]


def _unused(index: Path) -> bool:
    """Return whether no run has read an index recently; reading updates its time."""
    try:
        used = max(path.stat().st_mtime for path in (index, *index.rglob("*")))
    except FileNotFoundError:
        return False  # another process changes it
    return time.time() - used > UNUSED_DAYS * 86_400


def _matrix_of_problem(folder: Path) -> Path | None:
    try:
        return Path(json.loads((folder / "problem.json").read_bytes())["matrix"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class SpecFolders:
    """The folders of one spec: its vectors and its matrices; `size` is in bytes."""

    spec_id: str
    backbone: str | None
    precision: str | None
    folders: tuple[StoredPath, ...]
    size: int


def find_spec(workspace: Workspace, prefix: str) -> SpecFolders:
    """Return the folders of the one spec whose id starts with `prefix`."""
    places: tuple[StoredPath, ...] = workspace.cache, workspace.matrices
    known = {
        path.name
        for place in places
        for path in entries(place)
        if path.is_dir() and len(path.name) == 64
    }
    found = sorted(name for name in known if prefix and name.startswith(prefix.lower()))
    if len(found) != 1:
        listing = ", ".join(name[:12] for name in (found or sorted(known))) or "none"
        count = f"{len(found)} specs start" if found else "no spec starts"
        raise UsageError(
            f"{count} with {prefix!r}; give more characters of an id. Specs in {workspace.cache}: "
            f"{listing}."
        )
    (name,) = found
    spec = _read_spec(workspace.cache / name)
    folders = tuple(place / name for place in places if (place / name).is_dir())
    return SpecFolders(
        name,
        None if spec is None else f"{spec.backbone['library']}:{spec.backbone['architecture']}",
        None if spec is None else spec.precision,
        folders,
        sum(size_of(folder) for folder in folders),
    )


def drop_spec(workspace: Workspace, found: SpecFolders) -> None:
    """Remove a spec with its vectors, failures, canary and matrices."""
    for folder in entries(workspace.matrices / found.spec_id):
        if in_use(folder):
            raise CacheError(
                f"{folder} is in use. Nothing was removed. End the process that uses it, then run "
                "the same command again."
            )
    for place in found.folders:
        remove(place)


def _problems(workspace: Workspace) -> Iterator[tuple[Problem, bool]]:
    """Yield each problem, with true if its file may be removed."""
    for folder in entries(workspace.cache):
        if not folder.name.startswith(TEMPORARY_PREFIX):
            yield from _problems_of_spec(folder)
    for folder in matrix_folders(workspace):
        reason = matrix_problem(folder, folder.parent.name, folder.name)
        if reason is not None:
            yield Problem(folder, reason), True
    for path in memories(workspace):
        if (reason := memory_problem(path)) is not None:
            yield Problem(path, reason), True
    yield from _unfinished(workspace.root)


def _problems_of_spec(folder: StoredPath) -> Iterator[tuple[Problem, bool]]:
    if not folder.is_dir():
        yield Problem(folder, "not a file of this cache"), False
        return
    spec = _read_spec(folder)
    if spec is None:
        reason = "the spec is missing or altered: it does not match the folder's name"
        yield Problem(folder / "spec.json", reason), (folder / "spec.json").exists()
    for path in entries(folder):
        if path.name == "spec.json" or path.name in KINDS:
            continue
        if path.name == CANARY:
            if read_with_digest(path.read_bytes()) is None:
                yield Problem(path, "altered: its content does not match its digest"), True
        elif not path.name.startswith(TEMPORARY_PREFIX):
            yield Problem(path, "not a file of this cache"), False
    for kind in KINDS:
        found = map_parallel(
            lambda path: _problem_of_fragment(path, folder.name), entries(folder / kind), AHEAD
        )
        yield from (each for each in found if each is not None)


def _problem_of_fragment(path: StoredPath, spec_id: str) -> tuple[Problem, bool] | None:
    if path.name.startswith(TEMPORARY_PREFIX):
        return None
    if path.suffix != ".parquet" or not path.is_file():
        return Problem(path, "not a file of this cache"), False
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None  # removed by another process
    if not is_whole(path, data):
        return Problem(path, describe_damage(data)), True
    return (Problem(path, OTHER_SPEC), True) if spec_id_of(data) != spec_id else None


def _unfinished(root: Path) -> Iterator[tuple[Problem, bool]]:
    """Yield old temporary files and folders."""
    for path in sorted(root.rglob(f"{TEMPORARY_PREFIX}*")):
        if any(parent.name.startswith(TEMPORARY_PREFIX) for parent in path.parents):
            continue
        try:
            written = max(each.stat().st_mtime for each in (path, *path.rglob("*")))
        except FileNotFoundError:
            continue  # its writer has finished
        if time.time() - written > UNFINISHED_AFTER:
            yield Problem(path, "unfinished: left over from a run that was killed"), True


def _read_spec(folder: StoredPath) -> Spec | None:
    try:
        data = (folder / "spec.json").read_bytes()
        spec = Spec.from_json(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return spec if spec.id == folder.name and data == spec.to_json().encode() else None


def _spec_folders(workspace: Workspace) -> list[StoredPath]:
    return [
        path
        for path in entries(workspace.cache)
        if path.is_dir() and not path.name.startswith(TEMPORARY_PREFIX)
    ]


def matrix_folders(workspace: Workspace) -> list[Path]:
    """Return the folders of all finished matrices."""
    return [
        folder
        for spec in entries(workspace.matrices)
        for folder in entries(spec)
        if not folder.name.startswith(TEMPORARY_PREFIX)  # unfinished
    ]
