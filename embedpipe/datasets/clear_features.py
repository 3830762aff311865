"""The vectors that CLEAR ships beside its images, as one matrix."""

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
from .clear_tree import HALVES, ClearTree, Listing, broken, exists, mapping, read_json, text, within
from .identifiers import encode_id
from .item import Item

__all__ = ["ClearFeatures", "load_clear_features"]

Vectors = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ClearFeatures:
    """Vectors of a CLEAR tree's images, with the label, bucket and split of each.

    Parameters
    ----------
    matrix
        (n, d) float32, in the order of `ids`.
    labels
        (n,) object: the name of the class, None in bucket 0.
    buckets
        (n,) object: ``"1"`` to ``"10"``.
    splits
        (n,) object: ``"train"`` or ``"test"``; None for images of bucket 0 that are in neither.
    ids
        The items, sorted: those of `load_clear_tree`.
    class_names
        The classes in the tree's order.
    division
        From a seed to the split of each item by id, for a tree with several divisions of which
        none was chosen.
    """

    matrix: Vectors
    labels: NDArray[np.object_]
    buckets: NDArray[np.object_]
    splits: NDArray[np.object_]
    ids: tuple[str, ...]
    class_names: tuple[str, ...]
    division: Callable[[int], Mapping[str, str]] | None = None

    def for_seed(self, seed: int) -> ClearFeatures:
        """Return the same vectors with the splits of a run's seed; see `Dataset.for_seed`."""
        if self.division is None:
            return self
        splits = self.division(seed)
        return replace(self, splits=_column([splits.get(id) for id in self.ids]), division=None)


def load_clear_features(
    folder: str | os.PathLike[str], kind: str = "moco_b0", *, split: int | None = None
) -> ClearFeatures:
    r"""Return the vectors that ship with a CLEAR tree; the images need not be there.

    The labels, buckets and splits are those of `load_clear_tree`, from the same lists. The new
    layout keeps vectors by Flickr id: ``<half>/features/<kind>/features.json`` is
    ``{bucket: {class: path}}``, each path (relative to the half, or to that file's folder)
    leading to a file of ``{Flickr id: tensor (d,)}``. A half that ships none of this kind is left
    out, and so are its rows. The old layout keeps
    ``training_folder/features/<kind>/<bucket>/all.pth``, a pair of the tensors, (m, d), and
    the numbers of their classes, in the order of ``filelists/<bucket>/all.txt``.

    Parameters
    ----------
    folder
        The tree, in either layout.
    kind
        What made the vectors: ``"moco_b0"`` is a ResNet-50 that learned from bucket 0 alone
        (MoCo v2, d = 2048).
    split
        As for `load_clear_tree`.

    Raises
    ------
    DatasetError
        If the tree is malformed, has no such vectors, or they are not one for each image that is
        listed, all of the same length and finite.

    Notes
    -----
    Files are read by ``torch.load(weights_only=True)``, which runs no code that is in them.
    Memory: 4 d bytes an image, and the vectors of one file.

    Examples
    --------
    >>> import torch
    >>> files = {
    ...     "bucket_indices.json": "[1]",
    ...     "filelists/1/all.txt": "labeled_images/1/dress/7.jpg 1",
    ...     "testset_ratio_0.3/split_0/1/train.txt": "",
    ...     "testset_ratio_0.3/split_0/1/test.txt": "labeled_images/1/dress/7.jpg 1",
    ... }
    >>> for file, content in files.items():
    ...     path = tmp / "training_folder" / file
    ...     path.parent.mkdir(parents=True, exist_ok=True)
    ...     _ = path.write_text(content)
    >>> _ = (tmp / "class_names.txt").write_text("bus\ndress")
    >>> folder = tmp / "training_folder/features/moco_b0/1"
    >>> folder.mkdir(parents=True)
    >>> torch.save((torch.ones(1, 4), [1]), folder / "all.pth")
    >>> features = load_clear_features(tmp)
    >>> features.matrix.shape, features.labels.tolist(), features.splits.tolist()
    ((1, 4), ['dress'], ['test'])
    """
    tree = read_clear_tree(folder, split=split)
    parts = list(_parts(tree, kind))
    items = sorted((item for part in parts for item in part.items), key=lambda item: item.id)
    return ClearFeatures(
        _matrix(tree, parts, {item.id: row for row, item in enumerate(items)}),
        _column([item.label for item in items]),
        _column([item.bucket for item in items]),
        _column([item.split for item in items]),
        tuple(item.id for item in items),
        tree.class_names,
        seed_division(tree.root) if split is None else None,
    )


@dataclass(frozen=True)
class _Part:
    """A file of vectors, and the list of the images that they are of."""

    file: str
    listing: Listing

    @property
    def items(self) -> tuple[Item, ...]:
        return tuple(self.listing.items.values())


def _parts(tree: ClearTree, kind: str) -> Iterator[_Part]:
    """Yield the files of vectors of one kind, those of images that are listed."""
    old = "training_folder/features"
    folders = {None: old} | {half: f"{half}/features" for half in HALVES}
    kinds = {half: _folders_in(tree.root, folder) for half, folder in folders.items()}
    there = sorted(set().union(*(kinds[listing.half] for listing in tree.listings)))
    if kind not in there:
        raise DatasetError(
            f"the CLEAR tree {encode_id(tree.root)!r} ships no vectors of kind {kind!r}; "
            f"it has: {', '.join(there) or 'none'}."
        )
    paths: dict[str, Any] = {
        half: _paths(tree.root, f"{half}/features/{kind}") for half in HALVES if kind in kinds[half]
    }
    for listing in tree.listings:
        if kind not in kinds[listing.half] or not listing.items:
            continue
        if listing.half is None:
            yield _Part(f"{old}/{kind}/{listing.bucket}/all.pth", listing)
        else:
            yield _Part(_path_of(tree.root, kind, listing, paths[listing.half]), listing)


