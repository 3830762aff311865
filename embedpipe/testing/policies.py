"""The contract of replay policies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ..continual import ExperienceBatch, Memory, Policy, Ranked, Size, get_policy, policies
from ..continual.memory import Fixed, Share
from ..errors import UsageError
from ._suite import CheckReport, Suite, raising

__all__ = ["ExampleStream", "check_policy", "policy_checks", "same_memory"]

policy_checks = Suite("policy")
"""The checks of `check_policy`; each takes the spec string of a registered policy."""

SIZES: tuple[Size, ...] = (
    Fixed(1),
    Fixed(7),
    Fixed(23),
    Fixed(10_000),
    Share(0.01),
    Share(0.1),
    Share(1.0),
)


def check_policy(spec: str) -> CheckReport:
    """Check the contract of a policy, given by its spec string.

    Raise `ContractError` if a check fails.

    Examples
    --------
    >>> print(check_policy("herding"))
    17 checks passed
    """
    return policy_checks.run(spec)


class ExampleStream:
    """Random rows with classes, vectors and predictions, in experiences of several lengths."""

    def __init__(
        self, counts: Sequence[int] = (30, 12, 1, 45), classes: int = 4, seed: int = 0
    ) -> None:
        rng = np.random.default_rng(seed)
        n = sum(counts) + 20  # 20 rows are in no experience
        order = rng.permutation(n)[: sum(counts)]
        self.parts = np.split(order, np.cumsum(counts)[:-1])
        self.codes = rng.integers(0, classes, n)
        self.matrix = rng.standard_normal((n, 6)).astype(np.float32)
        self.matrix += 3 * np.eye(classes, 6, dtype=np.float32)[self.codes]
        logits = 2 * rng.standard_normal((n, classes)) + np.eye(classes)[self.codes]
        self.probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def batch(
        self, number: int, rows: NDArray[np.int64] | None = None, **changed: Any
    ) -> ExperienceBatch:
        """Return experience `number`, with other rows or attributes if given."""
        rows = self.parts[number] if rows is None else rows
        before = sum(len(part) for part in self.parts[:number])
        parts: dict[str, Any] = {
            "number": number,
            "rows": rows,
            "codes": self.codes[rows],
            "vectors": self.matrix[rows],
            "probabilities": lambda: self.probabilities[rows],
            "total": before + len(rows),
        }
        return ExperienceBatch(**{**parts, **changed})

    def memories(self, policy: str | Policy, size: Size, seed: int = 0) -> list[Memory]:
        """Return the memory after each experience."""
        built = get_policy(policy) if isinstance(policy, str) else policy
        memory, memories = Memory.empty(), []
        for number in range(len(self.parts)):
            memory = built.update(memory, self.batch(number), size, np.random.default_rng(seed))
            memories.append(memory)
        return memories


def same_memory(left: Memory, right: Memory) -> None:
    """Fail unless two memories hold the same rows with the same keys."""
    for name in ("rows", "codes", "experience", "keys"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def _same_memories(left: Sequence[Memory], right: Sequence[Memory]) -> None:
    for one, other in zip(left, right, strict=True):
        same_memory(one, other)


@policy_checks
def name_equals_the_registered_name(spec: str) -> None:
    kind = type(get_policy(spec))
    assert policies[kind.name] is kind
    line = policies.describe()[kind.name]
    assert line.endswith("."), "the docstring must begin with a sentence"
    assert len(line) < 100, "the first line of the docstring must be under 100 characters"
    assert not inspect.isabstract(kind)


@policy_checks
def memory_has_exactly_the_given_size(spec: str) -> None:
    for size in SIZES:
        stream, counts = ExampleStream(), []
        for number, memory in enumerate(stream.memories(spec, size)):
            counts.append(len(stream.parts[number]))
            quotas = size.quotas(counts)
            assert memory.rows.size == quotas.sum(), f"{memory.rows.size} rows with {size}"
            if isinstance(get_policy(spec), Ranked):
                assert memory.counts(number + 1).tolist() == quotas.tolist()


@policy_checks
def memory_has_distinct_rows_of_the_stream(spec: str) -> None:
    for size in SIZES:
        stream, before = ExampleStream(), set[int]()
        for number, memory in enumerate(stream.memories(spec, size)):
            rows = memory.rows.tolist()
            assert rows == sorted(set(rows)), "rows must be distinct and ascending"
            possible = before | set(stream.parts[number].tolist())
            assert set(rows) <= possible, (
                "a row is not in the stream so far, or was removed earlier"
            )
            assert memory.codes.tolist() == stream.codes[rows].tolist(), "wrong classes"
            for row, part in zip(rows, memory.experience.tolist(), strict=True):
                assert row in stream.parts[part], "a row has the wrong experience"
            assert np.isfinite(memory.keys).all(), "a key is not finite"
            assert memory.rows.dtype == memory.codes.dtype == memory.experience.dtype == np.int64
            assert memory.keys.dtype == np.float64
            before = set(rows)


@policy_checks
def same_seed_gives_the_same_memory(spec: str) -> None:
    first, second = (ExampleStream().memories(spec, Fixed(20), 5) for _ in range(2))
    _same_memories(first, second)


@policy_checks
def memory_depends_on_the_seed_not_the_state_of_the_generator(spec: str) -> None:
    fresh, used = np.random.default_rng(3), np.random.default_rng(3)
    used.random(17)
    state = used.bit_generator.state
    policy, batch = get_policy(spec), ExampleStream().batch(0)
    kept = policy.update(Memory.empty(), batch, Fixed(9), fresh)
    for rng in (used, fresh):
        same_memory(policy.update(Memory.empty(), batch, Fixed(9), rng), kept)
    assert used.bit_generator.state == state, "the state of the generator was changed"


@policy_checks
def large_memory_keeps_every_row(spec: str) -> None:
    stream = ExampleStream()
    for size in (Fixed(10_000), Share(1.0)):
        for number, memory in enumerate(stream.memories(spec, size)):
            expected = np.sort(np.concatenate(stream.parts[: number + 1]))
            assert memory.rows.tolist() == expected.tolist()


@policy_checks
def equal_vectors_and_predictions_are_accepted(spec: str) -> None:
    for size in SIZES:
        stream = ExampleStream()
        stream.matrix[:] = 0.7
        stream.probabilities[:] = 0.25
        for number, memory in enumerate(stream.memories(spec, size)):
            counts = [len(part) for part in stream.parts[: number + 1]]
            assert memory.rows.size == size.quotas(counts).sum()


@policy_checks
def zero_tiny_and_huge_vectors_are_accepted(spec: str) -> None:
    for factor in (0.0, 1e-30, 1e30):
        stream = ExampleStream()
        stream.matrix *= np.float32(factor)
        assert stream.memories(spec, Fixed(9))[-1].rows.size == 9


@policy_checks
def works_with_one_class_or_one_row(spec: str) -> None:
    stream = ExampleStream(counts=(8, 9), classes=1)
    assert stream.memories(spec, Fixed(5))[-1].rows.size == 5
    stream = ExampleStream(counts=(1, 1, 1))
    memories = stream.memories(spec, Fixed(2))
    assert [memory.rows.size for memory in memories] == [1, 2, 2]
    assert memories[0].rows.tolist() == stream.parts[0].tolist()
    assert ExampleStream(counts=(1,)).memories(spec, Share(0.01))[0].rows.size == 1


@policy_checks
def unlabelled_experience_does_not_change_the_memory(spec: str) -> None:
    for size in SIZES:
        stream = ExampleStream()
        before = stream.memories(spec, size)[1]
        empty = stream.batch(2, np.empty(0, dtype=np.int64), total=42)
        same_memory(before, get_policy(spec).update(before, empty, size, np.random.default_rng(0)))


@policy_checks
def rows_outside_the_stream_are_not_used(spec: str) -> None:
    stream, other = ExampleStream(), ExampleStream()
    rest = np.setdiff1d(np.arange(len(other.codes)), np.concatenate(other.parts))
    assert rest.size == 20
    other.matrix[rest], other.probabilities[rest], other.codes[rest] = np.nan, np.nan, -1
    _same_memories(stream.memories(spec, Fixed(20)), other.memories(spec, Fixed(20)))


@policy_checks
def inputs_are_not_changed(spec: str) -> None:
    stream = ExampleStream()
    batch, memory = stream.batch(1), stream.memories(spec, Fixed(20))[0]
    probabilities = stream.probabilities[batch.rows]
    arrays = [batch.rows, batch.codes, batch.vectors, probabilities, *vars(memory).values()]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    batch = stream.batch(1, batch.rows, probabilities=lambda: probabilities)
    kept = get_policy(spec).update(memory, batch, Fixed(20), np.random.default_rng(0))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    kept.rows[0] = kept.rows[0]  # fails if the new memory is read-only
    assert not any(np.shares_memory(kept.rows, array) for array in arrays)


@policy_checks
def head_predicts_at_most_once_and_only_if_needed(spec: str) -> None:
    calls, stream = [], ExampleStream()

    def probabilities() -> NDArray[np.float64]:
        calls.append(True)
        predictions: NDArray[np.float64] = stream.probabilities[stream.parts[0]]
        return predictions

    batch = stream.batch(0, probabilities=probabilities)
    get_policy(spec).update(Memory.empty(), batch, Fixed(5), np.random.default_rng(0))
    assert len(calls) == int(get_policy(spec).needs_probabilities)


@policy_checks
def number_of_threads_does_not_change_the_memory(spec: str) -> None:
    rng = np.random.default_rng(0)
    stream = ExampleStream(counts=(900, 700), seed=2)
    stream.matrix = rng.standard_normal((len(stream.codes), 96)).astype(np.float32)
    memories = []
    for count in (1, 2):
        with threadpool_limits(count):
            memories.append(stream.memories(spec, Fixed(200))[-1])
    same_memory(*memories)


@policy_checks
def spec_string_makes_the_same_policy(spec: str) -> None:
    policy = get_policy(spec)
    again = get_policy(str(policy))
    assert type(again) is type(policy)
    assert vars(again) == vars(policy), "an option is not an attribute of the same name"


def _refuses(message: str, update: Callable[[], object]) -> None:
    with raising(UsageError, message):
        update()


@policy_checks
def row_in_the_memory_is_refused(spec: str) -> None:
    stream = ExampleStream()
    memory = stream.memories(spec, Fixed(20))[0]
    batch = stream.batch(1, np.append(stream.parts[1], memory.rows[3]))
    _refuses(
        f"row {memory.rows[3]} of experience 1 is already in the memory: give each row once.",
        lambda: get_policy(spec).update(memory, batch, Fixed(20), np.random.default_rng(0)),
    )


@policy_checks
def experiences_out_of_order_are_refused(spec: str) -> None:
    stream = ExampleStream()
    memory = stream.memories(spec, Fixed(20))[0]
    batch = stream.batch(0, stream.parts[1])
    _refuses(
        "experience 0 follows rows of experience 0 in the memory: number the experiences in order.",
        lambda: get_policy(spec).update(memory, batch, Fixed(20), np.random.default_rng(0)),
    )
