"""What must hold for every registered policy."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embedpipe import format_spec
from embedpipe.continual.memory import ExperienceBatch, Fixed, Memory, Share
from embedpipe.continual.policy import Policy, Ranked, get_policy, policies
from embedpipe.errors import SelectionError, UnknownNameError, UsageError

NAMES = list(policies)
DRAW = {
    "random",
    "reservoir",
    "biased_reservoir",
    "class_balanced",
    "experience_balanced",
    "gdumb",
}
ONE_BY_ONE = {"biased_reservoir", "gdumb"}
BY_VECTORS = {"herding", "closest_to_centre", "kcenter"}
SCORED = {"el2n", "entropy", "margin"}
SIZES = [Fixed(1), Fixed(7), Fixed(23), Fixed(10_000), Share(0.01), Share(0.1), Share(1.0)]

every_policy = pytest.mark.parametrize("name", NAMES)
every_size = pytest.mark.parametrize("size", SIZES, ids=str)


class World:
    """Rows with classes, vectors and predictions, in experiences of several lengths."""

    def __init__(self, counts=(30, 12, 1, 45), classes=4, seed=0):
        rng = np.random.default_rng(seed)
        n = sum(counts) + 20  # the last rows never come
        order = rng.permutation(n)[: sum(counts)]
        self.parts = np.split(order, np.cumsum(counts)[:-1])
        self.codes = rng.integers(0, classes, n)
        self.matrix = rng.standard_normal((n, 6)).astype(np.float32)
        self.matrix += 3 * np.eye(classes, 6, dtype=np.float32)[self.codes]
        logits = 2 * rng.standard_normal((n, classes)) + np.eye(classes)[self.codes]
        self.probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def seen(self, number, rows=None, **changed):
        rows = self.parts[number] if rows is None else rows
        before = sum(len(part) for part in self.parts[:number])
        parts = {
            "number": number,
            "rows": rows,
            "codes": self.codes[rows],
            "vectors": self.matrix[rows],
            "probabilities": lambda: self.probabilities[rows],
            "total": before + len(rows),
        }
        return ExperienceBatch(**{**parts, **changed})

    def run(self, name, size, seed=0):
        """Return the memory after each experience."""
        policy = get_policy(name) if isinstance(name, str) else name
        memory, found = Memory.empty(), []
        for number in range(len(self.parts)):
            rng = np.random.default_rng(seed)
            memory = policy.update(memory, self.seen(number), size, rng)
            found.append(memory)
        return found


@pytest.fixture(scope="module")
def world():
    return World()


def same(left, right):
    for name in ("rows", "codes", "experience", "keys"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))


def test_these_are_the_policies():
    assert set(NAMES) == DRAW | BY_VECTORS | SCORED


@every_policy
def test_it_carries_its_name_and_says_what_it_is_in_a_line(name):
    kind = policies[name]
    assert kind.name == name
    line = policies.describe()[name]
    assert line.endswith(".")
    assert len(line) < 100
    assert kind.needs_probabilities == (name in SCORED)
    assert not inspect.isabstract(kind)


@every_policy
@every_size
def test_it_holds_exactly_what_the_size_allows(name, size, world):
    counts = []
    for number, memory in enumerate(world.run(name, size)):
        counts.append(len(world.parts[number]))
        quotas = size.quotas(counts)
        assert memory.rows.size == quotas.sum()
        if issubclass(policies[name], Ranked):
            assert memory.counts(number + 1).tolist() == quotas.tolist()


@every_policy
@every_size
def test_it_holds_distinct_rows_that_came_with_what_is_known_of_them(name, size, world):
    before = set()
    for number, memory in enumerate(world.run(name, size)):
        rows = memory.rows.tolist()
        assert rows == sorted(set(rows))
        assert set(rows) <= before | set(world.parts[number].tolist())  # nothing comes back
        assert memory.codes.tolist() == world.codes[rows].tolist()
        for row, part in zip(rows, memory.experience.tolist(), strict=True):
            assert row in world.parts[part]
        assert np.isfinite(memory.keys).all()
        assert memory.rows.dtype == memory.codes.dtype == memory.experience.dtype == np.int64
        assert memory.keys.dtype == np.float64
        before = set(rows)


@every_policy
def test_the_same_seed_gives_the_same_memory(name, world):
    for left, right in zip(
        world.run(name, Fixed(20), 5), world.run(name, Fixed(20), 5), strict=True
    ):
        same(left, right)


@every_policy
def test_only_the_seed_of_the_generator_counts_and_it_is_left_alone(name, world):
    fresh, used = np.random.default_rng(3), np.random.default_rng(3)
    used.random(17)
    state = used.bit_generator.state
    policy, seen = get_policy(name), world.seen(0)
    kept = policy.update(Memory.empty(), seen, Fixed(9), fresh)
    for rng in (used, fresh):  # and fresh once more
        same(policy.update(Memory.empty(), seen, Fixed(9), rng), kept)
    assert used.bit_generator.state == state


@every_policy
def test_another_seed_gives_another_memory_where_something_is_drawn(name, world):
    kept = {tuple(world.run(name, Fixed(20), seed)[-1].rows) for seed in range(3)}
    assert len(kept) == (3 if name in DRAW else 1)


@every_policy
def test_the_order_within_an_experience_matters_only_row_by_row(name, world):
    rows = world.parts[0]
    policy, found = get_policy(name), []
    for order in (rows, rows[::-1]):
        rng = np.random.default_rng(0)
        found.append(policy.update(Memory.empty(), world.seen(0, order), Fixed(9), rng))
    if name not in ONE_BY_ONE:
        same(*found)
    else:
        assert found[0].rows.tolist() != found[1].rows.tolist()


@every_policy
@pytest.mark.parametrize("size", [Fixed(10_000), Share(1.0)], ids=str)
def test_a_size_that_is_large_enough_keeps_everything(name, size, world):
    for number, memory in enumerate(world.run(name, size)):
        every = np.sort(np.concatenate(world.parts[: number + 1]))
        assert memory.rows.tolist() == every.tolist()


@every_policy
@every_size
def test_copies_and_equal_predictions_do_no_harm(name, size):
    world = World()
    world.matrix[:] = 0.7
    world.probabilities[:] = 0.25
    for number, memory in enumerate(world.run(name, size)):
        counts = [len(part) for part in world.parts[: number + 1]]
        assert memory.rows.size == size.quotas(counts).sum()


@pytest.mark.parametrize("name", sorted(BY_VECTORS | SCORED))
def test_ties_go_to_the_lowest_row(name):
    world = World(counts=(12,), classes=1)
    world.matrix[:] = 0.7
    world.probabilities[:] = 1.0
    memory = world.run(name, Fixed(5))[0]
    assert memory.rows.tolist() == sorted(world.parts[0].tolist())[:5]


@every_policy
@pytest.mark.parametrize("value", [0.0, 1e-30, 1e30])
def test_vectors_may_be_zero_tiny_or_huge(name, value):
    world = World()
    world.matrix *= np.float32(value)
    assert world.run(name, Fixed(9))[-1].rows.size == 9


@every_policy
def test_one_class_and_one_row_are_enough(name):
    assert World(counts=(8, 9), classes=1).run(name, Fixed(5))[-1].rows.size == 5
    world = World(counts=(1, 1, 1))
    memories = world.run(name, Fixed(2))
    assert [memory.rows.size for memory in memories] == [1, 2, 2]
    assert memories[0].rows.tolist() == world.parts[0].tolist()
    assert World(counts=(1,)).run(name, Share(0.01))[0].rows.size == 1


@every_policy
@every_size
def test_an_experience_without_labels_changes_nothing(name, size, world):
    before = world.run(name, size)[1]
    nothing = world.seen(2, np.empty(0, dtype=np.int64), total=42)
    after = get_policy(name).update(before, nothing, size, np.random.default_rng(0))
    same(before, after)


@every_policy
def test_nothing_is_learned_from_rows_that_did_not_come(name, world):
    other = World()
    came = np.concatenate(other.parts)
    rest = np.setdiff1d(np.arange(len(other.codes)), came)
    assert rest.size == 20
    other.matrix[rest], other.probabilities[rest], other.codes[rest] = np.nan, np.nan, -1
    for left, right in zip(world.run(name, Fixed(20)), other.run(name, Fixed(20)), strict=True):
        same(left, right)


@every_policy
def test_inputs_are_left_alone(name, world):
    seen, memory = world.seen(1), world.run(name, Fixed(20))[0]
    given = world.probabilities[seen.rows]
    arrays = [seen.rows, seen.codes, seen.vectors, given, *vars(memory).values()]
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    seen = world.seen(1, seen.rows, probabilities=lambda: given)
    kept = get_policy(name).update(memory, seen, Fixed(20), np.random.default_rng(0))
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    kept.rows[0] = kept.rows[0]  # the answer is an array of its own
    assert not any(np.shares_memory(kept.rows, array) for array in arrays)


@every_policy
def test_the_head_is_asked_at_most_once_and_only_if_need_be(name, world):
    asked = []

    def probabilities():
        asked.append(True)
        return world.probabilities[world.parts[0]]

    seen = world.seen(0, probabilities=probabilities)
    get_policy(name).update(Memory.empty(), seen, Fixed(5), np.random.default_rng(0))
    assert len(asked) == int(policies[name].needs_probabilities)


@every_policy
def test_threads_change_nothing(name):
    rng = np.random.default_rng(0)
    world = World(counts=(900, 700), seed=2)
    world.matrix = rng.standard_normal((len(world.codes), 96)).astype(np.float32)
    found = []
    for count in (1, 2):
        with threadpool_limits(count):
            found.append(world.run(name, Fixed(200))[-1])
    same(*found)


@every_policy
def test_it_is_spelled_as_it_is_made(name):
    policy = get_policy(name)
    assert format_spec(policy) == str(policy) == name
    assert type(get_policy(format_spec(policy))) is type(policy)
    assert vars(get_policy(name)) == vars(policy)


@pytest.mark.parametrize(
    "spelling",
    [
        "el2n(take=easiest)",
        "entropy(take=median)",
        "margin(offset=0.05)",
        "biased_reservoir(alpha=0.25)",
        "biased_reservoir(alpha=3.0, scaled=true)",
    ],
)
def test_options_are_spelled_too(spelling):
    policy = get_policy(spelling)
    assert format_spec(policy) == str(policy) == spelling
    assert vars(get_policy(str(policy))) == vars(policy)


def test_options_are_given_in_the_text_or_apart():
    assert str(get_policy("el2n(take=hardest)", offset=0.1)) == "el2n(offset=0.1)"
    assert str(get_policy("el2n", take="easiest")) == "el2n(take=easiest)"
    assert str(get_policy("biased_reservoir(alpha=1)")) == "biased_reservoir(alpha=1.0)"


@pytest.mark.parametrize(
    ("spelling", "error", "message"),
    [
        (
            "herdin",
            UnknownNameError,
            "unknown policy 'herdin'. Did you mean 'herding'? Known: biased_reservoir, "
            "class_balanced, closest_to_centre, el2n, entropy, experience_balanced, gdumb, "
            "herding, kcenter, margin, random, reservoir.",
        ),
        (
            "el2n(takes=easiest)",
            UnknownNameError,
            "unknown option of policy 'el2n' 'takes'. Did you mean 'take'? Known: offset, take.",
        ),
        (
            "random(take=easiest)",
            UsageError,
            "policy 'random' has no options, but is given 'take': leave it out.",
        ),
        (
            "el2n(easiest)",
            UsageError,
            "policy 'el2n' is given 'easiest' without a name: write el2n(option=value); its "
            "options: take, offset.",
        ),
        (
            "random^2",
            UsageError,
            "policy 'random' is given the strength ^2: only objectives have one, as in "
            "combine(margin^2, diversity).",
        ),
        (
            "el2n(take=",
            UsageError,
            "policy 'el2n(take=' cannot be read: expected a value at the end.",
        ),
        (
            "el2n(take=hard)",
            UnknownNameError,
            "unknown take 'hard'. Did you mean 'hardest'? Known: easiest, hardest, median.",
        ),
        (
            "el2n(offset=1.0)",
            UsageError,
            "offset is 1.0: give a number at least 0 and below 1.",
        ),
        (
            "el2n(take=median, offset=0.1)",
            UsageError,
            "offset is 0.1 with take=median: it passes over the hardest rows, so leave it out or "
            "take the hardest.",
        ),
        (
            "el2n(offset=a)",
            UsageError,
            "option 'offset' of policy 'el2n' is 'a': give a number.",
        ),
        (
            "biased_reservoir(alpha=1.5)",
            UsageError,
            "alpha is 1.5: give a number above 0 and at most 1.",
        ),
        (
            "biased_reservoir(alpha=0, scaled=true)",
            UsageError,
            "alpha is 0.0: give a number above 0.",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(spelling, error, message):
    with pytest.raises(error) as caught:
        get_policy(spelling)
    assert str(caught.value) == message


def test_an_option_given_twice_is_refused():
    with pytest.raises(UsageError) as caught:
        get_policy("el2n(take=easiest)", take="median")
    assert str(caught.value) == "policy 'el2n' is given 'take' twice: give it once."


def test_a_policy_that_forgets_its_options_goes_by_its_name():
    class Forgetful(Policy):
        name = "forgetful"

        def __init__(self, width=1.0):
            pass

        def update(self, memory, seen, size, rng):
            return memory

    assert str(Forgetful()) == "forgetful"
    with pytest.raises(UsageError) as caught:
        format_spec(Forgetful())
    assert str(caught.value) == (
        "'forgetful' has no spec string: it does not keep its option 'width' as an attribute."
    )


@every_policy
def test_a_row_that_is_remembered_cannot_come_again(name, world):
    memory = world.run(name, Fixed(20))[0]
    again = np.append(world.parts[1], memory.rows[3])
    with pytest.raises(UsageError) as caught:
        get_policy(name).update(memory, world.seen(1, again), Fixed(20), np.random.default_rng(0))
    assert str(caught.value) == (
        f"row {memory.rows[3]} comes again in experience 1, and the memory holds it: a row comes "
        "once."
    )


@every_policy
def test_experiences_come_in_order(name, world):
    memory = world.run(name, Fixed(20))[0]
    with pytest.raises(UsageError) as caught:
        again = world.seen(0, world.parts[1])
        get_policy(name).update(memory, again, Fixed(20), np.random.default_rng(0))
    assert str(caught.value) == (
        "experience 0 comes when the memory has rows of experience 0: number experiences in the "
        "order in which they come."
    )


@pytest.mark.parametrize("name", sorted(ONE_BY_ONE))
def test_a_buffer_does_not_shrink_row_by_row(name, world):
    memory = world.run(name, Fixed(20))[0]
    with pytest.raises(UsageError) as caught:
        get_policy(name).update(memory, world.seen(1), Fixed(5), np.random.default_rng(0))
    assert str(caught.value) == (
        "the memory holds 20 rows, and 5 may stay: update it with the same size every time."
    )


@pytest.mark.parametrize("name", sorted(BY_VECTORS))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_damaged_vectors_are_refused_by_row(name, value):
    world = World()
    row = world.parts[0][4]
    world.matrix[row, 2] = value
    with pytest.raises(SelectionError) as caught:
        world.run(name, Fixed(5))
    assert str(caught.value) == (
        f"row {row} of the embeddings holds NaN or infinity: embed that item again or leave it "
        "out of the stream."
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) & {n for n in NAMES if n not in ONE_BY_ONE}))
def test_the_smallest_keys_stay(name, world):
    """What is kept of an experience later has smaller keys than what was kept and then left."""
    memories = world.run(name, Fixed(20))
    for earlier, later in pairwise(memories):
        stayed = np.isin(earlier.rows, later.rows)
        groups = {
            "reservoir": np.zeros_like(earlier.rows),
            "class_balanced": earlier.codes,
        }.get(name, earlier.experience)
        for group in np.unique(groups):
            own = groups == group
            gone = earlier.keys[own & ~stayed].min(initial=np.inf)
            assert earlier.keys[own & stayed].max(initial=-np.inf) <= gone
        kept = np.isin(later.rows, earlier.rows)
        np.testing.assert_array_equal(later.keys[kept], earlier.keys[stayed])
