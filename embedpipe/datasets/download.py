"""Downloads through pooch that go on after an interruption, in the same call or in a later one.

The bytes go to ``<name>.part``; ``<name>.part.json`` keeps the version of the file that they are
of, so that a later call asks for the rest of that version only. A finished download that has
passed its check gets its name. One process at a time downloads a file; the others wait for it.
``docs/decisions/0019-downloads-through-pooch.md`` says why pooch's own downloader does not do.
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
from ..errors import DatasetError, UsageError

if TYPE_CHECKING:
    import requests

__all__ = ["Check", "Progress", "download", "fetch", "file_sha256", "is_url"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes that have arrived, and their total or None."""

Check = Callable[[Path], None]
"""Raises a DatasetError, with a sentence as its message, for a file that is not the right one."""

_BLOCK = 1 << 18  # bytes
_TIMEOUT = 60.0  # seconds without a byte
_TRIES = 5  # in a row without any progress
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})  # statuses worth another try


def is_url(text: str) -> bool:
    """Return whether `text` is an ``http://`` or ``https://`` address."""
    return text.lower().startswith(("http://", "https://"))


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(url: str, directory: Path, progress: Progress | None = None) -> Path:
    """Download `url` into `directory` unless it is there, and return its path."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name or "download"
    # Many addresses end in "master.zip".
    target = directory / f"{hashlib.sha256(url.encode()).hexdigest()[:8]}-{name}"
    return download(url, target, progress=progress)


def download(
    url: str,
    target: Path,
    *,
    check: Check | None = None,
    progress: Progress | None = None,
    backoff: float = 0.5,
) -> Path:
    """Download `url` to `target` unless it is there, and return `target`."""
    # `target` exists only when it is complete and has passed `check`; a file that does not pass is
    # removed. `backoff` is the seconds before the second try, doubled for each further one.
    if not is_url(url):
        raise UsageError(f"{url!r} is not an http:// or https:// address.")
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
        raise DatasetError(f"{url} cannot be saved as {str(target)!r}: {reason}.") from error
    return target


@contextlib.contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Keep pooch's notes off standard error: the caller reports progress."""
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
    """A downloader for pooch that goes on from the bytes on disk after each interruption."""

    url: str
    target: Path
    check: Check | None
    progress: Progress | None
    backoff: float

    @property
    def part(self) -> Path:
        """The bytes that have arrived."""
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        """The version of the file that they are of."""
        return self.target.with_name(f"{self.target.name}.part.json")

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        """Put all bytes into `output_file`; pooch gives it its final name."""
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
                        f"{url} cannot be downloaded: {error}; "
                        "what has arrived is kept, and another try goes on from there."
                    ) from error
            time.sleep(self.backoff * 2 ** (failures - 1))
        self._accept()
        self.part.replace(output_file)
        self.note.unlink(missing_ok=True)

    def _transfer(self) -> None:
        """Ask for the missing bytes, and append them."""
        import requests

        validator, offset = self._validator(), self._size()
        headers = {"User-Agent": "embedpipe", "Accept-Encoding": "identity"}
        if validator and offset:
            headers |= {"Range": f"bytes={offset}-", "If-Range": validator}
        try:
            with requests.get(self.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
                if response.status_code >= HTTPStatus.BAD_REQUEST:
                    self._refused(response)
                else:
                    self._receive(response, offset)
        except requests.RequestException as error:
            raise _InterruptedError(_reason(error)) from error

    def _refused(self, response: requests.Response) -> None:
        """Sort an error status: nothing is missing, try again, or give up."""
        reason = f"the server answers {response.status_code} {response.reason}"
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            whole = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if whole and int(whole[1]) == self._size():
                return  # everything had arrived before the last run ended
            self._discard()
            raise _InterruptedError(reason)
        if response.status_code in _PASSING:
            raise _InterruptedError(reason)
        raise DatasetError(f"{self.url} cannot be downloaded: {reason}.")

    def _receive(self, response: requests.Response, offset: int) -> None:
        """Append the answer if it goes on from `offset`, else start anew with it."""
        from urllib3.exceptions import HTTPError

        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        content_range = response.headers.get("Content-Range", "")
        if resumed and not content_range.startswith(f"bytes {offset}-"):
            self._discard()
            raise _InterruptedError("the server sent another part than it was asked for")
        if not resumed:
            self._discard()
            self._remember(response.headers)
        done = offset if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        ended = "the connection ended after"
        with self.part.open("ab") as file:
            try:
                # Undecoded: nothing that has arrived waits in a buffer when the connection ends.
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
        """Check the finished bytes; remove them if they are wrong."""
        if self.check:
            try:
                self.check(self.part)
            except DatasetError as error:
                self._discard()
                raise DatasetError(f"{self.url} is not what was expected: {error}") from error

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _validator(self) -> str | None:
        """Return the version of the bytes on disk, None if it is not known."""
        try:
            note: Any = json.loads(self.note.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        known = isinstance(note, dict) and note.get("url") == self.url
        return str(note["validator"]) if known and note.get("validator") else None

    def _remember(self, headers: Mapping[str, str]) -> None:
        # A weak ETag does not promise the same bytes, so a range cannot be asked for by it.
        etag = headers.get("ETag", "")
        validator = etag if etag.startswith('"') else headers.get("Last-Modified")
        note = json.dumps({"url": self.url, "validator": validator})
        write_atomically(self.note, note.encode())

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _reason(error: requests.RequestException) -> str:
    """Return the reason that the system gives for a failed connection, with the host."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            host = urllib.parse.urlsplit(str(error.request.url)).hostname if error.request else None
            return f"{host or 'the host'} cannot be reached ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
