"""Servers of ASGI applications: their socket, the settings of uvicorn, start and end."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from ..errors import EmbedpipeError, RunError
from .json_messages import error_response, problem_of
from .timed_protocol import timed_protocol

__all__ = ["HANDLERS", "LOOPBACK", "LocalServer", "is_loopback", "listen"]

LOOPBACK = "127.0.0.1"

_log = logging.getLogger(__name__)


class LocalServer:
    """Serve an ASGI application on a socket until a signal or `stop`.

    Parameters
    ----------
    app
        The application.
    listener
        The socket, from `listen`.
    timeout
        Seconds that a client has to send the head of a request; None for no limit.
    grace
        Seconds that the current requests have to end after a signal.

    Attributes
    ----------
    port
        Port of the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        listener: socket.socket,
        *,
        timeout: float | None = None,
        grace: int = 5,
    ) -> None:
        self._socket = listener
        self.port: int = listener.getsockname()[1]
        config = uvicorn.Config(
            app,
            interface="asgi3",
            http="h11" if timeout is None else timed_protocol(timeout),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses contain the token
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=grace,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # responses show errors
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

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
        """Free the port; `run` calls it at its end."""
        self._socket.close()


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach a host name or an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name
        return False


def listen(port: int, *other_ports: int, host: str = LOOPBACK, remedy: str) -> socket.socket:
    """Return a socket that listens on the first free port; 0 is any free port.

    `remedy` is the second half of the message if no port is free.
    """
    wanted = (port, *other_ports)
    for each in wanted:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # on Windows, this option lets two programs share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, each))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if each == wanted[-1]:
                reason = error.strerror or str(error)
                raise RunError(f"cannot use port {each} ({reason}): {remedy}.") from error
        else:
            return listener
    raise AssertionError("unreachable")


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


HANDLERS = {
    EmbedpipeError: _refused,
    HTTPException: _http_error,
    ClientDisconnect: _disconnected,
    Exception: _unexpected,
}
"""Handlers that turn exceptions into responses with a clear text, for Starlette."""
