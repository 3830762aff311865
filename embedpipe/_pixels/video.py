"""Frames of videos by presentation time, upright and in 8-bit RGB."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .opening import COPY_AGAIN, MAX_PIXELS, DecodeError

__all__ = ["VIDEO_SUFFIXES", "check_installed", "end_of", "frames_at"]

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".wmv", ".flv"),
        *(".mpg", ".mpeg", ".m2ts", ".ogv"),
    }
)
"""Suffixes of videos, in lower case."""

_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,mpeg,mpegts,ogg"
"""FFmpeg's names of supported containers. They open no other file; playlists are excluded."""

_SEEKABLE = ("mov", "matroska", "avi")
"""Containers with an exact index of key frames; others are decoded from the beginning."""

_LATE = Fraction(1, 2)
"""Maximum seconds after the stated start of a video at which its first frame may begin."""

_LAST_SECONDS = 5
"""Seconds before the stated end of a video that are searched for its last frame."""


def check_installed() -> None:
    """Raise an error if PyAV is missing."""
    try:
        import av  # noqa: F401
    except ImportError:
        raise DatasetError(
            "frames of videos need PyAV: `pip install 'embedpipe[video]'`."
        ) from None


def end_of(path: str) -> Fraction:
    """Return the end of a video in seconds after its first frame; raise DecodeError."""
    with _opened(path) as (container, stream):
        unit: Fraction = stream.time_base
        start: Fraction = (stream.start_time or 0) * unit
        if container.format.name.startswith("mov") and stream.duration is not None:
            return int(stream.duration) * unit
        stated = container.duration  # of all streams
        if stated is None:
            return _last_end(container, stream) - start
        back = _LAST_SECONDS
        while True:  # the sound may be longer than the pictures
            begin = Fraction(stated, 1_000_000) - back
            if begin <= 0:
                container.seek(stream.start_time or 0, stream=stream)
            else:
                container.seek(int((begin + start) / unit), stream=stream)
            end = _last_end(container, stream)
            if end > start or begin <= 0:
                return end - start
            back *= 8


def _last_end(container: Any, stream: Any) -> Fraction:
    """Return the end of the last frame among the packets from here, in seconds; 0 if none."""
    rate = stream.average_rate
    last = Fraction(0)
    for packet in container.demux(stream):
        if packet.pts is not None:
            length = packet.duration or (1 / (rate * stream.time_base) if rate else 0)
            last = max(last, (packet.pts + length) * stream.time_base)
    return last


def frames_at(
    path: str, times: Sequence[Fraction]
) -> Iterator[tuple[Fraction, NDArray[np.uint8] | DecodeError]]:
    """Yield the frame that is shown at each of `times`, (height, width, 3), or its error.

    `times` are in ascending order, in seconds after the first frame. Frames between two times are
    decoded once; with an index of key frames, frames that no result needs are left out.
    """
    done = 0
    try:
        with _opened(path) as (container, stream):
            player = _Player(container, stream)
            for time in times:
                frame = player.shown_at(time)
                done += 1
                yield time, frame
    except DecodeError as error:
        for time in times[done:]:
            yield time, error


