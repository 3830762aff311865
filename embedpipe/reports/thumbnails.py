"""Thumbnails of images."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO
from typing import TYPE_CHECKING

from .._pixels import DecodeError, Picture, decoded
from ..errors import UsageError

if TYPE_CHECKING:
    from ..datasets import Dataset

KEEP_BELOW = 32
"""Maximum side in pixels of images that are kept unchanged, as PNG."""

QUALITY = {"JPEG": 82, "WEBP": 75}
"""Quality of thumbnails, from 0 to 100."""

_KINDS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def thumbnails_of(dataset: Dataset, ids: list[str], size: int = 96) -> dict[str, bytes | None]:
    """Return a WebP thumbnail of each item by id; None for unreadable images."""
    return {
        item_id: None if isinstance(content, OSError) else make_thumbnail(content, size, "WEBP")
        for item_id, content in dataset.source.read(ids)
    }


def make_thumbnail(image_bytes: bytes, size: int = 96, kind: str = "JPEG") -> bytes | None:
    r"""Return a small encoded copy of an image file; None if the file cannot be decoded.

    The copy is a ``"JPEG"`` or ``"WEBP"`` with sides of at most `size` pixels. A photo of 96 pixels
    takes about 2 kB as JPEG, and about 1.3 kB as WebP, which takes more time. If both sides of the
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
            image.save(buffer, kind, quality=QUALITY[kind], optimize=True)
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


def data_uri(encoded: bytes) -> str:
    """Return an encoded image as a data: URI."""
    kind = media_type(encoded)
    if kind is None:
        raise UsageError("a thumbnail must be an encoded PNG, JPEG, WebP or GIF image.")
    return f"data:{kind};base64,{b64encode(encoded).decode()}"


def is_tiny(encoded: bytes) -> bool:
    """Whether this is a small PNG whose pixels are shown as squares."""
    width, height = encoded[16:20], encoded[20:24]
    sides = int.from_bytes(width, "big"), int.from_bytes(height, "big")
    return encoded.startswith(b"\x89PNG") and max(sides) <= KEEP_BELOW
