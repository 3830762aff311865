"""What a person should know about a file that was embedded."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Remark"]


class Remark(NamedTuple):
    """A file, and something about it that changed its pixels or its name.

    Attributes
    ----------
    path
        The id of the item, or the path of the archive.
    remark
        A clause about the file.
    """

    path: str
    remark: str
