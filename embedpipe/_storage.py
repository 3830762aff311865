"""Places of stored files: a folder's `Path`, or an `ObjectPath` on an object store.

An `ObjectPath` has the methods of `Path` that the cache needs, so the cache has one code for both.
An object is written by one request, whole or not at all. Nothing is renamed or locked. Listings are
paged by the client library. Nothing is cached in memory, because other machines write too.

Requests that are throttled or fail with a server's error are repeated with growing pauses by the
client library (s3fs, gcsfs, adlfs). Credentials come from its usual chain, and are never stored.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from ._urls import clean_url, refuse_credentials
from .errors import EmbedpipeError, RefusedError, StorageError, UsageError

__all__ = ["Entry", "ObjectPath", "StoredPath", "entries", "in_parallel", "map_parallel"]

PARALLEL = 16
"""Maximum requests at a time."""

BLOCK = 8 << 20
"""Bytes of a large object that one request reads."""

_T = TypeVar("_T")
_P = TypeVar("_P")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a listing states about an object; `tag` changes with its content."""

    is_folder: bool
    size: int
    mtime_ns: int | None
    tag: str | None


class ObjectPath:
    """The address of an object, or of the objects whose names begin with it and a slash.

    It pickles as its address. Errors are those of `Path`: FileNotFoundError for a missing object,
    RefusedError, a PermissionError, for a refused request, and otherwise StorageError, an OSError.
    """

    def __init__(self, url: str, entry: Entry | None = None) -> None:
        self._url = clean_url(url)
        self._entry = entry  # from a listing

    def __reduce__(self) -> tuple[type[ObjectPath], tuple[str]]:
        return type(self), (self._url,)

    def __str__(self) -> str:
        return self._url

    def __repr__(self) -> str:
        return f"ObjectPath({self._url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectPath) and self._url == other._url

    def __lt__(self, other: ObjectPath) -> bool:
        return self._url < other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self._url}/{name}")

    @property
    def scheme(self) -> str:
        """The scheme of the address, such as ``s3``."""
        return self._url.partition("://")[0]

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self._url.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The suffix of the name, with its dot."""
        return Path(self.name).suffix

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return Path(self.name).stem

    @property
    def parent(self) -> ObjectPath:
        """The address without its last part."""
        return ObjectPath(self._url.rpartition("/")[0])

    @property
    def parents(self) -> tuple[ObjectPath, ...]:
        """The addresses above, the nearest first."""
        scheme, _, rest = self._url.partition("://")
        parts = rest.split("/")
        shorter = (parts[:end] for end in range(len(parts) - 1, 0, -1))
        return tuple(ObjectPath(f"{scheme}://{'/'.join(each)}") for each in shorter)

    def exists(self) -> bool:
        """Return whether there is an object of this name, or an object below it."""
        with _errors(self._url):
            return bool(self._files.exists(self._path))

    def is_dir(self) -> bool:
        """Return whether there are objects below this address."""
        if self._entry is not None:
            return self._entry.is_folder
        with _errors(self._url):
            return bool(self._files.isdir(self._path))

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        with contextlib.suppress(FileNotFoundError):
            return not self.entry().is_folder
        return False

    def entry(self) -> Entry:
        """Return size, time and tag; raise FileNotFoundError if the object is missing."""
        if self._entry is None:
            with _errors(self._url):
                self._entry = _entry(self._files.info(self._path))
        return self._entry

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield the objects and the folders directly below this address.

        A folder without a name has no address of its own, so all objects below it are yielded.
        """
        with _errors(self._url):
            try:
                listed = self._files.ls(self._path, detail=True)
            except FileNotFoundError as error:
                if _BUCKET_IS_MISSING.search(str(error)):
                    raise
                # adlfs has the same error for a missing folder and a missing container
                if self.scheme in _AZURE and not self._files.exists(self._path.partition("/")[0]):
                    raise FileNotFoundError("The specified container does not exist") from error
                return
        yield from self._listed(listed)
        if any(self._is_nameless(info) for info in listed):
            with _errors(self._url):
                below = self._files.find(self._path, prefix="/", detail=True)
            yield from self._listed(below.values())

    def _is_nameless(self, info: dict[str, Any]) -> bool:
        """Return whether an entry of the listing is the folder of names such as ``a//b.jpg``."""
        return bool(info["type"] == "directory" and info["name"].rstrip("/") == self._path)

    def files(self) -> Iterator[ObjectPath]:
        """Yield all objects below this address."""
        with _errors(self._url):
            listed = self._files.find(self._path, detail=True)
        yield from self._listed(listed.values())

    def _listed(self, infos: Iterable[dict[str, Any]]) -> Iterator[ObjectPath]:
        begin = f"{self._path}/"
        for info in infos:
            name = info["name"].rstrip("/")
            if name.startswith(begin):  # the listing may contain a marker of the folder itself
                yield ObjectPath(f"{self._url}/{name[len(begin) :]}", _entry(info))

    def read_bytes(self) -> bytes:
        """Return the bytes of the object."""
        with _errors(self._url):
            return bytes(self._files.cat_file(self._path))

    def read_range(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, exclusive."""
        with _errors(self._url):
            return bytes(self._files.cat_file(self._path, start=start, end=end))

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the object as a file that reads ranges of bytes."""
        assert mode == "rb"
        return cast(BinaryIO, _RangedFile(self))

    def write(self, data: bytes, *, overwrite: bool = True) -> bool:
        """Write the object by one request; return false if an existing object is kept."""
        with _errors(self._url):
            if overwrite:
                self._files.pipe_file(self._path, data)
                return True
            try:
                self._files.pipe_file(self._path, data, mode="create")
            except FileExistsError:
                return False
            except (OSError, NotImplementedError, ValueError) as error:
                refused = error.errno in _NO_CONDITION if isinstance(error, OSError) else True
                if not refused:
                    raise
                if self._files.exists(self._path):
                    return False
                self._files.pipe_file(self._path, data)  # a store without conditional writes
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the object."""
        with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])), _errors(self._url):
            self._files.rm_file(self._path)

    def remove_tree(self) -> None:
        """Remove all objects below this address, those in the deepest folders first."""
        found = sorted(self.files(), key=_depth, reverse=True)
        for _, level in itertools.groupby(found, _depth):
            deque(map_parallel(lambda each: each.unlink(missing_ok=True), level), maxlen=0)

    def download(self, target: Path, progress: Callable[[int, int], None] | None = None) -> None:
        """Write the bytes of the object to a file; `progress` takes the done and all bytes."""
        before = self.entry()
        starts = range(0, before.size, BLOCK)
        with target.open("wb") as file:
            for block in in_parallel(lambda start: self.read_range(start, start + BLOCK), starts):
                file.write(block)
                if progress is not None:
                    progress(file.tell(), before.size)
        if ObjectPath(self._url).entry() != before:
            raise OSError(errno.EBUSY, "it changed while it was read; try again", self._url)

    @property
    def _files(self) -> Any:
        return _opened(self._url)[0]

    @property
    def _path(self) -> str:
        """The name of the object in the terms of its file system."""
        return str(self._files._strip_protocol(self._url)).rstrip("/")


def _depth(path: ObjectPath) -> int:
    return len(path.parents)


StoredPath = Path | ObjectPath
"""A place of stored files."""

_Place = TypeVar("_Place", Path, ObjectPath, StoredPath)


def entries(folder: _Place) -> list[_Place]:
    """Return the files and folders in a folder, sorted by name; none if it is missing."""
    is_listed = isinstance(folder, ObjectPath) or folder.is_dir()
    return sorted(folder.iterdir(), key=lambda each: each.name) if is_listed else []


_GOOGLE, _AZURE = ("gs", "gcs"), ("az", "abfs", "abfss")
"""Schemes of Google Cloud Storage and of Azure."""

_WITH_BUCKETS = ("s3", "s3a", *_GOOGLE, *_AZURE)
"""Schemes of the stores whose libraries are in the extra ``cloud``."""

_BUCKET_IS_MISSING = re.compile(
    r"\b(bucket|container)\b.*does not exist|\bb/[^/]+/o$", re.IGNORECASE
)
"""Pattern of the message about a missing bucket: a sentence, or the address of gcsfs."""

_NO_CONDITION = (errno.EINVAL, errno.ENOSYS)
"""Errors of a conditional write on a store that has none, or that names no condition."""


def _opened(url: str) -> tuple[Any, int]:
    """Return the file system of an address; each process opens it once."""
    refuse_credentials(url.partition("?")[0])  # the name of an object may have a question mark
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0]
    if not host and scheme in _WITH_BUCKETS:
        raise UsageError(
            f"the address '{scheme}://' has no bucket: give an address such as "
            f"{scheme}://bucket/photos."
        )
    return _file_system(scheme, host, os.getpid())


@functools.lru_cache(maxsize=64)
def _file_system(scheme: str, host: str, process: int) -> tuple[Any, int]:
    url = f"{scheme}://{host}"
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise _not_installed(scheme) from error
    if scheme in _GOOGLE:
        logging.getLogger("gcsfs").addFilter(_is_of_use)
    # One request reads an object, so that its bytes are of one version.
    options = {"max_concurrency": 1} if scheme in ("s3", "s3a") else {}
    try:
        files, _ = fsspec.core.url_to_fs(
            url, skip_instance_cache=True, use_listings_cache=False, **options
        )
    except ImportError as error:
        raise _not_installed(scheme, _reason(error)) from error
    except ValueError as error:
        raise UsageError(f"{url}: {str(error).splitlines()[0]}.") from error
    return files, process


def _is_of_use(record: logging.LogRecord) -> bool:
    """Return false for the warning that gcsfs logs before each request without a bucket's type."""
    return "bucket type" not in record.msg


def _not_installed(scheme: str, hint: str = "") -> UsageError:
    """Return an error with the install command, or with the hint of fsspec for other stores."""
    if hint and scheme not in _WITH_BUCKETS:
        return UsageError(f"the library for {scheme}:// is not installed: {hint}.")
    return UsageError(
        f"the library for {scheme}:// is not installed: `pip install 'embedpipe[cloud]'`."
    )


def _entry(info: dict[str, Any]) -> Entry:
    """Return what a client library's listing states about one object."""
    time = next(
        (info[name] for name in ("LastModified", "updated", "last_modified", "mtime", "created")
         if info.get(name)),
        None,
    )  # fmt: skip
    tag = next((str(info[name]) for name in ("ETag", "etag", "md5Hash") if info.get(name)), None)
    return Entry(info["type"] == "directory", int(info.get("size") or 0), _nanoseconds(time), tag)


def _nanoseconds(time: object) -> int | None:
    """Return a time of a listing in nanoseconds since 1970."""
    if isinstance(time, str):
        import datetime

        with contextlib.suppress(ValueError):
            time = datetime.datetime.fromisoformat(time)
    if hasattr(time, "timestamp"):
        return int(time.timestamp() * 1e6) * 1000
    return int(time * 1e6) * 1000 if isinstance(time, float | int) else None


@contextlib.contextmanager
def _errors(url: str) -> Iterator[None]:
    """Convert each error of a client library to FileNotFoundError or a StorageError."""
    try:
        yield
    except (EmbedpipeError, MemoryError, AssertionError):
        raise
    except FileNotFoundError as error:
        if _BUCKET_IS_MISSING.search(str(error)):
            reason = "The specified bucket does not exist"
            reason = _reason(error) if "exist" in str(error) else reason
            raise StorageError(errno.ENOENT, reason, url) from error
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url) from error
    except PermissionError as error:
        raise RefusedError(errno.EACCES, _reason(error), url) from error
    except Exception as error:
        number = error.errno if isinstance(error, OSError) and error.errno else errno.EIO
        raise StorageError(number, _reason(error), url) from error


