"""Policies that keep random rows: as they come, or evenly over classes or experiences."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._specs import check_above, check_share
from ..errors import UsageError
from .memory import ExperienceBatch, Memory, Size, evenly
from .policy import Policy, Ranked, buffer_quotas, policies, random_of_rows

__all__ = [
    "BiasedReservoir",
    "ClassBalanced",
    "ExperienceBalanced",
    "GDumb",
    "Random",
    "RandomOfGroups",
    "Reservoir",
]


@policies.register("random")
class Random(Ranked):
    """Random rows of each experience: the baseline that every other policy must beat.

    Notes
    -----
    O(b·log b) time and 40 bytes of extra memory per new row.

    Examples
    --------
    >>> from embedpipe.continual.memory import Share
    >>> batch = ExperienceBatch(0, range(100), [0] * 100, np.zeros((100, 2), np.float32), None, 100)
    >>> Random().update(Memory.empty(), batch, Share(0.05), np.random.default_rng(0)).rows.size
    5
    """

    name: ClassVar[str] = "random"

    def rank(self, batch: ExperienceBatch, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Order the rows by random numbers of their own."""
        return np.lexsort((batch.rows, random_of_rows(batch.rows, rng)))[:n]


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

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Keep the rows of each group with the smallest keys."""
        n = int(buffer_quotas(memory, batch, size).sum())
        everything = memory.joined(batch.candidates(random_of_rows(batch.rows, rng)))  # (m + b,)
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
    ...         batch = ExperienceBatch(number, rows, [0] * len(rows), vectors, None, total)
    ...         rng = np.random.default_rng(0)
    ...         memory = Reservoir().update(memory, batch, Fixed(3), rng)
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
    >>> vectors = np.zeros((50, 2), np.float32)
    >>> batch = ExperienceBatch(0, range(50), [0] * 48 + [1] * 2, vectors, None, 50)
    >>> kept = ClassBalanced().update(Memory.empty(), batch, Fixed(6), np.random.default_rng(0))
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
    ...     batch = ExperienceBatch(number, rows, [0] * b, vectors, None, total)
    ...     rng = np.random.default_rng(0)
    ...     memory = ExperienceBalanced().update(memory, batch, Share(0.1), rng)
    >>> memory.counts(2).tolist()
    [6, 6]
    """

    name: ClassVar[str] = "experience_balanced"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return how many experiences ago each row came."""
        return np.asarray(everything.experience.max(initial=0) - everything.experience)


@policies.register("biased_reservoir")
class BiasedReservoir(Policy):
    """Random rows of all that were seen, recent ones likelier.

    While there is room, every row enters. From then on a new row enters with probability p and
    takes the place of a random one, each as likely: of a buffer of n rows, one that has entered
    is still there after k more with probability (1 − p/n)^k.

    With a share as its size, the buffer grows when an experience begins, and the first rows of
    the experience fill it.

    Parameters
    ----------
    alpha
        What p is: above 0 and at most 1; or, if it is scaled, above 0.
    scaled
        Whether p is alpha / (t + 1) in experience t, counted from 0, and at most 1: then later
        experiences count less.

    Raises
    ------
    UsageError
        If `alpha` is out of range.

    Notes
    -----
    Which rows stay depends on the order in which they come. O(m + b) time, in Python for each row
    that enters, for m rows in the buffer and b new ones; 120 bytes of extra memory for each.

    References
    ----------
    Chrysakis, Moens (2020), "Online continual learning from imbalanced data". Lin, Shi, Pathak,
    Ramanan (2021), "The CLEAR benchmark: continual learning on real-world imagery",
    arXiv:2201.06289, for recent rows being the ones to replay.

    Examples
    --------
    >>> from embedpipe.continual.memory import Fixed
    >>> batch = ExperienceBatch(0, range(9), [0] * 9, np.zeros((9, 2), np.float32), None, 9)
    >>> policy, rng = BiasedReservoir(alpha=1.0), np.random.default_rng(0)
    >>> policy.update(Memory.empty(), batch, Fixed(1), rng).rows.tolist()  # always the newest
    [8]
    """

    name: ClassVar[str] = "biased_reservoir"

    def __init__(self, *, alpha: float = 0.5, scaled: bool = False) -> None:
        if scaled:
            check_above("alpha", alpha)
        else:
            check_share("alpha", alpha, zero=False)
        self.alpha, self.scaled = float(alpha), scaled

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Let rows enter one by one."""
        n = _places(memory, buffer_quotas(memory, batch, size).sum())
        everything = memory.joined(batch.candidates(batch.arrivals))  # (m + b,)
        if everything.rows.size <= n:
            return everything.by_row()
        held = np.arange(n)  # those before, and the first new ones
        late = slice(n - memory.rows.size, None)
        p = min(1.0, self.alpha / (batch.number + 1)) if self.scaled else self.alpha
        entering = random_of_rows(batch.rows[late], rng, "entering") < p
        slots = (random_of_rows(batch.rows[late], rng, "leaving") * n).astype(np.int64)
        for at in np.flatnonzero(entering).tolist():
            held[slots[at]] = n + at
        return everything.take(held).by_row()


