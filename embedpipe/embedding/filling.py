"""Filling a store: read, decode, encode and write, or copy vectors of an older colour rule."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._pixels import (
    OLDER_RULES,
    UndecodableError,
    collect_warnings,
    content_id_of,
    is_same_by_older_rule,
)
from .._threads import available_cpus
from .._versions import versions
from .._workspace import Workspace
from ..backbones import Decoded, DecodeError, Preprocess, decode_each, decode_image
from ..backbones.runtimes import second_level_cache, uses_cuda
from ..cache import CONTENT_ID, Failure, Row, Store
from ..datasets import Source
from ..datasets.source import read_failure
from .embeddings import Remark
from .encoding import Encoding
from .profile import StageClock, StageProfile
from .scan import Progress

__all__ = [
    "FillResult",
    "Filler",
    "batch_size_of",
    "canary_images",
    "copy_older_vectors",
    "older_stores",
    "together",
]

BATCH_SIZE, GPU_BATCH_SIZE = 16, 128
"""Maximum images of a batch on a CPU, where each thread encodes its own batch, and on a GPU."""

SMALL_CACHE, SMALL_CACHE_BATCH_SIZE = 2 << 20, 8
"""Images of a batch on processors whose second-level cache has fewer than these bytes."""

BATCH_PIXELS = BATCH_SIZE * 224 * 224
"""Maximum pixels of a batch on a CPU; bounds the memory of each thread."""

MOST_BATCHES = 4
"""Maximum batches of images that a thread decodes before it encodes them with several backbones."""

FRAGMENT_ROWS = 4096
FRAGMENT_SECONDS = 30.0
"""Maximum rows and seconds between two fragments; a killed process loses at most this work."""

READ_BATCHES = 4
"""Maximum images that are read for a batch, as a multiple of its size; some are not embedded."""

AHEAD, AHEAD_BYTES = 2, 256 << 20
"""Maximum batches that wait for a thread, and maximum bytes of files in memory."""


@dataclass(frozen=True)
class FillResult:
    """Number of embedded images, failures by item id, seconds, and seconds of each stage.

    `digests` has the digest, or the error of reading, of each item whose digest was unknown.
    """

    embedded: int
    failures: dict[str, Failure]
    seconds: float
    remarks: tuple[Remark, ...] = ()
    digests: dict[str, bytes | OSError] = field(default_factory=dict)
    profile: StageProfile | None = None

    def plus(self, other: FillResult) -> FillResult:
        """Return the combined result of two successive calls."""
        return FillResult(
            self.embedded + other.embedded,
            self.failures | other.failures,
            self.seconds + other.seconds,
            self.remarks + other.remarks,
            self.digests | other.digests,
            other.profile if self.profile is None else self.profile.plus(other.profile),
        )


def together(results: Sequence[FillResult]) -> FillResult:
    """Return the result of one pass that filled several stores; each image counts once."""
    first, *others = results
    if not others:
        return first
    failures: dict[str, Failure] = {}
    for result in results:
        failures |= result.failures
    return replace(
        first,
        embedded=0 if first.profile is None else first.profile.images,
        failures=failures,
        remarks=tuple(dict.fromkeys(each for result in results for each in result.remarks)),
    )


class _Image(NamedTuple):
    """The bytes of an image, and the positions of the encodings without its vector."""

    item_id: str
    content_id: bytes
    content: bytes
    encodings: tuple[int, ...]


@dataclass
class _Results:
    """The rows, failures and remarks of a batch in one encoding."""

    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


class _Batch:
    """The number of images that were read together, and the results of each encoding."""

    def __init__(self, encodings: int) -> None:
        self.images = 0
        self.results = [_Results() for _ in range(encodings)]

    def embedded(self) -> int:
        """Return the number of images with a new vector and without a failure."""
        found = {row.content_id for each in self.results for row in each.rows}
        failed = {failure.content_id for each in self.results for failure in each.failures}
        return len(found - failed)

    def add_failure(self, failure: Failure, encodings: Sequence[int]) -> None:
        for at in encodings:
            self.results[at].failures.append(failure)


def _is_unknown(content_id: bytes) -> bool:
    return False


class Filler:
    """Backbones that are ready to embed images and to add their vectors to stores."""

    def __init__(self, encodings: Sequence[Encoding]) -> None:
        self._threads = available_cpus()
        self._encoders = [_BatchEncoder(each, self._threads) for each in encodings]
        self._group_size = _group_size([each.batch_size for each in self._encoders])
        self._streams = min(self._threads, sum(each.streams for each in self._encoders))

    def fill(
        self,
        source: Source,
        wanted: Mapping[str, bytes | None],
        *,
        is_known: Sequence[Callable[[bytes], bool]] | None = None,
        progress: Progress | None = None,
    ) -> list[FillResult]:
        """Embed images by item id, and add them to the stores, a fragment at a time.

        Each image is read and decoded once. An encoding leaves out the images whose content ids
        its function in `is_known` confirms. An image without a content id in `wanted` is hashed,
        and left out if it equals an earlier image of the same call.
        """
        clock = StageClock()
        digests = _Digests(wanted, is_known or [_is_unknown] * len(self._encoders))
        writers = [_Writer(each.store, each.provenance, clock) for each in self._encoders]
        failures: list[dict[str, Failure]] = [{} for _ in writers]
        remarks: list[list[Remark]] = [[] for _ in writers]
        started, done, images = time.monotonic(), 0, 0
        try:
            # Pillow's warnings are collected during the whole call: entering costs time.
            with collect_warnings():
                for batch in self._batches(source, digests, clock):
                    for at, results in enumerate(batch.results):
                        writers[at].add(results)
                        failures[at] |= {failure.path: failure for failure in results.failures}
                        remarks[at] += results.remarks
                    images += batch.embedded()
                    done += batch.images
                    if progress is not None:
                        progress("embed", done, len(wanted))
        except KeyboardInterrupt:
            for writer in writers:
                writer.flush()
            raise
        for writer in writers:
            writer.flush()
        seconds = time.monotonic() - started
        profile = StageProfile(images, seconds, self._threads, self._streams, clock.busy)
        return [
            FillResult(
                writer.written,
                failures[at],
                seconds,
                tuple(sorted(remarks[at])),
                dict(digests.found),
                profile,
            )
            for at, writer in enumerate(writers)
        ]

    def _batches(self, source: Source, digests: _Digests, clock: StageClock) -> Iterator[_Batch]:
        """Yield the batches in the order of reading; each thread decodes and encodes a batch."""
        # The threads add up to the processors: this thread waits while they work.
        pending: deque[tuple[Future[_Batch], int]] = deque()
        in_flight = 0
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for batch, images in self._read(source, digests, clock):
                    size = sum(len(image.content) for image in images)
                    while pending and (
                        pending[0][0].done()
                        or len(pending) >= self._threads + AHEAD
                        or in_flight + size > AHEAD_BYTES
                    ):
                        future, released = pending.popleft()
                        in_flight -= released
                        yield future.result()
                    pending.append((pool.submit(self._embed, batch, images, clock), size))
                    in_flight += size
                while pending:
                    yield pending.popleft()[0].result()
            finally:
                for future, _ in pending:
                    future.cancel()

    def _read(
        self, source: Source, digests: _Digests, clock: StageClock
    ) -> Iterator[tuple[_Batch, list[_Image]]]:
        """Yield batches of read images, with the failures of images that cannot be read."""
        contents = source.read(list(digests.wanted))
        batch, images, held = _Batch(len(self._encoders)), list[_Image](), 0
        most = READ_BATCHES * self._group_size
        while True:
            with clock.time("read"):
                read = next(contents, None)
                checked = None if read is None else digests.check(*read)
            if read is None:
                break
            item_id, content = read
            batch.images += 1
            if isinstance(checked, Failure):
                content_id = checked.content_id or digests.wanted[item_id]
                batch.add_failure(checked, digests.encodings_of(content_id))
            elif checked is not None and (encodings := digests.encodings_of(checked)):
                assert isinstance(content, bytes)
                images.append(_Image(item_id, checked, content, encodings))
                held += len(content)
            if len(images) == self._group_size or batch.images == most or held > AHEAD_BYTES:
                yield batch, images
                batch, images, held = _Batch(len(self._encoders)), [], 0
        if batch.images:
            yield batch, images

    def _embed(self, batch: _Batch, images: list[_Image], clock: StageClock) -> _Batch:
        """Decode and encode the images of a batch."""
        pixels = [each.buffer(self._group_size) for each in self._encoders]
        good: list[list[tuple[_Image, Decoded]]] = [[] for _ in pixels]
        with clock.time("decode"):
            for image in images:
                rules = [self._encoders[at].preprocess for at in image.encodings]
                results = decode_each(image.content, rules)
                for at, result in zip(image.encodings, results, strict=True):
                    if isinstance(result, DecodeError):
                        failure = Failure(image.item_id, image.content_id, "decode", str(result))
                        batch.add_failure(failure, [at])
                    else:
                        pixels[at][len(good[at])] = result.pixels
                        good[at].append((image, result))
        for at, encoder in enumerate(self._encoders):
            for start in range(0, len(good[at]), encoder.batch_size):
                of_batch = good[at][start : start + encoder.batch_size]
                vectors = encoder.encode(pixels[at][start : start + len(of_batch)], clock)
                _add_rows(batch.results[at], of_batch, vectors)
        return batch


def _add_rows(
    results: _Results, images: Sequence[tuple[_Image, Decoded]], vectors: np.ndarray
) -> None:
    """Add the rows of vectors, (b, dim), and failures for vectors that are not finite."""
    finite = np.isfinite(vectors).all(axis=1)  # (b,)
    for (image, decoded), vector, is_finite in zip(images, vectors, finite, strict=True):
        results.remarks += [Remark(image.item_id, text) for text in decoded.remarks]
        if not is_finite:
            reason = "it has a vector with NaN or infinity from the backbone"
            results.failures.append(Failure(image.item_id, image.content_id, "encode", reason))
            continue
        width, height, size = decoded.width, decoded.height, len(image.content)
        results.rows.append(Row(image.content_id, vector, width, height, size))


class _BatchEncoder:
    """An encoding with its loaded backbone, whose canary is that of the store."""

    def __init__(self, encoding: Encoding, threads: int) -> None:
        self.store, self.preprocess = encoding.store, encoding.part.preprocess
        self.batch_size = batch_size_of(self.preprocess, encoding.runtime)
        self._encoder = encoding.open(self.batch_size)
        self.provenance = self._encoder.provenance | versions()
        self.streams = min(threads, getattr(self._encoder, "streams", 1))
        self._may_encode = threading.BoundedSemaphore(self.streams)
        self._buffers = threading.local()
        self.store.check_canary(self._canary, self.provenance)

    def encode(self, pixels: np.ndarray, clock: StageClock) -> np.ndarray:
        """Return the (b, dim) vectors of at most a batch of images."""
        with self._may_encode, clock.time("encode"):
            return self._encoder.encode(pixels)

    def buffer(self, images: int) -> NDArray[np.uint8]:
        """Return the pixels of a number of images in this thread, (images, height, width, 3)."""
        if not hasattr(self._buffers, "pixels"):
            self._buffers.pixels = np.zeros((images, *self.preprocess.shape), np.uint8)
        pixels: NDArray[np.uint8] = self._buffers.pixels
        return pixels

    def _canary(self) -> np.ndarray:
        images = [decode_image(data, self.preprocess).pixels for data in canary_images()]
        return self._encoder.encode(np.stack(images))


def batch_size_of(preprocess: Preprocess, runtime: str) -> int:
    """Return the maximum number of images of a batch."""
    if uses_cuda(runtime):
        return GPU_BATCH_SIZE
    height, width = preprocess.size
    cached = SMALL_CACHE_BATCH_SIZE if second_level_cache() < SMALL_CACHE else BATCH_SIZE
    return max(1, min(BATCH_SIZE, cached, BATCH_PIXELS // (height * width)))


def _group_size(batch_sizes: Sequence[int]) -> int:
    """Return the number of images to decode at a time, so that few batches are incomplete.

    The runtimes pad incomplete batches, because vectors depend on the batch size in the last bits.
    """
    largest = max(batch_sizes)

    def padding(size: int) -> float:
        return sum(-(-size // each) * each for each in batch_sizes) / size

    return min(range(largest, MOST_BATCHES * largest + 1), key=padding)


class _Digests:
    """The content ids of the wanted images; unknown ones are computed from the images' bytes."""

    def __init__(
        self,
        wanted: Mapping[str, bytes | None],
        is_known: Sequence[Callable[[bytes], bool]],
    ) -> None:
        self.wanted, self._is_known = wanted, is_known
        self.found: dict[str, bytes | OSError] = {}
        self._first: dict[bytes, str] = {}  # the item that is embedded for each new content id

    def encodings_of(self, content_id: bytes | None) -> tuple[int, ...]:
        """Return the positions of the encodings without a vector of an image."""
        return tuple(
            at
            for at, is_known in enumerate(self._is_known)
            if content_id is None or not is_known(content_id)
        )

    def check(self, item_id: str, content: bytes | OSError) -> bytes | Failure | None:
        """Return the content id of an image to embed, or its failure; None to leave it out."""
        expected = self.wanted[item_id]
        if isinstance(content, OSError) and not isinstance(content, UndecodableError):
            if expected is not None:
                return Failure(item_id, None, "read", read_failure(content))
            self.found[item_id] = content
            return None
        content_id = content_id_of(content)
        if expected is None:
            self.found[item_id] = content_id
            is_first = self._first.setdefault(content_id, item_id) == item_id
            if not is_first:
                return None
        elif content_id != expected:
            reason = "it has changed during embedding. Run the same command again"
            return Failure(item_id, None, "read", reason)
        if isinstance(content, UndecodableError):
            return Failure(item_id, content_id, "decode", str(content))
        return content_id


