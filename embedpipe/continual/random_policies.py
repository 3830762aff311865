"""Replay policies that keep random rows."""

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
    """Random rows of each experience, the lower baseline of replay."""

    name: ClassVar[str] = "random"

    def rank(self, batch: ExperienceBatch, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Order the rows by `random_of_rows`."""
        return np.lexsort((batch.rows, random_of_rows(batch.rows, rng)))[:n]


class RandomOfGroups(Policy):
    """A policy that keeps the same number of random rows of each group.

    Each row has a random key that depends only on the seed and the row. The rows with the smallest
    keys of each group are kept. With a fixed size, the kept rows of a group are a uniform sample of
    all its rows so far, for any order and any division into experiences. If the size is a share of
    each experience, the buffer grows, but rows that were removed earlier cannot return, so the
    sample is not exactly uniform.

    A subclass has a `name` and the method `groups`. An update takes O((m + b)·log(m + b)) time for
    m rows in the buffer and b new rows.
    """

    @abstractmethod
    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return the (m,) group numbers of rows, from 0.

        If the places do not divide evenly, groups with low numbers get one more.
        """

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
    """A uniform random sample of all rows so far (reservoir sampling).

    See `RandomOfGroups`.

    References
    ----------
    Vitter (1985), "Random sampling with a reservoir"; the smallest random keys have the same
    distribution.
    """

    name: ClassVar[str] = "reservoir"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return group 0 for every row."""
        return np.zeros_like(everything.rows)


@policies.register("class_balanced")
class ClassBalanced(RandomOfGroups):
    """Random rows of all rows so far, the same number of each class.

    See `RandomOfGroups`.

    References
    ----------
    Chrysakis, Moens (2020), "Online continual learning from imbalanced data" (class-balancing
    reservoir sampling), here in exact form.
    """

    name: ClassVar[str] = "class_balanced"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return the class of each row."""
        return everything.codes


@policies.register("experience_balanced")
class ExperienceBalanced(RandomOfGroups):
    """Random rows of all rows so far, the same number of each experience.

    See `RandomOfGroups`. With a fixed size this equals ``random``. If the size is a share of each
    experience, ``random`` keeps that share, and this policy keeps the same number of rows of each
    experience.

    References
    ----------
    Lomonaco et al. (2021), "Avalanche: an end-to-end library for continual learning",
    arXiv:2104.00405.
    """

    name: ClassVar[str] = "experience_balanced"

    def groups(self, everything: Memory) -> NDArray[np.integer[Any]]:
        """Return the number of later experiences for each row."""
        return np.asarray(everything.experience.max(initial=0) - everything.experience)


@policies.register("biased_reservoir")
class BiasedReservoir(Policy):
    """Random rows of all rows so far, with higher probability for recent rows.

    Every row enters until the buffer is full. Then a new row enters with probability p and replaces
    a random row. In a buffer of n rows, a row is still in the buffer after k more rows with
    probability (1 − p/n)^k. If the size is a share of each experience, the buffer grows when an
    experience begins.

    Parameters
    ----------
    alpha
        The probability p, above 0 and at most 1. If `scaled`, any number above 0.
    scaled
        Whether p is alpha / (t + 1), at most 1, in experience t, counted from 0.

    Notes
    -----
    The rows kept depend on the order of arrival. An update takes O(m + b) time for m rows in the
    buffer and b new rows.

    References
    ----------
    Chrysakis, Moens (2020), "Online continual learning from imbalanced data". Lin, Shi, Pathak,
    Ramanan (2021), "The CLEAR benchmark: continual learning on real-world imagery",
    arXiv:2201.06289.
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
        """Add the rows one by one."""
        n = _places(memory, buffer_quotas(memory, batch, size).sum())
        everything = memory.joined(batch.candidates(batch.arrivals))  # (m + b,)
        if everything.rows.size <= n:
            return everything.by_row()
        held = np.arange(n)  # earlier rows, and the first new rows
        late = slice(n - memory.rows.size, None)
        p = min(1.0, self.alpha / (batch.number + 1)) if self.scaled else self.alpha
        entering = random_of_rows(batch.rows[late], rng, "entering") < p
        slots = (random_of_rows(batch.rows[late], rng, "leaving") * n).astype(np.int64)
        for at in np.flatnonzero(entering).tolist():
            held[slots[at]] = n + at
        return everything.take(held).by_row()


@policies.register("gdumb")
class GDumb(Policy):
    """The same number of rows of each class, filled in order of arrival.

    Every row enters until the buffer is full. Then a new row enters only if its class has fewer
    rows than the buffer size divided by the number of classes in the buffer. The new row replaces a
    random row of the largest class. If the size is a share of each experience, the buffer grows
    when an experience begins.

    Notes
    -----
    Unlike in the paper, no place stays empty. The paper also trains a new network on the buffer
    only, which is the method ``gdumb``.

    The rows kept depend on the order of arrival. An update takes O(m + b) time for m rows in the
    buffer and b new rows. Each row that enters needs O(K) more time for K classes.

    References
    ----------
    Prabhu, Torr, Dokania (2020), "GDumb: a simple approach that questions our progress in
    continual learning", ECCV.
    """

    name: ClassVar[str] = "gdumb"

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Add the rows one by one."""
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
    """Remove a row of the largest class, chosen by a random number in [0, 1)."""
    largest = max(members, key=lambda code: (len(members[code]), -code))
    own = members[largest]
    own.pop(int(draw * len(own)))
    if not own:
        del members[largest]


def _places(memory: Memory, n: int) -> int:
    """Return the size of the buffer; refuse a memory that is larger."""
    if memory.rows.size > n:
        raise UsageError(
            f"the memory has {memory.rows.size} rows, but the size is {int(n)}: use the same size "
            "in every update."
        )
    return int(n)
