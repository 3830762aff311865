"""Small pictures for a page of hundreds."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from .._pixels import DecodeError, Picture, decoded

if TYPE_CHECKING:
    from ..datasets import Dataset

KEEP_BELOW = 32
"""Images whose sides are at most this are kept pixel for pixel, as PNG."""

QUALITY = 82

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True)
class Pick:
    """An item that was chosen to be labelled.

    Attributes
    ----------
    id
        Its path relative to the dataset's folder.
    score
        What the strategy gave it.
    label
        The label it received, if it is known.
    thumbnail
        An encoded PNG, JPEG, WebP or GIF, such as `make_thumbnail` returns; None shows its name.
    """

    id: str
    score: float
    label: str | None = None
    thumbnail: bytes | None = None


def thumbnails_of(dataset: Dataset, ids: list[str]) -> dict[str, bytes | None]:
    """Return a thumbnail of each item by id; an image that cannot be read any more has none."""
    return {
        item_id: None if isinstance(content, OSError) else make_thumbnail(content)
        for item_id, content in dataset.source.read(ids)
    }


def make_thumbnail(image_bytes: bytes, size: int = 96) -> bytes | None:
    r"""Return a small encoded copy of an image.

    Parameters
    ----------
    image_bytes
        An image file; it is decoded as for the encoder.
    size
        The longer side of the result, in pixels; a smaller image is not enlarged.

    Returns
    -------
    bytes or None
        A JPEG of about 3 kB; a PNG if both sides are at most 32 pixels, so that a page can
        show the pixels as they are; None if the image cannot be decoded.

    Examples
    --------
    >>> from PIL import Image
    >>> buffer = BytesIO()
    >>> Image.new("L", (8, 8)).save(buffer, "PNG")
    >>> make_thumbnail(buffer.getvalue())[:4]
    b'\x89PNG'
    >>> make_thumbnail(b"not an image") is None
    True
    """
    from PIL import Image

    def encoded(picture: Picture) -> bytes:
        image, buffer = picture.rgb, BytesIO()
        if max(image.size) <= KEEP_BELOW:
            image.save(buffer, "PNG", optimize=True)
        else:
            image.thumbnail((size, size), Image.Resampling.LANCZOS)
            image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
        return buffer.getvalue()

    try:
        return decoded(image_bytes, encoded, shrink=2 * size)
    except DecodeError:
        return None


def media_type(encoded: bytes) -> str | None:
    """Return the media type of an image by its first bytes; None if browsers do not show it."""
    for start, kind in _KINDS:
        if encoded.startswith(start):
            return kind
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return "image/webp"
    return None
