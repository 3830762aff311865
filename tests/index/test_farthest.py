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


@pytest.mark.parametrize("block_size", [1, 7, 64, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_results_equal_brute_force_for_any_added_items(block_size, weighted):
    rng = np.random.default_rng(2)
    matrix = rng.standard_normal((2000, 8)).astype(np.float32)
    items, centres = np.arange(400, 2000), list(range(400))
    weights = rng.random(1600) if weighted else None
    search = FarthestFirst(matrix, items, np.array(centres), weights=weights, block_size=block_size)
    away = np.min([squared_distances(matrix[items], matrix[row]) for row in centres], axis=0)
    for turn in range(60):
        keys = away if weights is None else np.where(away < 0, -1, weights * np.sqrt(abs(away)))
        found = search.farthest()
        best = int(keys.argmax())
        assert (found.position, found.key) == (best, keys[best])
        assert found.squared_distance == away[best]
        # Every third centre is another item, outside the block.
        added = best if turn % 3 else int(np.where(away < 0, np.inf, away).argmin())
        search.add(added)
        away = np.minimum(away, squared_distances(matrix[items], matrix[items[added]]))
        away[added] = -1
    search.reweigh(None)
    assert search.farthest().position == away.argmax()


def test_most_distances_are_never_measured():
    rng = np.random.default_rng(3)
    members = rng.standard_normal((60, 32))[rng.integers(60, size=20_000)]
    matrix = (members + 0.3 * rng.standard_normal((20_000, 32))).astype(np.float32)
    search = FarthestFirst(matrix, np.arange(1, 20_000), np.array([0]))
    for _ in range(1000):
        search.add(search.farthest().position)
    assert 20_000 < search.compared < 0.3 * 20_000 * 1000


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_centre_that_overflows_near_small_items_is_never_the_nearest(when):
    rng = np.random.default_rng(0)
    matrix = (rng.standard_normal((1600, 6)) * 1e-20).astype(np.float32)
    matrix[1599] = rng.standard_normal(6) * 1e37
    items, centres = np.arange(1500), np.arange(1500, 1600)
    search = FarthestFirst(matrix, items, centres if when == "start" else centres[:99])
    if when == "later":
        search.farthest()
        search.add_row(1599)
    away = np.min([squared_distances(matrix[items], matrix[row]) for row in centres], axis=0)
    for _ in range(30):
        found = search.farthest()
        assert (found.position, found.key) == (int(away.argmax()), away.max())
        search.add(found.position)
        away = np.minimum(away, squared_distances(matrix[items], matrix[found.position]))
        away[found.position] = -1
