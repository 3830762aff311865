import numpy as np

from embedpipe.index import FarthestFirst
from embedpipe.strategies.algorithms.k_center import pick_while_positive, spread


def test_picks_end_where_the_best_is_worth_nothing():
    matrix = np.array([[0], [0], [5], [3]], dtype=np.float32)
    search = FarthestFirst(matrix, np.array([1, 2, 3]), np.array([0]))
    left = np.ones(3, dtype=bool)
    assert [pick.position for pick in pick_while_positive(search, left, 3)] == [1, 2]
    assert left.tolist() == [True, False, False]


def test_the_farthest_items_and_what_they_reach():
    matrix = np.array([[0], [1], [9], [5]], dtype=np.float32)
    positions, reach = spread(matrix, np.array([1, 2, 3]), np.array([0]), 2)
    assert (positions.tolist(), reach.tolist()) == ([1, 2], [9.0, 4.0, 1.0])
