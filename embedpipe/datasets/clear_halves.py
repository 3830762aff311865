"""CLEAR as ``train/`` and ``test/``: the layout of ``clear10`` and ``clear100``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from sys import intern

from .clear_files import (
    UNLABELLED,
    ClearTree,
    Listing,
    broken,
    bucket_name,
    class_names,
    mapping,
    placed,
    read_json,
    text,
    within,
)
from .item import Item

__all__ = ["HALVES", "read_halves"]

HALVES = ("train", "test")


def read_halves(root: str) -> ClearTree:
    """Return what the files of a tree of ``train/`` and ``test/`` say.

    In each half, line n of ``class_names.txt`` names class n, counted from 0;
    ``labeled_metadata.json`` is ``{bucket: {class: path}}`` with paths relative to the half; the
    file at each, usually ``labeled_metadata/<bucket>/<class>.json``, is
    ``{Flickr id: {"IMG_PATH": path, ...}}``, again relative to the half. Other fields are not
    looked at.

    Parameters
    ----------
    root
        The folder that holds both, as an absolute path.

    Raises
    ------
    DatasetError
        If a file is missing or malformed, or lists an image where it does not belong.
    """
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
            yield _listing(root, half, f"{half}/{metadata}", bucket, class_name)


def _listing(root: str, half: str, file: str, bucket: str, class_name: str) -> Listing:
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
