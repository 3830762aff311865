"""What a replay buffer holds, what it may look at, and how large it may be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._specs import check_count, check_share
from ..errors import UsageError

__all__ = [
    "ExperienceBatch",
    "Fixed",
    "Memory",
    "Share",
    "Size",
    "evenly",
    "rounded_share",
    "size_of",
]

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Memory:
    """Rows that a buffer holds, or that may enter it.

    Attributes
    ----------
    rows
        (m,) int64, distinct rows of the matrix.
    codes
        (m,) int64, the class of each.
    experience
        (m,) int64, the number of the experience in which each came.
    keys
        (m,) float64, what the policy ordered them by, the smallest first to stay. A policy that
        orders nothing writes down when each came: 0 for the first row of the stream.

    Raises
    ------
    UsageError
        If the arrays differ in length, or a row is there twice.

    Notes
    -----
    32 bytes per row.

    Examples
    --------
    >>> memory = Memory([7, 4], [0, 1], [0, 0], [0.5, 0.25])
    >>> memory.by_row().rows.tolist(), memory.counts(2).tolist()
    ([4, 7], [2, 0])
    """

    rows: Int64
    codes: Int64
    experience: Int64
    keys: Float64

    def __post_init__(self) -> None:
        for name in ("rows", "codes", "experience"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        object.__setattr__(self, "keys", np.asarray(self.keys, dtype=np.float64))
        shapes = {name: array.shape for name, array in vars(self).items()}
        if set(shapes.values()) != {(self.rows.size,)}:
            told = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UsageError(f"a memory has one of each for every row, but was given {told}.")
        again = repeated(self.rows)
        if again is not None:
            raise UsageError(f"row {again} is in the memory twice: a row is kept once.")

    @classmethod
    def empty(cls) -> Self:
        """Return a memory that holds nothing."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, np.empty(0))

    def take(self, at: NDArray[np.integer[Any]]) -> Memory:
        """Return what is at these positions, in that order."""
        return Memory(self.rows[at], self.codes[at], self.experience[at], self.keys[at])

    def joined(self, other: Memory) -> Memory:
        """Return what is in this memory, then what is in the other."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Memory(*(np.concatenate(pair) for pair in pairs))

    def by_row(self) -> Memory:
        """Return the same, the lowest row first."""
        return self.take(np.argsort(self.rows))

    def counts(self, experiences: int) -> Int64:
        """Return how many rows of each experience it holds, (`experiences`,)."""
        return np.bincount(self.experience, minlength=experiences).astype(np.int64)

    def first_of_each(self, groups: NDArray[np.integer[Any]], quotas: Int64) -> Memory:
        """Return of each group the rows with the smallest keys, ties going to the lowest row.

        Parameters
        ----------
        groups
            (m,) the group of each row, from 0.
        quotas
            (g,) how many rows of each group at most.

        Returns
        -------
        Memory
            The lowest row first.

        Notes
        -----
        O(m·log m) time and 40 bytes of extra memory per row.

        Examples
        --------
        >>> memory = Memory([9, 5, 7, 3], [0, 0, 0, 1], [0] * 4, [0.5, 0.5, 0.1, 0.9])
        >>> memory.first_of_each(memory.codes, np.array([2, 1])).rows.tolist()
        [3, 5, 7]
        """
        order = np.lexsort((self.rows, self.keys, groups))  # (m,)
        sizes = np.bincount(groups, minlength=quotas.size)  # (g,)
        starts = np.cumsum(sizes) - sizes  # (g,)
        place = np.arange(order.size) - starts[groups[order]]  # (m,) within the group
        return self.take(order[place < quotas[groups[order]]]).by_row()


@dataclass(frozen=True, eq=False)
class ExperienceBatch:
    """What a policy may look at when an experience has been learned: its labelled rows alone.

    Attributes
    ----------
    number
        Which experience, from 0.
    rows
        (b,) int64, distinct rows of the matrix in the order in which they came.
    codes
        (b,) int64, the class of each, from 0.
    vectors
        (b, d) float32, their embeddings.
    probabilities
        Called without arguments, returns what the head, having learned the experience, says of
        them: (b, K) class probabilities, with column c for code c.
    total
        How many labelled rows have come in all, these included.

    Raises
    ------
    UsageError
        If the arrays differ in length, a row comes twice, a row has no class, or `total` is less
        than there are rows.

    Examples
    --------
    >>> vectors = np.eye(2, dtype=np.float32)
    >>> batch = ExperienceBatch(1, [4, 2], [0, 1], vectors, lambda: np.eye(2), 5)
    >>> batch.candidates(batch.arrivals).keys.tolist()
    [3.0, 4.0]
    """

    number: int
    rows: Int64
    codes: Int64
    vectors: NDArray[np.float32]
    probabilities: Callable[[], NDArray[np.floating[Any]]]
    total: int

    def __post_init__(self) -> None:
        for name in ("rows", "codes"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.int64))
        b = self.rows.size
        if self.rows.shape != (b,) or self.codes.shape != (b,) or len(self.vectors) != b:
            raise UsageError(
                f"experience {self.number} has rows {self.rows.shape}, codes {self.codes.shape} "
                f"and {len(self.vectors)} vectors: give one of each for every row."
            )
        again = repeated(self.rows)
        if again is not None:
            raise UsageError(f"row {again} comes twice in experience {self.number}: give it once.")
        if (self.codes < 0).any():
            row = int(self.rows[self.codes < 0][0])
            raise UsageError(f"row {row} has no class: leave it out of experience {self.number}.")
        if self.number < 0 or self.total < b:
            raise UsageError(
                f"experience {self.number} is the last of {self.total} rows, and has {b} itself: "
                "count experiences from 0, and all rows up to now."
            )

    @property
    def arrivals(self) -> Float64:
        """When each row came, (b,): 0 for the first row of the stream."""
        return np.arange(self.total - self.rows.size, self.total, dtype=np.float64)

    def candidates(self, keys: ArrayLike) -> Memory:
        """Return all the rows as a memory, in the order in which they came, with these keys."""
        number = np.full(self.rows.size, self.number, dtype=np.int64)
        return Memory(self.rows, self.codes, number, np.asarray(keys, dtype=np.float64))


class Size(ABC):
    """How many rows a buffer may hold; see `Fixed` and `Share`."""

    @abstractmethod
    def quotas(self, counts: ArrayLike) -> Int64:
        """Return how many rows of each experience stay, (T,), of (T,) `counts` that came."""

    @abstractmethod
    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Return how many rows of each experience stay when another one comes.

        Parameters
        ----------
        held
            (t,) how many rows of the experiences before are in the buffer still. `quotas` of
            what came of each would say the same: what stays of an experience never grows.
        new
            How many rows the new one has.

        Returns
        -------
        (t + 1,) int64
        """

    @abstractmethod
    def fits(self, limit: int) -> bool:
        """Return whether `limit` rows in all can give as many as it asks for."""


