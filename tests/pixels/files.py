"""Writers of PNG and TIFF files of kinds that Pillow does not write."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

GREY, RGB, GREY_ALPHA, RGBA = 0, 2, 4, 6


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(samples: np.ndarray, colour_type: int, depth: int = 16, key: tuple[int, ...] = ()) -> bytes:
    """Return a PNG of samples (h, w) or (h, w, channels), with a transparent colour."""
    height, width = samples.shape[:2]
    if depth == 16:
        rows = samples.astype(">u2").reshape(height, -1).view(np.uint8)
    elif depth == 8:
        rows = samples.astype(np.uint8).reshape(height, -1)
    else:
        bits = np.unpackbits(samples.astype(np.uint8)[..., None], axis=-1)[..., 8 - depth :]
        rows = np.packbits(bits.reshape(height, -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(rows))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    if key:
        chunks.insert(1, (b"tRNS", struct.pack(f">{len(key)}H", *key)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff(
    samples: np.ndarray,
    *,
    photometric: int | None = None,
    order: str = "<",
    deflate: bool = False,
    planar: bool = False,
    extra: int | None = None,
    tags: Mapping[int, tuple[str, Any]] | None = None,
) -> bytes:
    """Return a TIFF of one strip; `tags` are a type of `struct` and a value by number."""
    height, width, *rest = samples.shape
    channels = rest[0] if rest else 1
    stored = samples.astype(samples.dtype.newbyteorder(order))
    body = (np.moveaxis(stored, -1, 0) if planar and rest else stored).tobytes()
    size = len(body) // channels if planar else len(body)
    planes = [body[start : start + size] for start in range(0, len(body), size)]
    if deflate:
        planes = [zlib.compress(plane) for plane in planes]
    offsets = np.cumsum([8, *map(len, planes)]).tolist()
    colour = channels >= 3
    entries: dict[int, tuple[str, tuple[Any, ...]]] = {
        256: ("I", (width,)),
        257: ("I", (height,)),
        258: ("H", (samples.dtype.itemsize * 8,) * channels),
        259: ("H", (8 if deflate else 1,)),
        262: ("H", (photometric if photometric is not None else 2 if colour else 1,)),
        273: ("I", tuple(offsets[:-1])),
        277: ("H", (channels,)),
        278: ("I", (height,)),
        279: ("I", tuple(map(len, planes))),
        284: ("H", (2 if planar else 1,)),
        339: ("H", ({"u": 1, "i": 2, "f": 3}[samples.dtype.kind],) * channels),
    }
    if extra is not None:
        entries[338] = ("H", (extra,))
    for number, (code, value) in (tags or {}).items():
        entries[number] = (code, value if isinstance(value, tuple) else (value,))
    return _with_directory(b"".join(planes), entries, order)


_CODES = {"B": 1, "H": 3, "I": 4, "f": 11}


def _with_directory(
    body: bytes, entries: Mapping[int, tuple[str, tuple[Any, ...]]], order: str
) -> bytes:
    body += b"\0" * (len(body) % 2)
    start = 8 + len(body)
    after = start + 2 + 12 * len(entries) + 4
    directory, overflow = struct.pack(order + "H", len(entries)), b""
    for number, (code, values) in sorted(entries.items()):
        data = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(data) > 4:
            data, overflow = struct.pack(order + "I", after + len(overflow)), overflow + data
        directory += struct.pack(order + "HHI", number, _CODES[code], len(values))
        directory += data.ljust(4, b"\0")
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, start)
    return magic + body + directory + bytes(4) + overflow
