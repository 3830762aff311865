"""The head sgd: its steps are those of PyTorch, and its options."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from embedpipe.errors import LabelError, UsageError
from embedpipe.heads import SGDHead, UpdateRule, load_head, save_head
from embedpipe.testing.heads import example_rows

X, Y = example_rows(90, 8, 3, spread=1.5)


class Recorder(UpdateRule):
    """Records the rows and the changes of the steps."""

    def __init__(self):
        self.batches, self.changes = [], []

    def gradient(self, network, batch):
        self.batches.append(batch)
        return super().gradient(network, batch)

    def after_step(self, network, gradient, change):
        self.changes.append(change)


def test_the_first_step_by_hand():
    # Equal logits: the residuals of a row are 1/2 and -1/2, and the mean is over two rows.
    head = SGDHead(lr=2.0, momentum=0.0, epochs=1, weight_decay=0.0, normalize=False)
    head.fit([[1.0, 0.0], [0.0, 3.0]], ["hat", "shoe"])
    assert head.coef_.tolist() == [[0.5, -1.5], [-0.5, 1.5]]
    assert head.intercept_.tolist() == [0.0, 0.0]
    assert head.loss_ == pytest.approx((np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-9.0))) / 2)


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
@pytest.mark.parametrize("hidden", [0, 6])
def test_the_steps_are_those_of_pytorch(hidden, schedule):
    head = SGDHead(
        hidden, lr=0.3, momentum=0.8, schedule=schedule, epochs=3, batch_size=32,
        weight_decay=0.01, keep_optimiser=True,
    )  # fmt: skip
    recorder = Recorder()
    head.partial_fit(X[:50], Y[:50], classes=np.unique(Y), rule=Recorder())
    layers = [torch.nn.Linear(8, hidden), torch.nn.ReLU()] if hidden else []
    model = torch.nn.Sequential(*layers, torch.nn.Linear(hidden or 8, 3))
    with torch.no_grad():
        if hidden:
            model[0].weight[:] = torch.from_numpy(head.hidden_coef_)
            model[0].bias[:] = torch.from_numpy(head.hidden_intercept_)
        model[-1].weight[:] = torch.from_numpy(head.coef_)
        model[-1].bias[:] = torch.from_numpy(head.intercept_)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.8, weight_decay=0.01)
    order = [
        model[-1].weight,
        model[-1].bias,
        *([model[0].weight, model[0].bias] if hidden else []),
    ]
    ends = np.cumsum([each.numel() for each in order])[:-1]
    for each, part in zip(order, np.split(head.velocity_, ends), strict=True):
        optimiser.state[each]["momentum_buffer"] = torch.from_numpy(part.reshape(each.shape).copy())
    head.partial_fit(X[50:], Y[50:], rule=recorder)
    assert len(recorder.batches) == 6
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 6)
    for batch in recorder.batches:
        optimiser.zero_grad()
        losses = torch.nn.functional.cross_entropy(
            model(torch.from_numpy(batch.rows)), torch.from_numpy(batch.codes), reduction="none"
        )
        (losses * torch.from_numpy(batch.weights)).mean().backward()
        optimiser.step()
        if schedule == "cosine":
            scheduler.step()
    np.testing.assert_allclose(head.coef_, model[-1].weight.detach().numpy(), atol=2e-6)
    np.testing.assert_allclose(head.intercept_, model[-1].bias.detach().numpy(), atol=2e-6)
    if hidden:
        np.testing.assert_allclose(head.hidden_coef_, model[0].weight.detach().numpy(), atol=2e-6)


def test_every_epoch_has_each_row_once_in_another_order():
    recorder = Recorder()
    SGDHead(epochs=2, batch_size=40).partial_fit(X, Y, rule=recorder)
    sizes = [len(batch.at) for batch in recorder.batches]
    assert sizes == [40, 40, 10] * 2
    first, second = (
        np.concatenate([batch.at for batch in recorder.batches[start : start + 3]])
        for start in (0, 3)
    )
    assert sorted(first) == sorted(second) == list(range(90))
    assert first.tolist() != second.tolist()


def test_few_rows_have_more_epochs():
    assert SGDHead().fit(X[:10], Y[:10]).epochs_ == 100
    assert SGDHead(batch_size=8).fit(X, Y).epochs_ == 10
    assert SGDHead(epochs=3).fit(X, Y).epochs_ == 3


@pytest.mark.parametrize("hidden", [0, 64])
def test_the_bits_do_not_depend_on_the_number_of_threads(hidden):
    rows, labels = example_rows(600, 400, 5)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            head = SGDHead(hidden, seed=3).fit(rows, labels)
            found.append((head.coef_, head.predict_proba(rows), head.logits(rows)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_logits_give_the_probabilities():
    head = SGDHead(5).fit(X, Y)
    logits = head.logits(X).astype(float)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(head.predict_proba(X), expected, atol=1e-6)


def test_the_seed_changes_the_order_of_the_rows():
    one, other = (SGDHead(seed=seed, batch_size=16).fit(X, Y).coef_ for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_all_labels_are_needed_in_the_first_call():
    head = SGDHead().partial_fit(X[:2], Y[:2])
    with pytest.raises(LabelError) as error:
        head.partial_fit(X, Y)
    assert str(error.value) == (
        "label 'class 002' is new: give all labels as classes=... in the first call of partial_fit."
    )


def test_a_training_that_diverges_is_an_error():
    with pytest.raises(UsageError) as error:
        SGDHead(lr=1e6, epochs=40, weight_decay=1.0).fit(X, Y)
    assert str(error.value) == (
        "the training of sgd diverged: lower the learning rate lr=1e+06, or the strength of the "
        "method."
    )


def test_wrong_options_are_refused():
    with pytest.raises(UsageError) as error:
        SGDHead(schedule="cosin").fit(X, Y)
    assert str(error.value) == (
        "unknown schedule 'cosin'. Did you mean 'cosine'? Known: constant, cosine."
    )


class Anchored(UpdateRule):
    """Stores how many rows it has seen."""

    def finish(self, training):
        return {"seen": training.state.get("seen", np.zeros(1)) + len(training.rows)}


def test_the_state_of_a_rule_is_saved_with_the_head(tmp_path):
    head = SGDHead(epochs=1).partial_fit(X[:30], Y[:30], rule=Anchored())
    again, _ = load_head(save_head(head, tmp_path / "head.safetensors"))
    for each in (head, again):
        each.partial_fit(X, Y, rule=Anchored())
        assert each.rule_seen_.tolist() == [120.0]
    np.testing.assert_array_equal(again.coef_, head.coef_)
    assert not hasattr(head.fit(X, Y), "rule_seen_")
