"""The server in its process: one socket on 127.0.0.1, until it is stopped."""

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

from .._workspace import Workspace
from ..errors import RunError
from ..labelling import LabellingSession
from .app import create_app
from .page_state import PageState

__all__ = ["LabellingServer"]

PORT = 8765
"""Taken if it is free and no other is asked for."""

ADDRESS = "127.0.0.1"


class LabellingServer:
    """Serve the labelling page of a session on this machine.

    Parameters
    ----------
    session
        What is labelled.
    workspace
        Holds thumbnails and exports.
    port
        To listen at; 0 for any that is free, None for 8765 or else any that is free.

    Attributes
    ----------
    url
        The page's address with its token. Who has it can label: it is as good as a password.

    Raises
    ------
    RunError
        If another program listens at that port.
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
        self._state = PageState(session, Workspace(workspace))
        config = uvicorn.Config(
            create_app(self._state, token=self.token, port=self.port),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,  # addresses hold the token
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=5,
        )
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # the page shows errors
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Serve until Ctrl-C, a request to terminate or the end of the terminal.

        Requests at work are finished.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C and a request to terminate, once everything is closed.
        """
        try:
            with self._stopped_by_hangup():
                self._server.run(sockets=[self._socket])
        finally:
            self._close()

    @contextlib.contextmanager
    def _stopped_by_hangup(self) -> Iterator[None]:
        """Stop serving when the terminal ends, as uvicorn does for the other signals."""
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
        """End what `start` began."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(timeout=15.0)

    def _close(self) -> None:
        self._socket.close()
        self._state.close()


def _listen(port: int | None) -> socket.socket:
    """Return a socket that listens on this machine alone."""
    wanted = [PORT, 0] if port is None else [port]
    for each in wanted:
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two programs have one port
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((ADDRESS, each))
            found.listen(128)
        except OSError as error:
            found.close()
            if each == wanted[-1]:
                reason = error.strerror or str(error)
                raise RunError(
                    f"cannot listen at port {each} ({reason}): give another --port, or none to "
                    "have one chosen."
                ) from error
        else:
            return found
    raise AssertionError("unreachable")
