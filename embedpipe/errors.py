"""Exceptions that embedpipe raises on purpose.

::

    EmbedpipeError
    ├── UsageError            an invalid argument or option; the command line exits with 2
    │   └── UnknownNameError  a name that is not registered
    ├── DatasetError          a dataset that cannot be found, listed or read
    ├── VectorFileError       a file of vectors that cannot be imported
    ├── BackboneError         weights that are missing, altered or do not fit
    ├── CacheError            the cache cannot be read or written
    │   ├── ReadOnlyError     a file must be written, but the workspace is read-only
    │   ├── NotCachedError    images without a vector while embedding is not allowed
    │   ├── DamagedFileError  a file of the cache that does not match its name
    │   ├── DriftError        this machine does not reproduce the vectors in the cache
    │   └── StorageError      an object store that cannot be used; also an OSError
    │       └── RefusedError  an object store that refuses a request; also a PermissionError
    ├── SelectionError        a selection that the pool does not allow
    │   └── ExhaustedError    no item is left for the strategy
    ├── LabelError            labels that do not fit the dataset or the head
    │   ├── FormatError       a label file that breaks the rules of its format
    │   └── UnmatchedError    paths in a label file that match no item or several items
    └── RunError              a run that cannot start or continue

Each message is one line: the given value, the expected value and the next step.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BackboneError",
    "CacheError",
    "DamagedFileError",
    "DatasetError",
    "DriftError",
    "EmbedpipeError",
    "ExhaustedError",
    "FormatError",
    "LabelError",
    "NotCachedError",
    "ReadOnlyError",
    "RefusedError",
    "RunError",
    "SelectionError",
    "StorageError",
    "UnknownNameError",
    "UnmatchedError",
    "UsageError",
    "VectorFileError",
]


SHOWN = 12
"""Maximum number of known names in a message."""


class EmbedpipeError(Exception):
    """Base of all exceptions that embedpipe raises on purpose."""


class UsageError(EmbedpipeError, ValueError):
    """An invalid argument or option."""


class UnknownNameError(UsageError):
    """A name that is not registered.

    Parameters
    ----------
    kind
        Kind of the missing entry: ``"strategy"``, ``"backbone"``, ...
    name
        The given name.
    known
        The registered names.
    hint
        Last sentence of the message.
    fault
        First sentence, in place of ``unknown <kind> <name>.`` and the list of known names.
    """

    def __init__(
        self, kind: str, name: str, known: Iterable[str], hint: str = "", fault: str = ""
    ) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=SHOWN, cutoff=0.6)
        suggestion = f" Did you mean {near[0]!r}?" if near else ""
        listing = ", ".join(self.known)
        if len(self.known) > SHOWN:
            listing = f"{', '.join(near or self.known[:SHOWN])} and others"
        message = f"unknown {kind} {name!r}.{suggestion} Known: {listing}."
        if fault:
            message = f"{fault}{suggestion}"
        super().__init__(f"{message} {hint}" if hint else message)


class DatasetError(EmbedpipeError):
    """A dataset that cannot be found, listed or read."""


class VectorFileError(EmbedpipeError):
    """A file of vectors that cannot be imported."""


class BackboneError(EmbedpipeError):
    """Weights that are missing, altered or do not fit the architecture."""


class CacheError(EmbedpipeError):
    """The cache cannot be read or written."""


class ReadOnlyError(CacheError):
    """A file must be written, but the workspace is read-only."""


class NotCachedError(CacheError):
    """Images without a vector while embedding is not allowed."""


class DamagedFileError(CacheError):
    """A file of the cache that does not match its name."""


class DriftError(CacheError):
    """This machine does not reproduce the vectors in the cache."""


class StorageError(CacheError, OSError):
    """An object store that cannot be used; `filename` is the address, `strerror` the reason."""

    def __str__(self) -> str:
        return (
            f"{self.filename} cannot be used ({self.strerror}). Check the address, the credentials "
            "and the connection."
        )


class RefusedError(StorageError, PermissionError):
    """An object store that refuses a request."""


class SelectionError(EmbedpipeError, ValueError):
    """A selection that the pool does not allow."""


class ExhaustedError(SelectionError):
    """No item is left for the strategy; a loop ends then."""


class LabelError(EmbedpipeError, ValueError):
    """Labels that do not fit the dataset or the head."""


class FormatError(LabelError):
    """A label file that breaks the rules of its format, or labels that do not fit a format."""


class UnmatchedError(LabelError):
    """Paths in a label file that match no item or several items."""

    def __init__(self, message: str, matched: bool) -> None:
        self.matched = matched
        super().__init__(message)


class RunError(EmbedpipeError):
    """A run that cannot start or continue."""
