"""Heads that are exact on streams: order and batches do not matter."""

import numpy as np
import pytest
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import (
    FeCAMHead,
    NearestMeanHead,
    RandomProjectionRidgeHead,
    RidgeHead,
    SLDAHead,
    _moments,
    get_head,
    heads,
)
from embedpipe.heads._labelled import Sample

ALL = [name for name in heads if getattr(heads[name], "exact_on_streams", False)]
EXACT = [name for name in ALL if name != "knn"]  # which keeps sums
LINEAR = [name for name in EXACT if name != "fecam"]

SMALL = {"random_projection_ridge": {"features": 40}}
"""Settings that keep many fits fast."""


def exact(name, **options):
    return get_head(name, **SMALL.get(name, {}), **options)


def stream(n=150, d=12, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n)
    rows = rng.normal(size=(n_classes, d))[codes] + rng.normal(size=(n, d)) + 3.0
    return rows.astype(np.float32), np.array([f"class {code}" for code in codes])


@pytest.fixture(params=EXACT)
def name(request):
    return request.param


@pytest.fixture(params=LINEAR)
def linear(request):
    return request.param


def test_which_heads_are_exact_on_streams():
    assert EXACT == ["ridge", "random_projection_ridge", "nearest_mean", "slda", "fecam"]
    assert set(ALL) == {*EXACT, "knn"}
    assert not hasattr(heads["logistic"], "exact_on_streams")


@pytest.fixture
def few_rows(monkeypatch):
    """Limit heads to 30 rows, so that they use sums."""
    original = Sample.of, Sample.joined
    monkeypatch.setattr(
        Sample, "of", classmethod(lambda cls, b, c, limit=30: original[0](b, c, 30))
    )
    monkeypatch.setattr(Sample, "joined", lambda s, o, limit=30: original[1](s, o, 30))


