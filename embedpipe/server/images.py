"""Images by the row of their item: never by a path, and only the bytes that were embedded."""

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
from .._pixels import COLOUR_RULE, is_plain
from .._workspace import Workspace
from ..embedding import Embeddings
from ..reports.thumbnails import make_thumbnail, media_type

__all__ = ["ItemImages"]

THUMBNAIL = 224
"""Pixels of the longer side of a thumbnail: sharp at 112 points on a dense screen."""

LARGE = 1600
"""Pixels of the longer side of an image that is not sent as it is."""

AS_IT_IS = 4_000_000
"""Maximum bytes of a file that is sent as it is, if browsers know its format."""

KEPT = "private, max-age=31536000, immutable"


class ItemImages:
    """Thumbnails, made once and kept in the workspace by content, and whole images.

    A file whose bytes are no longer those that were embedded is not shown: its label would be
    stored as that of other bytes.
    """

    def __init__(self, embeddings: Embeddings, workspace: Workspace) -> None:
        self._embeddings = embeddings
        # Thumbnails by another rule of colours are other images.
        rule = hashlib.sha256(COLOUR_RULE.encode()).hexdigest()[:8]
        self._folder = workspace.root / "thumbnails" / f"{THUMBNAIL}-{rule}"
        self._limit: anyio.CapacityLimiter | None = None

    def routes(self) -> list[Route]:
        """Return the addresses of images."""
        return [
            Route("/api/items/{row:int}/thumbnail", self._answer_thumbnail),
            Route("/api/items/{row:int}/picture", self._answer_picture),
        ]

    def thumbnail(self, row: int) -> bytes:
        """Return a thumbnail of an item, from the disk if it was made before."""
        name = self._embeddings.content_ids[row].hex()
        path = self._folder / name[:2] / name
        with contextlib.suppress(OSError):
            kept = path.read_bytes()
            if kept:  # a file that was cut short by a power cut is empty
                return kept
        made = make_thumbnail(self._original(row), THUMBNAIL)
        if made is None:
            raise HTTPException(415, "the image cannot be decoded.")
        # A full disk keeps nobody from labelling.
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary_file(path) as unfinished:
                unfinished.write_bytes(made)
                unfinished.replace(path)
        return made

    def picture(self, row: int) -> bytes:
        """Return the image of an item: its file where browsers show it as the encoder sees it."""
        content = self._original(row)
        if media_type(content) is not None and len(content) <= AS_IT_IS and is_plain(content):
            return content
        made = make_thumbnail(content, LARGE)
        if made is None:
            raise HTTPException(415, "the image cannot be decoded.")
        return made

    def _original(self, row: int) -> bytes:
        try:
            content = self._embeddings.dataset.source.read_one(self._embeddings.items[row].id)
        except OSError as error:
            reason = error.strerror or str(error)
            raise HTTPException(410, f"the image cannot be read: {reason}.") from None
        if hashlib.sha256(content).digest() != self._embeddings.content_ids[row]:
            raise HTTPException(
                410, "the image was changed since it was embedded: start the server again."
            )
        return content

    async def _answer_thumbnail(self, request: Request) -> Response:
        return await self._answer(request, "thumbnail")

    async def _answer_picture(self, request: Request) -> Response:
        return await self._answer(request, "picture")

    async def _answer(self, request: Request, size: str) -> Response:
        row = request.path_params["row"]
        if row >= len(self._embeddings.content_ids):
            raise HTTPException(404, "there is no such item.")
        content_id = self._embeddings.content_ids[row].hex()
        etag = f'"{content_id[:32]}-{size}"'
        # An address without the content's mark may mean another item tomorrow.
        exact = content_id.startswith(request.query_params.get("v") or "?")
        headers = {"etag": etag, "cache-control": KEPT if exact else "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        work = self.thumbnail if size == "thumbnail" else self.picture
        async with self._limiter():  # many images must not keep labels waiting
            if await request.is_disconnected():  # scrolled past
                return Response(status_code=204)
            content = await run_in_threadpool(work, row)
        return Response(content, headers=headers, media_type=media_type(content))

    def _limiter(self) -> anyio.CapacityLimiter:
        if self._limit is None:
            self._limit = anyio.CapacityLimiter(max(2, os.cpu_count() or 2))
        return self._limit
