"""Routes that send the image of a row, if its bytes are those that were embedded."""

from __future__ import annotations

import contextlib
import hashlib
import os

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .._files import temporary_file
from .._pixels import COLOUR_RULE, content_id_of, is_plain
from .._workspace import Workspace
from ..embedding import Embeddings
from ..reports.thumbnails import make_thumbnail, media_type

__all__ = ["ItemImages"]

THUMBNAIL = 224
"""Pixels of the longer side of a thumbnail."""

LARGE = 1600
"""Maximum pixels of the longer side of an image that is encoded again."""

MAX_FILE = 4_000_000
"""Maximum bytes of a file that is sent unchanged, if browsers support its format."""

CACHED = "private, max-age=31536000, immutable"


class ItemImages:
    """Whole images and thumbnails of items; the workspace stores thumbnails by content id.

    A file that changed after it was embedded is not shown, because its label would be stored for
    the previous bytes.
    """

    def __init__(self, embeddings: Embeddings, workspace: Workspace) -> None:
        self._embeddings = embeddings
        # Thumbnails of an older rule of colours are in another folder, and are not used.
        rule = hashlib.sha256(COLOUR_RULE.encode()).hexdigest()[:8]
        self._folder = workspace.root / "thumbnails" / f"{THUMBNAIL}-{rule}"
        self._limit: anyio.CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Return the routes of images."""
        return [
            Route("/api/items/{row:int}/thumbnail", self._answer_thumbnail),
            Route("/api/items/{row:int}/picture", self._answer_picture),
        ]

    def thumbnail(self, row: int) -> bytes:
        """Return the thumbnail of an item, from the disk if it is stored."""
        name = self._embeddings.content_ids[row].hex()
        path = self._folder / name[:2] / name
        with contextlib.suppress(OSError):
            stored = path.read_bytes()
            if stored:  # a file can be empty after a power failure
                return stored
        thumbnail = make_thumbnail(self._original(row), THUMBNAIL)
        if thumbnail is None:
            raise HTTPException(415, "the image cannot be decoded.")
        # Labelling continues when the disk is full.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary_file(path) as unfinished:
                unfinished.write_bytes(thumbnail)
                unfinished.replace(path)
        return thumbnail

    def picture(self, row: int) -> bytes:
        """Return an item's file, or a new encoding if the file is large or not plain.

        Browsers show a plain file with the pixels that the backbone gets.
        """
        content = self._original(row)
        if media_type(content) is not None and len(content) <= MAX_FILE and is_plain(content):
            return content
        encoded = make_thumbnail(content, LARGE)
        if encoded is None:
            raise HTTPException(415, "the image cannot be decoded.")
        return encoded

    def _original(self, row: int) -> bytes:
        try:
            content = self._embeddings.dataset.source.read_one(self._embeddings.items[row].id)
        except OSError as error:
            reason = error.strerror or str(error)
            raise HTTPException(410, f"the image cannot be read: {reason}.") from None
        if content_id_of(content) != self._embeddings.content_ids[row]:
            raise HTTPException(
                410, "the image changed after it was embedded: start the server again."
            )
        return content

    async def _answer_thumbnail(self, request: Request) -> Response:
        return await self._answer(request, "thumbnail")

    async def _answer_picture(self, request: Request) -> Response:
        return await self._answer(request, "picture")

    async def _answer(self, request: Request, size: str) -> Response:
        row = request.path_params["row"]
        if row >= len(self._embeddings.content_ids):
            raise HTTPException(404, f"there is no row {row}.")
        content_id = self._embeddings.content_ids[row].hex()
        etag = f'"{content_id[:32]}-{size}"'
        # An address without the content id can later show another image: the browser asks again.
        exact = content_id.startswith(request.query_params.get("v") or "?")
        headers = {"etag": etag, "cache-control": CACHED if exact else "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        work = self.thumbnail if size == "thumbnail" else self.picture
        async with self._limiter():  # requests for images must not delay labels
            if await request.is_disconnected():  # the user scrolled on
                return Response(status_code=204)
            content = await run_in_threadpool(work, row)
        return Response(content, headers=headers, media_type=media_type(content))

    def _limiter(self) -> anyio.CapacityLimiter:
        if self._limit is None:
            self._limit = anyio.CapacityLimiter(max(2, os.cpu_count() or 2))
        return self._limit
