"""Workers that compute on parts of the rows of a matrix, and the messages to them."""

from __future__ import annotations

import itertools
import pickle
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from .distances import PART
from .sharded_matrix import ShardedMatrix
from .vectors import Vectors, vectors_of

__all__ = ["PartWorker", "PartWorkers"]

T = TypeVar("T")
Rows: TypeAlias = NDArray[np.int64]

FEW = 0.1
"""Missing rows, as a share, up to which rows are sent as a range without them."""


class PartWorker:
    """Computes on rows of a matrix, in its own process."""

    def __init__(self, matrix: ShardedMatrix) -> None:
        self._matrix = matrix
        self._vectors: dict[str, Vectors] = {}
        self._objects: dict[int, Any] = {}

    def handle(self, message: bytes) -> bytes:
        """Return the pickled result of a pickled call: the name of a method, and arguments."""
        method, arguments = pickle.loads(message)
        return pickle.dumps(getattr(self, method)(*arguments))

    def run(self, function: Callable[..., T], metric: str, rows: Any, arguments: Any) -> T:
        """Return ``function(vectors, rows, *arguments)``."""
        return function(self._measured_by(metric), _unpacked(rows), *arguments)

    def build(
        self,
        number: int,
        kind: Callable[..., Any],
        metric: str,
        rows: Any,
        arguments: Any,
        dropped: Sequence[int],
    ) -> None:
        """Keep the object ``kind(vectors, rows, *arguments)``, and delete the dropped objects."""
        for old in dropped:
            del self._objects[old]
        self._objects[number] = kind(self._measured_by(metric), _unpacked(rows), *arguments)

    def call(self, number: int, method: str, arguments: Any) -> Any:
        """Return the result of a method of an object."""
        return getattr(self._objects[number], method)(*arguments)

    def _measured_by(self, metric: str) -> Vectors:
        if metric not in self._vectors:
            self._vectors[metric] = vectors_of(self._matrix, metric)
        return self._vectors[metric]


class PartWorkers:
    """Sends calls to the workers of a matrix; each has about the same number of rows.

    The bounds of the parts are multiples of 4,096 rows, so that sums over rows have the same bits
    for any number of workers.

    Attributes
    ----------
    sent, received
        Bytes of all messages to the workers, and of their replies.
    messages
        Number of messages.
    """

    def __init__(self, count: int, n_rows: int) -> None:
        blocks = -(-n_rows // PART)
        self._bounds = np.arange(count + 1) * blocks // count * PART
        self._numbers = itertools.count()
        self._worker_of: dict[int, int] = {}
        self._dropped: dict[int, list[int]] = {}  # numbers of objects by worker
        self.sent = self.received = self.messages = 0

    @abstractmethod
    def send(self, workers: Sequence[int], messages: Sequence[bytes]) -> list[bytes]:
        """Send a message to each of the workers, and return their replies when all have replied."""

    def dumps(self, call: Any) -> bytes:
        """Return the message of a call."""
        return pickle.dumps(call)

    def parts(self, rows: Rows) -> list[slice]:
        """Return the slices of ascending rows that workers compute on, without empty ones."""
        return [part for _, part in self._parts(rows)]

    def _parts(self, rows: Rows) -> list[tuple[int, slice]]:
        cuts = rows.searchsorted(self._bounds).tolist()
        parts = enumerate(map(slice, cuts, cuts[1:]))
        return [(worker, part) for worker, part in parts if part.start < part.stop]

    def map(
        self, function: Callable[..., T], metric: str, rows: Rows, arguments: tuple[Any, ...]
    ) -> list[T]:
        """Return ``function(vectors, rows[part], *arguments)`` of each of the `parts`."""
        parts = self._parts(rows)
        calls = [("run", (function, metric, _packed(rows[part]), arguments)) for _, part in parts]
        return self._results([worker for worker, _ in parts], calls)

    def build(
        self,
        kind: Callable[..., Any],
        metric: str,
        rows: Rows,
        arguments: Sequence[tuple[Any, ...]],
    ) -> list[int]:
        """Keep ``kind(vectors, rows[part], *arguments)`` for each part; return numbers."""
        parts = self._parts(rows)
        numbers = list(itertools.islice(self._numbers, len(parts)))
        calls = []
        for number, (worker, part), own in zip(numbers, parts, arguments, strict=True):
            dropped = self._dropped.pop(worker, [])
            calls.append(("build", (number, kind, metric, _packed(rows[part]), own, dropped)))
        workers = [worker for worker, _ in parts]
        self._worker_of.update(zip(numbers, workers, strict=True))
        self._results(workers, calls)
        return numbers

    def call(
        self, numbers: Sequence[int], method: str, arguments: Sequence[tuple[Any, ...]]
    ) -> list[Any]:
        """Call a method of the objects with these numbers at once; return the results."""
        calls = [
            ("call", (number, method, own)) for number, own in zip(numbers, arguments, strict=True)
        ]
        return self._results([self._worker_of[number] for number in numbers], calls)

    def drop(self, numbers: Sequence[int]) -> None:
        """Delete the objects with these numbers at the next `build` of their workers."""
        for number in numbers:
            self._dropped.setdefault(self._worker_of.pop(number), []).append(number)

    def _results(self, workers: list[int], calls: list[Any]) -> list[Any]:
        messages = [self.dumps(call) for call in calls]
        replies = self.send(workers, messages)
        self.messages += len(messages)
        self.sent += sum(map(len, messages))
        self.received += sum(map(len, replies))
        return [pickle.loads(reply) for reply in replies]


def _packed(rows: Rows) -> tuple[int, int, Rows] | Rows:
    """Return ascending rows as a range and the rows that it lacks, if these are few."""
    first, stop = int(rows[0]), int(rows[-1]) + 1
    if stop - first > (1 + FEW) * rows.size:
        return rows
    missing = np.ones(stop - first, dtype=np.bool_)
    missing[rows - first] = False
    return first, stop, first + np.flatnonzero(missing)


def _unpacked(packed: tuple[int, int, Rows] | Rows) -> Rows:
    if isinstance(packed, np.ndarray):
        return packed
    first, stop, missing = packed
    return np.delete(np.arange(first, stop), missing - first)
