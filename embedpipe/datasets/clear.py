"""CLEAR-10 and CLEAR-100: photos of a decade in buckets of time, for continual learning."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..errors import DatasetError, UsageError
from .cards import package_card
from .clear_tree import (
    HALVES,
    SPLITS_FOLDER,
    ClearTree,
    broken,
    exists,
    read_filelists,
    read_halves,
)
from .dataset import Dataset, path_name
from .download import is_url
from .folder import FolderSource
from .identifiers import encode_id
from .published import absent
from .registry import Request, datasets

__all__ = [
    "is_clear_tree",
    "load_clear10",
    "load_clear100",
    "load_clear_tree",
    "read_clear_tree",
    "seed_division",
]

DEFAULT_SPLIT = 0
"""Of the five splits that the old layout ships; each seed of a study takes its own."""

_SPLIT_FOLDER = re.compile(r"split_([0-9]+)")


@datasets.register("clear10", card=package_card("clear10"))
def load_clear10(request: Request) -> Dataset:
    """Photos of 11 classes in ten buckets of time, 2004 to 2014; from a folder that you have.

    The source is a folder in either layout that CLEAR has been released in; see `load_clear_tree`.
    Of the old layout's five divisions into training and test images, a run with seed k takes
    ``split_<k mod 5>``, unless the source is the folder of one of them:
    ``clear10/training_folder/testset_ratio_0.3/split_3``.
    """
    return _load(request)


@datasets.register("clear100", card=package_card("clear100"))
def load_clear100(request: Request) -> Dataset:
    """Photos of 100 classes in ten buckets of time, 2004 to 2014; from a folder that you have.

    The source is as for ``clear10``; the classes are those of its ``class_names.txt``.
    """
    return _load(request)


def _load(request: Request) -> Dataset:
    name = request.card.name
    if request.source is None:
        raise absent(request)
    if is_url(request.source):
        raise UsageError(f"{name} is not fetched from an address; unpack it and give the folder.")
    source = Path(request.source).expanduser()
    if not source.is_dir():
        fault = "is not a folder" if source.exists() else "does not exist"
        raise DatasetError(f"the source of {name} {fault}: {request.source!r}.")
    root, split = _root_and_split(source.absolute())
    return load_clear_tree(root, split=split)


def _root_and_split(source: Path) -> tuple[Path, int | None]:
    """Return the root of the tree and, if `source` is the folder of a split, which one."""
    found = _SPLIT_FOLDER.fullmatch(source.name)
    if found and source.parent.as_posix().endswith(f"/{SPLITS_FOLDER}"):
        return source.parents[2], int(found[1])
    return source, None


def load_clear_tree(path: str | os.PathLike[str], *, split: int | None = None) -> Dataset:
    r"""Return the dataset in a CLEAR folder, with the buckets of time and both splits.

    The layout is told by the folder: `train/` and `test/` are ``clear10`` and ``clear100`` as
    released since 2022 (see `read_halves`), a `training_folder/` is ``clear10_neurips2021`` or
    ``clear100_cvpr2022`` (see `read_filelists`). Ids are paths relative to the folder. Every
    image has its bucket (``"1"`` to ``"10"``, in the order of time), its label and its split, so
    both of CLEAR's protocols can be run: *iid* trains and tests on the splits of each bucket,
    *streaming* trains on all of a bucket and tests on all of the next.

    Bucket 0 is what CLEAR keeps for learning without labels: its images are items only if they
    are listed, and have no label whatever they are listed as.

    Parameters
    ----------
    path
        The folder.
    split
        Which of the five random divisions of the old layout, 0 to 4. By default the items have
        the splits of division 0, and `Dataset.for_seed`, which loops and streams call, gives
        seed k division k modulo 5. The new layout has a test set of its own, and takes none.

    Raises
    ------
    DatasetError
        If it is neither layout; if a file is missing or malformed, an image is listed in a bucket
        or as a class that it does not lie in, twice, or not there at all. No image is opened.
    UsageError
        If the layout takes no `split`.

    Notes
    -----
    Reads every list and looks for every image once: O(n) calls to the file system. About 270
    bytes an image while it is read, 160 after.

    References
    ----------
    Z. Lin, J. Shi, D. Pathak and D. Ramanan, "The CLEAR Benchmark: Continual LEArning on
    Real-World Imagery", NeurIPS Datasets and Benchmarks, 2021, arXiv:2201.06289.

    Examples
    --------
    >>> from PIL import Image
    >>> lists = {
    ...     "class_names.txt": "bus\ndress",
    ...     "labeled_metadata.json": '{"1": {"bus": "labeled_metadata/1/bus.json"}}',
    ...     "labeled_metadata/1/bus.json": '{"7": {"IMG_PATH": "labeled_images/1/bus/7.jpg"}}',
    ... }
    >>> for half in ("train", "test"):
    ...     for folder in ("labeled_metadata/1", "labeled_images/1/bus"):
    ...         (tmp / half / folder).mkdir(parents=True)
    ...     for file, content in lists.items():
    ...         _ = (tmp / half / file).write_text(content)
    ...     Image.new("RGB", (8, 8)).save(tmp / half / "labeled_images/1/bus/7.jpg")
    >>> load_clear_tree(tmp).items[0]
    Item(id='test/labeled_images/1/bus/7.jpg', label='bus', split='test', bucket='1')
    """
    tree = read_clear_tree(path, split=split)
    source = FolderSource(tree.root)
    for listing in tree.listings:
        for item in listing.items.values():
            if not os.path.isfile(source.path(item.id)):
                raise broken(tree.root, listing.file, f"lists {item.id!r}, which is no file")
    division = seed_division(tree.root) if split is None else None
    return Dataset(path_name(tree.root), tree.items(), source, tree.class_names, division=division)


def read_clear_tree(path: str | os.PathLike[str], *, split: int | None = None) -> ClearTree:
    """Return the listed images of a CLEAR folder, without looking for their files."""
    root = os.path.abspath(os.fspath(path))
    if os.path.isdir(os.path.join(root, "training_folder")):
        return read_filelists(root, DEFAULT_SPLIT if split is None else split)
    if not any(os.path.isdir(os.path.join(root, half)) for half in HALVES):
        raise DatasetError(
            f"{encode_id(root)!r} is not a CLEAR tree: it holds neither train/ and test/ nor "
            "training_folder/; give the folder that does."
        )
    if split is not None:
        raise UsageError(
            f"the CLEAR tree {encode_id(root)!r} has train/ and test/, and no split {split} to "
            "choose; leave it out."
        )
    return read_halves(root)


def seed_division(root: str) -> Callable[[int], Mapping[str, str]] | None:
    """Return the function from a seed to splits, for a tree with more than one division."""
    found = [
        int(match[1])
        for entry in _entries(os.path.join(root, SPLITS_FOLDER))
        if (match := _SPLIT_FOLDER.fullmatch(entry)) is not None
    ]
    return partial(_splits_of_seed, root, tuple(sorted(found))) if len(found) > 1 else None


def _splits_of_seed(root: str, splits: tuple[int, ...], seed: int) -> Mapping[str, str]:
    tree = read_filelists(root, splits[seed % len(splits)])
    return {item.id: item.split for item in tree.items() if item.split is not None}


def _entries(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def is_clear_tree(path: str) -> bool:
    """Return whether a folder carries the marks of CLEAR: a list that no other dataset has."""
    marks = [f"{half}/labeled_metadata.json" for half in HALVES]
    return any(exists(path, mark) for mark in [*marks, "training_folder/bucket_indices.json"])
