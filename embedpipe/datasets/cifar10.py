"""CIFAR-10: as image files, or in the layout that torchvision downloads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from .arrays import ArraySource
from .cards import load_card
from .dataset import Dataset
from .named import described, load_images
from .registry import Request, datasets
from .torchvision_arrays import images, row_items, targets

__all__ = ["load_cifar10", "load_cifar10_batches"]

_BATCHES = "cifar-10-batches-py"


@datasets.register("cifar10")
def load_cifar10(request: Request) -> Dataset:
    """Small photos of 10 kinds of animals and vehicles, 60,000 items; 56 MB.

    The source is a folder or archive of image files, or a folder that holds (or is) torchvision's
    ``cifar-10-batches-py``.
    """
    card = load_card("cifar10")
    root = _batches_root(Path(request.source)) if request.source else None
    if root is None:
        return load_images(card, request)
    return described(load_cifar10_batches(root), card)


def _batches_root(source: Path) -> Path | None:
    """Return the folder that holds torchvision's layout, None if `source` is something else."""
    source = source.expanduser().absolute()
    if (source / _BATCHES).is_dir():
        return source
    return source.parent if source.name == _BATCHES and source.is_dir() else None


def load_cifar10_batches(root: Path) -> Dataset:
    """Return the dataset in the folder that holds ``cifar-10-batches-py``.

    Item ``train/00012.ppm`` is row 12 of the training set.

    Raises
    ------
    DatasetError
        If a file is missing or does not have the checksum that torchvision knows.
    """
    card = load_card("cifar10")
    labels = {
        split: [card.classes[target] for target in rows]
        for split, rows in targets("CIFAR10", root).items()
    }
    source = ArraySource(str(root / _BATCHES), partial(images, "CIFAR10", root))
    return Dataset("cifar10", row_items(labels, ".ppm"), source, card.classes, card)
