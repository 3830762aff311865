"""The contract of every registered replay policy."""

from itertools import pairwise

import numpy as np
import pytest

from embedpipe import format_spec
from embedpipe.continual import Policy, get_policy, policies
from embedpipe.continual.memory import Fixed, Memory
from embedpipe.errors import SelectionError, UnknownNameError, UsageError
from embedpipe.testing import policy_checks
from embedpipe.testing.policies import ExampleStream, same_memory

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

every_policy = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def world():
    return ExampleStream()


def test_the_registered_policies():
    assert set(NAMES) == DRAW | BY_VECTORS | SCORED


@every_policy
@pytest.mark.parametrize("check", policy_checks, ids=lambda check: check.__name__)
def test_contract(name, check):
    check(name)


@every_policy
def test_needs_probabilities_is_true_for_score_policies(name):
    assert policies[name].needs_probabilities == (name in SCORED)


@every_policy
def test_another_seed_gives_another_memory_for_random_policies(name, world):
    kept = {tuple(world.memories(name, Fixed(20), seed)[-1].rows) for seed in range(3)}
    assert len(kept) == (3 if name in DRAW else 1)


@every_policy
def test_the_order_within_an_experience_matters_only_row_by_row(name, world):
    rows = world.parts[0]
    policy, found = get_policy(name), []
    for order in (rows, rows[::-1]):
        rng = np.random.default_rng(0)
        found.append(policy.update(Memory.empty(), world.batch(0, order), Fixed(9), rng))
    if name not in ONE_BY_ONE:
        same_memory(*found)
    else:
        assert found[0].rows.tolist() != found[1].rows.tolist()


@pytest.mark.parametrize("name", sorted(BY_VECTORS | SCORED))
def test_ties_go_to_the_lowest_row(name):
    world = ExampleStream(counts=(12,), classes=1)
    world.matrix[:] = 0.7
    world.probabilities[:] = 1.0
    memory = world.memories(name, Fixed(5))[0]
    assert memory.rows.tolist() == sorted(world.parts[0].tolist())[:5]


@every_policy
def test_the_spec_string_has_the_options(name):
    policy = get_policy(name)
    assert format_spec(policy) == str(policy) == name
    assert type(get_policy(format_spec(policy))) is type(policy)
    assert vars(get_policy(name)) == vars(policy)


@pytest.mark.parametrize(
    "spec",
    [
        "el2n(take=easiest)",
        "entropy(take=median)",
        "margin(offset=0.05)",
        "biased_reservoir(alpha=0.25)",
        "biased_reservoir(alpha=3.0, scaled=true)",
    ],
)
def test_spec_strings_with_options_are_kept(spec):
    policy = get_policy(spec)
    assert format_spec(policy) == str(policy) == spec
    assert vars(get_policy(str(policy))) == vars(policy)


def test_options_are_in_the_spec_string_or_keywords():
    assert str(get_policy("el2n(take=hardest)", offset=0.1)) == "el2n(offset=0.1)"
    assert str(get_policy("el2n", take="easiest")) == "el2n(take=easiest)"
    assert str(get_policy("biased_reservoir(alpha=1)")) == "biased_reservoir(alpha=1.0)"


@pytest.mark.parametrize(
    ("spec", "error", "message"),
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
            "policy 'random' has no options, but got 'take': leave it out.",
        ),
        (
            "el2n(easiest)",
            UsageError,
            "policy 'el2n' got 'easiest' without a name: write el2n(option=value); its "
            "options: take, offset.",
        ),
        (
            "random^2",
            UsageError,
            "policy 'random' got the strength ^2: only objectives have a strength, as in "
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
            "offset is 0.1 with take=median: use offset only with take=hardest.",
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
def test_invalid_specs_are_refused(spec, error, message):
    with pytest.raises(error) as caught:
        get_policy(spec)
    assert str(caught.value) == message


def test_an_option_given_twice_is_refused():
    with pytest.raises(UsageError) as caught:
        get_policy("el2n(take=easiest)", take="median")
    assert str(caught.value) == "policy 'el2n' got 'take' twice: give it once."


def test_a_policy_without_option_attributes_has_its_name_as_spec_string():
    class Forgetful(Policy):
        name = "forgetful"

        def __init__(self, width=1.0):
            pass

        def update(self, memory, batch, size, rng):
            return memory

    assert str(Forgetful()) == "forgetful"
    with pytest.raises(UsageError) as caught:
        format_spec(Forgetful())
    assert str(caught.value) == (
        "'forgetful' has no spec string: it does not keep its option 'width' as an attribute."
    )


@pytest.mark.parametrize("name", sorted(ONE_BY_ONE))
def test_a_buffer_does_not_shrink_row_by_row(name, world):
    memory = world.memories(name, Fixed(20))[0]
    with pytest.raises(UsageError) as caught:
        get_policy(name).update(memory, world.batch(1), Fixed(5), np.random.default_rng(0))
    assert str(caught.value) == (
        "the memory has 20 rows, but the size is 5: use the same size in every update."
    )


@pytest.mark.parametrize("name", sorted(BY_VECTORS))
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_damaged_vectors_are_refused_by_row(name, value):
    world = ExampleStream()
    row = world.parts[0][4]
    world.matrix[row, 2] = value
    with pytest.raises(SelectionError) as caught:
        world.memories(name, Fixed(5))
    assert str(caught.value) == (
        f"row {row} of the embeddings holds NaN or infinity: embed that item again or leave it "
        "out of the stream."
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) & {n for n in NAMES if n not in ONE_BY_ONE}))
def test_the_smallest_keys_stay(name, world):
    """Rows kept longer have smaller keys than rows removed earlier."""
    memories = world.memories(name, Fixed(20))
    for earlier, later in pairwise(memories):
        stayed = np.isin(earlier.rows, later.rows)
        groups = {
            "reservoir": np.zeros_like(earlier.rows),
            "class_balanced": earlier.codes,
        }.get(name, earlier.experience)
        for group in np.unique(groups):
            own = groups == group
            lowest_removed = earlier.keys[own & ~stayed].min(initial=np.inf)
            assert earlier.keys[own & stayed].max(initial=-np.inf) <= lowest_removed
        kept = np.isin(later.rows, earlier.rows)
        np.testing.assert_array_equal(later.keys[kept], earlier.keys[stayed])
