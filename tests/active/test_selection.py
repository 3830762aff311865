"""Pools of a round, and the items that a pick represents."""

from __future__ import annotations

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.active.selection import RoundPool
from embedpipe.errors import SelectionError


def test_groups_by_hand() -> None:
    points = np.array([[0], [1], [3], [3], [10], [12], [6], [30]], dtype=np.float32)
    found = ep.groups(points, [2, 4], labelled=[7, 0], metric="euclidean")
    # Row 1 is nearer to the labelled row 0 (1 away) than to row 2 (2 away): nobody's.
    assert [group.rows.tolist() for group in found] == [[3, 6], [5]]
    assert [group.distances.tolist() for group in found] == [[0, 3], [2]]


def test_groups_contain_only_candidates() -> None:
    points = np.arange(6, dtype=np.float32)[:, None]
    (group,) = ep.groups(points, [2], candidates=[0, 2, 3], metric="euclidean")
    assert group.rows.tolist() == [3, 0]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_every_unlabelled_item_is_in_the_group_of_its_nearest_pick(metric: str) -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((200, 5)).astype(np.float32)
    picks = ep.select(points, n=12, strategy=f"coreset(metric={metric})", labelled=[3, 9]).rows
    found = ep.groups(points, picks, labelled=[3, 9], metric=metric)
    centres = [*picks.tolist(), 3, 9]
    wide = points.astype(float)
    if metric == "cosine":
        wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    away = np.linalg.norm(wide[:, None] - wide[centres], axis=2)
    nearest = away.argmin(axis=1)
    for place, group in enumerate(found):
        members = [r for r in range(200) if nearest[r] == place and r not in centres]
        assert sorted(group.rows.tolist()) == members
        assert group.rows.tolist() == sorted(members, key=lambda r: (away[r, place], r))
        np.testing.assert_allclose(group.distances, away[group.rows, place], rtol=1e-6)


def test_groups_use_the_cosine_distance_by_default() -> None:
    points = np.array([[1, 0], [0, 1], [9, 1], [1, 3]], dtype=np.float32)
    by_direction = ep.groups(points, [0, 1])
    assert [group.rows.tolist() for group in by_direction] == [[2], [3]]
    by_place = ep.groups(points * np.array([[1], [1], [1], [9]], "f4"), [2, 1], metric="euclidean")
    assert [group.rows.tolist() for group in by_place] == [[3], [0]]


def test_a_pick_that_is_no_row_is_refused() -> None:
    with pytest.raises(SelectionError) as caught:
        ep.groups(np.zeros((3, 2), dtype=np.float32), [5])
    assert str(caught.value) == "`picks` has row 5, but the embeddings have rows 0 to 2."


def test_no_picks_have_no_groups() -> None:
    assert ep.groups(np.eye(3, dtype=np.float32), []) == []
    assert ep.groups(np.eye(3, dtype=np.float32), [], labelled=[1]) == []


def test_what_was_declined_is_not_offered_again() -> None:
    pool = RoundPool(np.eye(4, dtype=np.float32), labelled=[0], declined=np.array([2]))
    assert pool.unlabelled.tolist() == [1, 3]
