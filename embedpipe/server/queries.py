"""Queries by words or by an image: their vectors, and the similarity of all items to them."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from .._workspace import Workspace
from ..embedding import Embeddings
from ..embedding.image_encoder import ImageEncoder
from ..embedding.texts import TextEncoder
from ..index.cosines import cosines_to

__all__ = ["SimilarityQueries"]

MAX_KEPT = 16
"""Maximum number of image vectors in memory, and of results."""


class SimilarityQueries:
    """Compare the items of a session with words or with an image that is not an item.

    The vectors of words are stored in the workspace, without the words. Images are not stored, and
    their vectors are in memory only. A result needs 4 bytes for each item.
    """

    def __init__(self, embeddings: Embeddings, workspace: Workspace, encoder: ImageEncoder) -> None:
        self._embeddings, self._images = embeddings, encoder
        self._texts = TextEncoder(embeddings, workspace)
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._results: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    @property
    def may_use_words(self) -> bool:
        """Whether the backbone has a text tower."""
        return self._texts.tower is not None

    @property
    def may_use_images(self) -> bool:
        """Whether the backbone is known."""
        return self._embeddings.options is not None

    def add_image(self, content: bytes) -> str:
        """Encode an image, and return a key for `cosines`."""
        vector = self._images.encode(content).vector
        key = hashlib.sha256(content).hexdigest()[:24]
        with self._lock:
            _keep(self._vectors, key, vector)
        return key

    def cosines(self, words: str, image: str) -> NDArray[np.float32]:
        """Return the (n,) cosines of the items with words or with the image of a key."""
        with self._lock:
            found = self._results.get((words, image))
            vector = self._vectors.get(image)
        if found is not None:
            return found
        if words:
            vector = self._texts.vectors([words])[0]  # (d,)
        elif vector is None:
            raise HTTPException(404, "this image is not in memory any more: search with it again.")
        assert vector is not None
        found = cosines_to(self._embeddings.matrix, vector)
        with self._lock:
            _keep(self._results, (words, image), found)
        return found


def _keep(kept: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    """Add an entry, and remove the oldest of more than `MAX_KEPT`."""
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MAX_KEPT:
        kept.popitem(last=False)
