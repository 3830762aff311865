"""Named datasets that scikit-learn and torchvision provide."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._pixels import netpbm
from ..errors import DatasetError, UsageError
from .cards import package_card
from .dataset import Dataset, Item, sorted_class_names
from .download import is_url
from .published import load_images, not_available
from .registry import Request, datasets
from .source import FolderSource, Source, Stamp

__all__ = [
    "ArraySource",
    "load_cifar10",
    "load_digits",
    "load_eurosat",
    "load_fashion_mnist",
    "load_flowers102",
    "load_mnist",
]

Arrays = Mapping[str, NDArray[np.uint8]]


class ArraySource(Source):
    """Images in one array for each split; item ``train/7.pgm`` is row 7 of ``train``.

    The function `load` returns the arrays.
    """

    def __init__(self, location: str, load: Callable[[], Arrays]) -> None:
        self._location, self._load = location, load
        self._lock = threading.Lock()
        self._cached: Arrays | None = None

    def __reduce__(self) -> tuple[type[ArraySource], tuple[str, Callable[[], Arrays]]]:
        return type(self), (self._location, self._load)

    @property
    def location(self) -> str:
        """The origin of the arrays."""
        return self._location

    def stamp(self, id: str) -> Stamp | None:
        """Return None, because an array has no file times."""
        return None

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each row as a binary PGM or PPM file."""
        for id in ids:
            yield id, self._content(id)

    def _content(self, id: str) -> bytes | OSError:
        split, _, file = id.partition("/")
        row, _, _ = file.partition(".")
        try:
            return netpbm(self._arrays()[split][int(row)])
        except (KeyError, IndexError, ValueError):
            return FileNotFoundError(f"it is not in {self.location}")

    def _arrays(self) -> Arrays:
        with self._lock:
            if self._cached is None:
                self._cached = self._load()
            return self._cached


_TRAIN_DIGITS = 1400
"""Number of training images of ``digits``: the first rows of the original file."""


@datasets.register("digits", card=package_card("digits"))
def load_digits(request: Request) -> Dataset:
    """Handwritten digits, 8 x 8 pixels, 1,797 items; comes with scikit-learn.

    Item ``train/0012.pgm`` is row 12 of scikit-learn's array.
    """
    if request.source is not None:
        raise UsageError(
            "digits comes with scikit-learn and takes no source; leave the source out."
        )
    _, targets = _digits()
    items = sorted((_digit(row, digit) for row, digit in enumerate(targets)), key=lambda i: i.id)
    source = ArraySource("scikit-learn's digits", _digit_images)
    return Dataset("digits", tuple(items), source, request.card.classes)


def _digit(row: int, digit: int) -> Item:
    split = "train" if row < _TRAIN_DIGITS else "test"
    return Item(f"{split}/{row:04d}.pgm", str(digit), split)


def _digit_images() -> dict[str, NDArray[np.uint8]]:
    values, _ = _digits()
    images = np.rint(values * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    return {"train": images, "test": images}  # an item's number is its row in the whole array


@lru_cache(maxsize=1)
def _digits() -> tuple[NDArray[np.float64], list[int]]:
    """Return the images, (1797, 8, 8) with values from 0 to 16, and their digits."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    return bunch.images, [int(digit) for digit in bunch.target]


_CIFAR10 = "cifar-10-batches-py"
_EUROSAT = Path("eurosat", "2750")
_FLOWERS = "flowers-102"


@datasets.register("cifar10", card=package_card("cifar10"))
def load_cifar10(request: Request) -> Dataset:
    """Small photos of 10 kinds of animals and vehicles, 60,000 items; 56 MB.

    The source is a folder or archive of image files, or a folder that contains (or is)
    torchvision's ``cifar-10-batches-py``. With this folder, item ``train/00012.ppm`` is row 12 of
    torchvision's training set.
    """
    source = Path(request.source or ".").expanduser().absolute()
    if source.name == _CIFAR10 and source.is_dir():
        source = source.parent
    if request.source is None or not (source / _CIFAR10).is_dir():
        return load_images(request)
    offline = replace(request, download=False)  # nothing is downloaded into the user's folder
    return load_arrays("CIFAR10", source, Path(_CIFAR10), ".ppm", offline)


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
        return load_images(request)
    root = _root(_EUROSAT, request)
    if request.download and not (root / _EUROSAT).is_dir():
        _build("EuroSAT", root, download=True)
    return load_images(replace(request, source=str(root / _EUROSAT)))


def load_arrays(kind: str, root: Path, folder: Path, suffix: str, request: Request) -> Dataset:
    """Return the dataset of torchvision's class `kind`, whose arrays are in `root / folder`."""
    names = request.card.classes
    items = [
        Item(f"{split}/{row:05d}{suffix}", names[target], split)
        for split, part in sorted(_splits(kind, root, request.download).items())
        for row, target in enumerate(np.asarray(part.targets).tolist())
    ]
    source = ArraySource(str(root / folder), partial(_arrays, kind, root))
    return Dataset(request.card.name, tuple(items), source, names)


def _arrays(kind: str, root: Path) -> Arrays:
    """Return the images of each split: uint8, (n, height, width) or (n, height, width, 3)."""
    return {split: np.asarray(part.data) for split, part in _splits(kind, root, False).items()}


def _splits(kind: str, root: Path, download: bool) -> dict[str, Any]:
    """Return torchvision's dataset of class `kind` for each split."""
    return {
        split: _build(kind, root, train=split == "train", download=download)
        for split in ("train", "test")
    }


def _build(kind: str, root: Path, **options: Any) -> Any:
    """Return torchvision's dataset of class `kind` below `root`, with verified checksums."""
    import torchvision.datasets

    try:
        return getattr(torchvision.datasets, kind)(root, **options)
    except (RuntimeError, OSError, EOFError) as error:
        reason = str(error).strip().split("\n", 1)[0].split(". You can use")[0].rstrip(".")
        raise DatasetError(
            f"torchvision cannot read {kind} below {str(root)!r}: {reason}."
        ) from error


def _root(folder: Path, request: Request) -> Path:
    """Return torchvision's root: it contains `folder`, or will after a permitted download."""
    name = request.card.name
    if request.source is not None and is_url(request.source):
        raise UsageError(f"{name} has no single archive to download; give a folder or --download.")
    root = Path(request.source or request.directory).expanduser().absolute()
    if (root / folder).is_dir() or request.download:
        return root
    if request.source is None:
        raise not_available(request)
    raise DatasetError(
        f"the source of {name} must be the folder that contains {folder.as_posix()!r}; "
        f"{request.source!r} does not."
    )
