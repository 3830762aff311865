"""The address of a running server in a file, so that a lost address can be printed again."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from .._files import write_atomically

__all__ = ["address_stored", "running_address"]

TIMEOUT = 5.0
"""Maximum seconds to wait for a response of a server."""


@contextlib.contextmanager
def address_stored(folder: Path, url: str) -> Iterator[None]:
    """Store the address of a server in a folder while the server runs.

    Only the user can read the file, because the address contains the token. In a read-only folder,
    nothing is stored.
    """
    path = folder / f"page-{urlsplit(url).port}.json"
    with contextlib.suppress(OSError):
        write_atomically(path, json.dumps({"url": url}).encode(), mode=0o600)
    try:
        yield
    finally:
        if _url_in(path) == url:
            _remove(path)


def running_address(folder: Path) -> str | None:
    """Return the address of the running server that was started last; None if none runs.

    The files of servers that do not run any more are removed.
    """
    files = sorted(folder.glob("page-*.json"), key=_modified, reverse=True)
    for path in files:
        url = _url_in(path)
        if url is not None and _runs(url):
            return url
        _remove(path)
    return None


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _url_in(path: Path) -> str | None:
    """Return the address in a file; None if the file is missing or damaged."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        url = json.loads(path.read_bytes())["url"]
        parts = urlsplit(url)
        return url if parts.hostname == "127.0.0.1" and parts.port else None
    return None


def _runs(url: str) -> bool:
    """Return whether a server accepts the token in an address."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", f"/?{parts.query}")
        return connection.getresponse().status == http.client.OK
    except TimeoutError:  # the server is busy
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
