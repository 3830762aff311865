"""The vector of an image that is not an item of a dataset; the vector is not stored."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._options import EmbedOptions
from .._workspace import Workspace
from ..backbones import Decoded, DecodeError, Encoder, decode_each
from ..cache import Store, joined
from ..errors import DatasetError, UsageError
from .embed import runtime_of
from .embeddings import Embeddings
from .encoding import Encoding
from .parts import Part, parts_of

__all__ = ["EncodedImage", "ImageEncoder"]


class EncodedImage(NamedTuple):
    """The vector of an image, (d,) float32, and its size in pixels."""

    vector: NDArray[np.float32]
    width: int
    height: int


class ImageEncoder:
    """Compute vectors with the backbone of a dataset's embeddings; nothing is stored.

    The backbone is loaded on first use. Images are encoded one at a time, so the lowest bits of
    a vector can differ from those of `embed`.
    """

    def __init__(self, embeddings: Embeddings, workspace: Workspace) -> None:
        self._embeddings, self._workspace = embeddings, workspace
        self._lock = threading.Lock()
        self._parts: tuple[Part, ...] = ()
        self._encoders: list[Encoder] = []

    def encode(self, content: bytes) -> EncodedImage:
        """Return the vector of the bytes of an image file.

        Raises
        ------
        DatasetError
            If the bytes are not an image that can be decoded.
        UsageError
            If the embeddings were imported, so that their backbone is unknown.
        """
        options = self._embeddings.options
        if options is None:
            raise UsageError(
                "the vectors of this dataset were imported, so that the backbone is unknown and "
                "no new image can be predicted."
            )
        with self._lock:
            parts = self._parts = self._parts or parts_of(options)
        images: list[Decoded] = []
        for image in decode_each(content, [part.preprocess for part in parts]):
            if isinstance(image, DecodeError):
                raise DatasetError(f"the file cannot be used as an image: {image}.") from image
            images.append(image)
        with self._lock:
            if not self._encoders:
                self._encoders = self._opened(options, parts)
            blocks = [
                encoder.encode(image.pixels[None])  # (1, d)
                for encoder, image in zip(self._encoders, images, strict=True)
            ]
        vector = (joined(blocks) if len(blocks) > 1 else blocks[0])[0]  # (d,)
        if not np.isfinite(vector).all():
            raise DatasetError("the backbone gives no finite vector for this image.")
        return EncodedImage(vector, images[0].width, images[0].height)

    def _opened(self, options: EmbedOptions, parts: Sequence[Part]) -> list[Encoder]:
        spec = self._embeddings.spec
        stores = [Store(self._workspace, each) for each in spec.parts or [spec]]
        return [
            Encoding(part, store, runtime_of(store, options.runtime, [])).open(batch_size=1)
            for part, store in zip(parts, stores, strict=True)
        ]
