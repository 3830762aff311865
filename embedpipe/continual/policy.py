"""What every replay policy shares: its interface, where it is registered, and how it draws.

A new policy is a subclass of `Policy`, or of `Ranked`, under ``@policies.register("name")``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._loops.arrays import uniform_of_rows
from .._registry import Registry
from .._specs import build, format_spec, named_by
from ..errors import UsageError
from .memory import ExperienceBatch, Memory, Size

__all__ = [
    "NO_BUFFER",
    "Policy",
    "Ranked",
    "buffer_quotas",
    "get_policy",
    "policies",
    "random_of_rows",
]

NO_BUFFER = "none"
"""In place of a policy: nothing is kept, and the method is naive."""


class Policy(ABC):
    """A rule for what a replay buffer keeps.

    A policy is a subclass with a `name`, the method `update`, and
    ``@policies.register(name)``; `Ranked` takes care of all but the ranking. Options are arguments
    of its constructor, kept as attributes of the same names. A policy has no state: what it
    remembers is the `Memory`.

    Attributes
    ----------
    name
        The name that it is registered under.
    needs_probabilities
        Whether it asks what the head says of the new rows.

    Examples
    --------
    >>> class Newest(Policy):
    ...     '''The last rows that came.'''
    ...     name = "newest"
    ...     def update(self, memory, batch, size, rng):
    ...         everything = memory.joined(batch.candidates(-batch.arrivals))
    ...         n = buffer_quotas(memory, batch, size).sum(keepdims=True)
    ...         return everything.first_of_each(np.zeros_like(everything.rows), n)
    >>> from embedpipe.continual.memory import Fixed
    >>> batch = ExperienceBatch(0, [4, 8, 6], [0, 1, 0], np.zeros((3, 2), np.float32), None, 3)
    >>> Newest().update(Memory.empty(), batch, Fixed(2), np.random.default_rng(0)).rows.tolist()
    [6, 8]
    """

    name: ClassVar[str]
    needs_probabilities: ClassVar[bool] = False

    def __str__(self) -> str:
        """Return the spec string, or the name of a policy that has none."""
        try:
            return format_spec(self)
        except UsageError:
            return self.name

    @abstractmethod
    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Return what the buffer holds once an experience has been learned.

        Parameters
        ----------
        memory
            What it held before, as this policy left it with the same `size`.
        batch
            The rows of the experience.
        size
            How many rows may stay.
        rng
            Stands for the seed: what is drawn follows from the seed that it was made with and
            from the rows, not from what was drawn before. Made with the same seed for every
            experience, it gives the same memory however a stream is cut, where that is promised.

        Returns
        -------
        Memory
            Rows of `memory` and `batch`, the lowest first.

        Raises
        ------
        UsageError
            If a row is in `memory` already, or a later experience is.
        """


policies: Registry[type[Policy]] = named_by(Registry("policy", "embedpipe.policies"))
"""Every policy by name; ``@policies.register("name")`` adds one."""


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
    ...     def rank(self, batch, n, rng):
    ...         return np.arange(n)
    >>> from embedpipe.continual.memory import Fixed
    >>> memory, rng = Memory.empty(), np.random.default_rng(0)
    >>> vectors = np.zeros((3, 1), np.float32)
    >>> for number, rows in enumerate([[0, 1, 2], [3, 4, 5]]):
    ...     total = 3 + 3 * number
    ...     batch = ExperienceBatch(number, rows, [0] * 3, vectors, None, total)
    ...     memory = First().update(memory, batch, Fixed(3), rng)
    ...     print(memory.rows.tolist())
    [0, 1, 2]
    [0, 3, 4]
    """

    @abstractmethod
    def rank(self, batch: ExperienceBatch, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the positions in ``batch.rows`` of the `n` rows to keep, the first to stay first.

        Parameters
        ----------
        batch
            The rows, at least one.
        n
            At least 1 and at most their number.
        rng
            Stands for the seed; see `random_of_rows`.

        Returns
        -------
        (n,) int64
        """

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Cut the rankings of the experiences before, and rank the new one."""
        quotas = buffer_quotas(memory, batch, size)  # (t + 1,)
        n = int(quotas[batch.number])
        best = self.rank(batch, n, rng) if n else np.empty(0, dtype=np.int64)  # (n,)
        places = np.zeros(batch.rows.size)
        places[best] = np.arange(n)
        new = batch.candidates(places).take(best)
        return memory.first_of_each(memory.experience, quotas).joined(new).by_row()


def get_policy(name: str, **options: Any) -> Policy:
    """Make a policy from its spec string.

    Parameters
    ----------
    name
        A registered name (``list(policies)`` has them all), or one with options, such as
        ``"el2n(take=easiest)"``, where a value is a number, ``true``, ``false`` or a word.
    **options
        More arguments of its constructor.

    Returns
    -------
    Policy
        A new instance.

    Raises
    ------
    UnknownNameError
        If nothing is registered under `name`, or it has no such option.
    UsageError
        If it cannot be read, or an option has a wrong value.

    Examples
    --------
    >>> get_policy("el2n(take=easiest)").take
    'easiest'
    """
    made: Policy = build(policies, name, **options)
    return made


def buffer_quotas(memory: Memory, batch: ExperienceBatch, size: Size) -> NDArray[np.int64]:
    """Return how many rows of each experience stay once `batch` has come: (batch.number + 1,).

    Their sum is how many rows the buffer holds then.

    Raises
    ------
    UsageError
        If `memory` has rows of that experience or of a later one, or a row of `batch`.
    """
    last = int(memory.experience.max(initial=-1))
    if last >= batch.number:
        raise UsageError(
            f"experience {batch.number} comes when the memory has rows of experience {last}: "
            "number experiences in the order in which they come."
        )
    again = batch.rows[np.isin(batch.rows, memory.rows)]
    if again.size:
        raise UsageError(
            f"row {int(again[0])} comes again in experience {batch.number}, and the memory holds "
            "it: a row comes once."
        )
    return size.quotas_after(memory.counts(batch.number), batch.rows.size)


def random_of_rows(
    rows: NDArray[np.int64], rng: np.random.Generator, purpose: str = "memory"
) -> NDArray[np.float64]:
    """Return a number in [0, 1) for each row that depends on nothing but the row and the seed.

    Parameters
    ----------
    rows
        (k,) int64.
    rng
        Only the seed that it was made with counts, and it is left as it is.
    purpose
        What the numbers are for; see `uniform_of_rows`.

    Returns
    -------
    (k,) float64

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> both = random_of_rows(np.array([5, 2]), rng)
    >>> bool(rng.random() < 1 and both[0] == random_of_rows(np.array([5]), rng)[0])
    True
    """
    seed = int(rng.bit_generator.seed_seq.generate_state(1, np.uint64)[0])
    return uniform_of_rows(rows, seed, purpose)
