"""The remarks on a dataset that a command has shown already."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from pathlib import Path

from .._files import write_atomically

__all__ = ["ShownRemarks"]


class ShownRemarks:
    """The digests of remarks that were shown, in a file of the workspace.

    If the file cannot be read or written, remarks are shown again.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._known = path, set[str]()
        with contextlib.suppress(OSError, ValueError):
            self._known = set(path.read_text(encoding="ascii").split())

    def add(self, texts: Iterable[str]) -> list[str]:
        """Return the texts that were not shown before, and remember them."""
        new = {text: _digest(text) for text in texts if _digest(text) not in self._known}
        if new:
            self._known.update(new.values())
            lines = "".join(f"{each}\n" for each in sorted(self._known))
            with contextlib.suppress(OSError):
                write_atomically(self._path, lines.encode("ascii"))
        return list(new)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
