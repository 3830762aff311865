import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.index import kmeans
from embedpipe.strategies import Pool, alfamix, get_strategy
from embedpipe.strategies.algorithms.predictions import margin


class Nearest:
    """A head whose classes have centres; nearer centres have larger probabilities."""

    def __init__(self, centres):
        self.centres = np.asarray(centres, dtype=np.float64)
        self.classes_ = np.arange(len(self.centres))

    def predict_proba(self, vectors):
        gaps = vectors[:, None].astype(np.float64) - self.centres  # (n, C, d)
        scores = np.exp(-np.abs(gaps).sum(axis=2) / 10)
        return scores / scores.sum(axis=1, keepdims=True)


def make(matrix, centres, labelled, labels):
    matrix = np.asarray(matrix, dtype=np.float32)
    return Pool(matrix, labelled=labelled, labels=labels, head=Nearest(centres))


def select(pool, n, seed=0, **options):
    options = {"metric": "euclidean", **options}
    return get_strategy("alfamix", **options).select(pool, n, np.random.default_rng(seed))


def test_picks_worked_out_by_hand():
    # The boundary is at 5; mixing in a fifth of the anchor at 10 takes 4 to 5.2, and 3 to 4.4;
    # of the anchor at 0 takes 6 to 4.8.
    pool = make([[0], [10], [3], [4], [6], [9]], [[0], [10]], [0, 1], [0, 1])
    selection = select(pool, 3)
    assert selection.rows.tolist() == [
        3,
        4,
        2,
    ]  # the last completes the batch: 3 is less certain than 9
    assert selection.diagnostics["candidates"] == 2
    assert selection.diagnostics["cluster_size"].tolist() == [1, 1, 0]
    expected = margin(pool.probabilities(selection.rows)).astype(np.float32)
    assert selection.scores.tolist() == expected.tolist()


def test_a_smaller_share_finds_changes_that_a_larger_share_misses():
    class Band:
        """Class 1 between 3 and 4 and above 9, class 0 elsewhere."""

        classes_ = np.arange(2)

        def predict_proba(self, vectors):
            inside = (vectors[:, 0] > 3) & (vectors[:, 0] < 4) | (vectors[:, 0] > 9)
            return np.c_[np.where(inside, 0.25, 0.75), np.where(inside, 0.75, 0.25)]

    matrix = np.array([[0], [10], [1], [2]], dtype=np.float32)
    pool = Pool(matrix, labelled=[0, 1], labels=[0, 1], head=Band())
    # Of 1, a half makes 5.5 and a quarter 3.25; of 2, they make 6 and 4.
    found = [
        select(pool, 1, epsilon=0.5, shares=shares).diagnostics["candidates"] for shares in (1, 2)
    ]
    assert found == [0, 1]
    assert select(pool, 1, epsilon=0.5, shares=2).rows.tolist() == [2]


@settings(max_examples=80, deadline=None)
@given(
    n=st.integers(3, 40),
    classes=st.integers(1, 4),
    epsilon=st.sampled_from([0.1, 0.4, 1.0]),
    shares=st.integers(1, 3),
    anchors=st.integers(1, 3),
    seed=st.integers(0, 10**6),
    data=st.data(),
)
def test_picks_are_those_of_the_reference(n, classes, epsilon, shares, anchors, seed, data):
    rng = np.random.default_rng(seed)
    matrix = (rng.standard_normal((n, 3)) * 4).astype(np.float32)
    head = Nearest(rng.standard_normal((classes, 3)) * 4)
    labelled = rng.permutation(n)[: data.draw(st.integers(1, n - 1))]
    labels = rng.integers(0, classes, labelled.size)
    picks = data.draw(st.integers(1, n - labelled.size))
    pool = Pool(matrix, labelled=labelled, labels=labels, head=head)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alfamix, "BLOCK_BYTES", 5 * 12)
        selection = select(pool, picks, seed, epsilon=epsilon, shares=shares, anchors=anchors)

    left = [row for row in range(n) if row not in labelled]
    means = {
        int(c): matrix[labelled[labels == c]].astype(np.float64).mean(axis=0) for c in set(labels)
    }
    table = head.predict_proba(matrix).astype(np.float32)
    changed = []
    for row in left:
        own = int(table[row].argmax())
        rivals = sorted((c for c in means if c != own), key=lambda c: (-table[row, c], c))
        mixed = [
            (1 - a) * matrix[row] + a * means[c]
            for c in rivals[:anchors]
            for a in epsilon * np.arange(1, shares + 1) / shares
        ]
        if any(head.predict_proba(vector[None]).argmax() != own for vector in mixed):
            changed.append(row)
    expected = [(-1, row) for row in changed]
    if len(changed) > picks:
        sketch = pool.index.sketch[changed]
        clusters = kmeans(sketch, picks, int(np.random.default_rng(seed).integers(1 << 31)))
        expected = []
        for cluster in range(picks):
            members = np.flatnonzero(clusters.labels == cluster)
            gaps = sketch[members].astype(np.float64) - clusters.centres[cluster]
            away = np.square(gaps).sum(axis=1)
            row = changed[members[np.flatnonzero(away <= away.min() * (1 + 1e-5))[0]]]
            expected.append((-members.size, row))
    expected = [row for _, row in sorted(expected)]
    uncertainty = margin(table)
    others = sorted((r for r in left if r not in changed), key=lambda r: (-uncertainty[r], r))
    expected += others[: picks - len(expected)]
    assert selection.rows.tolist() == expected
    assert selection.diagnostics["candidates"] == len(changed)
