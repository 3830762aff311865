"""The content and the size of a replay buffer."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.continual.memory import (
    ExperienceBatch,
    Fixed,
    Memory,
    Share,
    evenly,
    rounded_share,
    size_of,
)
from embedpipe.errors import UsageError

many_counts = st.lists(st.integers(0, 40), min_size=1, max_size=12)


def one_by_one(counts, n, newest_first):
    """Give places one by one to the group with the fewest that has another row."""
    quotas = [0] * len(counts)
    for _ in range(n):
        able = [at for at, count in enumerate(counts) if quotas[at] < count]
        if not able:
            break
        fewest = min(quotas[at] for at in able)
        among = [at for at in able if quotas[at] == fewest]
        quotas[among[-1] if newest_first else among[0]] += 1
    return quotas


def seen(number=0, rows=(4, 2), codes=(0, 1), total=2, vectors=None):
    vectors = np.zeros((len(rows), 3), dtype=np.float32) if vectors is None else vectors
    return ExperienceBatch(number, rows, codes, vectors, lambda: np.eye(2), total)


@pytest.mark.parametrize(
    ("n", "counts", "quotas"),
    [
        (9, [50, 50, 50], [3, 3, 3]),
        (10, [50, 50, 50], [3, 3, 4]),
        (11, [50, 50, 50], [3, 4, 4]),
        (2, [50, 50, 50], [0, 1, 1]),
        (1, [50, 50, 50], [0, 0, 1]),
        (10, [2, 50, 50], [2, 4, 4]),
        (11, [2, 50, 50], [2, 4, 5]),
        (11, [50, 2, 50], [4, 2, 5]),
        (12, [1, 3, 50], [1, 3, 8]),
        (7, [50, 50, 1], [3, 3, 1]),
        (8, [50, 50, 1], [3, 4, 1]),
        (500, [3, 2, 4], [3, 2, 4]),
        (5, [0, 9, 0], [0, 5, 0]),
        (5, [0, 0], [0, 0]),
        (5, [], []),
    ],
)
def test_a_fixed_size_is_divided_evenly_and_the_newest_get_the_rest(n, counts, quotas):
    assert Fixed(n).quotas(counts).tolist() == quotas


@pytest.mark.parametrize(
    ("fraction", "counts", "quotas"),
    [
        (0.05, [300, 310, 309, 330], [15, 16, 15, 17]),  # 15.5 is rounded up, 15.45 down, 16.5 up
        (0.01, [49, 50, 149, 150, 1], [1, 1, 1, 2, 1]),
        (0.29, [50], [15]),  # 14.5, though 0.29 * 50 is less in binary
        (0.5, [1, 2, 3, 0], [1, 1, 2, 0]),
        (1.0, [7, 1, 0], [7, 1, 0]),
    ],
)
def test_a_share_is_rounded_half_up_and_at_least_one(fraction, counts, quotas):
    assert Share(fraction).quotas(counts).tolist() == quotas


@given(many_counts, st.integers(1, 200))
def test_a_fixed_size_equals_giving_places_one_by_one(counts, n):
    assert Fixed(n).quotas(counts).tolist() == one_by_one(counts, n, newest_first=True)
    assert evenly(counts, n).tolist() == one_by_one(counts, n, newest_first=False)


@given(many_counts, st.integers(1, 200))
def test_no_experience_ever_gains_places(counts, n):
    before = Fixed(n).quotas(counts[:-1])
    assert (Fixed(n).quotas(counts)[:-1] <= before).all()


@given(many_counts, st.one_of(st.integers(1, 200).map(Fixed), st.floats(0.01, 1).map(Share)))
def test_quotas_of_the_rows_held_equal_those_of_all_rows(counts, size):
    held = np.empty(0, dtype=np.int64)
    for seen_so_far in range(1, len(counts) + 1):
        held = size.quotas_after(held, counts[seen_so_far - 1])
        assert held.tolist() == size.quotas(counts[:seen_so_far]).tolist()


@given(st.integers(1, 10_000), st.integers(0, 5_000))
def test_a_share_is_that_of_the_decimal_number(ten_thousandths, count):
    fraction = ten_thousandths / 10_000
    exact = Fraction(ten_thousandths, 10_000) * count
    assert Decimal(repr(fraction)) * 10_000 == ten_thousandths
    assert rounded_share(fraction, count) == int(exact + Fraction(1, 2))
    quota = Share(fraction).quotas([count])[0]
    assert quota == (max(1, int(exact + Fraction(1, 2))) if count else 0)
    assert quota <= count


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0.05, Share(0.05)),
        (1.0, Share(1.0)),
        (np.float32(0.25), Share(0.25)),
        (1, Fixed(1)),
        (500, Fixed(500)),
        (np.int64(12), Fixed(12)),
        (Fixed(3), Fixed(3)),
    ],
)
def test_a_number_is_a_share_or_a_count(value, size):
    found = size_of(value)
    assert found == size
    assert str(found) == str(found.n if isinstance(found, Fixed) else found.fraction)


@pytest.mark.parametrize("value", [0, -3, 0.0, -0.1, 1.5, 500.0, float("nan"), True, "5%", None])
def test_an_invalid_size_is_refused(value):
    with pytest.raises(UsageError) as caught:
        size_of(value)
    assert str(caught.value) == (
        f"the size of the buffer is {value!r}: give a share of each experience above 0 and at "
        "most 1, such as 0.05, or a number of rows, at least 1, such as 500."
    )


def test_fixed_and_share_refuse_invalid_values():
    with pytest.raises(UsageError) as caught:
        Fixed(0)
    assert str(caught.value) == ("the size of the buffer is 0: give a whole number, at least 1.")
    with pytest.raises(UsageError) as caught:
        Share(1.5)
    assert str(caught.value) == (
        "the share that is kept is 1.5: give a number above 0 and at most 1."
    )


def test_fits_compares_the_size_with_the_stream():
    assert Fixed(5).fits(5)
    assert not Fixed(6).fits(5)
    assert Share(0.9).fits(1)


def test_the_first_of_each_group_stay_and_ties_go_to_the_lowest_row():
    memory = Memory([9, 8, 7, 6, 5], [0, 1, 0, 0, 2], [0, 0, 1, 1, 1], [0.5, 0.1, 0.5, 0.5, 9])
    kept = memory.first_of_each(memory.codes, np.array([2, 1, 0]))
    assert kept.rows.tolist() == [6, 7, 8]
    assert kept.codes.tolist() == [0, 0, 1]
    assert kept.experience.tolist() == [1, 1, 0]
    assert kept.keys.tolist() == [0.5, 0.5, 0.1]


def test_memories_are_joined_taken_and_counted():
    left, right = Memory([3], [1], [0], [0.25]), Memory([2, 1], [0, 1], [2, 2], [1, 2])
    both = left.joined(right)
    assert both.rows.tolist() == [3, 2, 1]
    assert both.counts(4).tolist() == [1, 0, 2, 0]
    assert both.by_row().rows.tolist() == [1, 2, 3]
    assert both.take(np.array([2, 0])).keys.tolist() == [2, 0.25]
    assert both.rows.dtype == both.codes.dtype == both.experience.dtype == np.int64
    assert both.keys.dtype == np.float64
    assert Memory.empty().joined(left).rows.tolist() == [3]


def test_a_memory_with_a_row_twice_is_refused():
    with pytest.raises(UsageError) as caught:
        Memory([7, 4, 7], [0, 0, 0], [0, 0, 1], [0, 1, 2])
    assert str(caught.value) == "row 7 is in the memory twice: give it once."


def test_a_memory_of_unequal_arrays_is_refused():
    with pytest.raises(UsageError) as caught:
        Memory([7, 4], [0], [0, 0], [0, 1])
    assert str(caught.value) == (
        "the arrays of a memory must have the same length; got rows (2,), codes (1,), "
        "experience (2,), keys (2,)."
    )


def test_arrivals_number_the_rows_of_the_stream():
    second = seen(number=1, rows=[9, 3, 5], codes=[0, 0, 1], total=10)
    assert second.arrivals.tolist() == [7, 8, 9]
    candidates = second.candidates(second.arrivals)
    assert candidates.rows.tolist() == [9, 3, 5]
    assert candidates.experience.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("given_wrong", "message"),
    [
        (
            {"codes": [0]},
            "experience 0 has rows (2,), codes (1,) and 2 vectors: give one code and one vector "
            "for each row.",
        ),
        (
            {"vectors": np.zeros((3, 3), dtype=np.float32)},
            "experience 0 has rows (2,), codes (2,) and 3 vectors: give one code and one vector "
            "for each row.",
        ),
        ({"rows": [4, 4]}, "row 4 is in experience 0 twice: give it once."),
        ({"codes": [0, -1]}, "row 2 has no class: leave it out of experience 0."),
        (
            {"total": 1},
            "experience 0 has 2 rows, and `total` is 1: give a number from 0, and the total of "
            "all rows so far.",
        ),
        (
            {"number": -1},
            "experience -1 has 2 rows, and `total` is 2: give a number from 0, and the total of "
            "all rows so far.",
        ),
    ],
)
def test_an_invalid_experience_batch_is_refused(given_wrong, message):
    with pytest.raises(UsageError) as caught:
        seen(**given_wrong)
    assert str(caught.value) == message
