"""Lists of images on the command line: patterns such as ``'*.jpg'``, and standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Sequence

from .._urls import is_url
from ..errors import UsageError

__all__ = ["expanded"]

STANDARD_INPUT = "-"


def expanded(words: Sequence[str]) -> list[str]:
    """Replace patterns by the files that match, and ``-`` by the paths on standard input."""
    return [path for word in words for path in _paths(word)]


def _paths(word: str) -> list[str]:
    if word == STANDARD_INPUT:
        lines = (line.rstrip("\r\n") for line in sys.stdin)
        paths = [line for line in lines if line.strip()]
        if not paths:
            raise UsageError("standard input has no path: expected the path of an image per line.")
        return paths
    if is_url(word) or not glob.has_magic(word) or os.path.lexists(word):
        return [word]
    matches = sorted(glob.glob(os.path.expanduser(word), recursive=True))  # noqa: PTH111, PTH207
    if not matches:
        raise UsageError(f"no file matches {word!r}.")
    return matches
