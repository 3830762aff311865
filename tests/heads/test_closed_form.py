"""Ridge, nearest mean, discriminant analysis and neighbours, compared with scikit-learn."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge, RidgeClassifier, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from embedpipe.errors import UsageError
from embedpipe.heads import (
    FeCAMHead,
    KNNHead,
    NearestMeanHead,
    RandomProjectionRidgeHead,
    RidgeHead,
    SLDAHead,
)
from embedpipe.heads._labelled import Sample


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(X))
    noise = rng.normal(scale=0.1, size=X.shape)  # so that no distances are equal
    return (X + noise)[order].astype(np.float32), y[order]


def learned(head, X, y, parts, weights=None):
    """Return the head, fitted to all rows at once or in several batches."""
    weights = np.ones(len(y)) if weights is None else weights
    if parts == 1:
        return head.fit(X, y, sample_weight=weights)
    for part in np.array_split(np.argsort(y, kind="stable"), parts):  # classes come one by one
        head.partial_fit(X[part], y[part], sample_weight=weights[part])
    return head


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("n", [40, 300])
def test_ridge_equals_scikit_learn(digits, n, parts):
    X, y = digits
    weights = np.random.default_rng(0).uniform(0.5, 2.0, size=n)
    ours = learned(RidgeHead(alpha=50.0, normalize=False), X[:n], y[:n], parts, weights)
    targets = (y[:n, None] == ours.classes_).astype(float)
    theirs = Ridge(alpha=50.0).fit(X[:n].astype(np.float64), targets, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-9)
    classifier = RidgeClassifier(alpha=50.0).fit(X[:n], y[:n], sample_weight=weights)
    np.testing.assert_array_equal(ours.predict(X[n:]), classifier.predict(X[n:]))


def projected(X, features, seed):
    drawn = np.random.RandomState(seed).standard_normal((X.shape[1], features))
    return np.maximum(X.astype(np.float64) @ drawn.astype(np.float32).astype(np.float64), 0.0)


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("n", [40, 300, 1700])
def test_ridge_on_random_features_equals_scikit_learn(digits, n, parts, monkeypatch):
    kept = Sample.of.__func__, Sample.joined
    monkeypatch.setattr(Sample, "of", classmethod(lambda cls, b, c: kept[0](cls, b, c, 500)))
    monkeypatch.setattr(Sample, "joined", lambda one, other: kept[1](one, other, 500))
    X, y = digits
    weights = np.random.default_rng(0).uniform(0.5, 2.0, size=n)
    head = RandomProjectionRidgeHead(1e4, features=90, seed=5, normalize=False)
    ours = learned(head, X[:n], y[:n], parts, weights)
    assert ours.sample_complete_ == (n < 500)
    targets = (y[:n, None] == ours.classes_).astype(float)
    theirs = Ridge(alpha=1e4).fit(projected(X[:n], 90, 5), targets, sample_weight=weights)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6, atol=1e-9)
    expected = theirs.predict(projected(X[n:], 90, 5)).argmax(axis=1)
    np.testing.assert_array_equal(ours.predict(X[n:]), ours.classes_[expected])


def test_the_penalty_has_the_least_leave_one_out_error(digits):
    X, y = digits
    ours = RidgeHead(normalize=False).fit(X[:80], y[:80])
    energy = float(np.square(X[:80] - X[:80].mean(axis=0)).sum())
    grid = energy * 10.0 ** np.arange(-5.0, 0.25, 0.25)
    targets = (y[:80, None] == ours.classes_).astype(float)
    theirs = RidgeCV(alphas=grid).fit(X[:80].astype(np.float64), targets)
    assert ours.alpha_ == pytest.approx(theirs.alpha_, rel=1e-5)


def test_the_temperature_is_fitted_to_leave_one_out_scores(digits):
    X, y = digits
    head = RidgeHead().fit(X[:200], y[:200])
    assert head.cv_n_ == 200
    assert head.cv_accuracy_ == pytest.approx(head.score(X[200:], y[200:]), abs=0.05)
    assert head.cv_ece_ < 0.1
    confidence = head.predict_proba(X[200:]).max(axis=1).mean()
    assert confidence == pytest.approx(head.score(X[200:], y[200:]), abs=0.06)


def test_nearest_mean_equals_scikit_learn(digits):
    X, y = digits
    ours = NearestMeanHead(normalize=False).fit(X[:200], y[:200])
    theirs = NearestCentroid().fit(X[:200], y[:200])
    np.testing.assert_allclose(ours.means_, theirs.centroids_, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours.predict(X[200:]), theirs.predict(X[200:]))


def test_probabilities_of_a_nearest_mean_by_hand():
    X, y = [[0.0], [2.0], [10.0], [12.0]], ["low", "low", "high", "high"]
    head = NearestMeanHead(normalize=False).fit(X, y)
    assert head.means_.tolist() == [[11.0], [1.0]]
    # At 5 the squared distances are 36 and 16.
    ratio = np.exp((36.0 - 16.0) / head.temperature_)
    np.testing.assert_allclose(
        head.predict_proba([[5.0]]), [[1 / (1 + ratio), ratio / (1 + ratio)]]
    )


def test_a_class_weight_multiplies_the_probability():
    X, y = [[0.0], [2.0], [4.0], [6.0]], ["low", "low", "high", "high"]
    head = NearestMeanHead(normalize=False, class_weight={"low": 3.0}).fit(X, y)
    np.testing.assert_allclose(head.predict_proba([[3.0]]), [[0.25, 0.75]], rtol=1e-6)


@pytest.mark.parametrize("shrinkage", [0.01, 0.3, 1.0])
@pytest.mark.parametrize(("n", "parts"), [(60, 1), (300, 1), (300, 7)])
def test_discriminants_equal_scikit_learn(digits, shrinkage, n, parts):
    X, y = digits
    ours = learned(SLDAHead(shrinkage=shrinkage, normalize=False), X[:n], y[:n], parts)
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    theirs.fit(X[:n].astype(np.float64), y[:n])
    expected = theirs.decision_function(X[n:].astype(np.float64))
    found = X[n:].astype(np.float64) @ ours.coef_.T + ours.intercept_
    centred = expected - expected.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        found - found.mean(axis=1, keepdims=True),
        centred,
        rtol=1e-5,
        atol=1e-5 * abs(centred).max(),
    )


def test_the_shrinkage_formula_by_hand():
    # One class of two: within-class covariance diag(1, 0): trace 1, sum of squares 1, d = 2, n = 4.
    X = [[-1.0, 0.0], [1.0, 0.0], [-1.0, 8.0], [1.0, 8.0]]
    head = SLDAHead("oas", normalize=False).fit(X, [0, 0, 1, 1])
    assert head.shrinkage_ == pytest.approx(((1 - 2 / 2) * 1 + 1) / ((4 + 1 - 2 / 2) * (1 - 1 / 2)))


@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_equal_scikit_learn(digits, k):
    X, y = digits
    ours = KNNHead(k, smoothing=0.0, normalize=False).fit(X[:200], y[:200])
    theirs = KNeighborsClassifier(k, weights="distance").fit(X[:200], y[:200])
    shares = theirs.predict_proba(X[200:])
    found = ours.predict_proba(X[200:]) ** ours.temperature_
    np.testing.assert_allclose(found / found.sum(axis=1, keepdims=True), shares, atol=1e-4)


def test_votes_by_hand():
    X, y = [[0.0], [3.0], [9.0]], ["a", "b", "b"]
    head = KNNHead(2, normalize=False).fit(X, y)
    # The nearest rows of 1 are at distance 1 and 2: 4/3 and 2/3 of 2 votes; 1 is split 1 : 2.
    shares = np.array([4 / 3 + 1 / 3, 2 / 3 + 2 / 3]) / 3.0
    expected = shares ** (1.0 / head.temperature_)
    np.testing.assert_allclose(head.predict_proba([[1.0]]), [expected / expected.sum()], rtol=1e-5)


def test_partial_fit_adds_neighbours(digits):
    X, y = digits
    joint = KNNHead().fit(X[:100], y[:100])
    parts = KNNHead().partial_fit(X[60:100], y[60:100]).partial_fit(X[:60], y[:60])
    np.testing.assert_array_equal(joint.predict_proba(X), parts.predict_proba(X))
    assert joint.n_neighbors_ == parts.n_neighbors_


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (RidgeHead(alpha=-1.0), "alpha is -1.0: give a number at least 0, or 'auto'."),
        (RidgeHead(alpha="best"), "alpha is 'best': give a number at least 0, or 'auto'."),
        (
            SLDAHead(shrinkage=1.5),
            "shrinkage is 1.5: give a number at least 0 and at most 1, or 'auto' or 'oas'.",
        ),
        (
            RandomProjectionRidgeHead(features=0),
            "features is 0: give a whole number, at least 1.",
        ),
        (
            RandomProjectionRidgeHead(seed=-1),
            "seed is -1: give a whole number, at least 0 and at most 4294967295.",
        ),
        (
            RandomProjectionRidgeHead(alpha="best"),
            "alpha is 'best': give a number at least 0, or 'auto'.",
        ),
        (
            FeCAMHead(0.0),
            "shrinkage is 0.0: give a number above 0, or 'auto'.",
        ),
        (
            FeCAMHead("oas"),
            "shrinkage is 'oas': give a number above 0, or 'auto'.",
        ),
        (FeCAMHead(beta=-0.5), "beta is -0.5: give a number above 0."),
        (KNNHead(0), "n_neighbors is 0: give a whole number, at least 1, or 'auto'."),
        (KNNHead(smoothing=-1.0), "smoothing is -1.0: give a number at least 0."),
        (
            NearestMeanHead(class_weight="even"),
            "class_weight must be None, 'balanced' or weights by label such as {'hat': 2.0}, "
            "not 'even'.",
        ),
    ],
)
def test_invalid_parameters_are_refused(head, message):
    with pytest.raises(UsageError) as error:
        head.fit([[0.0], [1.0]], [0, 1])
    assert str(error.value) == message
