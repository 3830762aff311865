"""Methods give the weights of Avalanche's strategies; run where Avalanche is installed.

A mini-batch is a whole experience, and the buffer has every row, so no random number is left.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from embedpipe.continual import ContinualLoop, Stream

pytestmark = pytest.mark.filterwarnings("ignore")

HEAD = (
    "sgd(hidden={}, lr=0.1, momentum={}, schedule=constant, epochs=20, batch_size={}, "
    "weight_decay=1e-3, keep_optimiser=true, normalize=false)"
)
ROWS = 28
"""Training rows of an experience."""


@pytest.fixture(scope="module")
def avalanche() -> Any:
    """The module `avalanche.training`, with a correction of SI."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        training = pytest.importorskip("avalanche.training", reason="Avalanche is not installed")
        from avalanche.training.plugins.synaptic_intelligence import SynapticIntelligencePlugin

    def copy_weights(model: Any, target: Any, excluded: Any) -> None:
        # On a CPU, the method of version 0.6.0 stores views, so that no weight ever changes.
        for name, value in SynapticIntelligencePlugin.allowed_parameters(model, excluded):
            target[name].data = value.detach().flatten().clone()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SynapticIntelligencePlugin, "extract_weights", staticmethod(copy_weights))
        yield training


@pytest.fixture(scope="module")
def stream() -> Stream:
    """Return three experiences with two classes each."""
    rng = np.random.default_rng(0)
    codes = np.arange(120) % 6
    X = rng.normal(size=(6, 10))[codes] + 0.8 * rng.normal(size=(120, 10))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    return Stream.from_arrays(X, codes, codes // 2)


def peer_weights(strategy: Any, stream: Stream, hidden: int, size: int, **options: Any) -> Any:
    """Train a strategy of Avalanche; return the weights of the output layer."""
    import torch
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    momentum = options.pop("momentum")
    width = hidden or 10
    layers: list[Any] = [torch.nn.Linear(10, hidden), torch.nn.ReLU()] if hidden else []
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 6))
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    if hidden:  # the initial weights of the head
        bound = np.sqrt(6.0 / hidden)
        drawn = np.random.default_rng([0, 0, 0]).uniform(-bound, bound, size=(hidden, 10))
        model[0].weight.data = torch.from_numpy(drawn.astype(np.float32))
    trained = strategy(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum, weight_decay=1e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=size,
        train_epochs=20,
        evaluator=EvaluationPlugin(accuracy_metrics(experience=True), loggers=[]),
        **options,
    )
    for experience in stream.to_avalanche().train_stream:
        trained.train(experience)
    return trained.model[-1].weight.detach().numpy()


CASES = [
    ("naive", "Naive", {}),
    ("replay", "Replay", {"mem_size": 200}),
    ("gdumb", "GDumb", {"mem_size": 200}),
    ("ewc(strength=100)", "EWC", {"ewc_lambda": 100.0}),
    (
        "ewc(strength=100, mode=online, decay=0.5)", "EWC",
        {"ewc_lambda": 100.0, "mode": "online", "decay_factor": 0.5},
    ),
    ("lwf(alpha=3, temperature=1.5)", "LwF", {"alpha": 3.0, "temperature": 1.5}),
    ("agem(sample_size=200)", "AGEM", {"patterns_per_exp": 200, "sample_size": 400}),
]  # fmt: skip
SI = ("si(strength=100)", "SynapticIntelligence", {"si_lambda": 100.0, "momentum": 0.0})
"""Not with a hidden layer, where Avalanche has importances below 0."""


@pytest.mark.parametrize(
    ("method", "peer", "options", "hidden"),
    [(*case, hidden) for hidden in (0, 8) for case in CASES] + [(*SI, 0)],
)
def test_the_weights_are_those_of_avalanche(avalanche, stream, method, peer, options, hidden):
    options = {"momentum": 0.9, **options}
    expected = peer_weights(getattr(avalanche, peer), stream, hidden, 200, **options)
    head = HEAD.format(hidden, options["momentum"], 200)
    buffer = {"policy": "reservoir", "retain": 3 * ROWS, "mix": "balanced"}
    loop = ContinualLoop(stream, head=head, method=method, **buffer).fit()
    naive = ContinualLoop(stream, head=head, method="naive").fit()
    np.testing.assert_allclose(loop.fitted.coef_, expected, atol=2e-4)
    if method != "naive":
        assert np.abs(loop.fitted.coef_ - naive.fitted.coef_).max() > 0.01


@pytest.mark.parametrize("hidden", [0, 8])
def test_der_has_the_weights_of_avalanche(avalanche, stream, hidden):
    from avalanche.training.supervised.der import DER

    two = Stream.from_arrays(stream.matrix, stream.codes, np.where(stream.codes < 3, 0, 1))
    rows = two.experiences[0].train.size  # the whole buffer and the whole experience in a step
    options = {"mem_size": rows, "batch_size_mem": rows, "alpha": 0.3, "beta": 0.7}
    expected = peer_weights(DER, two, hidden, rows, momentum=0.9, **options)
    head = HEAD.format(hidden, 0.9, rows)
    loop = ContinualLoop(
        two, head=head, method="der(alpha=0.3, beta=0.7)", policy="reservoir", retain=rows
    ).fit()
    np.testing.assert_allclose(loop.fitted.coef_, expected, atol=2e-4)
