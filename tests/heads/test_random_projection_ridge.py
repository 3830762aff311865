"""Ridge regression on random features."""

import numpy as np
import pytest
from safetensors import safe_open

from embedpipe.heads import RandomProjectionRidgeHead, RidgeHead, load_head, save_head
from embedpipe.heads.random_projection_ridge import _projection


def crossed(n, seed=0):
    """Return rows of two classes that no straight line separates."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 2
    X = rng.normal(size=(n, 2)) * np.where(codes[:, None] == 1, (1.0, 0.1), (0.1, 1.0))
    return np.column_stack([X, np.full(n, 0.2)]).astype(np.float32), codes


def test_it_separates_classes_that_ridge_cannot():
    X, y = crossed(400)
    projected = RandomProjectionRidgeHead(features=200).fit(X[:200], y[:200])
    straight = RidgeHead().fit(X[:200], y[:200])
    assert projected.score(X[200:], y[200:]) > 0.9
    assert straight.score(X[200:], y[200:]) < 0.7


def test_the_first_numbers_drawn():
    # Saved heads need them in any later version.
    expected = [[1.764052, 0.400157], [0.978738, 2.240893]]
    np.testing.assert_allclose(_projection(2, 2, 0), expected, rtol=1e-6)
    assert _projection(2, 2, 0).dtype == np.float32


def test_another_seed_gives_another_head():
    X, y = crossed(60)
    one, other = (RandomProjectionRidgeHead(features=30, seed=s).fit(X, y) for s in (0, 1))
    assert np.abs(one.predict_proba(X) - other.predict_proba(X)).max() > 0.01


def test_the_projection_is_not_saved_but_drawn_again(tmp_path):
    X, y = crossed(60)
    head = RandomProjectionRidgeHead(features=30, seed=3).fit(X, y)
    expected = head.predict_proba(X)
    path = save_head(head, tmp_path / "head")
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_tensor(name).shape for name in file.keys()}  # noqa: SIM118
    assert (3, 30) not in shapes.values()
    assert shapes["coef_"] == (2, 30)
    assert shapes["sample_rows_"] == (60, 3)
    _projection.cache_clear()
    again, _ = load_head(path)
    np.testing.assert_array_equal(again.predict_proba(X), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_long_rows(normalize):
    X, y = crossed(60)
    long = X * np.float32(1e25)
    one = RandomProjectionRidgeHead(features=30, normalize=normalize).fit(X, y)
    other = RandomProjectionRidgeHead(features=30, normalize=normalize).fit(long, y)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(long), atol=1e-4)
