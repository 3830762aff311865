"""The small files of a CLEAR tree, each fault in them an error that names the file."""
# Paths are text here, as in the rest of the family.

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DatasetError
from .identifiers import encode_id
from .item import Item

__all__ = ["UNLABELLED", "ClearTree", "Listing", "broken", "class_names", "placed", "within"]

UNLABELLED = "0"
"""The bucket of the oldest images, which CLEAR keeps for learning without labels."""


@dataclass(frozen=True)
class Listing:
    """The images that one file of a CLEAR tree lists, all of one bucket.

    Parameters
    ----------
    file
        Its path, relative to the tree.
    bucket
        Of the images.
    items
        In the order of the file; by Flickr id in the new layout, by path in the old one.
    half, class_name
        In the new layout, ``"train"`` or ``"test"`` and the class that the file is about.
    """

    file: str
    bucket: str
    items: Mapping[str, Item]
    half: str | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class ClearTree:
    """What the files of a CLEAR tree say; no image has been looked for.

    Parameters
    ----------
    root
        The folder, as an absolute path.
    class_names
        The classes; their place is their number.
    listings
        What is listed where; about 300 bytes an image.
    """

    root: str
    class_names: tuple[str, ...]
    listings: tuple[Listing, ...]

    def items(self) -> tuple[Item, ...]:
        """Return all items, sorted by id."""
        found = [item for listing in self.listings for item in listing.items.values()]
        return tuple(sorted(found, key=lambda item: item.id))


def broken(root: str, file: str, fault: str) -> DatasetError:
    """Return the error for a fault in a file of the tree at `root`."""
    return DatasetError(f"{file!r} of the CLEAR tree {encode_id(root)!r} {fault}.")


def exists(root: str, file: str) -> bool:
    """Return whether the tree has this file."""
    return os.path.isfile(os.path.join(root, file))


def read_text(root: str, file: str) -> str:
    """Return the content of a text file of the tree.

    Raises
    ------
    DatasetError
        If it is missing, cannot be read, or is not UTF-8.
    """
    path = os.path.join(root, file)
    try:
        with open(path, encoding="utf-8-sig") as opened:
            return opened.read()
    except FileNotFoundError as error:
        raise broken(root, file, "is missing") from error
    except UnicodeDecodeError as error:
        raise broken(root, file, "is not UTF-8") from error
    except OSError as error:
        raise broken(root, file, f"cannot be read: {error.strerror}") from error


def read_json(root: str, file: str) -> Any:
    """Return what a JSON file of the tree holds.

    Raises
    ------
    DatasetError
        If it is missing, cannot be read, or is not JSON.
    """
    try:
        return json.loads(read_text(root, file))
    except json.JSONDecodeError as error:
        raise broken(root, file, f"is not JSON: {error}") from error


def mapping(root: str, file: str, value: object, what: str) -> dict[str, Any]:
    """Return `value`, which has to be a JSON object of `what`.

    Raises
    ------
    DatasetError
        If it is something else.
    """
    if not isinstance(value, dict):
        raise broken(root, file, f"has to hold an object of {what}, not {_shown(value)}")
    return value


def text(root: str, file: str, value: object, what: str) -> str:
    """Return `value`, which has to be the text of `what`.

    Raises
    ------
    DatasetError
        If it is something else.
    """
    if not isinstance(value, str):
        raise broken(root, file, f"has to hold the path of {what}, not {_shown(value)}")
    return value


def bucket_name(root: str, file: str, value: object) -> str:
    """Return the name of a bucket: its number as text.

    Raises
    ------
    DatasetError
        If it is no number.
    """
    name = str(value)
    if not (name.isascii() and name.isdigit()):
        raise broken(root, file, f"names the bucket {name!r}; a bucket is a number")
    return name


def class_names(root: str, file: str) -> tuple[str, ...]:
    """Return the classes that a ``class_names.txt`` lists, one a line.

    Raises
    ------
    DatasetError
        If it lists none, has a blank line between two, or one class twice.
    """
    lines = [line.strip() for line in read_text(root, file).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise broken(root, file, "names no class")
    places: dict[str, int] = {}
    for number, name in enumerate(lines, start=1):
        if not name:
            raise broken(root, file, f"has no class in line {number}; its number is its line")
        if name in places:
            raise broken(root, file, f"names {name!r} in line {places[name]} and in line {number}")
        places[name] = number
    return tuple(lines)


def within(path: str) -> str | None:
    """Return `path` tidied, or None if it is absolute or leads out of the folder it is in.

    Examples
    --------
    >>> within("./labeled_images/1/bus/7.jpg"), within("a/../../b"), within("/etc/passwd")
    ('labeled_images/1/bus/7.jpg', None, None)
    """
    tidy = posixpath.normpath(path)
    strange = tidy in (".", "..") or tidy.startswith(("/", "../")) or "\0" in tidy
    return None if strange else tidy


def placed(root: str, file: str, path: str, bucket: str, class_name: str | None) -> str:
    """Return the tidied path of an image that `file` lists, if that is where it belongs.

    An image says itself which bucket and class it is of: it lies at
    ``labeled_images/<bucket>/<class>/<name>``. So a list that names it elsewhere is caught, and no
    image can come to be in two buckets. Images of bucket 0 need no class:
    ``all_images/0/<name>`` does as well.

    Raises
    ------
    DatasetError
        If the path leads out of the tree, has another form, or says another bucket or class.
    """
    tidy = within(path)
    if tidy is None:
        raise broken(root, file, f"lists {path!r}, which is not inside the tree")
    folders = tidy.split("/")[:-1]
    unlabelled = bucket == UNLABELLED
    known = len(folders) >= 2 if unlabelled else folders[:1] == ["labeled_images"]
    if not known or (not unlabelled and len(folders) != 3):
        form = "all_images/0/<image>" if unlabelled else "labeled_images/<bucket>/<class>/<image>"
        raise broken(root, file, f"lists {path!r}; expected {form}")
    if folders[1] != bucket:
        raise broken(
            root,
            file,
            f"lists {path!r} in bucket {bucket!r}, but it lies in bucket {folders[1]!r}; "
            "an image is in one bucket",
        )
    if not unlabelled and folders[2] != class_name:
        raise broken(root, file, f"lists {path!r} as {class_name!r}, but it lies in {folders[2]!r}")
    return encode_id(tidy)


def _shown(value: object) -> str:
    short = json.dumps(value)
    return short if len(short) <= 40 else f"{short[:37]}..."