class _Writer:
    """Collects rows and writes a fragment after a number of rows or seconds."""

    def __init__(self, store: Store, provenance: dict[str, str], clock: StageClock) -> None:
        self._store, self._provenance, self._clock = store, provenance, clock
        self._rows: list[Row] = []
        self._failures: list[Failure] = []
        self._since = time.monotonic()
        self.written = 0

    def add(self, results: _Results) -> None:
        self._rows += results.rows
        self._failures += results.failures
        enough = max(len(self._rows), len(self._failures)) >= FRAGMENT_ROWS
        if enough or time.monotonic() - self._since > FRAGMENT_SECONDS:
            self.flush()

    def flush(self) -> None:
        with self._clock.time("write"):
            if self._rows:
                self._store.add(self._rows, self._provenance)
                self.written += len(self._rows)
            if self._failures:
                self._store.add_failures(self._failures, self._provenance)
        self._rows, self._failures, self._since = [], [], time.monotonic()


def copy_older_vectors(
    store: Store,
    workspace: Workspace,
    source: Source,
    wanted: Mapping[str, bytes],
    progress: Progress | None = None,
) -> int:
    """Copy vectors from older colour rules if the pixels are the same; return their number."""
    copied = 0
    for older in older_stores(store, workspace):
        missing = older.missing(pa.array(list(wanted.values()), CONTENT_ID))
        available = [item_id for item_id, absent in zip(wanted, missing, strict=True) if not absent]
        same = []
        for done, (item_id, content) in enumerate(source.read(available), start=1):
            if isinstance(content, bytes) and is_same_by_older_rule(content):
                content_id = content_id_of(content)
                if content_id == wanted[item_id]:
                    same.append(content_id)
            if progress is not None:
                progress("scan", done, len(available))
        if same:
            store.create()
            copied += store.copy_rows(older, pa.array(same, CONTENT_ID))
    return copied