def in_parts(head, X, y, seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    cuts = np.sort(rng.choice(np.arange(1, len(y)), size=rng.integers(1, 12), replace=False))
    for part in np.split(order, cuts):
        head.partial_fit(X[part], y[part])
    return head


@pytest.mark.parametrize("d", [12, 60])  # more and fewer rows of a class than dimensions
@pytest.mark.parametrize("normalize", [True, False])
def test_twenty_orders_and_batches_give_the_joint_fit(name, normalize, d, few_rows):
    X, y = stream(d=d)
    probe, _ = stream(50, d, seed=1)
    joint = exact(name, normalize=normalize).fit(X, y)
    logits = joint._logits(probe, np.float64, 0)  # (50, K)
    assert not joint.sample_complete_
    for seed in range(20):
        head = in_parts(exact(name, normalize=normalize), X, y, seed)
        np.testing.assert_array_equal(head.classes_, joint.classes_)
        found = head._logits(probe, np.float64, 0)
        np.testing.assert_allclose(found, logits, rtol=1e-5, atol=1e-6)
        for attribute in ("coef_", "intercept_", "temperature_", "cv_accuracy_", "class_count_"):
            if hasattr(joint, attribute):
                np.testing.assert_allclose(
                    getattr(head, attribute), getattr(joint, attribute), rtol=1e-5, atol=1e-7
                )


def test_neighbours_are_the_same_in_twenty_orders_and_batches():
    X, y = stream()
    probe, _ = stream(50, seed=1)
    joint = get_head("knn").fit(X, y).predict_proba(probe)
    for seed in range(20):
        found = in_parts(get_head("knn"), X, y, seed).predict_proba(probe)
        np.testing.assert_allclose(found, joint, rtol=1e-5, atol=1e-6)


def test_kept_rows_give_the_same_bits(linear):
    X, y = stream()
    joint = exact(linear).fit(X, y)
    assert joint.sample_complete_
    for seed in range(5):
        head = in_parts(exact(linear), X, y, seed)
        np.testing.assert_array_equal(head.coef_, joint.coef_)
        np.testing.assert_array_equal(head.predict_proba(X), joint.predict_proba(X))


def test_sums_and_rows_agree(linear, monkeypatch):
    X, y = stream()
    rows = exact(linear).fit(X, y)
    head = exact(linear)
    monkeypatch.setattr(Sample, "_cut", lambda sample, limit: sample._replace_complete())
    monkeypatch.setattr(
        Sample,
        "_replace_complete",
        lambda s: Sample(s.rows, s.codes, s.weights, s.digests, False),
        raising=False,
    )
    head.fit(X, y)
    assert not head.sample_complete_
    np.testing.assert_allclose(head.coef_, rows.coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(head.temperature_, rows.temperature_, rtol=1e-6)
    assert head.cv_accuracy_ == rows.cv_accuracy_


def test_the_number_of_threads_does_not_matter(name, few_rows, monkeypatch):
    monkeypatch.setattr(_moments, "BLOCK_ROWS", 64)
    X, y = stream(700, 40)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            head = exact(name).partial_fit(X[:400], y[:400]).partial_fit(X[400:], y[400:])
            found.append(head.predict_proba(X))
    np.testing.assert_array_equal(found[0], found[1])


def test_a_row_in_two_calls_equals_one_of_weight_two(name):
    X, y = stream(40)
    once = exact(name).fit(X, y, sample_weight=np.where(np.arange(40) < 10, 2.0, 1.0))
    twice = exact(name).partial_fit(X[:10], y[:10]).partial_fit(X, y)
    np.testing.assert_allclose(once.predict_proba(X), twice.predict_proba(X), rtol=1e-5, atol=1e-9)
    np.testing.assert_array_equal(once.sample_weights_, twice.sample_weights_)
    assert once.cv_n_ == twice.cv_n_ == 40


@pytest.mark.parametrize("n", [25, 400])  # fewer and more rows than dimensions
@pytest.mark.parametrize(
    "head",
    [
        RidgeHead(alpha=0.5),
        RandomProjectionRidgeHead(alpha=5.0, features=40),
        NearestMeanHead(),
        SLDAHead(shrinkage=0.2),
        FeCAMHead(shrinkage=1.0),
    ],
    ids=repr,
)
def test_leave_one_out_equals_a_fit_without_the_row(head, n):
    X, y = stream(n, 30)
    weights = np.random.default_rng(1).uniform(0.5, 2.0, size=n)
    whole = clone(head).fit(X, y, sample_weight=weights)
    hits, scored = [], 0
    for row in range(min(n, 40)) if n > 40 else range(n):
        rest = np.arange(n) != row
        if y[row] not in y[rest]:
            continue
        without = clone(head).fit(X[rest], y[rest], sample_weight=weights[rest])
        hits.append(without.predict(X[row : row + 1])[0] == y[row])
        scored += 1
    if n <= 40:
        assert whole.cv_n_ == scored
        assert whole.cv_accuracy_ == pytest.approx(np.mean(hits), abs=1e-9)
    else:
        assert whole.cv_accuracy_ == pytest.approx(np.mean(hits), abs=0.25)


def test_classes_may_be_new_or_declared(name):
    X, y = stream()
    joint = exact(name).fit(X, y).predict_proba(X)
    late = exact(name).partial_fit(X[y == "class 2"], y[y == "class 2"])
    assert late.classes_.tolist() == ["class 2"]
    assert late.predict(X[:3]).tolist() == ["class 2"] * 3
    late.partial_fit(X[y != "class 2"], y[y != "class 2"])
    np.testing.assert_allclose(late.predict_proba(X), joint, atol=1e-6)
    declared = exact(name).partial_fit(X, y, classes=[*np.unique(y), "other"])
    probabilities = declared.predict_proba(X)
    assert declared.classes_[-1] == "other"
    np.testing.assert_array_equal(probabilities[:, -1], 0.0)
    np.testing.assert_allclose(probabilities[:, :-1], joint, atol=1e-6)


def test_an_undeclared_label_is_refused(name):
    X, y = stream(20)
    with pytest.raises(LabelError) as error:
        exact(name).partial_fit(X, y, classes=["class 0", "class 1", "class 2"])
    assert str(error.value) == (
        "the label 'class 3' is not among `classes`, 'class 0', 'class 1', 'class 2': "
        "list all possible labels, or omit `classes`."
    )


def test_strings_after_numbers_are_refused(name):
    X, y = stream(20)
    head = exact(name).partial_fit(X, np.arange(20) % 2)
    with pytest.raises(LabelError) as error:
        head.partial_fit(X, y)
    assert str(error.value) == ("earlier labels are numbers and new labels strings: use one type.")


def test_partial_fit_refuses_balanced_class_weights(name):
    X, y = stream(20)
    with pytest.raises(UsageError) as error:
        exact(name, class_weight="balanced").partial_fit(X, y)
    assert str(error.value) == (
        "class_weight='balanced' does not work with partial_fit: "
        "give weights by label, or call fit with all rows."
    )


def test_the_sample_has_the_lowest_digests_for_any_order():
    X, y = stream(100)
    batch = [RidgeHead()._read(X[p], y[p], None, reset=True) for p in np.split(np.arange(100), 4)]
    parts = [Sample.of(b, np.searchsorted(np.unique(y), b.classes)[b.codes], 20) for b in batch]
    forward, backward = parts[0], parts[3]
    for k in (1, 2, 3):
        forward, backward = forward.joined(parts[k], 20), backward.joined(parts[3 - k], 20)
    everything = np.sort(np.concatenate([b.digests for b in batch]))
    assert sorted(forward.digests.tolist()) == everything[:20].tolist()
    np.testing.assert_array_equal(forward.rows, backward.rows)
    np.testing.assert_array_equal(forward.codes, backward.codes)
