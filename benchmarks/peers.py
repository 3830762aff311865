"""Reference implementations of selection: plain NumPy and scikit-activeml."""

from __future__ import annotations

import importlib.util
import warnings

import numpy as np

from embedpipe.index import squared_distances

HAVE_SKACTIVEML = importlib.util.find_spec("skactiveml") is not None


def plain_coreset(matrix: np.ndarray, picks: int, first: int) -> list[int]:
    """Return the picks of greedy k-center; each pick needs one float32 matrix-vector product."""
    norms = np.einsum("ij,ij->i", matrix, matrix)  # (n,)
    distances = np.full(len(matrix), np.inf, dtype=np.float32)
    chosen = [first]
    while True:
        centre = chosen[-1]
        np.minimum(distances, norms + norms[centre] - 2 * (matrix @ matrix[centre]), out=distances)
        distances[centre] = -1
        if len(chosen) == picks:
            return chosen
        chosen.append(int(distances.argmax()))


def plain_badge(matrix: np.ndarray, probabilities: np.ndarray, picks: int, seed: int) -> list[int]:
    """Return k-means++ picks among gradient embeddings, without a matrix of n x (C·d).

    Each pick needs one float32 matrix-vector product with the vectors and one with the errors.
    """
    rng = np.random.default_rng(seed)
    errors = probabilities.copy()  # (n, C)
    errors[np.arange(len(errors)), probabilities.argmax(axis=1)] -= 1
    norms = np.einsum("ij,ij->i", matrix, matrix) * np.einsum("ij,ij->i", errors, errors)  # (n,)
    chosen = [int(norms.argmax())]
    distances = np.full(len(matrix), np.inf, dtype=np.float32)
    while True:
        centre = chosen[-1]
        products = (matrix @ matrix[centre]) * (errors @ errors[centre])  # (n,)
        np.minimum(distances, np.maximum(norms + norms[centre] - 2 * products, 0), out=distances)
        distances[chosen] = 0
        if len(chosen) == picks:
            return chosen
        sums = np.cumsum(distances, dtype=np.float64)
        chosen.append(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")))


def skactiveml(name: str, matrix: np.ndarray, picks: int) -> list[int]:
    """Return the picks of a scikit-activeml strategy without labels."""
    from skactiveml import pool
    from skactiveml.utils import MISSING_LABEL

    strategy = getattr(pool, name)(random_state=0)
    unlabelled = np.full(len(matrix), MISSING_LABEL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [int(row) for row in strategy.query(matrix, unlabelled, batch_size=picks)]


def first_wrong_pick(matrix: np.ndarray, rows: np.ndarray) -> int | None:
    """Return the position of the first pick that differs from greedy k-center in float64, or None.

    A pick is wrong if another item is farther from the earlier picks, or equally far with a lower
    row number. The distances of all items come from float64 matrix products with a relative error
    below 1e-9. If this error could make an item farther than the pick, the distance is computed
    again by `squared_distances`, which has a smaller error.
    """
    centre = matrix[rows[0]].astype(np.float64)
    chosen = matrix[rows].astype(np.float64) - centre  # (k, d)
    norms = np.square(chosen).sum(axis=1)  # (k,)
    reach = np.array([_nearest(matrix, rows[i], rows[:i]) for i in range(1, rows.size)])
    turn_of = np.full(len(matrix), rows.size)  # the turn of each picked row
    turn_of[rows] = np.arange(rows.size)
    wrong = rows.size
    for start in range(0, len(matrix), 1000):
        block = matrix[start : start + 1000].astype(np.float64) - centre  # (b, d)
        own = np.square(block).sum(axis=1)[:, None]  # (b, 1)
        distances = own + norms[:-1] - 2 * (block @ chosen[:-1].T)  # (b, k - 1)
        np.minimum.accumulate(distances, axis=1, out=distances)
        rival = distances >= reach - 1e-9 * (own + norms.max())
        rival &= turn_of[start : start + 1000, None] > np.arange(1, rows.size)
        for item, turn in zip(*np.nonzero(rival), strict=True):
            row, place = start + int(item), int(turn) + 1
            value = _nearest(matrix, row, rows[:place])
            if (value, -row) > (reach[turn], -rows[place]):
                wrong = min(wrong, place)
    return None if wrong == rows.size else wrong


def _nearest(matrix: np.ndarray, row: int, centres: np.ndarray) -> float:
    return float(squared_distances(matrix[centres], matrix[row]).min())
