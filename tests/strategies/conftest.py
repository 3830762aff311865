"""Pools and slow float64 references for the tests of strategies."""

import numpy as np
import pytest

from embedpipe.testing.strategies import example_matrix, example_pool


class Reference:
    """Simple implementations of strategies: one pair at a time, in float64."""

    def squared(self, matrix, row, other):
        gap = matrix[row].astype(np.float64) - np.asarray(other, dtype=np.float64)
        return np.square(gap).sum()

    def mean(self, matrix, rows):
        total = np.zeros(matrix.shape[1])
        for start in range(0, len(rows), 512):  # part of the definition
            total += matrix[rows[start : start + 512]].astype(np.float64).sum(axis=0)
        return total / len(rows)

    def nearest(self, matrix, rows, centres):
        return np.array([min(self.squared(matrix, r, matrix[c]) for c in centres) for r in rows])

    def coreset(self, matrix, unlabelled, labelled, n):
        """Return the picks, their scores and the radius after each."""
        left, centres = [int(r) for r in unlabelled], [int(r) for r in labelled]
        picks, reach = [], []
        if not centres:
            middle = self.mean(matrix, unlabelled)
            away = np.array([self.squared(matrix, r, middle) for r in left])
            picks = [left.pop(int(away.argmin()))]
            centres = picks[:]
        while len(picks) < n:
            away = self.nearest(matrix, left, centres)
            best = int(away.argmax())
            reach.append(np.sqrt(away[best]))
            picks.append(left.pop(best))
            centres.append(picks[-1])
        reach.append(np.sqrt(self.nearest(matrix, left, centres).max()) if left else 0.0)
        scores = [reach[0], *reach][:n] if len(reach) == n else reach[:n]
        return picks, np.array(scores), np.array(reach[-n:])

    def coral(self, matrix, unlabelled, labelled, uncertainty, n):
        """Return the picks: product, then distance, then uncertainty, then the lowest row."""
        left, centres = [int(r) for r in unlabelled], [int(r) for r in labelled]
        score = dict(zip(left, uncertainty, strict=True))
        picks = []
        while len(picks) < n:
            away = np.sqrt(self.nearest(matrix, left, centres))
            weight = np.array([score[r] for r in left])
            values = weight * away
            if values.max() == 0:
                values = away if away.max() > 0 else weight
            picks.append(left.pop(int(values.argmax())))
            centres.append(picks[-1])
        return picks


@pytest.fixture(scope="session")
def reference():
    return Reference()


@pytest.fixture
def make_pool():
    """Return a function that makes a pool with labels and a fitted head for any matrix."""
    return example_pool


@pytest.fixture
def matrix():
    """Return (60, 5) embeddings with duplicates and a constant column."""
    return example_matrix()
