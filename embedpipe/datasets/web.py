"""Files on web servers: their bytes and versions, with retries."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from .._storage import PARALLEL, Entry
from .._urls import public_url
from .download import TEMPORARY_STATUSES, failure_reason
from .source import MAX_BYTES, too_large

if TYPE_CHECKING:
    import requests

__all__ = ["WebReader"]

_TIMEOUT = 10.0, 60.0  # seconds for a connection, and without a byte
_TRIES = 5  # tries of one request
_BACKOFF = 0.3  # seconds before the second try; the pause doubles at each further try
_PAUSE = 60.0  # maximum seconds of a pause that a server asks for


class WebReader:
    """Reads files by their address. Requests that fail for a time are repeated.

    A signed address serves for reading only, so its version is read with the first byte.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: tuple[int, requests.Session] | None = None

    def __reduce__(self) -> tuple[type[WebReader], tuple[()]]:
        return type(self), ()

    def read(self, url: str) -> bytes:
        """Return the bytes of a file; raise OSError if it cannot be read."""
        import requests
        from urllib3.exceptions import HTTPError

        for number in range(_TRIES):
            try:
                with self._session().get(url, stream=True, timeout=_TIMEOUT) as response:
                    _check(response)
                    length = int(response.headers.get("Content-Length") or 0)
                    content = response.raw.read(MAX_BYTES + 1, decode_content=True)
                    if max(length, len(content)) > MAX_BYTES:
                        raise too_large(max(length, len(content)))
                    return bytes(content)
            except requests.RequestException as error:  # the session has repeated the request
                raise OSError(f"it cannot be read ({_failure(error)})") from error
            except HTTPError as error:
                if number + 1 == _TRIES:
                    raise OSError(f"it cannot be read ({_failure(error)})") from error
                time.sleep(_BACKOFF * 2**number)
        raise AssertionError  # the last try returns or raises

    def entry(self, url: str) -> Entry:
        """Return size, time and tag of a file; raise OSError if it cannot be read."""
        import requests

        is_signed = public_url(url) != url
        try:
            headers = None if is_signed else self._headers("HEAD", url)
            if headers is None:
                headers = self._headers("GET", url, {"Range": "bytes=0-0"})
        except requests.RequestException as error:
            raise OSError(f"it cannot be read ({_failure(error)})") from error
        headers = headers or {}
        whole = headers.get("Content-Range", "").rpartition("/")[2]
        size = whole if whole.isdecimal() else headers.get("Content-Length") or "0"
        try:
            modified = int(parsedate_to_datetime(headers["Last-Modified"]).timestamp() * 1e9)
        except (KeyError, ValueError):
            modified = None
        return Entry(False, int(size), modified, headers.get("ETag"))

    def _headers(
        self, method: str, url: str, sent: Mapping[str, str] | None = None
    ) -> Mapping[str, str] | None:
        """Return the headers of an answer; None if the server does not permit the method."""
        with self._session().request(
            method, url, headers=sent, stream=True, allow_redirects=True, timeout=_TIMEOUT
        ) as response:
            if method == "HEAD" and response.status_code in (403, 405, 501):
                return None
            _check(response)
            return response.headers

    def _session(self) -> requests.Session:
        """Return the session of this process."""
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.response import BaseHTTPResponse
        from urllib3.util import Retry

        class Limited(Retry):
            """Retries whose pauses are limited."""

            def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
                asked = super().get_retry_after(response)
                return None if asked is None else min(asked, _PAUSE)

        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                session = requests.Session()
                session.headers.update({"User-Agent": "embedpipe", "Accept-Encoding": "identity"})
                retry = Limited(
                    _TRIES - 1, status_forcelist=TEMPORARY_STATUSES, backoff_factor=_BACKOFF
                )
                for begin in ("http://", "https://"):
                    session.mount(begin, HTTPAdapter(max_retries=retry, pool_maxsize=PARALLEL))
                self._opened = os.getpid(), session
            return self._opened[1]


def _check(response: requests.Response) -> None:
    """Raise OSError for a refusal."""
    if response.status_code == 404:
        raise FileNotFoundError("it is missing on the server")
    if response.status_code >= 400:
        status = f"{response.status_code} {response.reason}"
        raise OSError(f"it cannot be read (the server returned {status})")


def _failure(error: Exception) -> str:
    """Return the reason of a failed request, without the address, which may be signed."""
    import requests

    if isinstance(error, requests.exceptions.RetryError):
        return "the server is overloaded"
    if isinstance(error, requests.RequestException):
        return failure_reason(error)
    return "the connection ended early"
