"""Authentication: only the page itself and programs with the token have access."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .json_messages import error_response

__all__ = ["RUN_HEADER", "Access", "AuthMiddleware", "own_hosts"]

RUN_HEADER = "x-embedpipe-run"
"""Header that identifies the run; a restart or new images begin a new run.

The page sends it with every change.
"""

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

SET_COOKIE_PAGE = (
    '<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>embedpipe label</title>'
    '<link rel="icon" href="/static/icon.svg">'
)

NO_ACCESS_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>embedpipe label</title>
<main>
<h1>This page needs its whole address</h1>
<p>The address ends with a token, such as <code>?token=…</code>.
Only this machine can use the address.</p>
<p>To get the address again, run this command in a terminal,
in the folder where you started the page:</p>
<pre>embedpipe label --url</pre>
<p>Then open the printed address in this browser. Your labels are stored; nothing is lost.</p>
</main>
</html>
"""


class Access:
    """Pass on only requests to this server's own address, of programs with the token.

    It refuses a request whose Host is not among `hosts`; this prevents DNS rebinding. It refuses a
    request from another site, and a request without the right token. Programs send the token as
    ``Authorization: Bearer``, or as the password of ``Authorization: Basic``.

    Parameters
    ----------
    app
        The application.
    hosts
        Accepted values of the header Host, in lower case; None for all values.
    token
        The token; None if none is required.
    """

    headers: Mapping[str, str] = HEADERS
    """Headers of every response."""
    wrong_host = "the host must be 127.0.0.1 or localhost, with the server's port."

    def __init__(self, app: ASGIApp, *, hosts: set[str] | None, token: str | None) -> None:
        self.app, self._hosts, self._token = app, hosts, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":  # web sockets and lifespan events are not supported
            return
        refusal = self._refusal(scope)
        app = self.app if refusal is None else refusal

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers[name] = value
            await send(message)

        await app(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response that refuses a request, or None if the request is accepted."""
        headers = Headers(scope=scope)
        return (
            self._refusal_of_host(headers)
            or self._refusal_of_other_site(headers)
            or self._refusal_of_token(scope, headers)
        )

    def _refusal_of_host(self, headers: Headers) -> Response | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or (self._hosts is not None and hosts[0].lower() not in self._hosts):
            return error_response(421, self.wrong_host)
        return None

    def _refusal_of_other_site(self, headers: Headers) -> Response | None:
        own = f"http://{headers['host'].lower()}"
        foreign = any(origin.lower() != own for origin in headers.getlist("origin"))
        # The header is "none" if the user typed or pasted the address.
        if foreign or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return error_response(403, "requests from other sites are refused.")
        return None

    def _refusal_of_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None or self._has_token(headers):
            return None
        return error_response(
            401,
            "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`.",
            headers={"www-authenticate": "Bearer"},
        )

    def _has_token(self, headers: Headers) -> bool:
        """Return whether a program sent the right token in the header Authorization."""
        return self._is_token(_given_token(headers))

    def _is_token(self, given: str | None) -> bool:
        """Return whether a token is that of the server, by a constant-time comparison."""
        return given is not None and self._token is not None and _is_same(given, self._token)


class AuthMiddleware(Access):
    """Pass on only requests of our own page, or of a program with the token.

    Beside the checks of `Access`, it refuses changes from a page of an earlier run, because its
    rows may belong to other items now. The address of the first request contains the token, or
    `code`, which is valid once. Later requests contain the token in a cookie that scripts cannot
    read and other sites cannot use. The token is never logged.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, run: str, port: int, code: str | None = None
    ) -> None:
        super().__init__(app, hosts=own_hosts(port), token=token)
        self._run, self._code, self._secret = run, code, token
        self._cookie = f"embedpipe-{port}"

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response that refuses a request, or None if the request is accepted."""
        headers = Headers(scope=scope)
        refusal = self._refusal_of_host(headers)
        if refusal is not None:
            return refusal
        if scope["path"] == "/" and scope["method"] in READING:
            query = QueryParams(scope["query_string"])
            if "token" in query:  # a link with the token is accepted from any site
                return self._set_cookie(query["token"])
            if "code" in query:
                return self._set_cookie(self._secret if self._is_code(query["code"]) else "")
        refusal = self._refusal_of_other_site(headers)
        if refusal is not None:
            return refusal
        if self._has_token(headers):
            return self._refusal_of_other_run(headers) if RUN_HEADER in headers else None
        if not self._is_token(self._from_cookie(headers)):
            return _no_access(scope)
        if scope["method"] not in READING:
            return self._refusal_of_change(headers)
        return None

    def _refusal_of_change(self, headers: Headers) -> Response | None:
        """Refuse a change without an origin, or from a page of an earlier run."""
        if "origin" not in headers:
            return error_response(403, "requests without an origin are refused.")
        return self._refusal_of_other_run(headers)

    def _refusal_of_other_run(self, headers: Headers) -> Response | None:
        if headers.get(RUN_HEADER) != self._run:
            return error_response(
                409, "the server was restarted, or has new images: reload the page."
            )
        return None

    def _set_cookie(self, given: str) -> Response:
        """Move the token from the address to a cookie, so that no browser history contains it."""
        if not self._is_token(given):
            return _no_access_page()
        # This is no redirect: after a link on another site, a redirect would have no strict cookie.
        response = HTMLResponse(SET_COOKIE_PAGE, headers={"cache-control": "no-store"})
        response.set_cookie(self._cookie, self._secret, path="/", httponly=True, samesite="strict")
        return response

    def _from_cookie(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self._cookie)

    def _is_code(self, given: str) -> bool:
        """Return whether a text is the code; the code is valid for one call only."""
        if self._code is None or not _is_same(given, self._code):
            return False
        self._code = None
        return True


def _is_same(given: str, secret: str) -> bool:
    digests = (hashlib.sha256(text.encode()).digest() for text in (given, secret))
    return secrets.compare_digest(*digests)


def own_hosts(port: int) -> set[str]:
    """Return the values of the header Host for a server that listens on 127.0.0.1."""
    return {f"127.0.0.1:{port}", f"localhost:{port}"}


def _given_token(headers: Headers) -> str | None:
    """Return the token that a program sent: a bearer token, or the password of basic access."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(given.strip(), validate=True).decode().partition(":")[2]
    except ValueError:  # not Base64, or not UTF-8
        return None


def _no_access(scope: Scope) -> Response:
    if scope["path"] == "/" and scope["method"] in READING:
        return _no_access_page()
    return error_response(
        401, "the token is missing or wrong: open the address that `embedpipe label` printed."
    )


def _no_access_page() -> Response:
    return HTMLResponse(NO_ACCESS_PAGE, status_code=401, headers={"cache-control": "no-store"})
