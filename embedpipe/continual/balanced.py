"""Random rows of all that was seen: as they come, or as many of each class or experience."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Policy, policies, random_of_rows, room
from .memory import Memory, Seen, Size, evenly

__all__ = ["ClassBalanced", "ExperienceBalanced", "RandomOfGroups", "Reservoir"]


class RandomOfGroups(Policy):
    """A policy that keeps random rows of each of some groups, as many of one as of another.

    Each row has a random key that follows from the seed and the row alone, and of each group the
    rows with the smallest keys stay. The buffer is divided over the groups as `evenly` does it.

    With a fixed size that is exact: what stays of a group is a uniform sample of all its rows
    that ever came, the same in whatever order and parts they came, since the rows that are left
    out never could have stayed. With a share the buffer grows, and what was left out before is
    gone: earlier rows are a little fewer than they would be.

    A subclass is a `name` and the method `groups`.

    Notes
    -----
    O((m + b)·log(m + b)) time for m rows in the buffer and b new ones; 80 bytes of extra memory
    for each.
    """

    @abstractmethod
    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return the group of each of (m,) rows, from 0; what is over goes to the lowest."""

    def update(self, memory: Memory, seen: Seen, size: Size, rng: np.random.Generator) -> Memory:
        """Keep the rows of each group with the smallest keys."""
        n = int(room(memory, seen, size).sum())
        everything = memory.joined(seen.candidates(random_of_rows(seen.rows, rng)))  # (m + b,)
        groups = self.groups(everything)  # (m + b,)
        return everything.first_of_each(groups, evenly(np.bincount(groups), n))


@policies.register("reservoir")
class Reservoir(RandomOfGroups):
    """Random rows of all that were seen, each as likely as any other.

    See `RandomOfGroups`: there is one group.

    References
    ----------
    Vitter (1985), "Random sampling with a reservoir". Keeping the smallest of random keys gives
    the same distribution.

    Examples
    --------
    >>> from embedpipe.continual.memory import Fixed
    >>> def keep(*parts):
    ...     memory, total = Memory.empty(), 0
    ...     for number, rows in enumerate(parts):
    ...         total += len(rows)
    ...         vectors = np.zeros((len(rows), 2), dtype=np.float32)
    ...         seen = Seen(number, rows, [0] * len(rows), vectors, None, total)
    ...         rng = np.random.default_rng(0)
    ...         memory = Reservoir().update(memory, seen, Fixed(3), rng)
    ...     return memory.rows.tolist()
    >>> keep(range(60), range(60, 100)) == keep(range(70, 100), range(70))
    True
    """

    name: ClassVar[str] = "reservoir"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return one group."""
        return np.zeros_like(everything.rows)


@policies.register("class_balanced")
class ClassBalanced(RandomOfGroups):
    """Random rows of all that were seen, as many of each class.

    See `RandomOfGroups`: the groups are the classes. A class that has fewer rows than its part
    keeps all of them.

    References
    ----------
    Chrysakis, Moens (2020), "Online continual learning from imbalanced data" (class-balancing
    reservoir sampling), of which this is the exact form.

    Examples
    --------
    >>> from embedpipe.continual.memory import Fixed
    >>> seen = Seen(0, range(50), [0] * 48 + [1] * 2, np.zeros((50, 2), np.float32), None, 50)
    >>> kept = ClassBalanced().update(Memory.empty(), seen, Fixed(6), np.random.default_rng(0))
    >>> np.bincount(kept.codes).tolist()
    [4, 2]
    """

    name: ClassVar[str] = "class_balanced"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return the classes."""
        return everything.codes


@policies.register("experience_balanced")
class ExperienceBalanced(RandomOfGroups):
    """Random rows of all that were seen, as many of each experience.

    See `RandomOfGroups`: the groups are the experiences, the newest first. With a fixed size it
    is the same as ``random``; with a share it differs where experiences differ in size, of which
    ``random`` keeps a part of each, and this as many of each as there are.

    References
    ----------
    Lomonaco et al. (2021), "Avalanche: an end-to-end library for continual learning",
    arXiv:2104.00405, for a buffer of that kind.

    Examples
    --------
    >>> from embedpipe.continual.memory import Share
    >>> memory, total = Memory.empty(), 0
    >>> for number, b in enumerate([90, 30]):
    ...     rows, vectors = np.arange(total, total + b), np.zeros((b, 2), np.float32)
    ...     total += b
    ...     seen, rng = Seen(number, rows, [0] * b, vectors, None, total), np.random.default_rng(0)
    ...     memory = ExperienceBalanced().update(memory, seen, Share(0.1), rng)
    >>> memory.counts(2).tolist()
    [6, 6]
    """

    name: ClassVar[str] = "experience_balanced"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return how many experiences ago each row came."""
        return np.asarray(everything.experience.max(initial=0) - everything.experience)
