"""The application: the routes of the page and its errors."""

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
from .api import reading_routes, writing_routes
from .auth import AuthMiddleware
from .images import ItemImages
from .json_messages import error_response
from .page_state import PageState

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"

_log = logging.getLogger(__name__)


def create_app(state: PageState, *, token: str, port: int) -> ASGIApp:
    """Return the labelling page as an ASGI application.

    Parameters
    ----------
    state
        The page with its session, through which all labels are written.
    token
        Required of every request.
    port
        Of the address that the page is served at: requests to other hosts are refused.

    Notes
    -----
    Beside the session, 4 bytes per item for each layout of the map that was looked at, and a copy
    of the paths once they were searched.
    """
    images = ItemImages(state.session.embeddings, state.workspace)
    routes = [
        Route("/", _page),
        *reading_routes(state),
        *writing_routes(state),
        *images.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers = {
        EmbedpipeError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _gone,
        Exception: _unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return AuthMiddleware(app, token=token, run=state.run, port=port)


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    return error_response(400, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, headers=error.headers)


def _gone(request: Request, error: Exception) -> Response:
    return error_response(400, "the connection ended before the request did.")


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %r", request.method, request.url.path, error)
    return error_response(500, f"unexpected {type(error).__name__}: {error}")
