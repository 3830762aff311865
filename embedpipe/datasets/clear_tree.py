"""Reader of the list files in a CLEAR folder, in both layouts; errors name the faulty file.

The 2021 layout has a ``training_folder/``, the 2022 layout ``train/`` and ``test/``.
"""
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
from .dataset import Item
from .identifiers import encode_id

__all__ = [
    "SPLITS_FOLDER",
    "TREE_SPLITS",
    "UNLABELLED",
    "ClearTree",
    "Listing",
    "path_inside",
    "read_2021_layout",
    "read_2022_layout",
    "tree_error",
]

UNLABELLED = "0"
"""The bucket of the oldest images, which CLEAR reserves for learning without labels."""

TREE_SPLITS = ("train", "test")
"""Splits of a CLEAR tree, and the folders of the 2022 layout."""

SPLITS_FOLDER = "training_folder/testset_ratio_0.3"
"""Folder of the divisions in the 2021 layout."""

_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Listing:
    """The images of one bucket in one list file.

    The keys of `items` are Flickr ids in the 2022 layout, and ids of items in the 2021 layout.
    """

    file: str
    bucket: str
    items: Mapping[str, Item]
    split: str | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class ClearTree:
    """The listed images of a CLEAR tree; class names are in the order of their numbers."""

    root: str
    class_names: tuple[str, ...]
    listings: tuple[Listing, ...]

    def items(self) -> tuple[Item, ...]:
        """Return all items, sorted by id."""
        found = [item for listing in self.listings for item in listing.items.values()]
        return tuple(sorted(found, key=lambda item: item.id))


def tree_error(root: str, file: str, fault: str) -> DatasetError:
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
        raise tree_error(root, file, "is missing") from error
    except UnicodeDecodeError as error:
        raise tree_error(root, file, "is not UTF-8") from error
    except OSError as error:
        raise tree_error(root, file, f"cannot be read: {error.strerror}") from error


def read_json(root: str, file: str) -> Any:
    """Return the value in a JSON file of the tree."""
    try:
        return json.loads(read_text(root, file))
    except json.JSONDecodeError as error:
        raise tree_error(root, file, f"is not JSON: {error}") from error


def expect_object(root: str, file: str, value: object, content: str) -> dict[str, Any]:
    """Return `value`, which must be a JSON object."""
    if not isinstance(value, dict):
        fault = f"must contain an object of {content}, not {_shortened(value)}"
        raise tree_error(root, file, fault)
    return value


def expect_path(root: str, file: str, value: object, target: str) -> str:
    """Return `value`, which must be text."""
    if not isinstance(value, str):
        fault = f"must contain the path of {target}, not {_shortened(value)}"
        raise tree_error(root, file, fault)
    return value


