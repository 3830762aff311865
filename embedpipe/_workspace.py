"""The workspace: the folder that holds everything that embedpipe keeps."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .errors import UsageError

__all__ = ["Workspace"]

_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.\-]+://|(file|ftp|https?|s3a?|gs|gcs|az|abfss?|adl|wasbs?|hdfs|hf|memory):/",
    re.IGNORECASE,
)
"""An address of a store, also after `pathlib` has made one slash of two."""


class Workspace:
    """The folder that holds the cache, the datasets' items, matrices and runs.

    Parameters
    ----------
    root
        The folder; by default ``EMBEDPIPE_WORKSPACE`` or else ``./.embedpipe``. ``~`` is the home
        folder. It is made when something is first written.

    Attributes
    ----------
    root
        Its absolute path: later changes of the working directory do not move it.

    Raises
    ------
    UsageError
        If it is empty or the address of a remote store.

    Examples
    --------
    >>> Workspace("photos-workspace").cache.relative_to(Path.cwd()).as_posix()
    'photos-workspace/cache'
    """

    def __init__(self, root: str | os.PathLike[str] | Workspace | None = None) -> None:
        if isinstance(root, Workspace):
            self.root: Path = root.root
            return
        given = os.environ.get("EMBEDPIPE_WORKSPACE") or ".embedpipe" if root is None else root
        self.root = Path(_absolute(os.fspath(given)))

    def __repr__(self) -> str:
        return f"Workspace({str(self.root)!r})"

    @property
    def cache(self) -> Path:
        """The folder of the store: one sub-folder for each spec."""
        return self.root / "cache"

    @property
    def matrices(self) -> Path:
        """The folder of derived matrices: deleting it loses nothing."""
        return self.root / "matrices"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.root / "runs"

    @property
    def tracking(self) -> Path:
        """The folder in which trackers keep figures, if you ask for one."""
        return self.root / "tracking"

    @property
    def labels(self) -> Path:
        """The label log of all datasets."""
        return self.root / "labels.sqlite"

    @property
    def downloads(self) -> Path:
        """The folder of what the user asked to download."""
        return self.root / "downloads"

    def items_of(self, dataset: str) -> Path:
        """Return the file that remembers the items of a dataset."""
        return self.root / "datasets" / dataset / "items.parquet"


def _absolute(path: str) -> str:
    if not path:
        raise UsageError("the workspace is empty: give a folder, or leave the option out.")
    if "\0" in path:
        raise UsageError(f"the workspace {path!r} holds a null character: give a folder.")
    if _ADDRESS.match(path):
        raise UsageError(
            f"the workspace {path!r} is an address: only folders are supported. Give a folder on "
            "this machine or on a mounted file system."
        )
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111  links are kept
