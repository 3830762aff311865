"""Datasets that torchvision reads into arrays with a training and a test half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .item import Item

__all__ = ["build", "halves", "images", "row_items", "targets"]


def build(kind: str, root: Path, **options: Any) -> Any:
    """Return torchvision's dataset of class `kind` below `root`.

    Raises
    ------
    DatasetError
        If it is not there or does not have the checksums that torchvision knows.
    """
    import torchvision.datasets

    try:
        return getattr(torchvision.datasets, kind)(root, **options)
    except (RuntimeError, OSError, EOFError) as error:
        reason = str(error).strip().split("\n", 1)[0].split(". You can use")[0].rstrip(".")
        raise DatasetError(
            f"torchvision cannot read {kind} below {str(root)!r}: {reason}."
        ) from error


def halves(kind: str, root: Path, *, download: bool = False) -> dict[str, Any]:
    """Return torchvision's dataset of class `kind` for each split."""
    return {
        split: build(kind, root, train=split == "train", download=download)
        for split in ("train", "test")
    }


def images(kind: str, root: Path) -> dict[str, NDArray[np.uint8]]:
    """Return the images of each split: uint8, (n, height, width) or (n, height, width, 3)."""
    return {split: np.asarray(half.data) for split, half in halves(kind, root).items()}


def targets(kind: str, root: Path, *, download: bool = False) -> dict[str, list[int]]:
    """Return the class of each row of each split."""
    return {
        split: np.asarray(half.targets).tolist()
        for split, half in halves(kind, root, download=download).items()
    }


def row_items(labels: Mapping[str, Sequence[str]], suffix: str) -> tuple[Item, ...]:
    """Return the items of arrays given the label of each row of each split, sorted by id."""
    return tuple(
        Item(f"{split}/{row:05d}{suffix}", label, split)
        for split in sorted(labels)
        for row, label in enumerate(labels[split])
    )
