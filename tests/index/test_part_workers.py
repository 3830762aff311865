"""Workers in this process: the same messages as on a cluster."""

import copy

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import embedpipe as ep
from embedpipe.index import FarthestFirst, ShardedMatrix, mean_vector, vectors_of
from embedpipe.index.farthest_on_workers import farthest_first
from embedpipe.index.neighbours import nearest_neighbours
from embedpipe.index.part_workers import PartWorker, PartWorkers

N = 4 * 4096 + 100


class Here(PartWorkers):
    def __init__(self, count, matrix):
        super().__init__(count, len(matrix))
        self.hands = [PartWorker(copy.copy(matrix)) for _ in range(count)]

    def send(self, workers, messages):
        pairs = zip(workers, messages, strict=True)
        return [self.hands[worker].handle(message) for worker, message in pairs]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(5)
    found = rng.standard_normal((30, 6))[rng.integers(30, size=N)] + rng.standard_normal((N, 6)) / 5
    found[9000:9100] = found[:100]
    return found.astype(np.float32)


@pytest.fixture(scope="module")
def matrix(vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, part in enumerate(np.split(vectors, [1000, 7777])):
        np.save(folder / f"{number}.npy", part)
    return ShardedMatrix(sorted(folder.iterdir()))


def with_workers(matrix, count):
    shared = copy.copy(matrix)
    shared.workers = Here(count, matrix)
    return shared


@pytest.mark.parametrize("count", [1, 3, 9])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_the_farthest_of_all_parts_is_that_of_one_search(vectors, matrix, count, metric):
    rng = np.random.default_rng(1)
    centres = np.sort(rng.choice(N, 20, replace=False))
    items = np.setdiff1d(np.arange(N), centres)
    weights = rng.random(items.size)
    ours = farthest_first(
        vectors_of(with_workers(matrix, count), metric), items, centres, weights=weights
    )
    plain = FarthestFirst(vectors_of(vectors, metric), items, centres, weights=weights)
    for turn in range(60):
        if turn == 30:
            ours.reweigh(None)
            plain.reweigh(None)
        found = ours.farthest()
        assert found == plain.farthest()
        ours.add(found.position)
        plain.add(found.position)


def test_ties_go_to_the_lowest_row_of_all_parts(tmp_path):
    points = np.zeros((3 * 4096, 1), np.float32)
    points[[5000, 9000, 9001]] = 3
    np.save(tmp_path / "points.npy", points)
    shared = with_workers(ShardedMatrix([tmp_path / "points.npy"]), 3)
    search = farthest_first(shared, np.arange(1, len(points)), np.array([0]))
    assert search.farthest().position == 4999
    search.add(4999)
    assert search.farthest().key == 0


def test_few_workers_get_a_message_for_each_pick(matrix):
    shared = with_workers(matrix, 4)
    ep.select(shared, 100, "coreset")
    assert shared.workers.messages < 4 * 100
    assert (shared.workers.sent + shared.workers.received) / 100 < 1000


def test_searches_that_are_not_used_any_more_are_deleted(matrix):
    shared = with_workers(matrix, 2)
    for _ in range(3):
        ep.select(shared, 2, "coreset")
    assert [len(hand._objects) for hand in shared.workers.hands] == [1, 1]


def test_a_mean_has_the_same_bits_on_any_number_of_workers(vectors, matrix):
    rows = np.flatnonzero(np.random.default_rng(0).random(N) < 0.7)
    expected = mean_vector(vectors, rows).tolist()
    for count in (1, 2, 5):
        assert mean_vector(with_workers(matrix, count), rows).tolist() == expected


@pytest.mark.parametrize(
    "strategy", ["coreset", "coral", "margin", "entropy", "centroid", "badge", "max_herding"]
)
def test_picks_on_workers_are_those_of_one_array(vectors, matrix, strategy):
    labelled = np.array([3, 16000, 9050, 5, 8000])
    known = {"labelled": labelled, "labels": ["a", "b", "a", "b", "c"]}
    ours = ep.select(with_workers(matrix, 3), 30, strategy, **known)
    plain = ep.select(vectors, 30, strategy, **known)
    assert ours.rows.tolist() == plain.rows.tolist()
    assert ours.scores.tolist() == plain.scores.tolist()


def test_neighbours_on_workers_are_those_of_one_array(vectors, matrix):
    rows = np.arange(0, N, 5)
    ours = nearest_neighbours(with_workers(matrix, 3), rows, 4)
    plain = nearest_neighbours(vectors, rows, 4)
    assert ours.positions.tolist() == plain.positions.tolist()
    assert ours.distances.tolist() == plain.distances.tolist()


def test_the_first_pick_without_labels_is_that_of_one_array(vectors, matrix):
    ours = ep.select(with_workers(matrix, 4), 5, "coreset")
    assert ours.rows.tolist() == ep.select(vectors, 5, "coreset").rows.tolist()


def test_no_unlabelled_row_is_predicted_without_workers(tmp_path):
    points = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    np.save(tmp_path / "points.npy", points)
    head = LogisticRegression().fit(points, [0, 1, 0, 1, 0, 1])
    shared = with_workers(ShardedMatrix([tmp_path / "points.npy"]), 2)
    known = {"labelled": np.arange(6), "labels": [0, 1, 0, 1, 0, 1], "head": head}
    found = ep.Pool(shared, **known).probabilities()
    assert found.shape == ep.Pool(points, **known).probabilities().shape == (0, 2)
