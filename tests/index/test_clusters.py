import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from embedpipe.errors import SelectionError
from embedpipe.index import clusters, kmeans


def within_sum(vectors, labels):
    wide = vectors.astype(np.float64)
    total = 0.0
    for label in np.unique(labels):
        own = wide[labels == label]
        total += np.square(own - own.mean(axis=0)).sum()
    return total


@pytest.fixture
def blobs():
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((30, 16)) * 2
    return (centres[rng.integers(0, 30, 3000)] + rng.standard_normal((3000, 16))).astype(np.float32)


@pytest.mark.parametrize("k", [5, 30, 120])
def test_as_good_as_scikit_learn(blobs, k):
    ours = np.mean([within_sum(blobs, kmeans(blobs, k, seed).labels) for seed in range(3)])
    theirs = np.mean(
        [KMeans(k, n_init=1, random_state=seed).fit(blobs).inertia_ for seed in range(3)]
    )
    assert ours <= theirs * 1.03


def test_separate_clusters_are_found():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(8), 50)
    vectors = (np.eye(8, 12)[truth] * 100 + rng.standard_normal((400, 12))).astype(np.float32)
    found = kmeans(vectors + 1e4, 8, seed=1)
    pairs = set(zip(truth.tolist(), found.labels.tolist(), strict=True))
    assert len(pairs) == 8
    assert found.sizes.tolist() == [50] * 8
    means = [(vectors + 1e4)[found.labels == label].mean(axis=0) for label in range(8)]
    np.testing.assert_allclose(found.centres, means, rtol=1e-5)


def test_each_joins_its_nearest_centre(blobs):
    found = kmeans(blobs, 40, seed=0)
    gaps = np.square(blobs[:, None].astype(np.float64) - found.centres).sum(axis=2)
    nearest = gaps[np.arange(3000), found.labels]
    np.testing.assert_allclose(nearest, gaps.min(axis=1), rtol=1e-5)
    assert found.sizes.tolist() == np.bincount(found.labels, minlength=40).tolist()
    assert found.labels.dtype == np.int32
    assert found.sizes.dtype == np.int64


def test_samples_do_nearly_as_well(blobs, monkeypatch):
    whole = within_sum(blobs, kmeans(blobs, 30, 0).labels)
    for name, value in {"SAMPLE": 600, "TRAINED_ON": 30, "SEEDED_FROM": 8, "ROWS": (7, 64)}.items():
        monkeypatch.setattr(clusters, name, value)
    found = kmeans(blobs, 30, 0)
    assert found.labels.size == 3000
    assert within_sum(blobs, found.labels) <= whole * 1.1


def test_threads_and_memory_maps_change_nothing(blobs, threads, tmp_path):
    np.save(tmp_path / "blobs.npy", blobs)
    mapped = np.load(tmp_path / "blobs.npy", mmap_mode="r")
    found = []
    for count, vectors in [(1, blobs), (2, blobs), (2, mapped)]:
        with threads(count):
            found.append(kmeans(vectors, 50, 7))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].labels, other.labels)
        np.testing.assert_array_equal(found[0].centres, other.centres)


def test_seeds_differ(blobs):
    assert (kmeans(blobs, 30, 0).labels != kmeans(blobs, 30, 1).labels).any()


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.data())
def test_no_cluster_is_empty(p, data):
    k = data.draw(st.integers(1, p))
    scale = data.draw(st.sampled_from([1.0, 1e-30, 1e-20, 1e18, 1e38]))
    values = data.draw(st.lists(st.integers(-2, 2), min_size=2 * p, max_size=2 * p))
    vectors = (np.array(values, dtype=np.float64).reshape(p, 2) * scale).astype(np.float32)
    found = kmeans(vectors, k, 0)
    assert found.sizes.min() >= 1
    assert found.sizes.sum() == p
    assert np.bincount(found.labels, minlength=k).tolist() == found.sizes.tolist()
    assert np.isfinite(found.centres).all()


@pytest.mark.parametrize("k", [0, 4])
def test_an_invalid_number_is_refused(k):
    with pytest.raises(SelectionError) as error:
        kmeans(np.zeros((3, 2), np.float32), k, 0)
    assert str(error.value) == f"`k` must be from 1 to 3 (the number of vectors); got {k}."


def test_seeds_follow_the_squared_distances():
    """Given the first two seeds, the third has the distribution of k-means++."""
    vectors = np.array([[0], [1], [3], [10]], dtype=np.float32)
    squared = np.square(vectors - vectors.T)
    counts = np.zeros((4, 4, 4))
    rounds = 3000
    from embedpipe.index.distances import Frame

    moved = Frame.around(vectors, np.arange(4)).rows(np.arange(4))
    for seed in range(rounds):
        counts[tuple(clusters._draw(np.random.default_rng(seed), moved, 3)[0])] += 1
    expected = np.zeros((4, 4, 4))
    for a in range(4):
        for b in range(4):
            for c in range(4):
                near = np.minimum(squared[a], squared[b])
                if squared[a, b] and near[c]:
                    expected[a, b, c] = squared[a, b] / squared[a].sum() * near[c] / near.sum() / 4
    np.testing.assert_allclose(counts / rounds, expected, atol=0.03)
