"""Handwritten digits that come with scikit-learn: no download, a small image each."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .arrays import ArraySource
from .cards import package_card
from .dataset import Dataset
from .item import Item
from .registry import Request, datasets

__all__ = ["load_digits"]

_TRAIN = 1400
"""The first rows, in the order of the original file, are for training; the rest for testing."""


@datasets.register("digits", card=package_card("digits"))
def load_digits(request: Request) -> Dataset:
    """Handwritten digits, 8 x 8 pixels, 1,797 items; comes with scikit-learn.

    Item ``train/0012.pgm`` is row 12 of scikit-learn's array.
    """
    if request.source is not None:
        raise UsageError("digits comes with scikit-learn and takes no source; leave it out.")
    _, targets = _rows()
    items = sorted((_item(row, digit) for row, digit in enumerate(targets)), key=lambda i: i.id)
    source = ArraySource("scikit-learn's digits", _images)
    return Dataset("digits", tuple(items), source, request.card.classes)


def _item(row: int, digit: int) -> Item:
    split = "train" if row < _TRAIN else "test"
    return Item(f"{split}/{row:04d}.pgm", str(digit), split)


def _images() -> dict[str, NDArray[np.uint8]]:
    values, _ = _rows()
    images = np.rint(values * (255 / 16)).astype(np.uint8)  # (1797, 8, 8)
    # An item's number is its row in the whole array, whatever its split.
    return {"train": images, "test": images}


@lru_cache(maxsize=1)
def _rows() -> tuple[NDArray[np.float64], list[int]]:
    """Return the images, (1797, 8, 8) from 0 to 16, and their digits."""
    from sklearn.datasets import load_digits as load

    bunch = load()
    return bunch.images, [int(digit) for digit in bunch.target]
