"""Label Studio's API."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests

from ..._text import printable
from ..._urls import public_url
from ...errors import RunError, UsageError

__all__ = ["Client"]

TIMEOUT = (10.0, 300.0)
"""Maximum seconds to connect to Label Studio, and to wait for a response."""

PAGE = 500
"""Number of tasks in a page."""


class Client:
    """Send requests to Label Studio with a user's access token; thread-safe.

    The token is a personal access token, or a legacy token of 40 hexadecimal digits.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            shown = public_url(url) if "@" in url else url
            raise UsageError(
                f"the address of Label Studio is {shown!r}; expected one such as "
                "http://localhost:8080, without a user name."
            )
        self.url = url.rstrip("/")
        self._token, self._http = token.strip(), requests.Session()
        self._lock = threading.Lock()

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON at a path."""
        return self._request("GET", path, params=query)

    def post(self, path: str, body: Any) -> Any:
        """Send JSON to a path, and return the response."""
        return self._request("POST", path, json=body)

    def patch(self, path: str, body: Any) -> Any:
        """Change the object at a path."""
        return self._request("PATCH", path, json=body)

    def delete(self, path: str, body: Any) -> Any:
        """Delete the object at a path."""
        return self._request("DELETE", path, json=body)

    def tasks(self, project: int) -> Iterator[dict[str, Any]]:
        """Yield the id and the data of each task of a project."""
        query = {
            "project": project,
            "page_size": PAGE,
            "include": "id,data",
            "resolve_uri": "false",
        }
        for page in itertools.count(1):
            found = self.get("/api/tasks/", page=page, **query)
            yield from found["tasks"]
            if page * PAGE >= found["total"]:
                return

    def annotated_tasks(self, project: int) -> list[dict[str, Any]]:
        """Return the tasks of a project that have annotations, with these."""
        found: list[dict[str, Any]] = self.get(f"/api/projects/{project}/export", exportType="JSON")
        return found

    def _request(self, method: str, path: str, **options: Any) -> Any:
        with self._lock:
            response = self._send(method, path, **options)
            if response.status_code == requests.codes.unauthorized and self._is_personal:
                self._http.headers.pop("authorization", None)  # the access token has expired
                response = self._send(method, path, **options)
        try:
            content = response.json() if response.content else None
        except ValueError:
            content = None
        if response.status_code == requests.codes.unauthorized:
            raise RunError(
                f"Label Studio at {self.url} refuses the access token. Set LABEL_STUDIO_API_KEY to "
                "a token of your account page there."
            )
        if not response.ok:
            raise RunError(
                f"Label Studio at {self.url} answers {method} {path} with status "
                f"{response.status_code}: {_reason(content)}."
            )
        return content

    @property
    def _is_personal(self) -> bool:
        """Whether the token is a personal access token, which is exchanged for short-lived ones."""
        return self._token.count(".") == 2

    def _send(self, method: str, path: str, **options: Any) -> requests.Response:
        if "authorization" not in self._http.headers:
            self._http.headers["authorization"] = self._authorization()
        try:
            return self._http.request(method, self.url + path, timeout=TIMEOUT, **options)
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def _authorization(self) -> str:
        if not self._is_personal:
            return f"Token {self._token}"
        try:
            response = self._http.post(
                f"{self.url}/api/token/refresh/", json={"refresh": self._token}, timeout=TIMEOUT
            )
            access = response.json().get("access") if response.ok else None
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        return f"Bearer {access}"

    def _unreachable(self, error: Exception) -> RunError:
        return RunError(
            f"Label Studio at {self.url} cannot be reached ({type(error).__name__}). Start it, or "
            "give its address with --label-studio-url."
        )


def _reason(content: Any) -> str:
    """Return the reason in Label Studio's description of an error."""
    if not isinstance(content, dict):
        return "no reason given"
    found = content.get("validation_errors") or content.get("detail") or content
    return printable(str(found))[:500].rstrip(".")
