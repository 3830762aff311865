import numpy as np
import pytest

from embedpipe.index import FarthestFirst, squared_distances


def test_more_ties_than_fit_in_a_block_go_to_the_lowest_position():
    matrix = np.zeros((200, 2), dtype=np.float32)
    matrix[1:] = [3, 4]
    search = FarthestFirst(matrix, np.arange(1, 200), np.array([0]), block_size=4)
    found = search.farthest()
    assert (found.position, found.key, found.squared_distance) == (0, 25, 25)
    search.add(0)
    assert search.farthest().key == 0


def test_one_ulp_decides_where_float32_products_cannot():
    matrix = np.full((3, 64), 1.0, dtype=np.float32)
    matrix[0] = 0
    matrix[2, 5] = np.nextafter(np.float32(1), np.float32(2))
    search = FarthestFirst(matrix, np.array([1, 2]), np.array([0]))
    assert search.farthest().position == 1


@pytest.mark.parametrize("offset", [0, 1e3, 1e6])
def test_values_are_the_reference_to_the_last_bit(offset):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((500, 40)) + offset).astype(np.float32)
    search = FarthestFirst(matrix, np.arange(1, 500), np.array([0]), block_size=32)
    centres = [0]
    for _ in range(50):
        found = search.farthest()
        row = found.position + 1
        left = np.repeat(matrix[[row]], len(centres), axis=0)
        assert found.squared_distance == squared_distances(left, matrix[centres]).min()
        search.add(found.position)
        centres.append(row)
