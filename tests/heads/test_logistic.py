"""The logistic head, compared with scikit-learn and with results by hand."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, logit
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import LogisticHead


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order].astype(np.float32), y[order]


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


@pytest.mark.parametrize("C", [0.1, 10.0, 1000.0])
@pytest.mark.parametrize("n_classes", [2, 10])
@pytest.mark.parametrize("n", [40, 300])
def test_the_model_equals_scikit_learn(digits, C, n_classes, n):
    X, y = digits
    X, y = X[y < n_classes], y[y < n_classes]
    ours = LogisticHead(C=C, tol=1e-9, max_iter=10_000).fit(X[:n], y[:n])
    theirs = LogisticRegression(C=C, solver="newton-cg", tol=1e-12, max_iter=1000)
    theirs.fit(unit(X[:n].astype(np.float64)), y[:n])
    assert ours.converged_
    np.testing.assert_allclose(
        ours.predict_proba(X[n:].astype(np.float64)),
        theirs.predict_proba(unit(X[n:].astype(np.float64))),
        atol=1e-7,
    )


def test_the_solution_in_the_span_is_the_solution():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(25, 400)), np.arange(25) % 3
    ours = LogisticHead(C=5.0, normalize=False, tol=1e-9).fit(X, y)
    theirs = LogisticRegression(C=5.0, solver="newton-cg", tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, atol=1e-6)


def test_without_information_the_head_predicts_class_frequencies():
    head = LogisticHead(C=1.0, tol=1e-9).fit(np.ones((10, 2)), [0] * 7 + [1] * 2 + [2])
    np.testing.assert_allclose(head.predict_proba([[3.0, 1.0]]), [[0.7, 0.2, 0.1]], atol=1e-7)


def test_a_solution_worked_out_by_hand():
    # Rows +1 and -1, one of each class: the weight w solves w = 2 C s(-w), s the sigmoid.
    weight = 0.8
    C = weight / (2.0 * expit(-weight))
    head = LogisticHead(C=C, tol=1e-10).fit([[5.0], [-0.1]], ["yes", "no"])
    yes = head.predict_proba([[2.0]])[0, list(head.classes_).index("yes")]
    assert logit(yes) == pytest.approx(weight, abs=1e-8)


def test_the_norm_of_a_row_matters_only_without_normalize():
    X, y = np.array([[1.0, 0.2], [0.2, 1.0], [0.9, 0.1], [0.1, 0.9]]), [0, 1, 0, 1]
    longer = X * np.array([[1.0], [10.0], [0.01], [3.0]])
    scaled = LogisticHead(C=1.0).fit(longer, y).predict_proba(7.0 * X)
    np.testing.assert_allclose(scaled, LogisticHead(C=1.0).fit(X, y).predict_proba(X), atol=1e-9)
    raw = LogisticHead(C=1.0, normalize=False).fit(longer, y).predict_proba(X)
    assert np.abs(raw - scaled).max() > 0.01


def test_very_long_and_very_short_rows_keep_their_direction():
    head = LogisticHead(C=10.0).fit([[1.0, 0.0], [0.0, 1.0]], ["x", "y"])
    rows = np.array([[1e30, 0.0], [0.0, 1e-30]], dtype=np.float32)
    assert head.predict(rows).tolist() == ["x", "y"]
    np.testing.assert_allclose(
        head.predict_proba(rows), head.predict_proba(np.eye(2, dtype=np.float32)), rtol=1e-6
    )
    longest = np.eye(2, dtype=np.float32) * np.finfo(np.float32).max  # products overflow
    np.testing.assert_allclose(
        head.predict_proba(longest), head.predict_proba(np.eye(2, dtype=np.float32)), rtol=1e-6
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(6, 40), st.integers(1, 60), st.integers(2, 4))
def test_order_does_not_change_a_bit(seed, n, d, n_classes):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)).astype(np.float32), np.arange(n) % n_classes
    X[1] = X[0]
    order = rng.permutation(n)
    first, second = LogisticHead().fit(X, y), LogisticHead().fit(X[order], y[order])
    assert first.C_ == second.C_
    np.testing.assert_array_equal(first.coef_, second.coef_)
    np.testing.assert_array_equal(first.intercept_, second.intercept_)


def test_the_number_of_threads_does_not_change_a_bit(digits):
    X, y = digits
    with threadpool_limits(1):
        one = LogisticHead().fit(X[:200], y[:200])
    with threadpool_limits(2):
        two = LogisticHead().fit(X[:200], y[:200])
    np.testing.assert_array_equal(one.coef_, two.coef_)


@pytest.mark.parametrize("n", [20, 50, 100, 200])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_chosen_strength_is_close_to_the_best_fixed_one(digits, n, seed):
    X, y = digits
    order = np.random.default_rng(seed).permutation(1200)[:n]

    def accuracy(C):
        head = LogisticHead(C=C).fit(X[order], y[order])
        return (head.predict(X[1200:]) == y[1200:]).mean()

    best = max(accuracy(C) for C in (1.0, 10.0, 100.0, 1000.0))
    assert accuracy("auto") >= best - 0.025


def test_noisy_labels_get_more_regularisation(digits):
    X, y = digits
    noisy = y[:400].copy()
    wrong = np.random.default_rng(0).permutation(400)[:160]
    noisy[wrong] = (noisy[wrong] + 3) % 10
    clean, stained = LogisticHead().fit(X[:400], y[:400]), LogisticHead().fit(X[:400], noisy)
    weak = LogisticHead(C=1000.0).fit(X[:400], noisy)
    assert stained.C_ < clean.C_
    accuracies = [(head.predict(X[400:]) == y[400:]).mean() for head in (stained, weak)]
    assert accuracies[0] > accuracies[1] + 0.05


def test_the_prior_moves_with_the_scale_of_the_rows():
    near, far = (
        LogisticHead(normalize=False).fit([[scale], [-scale]], ["a", "b"]) for scale in (1.0, 10.0)
    )
    ratio = near.C_ / far.C_
    assert ratio == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("X", "y", "C", "rule"),
    [
        ([[1.0, 0.0]], ["a"], "auto", "one class: predicted always"),
        ([[1.0, 0.0], [0.0, 1.0]], ["a", "b"], 3.0, "given"),
        (
            [[1.0, 0.0], [0.0, 1.0]],
            ["a", "b"],
            "auto",
            "prior: no class has two distinct rows",
        ),
        (
            [[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]],
            ["a", "a", "b"],
            "auto",
            "cross-validation: least log-loss of 2 labels in 2 folds, with a prior at C = 31,600",
        ),
    ],
)
def test_the_rule_describes_the_choice(X, y, C, rule):
    assert LogisticHead(C=C).fit(X, y).C_rule_ == rule


def test_equal_rows_share_a_fold():
    X = np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5)
    head = LogisticHead().fit(X, [0] * 5 + [1] * 5)
    assert head.C_rule_ == "prior: no class has two distinct rows"


def test_the_prior_alone_gives_the_stated_value():
    # Two rows at distance 2 from each other: n x variance = 2, so C = 60,000 / 2 = 10^4.48.
    chosen = LogisticHead().fit([[1.0], [-1.0]], ["a", "b"]).C_
    assert chosen == pytest.approx(10**4.5)


def objective(head, X, y, weights=None):
    """Return the objective in float64, with C as in scikit-learn."""
    rows = unit(X.astype(np.float64))
    losses = -log_softmax(rows @ head.coef_.T + head.intercept_, axis=1)
    own = losses[np.arange(len(y)), np.searchsorted(head.classes_, y)]
    penalty = (head.coef_**2).sum() / (2.0 * head.C_ * (0.5 if len(head.classes_) == 2 else 1.0))
    return float((own if weights is None else own * weights).sum() + penalty)


@pytest.mark.parametrize("C", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("n", [30, 300, 1500])
def test_float32_comes_within_a_hundred_thousandth_of_the_optimum(digits, C, n):
    X, y = digits
    head = LogisticHead(C=C).fit(X[:n], y[:n])
    exact = LogisticHead(C=C, tol=1e-5, max_iter=10_000).fit(X[:n].astype(np.float64), y[:n])
    assert head.converged_
    assert objective(head, X[:n], y[:n]) / objective(exact, X[:n], y[:n]) - 1.0 < 1e-5


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5}])
def test_weights_have_the_effect_of_scikit_learn(digits, n_classes, class_weight):
    X, y = digits
    X, y = X[y < n_classes][:120].astype(np.float64), y[y < n_classes][:120]
    weights = np.random.default_rng(0).uniform(0.1, 3.0, size=len(y))
    options = {"C": 5.0, "class_weight": class_weight}
    ours = LogisticHead(tol=1e-8, **options).fit(X, y, sample_weight=weights)
    theirs = LogisticRegression(solver="newton-cg", tol=1e-10, max_iter=1000, **options)
    theirs.fit(unit(X), y, sample_weight=weights)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(unit(X)), atol=1e-6)


@pytest.mark.parametrize("C", ["auto", 10.0])
def test_weight_two_equals_two_rows_and_weight_zero_none(digits, C):
    X, y = digits[0][:150], digits[1][:150]
    times = np.random.default_rng(0).integers(0, 4, size=150)
    repeated = LogisticHead(C=C).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    weighted = LogisticHead(C=C).fit(X, y, sample_weight=times)
    assert weighted.C_ == repeated.C_
    np.testing.assert_array_equal(weighted.coef_, repeated.coef_)
    assert weighted.temperature_ == repeated.temperature_


def test_a_class_with_only_zero_weights_is_omitted():
    X, y = np.eye(3), np.array(["a", "b", "c"])
    head = LogisticHead(C=1.0).fit(X, y, sample_weight=[1.0, 1.0, 0.0])
    assert head.classes_.tolist() == ["a", "b"]


def test_a_warm_start_reaches_the_same_optimum_in_fewer_steps(digits):
    X, y = digits
    head = LogisticHead(C=100.0, warm_start=True).fit(X[:1000], y[:1000])
    head.fit(X[:1050], y[:1050])
    cold = LogisticHead(C=100.0).fit(X[:1050], y[:1050])
    assert head.n_iter_ < cold.n_iter_
    values = objective(head, X[:1050], y[:1050]), objective(cold, X[:1050], y[:1050])
    assert values[0] == pytest.approx(values[1], rel=1e-5)


def test_a_warm_start_with_other_classes(digits):
    X, y = digits
    head = LogisticHead(C=10.0, warm_start=True)
    for classes in ((2, 5), (2, 5, 7, 9), (1, 7, 9), (7,), (0, 7)):
        chosen = np.isin(y[:300], classes)
        head.fit(X[:300][chosen], y[:300][chosen])
        assert head.classes_.tolist() == list(classes)
        if len(classes) > 1:
            cold = LogisticHead(C=10.0).fit(X[:300][chosen], y[:300][chosen])
            np.testing.assert_allclose(
                head.predict_proba(X[300:]), cold.predict_proba(X[300:]), atol=1e-2
            )


def test_a_partial_fit_reaches_the_optimum_of_its_rows(digits):
    X, y = digits
    head = LogisticHead(C=10.0).fit(X[:200], y[:200])
    head.partial_fit(X[200:400], y[200:400])
    alone = LogisticHead(C=10.0).fit(X[200:400], y[200:400])
    values = (objective(each, X[200:400], y[200:400]) for each in (head, alone))
    assert next(values) == pytest.approx(next(values), rel=1e-5)


def test_a_partial_fit_keeps_classes_and_adds_new_ones(digits):
    X, y = digits
    low, high = y[:300] < 3, y[:300] >= 7
    head = LogisticHead().partial_fit(X[:300][low], y[:300][low], classes=range(10))
    assert head.classes_.tolist() == list(range(10))
    head.partial_fit(X[:300][high], y[:300][high])
    later = y[300:] >= 7
    assert (head.predict(X[300:][later]) == y[300:][later]).mean() > 0.9
    other = LogisticHead(C=1.0).partial_fit(X[:300][low], y[:300][low])
    other.partial_fit(X[:300][high], y[:300][high])
    assert other.classes_.tolist() == [0, 1, 2, 7, 8, 9]


def test_classes_without_rows_do_not_change_a_partial_fit(digits):
    X, y = digits
    low, high = y[:300] < 5, y[:300] >= 5
    for C in ("auto", 10.0):
        head = LogisticHead(C=C).partial_fit(X[:300][low], y[:300][low])
        head.partial_fit(X[:300][high], y[:300][high])
        alone = LogisticHead(C=C).fit(X[:300][high], y[:300][high])
        assert head.converged_
        assert set(head.predict(X).tolist()) == {5, 6, 7, 8, 9}
        shares = head.predict_proba(X[300:])  # (n, 10)
        assert shares[:, :5].max() < 1e-6
        if C == 10.0:  # whose meaning does not hang on the number of classes
            present = head.coef_[5:] - head.coef_[5:].mean(axis=0)
            penalised = objective(head, X[:300][high], y[:300][high])
            assert penalised == pytest.approx(objective(alone, X[:300][high], y[:300][high]), 1e-4)
            np.testing.assert_allclose(present, alone.coef_, atol=0.02 * np.abs(alone.coef_).max())
        head.partial_fit(X[:300], y[:300])
        assert set(head.predict(X).tolist()) == set(range(10))


def test_partial_fits_to_one_class_at_a_time(digits):
    X, y = digits
    head = LogisticHead()
    for label in (3, 1, 3):
        head.partial_fit(X[:200][y[:200] == label], y[:200][y[:200] == label])
    assert head.classes_.tolist() == [1, 3]
    assert np.isfinite(head.coef_).all()
    assert head.predict(X[:1]).tolist() == [3]


def test_the_temperature_changes_no_prediction(digits):
    X, y = digits
    noisy = y[:300].copy()
    noisy[::4] = (noisy[::4] + 1) % 10
    head = LogisticHead().fit(X[:300], noisy)
    assert head.temperature_ != 1.0
    tempered = np.log(head.predict_proba(X.astype(np.float64)))
    logits = unit(X.astype(np.float64)) @ head.coef_.T + head.intercept_
    expected = log_softmax(logits / head.temperature_, axis=1)
    np.testing.assert_allclose(tempered, expected, atol=1e-9)
    np.testing.assert_array_equal(head.predict(X), head.classes_[logits.argmax(axis=1)])


def test_cv_accuracy_is_that_of_held_out_rows(digits):
    X, y = digits
    head = LogisticHead().fit(X[:400], y[:400])
    assert head.cv_n_ == 400
    assert head.cv_accuracy_ == pytest.approx((head.predict(X[400:]) == y[400:]).mean(), abs=0.05)
    assert 0.0 <= head.cv_ece_ < 0.1
    given = LogisticHead(C=1.0).fit(X[:400], y[:400])
    assert (given.cv_accuracy_, given.cv_n_, given.cv_ece_) == (None, None, None)
    single = LogisticHead().fit(X[:10], np.arange(10))
    assert (single.cv_n_, single.temperature_) == (None, 1.0)


def test_many_labels_are_held_out_once(digits):
    X, y = digits
    X = np.concatenate([X, X + np.float32(0.25)])
    head = LogisticHead().fit(X, np.concatenate([y, y]))
    assert 1000 <= head.cv_n_ < 2000
    assert head.C_rule_.startswith(f"cross-validation: least log-loss of {head.cv_n_:,} labels in")
    assert head.cv_accuracy_ > 0.9


def test_a_thousand_classes():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(1000, 64))
    y = np.arange(2000) % 1000
    X = (centres[y] + 0.2 * rng.normal(size=(2000, 64))).astype(np.float32)
    head = LogisticHead(C=1000.0).fit(X, y)
    assert head.converged_
    assert (head.predict(X) == y).mean() > 0.99


def test_separable_rows_with_a_tiny_penalty():
    X, y = np.array([[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.2, 1.0]]), [0, 0, 1, 1]
    head = LogisticHead(C=1e8).fit(X, y)
    assert np.isfinite(head.coef_).all()
    assert head.predict_proba(X).max(axis=1).min() > 0.999


def test_converged_is_false_after_too_few_steps(digits):
    X, y = digits
    assert not LogisticHead(C=1e4, max_iter=2).fit(X[:200], y[:200]).converged_
    assert LogisticHead(C=1e4).fit(X[:200], y[:200]).converged_


def test_prediction_does_not_copy_a_large_matrix(tmp_path):
    path = tmp_path / "embeddings.npy"
    shape = (60_000, 64)  # 15 MB
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    matrix[:] = np.random.default_rng(0).normal(size=shape)
    mapped = np.load(path, mmap_mode="r")
    head = LogisticHead(C=1.0).fit(mapped[:20], np.arange(20) % 4)
    tracemalloc.start()
    head.predict_proba(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # the result is 1 MB, a block of lengths and logits less


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"C": 0.0}, "C is 0.0: give a number above 0, or 'auto'."),
        ({"C": "best"}, "C is 'best': give a number above 0, or 'auto'."),
        ({"C": True}, "C is True: give a number above 0, or 'auto'."),
        ({"C": float("nan")}, "C is nan: give a number above 0, or 'auto'."),
        ({"max_iter": 0}, "max_iter is 0: give a whole number, at least 1."),
        ({"tol": 0.0}, "tol is 0.0: give a number above 0."),
    ],
)
def test_invalid_parameters_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        LogisticHead(**options).fit([[0.0], [1.0]], [0, 1])
    assert str(error.value) == message


def test_a_label_that_is_not_a_number():
    with pytest.raises(LabelError) as error:
        LogisticHead().fit([[0.0], [1.0]], [0.0, float("nan")])
    assert str(error.value) == "the label of row 1 is missing: leave unlabelled rows out."
