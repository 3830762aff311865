"""Paths that must stay inside of a folder, symbolic links followed."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os

from ..errors import DatasetError
from .folder import FolderSource
from .identifiers import encode_id
from .source import Source

__all__ = ["Confinement"]


class Confinement:
    """Tells which items of a source lie outside of a folder.

    A path in an archive is the name of a member and leads nowhere else, so none of them leaves.

    Parameters
    ----------
    folder
        The folder.
    source
        Gives the items.

    Raises
    ------
    DatasetError
        If there is no such folder.
    """

    def __init__(self, folder: str, source: Source) -> None:
        self._root = os.path.realpath(os.path.expanduser(folder))
        if not os.path.isdir(self._root):
            raise DatasetError(f"no such folder to stay within: {encode_id(folder)!r}.")
        self._source = source if isinstance(source, FolderSource) else None
        self._real: dict[str, str] = {}

    def leaves(self, id: str) -> str | None:
        """Return the clause that says where an item lies if that is outside, else None."""
        if self._source is None:
            return None
        folder, name = os.path.split(self._source.path(id))
        if folder not in self._real:  # many images lie in one folder
            self._real[folder] = os.path.realpath(folder)
        path = os.path.join(self._real[folder], name)
        if name in ("", ".", "..") or os.path.islink(path):
            path = os.path.realpath(path)
        if self._holds(path):
            return None
        return (
            f"leads to {encode_id(path)!r}, outside of {encode_id(self._root)!r}; correct the row, "
            "or choose another folder to stay within."
        )

    def _holds(self, path: str) -> bool:
        return path == self._root or path.startswith(self._root.rstrip(os.sep) + os.sep)
