"""Images that are computed from a file: frames of videos, and crops."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DerivedImage", "UndecodableError", "content_id_of", "netpbm"]


class DerivedImage(bytes):
    """The encoded image of a frame or a crop.

    Its content id is the SHA-256 of `identity`, which names the digest of the file and the part of
    it. `remarks` are clauses in which "it" is the image; `decoded` adds them to its own.
    """

    identity: bytes
    remarks: tuple[str, ...]

    def __new__(
        cls, content: Any = b"", identity: bytes = b"", remarks: tuple[str, ...] = ()
    ) -> DerivedImage:
        """Return the image; the defaults are for unpickling."""
        image = super().__new__(cls, content)
        image.identity, image.remarks = identity, remarks
        return image


class UndecodableError(OSError):
    """A part of a file that cannot be computed, because the file or the part is wrong.

    It is not tried again unless the user wants to, as for an image that cannot be decoded.
    """

    def __init__(self, reason: str, identity: bytes) -> None:
        super().__init__(reason)
        self.identity = identity


def content_id_of(content: bytes | UndecodableError) -> bytes:
    """Return the content id of an image: the SHA-256 of its bytes, or of a part's identity."""
    if isinstance(content, DerivedImage | UndecodableError):
        content = content.identity
    return hashlib.sha256(content).digest()


def netpbm(image: NDArray[np.uint8]) -> bytes:
    r"""Return the bytes of a binary PGM (grey) or PPM (colour) file."""
    magic = "P5" if image.ndim == 2 else "P6"
    height, width = image.shape[:2]
    return f"{magic}\n{width} {height}\n255\n".encode() + image.tobytes()