class _Player:
    """Decodes a video forwards; `shown_at` takes ascending times."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container, self._stream = container, stream
        self._may_seek = container.format.name.startswith(_SEEKABLE)
        self._frames = self._decode()
        self._shown: Any = None  # the last frame that begins at the time or before
        self._next: Any = next(self._frames, None)
        if self._next is None:
            raise DecodeError(f"it is damaged (a video without frames). {COPY_AGAIN}")
        self._start = self._next.pts if stream.start_time is None else stream.start_time
        self._pixels: NDArray[np.uint8] | DecodeError | None = None  # of the shown frame

    def shown_at(self, time: Fraction) -> NDArray[np.uint8] | DecodeError:
        """Return the pixels of the frame that is shown at a time."""
        wanted = self._start + time / self._stream.time_base  # in units of the stream
        self._seek(wanted)
        self._advance(wanted)
        if self._shown is None:
            if (self._next.pts - wanted) * self._stream.time_base > _LATE:
                return DecodeError(f"it is damaged (errors in the video). {COPY_AGAIN}")
            return _pixels(self._next)
        end = self._shown.pts + self._length(self._shown)
        if self._next is None and wanted >= end:
            seconds = float((end - self._start) * self._stream.time_base)
            return DecodeError(
                f"it is after the end of the video at {seconds:.2f} s. If the video should be "
                "longer, copy it again from the source"
            )
        if self._pixels is None:
            self._pixels = _pixels(self._shown)
        return self._pixels

    def _advance(self, wanted: Fraction) -> None:
        while self._next is not None and self._next.pts <= wanted:
            self._shown, self._next = self._next, next(self._frames, None)
            self._pixels = None

    def _seek(self, wanted: Fraction) -> None:
        """Continue at the last key frame before `wanted` if it is after the present frame."""
        if not self._may_seek or self._next is None or self._next.pts >= wanted:
            return
        entries = self._stream.index_entries
        place = entries.search_timestamp(int(wanted), backward=True, any_frame=False)
        if place < 0 or entries[place].timestamp <= self._next.pts:
            return
        behind = self._next
        goal = entries[place].timestamp
        while goal > behind.pts:
            self._container.seek(goal, stream=self._stream)
            self._frames = self._decode()
            # Frames that are shown before the key frame may need frames from before it.
            first = next((frame for frame in self._frames if frame.key_frame), None)
            if first is not None and first.pts <= wanted:
                self._shown, self._next, self._pixels = None, first, None
                return
            place = entries.search_timestamp(goal - 1, backward=True, any_frame=False)
            goal = entries[place].timestamp if place >= 0 else behind.pts
        self._restart()

    def _restart(self) -> None:
        self._container.seek(self._start, stream=self._stream)
        self._frames = self._decode()
        self._shown, self._next, self._pixels = None, next(self._frames, None), None

    def _decode(self) -> Iterator[Any]:
        """Yield the frames in the order of presentation; packets with errors are left out."""
        from av.error import FFmpegError

        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError:  # the file ends in the middle of a packet
                return
            if packet is None:
                return
            try:
                for frame in packet.decode():
                    if frame.pts is None:
                        frame.pts = frame.dts
                    if frame.pts is not None:
                        yield frame
            except FFmpegError:
                continue

    def _length(self, frame: Any) -> Fraction:
        """Return the length of the last frame, in units of the stream."""
        rate = self._stream.average_rate
        usual = 1 / (rate * self._stream.time_base) if rate else Fraction(0)
        return Fraction(max(frame.duration or 0, usual))


def _pixels(frame: Any) -> NDArray[np.uint8] | DecodeError:
    if frame.is_corrupt:
        return DecodeError(f"it is damaged (errors in the video). {COPY_AGAIN}")
    if frame.width * frame.height > MAX_PIXELS:
        return DecodeError(
            f"it has {frame.width:,} x {frame.height:,} pixels; the limit is {MAX_PIXELS:,}. "
            "Reduce the video"
        )
    rgb = frame.to_ndarray(format="rgb24", src_colorspace=_colours(frame))  # (h, w, 3)
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(rgb, turns))


def _colours(frame: Any) -> Any:
    """Return the colour matrix of a frame: as stated, else by its height as players do."""
    from av.video.reformatter import Colorspace

    stated = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
    usual = "ITU709" if frame.height >= 720 else "ITU601"
    return getattr(Colorspace, stated.get(int(frame.colorspace), usual))


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[Any, Any]]:
    """Open a video, and yield its container and its stream of pictures."""
    check_installed()
    import av
    from av.error import FFmpegError

    try:
        container = av.open(
            path,
            options={"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"},
            metadata_errors="replace",  # titles of old files are often not UTF-8
        )
    except FFmpegError as error:
        raise DecodeError(f"it is damaged ({_reason(error)}). {COPY_AGAIN}") from error
    with container:
        if not container.streams.video:
            raise DecodeError("it is a file without pictures, such as sound. Remove it")
        stream: Any = container.streams.best("video") or container.streams.video[0]
        if stream.codec_context is None:
            raise DecodeError("it is a video in an unsupported format. Convert it to H.264")
        stream.thread_type = "AUTO"
        try:
            yield container, stream
        except FFmpegError as error:
            raise DecodeError(f"it is damaged ({_reason(error)}). {COPY_AGAIN}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()
