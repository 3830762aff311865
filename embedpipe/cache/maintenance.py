"""Maintenance of the store: its specs, damaged files, and files that can be removed."""

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
from .._workspace import Workspace
from ..errors import CacheError, DamagedFileError, UsageError
from .fragments import (
    FOREIGN_SPEC,
    describe_damage,
    digest_of_ids,
    fragment_paths,
    is_whole,
    spec_id_of,
    unwritable,
)
from .matrices import in_use, matrix_problem
from .scan_memory import memory_problem, read_memory
from .store import CANARY, CONTENT_ID, Spec, Store, unsealed

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
    "verify",
]

UNFINISHED_AFTER = 3600.0
"""Seconds after which a temporary file is taken for left over: its writer is not at work."""


UNUSED_DAYS = 30
"""Days after which an index that was not read is taken for one of an old candidate set."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or folder in the store that is damaged or no longer needed.

    Attributes
    ----------
    path
        The file or folder.
    reason
        The damage, as a clause.
    size
        Bytes of the file, or of all files in the folder; counted by `collect_garbage` only.
    """

    path: Path
    reason: str
    size: int = field(default=0, compare=False)


def size_of(path: Path) -> int:
    """Return the bytes of a file or of all files in a folder; 0 for a missing one."""
    total = 0
    for each in (path, *path.rglob("*")):
        with contextlib.suppress(OSError):
            status = each.lstat()
            total += 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return total


def list_specs(workspace: Workspace) -> list[dict[str, Any]]:
    """Return a row for each spec: id, backbone, precision, ``rows``, ``bytes``, ``failed``.

    Raises
    ------
    DamagedFileError
        If a file is damaged, naming it.
    """
    return [_summary(workspace, folder) for folder in _spec_folders(workspace)]


def _summary(workspace: Workspace, folder: Path) -> dict[str, Any]:
    spec = _read_spec(folder)
    if spec is None:
        raise DamagedFileError(
            f"{folder / 'spec.json'} is missing or altered. `embedpipe cache verify` tells more."
        )
    store = Store(workspace, spec)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "spec_id": spec.id,
        "backbone": f"{spec.backbone['library']}:{spec.backbone['architecture']}",
        "dim": spec.dim,
        "precision": spec.precision,
        "rows": len(pc.unique(store.content_ids())),
        "fragments": len(fragment_paths(folder / "fragments")),
        "bytes": sum(path.stat().st_size for path in files),
        "failed": len(store.failures()),
    }


def verify(workspace: Workspace) -> list[Problem]:
    """Check every bit in the store and in the matrices.

    Returns
    -------
    list of Problem
        Truncated, empty, altered, foreign and unfinished files, each named; empty if all is well.
    """
    return [problem for problem, _ in _problems(workspace)]


def collect_garbage(
    workspace: Workspace, *, matrices: bool = False, dry_run: bool = False
) -> list[Problem]:
    """Remove damaged files, leftovers of killed runs, and derived files that no dataset needs.

    A matrix is stale if no dataset has its list of items any more, by the scan memories. An index
    is stale if no run has read it for 30 days. A problem that was written for worker processes is
    stale if its matrix is gone. All of these are derived and come back when they are needed. What
    another process uses or writes is left alone.

    Nothing that is right is ever removed from the store: the rows of a removed fragment are
    embedded again by the next run. Files that embedpipe did not write are named by `verify` but
    left alone.

    Parameters
    ----------
    workspace
        The workspace.
    matrices
        Remove all matrices too; they are derived and come back when they are needed.
    dry_run
        Only tell.

    Returns
    -------
    list of Problem
        What was removed, and why.
    """
    doomed = {problem.path: problem for problem, removable in _problems(workspace) if removable}
    for problem in _stale(workspace, everything=matrices):
        if not any(parent in doomed for parent in (problem.path, *problem.path.parents)):
            doomed[problem.path] = problem
    found = [replace(problem, size=size_of(path)) for path, problem in doomed.items()]
    if not dry_run:
        for path in doomed:
            remove(path)
    return found


