"""CLEAR-10 and CLEAR-100: photos from ten years in buckets of time, for continual learning."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..errors import DatasetError, UsageError
from .cards import package_card
from .clear_tree import (
    SPLITS_FOLDER,
    TREE_SPLITS,
    ClearTree,
    exists,
    read_2021_layout,
    read_2022_layout,
    tree_error,
)
from .dataset import Dataset, path_name
from .download import is_url
from .identifiers import encode_id
from .published import not_available
from .registry import Request, datasets
from .source import FolderSource

__all__ = [
    "is_clear_tree",
    "load_clear10",
    "load_clear100",
    "load_clear_tree",
    "read_clear_tree",
    "seed_division",
]

DEFAULT_DIVISION = 0
"""Number of the division of the 2021 layout that is used without a seed."""

_SPLIT_FOLDER = re.compile(r"split_([0-9]+)")


@datasets.register("clear10", card=package_card("clear10"))
def load_clear10(request: Request) -> Dataset:
    """Photos of 11 classes in ten buckets of time, 2004 to 2014; from a local folder.

    The source is a folder in either layout; see `load_clear_tree`. In the 2021 layout, a run with
    seed k uses the division ``split_<k mod 5>``, unless the source is the folder of one division:
    ``clear10/training_folder/testset_ratio_0.3/split_3``.
    """
    return _load(request)


@datasets.register("clear100", card=package_card("clear100"))
def load_clear100(request: Request) -> Dataset:
    """Photos of 100 classes in ten buckets of time, 2004 to 2014; from a local folder.

    The source has one of the layouts of ``clear10``. Its ``class_names.txt`` lists the classes.
    """
    return _load(request)


def _load(request: Request) -> Dataset:
    name = request.card.name
    if request.source is None:
        raise not_available(request)
    if is_url(request.source):
        raise UsageError(
            f"{name} cannot be downloaded from a URL; unpack the archive and give the folder."
        )
    source = Path(request.source).expanduser()
    if not source.is_dir():
        fault = "is not a folder" if source.exists() else "does not exist"
        raise DatasetError(f"the source of {name} {fault}: {request.source!r}.")
    root, split = _root_and_split(source.absolute())
    return load_clear_tree(root, split=split)


def _root_and_split(source: Path) -> tuple[Path, int | None]:
    """Return the root of the tree and, if `source` is the folder of a division, its number."""
    found = _SPLIT_FOLDER.fullmatch(source.name)
    if found and source.parent.as_posix().endswith(f"/{SPLITS_FOLDER}"):
        return source.parents[2], int(found[1])
    return source, None


def load_clear_tree(path: str | os.PathLike[str], *, split: int | None = None) -> Dataset:
    """Return the dataset in a CLEAR folder, with the buckets of time and both splits.

    A folder with ``train/`` and ``test/`` has the 2022 layout (``clear10``, ``clear100``). A folder
    with ``training_folder/`` has the 2021 layout (``clear10_neurips2021``, ``clear100_cvpr2022``).
    Ids are paths relative to the folder. Every image has its bucket (``"1"`` to ``"10"``, in the
    order of time), label and split. If images of bucket 0 are listed, they are items without a
    label.

    Parameters
    ----------
    path
        The folder.
    split
        Number of the division of the 2021 layout, 0 to 4. A division assigns each image to a split.
        By default the items have division 0, and `Dataset.for_seed` selects division k modulo 5
        for seed k. The 2022 layout has one division.

    Raises
    ------
    DatasetError
        If the folder has neither layout, or a file is missing or malformed. Also if an image is
        missing, is listed twice, or has another bucket or class than its folder.
    UsageError
        If the layout does not allow `split`.

    References
    ----------
    Z. Lin, J. Shi, D. Pathak and D. Ramanan, "The CLEAR Benchmark: Continual LEArning on
    Real-World Imagery", NeurIPS Datasets and Benchmarks, 2021, arXiv:2201.06289.
    """
    tree = read_clear_tree(path, split=split)
    source = FolderSource(tree.root)
    for listing in tree.listings:
        for item in listing.items.values():
            if not os.path.isfile(source.path(item.id)):
                raise tree_error(tree.root, listing.file, f"lists {item.id!r}, which is not a file")
    division = seed_division(tree.root) if split is None else None
    return Dataset(path_name(tree.root), tree.items(), source, tree.class_names, division=division)


def read_clear_tree(path: str | os.PathLike[str], *, split: int | None = None) -> ClearTree:
    """Return the listed images of a CLEAR folder, without reading the image files."""
    root = os.path.abspath(os.fspath(path))
    if os.path.isdir(os.path.join(root, "training_folder")):
        return read_2021_layout(root, DEFAULT_DIVISION if split is None else split)
    if not any(os.path.isdir(os.path.join(root, name)) for name in TREE_SPLITS):
        raise DatasetError(
            f"{encode_id(root)!r} is not a CLEAR tree: it contains neither train/ and test/ nor "
            "training_folder/; give the folder that contains them."
        )
    if split is not None:
        raise UsageError(
            f"the CLEAR tree {encode_id(root)!r} has train/ and test/, and no split {split}; "
            "leave the split out."
        )
    return read_2022_layout(root)


def seed_division(root: str) -> Callable[[int], Mapping[str, str]] | None:
    """Return the function from a seed to splits by id; None if the tree has one division."""
    found = [
        int(match[1])
        for entry in _entries(os.path.join(root, SPLITS_FOLDER))
        if (match := _SPLIT_FOLDER.fullmatch(entry)) is not None
    ]
    return partial(_splits_of_seed, root, tuple(sorted(found))) if len(found) > 1 else None


def _splits_of_seed(root: str, divisions: tuple[int, ...], seed: int) -> Mapping[str, str]:
    tree = read_2021_layout(root, divisions[seed % len(divisions)])
    return {item.id: item.split for item in tree.items() if item.split is not None}


def _entries(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []


def is_clear_tree(path: str) -> bool:
    """Return whether a folder has one of the list files of CLEAR."""
    lists = [f"{split}/labeled_metadata.json" for split in TREE_SPLITS]
    return any(exists(path, file) for file in [*lists, "training_folder/bucket_indices.json"])
