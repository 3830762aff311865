"""The server of the labelling page, and its application."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from .._workspace import Workspace
from ..errors import EmbedpipeError, RunError
from ..labelling import LabellingSession
from .act_routes import class_routes, label_routes
from .api import reading_routes, writing_routes
from .auth import AuthMiddleware
from .background import problem_of
from .browsing import browsing_routes
from .file_routes import file_routes
from .images import ItemImages
from .json_messages import error_response
from .page_state import PageState

__all__ = ["LabellingServer", "create_app"]

STATIC = Path(__file__).parent / "static"

PORT = 8765
"""Default port, if it is free."""

ADDRESS = "127.0.0.1"

_log = logging.getLogger(__name__)


class LabellingServer:
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
        self._socket = _listen(port)
        self.port: int = self._socket.getsockname()[1]
        self.token = secrets.token_urlsafe(24)
        self.url = f"http://{ADDRESS}:{self.port}/?token={self.token}"
        code = secrets.token_urlsafe(24)
        self.url_to_open = f"http://{ADDRESS}:{self.port}/?code={code}"
        self._workspace, self._closed = Workspace(workspace), False
        self._swapping = threading.Lock()
        self._state, self._app = self._open(session, code)
        config = uvicorn.Config(
            self._answer,
            interface="asgi3",
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses contain the token
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the page shows errors
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

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

    def run(self) -> None:
        """Serve until Ctrl-C, SIGTERM or SIGHUP; finish the current requests.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C or SIGTERM, once the server is closed.
        """
        try:
            with self._stopped_by_hangup():
                self._server.run(sockets=[self._socket])
        finally:
            self.close()

    @contextlib.contextmanager
    def _stopped_by_hangup(self) -> Iterator[None]:
        """Stop serving on SIGHUP, as uvicorn does on SIGINT and SIGTERM."""
        main = threading.current_thread() is threading.main_thread()
        number = getattr(signal, "SIGHUP", None)
        if not main or number is None or signal.getsignal(number) is signal.SIG_IGN:
            yield
            return
        before = signal.signal(number, self._server.handle_exit)
        try:
            yield
        finally:
            signal.signal(number, before)

    def start(self) -> None:
        """Serve on another thread, until `stop`."""
        self._thread = threading.Thread(target=self.run, name="embedpipe-server", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the server that `start` started."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15.0)

    def close(self) -> None:
        """Free the port and stop the work in the background; `run` calls it at its end."""
        self._socket.close()
        with self._swapping:
            self._closed = True
        self._state.close()


def _listen(port: int | None) -> socket.socket:
    """Return a socket that listens on 127.0.0.1."""
    wanted = [PORT, 0] if port is None else [port]
    for each in wanted:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows, this option lets two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((ADDRESS, each))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if each == wanted[-1]:
                reason = error.strerror or str(error)
                raise RunError(
                    f"cannot use port {each} ({reason}): give another --port, or leave it out to "
                    "use any free port."
                ) from error
        else:
            return listener
    raise AssertionError("unreachable")


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
    handlers = {
        EmbedpipeError: _refused,
        HTTPException: _http_error,
        ClientDisconnect: _disconnected,
        Exception: _unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    return AuthMiddleware(app, token=token, run=state.run, port=port, code=code)


def _page(request: Request) -> Response:
    return FileResponse(STATIC / "index.html", headers={"cache-control": "no-store"})


def _refused(request: Request, error: Exception) -> Response:
    return error_response(400, str(error))


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, error.detail, headers=error.headers)


def _disconnected(request: Request, error: Exception) -> Response:
    return error_response(400, "the connection ended before the end of the request.")


def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("%s %s: %r", request.method, request.url.path, error)
    return error_response(500, problem_of(error))
