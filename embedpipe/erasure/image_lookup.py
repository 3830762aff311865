"""Finding an image in a workspace: its content ids and items."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from .._files import read_parquet
from .._urls import is_url, public_url
from .._workspace import Workspace
from ..cache import CONTENT_ID, memories, read_memory
from ..cache.fragments import fragments_of_all_specs
from ..datasets.dataset import address_name, former_path_name, path_name
from ..datasets.identifiers import encode_id
from ..errors import UsageError
from ..labels import LabelLog

__all__ = ["FoundImage", "find_image"]

_CONTENT_ID = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True)
class FoundImage:
    """The content ids, items and files of an image in a workspace."""

    content_ids: tuple[bytes, ...]  # SHA-256; several if the file was edited
    items: tuple[tuple[str, str], ...]  # pairs of dataset and id
    files: tuple[Path, ...]  # the image file, if it exists
    address: str | None = None  # if it was named by its address; without a signature


def find_image(workspace: Workspace, image: str) -> FoundImage:
    """Return the content ids, items and files of an image.

    `image` is a path or an address (the file itself may be deleted), an id in a dataset, or a
    SHA-256 in hexadecimal. `UsageError` is raised if no image or more than one image matches.

    Another machine may have erased the image from the store of a shared workspace already. There,
    every content id is accepted, and every address in a dataset of which this machine has files.
    """
    known = _ItemsAndContents(workspace)
    file = Path(image).expanduser()
    contents: set[bytes] = set()
    address = public_url(image) if is_url(image) else None
    possible = _possible_items(image)
    items = possible & known.items
    if workspace.url is not None and address is not None:
        items |= {each for each in possible if _has_files(workspace, each[0])}
    if file.is_file():
        contents.add(hashlib.sha256(file.read_bytes()).digest())
    elif _CONTENT_ID.fullmatch(image):
        contents.add(bytes.fromhex(image))
    elif not items:
        wanted = address or image.removeprefix("./")
        items = {each for each in known.items if each[1] == wanted}
        if len(items) > 1 and len(found := known.contents_of(items)) > 1:
            listing = ", ".join(f"{path!r} in {name}" for name, path in sorted(items)[:3])
            digests = ", ".join(sorted(each.hex() for each in found)[:3])
            raise UsageError(
                f"{image!r} matches {len(found)} images: {listing}. Give the absolute path or the "
                f"content id ({digests})."
            )
    contents |= known.contents_of(items)
    items |= known.items_of(contents)
    is_erased_elsewhere = workspace.url is not None and bool(contents)
    if not items and not is_erased_elsewhere and not _embedded(workspace, contents):
        raise UsageError(
            f"{workspace} does not contain {image!r}. Give the path of the image, its id in a "
            "dataset, or its SHA-256."
        )
    files = (file.resolve(),) if file.is_file() else ()
    return FoundImage(tuple(sorted(contents)), tuple(sorted(items)), files, address)


class _ItemsAndContents:
    """Items of all datasets with their content ids, from the scan memories and the label log."""

    def __init__(self, workspace: Workspace) -> None:
        self._rows: set[tuple[str, str, bytes | None]] = set()
        for path in memories(workspace):
            table = read_memory(path)
            columns = table["id"].to_pylist(), table["content_id"].to_pylist()
            self._rows.update((path.parent.name, *row) for row in zip(*columns, strict=True))
        if workspace.labels.exists():
            with LabelLog(workspace.labels) as log:
                for event in log.events():
                    if event.path is not None:
                        self._rows.add((event.dataset, event.path, event.content_id))
        self.items = {(name, path) for name, path, _ in self._rows}

    def contents_of(self, items: set[tuple[str, str]]) -> set[bytes]:
        return {
            content
            for name, path, content in self._rows
            if content is not None and (name, path) in items
        }

    def items_of(self, contents: set[bytes]) -> set[tuple[str, str]]:
        return {(name, path) for name, path, content in self._rows if content in contents}


def _possible_items(image: str) -> set[tuple[str, str]]:
    """Return the items that an image may be in the datasets whose folder or address is above it."""
    if is_url(image):
        parts = public_url(image).split("/")
        parents = {depth: "/".join(parts[:depth]) for depth in range(3, len(parts))}
        names = {depth: {address_name(parent)} for depth, parent in parents.items()}
    else:
        parts = list(Path(os.path.abspath(Path(image).expanduser())).parts)  # noqa: PTH100 - keep links
        parents = {depth: str(Path(*parts[:depth])) for depth in range(1, len(parts))}
        names = {
            depth: {path_name(parent), former_path_name(parent)}
            for depth, parent in parents.items()
        }
    return {
        (name, encode_id("/".join(parts[start:])))
        for depth in parents
        for name in names[depth]
        for start in range(depth, len(parts))  # ids may lack outer folders
    }


def _has_files(workspace: Workspace, dataset: str) -> bool:
    """Return whether runs, reports or other files of a dataset are on this machine."""
    return any(workspace.root.glob(f"*/{dataset}*"))


def _embedded(workspace: Workspace, contents: set[bytes]) -> bool:
    wanted = pa.array(sorted(contents), CONTENT_ID)
    return any(
        pc.any(pc.is_in(read_parquet(path, ["content_id"])["content_id"], value_set=wanted)).as_py()
        for kind in ("fragments", "failures")
        for path in fragments_of_all_specs(workspace.cache, kind)
    )
