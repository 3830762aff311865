"""The server of the labelling page, and its application."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from .._workspace import Workspace
from ..labelling import LabellingSession
from .act_routes import class_routes, label_routes
from .api import reading_routes, writing_routes
from .auth import AuthMiddleware
from .browsing import browsing_routes
from .file_routes import file_routes
from .images import ItemImages
from .local_server import HANDLERS, LOOPBACK, LocalServer, listen
from .page_state import PageState

__all__ = ["LabellingServer", "create_app"]

STATIC = Path(__file__).parent / "static"

PORT = 8765
"""Default port, if it is free."""


class LabellingServer(LocalServer):
    """Serve the labelling page of a session on this machine.

    Parameters
    ----------
    session
        The session that stores the labels.
    workspace
        Folder of thumbnails and exports.
    port
        Port of the server: 0 for any free port, None for 8765 or, if occupied, any free port.

    Attributes
    ----------
    url
        The page's address with its token. Keep it secret like a password.
    url_to_open
        An address for starting a browser. It is valid once, because other users can see the
        arguments of programs.

    Raises
    ------
    RunError
        If another program uses the port.
    """

    def __init__(
        self,
        session: LabellingSession,
        workspace: str | Path | Workspace | None = None,
        *,
        port: int | None = None,
    ) -> None:
        ports = (PORT, 0) if port is None else (port,)
        remedy = "give another --port, or leave it out to use any free port"
        super().__init__(self._answer, listen(*ports, remedy=remedy))
        self.token = secrets.token_urlsafe(24)
        self.url = f"http://{LOOPBACK}:{self.port}/?token={self.token}"
        code = secrets.token_urlsafe(24)
        self.url_to_open = f"http://{LOOPBACK}:{self.port}/?code={code}"
        self._workspace, self._closed = Workspace(workspace), False
        self._swapping = threading.Lock()
        self._state, self._app = self._open(session, code)

    def _open(
        self, session: LabellingSession, code: str | None = None
    ) -> tuple[PageState, ASGIApp]:
        state = PageState(session, self._workspace, self._publish)
        return state, create_app(state, token=self.token, port=self.port, code=code)

    def _publish(self, session: LabellingSession) -> None:
        """Serve a session from now on; requests that have begun use the previous session."""
        before, opened = self._state, self._open(session)
        with self._swapping:
            closed = self._closed
            if not closed:
                self._state, self._app = opened
        (opened[0] if closed else before).close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Free the port and stop the work in the background; `run` calls it at its end."""
        super().close()
        with self._swapping:
            self._closed = True
        self._state.close()


def create_app(state: PageState, *, token: str, port: int, code: str | None = None) -> ASGIApp:
    """Return the labelling page as an ASGI application.

    Parameters
    ----------
    state
        The page's state; its session writes all labels.
    token
        Token that every request must contain.
    port
        Port of the page's address; requests to other addresses are refused.
    code
        Text that replaces the token in the address of one request.

    Notes
    -----
    The server needs 4 bytes of memory for each item and used layout of the map. After the first
    search, it needs a copy of all paths and about 40 bytes for each item.
    """
    images = ItemImages(state.session.embeddings, state.workspace)
    routes = [
        Route("/", _page),
        *reading_routes(state),
        *browsing_routes(state),
        *file_routes(state),
        *label_routes(state),
        *class_routes(state),
        *writing_routes(state),
        *images.routes(),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    app = Starlette(routes=routes, exception_handlers=HANDLERS)
    return AuthMiddleware(app, token=token, run=state.run, port=port, code=code)


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})
