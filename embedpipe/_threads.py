"""Several threads, and the same numbers as with one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["blas_threads", "map_blocks", "one_blas_thread"]

T = TypeVar("T")


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def blas_threads() -> int:
    """Return how many threads the linear algebra libraries may use now, at least 1."""
    return max((library.num_threads for library in _libraries().lib_controllers), default=1)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let the linear algebra libraries use one thread until the block is left.

    How a product is shared among threads can change the last bits of its entries; with one
    thread the same call gives the same bits on any number of cores.
    """
    with _libraries().limit(limits=1):
        yield


def map_blocks(work: Callable[[slice], T], n: int, size: int) -> list[T]:
    """Call `work` on slices of at most `size` that cover ``range(n)``; return what it returns.

    As many calls run at once as the linear algebra libraries may use threads; inside, these use
    one. So every product has the same shape, and the same bits, whatever the number of threads.

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
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(work, parts))
