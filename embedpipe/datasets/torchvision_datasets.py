"""Named datasets in torchvision's layouts, fetched, checked and read by torchvision itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, UsageError
from .arrays import ArraySource
from .cards import package_card
from .dataset import Dataset, sorted_class_names
from .download import is_url
from .folder import FolderSource
from .item import Item
from .published import absent, load_images
from .registry import Request, datasets

__all__ = [
    "load_cifar10",
    "load_eurosat",
    "load_fashion_mnist",
    "load_flowers102",
    "load_mnist",
]

_CIFAR10 = "cifar-10-batches-py"
_EUROSAT = Path("eurosat", "2750")
_FLOWERS = "flowers-102"


@datasets.register("cifar10", card=package_card("cifar10"))
def load_cifar10(request: Request) -> Dataset:
    """Small photos of 10 kinds of animals and vehicles, 60,000 items; 56 MB.

    The source is a folder or archive of image files, or a folder that holds (or is) torchvision's
    ``cifar-10-batches-py``, of which item ``train/00012.ppm`` is row 12 of the training set.
    """
    source = Path(request.source or ".").expanduser().absolute()
    if source.name == _CIFAR10 and source.is_dir():
        source = source.parent
    if request.source is None or not (source / _CIFAR10).is_dir():
        return load_images(request)
    here = replace(request, download=False)  # nothing is fetched into a folder that was given
    return load_arrays("CIFAR10", source, Path(_CIFAR10), ".ppm", here)


@datasets.register("mnist", card=package_card("mnist"))
def load_mnist(request: Request) -> Dataset:
    """Handwritten digits, 28 x 28 pixels, 70,000 items; 12 MB.

    Item ``train/00012.pgm`` is row 12 of the training set.
    """
    folder = Path("MNIST", "raw")
    return load_arrays("MNIST", _root(folder, request), folder, ".pgm", request)


@datasets.register("fashion_mnist", card=package_card("fashion_mnist"))
def load_fashion_mnist(request: Request) -> Dataset:
    """Articles of clothing, 28 x 28 grey pixels, 70,000 items; 31 MB.

    Item ``train/00012.pgm`` is row 12 of the training set.
    """
    folder = Path("FashionMNIST", "raw")
    return load_arrays("FashionMNIST", _root(folder, request), folder, ".pgm", request)


@datasets.register("flowers102", card=package_card("flowers102"))
def load_flowers102(request: Request) -> Dataset:
    """Photos of flowers in 102 classes, 8,189 items; 345 MB.

    It has torchvision's three splits.
    """
    root = _root(Path(_FLOWERS, "jpg"), request)
    items: list[Item] = []
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        part = _build("Flowers102", root, split=name, download=request.download)
        items += [
            Item(f"jpg/{file.name}", request.card.classes[label], split)
            for file, label in zip(part._image_files, part._labels, strict=True)
        ]
    items.sort(key=lambda item: item.id)
    source = FolderSource(root / _FLOWERS)
    return Dataset("flowers102", tuple(items), source, sorted_class_names(items))


@datasets.register("eurosat", card=package_card("eurosat"))
def load_eurosat(request: Request) -> Dataset:
    """Satellite images of land use in 10 classes, 27,000 items without splits; 95 MB."""
    if request.source is not None and not (Path(request.source) / _EUROSAT).is_dir():
        return load_images(request)  # any folder or archive of its images
    root = _root(_EUROSAT, request)
    if request.download and not (root / _EUROSAT).is_dir():
        _build("EuroSAT", root, download=True)
    return load_images(replace(request, source=str(root / _EUROSAT)))


def load_arrays(kind: str, root: Path, folder: Path, suffix: str, request: Request) -> Dataset:
    """Return the dataset of torchvision's class `kind`, which keeps arrays in `root / folder`."""
    names = request.card.classes
    items = [
        Item(f"{split}/{row:05d}{suffix}", names[target], split)
        for split, half in sorted(_halves(kind, root, request.download).items())
        for row, target in enumerate(np.asarray(half.targets).tolist())
    ]
    source = ArraySource(str(root / folder), partial(_images, kind, root))
    return Dataset(request.card.name, tuple(items), source, names)


def _images(kind: str, root: Path) -> Mapping[str, NDArray[np.uint8]]:
    """Return the images of each split: uint8, (n, height, width) or (n, height, width, 3)."""
    return {split: np.asarray(half.data) for split, half in _halves(kind, root, False).items()}


def _halves(kind: str, root: Path, download: bool) -> dict[str, Any]:
    """Return torchvision's dataset of class `kind` for each split."""
    return {
        split: _build(kind, root, train=split == "train", download=download)
        for split in ("train", "test")
    }


def _build(kind: str, root: Path, **options: Any) -> Any:
    """Return torchvision's dataset of class `kind` below `root`; it checks its own checksums."""
    import torchvision.datasets

    try:
        return getattr(torchvision.datasets, kind)(root, **options)
    except (RuntimeError, OSError, EOFError) as error:
        reason = str(error).strip().split("\n", 1)[0].split(". You can use")[0].rstrip(".")
        raise DatasetError(
            f"torchvision cannot read {kind} below {str(root)!r}: {reason}."
        ) from error


def _root(folder: Path, request: Request) -> Path:
    """Return torchvision's root, in which `folder` is or, where that is permitted, will be."""
    name = request.card.name
    if request.source is not None and is_url(request.source):
        raise UsageError(f"{name} has no single archive to fetch; give a folder, or --download.")
    root = Path(request.source or request.directory).expanduser().absolute()
    if (root / folder).is_dir() or request.download:
        return root
    if request.source is None:
        raise absent(request)
    raise DatasetError(
        f"the source of {name} has to be the folder that holds {folder.as_posix()!r}; "
        f"{request.source!r} does not."
    )
