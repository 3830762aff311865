"""What every registered method must do, and the effects of the methods on a stream."""

from __future__ import annotations

import numpy as np
import pytest

from embedpipe.continual import (
    ContinualLoop,
    Method,
    Stream,
    TrainedMethod,
    get_method,
    methods,
)
from embedpipe.continual.method import Naive
from embedpipe.errors import UsageError
from embedpipe.heads import UpdateRule
from embedpipe.testing import ContractError, check_method, method_checks

HEAD = "sgd(epochs=4)"
BUFFER = {"policy": "class_balanced", "retain": 24}


@pytest.fixture(scope="module")
def classes() -> Stream:
    """Return a stream of three experiences with two new classes each."""
    rng = np.random.default_rng(0)
    codes = np.arange(360) % 6
    X = rng.normal(size=(6, 16))[codes] + 0.6 * rng.normal(size=(360, 16))
    return Stream.from_arrays(X, codes, codes // 2, name="pairs")


@pytest.mark.parametrize("name", list(methods))
@pytest.mark.parametrize("check", method_checks, ids=lambda check: check.__name__)
def test_contract(name, check):
    check(name)


def test_a_method_with_hidden_state_fails_the_contract(monkeypatch):
    class Counting(Naive):
        """Learns only every second call."""

        calls = 0

        def learn(self, learner, head, batches, kept):
            type(self).calls += 1
            other = self.calls % 2 or head is None
            return super().learn(learner, head, batches, kept) if other else head

    monkeypatch.setitem(methods._entries, "counting", Counting)
    monkeypatch.setattr(Counting, "name", "counting")
    with pytest.raises(ContractError, match="run_that_was_stopped_continues_with_the_same_head"):
        check_method("counting")


@pytest.mark.parametrize("name", list(methods))
def test_a_run_has_the_name_of_its_method(name, classes):
    loop = ContinualLoop(classes, head=HEAD, method=name, **BUFFER)
    assert str(loop.options.built_method) == loop.options.method_name == name
    assert loop.run_id.startswith("pairs-class_balanced" if name == "replay" else f"pairs-{name}-")


def final(stream: Stream, method: str, head: str = HEAD, **options) -> float:
    loop = ContinualLoop(stream, head=head, method=method, **{**BUFFER, **options}).fit()
    return float(np.nanmean(loop.matrix[-1]))


def test_a_buffer_prevents_forgetting(classes):
    naive, joint = final(classes, "naive"), final(classes, "joint")
    assert naive < 0.6
    assert joint > 0.9
    for method in ("replay", "gdumb", "der"):
        assert final(classes, method, mix="balanced") > naive + 0.2
    assert final(classes, "agem") >= naive


def test_a_penalty_keeps_the_first_experience(classes):
    naive = ContinualLoop(classes, head=HEAD, method="naive").fit()
    for method in ("ewc(strength=100)", "si(strength=1000)"):
        held = ContinualLoop(classes, head=HEAD, method=method).fit()
        first = held.matrix[0].tolist()
        assert first == naive.matrix[0].tolist()  # no penalty in the first experience
        assert held.matrix[1, 0] >= naive.matrix[1, 0]
        assert not np.array_equal(held.fitted.coef_, naive.fitted.coef_)


def test_a_method_without_strength_is_naive(classes):
    naive = ContinualLoop(classes, head=HEAD, method="naive").fit().fitted.coef_
    for method in ("ewc(strength=0)", "si(strength=0)", "lwf(alpha=0)", "der(alpha=0, beta=0)"):
        found = ContinualLoop(classes, head=HEAD, method=method, **BUFFER).fit().fitted.coef_
        np.testing.assert_array_equal(found, naive)


def test_lwf_keeps_the_earlier_predictions(drifting):
    stream = drifting()
    naive, lwf = (
        ContinualLoop(stream, head="sgd(epochs=20)", method=method).fit()
        for method in ("naive", "lwf(alpha=10)")
    )
    before = ContinualLoop(stream, head="sgd(epochs=20)", method="lwf(alpha=10)")
    next(before.run())
    rows = stream.matrix[stream.experiences[0].test]
    first = before.fitted.predict_proba(rows)
    moved = [np.abs(loop.fitted.predict_proba(rows) - first).mean() for loop in (naive, lwf)]
    assert moved[1] < 0.8 * moved[0]


def test_gdumb_trains_on_the_buffer_only(classes):
    loop = ContinualLoop(classes, head="nearest_mean", method="gdumb", **BUFFER).fit()
    assert [record.kept for record in loop.records] == [24, 24, 24]
    assert [record.replayed for record in loop.records] == [24, 24, 24]
    kept = loop.memory
    labels = classes.labels(kept.rows)
    assert np.unique(labels, return_counts=True)[1].tolist() == [4] * 6
    expected = loop.options.built_head.fit(classes.matrix[kept.rows], labels)
    np.testing.assert_array_equal(loop.fitted.coef_, expected.coef_)


def test_der_stores_the_logits_after_the_experience(classes):
    loop = ContinualLoop(classes, head=HEAD, method="der", **BUFFER)
    steps = loop.run()
    next(steps)
    first, rows = loop.fitted, loop.memory.rows
    expected = first.logits(classes.matrix[rows])
    next(steps)
    stored = dict(zip(loop.fitted.rule_rows_.tolist(), loop.fitted.rule_logits_, strict=True))
    np.testing.assert_allclose([stored[row] for row in rows.tolist()], expected, atol=1e-5)


def test_replay_with_balanced_steps_has_as_many_rows_of_the_buffer(classes, monkeypatch):
    from embedpipe.continual.rehearsal import Rehearsal

    sizes = []
    plain = UpdateRule.gradient

    def spy(self, network, batch):
        sizes.append((type(self), len(batch.at)))
        return plain(self, network, batch)

    monkeypatch.setattr(UpdateRule, "gradient", spy)
    final(classes, "replay", "sgd(epochs=1, batch_size=16)", mix="balanced")
    assert (Rehearsal, 32) in sizes
    assert (UpdateRule, 16) in sizes  # the first experience has no buffer


def test_an_own_method_is_a_subclass(classes):
    class Frozen(UpdateRule):
        def gradient(self, network, batch):
            return 0.0 * super().gradient(network, batch)

    class Idle(TrainedMethod):
        """Learns nothing."""

        name = "idle"

        def rule(self, learner, head, kept):
            return Frozen()

    loop = ContinualLoop(classes, head=HEAD, method=Idle()).fit()
    assert not loop.fitted.coef_.any()
    assert isinstance(loop.options.built_method, Method)
    assert ContinualLoop(classes, head=HEAD, method=Naive()).run_id == (
        ContinualLoop(classes, head=HEAD, method="naive").run_id
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ewc(strength=-1)", "strength is -1.0: give a number at least 0."),
        ("ewc(decay=2)", "decay is 2.0: give a number at least 0 and at most 1."),
        ("lwf(temperature=0)", "temperature is 0.0: give a number above 0."),
        ("agem(sample_size=0)", "sample_size is 0: give a whole number, at least 1."),
        ("ewc(lambda=1)", "unknown option of method 'ewc' 'lambda'. Known: decay, "
         "importance_batch, mode, strength."),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(spec, message):
    with pytest.raises(UsageError) as error:
        get_method(spec)
    assert str(error.value) == message
