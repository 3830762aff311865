"""Image files that were named one by one, as a dataset without labels."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence

from ..errors import DatasetError
from .dataset import Dataset, path_name
from .folder import FolderSource
from .identifiers import encode_id
from .item import Item
from .similar import no_such_path
from .suffixes import IMAGE_SUFFIXES, is_image

__all__ = ["load_files"]


def load_files(paths: Sequence[str | os.PathLike[str]]) -> Dataset:
    """Return the dataset of some image files: an id is the path relative to their common folder.

    Items are sorted by id, as in every dataset; the order of `paths` does not count. They have no
    labels. The scan memory is not written for them, since another call may name other files.

    Raises
    ------
    DatasetError
        If there is no path, one is not the path of an image file, or a file is named twice.

    Examples
    --------
    >>> from PIL import Image
    >>> (tmp / "b").mkdir()
    >>> for name in ("a.png", "b/a.png"):
    ...     Image.new("RGB", (8, 8)).save(tmp / name)
    >>> [item.id for item in load_files([tmp / "b" / "a.png", tmp / "a.png"]).items]
    ['a.png', 'b/a.png']
    """
    if not paths:
        raise DatasetError("the list of image files is empty: give at least one path.")
    absolute = [_checked(path) for path in paths]
    ((most, times),) = Counter(absolute).most_common(1)
    if times > 1:
        raise DatasetError(f"{encode_id(most)!r} is named {times} times; name each file once.")
    folder = os.path.commonpath([os.path.dirname(path) for path in absolute])
    ids = sorted(encode_id(os.path.relpath(path, folder)).replace(os.sep, "/") for path in absolute)
    named = absolute[0] if len(absolute) == 1 else folder
    return Dataset(
        path_name(named, "\0".join(sorted(absolute))),
        tuple(Item(id) for id in ids),
        FolderSource(folder),
        listed=True,
    )


def _checked(given: str | os.PathLike[str]) -> str:
    """Return the absolute path of an image file."""
    path = os.path.abspath(os.path.expanduser(os.fspath(given)))
    shown = encode_id(os.fspath(given))
    if os.path.isdir(path):
        raise DatasetError(f"{shown!r} is a folder: give one folder alone, or image files.")
    if not os.path.exists(path):
        raise no_such_path("file", os.fspath(given))
    if not is_image(os.path.basename(path)):
        raise DatasetError(
            f"{shown!r} is not an image file: in a list, each path ends in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}."
        )
    return path
