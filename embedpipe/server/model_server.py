"""The HTTP service of a trained model."""

from __future__ import annotations

import secrets

from PIL import Image
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from ..models import Model
from .auth import READING, Access, own_hosts
from .local_server import LOOPBACK, LocalServer, is_loopback, listen
from .model_api import Limits, create_model_app

__all__ = ["ModelServer"]

PORT = 8766
"""Default port."""

GRACE = 20
"""Seconds that the current requests have to end after a signal."""


class ModelServer(LocalServer):
    """Serve the predictions of a model over HTTP; see ``docs/reference/model-service.md``.

    Parameters
    ----------
    model
        The model, from `load_model`.
    host
        Address to listen on. Any address other than a loopback address requires a token.
    port
        Port of the server; 0 is any free port.
    token
        Token that requests must contain. By default no token is required on a loopback address,
        and a new one on other addresses.
    limits
        Limits of the service.

    Attributes
    ----------
    url
        The address of the service, without the token.
    token
        The token; None if none is required.

    Raises
    ------
    RunError
        If the port or the address cannot be used.
    """

    def __init__(
        self,
        model: Model,
        *,
        host: str = LOOPBACK,
        port: int = PORT,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        local = is_loopback(host)
        self.token = token or (None if local else secrets.token_urlsafe(24))
        listener = listen(port, host=host, remedy="give another --port or --host")
        port = listener.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        hosts = {*own_hosts(port), f"[::1]:{port}", self.url.removeprefix("http://").lower()}
        app = create_model_app(model, limits)
        access = _ModelAccess(app, hosts=hosts if local else None, token=self.token)
        super().__init__(access, listener, timeout=limits.timeout, grace=GRACE)
        # The first predictions of a network are slow; they must not delay a client.
        for count in (1, limits.batch_size):
            model.predict([Image.new("RGB", (64, 64))] * count)


class _ModelAccess(Access):
    """The checks of `Access`; the health needs no token, so that supervisors can ask for it."""

    def _refusal_of_token(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["path"] == "/health" and scope["method"] in READING:
            return None
        return super()._refusal_of_token(scope, headers)
