"""Filling a store: read, decode, encode and write, or copy vectors of an older colour rule."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
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
from ..backbones import (
    Backbone,
    Decoded,
    DecodeError,
    Encoder,
    Preprocess,
    decode_image,
)
from ..backbones.runtimes import uses_cuda
from ..cache import CONTENT_ID, Failure, Row, Store
from ..datasets import Source
from ..datasets.source import read_failure
from .embeddings import Remark
from .profile import StageClock, StageProfile
from .scan import Progress

__all__ = ["FillResult", "Filler", "canary_images", "copy_older_vectors", "fill", "older_stores"]

BATCH_SIZE, GPU_BATCH_SIZE = 16, 128
"""Maximum images of a batch on a CPU, where each thread encodes its own batch, and on a GPU."""

BATCH_PIXELS = BATCH_SIZE * 224 * 224
"""Maximum pixels of a batch on a CPU; bounds the memory of each thread."""

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


class _Image(NamedTuple):
    """The bytes of an image to embed."""

    item_id: str
    content_id: bytes
    content: bytes


@dataclass
class _Batch:
    """The rows, failures and remarks of a number of images that were read."""

    images: int = 0
    rows: list[Row] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)


def fill(
    store: Store,
    backbone: Backbone,
    preprocess: Preprocess,
    source: Source,
    wanted: Mapping[str, bytes],
    *,
    runtime: str = "auto",
    progress: Progress | None = None,
) -> FillResult:
    """Embed images and add them to the store, a fragment at a time."""
    # `wanted` maps item ids to content ids, with one item for each content id.
    filler = Filler(store, backbone, preprocess, runtime)
    return filler.fill(source, wanted, progress=progress)


def _is_unknown(content_id: bytes) -> bool:
    return False


class Filler:
    """A backbone that is ready to embed images and to add their vectors to a store."""

    def __init__(
        self, store: Store, backbone: Backbone, preprocess: Preprocess, runtime: str
    ) -> None:
        self._store, self._preprocess = store, preprocess
        self._batch_size = _batch_size(preprocess, runtime)
        self._encoder = backbone.open(
            precision=store.spec.precision, runtime=runtime, batch_size=self._batch_size
        )
        self._provenance = self._encoder.provenance | versions()
        self._threads = available_cpus()
        self._streams = min(self._threads, getattr(self._encoder, "streams", 1))
        self._may_encode = threading.BoundedSemaphore(self._streams)
        self._buffers = threading.local()
        store.check_canary(lambda: _canary(self._encoder, preprocess), self._provenance)

    def fill(
        self,
        source: Source,
        wanted: Mapping[str, bytes | None],
        *,
        is_known: Callable[[bytes], bool] = _is_unknown,
        progress: Progress | None = None,
    ) -> FillResult:
        """Embed images by item id, and add them to the store, a fragment at a time.

        An image without a content id in `wanted` is hashed. It is not embedded if its digest
        `is_known`, or is that of an earlier image of the same call.
        """
        clock, digests = StageClock(), _Digests(wanted, is_known)
        writer = _Writer(self._store, self._provenance, clock)
        failures: dict[str, Failure] = {}
        remarks: list[Remark] = []
        started, done = time.monotonic(), 0
        try:
            # Pillow's warnings are collected during the whole call: entering costs time.
            with collect_warnings():
                for batch in self._batches(source, digests, clock):
                    writer.add(batch)
                    failures |= {failure.path: failure for failure in batch.failures}
                    remarks += batch.remarks
                    done += batch.images
                    if progress is not None:
                        progress("embed", done, len(wanted))
        except KeyboardInterrupt:
            writer.flush()
            raise
        writer.flush()
        seconds = time.monotonic() - started
        return FillResult(
            writer.written,
            failures,
            seconds,
            tuple(sorted(remarks)),
            dict(digests.found),
            StageProfile(writer.written, seconds, self._threads, self._streams, clock.busy),
        )

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
        batch, images, held = _Batch(), list[_Image](), 0
        most = READ_BATCHES * self._batch_size
        while True:
            with clock.time("read"):
                read = next(contents, None)
                checked = None if read is None else digests.check(*read)
            if read is None:
                break
            item_id, content = read
            batch.images += 1
            if isinstance(checked, Failure):
                batch.failures.append(checked)
            elif checked is not None:
                assert isinstance(content, bytes)
                images.append(_Image(item_id, checked, content))
                held += len(content)
            if len(images) == self._batch_size or batch.images == most or held > AHEAD_BYTES:
                yield batch, images
                batch, images, held = _Batch(), [], 0
        if batch.images:
            yield batch, images

    def _embed(self, batch: _Batch, images: list[_Image], clock: StageClock) -> _Batch:
        """Decode and encode the images of a batch."""
        pixels, good = self._buffer(), list[tuple[_Image, Decoded]]()
        with clock.time("decode"):
            for image in images:
                try:
                    decoded = decode_image(image.content, self._preprocess)
                except DecodeError as error:
                    failure = Failure(image.item_id, image.content_id, "decode", str(error))
                    batch.failures.append(failure)
                    continue
                pixels[len(good)] = decoded.pixels
                good.append((image, decoded))
        if not good:
            return batch
        with self._may_encode, clock.time("encode"):
            vectors = self._encoder.encode(pixels[: len(good)])  # (b, dim)
        finite = np.isfinite(vectors).all(axis=1)  # (b,)
        for (image, decoded), vector, is_finite in zip(good, vectors, finite, strict=True):
            batch.remarks += [Remark(image.item_id, text) for text in decoded.remarks]
            if not is_finite:
                reason = "it has a vector with NaN or infinity from the backbone"
                failure = Failure(image.item_id, image.content_id, "encode", reason)
                batch.failures.append(failure)
                continue
            width, height, size = decoded.width, decoded.height, len(image.content)
            batch.rows.append(Row(image.content_id, vector, width, height, size))
        return batch

    def _buffer(self) -> NDArray[np.uint8]:
        """Return the pixels of a batch of this thread, (batch size, height, width, 3)."""
        if not hasattr(self._buffers, "pixels"):
            shape = (self._batch_size, *self._preprocess.size, 3)
            self._buffers.pixels = np.zeros(shape, np.uint8)
        pixels: NDArray[np.uint8] = self._buffers.pixels
        return pixels


def _batch_size(preprocess: Preprocess, runtime: str) -> int:
    """Return the maximum number of images of a batch."""
    if uses_cuda(runtime):
        return GPU_BATCH_SIZE
    height, width = preprocess.size
    return max(1, min(BATCH_SIZE, BATCH_PIXELS // (height * width)))


class _Digests:
    """The content ids of the wanted images; unknown ones are computed from the images' bytes."""

    def __init__(
        self, wanted: Mapping[str, bytes | None], is_known: Callable[[bytes], bool]
    ) -> None:
        self.wanted, self._is_known = wanted, is_known
        self.found: dict[str, bytes | OSError] = {}
        self._first: dict[bytes, str] = {}  # the item that is embedded for each new content id

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
            if not is_first or self._is_known(content_id):
                return None
        elif content_id != expected:
            reason = "it has changed during embedding. Run the same command again"
            return Failure(item_id, None, "read", reason)
        if isinstance(content, UndecodableError):
            return Failure(item_id, content_id, "decode", str(content))
        return content_id


def _canary(encoder: Encoder, preprocess: Preprocess) -> np.ndarray:
    images = [decode_image(data, preprocess).pixels for data in canary_images()]
    return encoder.encode(np.stack(images))


class _Writer:
    """Collects rows and writes a fragment after a number of rows or seconds."""

    def __init__(self, store: Store, provenance: dict[str, str], clock: StageClock) -> None:
        self._store, self._provenance, self._clock = store, provenance, clock
        self._rows: list[Row] = []
        self._failures: list[Failure] = []
        self._since = time.monotonic()
        self.written = 0

    def add(self, batch: _Batch) -> None:
        self._rows += batch.rows
        self._failures += batch.failures
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
