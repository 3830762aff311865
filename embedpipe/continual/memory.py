"""The content and the size of a replay buffer, and the rows of an experience."""

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
    """Rows of a replay buffer, or candidates for it.

    Attributes
    ----------
    rows
        (m,) int64 distinct rows of the matrix.
    codes
        (m,) int64 classes.
    experience
        (m,) int64 numbers of the experiences of the rows.
    keys
        (m,) float64 priorities: rows with the smallest keys are kept longest. Policies without
        priorities store the positions of the rows in the stream, from 0.

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
            listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            raise UsageError(f"the arrays of a memory must have the same length; got {listed}.")
        again = repeated(self.rows)
        if again is not None:
            raise UsageError(f"row {again} is in the memory twice: give it once.")

    @classmethod
    def empty(cls) -> Self:
        """Return an empty memory."""
        none = np.empty(0, dtype=np.int64)
        return cls(none, none, none, np.empty(0))

    def take(self, at: NDArray[np.integer[Any]]) -> Memory:
        """Return the rows at these positions, in that order."""
        return Memory(self.rows[at], self.codes[at], self.experience[at], self.keys[at])

    def joined(self, other: Memory) -> Memory:
        """Return the rows of this memory, then the rows of the other memory."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Memory(*(np.concatenate(pair) for pair in pairs))

    def by_row(self) -> Memory:
        """Return the memory sorted by row."""
        return self.take(np.argsort(self.rows))

    def counts(self, experiences: int) -> Int64:
        """Return the (`experiences`,) numbers of rows of each experience."""
        return np.bincount(self.experience, minlength=experiences).astype(np.int64)

    def first_of_each(self, groups: NDArray[np.integer[Any]], quotas: Int64) -> Memory:
        """Return the rows with the smallest keys of each group, sorted by row.

        Of rows with equal keys, the lowest row is kept. `groups` are the (m,) group numbers of the
        rows, from 0. `quotas` are the (g,) maximum numbers of rows of the groups. Takes O(m·log m)
        time.
        """
        order = np.lexsort((self.rows, self.keys, groups))  # (m,)
        sizes = np.bincount(groups, minlength=quotas.size)  # (g,)
        starts = np.cumsum(sizes) - sizes  # (g,)
        place = np.arange(order.size) - starts[groups[order]]  # (m,) within the group
        return self.take(order[place < quotas[groups[order]]]).by_row()


@dataclass(frozen=True, eq=False)
class ExperienceBatch:
    """The labelled rows of an experience, the input of a replay policy.

    Attributes
    ----------
    number
        Number of the experience, from 0.
    rows
        (b,) int64 distinct rows of the matrix, in order of arrival.
    codes
        (b,) int64 classes, from 0.
    vectors
        (b, d) float32 embeddings.
    probabilities
        A function without arguments that returns the (b, K) class probabilities of the rows from
        the head after the experience. Column c is class c.
    total
        Number of labelled rows of the stream so far, including this experience.
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
                f"and {len(self.vectors)} vectors: give one code and one vector for each row."
            )
        again = repeated(self.rows)
        if again is not None:
            raise UsageError(f"row {again} is in experience {self.number} twice: give it once.")
        if (self.codes < 0).any():
            row = int(self.rows[self.codes < 0][0])
            raise UsageError(f"row {row} has no class: leave it out of experience {self.number}.")
        if self.number < 0 or self.total < b:
            raise UsageError(
                f"experience {self.number} has {b} rows, and `total` is {self.total}: give a "
                "number from 0, and the total of all rows so far."
            )

    @property
    def arrivals(self) -> Float64:
        """The (b,) positions of the rows in the stream, from 0."""
        return np.arange(self.total - self.rows.size, self.total, dtype=np.float64)

    def candidates(self, keys: ArrayLike) -> Memory:
        """Return the rows as a memory with these keys, in order of arrival."""
        number = np.full(self.rows.size, self.number, dtype=np.int64)
        return Memory(self.rows, self.codes, number, np.asarray(keys, dtype=np.float64))


class Size(ABC):
    """The size of a replay buffer: `Fixed` or `Share`."""

    @abstractmethod
    def quotas(self, counts: ArrayLike) -> Int64:
        """Return the (T,) numbers of rows to keep of experiences with (T,) `counts` rows."""

    @abstractmethod
    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Return the (t + 1,) numbers of rows to keep if `new` rows join the (t,) `held` rows."""

    @abstractmethod
    def fits(self, limit: int) -> bool:
        """Return whether a stream of `limit` rows can fill the buffer."""


@dataclass(frozen=True)
class Fixed(Size):
    """A total number of rows, divided evenly over the experiences so far.

    The newest experiences share the remainder of the division. Places that an experience cannot
    fill go to other experiences.
    """

    n: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", check_count("the size of the buffer", self.n))

    def __str__(self) -> str:
        return str(self.n)

    def quotas(self, counts: ArrayLike) -> Int64:
        """Divide the places with `evenly`."""
        return evenly(np.asarray(counts, dtype=np.int64)[::-1], self.n)[::-1]

    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Divide the places again, including the new experience."""
        return self.quotas(np.append(np.asarray(held, dtype=np.int64), new))

    def fits(self, limit: int) -> bool:
        """Return whether there are at least `n` rows."""
        return self.n <= limit


@dataclass(frozen=True)
class Share(Size):
    """A share of each experience, rounded half up, at least one row; so the buffer grows."""

    fraction: float

    def __post_init__(self) -> None:
        share = check_share("the share that is kept", self.fraction, zero=False)
        object.__setattr__(self, "fraction", float(share))

    def __str__(self) -> str:
        return repr(self.fraction)

    def quotas(self, counts: ArrayLike) -> Int64:
        """Return the share of each experience."""
        each = [
            max(1, rounded_share(self.fraction, count)) if count else 0
            for count in np.asarray(counts, dtype=np.int64).tolist()
        ]
        return np.array(each, dtype=np.int64)

    def quotas_after(self, held: ArrayLike, new: int) -> Int64:
        """Keep the rows held, and add the share of the new experience."""
        return np.append(np.asarray(held, dtype=np.int64), self.quotas([new]))

    def fits(self, limit: int) -> bool:
        """Return True."""
        return True


def size_of(value: Any) -> Size:
    """Return the size for a float (a share of each experience) or an int (a number of rows).

    Raises
    ------
    UsageError
        If a float is not above 0 and at most 1, or an int is below 1.

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
        "most 1, such as 0.05, or a number of rows, at least 1, such as 500."
    )


def evenly(counts: ArrayLike, n: int) -> Int64:
    """Divide `n` places evenly over groups of (g,) `counts` rows; return the (g,) places."""
    # The result is the same as if each place in turn went to the group that has the fewest places
    # so far, among the groups with rows left. So no group gains a place when another group grows or
    # is added, and rows that were removed are never needed again.
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
    """Return `fraction` of `count`, rounded half up in decimal arithmetic."""
    share = Decimal(repr(float(fraction))) * count
    return int(share.to_integral_value(ROUND_HALF_UP))


def repeated(rows: Int64) -> int | None:
    """Return the lowest row that occurs more than once, or None."""
    ordered = np.sort(rows)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    return int(twice[0]) if twice.size else None