def _folders_in(root: str, folder: str) -> list[str]:
    path = os.path.join(root, folder)
    if not os.path.isdir(path):
        return []
    return [entry.name for entry in os.scandir(path) if entry.is_dir()]


def _paths(root: str, folder: str) -> dict[str, Any]:
    """Return the content of a ``features.json``: a path for each class of each bucket."""
    file = f"{folder}/features.json"
    buckets = mapping(root, file, read_json(root, file), "buckets")
    return {bucket: mapping(root, file, classes, "classes") for bucket, classes in buckets.items()}


def _path_of(root: str, kind: str, listing: Listing, paths: Mapping[str, Any]) -> str:
    """Return the file of vectors of one class of a bucket."""
    folder = f"{listing.half}/features/{kind}"
    file = f"{folder}/features.json"
    found = paths.get(listing.bucket, {}).get(listing.class_name)
    what = f"the vectors of {listing.class_name!r} in bucket {listing.bucket!r}"
    given = text(root, file, found, what)
    tidy = within(given)
    if tidy is None:
        raise broken(root, file, f"names {given!r}, which is not inside the tree")
    beside = f"{folder}/{tidy}"
    return beside if exists(root, beside) else f"{listing.half}/{tidy}"


def _matrix(tree: ClearTree, parts: Sequence[_Part], rows: Mapping[str, int]) -> Vectors:
    """Return the vectors of all parts, (n, d), each in the row of its image."""
    matrix: Vectors | None = None
    for part in parts:
        found = _vectors(tree, part)  # (m, d)
        if matrix is None:
            matrix = np.empty((len(rows), found.shape[1]), dtype=np.float32)
        if found.shape[1] != matrix.shape[1]:
            raise broken(
                tree.root,
                part.file,
                f"holds vectors of length {found.shape[1]}, {parts[0].file!r} of length "
                f"{matrix.shape[1]}",
            )
        matrix[[rows[item.id] for item in part.items]] = found
    if matrix is None:
        raise DatasetError(f"the CLEAR tree {encode_id(tree.root)!r} lists no image.")
    return matrix


def _vectors(tree: ClearTree, part: _Part) -> Vectors:
    """Return the vectors of one file in the order of its list, (m, d)."""
    content = _loaded(tree.root, part.file)
    if part.listing.half is None:
        tensors = _in_order(tree, part, content)
    else:
        tensors = _by_id(tree, part, content)
    vectors = _stacked(tensors)
    if vectors is None:
        raise broken(tree.root, part.file, "does not hold a vector of one length for each image")
    if not np.isfinite(vectors).all():
        raise broken(tree.root, part.file, "holds vectors that are not finite")
    return vectors


def _by_id(tree: ClearTree, part: _Part, content: object) -> object:
    """Return the tensors of a file of the new layout, in the order of the list."""
    if not isinstance(content, Mapping):
        raise broken(tree.root, part.file, "does not hold vectors by Flickr id")
    listed, file = part.listing.items, part.listing.file
    for key in content:
        if key not in listed:
            raise broken(tree.root, part.file, f"has a vector of {key!r}, not listed in {file!r}")
    for key in listed:
        if key not in content:
            raise broken(tree.root, part.file, f"has no vector of {key!r}, listed in {file!r}")
    return [content[key] for key in listed]


def _in_order(tree: ClearTree, part: _Part, content: Any) -> object:
    """Return the tensors of a file of the old layout, whose labels have to be those of the list."""
    pair = isinstance(content, tuple | list) and len(content) == 2
    if not pair or not all(isinstance(each, Sized) for each in content):
        raise broken(tree.root, part.file, "does not hold a pair of vectors and labels")
    tensors, codes = content
    if not len(tensors) == len(codes) == len(part.items):
        raise broken(
            tree.root,
            part.file,
            f"holds {len(tensors)} vectors and {len(codes)} labels for the {len(part.items)} "
            f"images in {part.listing.file!r}",
        )
    for item, code in zip(part.items, codes, strict=True):
        found = code.item() if hasattr(code, "item") else code  # a list of numbers, or a tensor
        if item.label is not None and tree.class_names.index(item.label) != found:
            raise broken(
                tree.root,
                part.file,
                f"gives {item.id!r} the class {found!r}, which is not {item.label!r}",
            )
    return tensors


def _stacked(tensors: object) -> Vectors | None:
    """Return tensors as one matrix, None if they are not vectors of one length."""
    import torch

    if not isinstance(tensors, torch.Tensor):
        if not isinstance(tensors, list | tuple):
            return None
        one = {getattr(each, "shape", None) for each in tensors}
        if len(one) != 1 or not all(isinstance(each, torch.Tensor) for each in tensors):
            return None
        tensors = torch.stack(list(tensors))
    if tensors.ndim != 2 or tensors.shape[1] == 0:
        return None
    vectors: Vectors = tensors.detach().to(torch.float32).numpy()
    return vectors


def _loaded(root: str, file: str) -> object:
    """Return the content of a file of tensors; no code in it is run."""
    import torch

    if not exists(root, file):
        raise broken(root, file, "is missing")
    try:
        return torch.load(os.path.join(root, file), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise broken(root, file, "is not a file of tensors") from error


def _column(values: Sequence[str | None]) -> NDArray[np.object_]:
    column = np.empty(len(values), dtype=np.object_)
    column[:] = values
    return column
