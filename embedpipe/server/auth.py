"""Authentication: only the page itself, or a program with the token, gets an answer."""

from __future__ import annotations

import hashlib
import secrets

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .json_messages import error_response

__all__ = ["RUN_HEADER", "AuthMiddleware"]

RUN_HEADER = "x-embedpipe-run"
"""Header of every change: the run of the server whose rows are meant."""

READING = ("GET", "HEAD")

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

ENTER = (
    '<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>embedpipe label</title>'
    '<link rel="icon" href="/static/icon.svg">'
)

LOST = (
    "This page belongs to whoever started it. Open the address that `embedpipe label` printed, "
    "with its token."
)


class AuthMiddleware:
    """Pass on only requests of our own page, or of a program that has the token.

    Refused are: another Host than 127.0.0.1 or localhost with our port (a name that somebody
    else makes point here), another Origin or a request that the browser calls cross-site, a
    missing or wrong token, and, where something is changed, a page of an earlier run of the
    server, whose rows may be other items. The token comes in the address once; afterwards in a
    cookie that scripts cannot read and other sites cannot use. Programs send it as
    ``Authorization: Bearer``. Neither an address nor a header with the token is ever logged.
    """

    def __init__(self, app: ASGIApp, *, token: str, run: str, port: int) -> None:
        self.app, self._token, self._run = app, token, run
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"embedpipe-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":  # no web sockets here, and nothing to start or end
            return
        refusal = self._refusal(scope)
        app = self.app if refusal is None else refusal

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return what to answer instead, or None."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return error_response(421, "this server answers to 127.0.0.1 alone.")
        if scope["path"] == "/" and scope["method"] in READING:
            given = QueryParams(scope["query_string"]).get("token")
            if given is not None:  # wherever the link was: whoever has it may come in
                return self._enter(given)
        if self._is_foreign(headers, hosts[0]):
            return error_response(403, "requests of other sites are refused.")
        if self._has(_bearer(headers)):
            return None
        if not self._has(self._from_cookie(headers)):
            return _lost(scope)
        if scope["method"] not in READING:
            return self._refusal_of_change(headers)
        return None

    def _refusal_of_change(self, headers: Headers) -> Response | None:
        """Refuse a change that does not say which site and which run it comes from."""
        if "origin" not in headers:
            return error_response(403, "requests without an origin are refused.")
        if headers.get(RUN_HEADER) != self._run:
            return error_response(409, "the server was started anew: load the page again.")
        return None

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        origins = headers.getlist("origin")
        if any(origin.lower() != f"http://{host.lower()}" for origin in origins):
            return True
        # A link that is typed, pasted or printed in a terminal has no site: "none".
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")

    def _enter(self, given: str) -> Response:
        """Take the token out of the address, so that no history or screenshot shows it."""
        if not self._has(given):
            return _lost_page()
        # Not a redirect: on one that began at a link of another site, no strict cookie is sent.
        response = HTMLResponse(ENTER, headers={"cache-control": "no-store"})
        response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return response

    def _from_cookie(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self._cookie)

    def _has(self, given: str | None) -> bool:
        """Compare a token with ours in constant time."""
        if given is None:
            return False
        digests = (hashlib.sha256(text.encode()).digest() for text in (given, self._token))
        return secrets.compare_digest(*digests)


def _bearer(headers: Headers) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _lost(scope: Scope) -> Response:
    if scope["path"] == "/" and scope["method"] in READING:
        return _lost_page()
    return error_response(
        401, "the token is missing or wrong: open the address that `embedpipe label` printed."
    )


def _lost_page() -> Response:
    return PlainTextResponse(LOST, status_code=401, headers={"cache-control": "no-store"})
