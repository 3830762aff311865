"""Frames of videos and crops of images, as images of a source."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._pixels import (
    DecodeError,
    DerivedImage,
    Picture,
    UndecodableError,
    content_id_of,
    decoded,
    netpbm,
)
from .._pixels.video import check_installed, end_of, frames_at
from .._storage import in_parallel
from ..errors import DatasetError
from .identifiers import decode_id
from .media_fragments import Box, Part, format_time, is_video, part_of
from .source import FolderSource, Source, Stamp, readable_size

__all__ = ["MediaSource", "frame_ids"]

Content = bytes | OSError

MAX_FRAMES = 10_000_000
"""Maximum number of frames of a video, by the end that its header states."""

_BLOCK = 1 << 20
"""Bytes of a video that are hashed at once."""

_DECODED_AHEAD = 4
"""Maximum number of images that are cropped or wait at the same time."""


@dataclass(frozen=True)
class _Wanted:
    """The requested parts of one file."""

    id: str
    part: Part


class MediaSource(Source):
    """The items of another source, and parts of its files: frames of videos, and crops.

    Ids of parts are in `media_fragments`. A part is a PPM file with the pixels of the upright
    frame or image. The content id of a part is the SHA-256 of the text
    ``sha256:<SHA-256 of the file>#<part>``, so that it is known without decoding.

    Parameters
    ----------
    base
        The source of the files. Videos must be files in a folder.
    has_parts
        Whether items are parts of files; without them, `folder` is that of `base`.
    """

    def __init__(self, base: Source, has_parts: bool = True) -> None:
        self._base, self._has_parts = base, has_parts
        self._lock = threading.Lock()
        self._hashed: dict[str, tuple[Stamp, bytes]] = {}  # digests of videos

    def __reduce__(self) -> tuple[type[MediaSource], tuple[Source, bool]]:
        return type(self), (self._base, self._has_parts)

    @property
    def location(self) -> str:
        """The place of the files."""
        return self._base.location

    @property
    def folder(self) -> Path | None:
        """The folder of the files, if every item is a file in it."""
        return None if self._has_parts else self._base.folder

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on how the files were read."""
        return self._base.remarks

    def path(self, id: str) -> str:
        """Return the path of the file of item `id`, followed by the part of it."""
        part = part_of(id)
        if part is None:
            return self._base.path(id)
        return f"{self._base.path(part.file)}#{part.fragment}"

    def stamp(self, id: str) -> Stamp | None:
        """Return the stamp of the file of item `id`."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamp of the file of each of `ids`."""
        files = [id if (part := part_of(id)) is None else part.file for id in ids]
        distinct = list(dict.fromkeys(files))
        stamps = dict(zip(distinct, self._base.stamps(distinct), strict=True))
        return [stamps[file] for file in files]

    def digests(self, ids: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield the content id of each item; each file is read once, and nothing is decoded."""
        whole, images, videos = _divided(ids)
        yield from self._base.digests(whole)
        for file, digest in self._base.digests(list(images)):
            for wanted in images[file]:
                yield wanted.id, _content_id(digest, wanted.part)
        for file, parts in videos.items():
            digest = self._video_digest(file)
            for wanted in parts:
                yield wanted.id, _content_id(digest, wanted.part)

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield the whole files, then the crops of each image, then the frames of each video."""
        whole, images, videos = _divided(ids)
        yield from self._base.read(whole)

        def cropped(read: tuple[str, Content]) -> list[tuple[str, Content]]:
            file, content = read
            return _crops(content, images[file])

        for crops in in_parallel(cropped, self._base.read(list(images)), _DECODED_AHEAD):
            yield from crops
        for file, parts in videos.items():
            yield from self._frames(file, parts)

    def _frames(self, file: str, parts: list[_Wanted]) -> Iterator[tuple[str, Content]]:
        """Yield the frames of a video, or crops of them, in the order of time."""
        digest = self._video_digest(file)
        if isinstance(digest, OSError):
            yield from ((wanted.id, digest) for wanted in parts)
            return
        by_time: dict[Fraction, list[_Wanted]] = defaultdict(list)
        for wanted in parts:
            by_time[wanted.part.time or Fraction(0)].append(wanted)
        for time, frame in frames_at(self._base.path(file), sorted(by_time)):
            for wanted in by_time[time]:
                identity = _identity(digest, wanted.part)
                if isinstance(frame, DecodeError):
                    yield wanted.id, UndecodableError(str(frame), identity)
                elif wanted.part.time is None:
                    reason = f"it is a video. Name a frame of it, such as {wanted.id}#t=0.0"
                    yield wanted.id, UndecodableError(reason, identity)
                else:
                    yield wanted.id, _cut(frame, wanted.part, identity, ())

    def _video_digest(self, file: str) -> bytes | OSError:
        """Return the SHA-256 of a video, which is computed again only for a changed file."""
        if not isinstance(self._base, FolderSource):
            return OSError("it is a frame of a video that is not a file in a folder on this disk")
        stamp = self._base.stamp(file)
        with self._lock:  # another thread may hash the same video
            known = self._hashed.get(file)
            if known is not None and known[0] == stamp:
                return known[1]
            digest = hashlib.sha256()
            try:
                readable_size(self._base.path(file))
                with open(self._base.path(file), "rb", buffering=0) as video:
                    while block := video.read(_BLOCK):
                        digest.update(block)
            except OSError as error:
                return error
            if stamp is not None:
                self._hashed[file] = stamp, digest.digest()
            return digest.digest()


def _divided(
    ids: Sequence[str],
) -> tuple[list[str], dict[str, list[_Wanted]], dict[str, list[_Wanted]]]:
    """Return the ids of whole files, the crops by image, and the frames by video."""
    whole: list[str] = []
    images: dict[str, list[_Wanted]] = defaultdict(list)
    videos: dict[str, list[_Wanted]] = defaultdict(list)
    for id in ids:
        part = part_of(id)
        if part is not None:
            (images if part.time is None else videos)[part.file].append(_Wanted(id, part))
        elif is_video(id):
            videos[id].append(_Wanted(id, Part(id, None, None)))
        else:
            whole.append(id)
    return whole, images, dict(sorted(videos.items()))


def _identity(digest: bytes, part: Part) -> bytes:
    """Return the text whose SHA-256 is the content id of a part, from the digest of its file."""
    return f"sha256:{digest.hex()}#{part.fragment}".encode()


def _content_id(digest: bytes | OSError, part: Part) -> bytes | OSError:
    if isinstance(digest, OSError):
        return digest
    return hashlib.sha256(_identity(digest, part)).digest()


def _crops(content: Content, wanted: list[_Wanted]) -> list[tuple[str, Content]]:
    """Return the crops of an image, which is decoded once."""
    if isinstance(content, OSError):
        return [(each.id, content) for each in wanted]
    digest = content_id_of(content)

    def cut(picture: Picture) -> list[tuple[str, Content]]:
        pixels = np.asarray(picture.rgb)  # (h, w, 3)
        return [
            (each.id, _cut(pixels, each.part, _identity(digest, each.part), picture.remarks))
            for each in wanted
        ]

    try:
        return decoded(content, cut)
    except DecodeError as error:
        return [
            (each.id, UndecodableError(str(error), _identity(digest, each.part))) for each in wanted
        ]


def _cut(
    pixels: NDArray[np.uint8], part: Part, identity: bytes, remarks: tuple[str, ...]
) -> DerivedImage | UndecodableError:
    """Return a part of decoded pixels, (height, width, 3), as a PPM file."""
    height, width = pixels.shape[:2]
    if part.box is not None:
        left, top, right, bottom = _clamped(part.box, width, height)
        size = f"the image of {width:,} x {height:,} pixels"
        if left >= right or top >= bottom:
            reason = f"it has a box outside of {size}. Correct x, y, w and h"
            return UndecodableError(reason, identity)
        x, y, w, h = part.box
        if (left, top, right, bottom) != (x, y, x + w, y + h):
            remarks = (
                *remarks,
                f"its box is cut to {right - left} x {bottom - top} pixels by the edge of {size}",
            )
        pixels = pixels[top:bottom, left:right]
    return DerivedImage(netpbm(pixels), identity, remarks)


def _clamped(box: Box, width: int, height: int) -> Box:
    """Return the left, top, right and bottom of a box inside the image."""
    x, y, w, h = box
    return max(0, x), max(0, y), min(width, x + w), min(height, y + h)


def frame_ids(root: str, videos: Sequence[str], every: Fraction) -> list[str]:
    """Return the ids of the frames of videos below a folder; a damaged video is its own id."""
    if videos:
        check_installed()

    def listed(video: str) -> list[str]:
        try:
            end = end_of(os.path.join(root, decode_id(video)))
        except DecodeError:
            return [video]
        count = max(1, -(-end // every))
        if count > MAX_FRAMES:
            raise DatasetError(
                f"{video!r} lasts {float(end):,.0f} s and has {count:,} frames at intervals of "
                f"{format_time(every)} s; the limit is {MAX_FRAMES:,}. Give a longer --every."
            )
        times = (every * number for number in range(count))
        return [f"{video}#t={format_time(time)}" for time in times]

    return [id for ids in in_parallel(listed, videos) for id in ids]
