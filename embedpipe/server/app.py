"""The application: which address is answered by what."""

from __future__ import annotations

import logging
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ..errors import EmbedpipeError
from .answers import error_answer
from .desk import Desk
from .guard import Guard
from .pictures import Pictures
from .reading_api import reading_routes
from .writing_api import writing_routes

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"

_log = logging.getLogger(__name__)


def create_app(desk: Desk, *, token: str, port: int) -> ASGIApp:
    """Return the labelling page as an ASGI application.

    Parameters
    ----------
    desk
        What is labelled, and the only way in which labels are written.
    token
        What whoever asks must know.
    port
        Of the address that the page is served at: requests to other hosts are refused.

    Notes
    -----
    Beside the session, 4 bytes per item for each layout of the map that was looked at, and a copy
    of the paths once they were searched.
    """
    pictures = Pictures(desk.session.embeddings, desk.workspace)
    routes = [
        Route("/", _page),
        *reading_routes(desk),
        *writing_routes(desk),
        *pictures.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {
        EmbedpipeError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
        Exception: _unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return Guard(app, token=token, run=desk.run, port=port)


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    return error_answer(400, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer(error.status_code, error.detail, headers=error.headers)


def _gone(request: Request, error: Exception) -> Response:
    return error_answer(400, "the connection ended before the request did.")


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %r", request.method, request.url.path, error)
    return error_answer(500, f"unexpected {type(error).__name__}: {error}")
