"""The network: gradient steps, dropout, warm starts."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

from embedpipe.errors import UsageError
from embedpipe.heads import MLPHead, load_head, save_head
from embedpipe.heads._network import (
    DropoutPosterior,
    Network,
    TrainingOptions,
    initial_network,
    resize_outputs,
    train,
)
from embedpipe.strategies import Pool, get_strategy


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order].astype(np.float32), y[order]


def plan(**changes):
    options = {
        "epochs": 1, "batch_size": 8, "dropout": 0.0, "lr": 0.01, "gamma": 1.0,
        "weight_decay": 0.0, "seed": 0,
    }  # fmt: skip
    return TrainingOptions(**{**options, **changes})


def small_network():
    return initial_network(3, 4, np.array([0.5, 0.5]), np.random.default_rng(0))


def test_the_first_step_of_adam_is_the_sign_of_the_gradient():
    start = small_network()
    rows = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    codes, weights = np.array([0, 1, 0, 1, 1, 1]), np.array([1.0, 2.0, 1.0, 1.0, 3.0, 1.0])
    found, _ = train(start, rows, codes, weights, plan())

    def loss(network):
        logits = network.logits(rows.astype(np.float64))
        likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -(weights * np.log(likely[np.arange(6), codes])).sum() / weights.sum()

    wide = Network(*(array.astype(np.float64) for array in start))
    for position, (before, after) in enumerate(zip(start, found, strict=True)):
        for index in np.ndindex(before.shape):
            moved = [array.copy() for array in wide]
            moved[position][index] += 1e-6
            slope = (loss(Network(*moved)) - loss(wide)) / 1e-6
            if abs(slope) > 1e-4:
                assert after[index] - before[index] == pytest.approx(
                    -0.01 * np.sign(slope), rel=0.05
                )


def test_the_learning_rate_falls_to_gamma_times_itself():
    # A gradient that does not change makes every step of Adam as long as the learning rate.
    start = Network(
        np.zeros((1, 1), np.float32), np.zeros(1, np.float32),
        np.zeros((1, 2), np.float32), np.array([0.0, 40.0], np.float32),
    )  # fmt: skip
    rows, codes = np.zeros((1, 1), np.float32), np.array([0])
    found, state = train(start, rows, codes, np.ones(1), plan(epochs=4, gamma=1e-4))
    rates = 0.01 * 1e-4 ** (np.arange(4) / 4.0)
    assert found.intercept[0] == pytest.approx(rates.sum(), rel=1e-3)
    assert (state.steps, state.lr) == (4, pytest.approx(0.01 * 1e-4))


def test_new_outputs_do_not_change_the_others():
    network = small_network()
    wider = resize_outputs(network, np.array([1, -1, 0]), np.random.default_rng(1))
    np.testing.assert_array_equal(wider.coef[:, [2, 0]], network.coef)
    np.testing.assert_array_equal(wider.intercept[[2, 0]], network.intercept)
    assert wider.intercept[1] == network.intercept.min()
    assert np.abs(wider.coef[:, 1]).max() <= 0.5  # 1 / sqrt(4 hidden units)


def test_it_learns_digits(digits):
    X, y = digits
    head = MLPHead().fit(X[:300], y[:300])
    assert head.score(X[300:], y[300:]) > 0.88
    assert head.temperature_ != 1.0
    assert head.epochs_ == 21  # 200 steps of 32 rows, out of 300


def test_any_number_of_threads_gives_the_same_bits():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(120, 700)).astype(np.float32), np.arange(120) % 3
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            with threadpool_limits(threads):
                found.append(MLPHead(epochs=3).fit(X, y).predict_proba(X))
            assert torch.get_num_threads() == threads  # what was set is there again
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


def test_no_global_state_is_changed(digits):
    X, y = digits
    before, seeded = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    MLPHead(epochs=2).fit(X[:50], y[:50])
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(np.random.get_state()[1], seeded)  # noqa: NPY002


def test_seeds_differ(digits):
    X, y = digits
    first, second = (MLPHead(seed=seed).fit(X[:50], y[:50]).coef_ for seed in (0, 1))
    assert np.abs(first - second).max() > 0.01


def test_a_warm_start_keeps_the_weights(digits):
    X, y = digits
    cold = MLPHead(epochs=2).fit(X[:100], y[:100])
    warm = MLPHead(epochs=2, warm_start=True).fit(X[:100], y[:100])
    np.testing.assert_array_equal(cold.coef_, warm.coef_)
    before = cold.score(X[300:], y[300:])
    for _ in range(6):
        cold.fit(X[:100], y[:100])
        warm.fit(X[:100], y[:100])
    assert cold.score(X[300:], y[300:]) == before
    assert warm.score(X[300:], y[300:]) > before + 0.05
    assert (cold.n_calls_, warm.n_calls_) == (1, 7)


def test_training_on_a_class_forgets_the_others(digits):
    X, y = digits
    head = MLPHead().fit(X[:300], y[:300])
    only = np.flatnonzero(y[:300] == 3)
    for _ in range(5):
        head.partial_fit(X[only], y[only])
    assert (head.predict(X[300:]) == 3).mean() > 0.5
    assert head.classes_.tolist() == list(range(10))


def test_stochastic_prediction_is_the_mean_of_draws(digits):
    X, y = digits
    head = MLPHead(mc_samples=8, seed=5, epochs=5).fit(X[:100], y[:100])
    draws = head.posterior(X[:100], 8, np.random.default_rng(5)).predict_proba(X[:20])
    assert draws.shape == (8, 20, 10)
    assert draws.std(axis=0).max() > 0.01
    head.stochastic_pred = True
    np.testing.assert_allclose(head.predict_proba(X[:20]), draws.mean(axis=0), atol=1e-6)
    head.dropout = 0.0
    still = head.predict_proba(X[:20])
    head.stochastic_pred = False
    np.testing.assert_allclose(still, head.predict_proba(X[:20]), atol=1e-6)


def test_a_draw_by_hand():
    head = MLPHead(hidden=2, dropout=0.5, normalize=False).fit([[0.0], [1.0]], ["a", "b"])
    head.input_mean_, head.input_scale_ = np.zeros(1), 1.0
    head.hidden_coef_ = np.array([[1.0, 2.0]], dtype=np.float32)
    head.hidden_intercept_ = np.array([0.0, -1.0], dtype=np.float32)
    head.coef_ = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    head.intercept_ = np.zeros(2, dtype=np.float32)
    draws = head.posterior(None, 200, np.random.default_rng(0)).predict_proba([[1.0]])[:, 0]
    # Both hidden units are 1; each is dropped or doubled: logits (0 or 2, 0 or 2).
    sure = np.exp(2.0) / (1.0 + np.exp(2.0))
    expected = np.array([1.0 - sure, 0.5, sure])
    assert set(np.abs(draws[:, :1] - expected).argmin(axis=1)) == {0, 1, 2}
    assert np.abs(draws[:, :1] - expected).min(axis=1).max() < 1e-6


def test_the_posterior_has_the_form_that_strategies_need(digits):
    X, y = digits
    head = MLPHead(epochs=5).fit(X[:60], y[:60])
    pool = Pool(X[:400], labelled=np.arange(60), labels=y[:60], head=head)
    picks = get_strategy("bald").select(pool, 5, np.random.default_rng(0))
    assert len(set(picks.rows.tolist())) == 5
    assert picks.scores.min() > 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": 0}, "hidden is 0: give a whole number, at least 1."),
        ({"epochs": 1.5}, "epochs is 1.5: give a whole number, at least 1, or 'auto'."),
        ({"dropout": 1.0}, "dropout is 1.0: give a number at least 0 and below 1."),
        ({"lr": 0.0}, "lr is 0.0: give a number above 0."),
        ({"gamma": -0.1}, "gamma is -0.1: give a number above 0."),
        ({"weight_decay": -1.0}, "weight_decay is -1.0: give a number at least 0."),
        ({"mc_samples": True}, "mc_samples is True: give a whole number, at least 1."),
    ],
)
def test_invalid_parameters_are_refused(options, message):
    with pytest.raises(UsageError) as error:
        MLPHead(**options).fit([[0.0], [1.0]], [0, 1])
    assert str(error.value) == message


def test_zero_draws_are_refused():
    head = MLPHead(epochs=1).fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(UsageError) as error:
        head.posterior(None, 0, np.random.default_rng(0))
    assert str(error.value) == "n_samples is 0: give a whole number, at least 1."


def trained(head, X, y, parts):
    for part in parts:
        head.partial_fit(X[part], y[part])
    return head


PARTS = [slice(0, 60), slice(60, 120), slice(120, 200)]


def test_training_resumes_from_a_file(digits, tmp_path):
    X, y = digits
    options = {"hidden": 16, "epochs": 3, "keep_optimiser": True}
    whole = trained(MLPHead(**options), X, y, PARTS)
    stopped = trained(MLPHead(**options), X, y, PARTS[:2])
    assert stopped.adam_steps_ == 2 * 3 * 2
    assert stopped.adam_lr_ == pytest.approx(stopped.lr * stopped.gamma)
    loaded, _ = load_head(save_head(stopped, tmp_path / "head.safetensors"))
    trained(loaded, X, y, PARTS[2:])
    for name in ("hidden_coef_", "coef_", "adam_mean_coef_", "adam_square_hidden_coef_"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(whole, name))
    assert (loaded.loss_, loaded.adam_steps_) == (whole.loss_, whole.adam_steps_)
    forgetful = trained(MLPHead(**{**options, "keep_optimiser": False}), X, y, PARTS)
    assert not hasattr(forgetful, "adam_steps_")
    assert not np.array_equal(forgetful.coef_, whole.coef_)


def test_the_kept_optimiser_has_zeros_for_new_classes(digits):
    X, y = digits
    head = MLPHead(hidden=8, epochs=1, keep_optimiser=True)
    few = np.flatnonzero(y < 3)[:60]
    head.partial_fit(X[few], y[few])
    kept = np.array([0, 1, 2, -1])
    state = head._state(kept)
    np.testing.assert_array_equal(state.mean.coef[:, :3], head.adam_mean_coef_)
    assert not state.mean.coef[:, 3].any()
    assert not state.square.intercept[3]
    head.partial_fit(X[:60], y[:60])
    assert head.adam_mean_coef_.shape == head.coef_.shape


def test_the_loss_is_the_mean_log_loss_of_the_labels_without_dropout(digits):
    X, y = digits
    weights = np.linspace(0.5, 2.0, 80)
    head = MLPHead(hidden=8, epochs=3).fit(X[:80], y[:80], weights)
    logits = np.log(head.set_params(stochastic_pred=False).predict_proba(X[:80].astype(float)))
    logits *= head.temperature_
    likely = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    own = likely[np.arange(80), np.searchsorted(head.classes_, y[:80])]
    assert head.loss_ == pytest.approx(-(weights @ np.log(own)) / weights.sum(), rel=1e-4)
    assert MLPHead(hidden=8, epochs=1).fit(X[:5], ["hat"] * 5).loss_ == pytest.approx(0.0)


def test_a_draw_drops_its_units():
    masks = np.array([[1.0, 0.0], [0.0, 1.0]])
    posterior = DropoutPosterior(np.asarray, masks, np.log(3) * np.eye(2), np.zeros(2), 1.0)
    found = posterior.predict_proba([[1.0, 1.0]])
    np.testing.assert_allclose(found, [[[0.75, 0.25]], [[0.25, 0.75]]], atol=1e-6)
