"""Where things are kept."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Workspace"]


class Workspace:
    """The folder that holds the cache, the datasets' items, matrices and runs.

    Parameters
    ----------
    root
        The folder; by default ``EMBEDPIPE_WORKSPACE`` or else ``./.embedpipe``. It is made when
        something is first written.

    Examples
    --------
    >>> Workspace("photos-workspace").cache.as_posix()
    'photos-workspace/cache'
    """

    def __init__(self, root: str | Path | Workspace | None = None) -> None:
        path = root.root if isinstance(root, Workspace) else root
        self.root: Path = Path(path or os.environ.get("EMBEDPIPE_WORKSPACE") or ".embedpipe")

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
