"""Downloads through pooch that continue after an interruption.

The received bytes are in ``<name>.part``. The version of the file on the server is in
``<name>.part.json``, so that a later call asks for the rest of the same version. A complete and
checked download is renamed to ``<name>``. One process at a time downloads a file. The reason for a
downloader of our own is in ``docs/decisions/0019-downloads-through-pooch.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import locked, sync_folder, write_atomically
from .._urls import public_url
from ..errors import DatasetError, UsageError

if TYPE_CHECKING:
    import requests

__all__ = [
    "TEMPORARY_STATUSES",
    "Check",
    "Progress",
    "download",
    "failure_reason",
    "fetch",
    "file_sha256",
    "is_url",
]

Progress = Callable[[int, int | None], None]
"""Function that takes the number of received bytes, and the total number or None."""

Check = Callable[[Path], None]
"""Function that raises a DatasetError for a wrong file; the message is a sentence."""

_BLOCK = 1 << 18  # bytes
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5  # successive tries without progress
TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that justify another try."""


def is_url(text: str) -> bool:
    """Return whether `text` is an ``http://`` or ``https://`` address."""
    return text.lower().startswith(("http://", "https://"))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, directory: Path, progress: Progress | None = None) -> Path:
    """Return the path of `url` in `directory`, downloaded if it is missing."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "download"
    # The digest distinguishes addresses that end in the same name, such as "master.zip".
    target = directory / f"{hashlib.sha256(public_url(url).encode()).hexdigest()[:8]}-{name}"
    return download(url, target, progress=progress)


def download(
    url: str,
    target: Path,
    *,
    check: Check | None = None,
    progress: Progress | None = None,
    backoff: float = 0.5,
) -> Path:
    """Return `target`; if it is missing, download it completely from `url` and check it."""
    # `backoff` is the number of seconds before the second try; it doubles at each further try.
    if not is_url(url):
        raise UsageError(f"{public_url(url)!r} is not an http:// or https:// address.")
    if target.exists():
        return target
    import pooch

    downloader = _ResumingDownloader(url, target, check, progress, backoff)
    lock = target.with_name(f".{target.name}.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()
        with locked(lock), _quiet(pooch.get_logger()):
            pooch.retrieve(url, None, target.name, target.parent, downloader=downloader)
            sync_folder(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise DatasetError(
            f"{public_url(url)} cannot be saved as {str(target)!r}: {reason}."
        ) from error
    return target


@contextlib.contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Silence pooch's log: the caller reports progress."""
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)


class _InterruptedError(Exception):
    """The connection ended early; another try may help."""


@dataclass(frozen=True)
class _ResumingDownloader:
    """A downloader for pooch that continues from the bytes on disk."""

    url: str
    target: Path
    check: Check | None
    progress: Progress | None
    backoff: float

    @property
    def part(self) -> Path:
        """The file of the received bytes."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        """The file with the version of the received bytes."""
        return self.target.with_name(f"{self.target.name}.part.json")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Put all bytes into `output_file`, which pooch then renames."""
        failures, before = 0, self._size()
        while True:
            try:
                self._transfer()
                break
            except _InterruptedError as error:
                now = self._size()
                failures = 1 if now > before else failures + 1
                before = now
                if failures >= _TRIES:
                    raise DatasetError(
                        f"{public_url(url)} cannot be downloaded: {error}. "
                        "Run the same command again to continue from the received bytes."
                    ) from error
            time.sleep(self.backoff * 2 ** (failures - 1))
        self._accept()
        self.part.replace(output_file)
        self.note.unlink(missing_ok=True)

    def _transfer(self) -> None:
        """Request the missing bytes, and append them."""
        import requests

        validator, offset = self._validator(), self._size()
        headers = {"User-Agent": "embedpipe", "Accept-Encoding": "identity"}
        if validator and offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        try:
            with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                if response.status_code >= HTTPStatus.BAD_REQUEST:
                    self._handle_error(response)
                else:
                    self._receive(response, offset)
        except requests.RequestException as error:
            raise _InterruptedError(failure_reason(error)) from error

    def _handle_error(self, response: requests.Response) -> None:
        """Return if the file is complete; else raise the error to try again or to stop."""
        reason = f"the server returned {response.status_code} {response.reason}"
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            whole = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if whole and int(whole[1]) == self._size():
                return  # the last run received all bytes
            self._discard()
            raise _InterruptedError(reason)
        if response.status_code in TEMPORARY_STATUSES:
            raise _InterruptedError(reason)
        raise DatasetError(f"{public_url(self.url)} cannot be downloaded: {reason}.")

    def _receive(self, response: requests.Response, offset: int) -> None:
        """Append a response that continues at `offset`; replace the file by any other response."""
        from urllib3.exceptions import HTTPError

        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        content_range = response.headers.get("Content-Range", "")
        if resumed and not content_range.startswith(f"bytes {offset}-"):
            self._discard()
            raise _InterruptedError("the server sent another part of the file than requested")
        if not resumed:
            self._discard()
            self._remember(response.headers)
        done = offset if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        ended = "the connection ended after"
        with self.part.open("ab") as file:
            try:
                # Without decoding, no received byte is lost in a buffer when the connection ends.
                for block in response.raw.stream(_BLOCK, decode_content=False):
                    file.write(block)
                    done += len(block)
                    if self.progress:
                        self.progress(done, total)
            except HTTPError as error:
                raise _InterruptedError(f"{ended} {done} of {total or 'unknown'} bytes") from error
            finally:
                file.flush()
                os.fsync(file.fileno())
        if total is not None and done < total:
            raise _InterruptedError(f"{ended} {done} of {total} bytes")

    def _accept(self) -> None:
        """Check the complete bytes; delete them if they are wrong."""
        if self.check:
            try:
                self.check(self.part)
            except DatasetError as error:
                self._discard()
                raise DatasetError(
                    f"{public_url(self.url)} is not the expected file: {error}"
                ) from error

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _validator(self) -> str | None:
        """Return the version of the bytes on disk, None if it is unknown."""
        try:
            note: Any = json.loads(self.note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(note, dict) and note.get("url") == public_url(self.url)
        return str(note["validator"]) if known and note.get("validator") else None

    def _remember(self, headers: Mapping[str, str]) -> None:
        # A weak ETag does not guarantee the same bytes, so it cannot be used with a range.
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified")
        note = json.dumps({"url": public_url(self.url), "validator": validator})
        write_atomically(self.note, note.encode())

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def failure_reason(error: requests.RequestException) -> str:
    """Return the system's reason for a failed connection, with the host."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            host = urllib.parse.urlsplit(str(error.request.url)).hostname if error.request else None
            return f"{host or 'the host'} cannot be reached ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
