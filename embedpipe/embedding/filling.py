"""Filling a store: read, decode, encode and write, or copy vectors of an older colour rule."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._pixels import OLDER_RULES, is_same_by_older_rule
from .._versions import versions
from .._workspace import Workspace
from ..backbones import Backbone, DecodeError, Encoder, Preprocess, decode_image
from ..cache import CONTENT_ID, Failure, Row, Store
from ..datasets import Source
from ..datasets.source import read_failure
from .embeddings import Remark
from .scan import Progress

__all__ = ["FillResult", "canary_images", "copy_older_vectors", "fill", "older_stores"]

BATCH_SIZE = 64
FRAGMENT_ROWS = 4096
FRAGMENT_SECONDS = 30.0
"""Maximum rows and seconds between two fragments; a killed process loses at most this work."""

AHEAD, AHEAD_BYTES = 4 * BATCH_SIZE, 256 << 20
"""Maximum number of images that wait for the encoder, and maximum bytes of their files."""


@dataclass(frozen=True)
class FillResult:
    """Number of embedded images, failures by item id, seconds of decoding and encoding."""

    embedded: int
    failures: dict[str, Failure]
    seconds: float
    remarks: tuple[Remark, ...] = ()

    def plus(self, other: FillResult) -> FillResult:
        """Return the combined result of two successive calls."""
        return FillResult(
            self.embedded + other.embedded,
            self.failures | other.failures,
            self.seconds + other.seconds,
            self.remarks + other.remarks,
        )


class _Decoded(NamedTuple):
    item_id: str
    content_id: bytes
    n_bytes: int
    pixels: np.ndarray | None
    width: int
    height: int
    failure: Failure | None
    remarks: tuple[str, ...] = ()


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
    encoder = backbone.open(precision=store.spec.precision, runtime=runtime, batch_size=BATCH_SIZE)
    provenance = encoder.provenance | versions()
    store.check_canary(lambda: _canary(encoder, preprocess), provenance)
    writer = _Writer(store, provenance)
    failures: dict[str, Failure] = {}
    remarks: list[Remark] = []
    started, done = time.monotonic(), 0
    stream = _decoded(source, wanted, preprocess)
    try:
        while batch := list(islice(stream, BATCH_SIZE)):
            good = [image for image in batch if image.pixels is not None]
            failed = [image for image in batch if image.failure is not None]
            good, not_finite = _encode(encoder, good, writer)
            for image in (*failed, *not_finite):
                assert image.failure is not None
                failures[image.item_id] = image.failure
                writer.add_failure(image.failure)
            remarks += [Remark(image.item_id, text) for image in batch for text in image.remarks]
            done += len(batch)
            if progress is not None:
                progress("embed", done, len(wanted))
    except KeyboardInterrupt:
        writer.flush()
        raise
    writer.flush()
    seconds = time.monotonic() - started
    return FillResult(writer.written, failures, seconds, tuple(sorted(remarks)))


def _canary(encoder: Encoder, preprocess: Preprocess) -> np.ndarray:
    images = [decode_image(data, preprocess).pixels for data in canary_images()]
    return encoder.encode(np.stack(images))


def _encode(
    encoder: Encoder, images: list[_Decoded], writer: _Writer
) -> tuple[list[_Decoded], list[_Decoded]]:
    """Encode images and write their rows; return the encoded images and the failed images."""
    if not images:
        return [], []
    vectors = encoder.encode(np.stack([image.pixels for image in images]))  # type: ignore[misc]
    finite = np.isfinite(vectors).all(axis=1)  # (images,)
    good, bad = [], []
    for image, vector, is_finite in zip(images, vectors, finite, strict=True):
        if is_finite:
            good.append(image)
            writer.add(Row(image.content_id, vector, image.width, image.height, image.n_bytes))
        else:
            reason = "it has a vector with NaN or infinity from the backbone"
            failure = Failure(image.item_id, image.content_id, "encode", reason)
            bad.append(image._replace(failure=failure))
    return good, bad


def _decoded(
    source: Source, wanted: Mapping[str, bytes], preprocess: Preprocess
) -> Iterator[_Decoded]:
    """Yield the images in the order of reading, decoded ahead in threads."""
    contents = source.read(list(wanted))
    height, width = preprocess.size
    ahead = max(BATCH_SIZE, min(AHEAD, AHEAD_BYTES // (3 * height * width)))
    with ThreadPoolExecutor(max_workers=max(1, os.cpu_count() or 1)) as pool:
        pending: deque[tuple[Future[_Decoded], int]] = deque()
        in_flight = 0
        try:
            for item_id, content in contents:
                size = 0 if isinstance(content, OSError) else len(content)
                while pending and (len(pending) >= ahead or in_flight + size > AHEAD_BYTES):
                    future, released = pending.popleft()
                    in_flight -= released
                    yield future.result()
                future = pool.submit(_decode_one, item_id, wanted[item_id], content, preprocess)
                pending.append((future, size))
                in_flight += size
            while pending:
                yield pending.popleft()[0].result()
        finally:
            for future, _ in pending:
                future.cancel()


def _decode_one(
    item_id: str, content_id: bytes, content: bytes | OSError, preprocess: Preprocess
) -> _Decoded:
    def failed(stage: str, reason: str, identity: bytes | None) -> _Decoded:
        failure = Failure(item_id, identity, stage, reason)
        return _Decoded(item_id, content_id, 0, None, 0, 0, failure)

    if isinstance(content, OSError):
        return failed("read", read_failure(content), None)
    if hashlib.sha256(content).digest() != content_id:
        return failed("read", "it has changed during embedding. Run the same command again", None)
    try:
        image = decode_image(content, preprocess)
    except DecodeError as error:
        return failed("decode", str(error), content_id)
    pixels, width, height, remarks = image
    return _Decoded(item_id, content_id, len(content), pixels, width, height, None, remarks)


class _Writer:
    """Collects rows and writes a fragment after a number of rows or seconds."""

    def __init__(self, store: Store, provenance: dict[str, str]) -> None:
        self._store, self._provenance = store, provenance
        self._rows: list[Row] = []
        self._failures: list[Failure] = []
        self._since = time.monotonic()
        self.written = 0

    def add(self, row: Row) -> None:
        self._rows.append(row)
        self._flush_if_due()

    def add_failure(self, failure: Failure) -> None:
        self._failures.append(failure)
        self._flush_if_due()

    def _flush_if_due(self) -> None:
        enough = max(len(self._rows), len(self._failures)) >= FRAGMENT_ROWS
        if enough or time.monotonic() - self._since > FRAGMENT_SECONDS:
            self.flush()

    def flush(self) -> None:
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
                content_id = hashlib.sha256(content).digest()
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
