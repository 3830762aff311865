"""The lists in a CLEAR folder, in both layouts; each fault is an error that names the file."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, NamedTuple

from ..errors import DatasetError
from .identifiers import encode_id
from .item import Item

__all__ = [
    "HALVES",
    "SPLITS_FOLDER",
    "UNLABELLED",
    "ClearTree",
    "Listing",
    "broken",
    "class_names",
    "placed",
    "read_filelists",
    "read_halves",
    "within",
]

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
    """The listed images of a CLEAR tree; their files have not been looked for.

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
    """Return the content of a text file of the tree."""
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
    """Return the value in a JSON file of the tree."""
    try:
        return json.loads(read_text(root, file))
    except json.JSONDecodeError as error:
        raise broken(root, file, f"is not JSON: {error}") from error


def mapping(root: str, file: str, value: object, what: str) -> dict[str, Any]:
    """Return `value`, which has to be a JSON object of `what`."""
    if not isinstance(value, dict):
        raise broken(root, file, f"has to hold an object of {what}, not {_shown(value)}")
    return value


def text(root: str, file: str, value: object, what: str) -> str:
    """Return `value`, which has to be the text of `what`."""
    if not isinstance(value, str):
        raise broken(root, file, f"has to hold the path of {what}, not {_shown(value)}")
    return value


def bucket_name(root: str, file: str, value: object) -> str:
    """Return the name of a bucket: its number as text."""
    name = str(value)
    if not (name.isascii() and name.isdigit()):
        raise broken(root, file, f"names the bucket {name!r}; a bucket is a number")
    return name


def class_names(root: str, file: str) -> tuple[str, ...]:
    """Return the classes that a ``class_names.txt`` lists, one a line."""
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
    """Return `path` tidied, or None if it is absolute or leads out of the folder it is in."""
    tidy = posixpath.normpath(path)
    strange = tidy in (".", "..") or tidy.startswith(("/", "../")) or "\0" in tidy
    return None if strange else tidy


def placed(root: str, file: str, path: str, bucket: str, class_name: str | None) -> str:
    """Return the tidied path of an image that `file` lists, if that is where it belongs."""
    # The path of an image gives its bucket and class: ``labeled_images/<bucket>/<class>/<name>``.
    # So a list that names it elsewhere is caught, and no image is in two buckets. Images of bucket
    # 0 need no class: ``all_images/0/<name>`` does as well.
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


SPLITS_FOLDER = "training_folder/testset_ratio_0.3"

_INTEGER = re.compile(r"[+-]?[0-9]+")


def read_filelists(root: str, split: int) -> ClearTree:
    """Return the listed images of a tree with a ``training_folder/``."""
    # ``class_names.txt`` is in the root. ``training_folder/bucket_indices.json`` is a list of
    # buckets; ``filelists/<bucket>/all.txt`` in that folder lists the images of one, and
    # ``testset_ratio_0.3/split_<n>/<bucket>/train.txt`` and ``test.txt`` divide them. A line is
    # ``path label``: the path relative to the root, which may contain blanks, white space, and the
    # number of the class, counted from 0. Lines of bucket 0 may lack the label, and its lists may
    # be missing.
    known = class_names(root, "class_names.txt")
    listings = [
        _listing(root, bucket, split, known)
        for bucket in _buckets(root)
        if bucket != UNLABELLED or exists(root, _all(bucket))
    ]
    return ClearTree(root, known, tuple(listings))


class _Line(NamedTuple):
    """An image in a list: where it is named, and as which class."""

    number: int
    label: str | None


def _all(bucket: str) -> str:
    return f"training_folder/filelists/{bucket}/all.txt"


def _buckets(root: str) -> list[str]:
    file = "training_folder/bucket_indices.json"
    found = read_json(root, file)
    if not isinstance(found, list):
        raise broken(root, file, "has to hold a list of buckets")
    names = [bucket_name(root, file, value) for value in found]
    for name in names:
        if names.count(name) > 1:
            raise broken(root, file, f"names the bucket {name!r} twice")
    return names


def _listing(root: str, bucket: str, split: int, known: tuple[str, ...]) -> Listing:
    file = _all(bucket)
    lines = _lines(root, file, bucket, known)
    splits = _splits(root, bucket, split, known, lines)
    name = intern(bucket)
    items = {id: Item(id, line.label, splits.get(id), name) for id, line in lines.items()}
    return Listing(file, bucket, items)


def _lines(root: str, file: str, bucket: str, known: tuple[str, ...]) -> dict[str, _Line]:
    """Return the line and class of each image in a list, in its order."""
    lines: dict[str, _Line] = {}
    for number, path, label in _parsed(root, file, bucket, known):
        id = placed(root, file, path, bucket, label)
        if id in lines:
            raise broken(root, file, f"lists {path!r} in line {lines[id].number} and in {number}")
        lines[id] = _Line(number, label)
    return lines


