"""Named datasets in torchvision's layouts, fetched and checked by torchvision itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ..errors import DatasetError, UsageError
from .arrays import ArraySource
from .cards import load_card
from .dataset import Dataset, sorted_class_names
from .download import is_url
from .folder import FolderSource
from .item import Item
from .named import absent, described, load_images
from .registry import Request, datasets
from .torchvision_arrays import build, images, row_items, targets

__all__ = ["load_eurosat", "load_fashion_mnist", "load_flowers102", "load_mnist"]

_EUROSAT = Path("eurosat", "2750")
_FLOWERS = "flowers-102"


@datasets.register("mnist")
def load_mnist(request: Request) -> Dataset:
    """Handwritten digits, 28 x 28 pixels, 70,000 items; 12 MB."""
    return _named_idx("mnist", "MNIST", request)


@datasets.register("fashion_mnist")
def load_fashion_mnist(request: Request) -> Dataset:
    """Articles of clothing, 28 x 28 grey pixels, 70,000 items; 31 MB."""
    return _named_idx("fashion_mnist", "FashionMNIST", request)


@datasets.register("flowers102")
def load_flowers102(request: Request) -> Dataset:
    """Photos of flowers in 102 classes, 8,189 items; 345 MB."""
    card = load_card("flowers102")
    root = _root("flowers102", Path(_FLOWERS, "jpg"), request)
    return described(load_flowers102_folder(root, download=request.download), card)


@datasets.register("eurosat")
def load_eurosat(request: Request) -> Dataset:
    """Satellite images of land use in 10 classes, 27,000 items without splits; 95 MB."""
    card = load_card("eurosat")
    if request.source is not None and not (Path(request.source) / _EUROSAT).is_dir():
        return load_images(card, request)  # any folder or archive of its images
    root = _root("eurosat", _EUROSAT, request)
    if request.download and not (root / _EUROSAT).is_dir():
        build("EuroSAT", root, download=True)
    return load_images(card, Request(str(root / _EUROSAT)))


def _named_idx(name: str, kind: str, request: Request) -> Dataset:
    root = _root(name, Path(kind, "raw"), request)
    return described(load_idx(name, kind, root, download=request.download), load_card(name))


def load_idx(name: str, kind: str, root: Path, *, download: bool = False) -> Dataset:
    """Return the dataset of torchvision's class `kind` below `root`, in MNIST's format.

    Item ``train/00012.pgm`` is row 12 of the training set.

    Raises
    ------
    DatasetError
        If torchvision cannot read it.
    """
    card = load_card(name)
    labels = {
        split: [card.classes[target] for target in rows]
        for split, rows in targets(kind, root, download=download).items()
    }
    source = ArraySource(str(root / kind / "raw"), partial(images, kind, root))
    return Dataset(name, row_items(labels, ".pgm"), source, card.classes, card)


def load_flowers102_folder(root: Path, *, download: bool = False) -> Dataset:
    """Return the flowers below `root`, with torchvision's three splits.

    Raises
    ------
    DatasetError
        If torchvision cannot read them.
    """
    card = load_card("flowers102")
    items: list[Item] = []
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        part = build("Flowers102", root, split=name, download=download)
        items += [
            Item(f"jpg/{file.name}", card.classes[label], split)
            for file, label in zip(part._image_files, part._labels, strict=True)
        ]
    items.sort(key=lambda item: item.id)
    source = FolderSource(root / _FLOWERS)
    return Dataset("flowers102", tuple(items), source, sorted_class_names(items), card)


def _root(name: str, folder: Path, request: Request) -> Path:
    """Return torchvision's root, in which `folder` is or, where that is allowed, will be."""
    card = load_card(name)
    if request.source is not None and is_url(request.source):
        raise UsageError(f"{name} has no single archive to fetch; give a folder, or --download.")
    root = Path(request.source or request.directory).expanduser().absolute()
    if (root / folder).is_dir() or request.download:
        return root
    if request.source is None:
        raise absent(card, request)
    raise DatasetError(
        f"the source of {name} has to be the folder that holds {folder.as_posix()!r}; "
        f"{request.source!r} does not."
    )
