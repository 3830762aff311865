import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.index import kmeans
from embedpipe.strategies.algorithms.clusters import representatives


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    d=st.integers(1, 5),
    grid=st.booleans(),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_each_is_the_nearest_to_the_centre_of_its_cluster(n, d, grid, seed, data):
    rng = np.random.default_rng(seed)
    vectors = rng.integers(0, 3, (n, d)) if grid else rng.standard_normal((n, d))
    vectors = vectors.astype(np.float32)
    k = data.draw(st.integers(1, n))
    positions, sizes = representatives(vectors, k, seed)
    clusters = kmeans(vectors, k, seed)
    for cluster in range(k):
        members = np.flatnonzero(clusters.labels == cluster)
        gaps = vectors[members].astype(np.float64) - clusters.centres[cluster]
        away = np.square(gaps).sum(axis=1)
        first = np.flatnonzero(away <= away.min() * (1 + 1e-5))[0]  # but for rounding errors
        assert positions[cluster] == members[first]
        assert sizes[cluster] == members.size


def test_of_two_members_the_first_is_taken():
    vectors = np.array([[0, 0], [0.1, 0.7], [9, 9]], dtype=np.float32)
    for order in ([0, 1, 2], [1, 0, 2]):
        positions, _ = representatives(vectors[order], 2, seed=0)
        assert sorted(positions.tolist()) == [0, 2]


def test_the_vectors_nearest_to_the_centres():
    vectors = np.array([[0], [3], [4], [90]], dtype=np.float32)
    positions, sizes = representatives(vectors, 2, seed=0)
    assert sorted(zip(positions.tolist(), sizes.tolist(), strict=True)) == [(1, 3), (3, 1)]
