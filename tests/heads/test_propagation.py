"""Normal distributions of classes, fitted to labelled and unlabelled rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import LabelError
from embedpipe.heads import LogisticHead, UnlabelledRows, _propagation
from embedpipe.heads._arrays import NEVER_SCORED, softmax
from embedpipe.heads._label_logits import HeldOutLogits, LabelLogits
from embedpipe.heads._propagation import (
    Propagation,
    Sums,
    fit_gaussians,
    principal_axes,
)


def sums_of(rows, codes, n_classes):
    return Sums.of(np.asarray(rows, np.float32), np.array(codes), np.ones(len(codes)), n_classes)


def test_gaussians_by_hand():
    # One axis, two classes with a label each at -1 and 1, and correct predictions: the mean of each
    # class is that of its half of the pool and of its label.
    deviation = np.sqrt(14 / 3)
    pool = np.array([[-3.0], [-2.0], [-1.0], [1.0], [2.0], [3.0]] * 10) / deviation
    labelled = sums_of(np.array([[-1.0], [1.0]]) / deviation, [0, 1], 2)
    predicted = np.where(pool.T < 0.0, [[0.0], [-20.0]], [[-20.0], [0.0]]).astype(np.float32)
    gaussians = fit_gaussians(pool.astype(np.float32), predicted, labelled, 1.0)
    mean = (30 * 2.0 + 1.0) / 31.0 / deviation
    variance = 1.0 - 0.9 * mean**2  # nine tenths of the variance inside the classes, one of all
    np.testing.assert_allclose(gaussians.coef[:, 0], [-mean / variance, mean / variance], rtol=1e-5)
    np.testing.assert_allclose(gaussians.intercept, -(mean**2) / (2 * variance), rtol=1e-5)


def test_predictions_and_gaussians_are_combined():
    pool = np.zeros((10, 1), dtype=np.float32)
    predicted = np.tile(np.log([[0.9], [0.1]]), 10).astype(np.float32)
    gaussians = fit_gaussians(pool, predicted, sums_of([[-1.0], [1.0]], [0, 1], 2), 1.0)
    means = -2.0 * gaussians.intercept / gaussians.coef[:, 0]
    assert abs(means[0]) < abs(means[1])  # the pool at zero was given to the first class


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(1, 40))
def test_a_strength_of_zero_adds_nothing(seed, n_classes, n):
    rng = np.random.default_rng(seed)
    pool = rng.normal(size=(n, 3)).astype(np.float32)
    labelled = sums_of(rng.normal(size=(n_classes, 3)), range(n_classes), n_classes)
    gaussians = fit_gaussians(pool, np.zeros((n_classes, n), np.float32), labelled, 0.0)
    assert not gaussians.coef.any()
    assert not gaussians.intercept.any()


def test_the_shared_covariance_is_full():
    # Two classes, separated along the second axis; the first axis is noise that correlates with it.
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.repeat([0, 1], 200))
    noise = rng.normal(size=400)
    raw = np.column_stack([noise, 0.3 * (2 * codes - 1) + noise]).astype(np.float32)
    pool = principal_axes(raw, 2).project(raw)
    np.testing.assert_allclose(np.cov(pool.T, bias=True), np.eye(2), atol=1e-4)
    predicted = np.where(codes == [[0], [1]], 0.0, -20.0).astype(np.float32)
    labelled = [np.flatnonzero(codes == 0)[0], np.flatnonzero(codes == 1)[0]]
    gaussians = fit_gaussians(pool, predicted, sums_of(pool[labelled], [0, 1], 2), 1.0)
    found = gaussians.logits(pool).argmax(axis=0)  # without the predictions
    assert (found == codes).mean() == 1.0


@pytest.mark.parametrize("n_classes", [3, 9])
def test_the_inverse_covariance_equals_that_of_the_whole_matrix(n_classes):
    rng = np.random.default_rng(n_classes)
    means, shares = rng.normal(size=(n_classes, 5)), np.sqrt(rng.uniform(0, 0.05, n_classes))
    scaled = shares[:, None] * means
    covariance = 0.9 * (np.eye(5) - scaled.T @ scaled) + 0.1 * np.eye(5)
    found = _propagation._precise(means, shares)
    np.testing.assert_allclose(found, means @ np.linalg.inv(covariance), rtol=1e-9)


def test_several_problems_are_solved_at_once():
    rng = np.random.default_rng(0)
    pool = rng.normal(size=(50, 3)).astype(np.float32)
    rows, codes = rng.normal(size=(6, 3)).astype(np.float32), np.array([0, 0, 1, 1, 2, 2])
    weights = np.array([[1.0, 0.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 2.0, 1.0]])
    predicted = rng.normal(size=(2, 3, 50)).astype(np.float32)
    together = fit_gaussians(pool, predicted, Sums.of(rows, codes, weights, 3), 1.0)
    for at in range(2):
        alone = fit_gaussians(pool, predicted[at], Sums.of(rows, codes, weights[at], 3), 1.0)
        np.testing.assert_allclose(together.coef[at], alone.coef, rtol=1e-4, atol=1e-5)


def test_principal_axes_are_those_of_the_covariance():
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(400, 30)) * np.geomspace(10, 0.1, 30)).astype(np.float32)
    found = principal_axes(rows, 4)
    values, vectors = np.linalg.eigh(np.cov(rows.T.astype(np.float64), bias=True))
    exact = vectors[:, ::-1][:, :4] / np.sqrt(values[::-1][:4])
    signs = np.sign((found.axes * exact).sum(axis=0))
    np.testing.assert_allclose(found.axes * signs, exact, atol=2e-2 / 10)
    np.testing.assert_allclose(np.cov(found.project(rows).T, bias=True), np.eye(4), atol=1e-4)


def test_held_out_logits_are_those_of_heads_without_these_labels():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = (rng.normal(size=(40, 6)) + 1.5 * y[:, None]).astype(np.float32)
    pool = UnlabelledRows((rng.normal(size=(60, 6)) + 0.75).astype(np.float32))
    head = LogisticHead(C=1.0, normalize=False)
    labelled, models = head._fit_with_models(X, y, keep_models=True)
    assert (models.folds != NEVER_SCORED).all()
    logits = LabelLogits.of(head, models)
    found = Propagation(logits, labelled, pool, 6, normalize=False).held_out(0.0)
    for fold in range(5):
        out = models.folds == fold
        part = LogisticHead(C=1.0, normalize=False, tol=1e-5)
        part.fit(labelled.rows[~out], labelled.labels[~out])
        expected = labelled.rows[out] @ part.coef_.T + part.intercept_
        expected = expected / head.temperature_
        gaps = found.logits[out, 1] - found.logits[out, 0]
        np.testing.assert_allclose(gaps, expected[:, 1] - expected[:, 0], atol=0.15)
    assert found.right == round(head.cv_accuracy_ * 40)


def test_few_labels_cannot_make_a_head_certain():
    logits = np.array([[90.0, 0.0], [0.0, 80.0], [70.0, 0.0]])
    found = HeldOutLogits(1.0, logits, np.array([0, 1, 0]), np.ones(3))
    likely = softmax(logits / found.temperature())
    assert likely.max(axis=1).mean() == pytest.approx(4 / 5, abs=1e-3)  # 3 of 3 are right


def test_rows_that_are_labelled_now_are_left_out():
    rng = np.random.default_rng(0)
    rows = UnlabelledRows(rng.normal(size=(20, 3)).astype(np.float32))
    whole = rows.space(normalize=False)
    fewer = rows.without([2, 5]).without([7])
    assert len(fewer) == 17
    kept = np.setdiff1d(np.arange(20), [2, 5, 7])
    np.testing.assert_array_equal(np.asarray(fewer), rows.rows[kept])
    part = fewer.space(normalize=False)
    assert part.axes is whole.axes
    np.testing.assert_array_equal(part.coordinates, whole.coordinates[kept])


def test_unlabelled_rows_are_checked():
    with pytest.raises(LabelError) as error:
        UnlabelledRows.of(np.zeros((2, 3)), 4)
    assert str(error.value) == "unlabelled has the shape (2, 3): give rows of 4 numbers."
    assert UnlabelledRows.of(np.zeros((0, 4)), 4) is None
    assert len(UnlabelledRows.of(np.zeros((9, 4)), 4, most=5)) == 5


def test_no_array_is_quadratic_in_the_pool(monkeypatch):
    shapes = []
    original = _propagation.fit_gaussians

    def spy(pool, predicted, *rest):
        shapes.append(predicted.shape)
        return original(pool, predicted, *rest)

    monkeypatch.setattr(_propagation, "fit_gaussians", spy)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(9000, 4)).astype(np.float32), np.arange(50) % 3
    from embedpipe.heads import LabelPropagationHead

    LabelPropagationHead().fit(X[:50], y, unlabelled=X)
    assert shapes == [(3, 2048), (5, 3, 2048)]