def _reason(error: BaseException) -> str:
    """Return the reason of an error in one line, without the addresses in it."""
    text = (getattr(error, "strerror", None) or str(error)).strip() or type(error).__name__
    words = text.splitlines()[0].rstrip(".").split(" ")
    return " ".join("…" if "://" in word and "?" in word else word for word in words)


class _RangedFile(io.RawIOBase):
    """An object as a file for reading; each read is one request."""

    def __init__(self, path: ObjectPath) -> None:
        super().__init__()
        self._path, self._size, self._position = path, path.entry().size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._position + size)
        if end <= self._position:
            return b""
        data = self._path.read_range(self._position, end)
        self._position += len(data)
        return data


def map_parallel(
    function: Callable[[_P], _T], paths: Iterable[_P], ahead: int = PARALLEL
) -> Iterator[_T]:
    """Yield `function` of each path in order: of objects in parallel, of files one by one."""
    paths = list(paths)
    if not paths or not isinstance(paths[0], ObjectPath):
        return map(function, paths)
    return in_parallel(function, paths, ahead)


def in_parallel(
    function: Callable[[_P], _T], items: Iterable[_P], ahead: int = PARALLEL
) -> Iterator[_T]:
    """Yield `function` of each item in order; at most `ahead` results wait or are computed."""
    pending: deque[Future[_T]] = deque()
    with ThreadPoolExecutor(max_workers=ahead) as pool:
        try:
            for each in items:
                if len(pending) >= ahead:
                    yield pending.popleft().result()
                pending.append(pool.submit(function, each))
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
