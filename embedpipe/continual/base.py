"""What every replay policy shares: its interface, where it is filed, and how it draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._loops.draws import uniform_of_rows
from .._registry import Registry
from .._specs import format_spec, named_by
from ..errors import UsageError
from .memory import Memory, Seen, Size

__all__ = ["Policy", "policies", "random_of_rows", "room"]


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
    ...     def update(self, memory, seen, size, rng):
    ...         everything = memory.joined(seen.candidates(-seen.arrivals))
    ...         n = room(memory, seen, size).sum(keepdims=True)
    ...         return everything.first_of_each(np.zeros_like(everything.rows), n)
    >>> from embedpipe.continual.memory import Fixed
    >>> seen = Seen(0, [4, 8, 6], [0, 1, 0], np.zeros((3, 2), np.float32), None, 3)
    >>> Newest().update(Memory.empty(), seen, Fixed(2), np.random.default_rng(0)).rows.tolist()
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
    def update(self, memory: Memory, seen: Seen, size: Size, rng: np.random.Generator) -> Memory:
        """Return what the buffer holds once an experience has been learned.

        Parameters
        ----------
        memory
            What it held before, as this policy left it with the same `size`.
        seen
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
            Rows of `memory` and `seen`, the lowest first.

        Raises
        ------
        UsageError
            If a row is in `memory` already, or a later experience is.
        """


policies: Registry[type[Policy]] = named_by(Registry("policy", "embedpipe.policies"))
"""Every policy by name; ``@policies.register("name")`` adds one."""


def room(memory: Memory, seen: Seen, size: Size) -> NDArray[np.int64]:
    """Return how many rows of each experience stay once `seen` has come: (seen.number + 1,).

    Their sum is how many rows the buffer holds then.

    Raises
    ------
    UsageError
        If `memory` has rows of that experience or of a later one, or a row of `seen`.
    """
    last = int(memory.experience.max(initial=-1))
    if last >= seen.number:
        raise UsageError(
            f"experience {seen.number} comes when the memory has rows of experience {last}: "
            "number experiences in the order in which they come."
        )
    again = seen.rows[np.isin(seen.rows, memory.rows)]
    if again.size:
        raise UsageError(
            f"row {int(again[0])} comes again in experience {seen.number}, and the memory holds "
            "it: a row comes once."
        )
    return size.quotas_after(memory.counts(seen.number), seen.rows.size)


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
