"""Groups of copies, and groups in several splits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.checks.duplicates import (
    connected_names,
    exact_duplicates,
    first_of_content,
    groups_of,
    leaking,
)


def plain(groups):
    return [group.tolist() for group in groups]


@given(st.lists(st.integers(0, 6), max_size=40))
def test_exact_duplicates_are_all_rows_with_one_content(names):
    content = [bytes([name]) * 32 for name in names]
    expected: dict[int, list[int]] = {}
    for row, name in enumerate(names):
        expected.setdefault(name, []).append(row)
    assert plain(exact_duplicates(content)) == [rows for rows in expected.values() if len(rows) > 1]
    assert first_of_content(content).tolist() == [names.index(name) for name in names]


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=15))
def test_chains_of_pairs_make_groups(pairs):
    names = list(range(12))
    for _ in names:  # the least name along every chain
        for one, other in pairs:
            names[one] = names[other] = min(names[one], names[other])
    left, right = (np.array([pair[side] for pair in pairs], np.int64) for side in (0, 1))
    expected = groups_of(np.array(names))
    assert plain(groups_of(connected_names(np.arange(12), left, right))) == plain(expected)


def test_equal_names_stay_equal():
    names = np.array([0, 1, 1, 3])
    found = connected_names(names, np.array([2]), np.array([3]))
    assert plain(groups_of(found)) == [[1, 2, 3]]


def test_a_leak_is_a_group_in_two_splits():
    splits = ["train", "train", None, "test", "validation", "test"]
    groups = [np.array([0, 1, 2]), np.array([2, 3]), np.array([1, 2, 3]), np.array([4, 5])]
    assert plain(leaking(groups, splits)) == [[1, 3], [4, 5]]
