"""Every error that embedpipe raises on purpose.

::

    EmbedpipeError
    ├── UsageError            what was asked cannot be meant; the command line exits with 2
    │   └── UnknownNameError  a name that is not registered, with the nearest ones that are
    ├── DatasetError          a dataset that cannot be found, listed or read
    ├── BackboneError         weights that are missing, altered or do not fit
    ├── CacheError            the store cannot be read or written
    │   ├── ReadOnlyError     a workspace that must not be written
    │   ├── NotCachedError    images without a vector, where none may be made
    │   ├── DamagedFileError  a file in the store whose content is not what its name says
    │   └── DriftError        this machine no longer reproduces the vectors in the store
    ├── SelectionError        a selection that the pool cannot give
    │   └── ExhaustedError    nothing is left that the strategy may choose
    ├── LabelError            labels that do not fit the dataset or the head
    │   ├── FormatError       a file of labels that its format does not allow, or cannot hold
    │   └── UnmatchedError    paths in a file of labels that are those of no item, or of several
    └── RunError              a run that cannot start or be continued

Each message says what was given, what was meant and what to do, on one line.
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
    "RunError",
    "SelectionError",
    "UnknownNameError",
    "UnmatchedError",
    "UsageError",
]


SHOWN = 12
"""As many known names are listed in a message; of more, the nearest."""


class EmbedpipeError(Exception):
    """Base of every error that embedpipe raises on purpose."""


class UsageError(EmbedpipeError, ValueError):
    """What was asked cannot be meant."""


class UnknownNameError(UsageError):
    """A name that is not registered.

    Parameters
    ----------
    kind
        What the name should have named: ``"strategy"``, ``"backbone"``, ...
    name
        The name as given.
    known
        The names that exist.
    hint
        A sentence added at the end, for names that are not the only possibility.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        near = difflib.get_close_matches(name, self.known, n=SHOWN, cutoff=0.6)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        listing = ", ".join(self.known)
        if len(self.known) > SHOWN:
            listing = f"{', '.join(near or self.known[:SHOWN])} and others"
        message = f"unknown {kind} {name!r}.{meant} Known: {listing}."
        super().__init__(f"{message} {hint}" if hint else message)


class DatasetError(EmbedpipeError):
    """A dataset that cannot be found, listed or read."""


class BackboneError(EmbedpipeError):
    """Weights that are missing, altered or do not fit the architecture."""


class CacheError(EmbedpipeError):
    """The store cannot be read or written."""


class ReadOnlyError(CacheError):
    """A workspace that must not be written, and something that has to be."""


class NotCachedError(CacheError):
    """Images without a vector, where embedding was ruled out."""


class DamagedFileError(CacheError):
    """A file in the store whose content is not what its name says."""


class DriftError(CacheError):
    """This machine no longer reproduces the vectors that are in the store."""


class SelectionError(EmbedpipeError, ValueError):
    """A selection that the pool cannot give."""


class ExhaustedError(SelectionError):
    """Nothing is left that the strategy may choose; a loop ends there."""


class LabelError(EmbedpipeError, ValueError):
    """Labels that do not fit the dataset or the head."""


class FormatError(LabelError):
    """A file of labels that its format does not allow, or labels that it cannot hold."""


class UnmatchedError(LabelError):
    """Paths in a file of labels that are those of no item, or of several.

    Parameters
    ----------
    message
        The message.
    matched
        Whether other paths of the file are those of items.
    """

    def __init__(self, message: str, matched: bool) -> None:
        self.matched = matched
        super().__init__(message)


class RunError(EmbedpipeError):
    """A run that cannot start or be continued."""
