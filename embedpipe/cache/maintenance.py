"""Looking after the store: what is in it, what is wrong with it, what can go."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from .._files import TEMPORARY_PREFIX
from .._workspace import Workspace
from ..errors import DamagedFileError
from .fragments import FOREIGN_SPEC, describe_damage, fragment_paths, is_whole, spec_id_of
from .matrices import matrix_problem
from .memory import memory_problem
from .spec import Spec
from .store import CANARY, Store, unsealed

__all__ = ["Problem", "collect_garbage", "list_specs", "verify"]

UNFINISHED_AFTER = 3600.0
"""Seconds after which a temporary file is taken for left over: its writer is not at work."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the store that is not what it should be.

    Attributes
    ----------
    path
        The file or folder.
    reason
        What is wrong with it.
    """

    path: Path
    reason: str


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
    """Remove what `verify` names and what is left over from killed runs.

    Nothing that is right is ever removed from the store: the rows of a removed fragment are
    embedded again by the next run. Files that embedpipe did not write are named by `verify` but
    left alone.

    Parameters
    ----------
    workspace
        Where to look.
    matrices
        Remove all matrices too; they are derived and come back when they are needed.
    dry_run
        Only tell.

    Returns
    -------
    list of Problem
        What was removed, and why.
    """
    doomed = [problem for problem, removable in _problems(workspace) if removable]
    if matrices:
        known = {problem.path for problem in doomed}
        doomed += [
            Problem(folder, "derived")
            for folder in _matrix_folders(workspace)
            if folder not in known
        ]
    if not dry_run:
        for problem in doomed:
            _remove(problem.path)
    return doomed


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _problems(workspace: Workspace) -> Iterator[tuple[Problem, bool]]:
    """Yield each problem, and whether what causes it may be removed."""
    for folder in _entries(workspace.cache):
        yield from _problems_of_spec(folder)
    for spec_folder in _entries(workspace.matrices):
        for folder in _entries(spec_folder):
            if folder.name.startswith(TEMPORARY_PREFIX):
                yield from _unfinished(folder)
                continue
            reason = matrix_problem(folder, spec_folder.name, folder.name)
            if reason is not None:
                yield Problem(folder, reason), True
    for folder in _entries(workspace.root / "datasets") + _entries(workspace.runs):
        for path in _entries(folder):
            if path.name.startswith(TEMPORARY_PREFIX):
                yield from _unfinished(path)
            elif path.name == "items.parquet" and (reason := memory_problem(path)) is not None:
                yield Problem(path, reason), True


def _problems_of_spec(folder: Path) -> Iterator[tuple[Problem, bool]]:
    if not folder.is_dir() or (folder.name.startswith(TEMPORARY_PREFIX)):
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
        elif path.name.startswith(TEMPORARY_PREFIX):
            yield from _unfinished(path)
        else:
            yield Problem(path, "not a file of this cache"), False
    for kind in ("fragments", "failures"):
        for path in _entries(folder / kind):
            yield from _problems_of_fragment(path, folder.name)


def _problems_of_fragment(path: Path, spec_id: str) -> Iterator[tuple[Problem, bool]]:
    if path.name.startswith(TEMPORARY_PREFIX):
        yield from _unfinished(path)
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


def _unfinished(path: Path) -> Iterator[tuple[Problem, bool]]:
    try:
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return  # its writer has just finished
    if age > UNFINISHED_AFTER:
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


def _matrix_folders(workspace: Workspace) -> list[Path]:
    return [
        folder
        for spec in _entries(workspace.matrices)
        for folder in _entries(spec)
        if not folder.name.startswith(TEMPORARY_PREFIX)  # another process may be building it
    ]


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
