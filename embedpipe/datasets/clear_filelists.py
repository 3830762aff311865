"""CLEAR as a ``training_folder/`` of lists: ``clear10_neurips2021`` and ``clear100_cvpr2022``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from sys import intern
from typing import NamedTuple

from .clear_files import (
    UNLABELLED,
    ClearTree,
    Listing,
    broken,
    bucket_name,
    class_names,
    exists,
    placed,
    read_json,
    read_text,
)
from .item import Item

__all__ = ["SPLITS_FOLDER", "read_filelists"]

SPLITS_FOLDER = "training_folder/testset_ratio_0.3"

_INTEGER = re.compile(r"[+-]?[0-9]+")


def read_filelists(root: str, split: int) -> ClearTree:
    """Return what the lists of a tree with a ``training_folder/`` say.

    ``class_names.txt`` is in the tree's root. ``training_folder/bucket_indices.json`` is a list of
    buckets; ``training_folder/filelists/<bucket>/all.txt`` lists the images of one, and
    ``training_folder/testset_ratio_0.3/split_<n>/<bucket>/train.txt`` and ``test.txt`` say which
    of these are of which split. Each of these has a line ``path label`` for an image: the path
    relative to the root, white space, and the number of the class, counted from 0; a path may
    contain blanks. Blank lines do not count. Lines of bucket 0 may lack the label, and where they
    have one it is not looked at; its lists may be missing.

    Parameters
    ----------
    root
        The folder that holds ``training_folder``, as an absolute path.
    split
        Which of the splits.

    Raises
    ------
    DatasetError
        If a file is missing or malformed, lists an image where it does not belong, or the lists
        of a split are not two halves of the list of all.
    """
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
    """Return what a list says of each image, in its order."""
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
