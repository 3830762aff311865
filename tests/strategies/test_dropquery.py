import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from embedpipe.errors import SelectionError
from embedpipe.index import kmeans
from embedpipe.strategies import Pool, dropquery, get_strategy


class Sign:
    """A head with two classes: whether the features add up to more than 0."""

    classes_ = np.array([0, 1])

    def __init__(self):
        self.asked = []

    def predict_proba(self, vectors):
        self.asked.append(vectors.copy())
        positive = (vectors.sum(axis=1) > 0).astype(np.float64)
        return np.c_[1 - positive, positive]


def make(matrix, head=None, labelled=(0, 1)):
    labels = [0, 1][: len(labelled)]
    return Pool(
        np.asarray(matrix, dtype=np.float32), labelled=labelled, labels=labels, head=head or Sign()
    )


def select(pool, n, seed=0, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy("dropquery", **options).select(pool, n, np.random.default_rng(seed))


def kept_features(shape, seed, number, block, dropout):
    """Return the features that are not dropped, one 16-bit number after the other."""
    b, d = shape
    generator = np.random.SFC64(np.random.SeedSequence([seed, number, block]))
    kept = np.zeros(shape, dtype=bool)
    for row in range(b):
        words = [int(generator.random_raw()) for _ in range(-(-d // 4))]
        numbers = [word >> (16 * i) & 0xFFFF for word in words for i in range(4)]
        kept[row] = [number >= dropout * 65536 for number in numbers[:d]]
    return kept


@pytest.mark.parametrize("passes", [1, 3, 4])
@pytest.mark.parametrize("n", [1, 6, 30])
@pytest.mark.parametrize("block_rows", [1000, 13])
def test_picks_are_those_of_the_reference(passes, n, block_rows, monkeypatch):
    monkeypatch.setattr(dropquery, "BLOCK_BYTES", block_rows * 4 * 7)
    rng = np.random.default_rng(passes + n)
    matrix = rng.standard_normal((50, 7)).astype(np.float32)
    matrix[2:12] = np.abs(matrix[2:12]) + 1  # these stay positive unless all is dropped
    selection = select(make(matrix), n, 5, passes=passes, dropout=0.5)

    mask_seed, cluster_seed = np.random.default_rng(5).integers(1 << 31, size=2).tolist()
    changes = np.zeros(48, dtype=int)
    for number in range(passes):
        for start in range(0, 48, block_rows):
            part = matrix[2:][start : start + block_rows]
            kept = kept_features(part.shape, mask_seed, number, start // block_rows, 0.5)
            dropped = (part * kept).sum(axis=1) > 0
            changes[start : start + block_rows] += dropped != (part.sum(axis=1) > 0)
    threshold = next(t for t in range(passes // 2 + 1, -1, -1) if (changes >= t).sum() >= n)
    candidates = np.flatnonzero(changes >= threshold)
    sketch = make(matrix).index.sketch[2:][candidates]
    clusters = kmeans(sketch, n, cluster_seed)
    expected = []
    for cluster in range(n):
        members = np.flatnonzero(clusters.labels == cluster)
        gaps = sketch[members].astype(np.float64) - clusters.centres[cluster]
        away = np.square(gaps).sum(axis=1)
        row = candidates[members[np.flatnonzero(away <= away.min() * (1 + 1e-5))[0]]]
        expected.append((-changes[row], -members.size, row + 2))
    expected.sort()
    assert selection.rows.tolist() == [row for _, _, row in expected]
    assert selection.scores.tolist() == [np.float32(-c / passes) for c, _, _ in expected]
    assert selection.diagnostics["cluster_size"].tolist() == [-size for _, size, _ in expected]
    assert selection.diagnostics["candidates"] == candidates.size
    assert selection.diagnostics["threshold"] == threshold


def test_kept_features_are_divided_by_their_share():
    head = Sign()
    select(make(np.ones((400, 50)) * np.arange(1, 401)[:, None], head), 1, passes=2, dropout=0.75)
    _whole, *dropped = head.asked
    assert len(dropped) == 2
    for vectors in dropped:
        rows = np.arange(3, 401)[:, None]
        assert ((vectors == 0) | (vectors == 4 * rows)).all()
        assert (vectors == 0).mean() == pytest.approx(0.75, abs=0.02)
    assert (dropped[0] != dropped[1]).any()


def test_masks_depend_on_the_seed_and_not_on_threads(monkeypatch):
    monkeypatch.setattr(dropquery, "BLOCK_BYTES", 1 << 12)
    matrix = np.random.default_rng(0).standard_normal((500, 20)).astype(np.float32)
    found = {}
    for seed in (0, 1):
        for count in (1, 2):
            with threadpool_limits(count):
                found[seed, count] = select(make(matrix), 20, seed).rows.tolist()
    assert found[0, 1] == found[0, 2] != found[1, 1] == found[1, 2]


def test_a_pool_without_a_head_is_refused():
    pool = Pool(
        np.eye(4), labelled=[0], labels=[0], probabilities=lambda rows: np.ones((rows.size, 1))
    )
    with pytest.raises(SelectionError) as caught:
        select(pool, 1)
    assert str(caught.value) == (
        "this strategy needs the head itself, not only probabilities: give the pool a fitted "
        "`head`."
    )
