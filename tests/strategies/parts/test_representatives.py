import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.index import kmeans
from embedpipe.strategies.parts.representatives import representatives


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
        assert positions[cluster] == members[np.square(gaps).sum(axis=1).argmin()]
        assert sizes[cluster] == members.size
