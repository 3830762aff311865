"""Images of Python sequences, such as PyTorch datasets, as a source of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._pixels import netpbm
from ..errors import DatasetError
from .source import Source, Stamp

__all__ = ["SequenceSource"]


class SequenceSource(Source):
    """Images in sequences; item ``train/0/12.ppm`` is image 12 of the sequence ``train/0``.

    Parameters
    ----------
    location
        Name of the sequences, for messages.
    sequences
        Sequences by name. An element is an image of PIL or a tensor, or a pair of an image and a
        target.
    """

    def __init__(self, location: str, sequences: Mapping[str, Any]) -> None:
        self._location, self._sequences = location, sequences

    @property
    def location(self) -> str:
        """The origin of the images."""
        return self._location

    def ids(self, name: str) -> list[str]:
        """Return the ids of the images of a sequence, in its order."""
        return [f"{name}/{position}.ppm" for position in range(len(self._sequences[name]))]

    def stamp(self, id: str) -> Stamp | None:
        """Return None, because a sequence has no file times."""
        return None

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield each image as a binary PGM or PPM file."""
        for id in ids:
            name, _, file = id.rpartition("/")
            element = self._sequences[name][int(file.removesuffix(".ppm"))]
            image = element[0] if isinstance(element, tuple | list) else element
            yield id, netpbm(self._pixels(image, id))

    def _pixels(self, image: Any, id: str) -> NDArray[np.uint8]:
        """Return the (height, width) or (height, width, 3) pixels of an image."""
        if hasattr(image, "convert"):
            return np.asarray(image if image.mode == "L" else image.convert("RGB"))
        values = np.asarray(image)
        if values.ndim == 3:
            values = values[0] if len(values) == 1 else values.transpose(1, 2, 0)
        if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
            raise DatasetError(
                f"image {id} of {self.location} has shape {tuple(np.shape(image))}: give images "
                "of PIL, or tensors of shape (height, width), (1, height, width) or "
                "(3, height, width)."
            )
        if values.dtype == np.uint8:
            return values
        if values.dtype.kind != "f" or not (values.min() >= 0 and values.max() <= 1):
            raise DatasetError(
                f"image {id} of {self.location} has values from {values.min():.4g} to "
                f"{values.max():.4g}: give 8-bit images, or values from 0 to 1 that are not "
                "normalised."
            )
        pixels: NDArray[np.uint8] = np.rint(values * 255).astype(np.uint8)
        return pixels
