"""The workspace: the folder of all files that embedpipe stores."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import UsageError

__all__ = ["Workspace"]

VARIABLE = "EMBEDPIPE_WORKSPACE"
"""Environment variable with the folder of the workspace."""

DEFAULT_NAME = ".embedpipe"
"""Name of the default workspace."""

_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.\-]+://|(file|ftp|https?|s3a?|gs|gcs|az|abfss?|adl|wasbs?|hdfs|hf|memory):/",
    re.IGNORECASE,
)
"""Pattern of remote addresses; `pathlib` reduces their two slashes to one."""


class Workspace:
    """The folder of the cache, the datasets' items, matrices, labels and runs.

    Parameters
    ----------
    root
        The folder; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``. It is created at the
        first write.

    Attributes
    ----------
    root
        The absolute path of the folder.

    Raises
    ------
    UsageError
        If `root` is empty or the address of a remote store.

    Examples
    --------
    >>> Workspace("photos-workspace").cache.relative_to(Path.cwd()).as_posix()
    'photos-workspace/cache'
    """

    def __init__(self, root: str | os.PathLike[str] | Workspace | None = None) -> None:
        if isinstance(root, Workspace):
            self.root: Path = root.root
            return
        place = os.environ.get(VARIABLE) or DEFAULT_NAME if root is None else root
        self.root = Path(_absolute(os.fspath(place)))

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @property
    def cache(self) -> Path:
        """The folder of cached vectors: one subfolder for each embedding spec."""
        return self.root / "cache"

    @property
    def matrices(self) -> Path:
        """The folder of matrices; it may be deleted, because they can be made again."""
        return self.root / "matrices"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.root / "runs"

    @property
    def tracking(self) -> Path:
        """The folder for files of experiment trackers."""
        return self.root / "tracking"

    @property
    def labels(self) -> Path:
        """The file of the label log of all datasets."""
        return self.root / "labels.sqlite"

    @property
    def downloads(self) -> Path:
        """The folder of downloads."""
        return self.root / "downloads"

    def items_of(self, dataset: str) -> Path:
        """Return the file of a dataset's scan memory."""
        return self.root / "datasets" / dataset / "items.parquet"


def _absolute(path: str) -> str:
    if not path:
        raise UsageError("the workspace path is empty: give a folder, or leave the option out.")
    if "\0" in path:
        raise UsageError(f"the workspace {path!r} has a null character: give a folder.")
    if _ADDRESS.match(path):
        raise UsageError(
            f"the workspace {path!r} is an address: only folders are supported. Give a folder on "
            "this machine or on a mounted file system."
        )
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  symbolic links are not resolved
