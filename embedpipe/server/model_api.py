"""The HTTP interface of a model: predictions of images, health, and its description."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import anyio
import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ..errors import DatasetError
from ..models import Model
from .batching import Batcher
from .json_messages import json_response, too_large
from .local_server import HANDLERS
from .model_pages import docs_page, openapi

__all__ = ["Limits", "create_model_app"]

MAX_FILES = 64
"""Maximum number of images in a request."""

MAX_HELD = 512_000_000
"""Maximum bytes of all bodies that are in memory."""

RETRY_AFTER = 1
"""Seconds after which a client should send a refused request again."""


@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Attributes
    ----------
    requests
        Maximum number of requests for predictions that are in progress.
    body
        Maximum bytes of a request's body.
    batch_size
        Maximum number of images that are predicted together.
    timeout
        Seconds that a client has to send a request's body.
    """

    requests: int = 256
    body: int = 40_000_000
    batch_size: int = 32
    timeout: float = 30.0


def create_model_app(model: Model, limits: Limits) -> Starlette:
    """Return the service of a model as an ASGI application without access control."""
    service = _Service(model, limits)
    document = openapi(model, limits.body, MAX_FILES)
    page = docs_page(model, limits.body, MAX_FILES)

    async def health(request: Request) -> Response:
        return json_response({"status": "ok"})

    async def description(request: Request) -> Response:
        return json_response(document)

    async def docs(request: Request) -> Response:
        return HTMLResponse(page)

    routes = [
        Route("/", docs),
        Route("/docs", docs),
        Route("/health", health),
        Route("/openapi.json", description),
        Route("/predict", service.predict, methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers=HANDLERS)


class _Service:
    """Requests for predictions, within the limits."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self._model, self._limits = model, limits
        self._names = model.classes.tolist()
        self._batcher = Batcher(model, limits.batch_size)
        self._requests, self._held = 0, 0
        self._decoders: anyio.CapacityLimiter | None = None

    async def predict(self, request: Request) -> Response:
        """Return the predictions of the images in a request."""
        with self._place():
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            several = kind == "multipart/form-data"
            if not (several or kind.startswith("image/") or kind == "application/octet-stream"):
                raise HTTPException(
                    415,
                    "the content type must be image/…, application/octet-stream or "
                    "multipart/form-data.",
                )
            with self._counted(request) as body:
                try:
                    with anyio.fail_after(self._limits.timeout):
                        files = await (_files(request, body) if several else _file(body))
                except TimeoutError:
                    raise HTTPException(
                        408,
                        f"the body did not arrive within {self._limits.timeout:g} seconds.",
                        {"connection": "close"},
                    ) from None
                pixels = [await self._pixels(*file) for file in files]
            names = [name for name, _ in files]
            del files
            rows = await asyncio.gather(*map(self._batcher.predict, pixels))
        found = [self._prediction(name, row) for name, row in zip(names, rows, strict=True)]
        return json_response({"predictions": found})

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """Count a request in progress; refuse it if there are too many."""
        if self._requests >= self._limits.requests:
            raise _busy()
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    @contextlib.contextmanager
    def _counted(self, request: Request) -> Iterator[AsyncIterator[bytes]]:
        """Yield the parts of a body; its bytes count against the limits until the block ends."""
        size = 0

        async def parts() -> AsyncIterator[bytes]:
            nonlocal size
            announced = request.headers.get("content-length", "0")
            if not announced.isdecimal() or int(announced) > self._limits.body:
                raise too_large(self._limits.body)
            async for part in request.stream():
                size, self._held = size + len(part), self._held + len(part)
                if size > self._limits.body:
                    raise too_large(self._limits.body)
                if self._held > MAX_HELD:
                    raise _busy()
                yield part

        try:
            yield parts()
        finally:
            self._held -= size

    async def _pixels(self, name: str | None, content: bytes) -> NDArray[np.uint8]:
        if self._decoders is None:
            self._decoders = anyio.CapacityLimiter(max(2, os.cpu_count() or 2))
        shown = name or "the body"
        try:
            async with self._decoders:
                return await run_in_threadpool(self._model.decode, content, shown)
        except DatasetError as error:
            raise HTTPException(422, str(error)) from error

    def _prediction(self, name: str | None, row: NDArray[np.float32]) -> dict[str, Any]:
        best = int(row.argmax())
        shares = {key: float(share) for key, share in zip(self._names, row, strict=True)}
        found = {
            "label": self._names[best],
            "probability": float(row[best]),
            "probabilities": shares,
        }
        return found if name is None else {"file": name, **found}


_File = tuple[str | None, bytes]
"""Name and bytes of an image file."""


async def _file(body: AsyncIterator[bytes]) -> list[_File]:
    """Return the image file that is a whole body."""
    return [(None, b"".join([part async for part in body]))]


async def _files(request: Request, body: AsyncIterator[bytes]) -> list[_File]:
    """Return the image files of a form."""
    parser = MultiPartParser(
        request.headers,
        body,  # type: ignore[arg-type]  # any asynchronous iterator
        max_files=MAX_FILES,
        max_fields=MAX_FILES,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    try:
        uploads = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if not uploads:
            raise HTTPException(
                400, "the form has no file: send each image as a file, as `curl -F` does."
            )
        return [(each.filename or "image", await each.read()) for each in uploads]
    finally:
        await form.close()


def _busy() -> HTTPException:
    return HTTPException(
        503,
        f"too many requests are in progress: try again after {RETRY_AFTER} second.",
        {"retry-after": str(RETRY_AFTER)},
    )
