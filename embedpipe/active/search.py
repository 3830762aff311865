"""Search of images by words or by an example image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._specs import check_count
from .._workspace import Workspace
from ..embedding import Embeddings
from ..embedding.image_encoder import ImageEncoder
from ..embedding.texts import TextEncoder, check_text
from ..errors import UsageError
from ..index.cosines import cosines_to, nearest_rows

__all__ = ["SearchResult", "check_query", "search"]


@dataclass(frozen=True)
class SearchResult:
    """The images that are most similar to a query.

    Attributes
    ----------
    rows
        (k,) int64 rows of the embeddings, the most similar first.
    scores
        (k,) float32 cosines of the images and the query.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def search(
    embeddings: Embeddings,
    text: str | None = None,
    *,
    image: str | Path | None = None,
    n: int = 20,
    workspace: str | Path | Workspace | None = None,
) -> SearchResult:
    """Return the images of a dataset that are most similar to words or to an image.

    The vectors of texts are stored in the workspace; the vector of the image is not stored.

    Parameters
    ----------
    embeddings
        Embeddings of a dataset. To search with words, their backbone must have a text tower, such
        as ``clip_b32`` or any ``openclip:NAME``.
    text
        Words, in a sentence or not; they are encoded as they are.
    image
        An image file to search with, instead of words.
    n
        Maximum number of images.
    workspace
        Folder of the cache; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``.

    Raises
    ------
    UsageError
        If there is not exactly one of `text` and `image`, the text is blank, the image is not a
        file, or `n` is less than 1.
    BackboneError
        If the backbone has no text tower.
    DatasetError
        If the file is not an image.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.load_dataset("digits").subset("test")
    >>> embeddings = ep.embed(digits, backbone="toy", workspace=tmp)
    >>> path = tmp / "example.png"
    >>> _ = path.write_bytes(digits.source.read_one(digits.items[7].id))
    >>> ep.search(embeddings, image=path, n=3, workspace=tmp).rows.tolist()[0]
    7
    """
    check_query(text, image)
    n = check_count("n", n)
    place = Workspace(workspace)
    if text is not None:
        vector = TextEncoder(embeddings, place).vectors([text])[0]  # (d,)
    else:
        vector = ImageEncoder(embeddings, place).encode(_content(Path(str(image)))).vector
    cosines = cosines_to(embeddings.matrix, vector)  # (m,)
    rows = nearest_rows(cosines, n)
    return SearchResult(rows, cosines[rows])


def check_query(text: str | None, image: str | Path | None) -> None:
    """Refuse a query that is not exactly one of a text and an image, and a blank text."""
    if (text is None) == (image is None):
        raise UsageError("give either words or an image to search with.")
    if text is not None:
        check_text(text)


def _content(path: Path) -> bytes:
    """Return the bytes of a file."""
    try:
        return path.expanduser().read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read the image {path}: {error.strerror or error}.") from None