def _parsed(
    root: str, file: str, bucket: str, known: tuple[str, ...]
) -> Iterator[tuple[int, str, str | None]]:
    """Yield the number, the path and the class of each line."""
    for number, raw in enumerate(read_text(root, file).splitlines(), start=1):
        line = raw.strip()
        if not line:
            continue
        path, *last = line.rsplit(maxsplit=1)
        numbered = bool(last) and _INTEGER.fullmatch(last[0]) is not None
        if bucket == UNLABELLED:
            yield number, path if numbered else line, None
            continue
        if not numbered:
            raise broken(root, file, f"has no 'path label' in line {number}: {line!r}")
        code = int(last[0])
        if not 0 <= code < len(known):
            raise broken(
                root,
                file,
                f"gives class {code} in line {number}; 'class_names.txt' names 0 to "
                f"{len(known) - 1}",
            )
        yield number, path, intern(known[code])


def _splits(
    root: str, bucket: str, split: int, known: tuple[str, ...], lines: Mapping[str, _Line]
) -> dict[str, str]:
    """Return the split of each image of a bucket."""
    files = {name: f"{SPLITS_FOLDER}/split_{split}/{bucket}/{name}.txt" for name in _NAMES}
    if bucket == UNLABELLED and not any(exists(root, file) for file in files.values()):
        return {}
    splits: dict[str, str] = {}
    for name, file in files.items():
        for id in _lines(root, file, bucket, known):
            if id not in lines:
                raise broken(root, file, f"lists {id!r}, which is not in {_all(bucket)!r}")
            if id in splits:
                raise broken(root, file, f"lists {id!r}, which is in {files['train']!r} as well")
            splits[id] = name
    for id in lines:
        if id not in splits:
            raise broken(root, _all(bucket), f"lists {id!r}, which is in no list of split_{split}")
    return splits


_NAMES = ("train", "test")


HALVES = ("train", "test")


def read_halves(root: str) -> ClearTree:
    """Return the listed images of a tree of ``train/`` and ``test/``."""
    # In each half, line n of ``class_names.txt`` names class n, counted from 0;
    # ``labeled_metadata.json`` is ``{bucket: {class: path}}``; the file at each path is ``{Flickr
    # id: {"IMG_PATH": path, ...}}``. All paths are relative to the half.
    for half in HALVES:
        if not os.path.isdir(os.path.join(root, half)):
            raise broken(root, half, f"is missing; both {' and '.join(HALVES)} are needed")
    names = {half: class_names(root, f"{half}/class_names.txt") for half in HALVES}
    if names["train"] != names["test"]:
        raise broken(
            root, "test/class_names.txt", "does not have the lines of 'train/class_names.txt'"
        )
    listings = [listing for half in HALVES for listing in _listings(root, half, names[half])]
    return ClearTree(root, names["train"], tuple(listings))


def _listings(root: str, half: str, known: tuple[str, ...]) -> Iterator[Listing]:
    file = f"{half}/labeled_metadata.json"
    buckets = mapping(root, file, read_json(root, file), "buckets")
    for name, classes in buckets.items():
        bucket = intern(bucket_name(root, file, name))
        for class_name, path in mapping(root, file, classes, "classes").items():
            if class_name not in known and bucket != UNLABELLED:
                raise broken(
                    root,
                    file,
                    f"names the class {class_name!r}, which is not in '{half}/class_names.txt'",
                )
            metadata = within(text(root, file, path, f"the images of {class_name!r}"))
            if metadata is None:
                raise broken(root, file, f"names {path!r}, which is not inside the tree")
            yield _half_listing(root, half, f"{half}/{metadata}", bucket, class_name)


def _half_listing(root: str, half: str, file: str, bucket: str, class_name: str) -> Listing:
    label = None if bucket == UNLABELLED else intern(class_name)
    items: dict[str, Item] = {}
    first: dict[str, str] = {}
    for key, fields in mapping(root, file, read_json(root, file), "images").items():
        found = mapping(root, file, fields, f"fields of image {key!r}").get("IMG_PATH")
        path = text(root, file, found, f"image {key!r} as IMG_PATH")
        id = f"{half}/{placed(root, file, path, bucket, class_name)}"
        if id in first:
            raise broken(root, file, f"lists {path!r} twice, as {first[id]!r} and as {key!r}")
        first[id] = key
        items[key] = Item(id, label, half, bucket)
    return Listing(file, bucket, items, half, class_name)
