"""The scan memory: the digests of a dataset's items, and the stamps of their files.

A stamp is the size, times and inode of a file; see `Stamp`. Files with an unchanged stamp are not
hashed again. A damaged scan memory is ignored.
"""

from __future__ import annotations

import pyarrow as pa

from .._files import is_read_only, read_parquet, write_parquet
from .._storage import StoredPath, entries
from .._workspace import Workspace
from ..errors import CacheError

__all__ = ["MEMORY_SCHEMA", "memories", "memory_problem", "read_memory", "write_memory"]

MEMORY_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("label", pa.string()),
        pa.field("split", pa.string()),
        pa.field("bucket", pa.string()),
        pa.field("content_id", pa.binary(32)),
        pa.field("size", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("ctime_ns", pa.int64()),
        pa.field("inode", pa.uint64()),
        pa.field("scanned_ns", pa.int64()),
    ]
)
"""One row for each item.

``size``, ``mtime_ns``, ``ctime_ns`` and ``inode`` are null if the source gives no stamp.
"""


def memories(workspace: Workspace) -> list[StoredPath]:
    """Return the scan memories of all datasets."""
    paths = [each / "items.parquet" for folder in workspace.datasets for each in entries(folder)]
    return [path for path in paths if path.exists()]


def read_memory(path: StoredPath) -> pa.Table:
    """Return the scan memory at `path`; an empty table if it is missing or damaged."""
    table = _read_whole(path)
    return MEMORY_SCHEMA.empty_table() if table is None else table


def memory_problem(path: StoredPath) -> str | None:
    """Return the problem of the scan memory at `path`; None if it is intact or missing."""
    return "a scan memory that is damaged" if _read_whole(path) is None else None


def write_memory(path: StoredPath, table: pa.Table) -> bool:
    """Replace the scan memory at `path`; return false if the workspace is read-only."""
    try:
        write_parquet(path, table.cast(MEMORY_SCHEMA), compression="zstd")
    except OSError as error:
        if is_read_only(error):
            return False
        raise CacheError(
            f"cannot write to the workspace at {path.parent}: {error.strerror or error}. Free "
            "space, permit writing, or choose another place with --workspace."
        ) from error
    return True


def _read_whole(path: StoredPath) -> pa.Table | None:
    try:
        table = read_parquet(path)
    except (FileNotFoundError, NotADirectoryError):
        return MEMORY_SCHEMA.empty_table()
    except OSError as error:  # the file may be intact, so it is not reported as damaged
        raise CacheError(f"cannot read {path}: {error.strerror or error}.") from error
    except pa.ArrowException:
        return None
    return table if table.schema.equals(MEMORY_SCHEMA) else None