def _shortened(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def path_inside(path: str) -> str | None:
    """Return the normalised path, or None if it is absolute or leads out of its folder."""
    tidy = posixpath.normpath(path)
    outside = tidy in (".", "..") or tidy.startswith(("/", "../")) or "\0" in tidy
    return None if outside else tidy


def _bucket_name(root: str, file: str, value: object) -> str:
    """Return the name of a bucket: its number as text."""
    name = str(value)
    if not (name.isascii() and name.isdigit()):
        raise tree_error(root, file, f"has the bucket {name!r}; a bucket must be a number")
    return name


def _read_class_names(root: str, file: str) -> tuple[str, ...]:
    """Return the classes in a ``class_names.txt``, which has a class in each line."""
    lines = [line.strip() for line in read_text(root, file).splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise tree_error(root, file, "lists no class")
    numbers: dict[str, int] = {}
    for number, name in enumerate(lines, start=1):
        if not name:
            fault = f"has no class in line {number}; the line gives the class its number"
            raise tree_error(root, file, fault)
        if name in numbers:
            fault = f"lists {name!r} in line {numbers[name]} and in line {number}"
            raise tree_error(root, file, fault)
        numbers[name] = number
    return tuple(lines)


def _image_id(root: str, file: str, path: str, bucket: str, class_name: str | None) -> str:
    """Return the id of an image that `file` lists, after a check of its bucket and class."""
    # The path contains both: ``labeled_images/<bucket>/<class>/<name>``. Images of bucket 0 need no
    # class: ``all_images/0/<name>``.
    tidy = path_inside(path)
    if tidy is None:
        raise tree_error(root, file, f"lists {path!r}, which is not inside the tree")
    folders = tidy.split("/")[:-1]
    unlabelled = bucket == UNLABELLED
    valid = len(folders) >= 2 if unlabelled else folders[:1] == ["labeled_images"]
    if not valid or (not unlabelled and len(folders) != 3):
        form = "all_images/0/<image>" if unlabelled else "labeled_images/<bucket>/<class>/<image>"
        raise tree_error(root, file, f"lists {path!r}; expected {form}")
    if folders[1] != bucket:
        raise tree_error(
            root,
            file,
            f"lists {path!r} in bucket {bucket!r}, but its folder is bucket {folders[1]!r}; "
            "an image must be in one bucket",
        )
    if not unlabelled and folders[2] != class_name:
        fault = f"lists {path!r} as {class_name!r}, but its folder is {folders[2]!r}"
        raise tree_error(root, file, fault)
    return encode_id(tidy)


def read_2021_layout(root: str, division: int) -> ClearTree:
    """Return the listed images of a tree with a ``training_folder/``."""
    # ``class_names.txt`` is in the root. In ``training_folder/``, ``bucket_indices.json`` is a list
    # of buckets, ``filelists/<bucket>/all.txt`` lists a bucket's images, and
    # ``testset_ratio_0.3/split_<n>/<bucket>/train.txt`` and ``test.txt`` divide them. A line is
    # ``path label``: the path relative to the root, which may contain blanks, and the number of
    # the class, counted from 0. Bucket 0 may lack labels and lists.
    classes = _read_class_names(root, "class_names.txt")
    listings = [
        _listing(root, bucket, division, classes)
        for bucket in _buckets(root)
        if bucket != UNLABELLED or exists(root, _all_images(bucket))
    ]
    return ClearTree(root, classes, tuple(listings))


class _Line(NamedTuple):
    """The line number and the class of an image in a list."""

    number: int
    label: str | None


def _all_images(bucket: str) -> str:
    return f"training_folder/filelists/{bucket}/all.txt"


def _buckets(root: str) -> list[str]:
    file = "training_folder/bucket_indices.json"
    found = read_json(root, file)
    if not isinstance(found, list):
        raise tree_error(root, file, "must contain a list of buckets")
    names = [_bucket_name(root, file, value) for value in found]
    for name in names:
        if names.count(name) > 1:
            raise tree_error(root, file, f"lists the bucket {name!r} twice")
    return names


def _listing(root: str, bucket: str, division: int, classes: tuple[str, ...]) -> Listing:
    file = _all_images(bucket)
    lines = _read_list(root, file, bucket, classes)
    splits = _splits(root, bucket, division, classes, lines)
    name = intern(bucket)
    items = {id: Item(id, line.label, splits.get(id), name) for id, line in lines.items()}
    return Listing(file, bucket, items)


def _read_list(root: str, file: str, bucket: str, classes: tuple[str, ...]) -> dict[str, _Line]:
    """Return the line and class of each image in a list, in the order of the list."""
    lines: dict[str, _Line] = {}
    for number, path, label in _parsed_lines(root, file, bucket, classes):
        id = _image_id(root, file, path, bucket, label)
        if id in lines:
            fault = f"lists {path!r} in line {lines[id].number} and in line {number}"
            raise tree_error(root, file, fault)
        lines[id] = _Line(number, label)
    return lines


def _parsed_lines(
    root: str, file: str, bucket: str, classes: tuple[str, ...]
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
            raise tree_error(root, file, f"has no 'path label' in line {number}: {line!r}")
        code = int(last[0])
        if not 0 <= code < len(classes):
            raise tree_error(
                root,
                file,
                f"has class {code} in line {number}; 'class_names.txt' has 0 to {len(classes) - 1}",
            )
        yield number, path, intern(classes[code])


def _splits(
    root: str, bucket: str, division: int, classes: tuple[str, ...], lines: Mapping[str, _Line]
) -> dict[str, str]:
    """Return the split of each image of a bucket."""
    files = {name: f"{SPLITS_FOLDER}/split_{division}/{bucket}/{name}.txt" for name in TREE_SPLITS}
    if bucket == UNLABELLED and not any(exists(root, file) for file in files.values()):
        return {}
    splits: dict[str, str] = {}
    for name, file in files.items():
        for id in _read_list(root, file, bucket, classes):
            if id not in lines:
                fault = f"lists {id!r}, which is not in {_all_images(bucket)!r}"
                raise tree_error(root, file, fault)
            if id in splits:
                raise tree_error(root, file, f"lists {id!r}, which is also in {files['train']!r}")
            splits[id] = name
    for id in lines:
        if id not in splits:
            fault = f"lists {id!r}, which is in no list of split_{division}"
            raise tree_error(root, _all_images(bucket), fault)
    return splits


def read_2022_layout(root: str) -> ClearTree:
    """Return the listed images of a tree of ``train/`` and ``test/``."""
    # In each folder, line n of ``class_names.txt`` is class n, counted from 0;
    # ``labeled_metadata.json`` is ``{bucket: {class: path}}``; the file at each path is ``{Flickr
    # id: {"IMG_PATH": path, ...}}``. All paths are relative to the folder.
    for split in TREE_SPLITS:
        if not os.path.isdir(os.path.join(root, split)):
            raise tree_error(root, split, "is missing; train and test are needed")
    classes = {split: _read_class_names(root, f"{split}/class_names.txt") for split in TREE_SPLITS}
    if classes["train"] != classes["test"]:
        fault = "must have the same lines as 'train/class_names.txt'"
        raise tree_error(root, "test/class_names.txt", fault)
    listings = [
        listing for split in TREE_SPLITS for listing in _listings(root, split, classes[split])
    ]
    return ClearTree(root, classes["train"], tuple(listings))


def _listings(root: str, split: str, known: tuple[str, ...]) -> Iterator[Listing]:
    file = f"{split}/labeled_metadata.json"
    buckets = expect_object(root, file, read_json(root, file), "buckets")
    for name, classes in buckets.items():
        bucket = intern(_bucket_name(root, file, name))
        for class_name, path in expect_object(root, file, classes, "classes").items():
            if class_name not in known and bucket != UNLABELLED:
                fault = f"has the class {class_name!r}, which is not in '{split}/class_names.txt'"
                raise tree_error(root, file, fault)
            given = expect_path(root, file, path, f"the images of {class_name!r}")
            metadata = path_inside(given)
            if metadata is None:
                raise tree_error(root, file, f"has {path!r}, which is not inside the tree")
            yield _class_listing(root, split, f"{split}/{metadata}", bucket, class_name)


def _class_listing(root: str, split: str, file: str, bucket: str, class_name: str) -> Listing:
    label = None if bucket == UNLABELLED else intern(class_name)
    items: dict[str, Item] = {}
    first: dict[str, str] = {}
    for key, fields in expect_object(root, file, read_json(root, file), "images").items():
        found = expect_object(root, file, fields, f"fields of image {key!r}").get("IMG_PATH")
        path = expect_path(root, file, found, f"image {key!r} as IMG_PATH")
        id = f"{split}/{_image_id(root, file, path, bucket, class_name)}"
        if id in first:
            raise tree_error(root, file, f"lists {path!r} twice, as {first[id]!r} and as {key!r}")
        first[id] = key
        items[key] = Item(id, label, split, bucket)
    return Listing(file, bucket, items, split, class_name)
