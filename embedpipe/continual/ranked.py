"""Policies that rank the rows of an experience once, when it comes."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Policy, policies, random_of_rows, room
from .memory import Memory, Seen, Size

__all__ = ["Random", "Ranked"]


class Ranked(Policy):
    """A policy that ranks the rows of each experience when it comes, and never again.

    What stays of it later is the beginning of that ranking: rows leave from its end, as the quota
    of the experience becomes smaller. The keys of the memory are places in the ranking.

    A subclass is a `name` and the method `rank`.

    Examples
    --------
    >>> class First(Ranked):
    ...     '''The rows of each experience that came first.'''
    ...     name = "first"
    ...     def rank(self, seen, n, rng):
    ...         return np.arange(n)
    >>> from embedpipe.continual.memory import Fixed
    >>> memory, rng = Memory.empty(), np.random.default_rng(0)
    >>> for number, rows in enumerate([[0, 1, 2], [3, 4, 5]]):
    ...     seen = Seen(number, rows, [0] * 3, np.zeros((3, 1), np.float32), None, 3 + 3 * number)
    ...     memory = First().update(memory, seen, Fixed(3), rng)
    ...     print(memory.rows.tolist())
    [0, 1, 2]
    [0, 3, 4]
    """

    @abstractmethod
    def rank(self, seen: Seen, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the positions in ``seen.rows`` of the `n` rows to keep, the first to stay first.

        Parameters
        ----------
        seen
            The rows, at least one.
        n
            At least 1 and at most their number.
        rng
            Stands for the seed; see `random_of_rows`.

        Returns
        -------
        (n,) int64
        """

    def update(self, memory: Memory, seen: Seen, size: Size, rng: np.random.Generator) -> Memory:
        """Cut the rankings of the experiences before, and rank the new one."""
        quotas = room(memory, seen, size)  # (t + 1,)
        n = int(quotas[seen.number])
        best = self.rank(seen, n, rng) if n else np.empty(0, dtype=np.int64)  # (n,)
        places = np.zeros(seen.rows.size)
        places[best] = np.arange(n)
        new = seen.candidates(places).take(best)
        return memory.first_of_each(memory.experience, quotas).joined(new).by_row()


@policies.register("random")
class Random(Ranked):
    """Random rows of each experience: the baseline that every other policy must beat.

    Notes
    -----
    O(b·log b) time and 40 bytes of extra memory per new row.

    Examples
    --------
    >>> from embedpipe.continual.memory import Share
    >>> seen = Seen(0, range(100), [0] * 100, np.zeros((100, 2), np.float32), None, 100)
    >>> Random().update(Memory.empty(), seen, Share(0.05), np.random.default_rng(0)).rows.size
    5
    """

    name: ClassVar[str] = "random"

    def rank(self, seen: Seen, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Order the rows by random numbers of their own."""
        return np.lexsort((seen.rows, random_of_rows(seen.rows, rng)))[:n]