def older_stores(store: Store, workspace: Workspace) -> Iterator[Store]:
    """Yield the stores of the same spec with an older colour rule."""
    for rule in OLDER_RULES:
        preprocess = store.spec.preprocess | {"colour": rule}
        older = Store(workspace, replace(store.spec, preprocess=preprocess))
        if older.folder.exists():
            yield older


HEIGHT, WIDTH = 300, 400
_SCALES = ((120, 130), (40, 60), (12, 30), (4, 12))  # cell size in pixels, amplitude in grey levels


def canary_images() -> list[bytes]:
    """Return four images as PPM files, with detail at every scale like photos."""
    # Integer arithmetic without compression gives the same bytes on every machine.
    return [_ppm(number) for number in range(4)]


def _ppm(number: int) -> bytes:
    planes = []
    for channel in range(3):
        plane = np.full((HEIGHT, WIDTH), 128, np.int32)
        for scale, (cell, amplitude) in enumerate(_SCALES):
            shared = scale if channel else scale + 4  # colours differ a little at every scale
            noise = _smooth_noise(cell, 64 * number + 8 * shared)
            own = _smooth_noise(cell, 64 * number + 8 * scale + channel + 1)
            plane += amplitude * (2 * noise + own - 3 * 128) // (3 * 128)
        planes.append(np.clip(plane, 0, 255).astype(np.uint8))
    header = f"P6\n{WIDTH} {HEIGHT}\n255\n".encode()
    return header + np.stack(planes, axis=-1).tobytes()  # (h, w, 3)


def _smooth_noise(cell: int, seed: int) -> NDArray[np.int32]:
    """Return noise from 0 to 255 on a grid of `cell` pixels, interpolated linearly."""
    y, x = np.arange(HEIGHT, dtype=np.int32), np.arange(WIDTH, dtype=np.int32)
    i, j = np.arange(HEIGHT // cell + 2)[:, None], np.arange(WIDTH // cell + 2)
    grid = (i * 73_856_093 + j * 19_349_663 + seed * 83_492_791) % 2_147_483_647
    for _ in range(3):
        grid = (grid * 48_271 + 11) % 2_147_483_647
    grid = ((grid >> 8) % 256).astype(np.int32)
    row, column, down, right = y // cell, x // cell, (y % cell)[:, None], x % cell
    across = grid[:, column] * (cell - right) + grid[:, column + 1] * right  # (grid rows, w)
    smooth = across[row] * (cell - down) + across[row + 1] * down  # (h, w)
    return np.asarray(smooth // (cell * cell), np.int32)