def remove(path: Path) -> None:
    """Remove a file, or a folder: under a temporary name first, so that nobody reads a part."""
    try:
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
    """Yield derived files that are whole and that no dataset needs."""
    needed = set() if everything else needed_matrices(workspace)
    gone = set()
    for folder in matrix_folders(workspace):
        if (folder.parent.name, folder.name) not in needed and not in_use(folder):
            gone.add(folder)
            yield Problem(folder, "derived" if everything else "stale: no dataset has these items")
        else:
            for index in _entries(folder / "index"):
                if _unused(index) and not in_use(folder):
                    reason = f"stale: an index that was not read for {UNUSED_DAYS} days"
                    yield Problem(index, reason)
    for folder in _entries(workspace.root / "problems"):
        matrix = _matrix_of_problem(folder)
        if matrix is not None and (matrix.parent in gone or not matrix.exists()):
            yield Problem(folder, "stale: its matrix is gone")


def needed_matrices(
    workspace: Workspace, holding: Collection[bytes] | None = None
) -> set[tuple[str, str]]:
    """Return spec id and items digest of the matrices of all datasets, by their scan memories."""
    # With `holding`, only of matrices that hold one of these contents.
    listings = [
        read_memory(folder / "items.parquet")["content_id"].combine_chunks().drop_null()
        for folder in _entries(workspace.root / "datasets")
    ]
    if holding is not None:
        wanted = pa.array(list(holding), CONTENT_ID)
        listings = [each for each in listings if pc.any(pc.is_in(each, value_set=wanted)).as_py()]
    needed: set[tuple[str, str]] = set()
    for folder in _spec_folders(workspace):
        spec = _read_spec(folder)
        if spec is None:
            continue
        store = Store(workspace, spec)
        try:
            for content_ids in listings:
                there = content_ids.filter(pa.array(~store.missing(content_ids)))
                # All of them, too: a fragment may have been lost and will be made again.
                needed.update((spec.id, digest_of_ids(each)) for each in (there, content_ids))
        except DamagedFileError:  # which images have a vector is not known: any may be needed
            needed.update((spec.id, each.name) for each in _entries(workspace.matrices / spec.id))
    return needed


def _unused(index: Path) -> bool:
    """Return whether no run has read an index for a long time; reading it sets its time."""
    try:
        used = max(path.stat().st_mtime for path in (index, *index.rglob("*")))
    except FileNotFoundError:
        return False  # it is being changed
    return time.time() - used > UNUSED_DAYS * 86_400


