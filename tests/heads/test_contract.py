"""What every registered head must do; a new one is covered the moment it is registered."""

import numpy as np
import pytest

from embedpipe.heads import get_head, heads
from embedpipe.testing import ContractError, check_head, head_checks
from embedpipe.testing.heads import example_rows

every_head = pytest.mark.parametrize("name", list(heads))

QUICK = {"mlp": "mlp(epochs=8, batch_size=64)"}
"""Settings with which scikit-learn's many small fits do not take a minute."""

SHARES = ("logistic", "slda", "knn", "mlp", "label_propagation")
"""Heads that predict the shares of the labels where rows tell nothing."""

EQUAL_CLASSES = ("nearest_mean", "fecam")
"""Heads for which classes weigh the same whatever the weights of their rows."""


@every_head
@pytest.mark.parametrize("check", head_checks, ids=lambda check: check.__name__)
def test_contract(name, check):
    check(
        QUICK.get(name, name)
        if check.__name__ == "passes_check_estimator_of_scikit_learn"
        else name
    )


def test_a_head_that_breaks_the_contract_fails_it(monkeypatch):
    ridge = heads["ridge"]

    class Hasty(ridge):
        """Takes labels as they come."""

        def predict_proba(self, X):
            return super().predict_proba(X).astype(np.float64)

    monkeypatch.setitem(heads._entries, "hasty", Hasty)
    with pytest.raises(ContractError) as caught:
        check_head("hasty")
    assert (
        "- probabilities_agree_with_predictions: AssertionError: probabilities must be float32"
        in (str(caught.value).splitlines())
    )
    assert "separable_classes_are_learned" not in str(caught.value)


@every_head
def test_constant_features_do_not_change_predictions(name):
    X, y = example_rows(40, 6, 2)
    X[:, 2:4] = 3.0
    least = 0.9 if name == "fecam" else 1.0  # a root makes much of noise around zero
    assert (get_head(name).fit(X, y).predict(X) == y).mean() >= least


@pytest.mark.parametrize("name", SHARES)
def test_equal_rows_have_the_class_frequencies(name):
    X = np.full((6, 3), 0.1, dtype=np.float32)
    probabilities = get_head(name).fit(X, ["a", "a", "a", "a", "b", "b"]).predict_proba(X)
    np.testing.assert_allclose(probabilities, [[2 / 3, 1 / 3]] * 6, atol=1e-2)


@pytest.mark.parametrize("name", sorted(set(heads) - set(EQUAL_CLASSES)))
def test_balanced_equals_sample_weights(name):
    X, y = example_rows(60, 6, 3, spread=1.5)
    kept = np.flatnonzero((y != "class 002") | (np.arange(60) % 4 == 0))
    X, y = X[kept], y[kept]
    balanced = get_head(name, class_weight="balanced").fit(X, y).predict_proba(X)
    counts = {label: int((y == label).sum()) for label in np.unique(y)}
    by_label = {label: len(y) / (3 * n) for label, n in counts.items()}
    weights = np.array([by_label[label] for label in y])
    given = get_head(name).fit(X, y, sample_weight=weights).predict_proba(X)
    np.testing.assert_allclose(balanced, given, atol=2e-3)
    mapped = get_head(name, class_weight=by_label).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(balanced, mapped, atol=2e-3)


@every_head
def test_the_temperature_is_above_zero(name):
    X, y = example_rows(600, 8, 3, spread=1.2)
    head = get_head(name).fit(X[:100], y[:100])
    assert head.temperature_ is None or head.temperature_ > 0.0
    if head.cv_accuracy_ is None:
        assert head.cv_ece_ is None
        assert not head.cv_n_
