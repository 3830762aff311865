"""What is wrong with a table; the reader turns it into the caller's kind of error."""

from __future__ import annotations

__all__ = ["TableError"]


class TableError(Exception):
    """A table that cannot be read as it is; the message is a whole sentence."""
