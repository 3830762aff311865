"""The server of the ML backend for Label Studio."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from ...errors import EmbedpipeError, UsageError
from ...labelling import LabellingSession
from ..auth import Access, own_hosts
from ..json_messages import error_response
from ..local_server import HANDLERS, LOOPBACK, LocalServer, is_loopback, listen
from .backend_state import BackendState
from .client import Client
from .project_link import ProjectLink
from .routes import contract_routes

__all__ = ["BackendOptions", "LabelStudioBackend"]

PORT = 9090
"""Default port."""

TIMEOUT = 30.0
"""Seconds that a client has to send the head of a request."""


@dataclass(frozen=True)
class BackendOptions:
    """Options of the service.

    Attributes
    ----------
    host, port
        Address to listen on. Any host other than a loopback address requires a token. Port 0 is
        any free port.
    public_url
        Address of the service as Label Studio reaches it, if it is another one.
    token
        Token that requests must contain. By default no token is required on a loopback address,
        and a new one on other addresses.
    control
        Name of the Choices control with the classes, or None.
    """

    host: str = LOOPBACK
    port: int = PORT
    public_url: str | None = None
    token: str | None = None
    control: str | None = None


class LabelStudioBackend(LocalServer):
    """Serve a labelling session as an ML backend of Label Studio.

    Labels that annotators give in Label Studio are written to the label log, and the model is
    trained on the log. Predictions contain the class, and a score that is lowest for the image to
    label next. `docs/how-to/label-with-label-studio.md` describes the set-up.

    Parameters
    ----------
    session
        The session that stores the labels.
    options
        Options of the service.
    project
        Label Studio's API and the id of the project to set up; None to set up nothing.
    remark
        Function that prints a line.

    Attributes
    ----------
    url
        The address of the service, without the token.
    token
        The token; None if none is required.

    Raises
    ------
    RunError
        If the port or Label Studio cannot be used.
    """

    def __init__(
        self,
        session: LabellingSession,
        *,
        options: BackendOptions | None = None,
        project: tuple[Client, int] | None = None,
        remark: Callable[[str], None] = lambda text: print(text, file=sys.stderr),  # noqa: T201
    ) -> None:
        options = options or BackendOptions()
        local = is_loopback(options.host)
        self.token = options.token or (None if local else secrets.token_urlsafe(24))
        remedy = "give another --port or --host"
        listener = listen(options.port, host=options.host, remedy=remedy)
        port = listener.getsockname()[1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        self.url = (options.public_url or f"http://{host}:{port}").rstrip("/")
        hosts = {*own_hosts(port), f"[::1]:{port}", f"{host}:{port}".lower()}
        try:
            hosts.add(_host_of(self.url))
            link = self._link(project, options.control)
            self._state = BackendState(
                session,
                remark,
                control=options.control,
                link=link,
            )
        except BaseException:
            listener.close()
            raise

        def refused(request: Request, error: Exception) -> Response:
            remark(f"{request.url.path}: {error}")
            return error_response(400, str(error))

        app = Starlette(
            routes=contract_routes(self._state),
            exception_handlers={**HANDLERS, EmbedpipeError: refused},
        )
        access = Access(app, hosts=hosts if local else None, token=self.token)
        super().__init__(access, listener, timeout=TIMEOUT)

    def _link(self, project: tuple[Client, int] | None, control: str | None) -> ProjectLink | None:
        if project is None:
            return None
        client, number = project
        if urlsplit(self.url).hostname in ("0.0.0.0", "::"):
            raise UsageError(
                "Label Studio needs an address at which it reaches this service: give --public-url "
                "too."
            )
        link = ProjectLink(client, number, address=self.url, token=self.token, control=control)
        link.check()
        return link

    def run(self) -> None:
        """Serve until Ctrl-C, SIGTERM or SIGHUP; see `LocalServer.run`."""
        threading.Thread(target=self._start_work, daemon=True).start()
        super().run()

    def _start_work(self) -> None:
        """Start the training once the server answers: Label Studio checks its health."""
        while not (self._server.started or self._server.should_exit):
            time.sleep(0.05)
        self._state.start()

    def close(self) -> None:
        """Free the port and stop the work in the background; `run` calls it at its end."""
        super().close()
        self._state.close()


def _host_of(url: str) -> str:
    """Return the value of the header Host in requests to an address."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise UsageError(
            f"--public-url is {url!r}; expected an address such as http://host.docker.internal:9090."
        )
    return parts.netloc.lower()
