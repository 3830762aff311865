"""Which items a pick stands for."""

from __future__ import annotations

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.errors import SelectionError


def test_groups_worked_out_by_hand() -> None:
    points = np.array([[0], [1], [3], [3], [10], [12], [6], [30]], dtype=np.float32)
    found = ep.groups(points, [2, 4], labelled=[7, 0])
    # Row 1 is nearer to the labelled row 0 (1 away) than to row 2 (2 away): nobody's.
    assert [group.rows.tolist() for group in found] == [[3, 6], [5]]
    assert [group.distances.tolist() for group in found] == [[0, 3], [2]]


def test_only_candidates_are_stood_for() -> None:
    points = np.arange(6, dtype=np.float32)[:, None]
    (group,) = ep.groups(points, [2], candidates=[0, 2, 3])
    assert group.rows.tolist() == [3, 0]


def test_every_unlabelled_item_is_in_the_group_of_its_nearest_pick() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((200, 5)).astype(np.float32)
    picks = ep.select(points, n=12, strategy="coreset", labelled=[3, 9]).rows
    found = ep.groups(points, picks, labelled=[3, 9])
    centres = [*picks.tolist(), 3, 9]
    away = np.linalg.norm(points[:, None].astype(float) - points[centres], axis=2)
    nearest = away.argmin(axis=1)
    for place, group in enumerate(found):
        members = [r for r in range(200) if nearest[r] == place and r not in centres]
        assert sorted(group.rows.tolist()) == members
        assert group.rows.tolist() == sorted(members, key=lambda r: (away[r, place], r))
        np.testing.assert_allclose(group.distances, away[group.rows, place], rtol=1e-6)


def test_a_pick_that_is_no_row_is_refused() -> None:
    with pytest.raises(SelectionError) as caught:
        ep.groups(np.zeros((3, 2), dtype=np.float32), [5])
    assert str(caught.value) == "picks names row 5, but the embeddings have rows 0 to 2."


def test_no_picks_have_no_groups() -> None:
    assert ep.groups(np.eye(3, dtype=np.float32), []) == []
    assert ep.groups(np.eye(3, dtype=np.float32), [], labelled=[1]) == []
