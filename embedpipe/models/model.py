"""Models of images: from image files, bytes, Pillow images or arrays to classes."""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._html import MAX_ROWS, result_html
from .._text import sentence_about
from .._threads import available_cpus
from ..backbones import DecodeError, Preprocess, decode_image
from ..datasets.identifiers import encode_id
from ..datasets.source import FolderSource, read_failure
from ..errors import DatasetError, UsageError

__all__ = ["ImageInput", "ImagePredictions", "Model"]

BATCH = 32
"""Number of images that are decoded and predicted together."""

ImageInput: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.uint8]
"""An image: the path or the bytes of a file, a Pillow image, or an array of pixels.

An array is uint8: (height, width) grey, (height, width, 3) RGB or (height, width, 4) RGBA.
"""


@dataclass(frozen=True)
class ImagePredictions:
    """The predictions of a model for n images.

    An index or a loop gives the predictions of single images, which are `ImagePredictions` too.

    Attributes
    ----------
    labels
        (n,) most probable classes.
    probabilities
        (n, C) float32 probabilities, columns in the order of `classes`.
    classes
        (C,) names of the classes.

    Examples
    --------
    >>> found = ImagePredictions(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array(["hat", "shoe"]))
    >>> found.labels.tolist(), found[1].label, found[1].probability
    (['hat', 'shoe'], 'shoe', 0.8)
    """

    probabilities: NDArray[Any]
    classes: NDArray[Any]

    @property
    def labels(self) -> NDArray[Any]:
        """(n,) most probable classes; the first class of a tie."""
        return np.asarray(self.classes[self.probabilities.argmax(axis=1)])

    @property
    def confidences(self) -> NDArray[Any]:
        """(n,) probabilities of the predicted classes."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def label(self) -> str:
        """The most probable class of one image."""
        return str(self._only().labels[0])

    @property
    def probability(self) -> float:
        """The probability of the most probable class of one image."""
        return float(self._only().confidences[0])

    def _only(self) -> ImagePredictions:
        if len(self) != 1:
            raise UsageError(
                f"these are the predictions of {len(self)} images: use `labels` and `confidences`, "
                "or an index such as `predictions[0].label`."
            )
        return self

    def __len__(self) -> int:
        return len(self.probabilities)

    def __getitem__(self, row: int) -> ImagePredictions:
        return ImagePredictions(self.probabilities[[row]], self.classes)

    def __iter__(self) -> Iterator[ImagePredictions]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        if len(self) == 1:
            return f"ImagePredictions({self.label!r}, {self.probability:.4f})"
        return f"ImagePredictions({len(self)} images, {len(self.classes)} classes)"

    def _repr_html_(self) -> str:
        shown = range(min(len(self), MAX_ROWS))
        rows = ((row, str(self.labels[row]), float(self.confidences[row])) for row in shown)
        headings = ["image", "label", "probability"]
        title = f"Predictions for {len(self):,} images"
        return result_html(
            title, [("classes", len(self.classes))], headings, rows, n_rows=len(self)
        )


class Model(ABC):
    """A classifier of images; see `load_model`.

    Attributes
    ----------
    classes
        (C,) names of the classes.
    preprocess
        The preprocessing of an image.
    name
        Name of the model in messages: its path.
    """

    name: str
    classes: NDArray[Any]
    preprocess: Preprocess

    @abstractmethod
    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the (b, C) probabilities of a batch of b images from `decode`."""

    def decode(self, content: bytes, name: str = "the image") -> NDArray[np.uint8]:
        """Return the pixels that the model receives for the bytes of an image file.

        Raises
        ------
        DatasetError
            If the bytes are not an image that can be decoded.
        """
        try:
            return decode_image(content, self.preprocess).pixels
        except DecodeError as error:
            raise DatasetError(sentence_about(name, str(error))) from error

    def predict(self, images: ImageInput | Iterable[ImageInput]) -> ImagePredictions:
        """Predict the class of an image, or of each image of a list.

        Parameters
        ----------
        images
            An image or several images: paths, bytes of image files, Pillow images, or uint8 arrays
            (height, width), (height, width, 3) or (height, width, 4). An array (n, height, width,
            3) is n images.

        Raises
        ------
        DatasetError
            If a file cannot be read, or an image cannot be decoded.
        UsageError
            If a value is not an image.

        Notes
        -----
        The images are decoded in batches of 32, so that the memory does not grow with their number.
        """
        parts = [np.zeros((0, len(self.classes)), np.float32)]
        with ThreadPoolExecutor(available_cpus()) as threads:
            for first, batch in _batches(_listed(images)):
                names = [f"image {first + place}" for place in range(len(batch))]
                pixels = list(threads.map(self._pixels, batch, names))
                parts.append(self.probabilities(np.stack(pixels)))
        return ImagePredictions(np.concatenate(parts), self.classes)

    def _pixels(self, image: ImageInput, name: str) -> NDArray[np.uint8]:
        if isinstance(image, str | os.PathLike):
            name = encode_id(os.fspath(image))
        return self.decode(_content_of(image, name), name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {len(self.classes)} classes)"


def _listed(images: ImageInput | Iterable[ImageInput]) -> Iterable[ImageInput]:
    """Return one image as a list, and several images unchanged."""
    if isinstance(images, np.ndarray):
        return images if images.ndim == 4 else [images]
    if isinstance(images, str | os.PathLike | bytes | Image.Image) or not isinstance(
        images, Iterable
    ):
        return [images]
    return images


def _batches(images: Iterable[ImageInput]) -> Iterator[tuple[int, Sequence[ImageInput]]]:
    """Yield the number of the first image of a batch, and the batch."""
    batch: list[ImageInput] = []
    first = 0
    for image in images:
        batch.append(image)
        if len(batch) == BATCH:
            yield first, batch
            first, batch = first + BATCH, []
    if batch:
        yield first, batch


def _content_of(image: ImageInput, name: str) -> bytes:
    """Return the bytes of an image file for an image of any type."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, Image.Image):
        return _encoded(image, name)
    if isinstance(image, np.ndarray):
        return _encoded(_image_of(image, name), name)
    if not isinstance(image, str | os.PathLike):
        raise UsageError(
            f"{name} is a {type(image).__name__}; expected a path, bytes, a Pillow image or a "
            "uint8 array."
        )
    if os.path.isdir(image):  # noqa: PTH112
        raise UsageError(
            f"{name!r} is a folder: give image files, or use `embedpipe predict` for a folder."
        )
    content = FolderSource(".").content(name)
    if isinstance(content, OSError):
        raise DatasetError(sentence_about(name, read_failure(content)))
    return content


def _image_of(pixels: NDArray[Any], name: str) -> Image.Image:
    if pixels.dtype != np.uint8 or not (
        pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    ):
        raise UsageError(
            f"{name} is an array of {pixels.dtype} with the shape {pixels.shape}; expected uint8 "
            "and (height, width), (height, width, 3) or (height, width, 4)."
        )
    return Image.fromarray(pixels)


PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")
"""Pillow's modes that a PNG stores without loss; a TIFF stores the others."""


def _encoded(image: Image.Image, name: str) -> bytes:
    """Return a Pillow image as a file without loss, so that it is decoded like other files."""
    file = io.BytesIO()
    try:
        if image.mode in PNG_MODES:
            image.save(file, "PNG", compress_level=1, exif=image.getexif())
        else:
            image.save(file, "TIFF", exif=image.getexif())
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{name} cannot be used as an image: {error}.") from error
    return file.getvalue()
