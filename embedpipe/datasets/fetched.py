"""Archives and manifests at an address: copied once for each version, and read from the copy."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from .._files import temporary_file
from .._storage import Entry, ObjectPath
from .._urls import is_web_url, public_url
from ..errors import DatasetError
from .archive import ArchiveSource
from .download import Progress, download
from .files import open_archive
from .object_source import stamp_of
from .source import Source, Stamp
from .web import WebReader

__all__ = ["FetchedArchive", "fetch_version", "name_in"]


def name_in(url: str) -> str:
    """Return the file name in an address."""
    return public_url(url).partition("?")[0].rpartition("/")[2]


def fetch_version(
    url: str, directory: Path, progress: Progress | None = None
) -> tuple[Path, Entry]:
    """Return a copy of the file at an address in `directory`, and its size, time and tag.

    The copy of an unchanged file is used again. Copies of its earlier versions are removed.
    """
    shown = public_url(url)
    try:
        entry = WebReader().entry(url) if is_web_url(url) else ObjectPath(url).entry()
    except OSError as error:
        reason = str(error) if error.errno is None else f"it cannot be read ({error.strerror})"
        raise DatasetError(f"{shown}: {reason}.") from error
    stamp = stamp_of(entry)
    begin = hashlib.sha256(shown.encode()).hexdigest()[:8]
    version = hashlib.sha256(repr(stamp).encode()).hexdigest()[:8]
    target = directory / f"{begin}-{version}-{name_in(url)}"
    if stamp is None or not target.exists():
        if not is_web_url(url):
            _copy(ObjectPath(url), target, progress)
        elif stamp is not None:
            download(url, target, progress=progress)
        else:
            _replace(url, target, progress)  # the server states no version
    for old in directory.glob(f"{begin}-????????-*"):
        if old.name != target.name:
            old.unlink(missing_ok=True)
    return target, entry


def _copy(path: ObjectPath, target: Path, progress: Progress | None) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(target) as temporary:
            path.download(temporary, progress)
            temporary.replace(target)
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be copied to {str(target)!r}: {error.strerror or error}."
        ) from error


def _replace(url: str, target: Path, progress: Progress | None) -> None:
    """Download a file; until it is complete, others may read the earlier copy."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".tmp-") as folder:
            download(url, Path(folder) / target.name, progress=progress).replace(target)
    except OSError as error:
        raise DatasetError(
            f"{public_url(url)} cannot be saved as {str(target)!r}: {error.strerror or error}."
        ) from error


class FetchedArchive(Source):
    """The members of an archive at an address, read from a copy of the archive.

    On a machine without the copy, the archive is copied again at the first use.
    """

    def __init__(self, url: str, directory: Path, progress: Progress | None = None) -> None:
        self._url, self._directory, self._progress = url, directory, progress
        self._lock = threading.Lock()
        self._opened: tuple[ArchiveSource, Entry] | None = None

    def __reduce__(self) -> tuple[type[FetchedArchive], tuple[str, Path]]:
        return type(self), (self._url, self._directory)

    @property
    def archive(self) -> ArchiveSource:
        """The source that reads the copy."""
        return self._open()[0]

    @property
    def location(self) -> str:
        """The address of the archive without its signature."""
        return public_url(self._url)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes on changed names of members."""
        return self.archive.remarks

    def stamp(self, id: str) -> Stamp | None:
        """Return the size of the member, with the time and tag of the archive."""
        return self.stamps([id])[0]

    def stamps(self, ids: Sequence[str]) -> list[Stamp | None]:
        """Return the stamps; None without a version of the archive."""
        archive, entry = self._open()
        version = stamp_of(entry)
        return [
            None if each is None or version is None else replace(version, size=each.size)
            for each in archive.stamps(ids)
        ]

    def read(self, ids: Sequence[str]) -> Iterator[tuple[str, bytes | OSError]]:
        """Yield the content of each member, in the order of the archive."""
        return self.archive.read(ids)

    def _open(self) -> tuple[ArchiveSource, Entry]:
        with self._lock:
            if self._opened is None:
                try:
                    self._directory.mkdir(parents=True, exist_ok=True)
                except OSError:  # another machine without this folder
                    self._directory = Path(tempfile.gettempdir()) / "embedpipe-downloads"
                path, entry = fetch_version(self._url, self._directory, self._progress)
                self._opened = open_archive(path), entry
            return self._opened
