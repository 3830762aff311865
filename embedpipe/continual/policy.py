"""The base classes of replay policies and their registry."""

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
"""Name in place of a policy: there is no buffer, and the method is *naive*."""


class Policy(ABC):
    """A replay policy: it chooses the rows of a replay buffer.

    A subclass has a `name`, the method `update`, and ``@policies.register(name)``. A subclass of
    `Ranked` needs only the method `rank`. Options are arguments of the constructor, stored as
    attributes of the same names. A policy has no other state.

    Attributes
    ----------
    name
        The registered name.
    needs_probabilities
        Whether the policy uses predictions for the new rows.

    Examples
    --------
    >>> class Newest(Policy):
    ...     '''The last rows of the stream.'''
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
        """Return the spec string, or the name of an unregistered policy."""
        try:
            return format_spec(self)
        except UsageError:
            return self.name

    @abstractmethod
    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Return the buffer after an experience, sorted by row.

        `memory` is the buffer before the experience, from the same policy and `size`. Random
        numbers depend on the rows and on the seed of `rng`, not on the state of `rng`; see
        `random_of_rows`.

        Raises
        ------
        UsageError
            If `memory` has a row of `batch`, or a row of the same or a later experience.
        """


policies: Registry[type[Policy]] = named_by(Registry("policy", "embedpipe.policies"))
"""Every policy by name; ``@policies.register("name")`` adds one."""


class Ranked(Policy):
    """A policy that ranks the rows of each experience once, and removes the last rows first.

    The keys of the memory are ranks. A subclass has a `name` and the method `rank`.

    Examples
    --------
    >>> class First(Ranked):
    ...     '''The first rows of each experience.'''
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
        """Return the (n,) positions in ``batch.rows`` of the rows to keep, the best first.

        `n` is from 1 to the number of rows; `rng` is for `random_of_rows`.
        """

    def update(
        self, memory: Memory, batch: ExperienceBatch, size: Size, rng: np.random.Generator
    ) -> Memory:
        """Shorten the rankings of earlier experiences, and rank the new one."""
        quotas = buffer_quotas(memory, batch, size)  # (t + 1,)
        n = int(quotas[batch.number])
        best = self.rank(batch, n, rng) if n else np.empty(0, dtype=np.int64)  # (n,)
        places = np.zeros(batch.rows.size)
        places[best] = np.arange(n)
        new = batch.candidates(places).take(best)
        return memory.first_of_each(memory.experience, quotas).joined(new).by_row()


def get_policy(name: str, **options: Any) -> Policy:
    """Return a new policy from its spec string, such as ``"el2n(take=easiest)"``.

    `options` are further arguments of the constructor.

    Raises
    ------
    UnknownNameError
        If no policy has this name, or the policy has no option of a given name.
    UsageError
        If the spec string or the value of an option is invalid.

    Examples
    --------
    >>> get_policy("el2n(take=easiest)").take
    'easiest'
    """
    policy: Policy = build(policies, name, **options)
    return policy


def buffer_quotas(memory: Memory, batch: ExperienceBatch, size: Size) -> NDArray[np.int64]:
    """Return the (batch.number + 1,) numbers of rows of each experience to keep after `batch`."""
    last = int(memory.experience.max(initial=-1))
    if last >= batch.number:
        raise UsageError(
            f"experience {batch.number} follows rows of experience {last} in the memory: "
            "number the experiences in order."
        )
    again = batch.rows[np.isin(batch.rows, memory.rows)]
    if again.size:
        raise UsageError(
            f"row {int(again[0])} of experience {batch.number} is already in the memory: "
            "give each row once."
        )
    return size.quotas_after(memory.counts(batch.number), batch.rows.size)


def random_of_rows(
    rows: NDArray[np.int64], rng: np.random.Generator, purpose: str = "memory"
) -> NDArray[np.float64]:
    """Return (k,) random numbers in [0, 1) that depend on row, seed of `rng` and `purpose` only.

    The state of `rng` is neither used nor changed.
    """
    seed = int(rng.bit_generator.seed_seq.generate_state(1, np.uint64)[0])
    return uniform_of_rows(rows, seed, purpose)
