"""Threads of this process: their number, and results that do not depend on it."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = [
    "available_cpus",
    "blas_threads",
    "cpu_limit",
    "limit_cpus",
    "map_blocks",
    "one_blas_thread",
]

T = TypeVar("T")

BLAS_MODULES = ("numpy.linalg", "scipy.linalg", "faiss")
"""Modules that load a linear algebra library."""


_cpus: list[int] = []
"""The limit of `limit_cpus`, if one is set."""


def limit_cpus(count: int) -> None:
    """Limit this process to a number of processors, as for one of several workers of a machine."""
    _cpus[:] = [max(1, count)]


def cpu_limit() -> int | None:
    """Return the limit of `limit_cpus`; None if it was not called."""
    return _cpus[0] if _cpus else None


def available_cpus() -> int:
    """Return the number of processors that this process may use."""
    if _cpus:
        return _cpus[0]
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _libraries() -> ThreadpoolController:
    return _libraries_once(sum(name in sys.modules for name in BLAS_MODULES))


@cache
def _libraries_once(loaded: int) -> ThreadpoolController:
    """Return the libraries of NumPy and SciPy, cached by the number of loaded modules."""
    # FAISS uses OpenMP. A limit of OpenMP holds for one thread, so the callers of FAISS set it.
    found = ThreadpoolController().select(user_api="blas")
    plain = [lib.filepath for lib in found.lib_controllers if lib.threading_layer != "openmp"]
    return found.select(filepath=plain) if plain else found


def blas_threads() -> int:
    """Return the current number of threads of the linear algebra libraries, at least 1."""
    return max((library.num_threads for library in _libraries().lib_controllers), default=1)


class _Limit(contextlib.ContextDecorator):
    """A limit of one thread for the linear algebra libraries of the process.

    Of several overlapping users, the first sets the limit, and the last removes it.
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
    # `set_num_threads` of threadpoolctl 3.8 ignores calls from all threads but the first one, so
    # the function that it wraps is called.
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


def _limit_thread() -> None:
    """Set the limit in the calling thread, for libraries whose limit holds for one thread."""
    for library in _libraries().lib_controllers:
        _set(library, 1)


def one_blas_thread() -> _Limit:
    """Limit the linear algebra libraries to one thread, as a context manager or decorator.

    With one thread, results have the same bits on any number of cores.
    """
    return _limit


def map_blocks(work: Callable[[slice], T], n: int, size: int) -> list[T]:
    """Call `work` on slices of at most `size` indices that cover ``range(n)``.

    The results are in order. The calls run in threads, each with one BLAS thread, so that results
    have the same bits for any number of threads. Calls must not write to the same memory.

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
