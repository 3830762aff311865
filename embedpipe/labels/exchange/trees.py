"""Folders that exist whole or not at all, the images in them, and trees with a folder per class."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..._files import sync_folder, temporary_path
from ...datasets.folder import walk
from ...datasets.identifiers import decode_id
from ...errors import FormatError
from .base import OpenImage
from .entries import Entry
from .labelled import Labelled
from .paths import UNLABELLED, unescape

__all__ = [
    "class_entry",
    "image_bytes",
    "sure_items",
    "tree_entries",
    "whole_folder",
    "write_image",
]


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


def tree_entries(root: Path) -> Iterator[Entry]:
    """Yield the images of a tree with a folder per class; those outside of a class are left out.

    Raises
    ------
    FormatError
        If `root` is no folder, or no image is in a folder inside of it.
    """
    if not root.is_dir():
        raise FormatError(f"{root} is not a folder with a folder for each class.")
    inside = [file for file in sorted(walk(str(root), Counter())) if "/" in file]
    if not inside:
        raise FormatError(f"{root} holds no images in folders of classes.")
    for file in inside:
        yield class_entry(f"{root}, file {file!r}", file)


def class_entry(where: str, file: str) -> Entry:
    """Return the entry of an image at ``class/path``; nothing is said of an unlabelled one."""
    folder, _, inside = file.partition("/")
    path = "/".join(unescape(part) for part in inside.split("/"))
    return Entry(where, path, None if folder in UNLABELLED else unescape(folder))
