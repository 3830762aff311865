"""Penalties and gradients worked out by hand, and checked by finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from embedpipe.continual.penalties import Consolidation, Distillation, SynapticConsolidation
from embedpipe.continual.rehearsal import (
    DarkExperience,
    GradientProjection,
    Rehearsal,
    project,
)
from embedpipe.heads import Network, Training, UpdateRule

ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.5]], dtype=np.float32)
CODES = np.array([0, 1, 2, 1])


def training(network: Network, rows=ROWS, codes=CODES, size=4, **state) -> Training:
    weights = np.ones(len(rows), dtype=np.float32)
    rng = np.random.default_rng(0)
    arrays = {name: np.asarray(value) for name, value in state.items()}
    classes = np.arange(network.shape[2])
    return Training(network, rows, codes, weights, classes, size, rng, np.float32, arrays)


def network_of(values, d=2, hidden=0, classes=3) -> Network:
    return Network(d, hidden, classes, np.array(values, dtype=np.float32))


def drawn(hidden: int, seed: int = 1) -> Network:
    p = len(Network(2, hidden, 3).values)
    return network_of(np.random.default_rng(seed).normal(size=p), hidden=hidden)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def logits64(values: np.ndarray, like: Network, rows: np.ndarray) -> np.ndarray:
    """The logits in float64, from the formula."""
    d, hidden, classes = like.shape
    inputs = hidden or d
    coef, intercept, below, offsets = np.split(
        values, np.cumsum([classes * inputs, classes, hidden * d])
    )
    units = np.maximum(rows @ below.reshape(hidden, d).T + offsets, 0.0) if hidden else rows
    return units @ coef.reshape(classes, inputs).T + intercept


def cross_entropy(values: np.ndarray, like: Network, rows=ROWS, codes=CODES) -> float:
    found = log_softmax(logits64(values, like, rows.astype(np.float64)))
    return -float(found[np.arange(len(codes)), codes].mean())


def slopes(loss: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    """Central differences of a loss at (p,) float64 weights."""
    steps = 1e-5 * np.eye(len(at))
    return np.array([(loss(at + step) - loss(at - step)) / 2e-5 for step in steps])


def test_the_log_loss_gradient_by_hand():
    # Equal logits give probabilities of 1/2; the residuals are -1/2 and 1/2.
    network = network_of(np.zeros(6), classes=2)
    only = training(network, np.array([[2.0, 4.0]], dtype=np.float32), np.array([0]))
    found = UpdateRule().gradient(network, only.minibatch(np.array([0])))
    assert found.tolist() == [-1.0, -2.0, 1.0, 2.0, -0.5, 0.5]


def test_weights_multiply_the_gradients_of_rows():
    network = network_of(np.zeros(6), classes=2)
    two = training(network, np.eye(2, dtype=np.float32), np.array([0, 1]))
    batch = two.minibatch(np.array([0, 1]))._replace(weights=np.array([1.5, 0.5], np.float32))
    found = UpdateRule().gradient(network, batch)
    assert found.tolist() == [-0.375, 0.125, 0.375, -0.125, -0.25, 0.25]


@pytest.mark.parametrize("hidden", [0, 5])
def test_gradients_equal_finite_differences(hidden):
    network, other = drawn(hidden), drawn(hidden, 2)
    at, p = np.arange(4), len(network.values)
    importance = np.random.default_rng(3).uniform(0, 2, size=p).astype(np.float32)
    anchor = other.values.astype(np.float64)
    memory, labels = ROWS[::-1] * 0.7, np.array([2, 0, 1, 1])
    stored = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)

    def penalty(values: np.ndarray) -> float:
        return float((importance * np.square(values - anchor)).sum())

    def distance(values: np.ndarray) -> float:
        new = log_softmax(logits64(values, network, ROWS)[:, :2] / 2.0)
        old = log_softmax(logits64(network.values.astype(float), network, ROWS)[:, :2] / 2.0)
        return float((np.exp(old) * (old - new)).sum(axis=1).mean())

    def squares(values: np.ndarray) -> float:
        return float(np.square(logits64(values, network, memory) - stored).mean())

    state = {"importance": importance, "anchor": other.values}
    moved = network.values.astype(np.float64) + 0.1
    here = network.values.astype(np.float64)
    learned = {"learned": [True, True, False]}
    cases = [
        (UpdateRule(), {}, here, lambda v: cross_entropy(v, network)),
        (Consolidation(0.5), state, here, lambda v: cross_entropy(v, network) + 0.5 * penalty(v)),
        (
            SynapticConsolidation(3.0, 1e-3, 1.0), state, here,
            lambda v: cross_entropy(v, network) + 1.5 * penalty(v),
        ),
        (
            Distillation(1.5, 2.0), learned, moved,
            lambda v: cross_entropy(v, network) + 1.5 * distance(v),
        ),
        (
            Rehearsal(memory, labels), {}, here,
            lambda v: 0.5 * cross_entropy(v, network) + 0.5 * cross_entropy(
                v, network, memory, labels
            ),
        ),
        (
            DarkExperience(memory, labels, stored, alpha=0.3, beta=0.5), {}, here,
            lambda v: cross_entropy(v, network) + 0.3 * squares(v)
            + 0.5 * cross_entropy(v, network, memory, labels),
        ),
    ]  # fmt: skip
    for rule, kept, values, loss in cases:
        given = training(network, **kept)
        rule.start(given)
        found = rule.gradient(network_of(values, hidden=hidden), given.minibatch(at))
        np.testing.assert_allclose(found, slopes(loss, values), atol=2e-5, rtol=2e-4)


def test_the_importance_of_ewc_is_the_mean_squared_gradient_of_the_minibatches():
    # With equal logits, a row x of class 0 has the gradients -x/2 and x/2.
    network = network_of(np.zeros(4), d=1, classes=2)
    rows, codes = np.array([[2.0], [4.0]], dtype=np.float32), np.array([0, 0])
    for size, importance in ((1, [2.5, 2.5, 0.25, 0.25]), (2, [2.25, 2.25, 0.25, 0.25])):
        for rule, given in ((Consolidation(1.0), size), (Consolidation(1.0, None, size), 2)):
            found = training(network, rows, codes, size=given)
            rule.start(found)
            state = rule.finish(found)
            assert state["importance"].tolist() == importance
            assert state["anchor"].tolist() == [0.0] * 4


def consolidated(rule: Consolidation, network: Network, state: dict) -> dict:
    given = training(network, np.array([[2.0]], np.float32), np.array([0]), size=1, **state)
    rule.start(given)
    return rule.finish(given)


def test_separate_penalties_of_ewc_add_up_to_one():
    # Anchors 0 and 1 with importances 3 and 1: 3 w² + (w - 1)² = 4 (w - 1/4)² + 3/4.
    network = network_of([1.0, 1.0, 1.0, 1.0], d=1, classes=2)  # importance 1 of the weights
    before = {"importance": np.full(4, 3.0, np.float32), "anchor": np.zeros(4, np.float32)}
    state = consolidated(Consolidation(1.0), network, before)
    assert state["importance"].tolist() == [4.0, 4.0, 3.25, 3.25]
    assert state["anchor"][:2].tolist() == [0.25, 0.25]
    assert state["anchor"][2:] == pytest.approx(0.25 / 3.25)
    # The gradient of both penalties at w = 2: 2 * (3 * 2 + 1 * 1) = 14.
    rule = Consolidation(1.0)
    given = training(network_of([2.0] * 4, d=1, classes=2), np.zeros((1, 1), np.float32),
                     np.array([0]), **state)  # fmt: skip
    rule.start(given)
    assert rule.gradient(given.network, given.minibatch(np.array([0])))[0] == 14.0


def test_online_ewc_has_the_last_anchor_and_decays_the_importance():
    network = network_of([1.0, 1.0, 1.0, 1.0], d=1, classes=2)
    before = {"importance": np.full(4, 3.0, np.float32), "anchor": np.zeros(4, np.float32)}
    state = consolidated(Consolidation(1.0, 0.5), network, before)
    assert state["importance"].tolist() == [2.5, 2.5, 1.75, 1.75]
    assert state["anchor"].tolist() == [1.0] * 4


def test_the_importance_of_si_is_the_decrease_of_the_loss_by_each_weight():
    network = network_of([1.0, 0.0, 0.0, 0.0], d=1, classes=2)
    rule, given = SynapticConsolidation(1.0, 0.5, 10.0), training(network, decrease=[1.0, 0, 0, 0])
    rule.start(given)
    for gradient, moved in (([-4.0, 1.0, 0, 0], [0.5, 0.5, 0, 0]), ([-2.0, 0, 0, 0], [0.5] * 4)):
        change = np.array(moved, dtype=np.float32)
        network.values += change
        rule.after_step(network, np.array(gradient, dtype=np.float32), change)
    state = rule.finish(given)
    # Weight 0: decrease 2 + 1, change 1, so 3 / 1.5 = 2, plus 1 before. Weight 1: the loss rose.
    assert state["decrease"].tolist() == pytest.approx([3.0, -0.5 / 1.5, 0.0, 0.0])
    assert state["importance"].tolist() == [3.0, 0.0, 0.0, 0.0]
    assert state["anchor"].tolist() == [2.0, 1.0, 0.5, 0.5]
    rule = SynapticConsolidation(1.0, 0.5, 2.5)
    rule.start(training(network, **state))
    limited = training(network, decrease=[9.0, 0, 0, 0])
    rule.start(limited)
    assert rule.finish(limited)["importance"].tolist() == [2.5, 0.0, 0.0, 0.0]


def test_lwf_keeps_the_predictions_of_learned_classes():
    # Before: logits 2 log 3 and 0 of a row, so at temperature 2 the probabilities are 3/4 and 1/4.
    # Now both logits are 0. The gradient in the logits is alpha / T * (1/2 - 3/4, 1/2 - 1/4).
    row, code = np.array([[1.0]], dtype=np.float32), np.array([2])
    before = network_of([2.0 * math.log(3.0), 0.0, 0.0, 0.0, 0.0, 0.0], d=1)
    rule, given = Distillation(4.0, 2.0), training(before, row, code, learned=[True, True, False])
    rule.start(given)
    now = network_of(np.zeros(6), d=1)
    found = rule.gradient(now, given.minibatch(np.array([0])))
    thirds = np.array([1.0, 1.0, -2.0]) / 3.0
    assert found[:3] == pytest.approx(thirds + np.array([-0.5, 0.5, 0.0]), abs=1e-6)
    assert rule.finish(given)["learned"].tolist() == [True, True, True]
    first = Distillation(4.0, 2.0)
    alone = training(before, row, code)
    first.start(alone)
    plain = UpdateRule().gradient(now, alone.minibatch(np.array([0])))
    assert first.gradient(now, alone.minibatch(np.array([0]))).tolist() == plain.tolist()
    assert first.finish(alone)["learned"].tolist() == [False, False, True]


def test_der_adds_the_squared_difference_of_the_logits_and_the_log_loss_by_hand():
    network = network_of(np.zeros(4), d=1, classes=2)
    given = training(network, np.array([[0.0]], np.float32), np.array([0]))
    memory, labels = np.array([[3.0]], np.float32), np.array([1])
    rule = DarkExperience(memory, labels, np.array([[1.0, -1.0]], np.float32), alpha=2.0, beta=4.0)
    rule.start(given)
    found = rule.gradient(network, given.minibatch(np.array([0])))
    # Logits: 2 * 2 * (0 - 1) / 2 = -2 and 2. Labels: 4 * (1/2) = 2 and -2. Both cancel, so that
    # only the new row is left: -1/2 and 1/2 of the intercepts.
    assert found.tolist() == [0.0, 0.0, -0.5, 0.5]


def test_agem_removes_the_part_against_the_buffer():
    gradient, reference = np.array([3.0, 1.0], np.float32), np.array([-2.0, 0.0], np.float32)
    assert project(gradient, reference).tolist() == [0.0, 1.0]
    assert project(gradient, -reference) is gradient
    network = network_of(np.zeros(4), d=1, classes=2)
    given = training(network, np.array([[1.0]], np.float32), np.array([0]))
    opposed = GradientProjection(np.array([[1.0]], np.float32), np.array([1]))
    opposed.start(given)
    assert opposed.gradient(network, given.minibatch(np.array([0]))).tolist() == [0.0] * 4


def test_a_buffer_is_drawn_whole_before_a_row_returns():
    network = network_of(np.zeros(6), classes=2)
    rule = Rehearsal(np.zeros((6, 2), np.float32), np.array([0] * 6))
    rule.start(training(network, codes=np.array([0, 1, 0, 1]), size=2))
    first, second = (np.concatenate([rule._drawn().at for _ in range(3)]) for _ in range(2))
    assert sorted(first) == sorted(second) == [0, 1, 2, 3, 4, 5]
    assert first.tolist() != second.tolist()
