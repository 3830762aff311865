"""Authentication: only the page itself and programs with the token have access."""

from __future__ import annotations

import hashlib
import secrets

from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .json_messages import error_response

__all__ = ["RUN_HEADER", "AuthMiddleware"]

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


class AuthMiddleware:
    """Pass on only requests of our own page, or of a program with the token.

    It refuses a request whose Host is not 127.0.0.1 or localhost with our port; this prevents DNS
    rebinding. It refuses a request from another site, and a request without the right token. It
    refuses changes from a page of an earlier run, because its rows may belong to other items now.
    The address of the first request contains the token, or `code`, which is valid once. Later
    requests contain the token in a cookie that scripts cannot read and other sites cannot use.
    Programs send ``Authorization: Bearer``. The token is never logged.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, run: str, port: int, code: str | None = None
    ) -> None:
        self.app, self._token, self._run, self._code = app, token, run, code
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"embedpipe-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it on."""
        if scope["type"] != "http":  # web sockets and lifespan events are not supported
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
        """Return the response that refuses a request, or None if the request is accepted."""
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return error_response(
                421, "the host must be 127.0.0.1 or localhost, with the server's port."
            )
        if scope["path"] == "/" and scope["method"] in READING:
            query = QueryParams(scope["query_string"])
            if "token" in query:  # a link with the token is accepted from any site
                return self._set_cookie(query["token"])
            if "code" in query:
                return self._set_cookie(self._token if self._is_code(query["code"]) else "")
        if self._is_foreign(headers, hosts[0]):
            return error_response(403, "requests from other sites are refused.")
        if self._is_token(_bearer(headers)):
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

    def _is_foreign(self, headers: Headers, host: str) -> bool:
        origins = headers.getlist("origin")
        if any(origin.lower() != f"http://{host.lower()}" for origin in origins):
            return True
        # The header is "none" if the user typed or pasted the address.
        return headers.get("sec-fetch-site", "none") not in ("none", "same-origin")

    def _set_cookie(self, given: str) -> Response:
        """Move the token from the address to a cookie, so that no browser history contains it."""
        if not self._is_token(given):
            return _no_access_page()
        # This is no redirect: after a link on another site, a redirect would have no strict cookie.
        response = HTMLResponse(SET_COOKIE_PAGE, headers={"cache-control": "no-store"})
        response.set_cookie(self._cookie, self._token, path="/", httponly=True, samesite="strict")
        return response

    def _from_cookie(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self._cookie)

    def _is_token(self, given: str | None) -> bool:
        """Return whether a token is that of the server, by a constant-time comparison."""
        return given is not None and _is_same(given, self._token)

    def _is_code(self, given: str) -> bool:
        """Return whether a text is the code; the code is valid for one call only."""
        if self._code is None or not _is_same(given, self._code):
            return False
        self._code = None
        return True


def _is_same(given: str, secret: str) -> bool:
    digests = (hashlib.sha256(text.encode()).digest() for text in (given, secret))
    return secrets.compare_digest(*digests)


def _bearer(headers: Headers) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


def _no_access(scope: Scope) -> Response:
    if scope["path"] == "/" and scope["method"] in READING:
        return _no_access_page()
    return error_response(
        401, "the token is missing or wrong: open the address that `embedpipe label` printed."
    )


def _no_access_page() -> Response:
    return HTMLResponse(NO_ACCESS_PAGE, status_code=401, headers={"cache-control": "no-store"})
