"""The workspace: the folder of all files that embedpipe stores."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from pathlib import Path

from ._storage import ObjectPath, StoredPath
from ._urls import clean_url, is_url, is_web_url, public_url, refuse_credentials
from .errors import UsageError

__all__ = ["Workspace"]

VARIABLE = "EMBEDPIPE_WORKSPACE"
"""Environment variable with the folder or the address of the workspace."""

DEFAULT_NAME = ".embedpipe"
"""Name of the default workspace."""


class Workspace:
    """The folder of the cache, the datasets' items, matrices, labels and runs.

    The workspace may be the address of an object store, such as ``s3://bucket/workspace``. The
    cache and the scan memories of datasets at addresses are stored there, and shared by all
    machines that use the address. All other files are in a folder of this machine.

    Parameters
    ----------
    root
        The folder or the address; by default ``EMBEDPIPE_WORKSPACE`` or ``./.embedpipe``. It is
        created at the first write.

    Attributes
    ----------
    root
        The absolute path of the folder on this machine.
    url
        The address on the object store; None for a folder.

    Raises
    ------
    UsageError
        If `root` is empty, a web address, or an address with credentials.

    Examples
    --------
    >>> Workspace("photos-workspace").cache.relative_to(Path.cwd()).as_posix()
    'photos-workspace/cache'
    """

    def __init__(self, root: str | os.PathLike[str] | Workspace | None = None) -> None:
        self.root: Path
        self.url: str | None = None
        if isinstance(root, Workspace):
            self.root, self.url = root.root, root.url
            return
        place = os.environ.get(VARIABLE) or DEFAULT_NAME if root is None else root
        text = _checked(os.fspath(place))
        if is_url(text):
            self.url = clean_url(text)
            self.root = _local_folder(self.url)
        else:
            self.root = Path(os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111  symbolic links are not resolved

    def __str__(self) -> str:
        return self.url or str(self.root)

    def __repr__(self) -> str:
        return f"Workspace({str(self)!r})"

    @property
    def storage(self) -> StoredPath:
        """The folder or the address of the cache and the shared scan memories."""
        return self.root if self.url is None else ObjectPath(self.url)

    def exists(self) -> bool:
        """Return whether files are stored in the workspace."""
        return self.storage.exists()

    @property
    def cache(self) -> StoredPath:
        """The folder or the address of cached vectors, with a subfolder for each spec."""
        return self.storage / "cache"

    @property
    def matrices(self) -> Path:
        """The folder of matrices; it may be deleted, because they can be made again."""
        return self.root / "matrices"

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.root / "runs"

    @property
    def reports(self) -> Path:
        """The folder of pages about datasets."""
        return self.root / "reports"

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

    @property
    def datasets(self) -> tuple[StoredPath, ...]:
        """The folders and addresses of the scan memories, with a subfolder for each dataset."""
        local = self.root / "datasets"
        return (local,) if self.url is None else (local, self.storage / "datasets")

    def items_of(self, dataset: str, *, remote: bool = False) -> StoredPath:
        """Return the file of a dataset's scan memory; it is shared if the dataset is remote."""
        # Two machines may have different files under one local path, and so under one name.
        return (self.storage if remote else self.root) / "datasets" / dataset / "items.parquet"

    def dataset_folder(self, dataset: str) -> Path:
        """Return the folder of a dataset's other files, on this machine."""
        return self.root / "datasets" / dataset


def data_folder() -> Path | None:
    """Return the folder of embedpipe's files of this user; None without a home folder."""
    given = os.environ.get("XDG_DATA_HOME", "")
    if sys.platform == "win32":
        given = given or os.environ.get("LOCALAPPDATA", "")
    with contextlib.suppress(RuntimeError):  # there is no home folder
        is_given = Path(given).is_absolute()
        folder = Path(given) if is_given else Path.home() / ".local" / "share"
        return folder / "embedpipe"
    return None


def _local_folder(url: str) -> Path:
    """Return the folder on this machine for the workspace at an address."""
    name = re.sub(r"[^\w.]+", "-", url.partition("://")[2]).strip("-.")[-64:]
    digest = hashlib.sha256(url.encode()).hexdigest()
    folder = data_folder() or Path.cwd() / DEFAULT_NAME
    return folder / "workspaces" / f"{name}-{digest[:8]}"


def _checked(path: str) -> str:
    if not path:
        raise UsageError("the workspace path is empty: give a folder, or leave the option out.")
    if "\0" in path:
        raise UsageError(f"the workspace {path!r} has a null character: give a folder.")
    if not is_url(path):
        return path
    if is_web_url(path) or path.lower().startswith(("file:", "ftp:")):
        raise UsageError(
            f"the workspace {public_url(path)!r} is not on an object store: give a folder, or an "
            "address such as s3://bucket/workspace."
        )
    refuse_credentials(clean_url(path))
    return path