def _matrix_of_problem(folder: Path) -> Path | None:
    try:
        return Path(json.loads((folder / "problem.json").read_bytes())["matrix"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True, slots=True)
class SpecFolders:
    """All that a workspace keeps of one spec.

    Attributes
    ----------
    spec_id
        Its id.
    backbone, precision
        Of the spec; None if it cannot be read.
    folders
        Its part of the store and its matrices.
    size
        Bytes of all files in them.
    """

    spec_id: str
    backbone: str | None
    precision: str | None
    folders: tuple[Path, ...]
    size: int


def find_spec(workspace: Workspace, prefix: str) -> SpecFolders:
    """Return the folders of the one spec whose id begins with `prefix`.

    Raises
    ------
    UsageError
        If no spec or more than one begins so.
    """
    places = workspace.cache, workspace.matrices
    known = {
        path.name
        for place in places
        for path in _entries(place)
        if path.is_dir() and len(path.name) == 64
    }
    found = sorted(name for name in known if prefix and name.startswith(prefix.lower()))
    if len(found) != 1:
        listing = ", ".join(name[:12] for name in (found or sorted(known))) or "none"
        what = "begin" if found else "are there"
        raise UsageError(
            f"{len(found) or 'no'} spec{'s' if len(found) != 1 else ''} in {workspace.cache} "
            f"begin{'s' if len(found) == 1 else ''} with {prefix!r}: give more of the id. These "
            f"{what}: {listing}."
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
    """Remove a spec with its vectors, failures, canary and matrices.

    Raises
    ------
    CacheError
        If another process uses one of its matrices, or a folder cannot be removed.
    """
    for folder in _entries(workspace.matrices / found.spec_id):
        if in_use(folder):
            raise CacheError(
                f"{folder} is in use: nothing was removed. End the process that uses it, then run "
                "the same command again."
            )
    for folder in found.folders:
        remove(folder)


def _problems(workspace: Workspace) -> Iterator[tuple[Problem, bool]]:
    """Yield each problem, and whether its file may be removed."""
    for folder in _entries(workspace.cache):
        if not folder.name.startswith(TEMPORARY_PREFIX):
            yield from _problems_of_spec(folder)
    for folder in matrix_folders(workspace):
        reason = matrix_problem(folder, folder.parent.name, folder.name)
        if reason is not None:
            yield Problem(folder, reason), True
    for folder in _entries(workspace.root / "datasets"):
        path = folder / "items.parquet"
        if path.exists() and (reason := memory_problem(path)) is not None:
            yield Problem(path, reason), True
    yield from _unfinished(workspace.root)


def _problems_of_spec(folder: Path) -> Iterator[tuple[Problem, bool]]:
    if not folder.is_dir():
        yield Problem(folder, "not a file of this cache"), False
        return
    spec = _read_spec(folder)
    if spec is None:
        reason = "the spec is missing or altered: it does not match the folder's name"
        yield Problem(folder / "spec.json", reason), (folder / "spec.json").exists()
    for path in _entries(folder):
        if path.name in ("spec.json", "fragments", "failures"):
            continue
        if path.name == CANARY:
            if unsealed(path.read_bytes()) is None:
                yield Problem(path, "altered: its content does not match its digest"), True
        elif not path.name.startswith(TEMPORARY_PREFIX):
            yield Problem(path, "not a file of this cache"), False
    for kind in ("fragments", "failures"):
        for path in _entries(folder / kind):
            yield from _problems_of_fragment(path, folder.name)


def _problems_of_fragment(path: Path, spec_id: str) -> Iterator[tuple[Problem, bool]]:
    if path.name.startswith(TEMPORARY_PREFIX):
        return
    if path.suffix != ".parquet" or not path.is_file():
        yield Problem(path, "not a file of this cache"), False
        return
    try:
        data = path.read_bytes()
        if not is_whole(path, data):
            yield Problem(path, describe_damage(data)), True
        elif spec_id_of(data) != spec_id:
            yield Problem(path, FOREIGN_SPEC), True
    except FileNotFoundError:
        return  # removed by another process


def _unfinished(root: Path) -> Iterator[tuple[Problem, bool]]:
    """Yield temporary files and folders, wherever they are, whose writer is not at work."""
    for path in sorted(root.rglob(f"{TEMPORARY_PREFIX}*")):
        if any(parent.name.startswith(TEMPORARY_PREFIX) for parent in path.parents):
            continue
        try:
            written = max(each.stat().st_mtime for each in (path, *path.rglob("*")))
        except FileNotFoundError:
            continue  # its writer has just finished
        if time.time() - written > UNFINISHED_AFTER:
            yield Problem(path, "unfinished: left over from a run that was killed"), True


def _read_spec(folder: Path) -> Spec | None:
    try:
        data = (folder / "spec.json").read_bytes()
        spec = Spec.from_json(data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return spec if spec.id == folder.name and data == spec.to_json().encode() else None


def _spec_folders(workspace: Workspace) -> list[Path]:
    return [
        path
        for path in _entries(workspace.cache)
        if path.is_dir() and not path.name.startswith(TEMPORARY_PREFIX)
    ]


def matrix_folders(workspace: Workspace) -> list[Path]:
    """Return the folders of all finished matrices."""
    return [
        folder
        for spec in _entries(workspace.matrices)
        for folder in _entries(spec)
        if not folder.name.startswith(TEMPORARY_PREFIX)  # another process may be building it
    ]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
