"""Downloads that can be interrupted at any time, and are complete or not there.

The bytes go to ``<name>.part``; ``<name>.part.json`` remembers which version of the file they are
of, so that a later call asks for the rest of that version only. When everything is there and has
passed its check, it is renamed. One process at a time downloads a file, the others wait and then
find it.
"""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .._files import sync_folder, write_atomically
from ..errors import DatasetError, UsageError

__all__ = ["Progress", "download", "fetch", "is_url", "sha256_check"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and with how many there will be where that is known."""

Check = Callable[[Path], None]
"""Raises a DatasetError if a finished file is not what was asked for."""

_BLOCK = 1 << 18
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5  # in a row without any progress
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # worth another try
_LOCK_POLL = 0.1  # seconds


def is_url(text: str) -> bool:
    """Return whether `text` is the address of a file on the web.

    Examples
    --------
    >>> is_url("https://example.org/images.zip"), is_url("images.zip")
    (True, False)
    """
    return text.lower().startswith(("http://", "https://"))


def fetch(url: str, directory: Path, progress: Progress | None = None) -> Path:
    """Download `url` into `directory` unless it is there, and return where it is."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "download"
    # Many addresses end in "master.zip".
    target = directory / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    return download(url, target, progress=progress)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_check(expected: str) -> Check:
    """Return a check that a file has the SHA-256 `expected`."""

    def check(path: Path) -> None:
        found = file_sha256(path)
        if found != expected:
            raise DatasetError(f"its SHA-256 is {found}, expected {expected}.")

    return check


def download(
    url: str,
    target: Path,
    *,
    check: Check | None = None,
    progress: Progress | None = None,
    backoff: float = 0.5,
) -> Path:
    """Download `url` to `target` unless it is there.

    Parameters
    ----------
    url
        An ``http://`` or ``https://`` address.
    target
        Where the file goes. It exists only when it is complete and has passed `check`.
    check
        Raises a DatasetError if the file is not what was asked for; it is then thrown away.
    progress
        Told how far it is.
    backoff
        Seconds before the second try, doubled for each further one.

    Returns
    -------
    Path
        `target`.

    Raises
    ------
    DatasetError
        If it cannot be had, after several tries where another try may help.
    UsageError
        If `url` is not an address on the web.
    """
    if not is_url(url):
        raise UsageError(f"{url!r} is not an http:// or https:// address.")
    if target.exists():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(target.with_name(f".{target.name}.lock")):
            if not target.exists():
                part = _Part(url, target)
                _complete(part, progress, backoff)
                _accept(part, check)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(f"{url} cannot be saved as {str(target)!r}: {reason}.") from error
    return target


@dataclass(frozen=True)
class _Part:
    """A download under way, and what is on disk of it."""

    url: str
    target: Path

    @property
    def path(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self) -> str | None:
        """Return what names the version of the bytes on disk, None if that is not known."""
        try:
            note: Any = json.loads(self.note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(note, dict) and note.get("url") == self.url
        return str(note["validator"]) if known and note.get("validator") else None

    def remember(self, headers: http.client.HTTPMessage) -> None:
        # A weak ETag does not promise the same bytes, so a range cannot be asked for by it.
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified")
        note = json.dumps({"url": self.url, "validator": validator})
        write_atomically(self.note, note.encode())

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


class _InterruptedError(Exception):
    """The connection ended early; another try may help."""


def _complete(part: _Part, progress: Progress | None, backoff: float) -> None:
    """Have all bytes on disk, going on after each interruption."""
    failures, before = 0, part.size()
    while True:
        try:
            return _transfer(part, progress)
        except _InterruptedError as error:
            now = part.size()
            failures = 1 if now > before else failures + 1
            before = now
            if failures >= _TRIES:
                raise DatasetError(
                    f"{part.url} cannot be downloaded: {error}; "
                    "what has arrived is kept, and another try goes on from there."
                ) from error
        time.sleep(backoff * 2 ** (failures - 1))


def _transfer(part: _Part, progress: Progress | None) -> None:
    """Ask for what is missing, and write what comes."""
    validator, offset = part.validator(), part.size()
    request = urllib.request.Request(part.url, headers={"User-Agent": "embedpipe"})
    if validator and offset:
        request.add_header("Range", f"bytes={offset}-")
        request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            _receive(part, response, offset, progress)
    except urllib.error.HTTPError as error:
        with error:
            _refused(part, error)
    except urllib.error.URLError as error:
        raise _InterruptedError(str(error.reason)) from error
    except (http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError) as error:
        raise _InterruptedError(str(error) or type(error).__name__) from error


def _refused(part: _Part, error: urllib.error.HTTPError) -> None:
    """Sort an error answer: nothing more to send, try again, or give up."""
    reason = f"the server answers {error.code} {error.reason}"
    if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        whole = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
        if whole and int(whole[1]) == part.size():
            return  # everything had arrived before the last run ended
        part.discard()
        raise _InterruptedError(reason)
    if error.code in _PASSING:
        raise _InterruptedError(reason)
    raise DatasetError(f"{part.url} cannot be downloaded: {reason}.")


def _receive(
    part: _Part, response: http.client.HTTPResponse, offset: int, progress: Progress | None
) -> None:
    """Append the answer if it goes on from `offset`, else start anew with it."""
    resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
    if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
        part.discard()
        raise _InterruptedError("the server sent another part than it was asked for")
    done = offset if resumed else 0
    length = response.headers.get("Content-Length")
    total = done + int(length) if length else None
    if not resumed:
        part.discard()
        part.remember(response.headers)
    with part.path.open("ab") as file:
        while block := response.read(_BLOCK):
            file.write(block)
            done += len(block)
            if progress:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())
    if total is not None and done < total:
        raise _InterruptedError(f"the connection ended after {done} of {total} bytes")


def _accept(part: _Part, check: Check | None) -> None:
    """Give the finished download its name if it is what was asked for; throw it away if not."""
    if check:
        try:
            check(part.path)
        except DatasetError as error:
            part.discard()
            raise DatasetError(f"{part.url} is not what was expected: {error}") from error
    part.path.replace(part.target)
    part.note.unlink(missing_ok=True)
    sync_folder(part.target.parent)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock file `path`; the system lets go of it when a process dies."""
    with path.open("a+b") as file:
        while not _try_lock(file):
            time.sleep(_LOCK_POLL)
        yield


def _try_lock(file: IO[bytes]) -> bool:
    """Lock `file` until it is closed, unless another process has."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
