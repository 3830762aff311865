"""Policies that decide row by row, in the order in which rows come."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .._specs import check_above, check_share
from ..errors import UsageError
from .base import Policy, policies, random_of_rows, room
from .memory import Memory, Seen, Size

__all__ = ["BiasedReservoir", "GDumb"]


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
    >>> seen = Seen(0, range(9), [0] * 9, np.zeros((9, 2), np.float32), None, 9)
    >>> policy, rng = BiasedReservoir(alpha=1.0), np.random.default_rng(0)
    >>> policy.update(Memory.empty(), seen, Fixed(1), rng).rows.tolist()  # always the newest
    [8]
    """

    name: ClassVar[str] = "biased_reservoir"

    def __init__(self, *, alpha: float = 0.5, scaled: bool = False) -> None:
        if scaled:
            check_above("alpha", alpha)
        else:
            check_share("alpha", alpha, zero=False)
        self.alpha, self.scaled = float(alpha), scaled

    def update(self, memory: Memory, seen: Seen, size: Size, rng: np.random.Generator) -> Memory:
        """Let rows enter one by one."""
        n = _places(memory, room(memory, seen, size).sum())
        everything = memory.joined(seen.candidates(seen.arrivals))  # (m + b,)
        if everything.rows.size <= n:
            return everything.by_row()
        held = np.arange(n)  # those before, and the first new ones
        late = slice(n - memory.rows.size, None)
        p = min(1.0, self.alpha / (seen.number + 1)) if self.scaled else self.alpha
        entering = random_of_rows(seen.rows[late], rng, "entering") < p
        slots = (random_of_rows(seen.rows[late], rng, "leaving") * n).astype(np.int64)
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
    >>> seen = Seen(0, range(6), [0, 0, 0, 0, 1, 1], np.zeros((6, 2), np.float32), None, 6)
    >>> kept = GDumb().update(Memory.empty(), seen, Fixed(4), np.random.default_rng(0))
    >>> kept.codes.tolist(), kept.rows[2:].tolist()
    ([0, 0, 1, 1], [4, 5])
    """

    name: ClassVar[str] = "gdumb"

    def update(self, memory: Memory, seen: Seen, size: Size, rng: np.random.Generator) -> Memory:
        """Let rows enter one by one."""
        n = _places(memory, room(memory, seen, size).sum())
        everything = memory.joined(seen.candidates(seen.arrivals))  # (m + b,)
        leaving = random_of_rows(seen.rows, rng, "leaving").tolist()  # (b,)
        members: dict[int, list[int]] = {}
        for at, code in enumerate(memory.codes.tolist()):
            members.setdefault(code, []).append(at)
        free = n - memory.rows.size
        for number, code in enumerate(seen.codes.tolist()):
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
