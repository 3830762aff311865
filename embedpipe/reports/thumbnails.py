"""Thumbnails of images."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from .._pixels import DecodeError, Picture, decoded

if TYPE_CHECKING:
    from ..datasets import Dataset

KEEP_BELOW = 32
"""Maximum side in pixels of images that are kept unchanged, as PNG."""

QUALITY = 82
"""Quality of JPEG thumbnails, from 0 to 100."""

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


@dataclass(frozen=True)
class Pick:
    """A selected image: its path in the dataset, acquisition score, label and encoded thumbnail."""

    id: str
    score: float
    label: str | None = None
    thumbnail: bytes | None = None


def thumbnails_of(dataset: Dataset, ids: list[str]) -> dict[str, bytes | None]:
    """Return a thumbnail of each item by id; None for unreadable images."""
    return {
        item_id: None if isinstance(content, OSError) else make_thumbnail(content)
        for item_id, content in dataset.source.read(ids)
    }


def make_thumbnail(image_bytes: bytes, size: int = 96) -> bytes | None:
    r"""Return a small encoded copy of an image file; None if the file cannot be decoded.

    The copy is a JPEG of about 3 kB with sides of at most `size` pixels. If both sides of the
    image are at most 32 pixels, the copy is a PNG with the original pixels.

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
    """Return the media type of an image; None for types that browsers do not show."""
    for start, kind in _KINDS:
        if encoded.startswith(start):
            return kind
    if encoded.startswith(b"RIFF") and encoded[8:12] == b"WEBP":
        return "image/webp"
    return None
