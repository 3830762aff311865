"""Several threads, and the same numbers as with one."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads", "map_blocks", "one_blas_thread"]

T = TypeVar("T")

BRING_BLAS = ("numpy.linalg", "scipy.linalg", "faiss")
"""Modules that load a linear algebra library of their own."""


def _libraries() -> ThreadpoolController:
    return _libraries_once(sum(name in sys.modules for name in BRING_BLAS))


@cache
def _libraries_once(loaded: int) -> ThreadpoolController:
    """Look for the libraries of NumPy and SciPy; asked again when there may be another.

    FAISS brings one that takes its number of threads from OpenMP, which has one for each thread
    that calls: its limit is set where FAISS is called.
    """
    found = ThreadpoolController().select(user_api="blas")
    plain = [lib.filepath for lib in found.lib_controllers if lib.threading_layer != "openmp"]
    return found.select(filepath=plain) if plain else found


def blas_threads() -> int:
    """Return how many threads the linear algebra libraries may use now, at least 1."""
    return max((library.num_threads for library in _libraries().lib_controllers), default=1)


class _Limit(contextlib.ContextDecorator):
    """One thread for the linear algebra libraries while anybody needs it.

    The number of threads belongs to the whole process. Were everyone to restore what they
    found, two overlapping users could leave the limit behind for good; so the first in sets it
    and the last out lifts it, whichever threads they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[tuple[Any, int]] = []

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = [(lib, lib.num_threads) for lib in _libraries().lib_controllers]
                for library, _ in self._before:
                    _set(library, 1)
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                for library, count in self._before:
                    _set(library, count)


_limit = _Limit()


def _set(library: Any, count: int) -> None:
    # From 3.8 on, threadpoolctl ignores all threads but the one that set a limit before.
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


def _limit_thread() -> None:
    """Limit the calling thread, for libraries in which each has a number of its own."""
    for library in _libraries().lib_controllers:
        _set(library, 1)


def one_blas_thread() -> _Limit:
    """Let the linear algebra libraries use one thread in a block or a decorated function.

    How a product is shared among threads can change the last bits of its entries; with one
    thread the same call gives the same bits on any number of cores. The limit holds for the
    whole process, and blocks may overlap in several threads.
    """
    return _limit


def map_blocks(work: Callable[[slice], T], n: int, size: int) -> list[T]:
    """Call `work` on slices of at most `size` that cover ``range(n)``; return what it returns.

    As many calls run at once as the linear algebra libraries may use threads; inside, these use
    one. So every product has the same shape, and the same bits, whatever the number of threads.
    Where one call raises, no further one starts and the error comes out.

    Parameters
    ----------
    work
        Takes a slice. Calls must not write to the same places.
    n, size
        What is covered and by how much at a time.

    Examples
    --------
    >>> map_blocks(lambda part: (part.start, part.stop), 5, 2)
    [(0, 2), (2, 4), (4, 5)]
    """
    parts = [slice(start, min(start + size, n)) for start in range(0, n, size)]
    workers = min(blas_threads(), len(parts))
    with one_blas_thread():
        if workers <= 1:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(workers, initializer=_limit_thread) as pool:
            return list(pool.map(work, parts))
