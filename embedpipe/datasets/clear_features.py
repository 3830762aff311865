"""The vectors published with CLEAR, as one matrix."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .clear import read_clear_tree, seed_division
from .clear_tree import (
    TREE_SPLITS,
    ClearTree,
    Listing,
    exists,
    expect_object,
    expect_path,
    path_inside,
    read_json,
    tree_error,
)
from .dataset import Item
from .identifiers import encode_id

__all__ = ["ClearFeatures", "load_clear_features"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClearFeatures:
    """Vectors of a CLEAR tree's images, with the label, bucket and split of each.

    Parameters
    ----------
    matrix
        (n, d) float32: n images, d dimensions, in the order of `ids`.
    labels
        (n,) object: the class, None in bucket 0.
    buckets
        (n,) object: ``"0"`` to ``"10"``.
    splits
        (n,) object: ``"train"``, ``"test"``, or None for some images of bucket 0.
    ids
        Ids of the items, sorted, as in `load_clear_tree`.
    class_names
        The classes in the order of ``class_names.txt``.
    division
        Function from a seed to the split of each item by id; see `Dataset`.
    """

    matrix: Vectors
    labels: NDArray[np.object_]
    buckets: NDArray[np.object_]
    splits: NDArray[np.object_]
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    division: Callable[[int], Mapping[str, str]] | None = None

    def for_seed(self, seed: int) -> ClearFeatures:
        """Return the same vectors with the splits for a seed; see `Dataset.for_seed`."""
        if self.division is None:
            return self
        splits = self.division(seed)
        return replace(self, splits=_column([splits.get(id) for id in self.ids]), division=None)


def load_clear_features(
    folder: str | os.PathLike[str], kind: str = "moco_b0", *, split: int | None = None
) -> ClearFeatures:
    """Return the vectors published with a CLEAR tree; the images may be missing.

    Labels, buckets and splits are those of `load_clear_tree`. In the 2022 layout,
    ``<split>/features/<kind>/features.json`` is ``{bucket: {class: path}}``, and the file at each
    path is ``{Flickr id: tensor}``. A split without vectors of this kind is left out. In the 2021
    layout, ``training_folder/features/<kind>/<bucket>/all.pth`` is a pair: the vectors of the
    bucket's images, and the numbers of their classes, in the order of
    ``filelists/<bucket>/all.txt``.

    Parameters
    ----------
    folder
        The tree, in either layout.
    kind
        Name of the encoder: ``"moco_b0"`` is a ResNet-50 trained on bucket 0 (MoCo v2, 2,048
        dimensions).
    split
        As for `load_clear_tree`.

    Raises
    ------
    DatasetError
        If the tree is malformed or has no vectors of this kind. Also if the vectors do not match
        the listed images, differ in length or are not finite.
    """
    tree = read_clear_tree(folder, split=split)
    files = list(_vector_files(tree, kind))
    items = sorted((item for file in files for item in file.items), key=lambda item: item.id)
    return ClearFeatures(
        _matrix(tree, files, {item.id: row for row, item in enumerate(items)}),
        _column([item.label for item in items]),
        _column([item.bucket for item in items]),
        _column([item.split for item in items]),
        tuple(item.id for item in items),
        tree.class_names,
        seed_division(tree.root) if split is None else None,
    )


@dataclass(frozen=True)
class _VectorFile:
    """A file of vectors, and the list of their images."""

    path: str
    listing: Listing

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(self.listing.items.values())


def _vector_files(tree: ClearTree, kind: str) -> Iterator[_VectorFile]:
    """Yield the files of the vectors of one kind for the listed images."""
    single = "training_folder/features"  # the folder of vectors in the 2021 layout
    folders = {None: single} | {split: f"{split}/features" for split in TREE_SPLITS}
    kinds = {split: _folders_in(tree.root, folder) for split, folder in folders.items()}
    available = sorted(set().union(*(kinds[listing.split] for listing in tree.listings)))
    if kind not in available:
        raise DatasetError(
            f"the CLEAR tree {encode_id(tree.root)!r} has no vectors of kind {kind!r}; "
            f"it has: {', '.join(available) or 'none'}."
        )
    paths: dict[str, Any] = {
        split: _paths(tree.root, f"{split}/features/{kind}")
        for split in TREE_SPLITS
        if kind in kinds[split]
    }
    for listing in tree.listings:
        if kind not in kinds[listing.split] or not listing.items:
            continue
        if listing.split is None:
            yield _VectorFile(f"{single}/{kind}/{listing.bucket}/all.pth", listing)
        else:
            yield _VectorFile(_path_of(tree.root, kind, listing, paths[listing.split]), listing)


def _folders_in(root: str, folder: str) -> list[str]:
    path = os.path.join(root, folder)
    if not os.path.isdir(path):
        return []
    return [entry.name for entry in os.scandir(path) if entry.is_dir()]


def _paths(root: str, folder: str) -> dict[str, Any]:
    """Return the content of a ``features.json``: a path for each class of each bucket."""
    file = f"{folder}/features.json"
    buckets = expect_object(root, file, read_json(root, file), "buckets")
    return {
        bucket: expect_object(root, file, classes, "classes") for bucket, classes in buckets.items()
    }


def _path_of(root: str, kind: str, listing: Listing, paths: Mapping[str, Any]) -> str:
    """Return the file of vectors of one class of a bucket."""
    folder = f"{listing.split}/features/{kind}"
    file = f"{folder}/features.json"
    found = paths.get(listing.bucket, {}).get(listing.class_name)
    target = f"the vectors of {listing.class_name!r} in bucket {listing.bucket!r}"
    given = expect_path(root, file, found, target)
    tidy = path_inside(given)
    if tidy is None:
        raise tree_error(root, file, f"has {given!r}, which is not inside the tree")
    beside = f"{folder}/{tidy}"  # a path is relative to `folder` or to the split's folder
    return beside if exists(root, beside) else f"{listing.split}/{tidy}"


def _matrix(tree: ClearTree, files: Sequence[_VectorFile], rows: Mapping[str, int]) -> Vectors:
    """Return the vectors of all files, (images, dimensions), each in the row of its image."""
    matrix: Vectors | None = None
    for file in files:
        found = _vectors(tree, file)  # (images of the file, dimensions)
        if matrix is None:
            matrix = np.empty((len(rows), found.shape[1]), dtype=np.float32)
        if found.shape[1] != matrix.shape[1]:
            raise tree_error(
                tree.root,
                file.path,
                f"has vectors of length {found.shape[1]}; those in {files[0].path!r} have length "
                f"{matrix.shape[1]}",
            )
        matrix[[rows[item.id] for item in file.items]] = found
    if matrix is None:
        raise DatasetError(f"the CLEAR tree {encode_id(tree.root)!r} lists no image.")
    return matrix


def _vectors(tree: ClearTree, file: _VectorFile) -> Vectors:
    """Return the vectors of one file, (images, dimensions), in the order of its list."""
    content = _load(tree.root, file.path)
    if file.listing.split is None:
        tensors = _tensors_2021(tree, file, content)
    else:
        tensors = _tensors_2022(tree, file, content)
    vectors = _stacked(tensors)
    if vectors is None:
        fault = "must have one vector for each image, all of the same length"
        raise tree_error(tree.root, file.path, fault)
    if not np.isfinite(vectors).all():
        raise tree_error(tree.root, file.path, "has vectors that are not finite")
    return vectors


def _tensors_2022(tree: ClearTree, file: _VectorFile, content: object) -> object:
    """Return the tensors of a file of the 2022 layout, in the order of the list."""
    if not isinstance(content, Mapping):
        raise tree_error(tree.root, file.path, "must contain vectors by Flickr id")
    images, source = file.listing.items, file.listing.file
    for key in content:
        if key not in images:
            fault = f"has a vector of {key!r}, not listed in {source!r}"
            raise tree_error(tree.root, file.path, fault)
    for key in images:
        if key not in content:
            fault = f"has no vector of {key!r}, listed in {source!r}"
            raise tree_error(tree.root, file.path, fault)
    return [content[key] for key in images]


def _tensors_2021(tree: ClearTree, file: _VectorFile, content: Any) -> object:
    """Return the tensors of a file of the 2021 layout, after a check of their labels."""
    pair = isinstance(content, tuple | list) and len(content) == 2
    if not pair or not all(isinstance(each, Sized) for each in content):
        raise tree_error(tree.root, file.path, "must contain a pair of vectors and labels")
    tensors, codes = content
    if not len(tensors) == len(codes) == len(file.items):
        raise tree_error(
            tree.root,
            file.path,
            f"has {len(tensors)} vectors and {len(codes)} labels for the {len(file.items)} "
            f"images in {file.listing.file!r}",
        )
    for item, code in zip(file.items, codes, strict=True):
        found = code.item() if hasattr(code, "item") else code  # `codes` has numbers or tensors
        if item.label is not None and tree.class_names.index(item.label) != found:
            fault = f"has class {found!r} for {item.id!r}, which is not {item.label!r}"
            raise tree_error(tree.root, file.path, fault)
    return tensors


def _stacked(tensors: object) -> Vectors | None:
    """Return tensors as one matrix; None if they are not vectors of equal length."""
    import torch

    if not isinstance(tensors, torch.Tensor):
        if not isinstance(tensors, list | tuple):
            return None
        shapes = {getattr(each, "shape", None) for each in tensors}
        if len(shapes) != 1 or not all(isinstance(each, torch.Tensor) for each in tensors):
            return None
        tensors = torch.stack(list(tensors))
    if tensors.ndim != 2 or tensors.shape[1] == 0:
        return None
    vectors: Vectors = tensors.detach().to(torch.float32).numpy()
    return vectors


def _load(root: str, file: str) -> object:
    """Return the content of a file of tensors; no code in the file is executed."""
    import torch

    if not exists(root, file):
        raise tree_error(root, file, "is missing")
    try:
        return torch.load(os.path.join(root, file), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise tree_error(root, file, "is not a file of tensors") from error


def _column(values: Sequence[str | None]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column