@dataclass(frozen=True)
class Fixed(Size):
    """As many rows in all, divided evenly over the experiences that came.

    What cannot be divided goes to the newest first; what a small experience cannot fill goes to
    the others.
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", check_count("the size of the buffer", self.n))

    def __str__(self) -> str:
        """Return the number."""
        return str(self.n)

    def quotas(self, counts: ArrayLike) -> Int64:
        """Divide the rows evenly; see `evenly`."""
        return evenly(np.asarray(counts, dtype=np.int64)[::-1], self.n)[::-1]

    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Divide the rows evenly again, the new experience among them."""
        return self.quotas(np.append(np.asarray(held, dtype=np.int64), new))

    def fits(self, limit: int) -> bool:
        """Return whether there are as many."""
        return self.n <= limit


@dataclass(frozen=True)
class Share(Size):
    """The same share of each experience, rounded half up, at least one row: the buffer grows."""

    fraction: float

    def __post_init__(self) -> None:
        share = check_share("the share that is kept", self.fraction, zero=False)
        object.__setattr__(self, "fraction", float(share))

    def __str__(self) -> str:
        """Return the fraction."""
        return repr(self.fraction)

    def quotas(self, counts: ArrayLike) -> Int64:
        """Take the share of each."""
        each = [
            max(1, rounded_share(self.fraction, count)) if count else 0
            for count in np.asarray(counts, dtype=np.int64).tolist()
        ]
        return np.array(each, dtype=np.int64)

    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Leave what is held, and take the share of the new experience."""
        return np.append(np.asarray(held, dtype=np.int64), self.quotas([new]))

    def fits(self, limit: int) -> bool:
        """Return True: a share can always be had."""
        return True


def size_of(value: Any) -> Size:
    """Return what a number means as a size: a share of each experience, or how many rows in all.

    Parameters
    ----------
    value
        A float above 0 and at most 1, a whole number from 1 on, or a `Size`.

    Raises
    ------
    UsageError
        If it means nothing.

    Examples
    --------
    >>> size_of(0.05), size_of(500)
    (Share(fraction=0.05), Fixed(n=500))
    >>> size_of(1), size_of(1.0)
    (Fixed(n=1), Share(fraction=1.0))
    """
    if isinstance(value, Size):
        return value
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and value >= 1:
        return Fixed(int(value))
    if isinstance(value, (float, np.floating)) and 0 < value <= 1:
        return Share(float(value))
    raise UsageError(
        f"the size of the buffer is {value!r}: give a share of each experience above 0 and at "
        "most 1, such as 0.05, or a whole number of rows from 1 on, such as 500."
    )


def evenly(counts: ArrayLike, n: int) -> Int64:
    """Divide `n` places evenly over groups that can fill (g,) `counts` of them: (g,)."""
    # As if places were given one by one to the group with the fewest, the first of several. So no
    # group gains a place when another grows or is added: what stayed once need not come back.
    counts = np.asarray(counts, dtype=np.int64)
    quotas = np.zeros_like(counts)
    left = min(n, int(counts.sum()))
    while left:
        open_groups = np.flatnonzero(quotas < counts)
        each = left // open_groups.size
        if not each:
            quotas[open_groups[:left]] += 1
            break
        more = np.minimum(counts[open_groups] - quotas[open_groups], each)
        quotas[open_groups] += more
        left -= int(more.sum())
    return quotas


def rounded_share(fraction: float, count: int) -> int:
    """Return `fraction` of `count`, halves rounded up, of the fraction as it is written."""
    share = Decimal(repr(float(fraction))) * count
    return int(share.to_integral_value(ROUND_HALF_UP))


def repeated(rows: Int64) -> int | None:
    """Return the lowest row that is there more than once, or None."""
    ordered = np.sort(rows)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return int(twice[0]) if twice.size else None
