"""Looking up an image in a workspace: its content ids and its items."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from .._files import read_parquet
from .._workspace import Workspace
from ..cache import CONTENT_ID, read_memory
from ..cache.fragments import fragment_paths
from ..datasets.dataset import path_name
from ..datasets.identifiers import encode_id
from ..errors import UsageError
from ..labels import LabelLog

__all__ = ["FoundImage", "find_image"]

_CONTENT_ID = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class FoundImage:
    """The content ids, items and files of an image in a workspace.

    Attributes
    ----------
    content_ids
        SHA-256 of its bytes; several if the file was edited.
    items
        Dataset and id of every item with these bytes.
    files
        Where the image itself is, if it is still there.
    """

    content_ids: tuple[bytes, ...]
    items: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]


def find_image(workspace: Workspace, image: str) -> FoundImage:
    """Return the content ids, items and files of an image.

    Parameters
    ----------
    workspace
        The workspace to search.
    image
        Path of its file, which may be gone; its id in a dataset; or the SHA-256 of
        its bytes in hexadecimal.

    Raises
    ------
    UsageError
        If the workspace has no trace of it, or if it may be several images.
    """
    known = _ItemsAndContents(workspace)
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


class _ItemsAndContents:
    """Items of all datasets with their content ids, from the scan memories and the label log."""

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
