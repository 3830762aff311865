"""Memory of decoded images: bounded by bytes, not by the number of images."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator

__all__ = ["Budget", "budget", "return_freed_memory"]

BYTES = 1 << 30
"""Bytes of decoded images in memory at once, on up to eight processors."""

BYTES_PER_PROCESSOR = 128 << 20
"""The same for each processor, where there are more than eight."""


class Budget:
    """Bytes that threads may hold together; one that asks for more than all holds them alone.

    Parameters
    ----------
    total
        Bytes.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = total
        self._turn = threading.Lock()
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def taken(self, size: int) -> Iterator[None]:
        """Hold `size` bytes; wait until they are free, in turn, so that nobody waits for ever."""
        size = min(size, self.total)
        with self._turn, self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


budget = Budget(max(BYTES, BYTES_PER_PROCESSOR * (os.cpu_count() or 1)))
"""Of this process."""


def return_freed_memory() -> None:
    """Return memory that was freed to the system, where the C library keeps it for its thread.

    Otherwise each thread that ever decoded a large image would keep as much memory.
    """
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """Return the function of glibc, None in other C libraries."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # a TypeError on Windows
        return None
