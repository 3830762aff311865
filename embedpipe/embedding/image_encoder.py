"""The vector of an image that is not an item of a dataset; the vector is not stored."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._workspace import Workspace
from ..backbones import DecodeError, Encoder, decode_image
from ..cache import Store
from ..errors import DatasetError, UsageError
from .embed import backbone_of, preprocess_of, runtime_of
from .embeddings import Embeddings

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
        self._encoder: Encoder | None = None

    def encode(self, content: bytes) -> EncodedImage:
        """Return the vector of the bytes of an image file.

        Raises
        ------
        DatasetError
            If the bytes are not an image that can be decoded.
        UsageError
            If the embeddings were imported, so that their backbone is unknown.
        """
        options, spec = self._embeddings.options, self._embeddings.spec
        if options is None:
            raise UsageError(
                "the vectors of this dataset were imported, so that the backbone is unknown and "
                "no new image can be predicted."
            )
        backbone = backbone_of(options)
        try:
            image = decode_image(content, preprocess_of(options, backbone))
        except DecodeError as error:
            raise DatasetError(f"the file cannot be used as an image: {error}.") from error
        with self._lock:
            if self._encoder is None:
                runtime = runtime_of(Store(self._workspace, spec), options.runtime, [])
                self._encoder = backbone.open(
                    precision=spec.precision, runtime=runtime, batch_size=1
                )
            vector = self._encoder.encode(image.pixels[None])[0]  # (d,)
        if not np.isfinite(vector).all():
            raise DatasetError("the backbone gives no finite vector for this image.")
        return EncodedImage(vector, image.width, image.height)