@policies.register("gdumb")
class GDumb(Policy):
    """As many rows of each class as there is room for, filled as they come.

    While there is room, every row enters. From then on a new row enters if its class has fewer
    rows than its part, which is the buffer divided by the classes that are in it, and a random
    row of the largest class leaves, the lowest class of several.

    With a share as its size, the buffer grows when an experience begins.

    Notes
    -----
    The authors leave a place empty rather than give a class more than its part; it is filled
    here, and emptied when another class needs it. Their method also trains a fresh network from
    the buffer alone; this is the buffer.

    Which rows stay depends on the order in which they come. O(m + b) time, in Python, and O(K)
    for each row that enters; 120 bytes of extra memory for each row.

    References
    ----------
    Prabhu, Torr, Dokania (2020), "GDumb: a simple approach that questions our progress in
    continual learning", ECCV.

    Examples
    --------
    >>> from embedpipe.continual.memory import Fixed
    >>> vectors = np.zeros((6, 2), np.float32)
    >>> batch = ExperienceBatch(0, range(6), [0, 0, 0, 0, 1, 1], vectors, None, 6)
    >>> kept = GDumb().update(Memory.empty(), batch, Fixed(4), np.random.default_rng(0))
    >>> kept.codes.tolist(), kept.rows[2:].tolist()
    ([0, 0, 1, 1], [4, 5])
    """

    name: ClassVar[str] = "gdumb"

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Let rows enter one by one."""
        n = _places(memory, buffer_quotas(memory, batch, size).sum())
        everything = memory.joined(batch.candidates(batch.arrivals))  # (m + b,)
        leaving = random_of_rows(batch.rows, rng, "leaving").tolist()  # (b,)
        members: dict[int, list[int]] = {}
        for at, code in enumerate(memory.codes.tolist()):
            members.setdefault(code, []).append(at)
        free = n - memory.rows.size
        for number, code in enumerate(batch.codes.tolist()):
            if not free:
                if len(members.get(code, ())) * len(members) >= n:
                    continue
                _remove_one(members, leaving[number])
            members.setdefault(code, []).append(memory.rows.size + number)
            free = max(0, free - 1)
        held = [at for own in members.values() for at in own]
        return everything.take(np.array(held, dtype=np.int64)).by_row()


def _remove_one(members: dict[int, list[int]], draw: float) -> None:
    """Remove the row that a number in [0, 1) draws from the largest class."""
    largest = max(members, key=lambda code: (len(members[code]), -code))
    own = members[largest]
    own.pop(int(draw * len(own)))
    if not own:
        del members[largest]


def _places(memory: Memory, n: int) -> int:
    """Return how many rows the buffer holds, if it does not hold more already."""
    if memory.rows.size > n:
        raise UsageError(
            f"the memory holds {memory.rows.size} rows, and {int(n)} may stay: update it with the "
            "same size every time."
        )
    return int(n)
