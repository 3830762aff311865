"""Training on streams with embedpipe and with Avalanche: final accuracy and time, in one run.

    python benchmarks/continual.py                     # all methods, on CIFAR-10 if available
    python benchmarks/continual.py --items 5000 --seeds 1                   # small
    python benchmarks/continual.py replay-1 replay-5 --epochs 1 2 5 10 20   # epochs of the peer
    python benchmarks/continual.py sgd-naive sgd-replay gdumb ewc si lwf der agem   # equal training
    python benchmarks/continual.py ewc si lwf der agem --stream skewed

The peer is Avalanche (`pip install avalanche-lib`); without it, the script skips the benchmark. A
stream has five experiences. Each experience has a fifth of the classes. With `--stream skewed`, it
has random shares of all classes (Dirichlet distribution with parameter 0.3), so that methods
without a buffer have an effect. The seed draws the experiences, the test rows (30 % of each class
or experience), the buffer, and the peer's initial weights and
minibatches. embedpipe and the peer use the same float32 rows of unit length. They run in this
process with the same number of threads (one thread with `OMP_NUM_THREADS=1`). After each
experience, they are tested on all test rows. The time covers training and testing, but not the
preparation of the stream and of the peer's datasets. The ratio in brackets compares the processor
times, which depend less on other work on the machine. The final accuracy is measured after the last
experience, as the mean over all experiences.

Common parts and differences of the protocols:

- `naive`, `replay-1`, `replay-5` (buffers of 1 % and 5 % of the training rows): both libraries
  train a linear head with the log-loss and the same penalty. embedpipe sets the penalty by C. The
  peer sets it by weight decay, which also shrinks the intercepts. In the first experience of a
  replay, there is no buffer yet, and the decay corresponds to 2 C, half of the penalty. embedpipe
  reaches the optimum for the new rows and the buffer. The peer's SGD (learning rate 2, momentum
  0.9, minibatches of 64) stops after a number of epochs, between the previous weights and the
  optimum. After one epoch, the weights are still near the previous weights. With a small buffer,
  their accuracy is *higher* than at the optimum. After 20 epochs, the peer is near the optimum and
  near embedpipe's accuracy. These numbers of epochs are for 50,000 rows. With fewer rows, the same
  number of steps is more epochs.
- Both buffers are reservoirs of a fixed size, with different rows. The peer's minibatches have 64
  new rows and 64 rows of the buffer. embedpipe uses `mix="balanced"`, which has the same objective.
- `slda`: S is the covariance within classes. The peer uses (1 - e) S + e I with e = 1e-4.
  embedpipe uses (1 - s) S + s v I, where v is the mean variance of the rows within classes. Here s
  is the value that is equivalent after the last experience, about 0.2. For a row x, the peer adds
  (x - m)(x - m)' t / (t + 1) to the sum from which it computes S. Here t is the number of earlier
  rows, and m is the mean of the earlier rows of the class, initially zero. Except for the first
  rows of each class, this sum is the scatter within classes. The peer's classes are equally likely.
  embedpipe uses the class frequencies, which are nearly equal here. The peer updates S row by row,
  but inverts the covariance once for each minibatch. To invert it rarely, its minibatch is a whole
  experience.

The other methods train the head `sgd`, and Avalanche's strategy of the same name trains
`torch.nn.Linear`, with the same initial weights (zero), learning rate, momentum, batch size and
epochs. The orders of the rows and the rows of the buffers are other random numbers. The column
`equal` is the share of test rows with equal predictions after the last experience.

- `sgd-naive`, `sgd-replay`, `gdumb`, `ewc`, `si`, `lwf`, `der`, `agem`: the buffers have 500 rows,
  chosen by the same policy. A-GEM's buffers have 100 rows of each experience. Avalanche draws its
  samples from every experience equally, embedpipe from the whole buffer.
- `ewc`: the mini-batches for the importances are random in embedpipe. Avalanche takes them in the
  order of the data, so the rows are in random order here. If they were sorted by class, Avalanche's
  importances would be ten times as large.
- `si`: Avalanche 0.6.0 stores views of the weights on a CPU, so that its penalty is zero. Here the
  peer is corrected (`copy_weights`). Both train without momentum.

C, the learning rates and the momentum were chosen on these test rows with seed 0. Therefore the
accuracies compare the two implementations, but do not estimate the accuracy on new data.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import without_slowing_settings
from heads import load, unit

from embedpipe.continual import ContinualLoop, Stream

EXPERIENCES = 5
C = 1.0
"""C of our logistic heads; it determines the peer's weight decay."""

BATCH, RATE, MOMENTUM = 64, 2.0, 0.9
"""The peer's minibatch, learning rate and momentum."""

EPSILON = 1e-4
"""The peer's shrinkage."""


SGD_RATE, SGD_EPOCHS = 0.5, 5
"""Learning rate and epochs of the methods that both libraries train by the same steps."""

BUFFER, EACH = 500, 100
"""Rows of the buffers of these methods, and rows of each experience for A-GEM."""


@dataclass(frozen=True)
class Case:
    """A method of the comparison.

    Attributes
    ----------
    name
        Name on the command line.
    head
        Spec string of our head; `compare` adds the shrinkage of `slda`.
    share
        Size of the buffer, as a share of the training rows.
    epochs
        Numbers of epochs of the peer in an experience: the minimum for an accuracy equal to ours,
        and the number with which the peer reaches the optimum. For a case with a peer, the number
        of epochs of both.
    method
        Our method, if both libraries train by the same steps.
    peer, options
        Name and options of Avalanche's strategy.
    policy
        Policy of our buffer.
    momentum
        Momentum of both, if they train by the same steps.
    """

    name: str
    head: str = f"logistic(C={C})"
    share: float = 0.0
    epochs: tuple[int, ...] = (1,)
    method: str = ""
    peer: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    policy: str = "random"
    momentum: float = MOMENTUM


def trained(
    name: str,
    method: str,
    peer: str,
    *,
    policy: str = "random",
    momentum: float = MOMENTUM,
    **options: Any,
) -> Case:
    """Return a method that both libraries train by the same steps."""
    return Case(
        name, epochs=(SGD_EPOCHS,), method=method, peer=peer, options=options, policy=policy,
        momentum=momentum,
    )  # fmt: skip


CASES = (
    Case("naive"),
    Case("replay-1", share=0.01, epochs=(1, 20)),
    Case("replay-5", share=0.05, epochs=(1, 20)),
    Case("slda", head="slda"),
    trained("sgd-naive", "naive", "Naive"),
    trained("sgd-replay", "replay", "Replay", policy="experience_balanced", mem_size=BUFFER),
    trained("gdumb", "gdumb", "GDumb", policy="class_balanced", mem_size=BUFFER),
    trained("ewc", "ewc(strength=100)", "EWC", ewc_lambda=100.0),
    trained("si", "si(strength=100)", "SynapticIntelligence", momentum=0.0, si_lambda=100.0),
    trained("lwf", "lwf(alpha=1, temperature=2)", "LwF", alpha=1.0, temperature=2.0),
    trained(
        "der", "der(alpha=0.5, beta=1)", "DER",
        policy="class_balanced", mem_size=BUFFER, alpha=0.5, beta=1.0,
    ),
    trained("agem", "agem", "AGEM", patterns_per_exp=EACH, sample_size=64),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """Times in seconds, and the accuracies on the five experiences after the last was learned.

    `predictions` are the classes of the test rows, empty if they are not compared.
    """

    wall: float
    processors: float
    accuracies: np.ndarray
    predictions: np.ndarray

    @classmethod
    def of(cls, work: Callable[[], tuple[Any, Callable[[], Any]]]) -> Outcome:
        """Time a function that returns the accuracies and a function for the predictions."""
        wall, processors = time.perf_counter(), time.process_time()
        found, predict = work()
        times = time.perf_counter() - wall, time.process_time() - processors
        return cls(*times, np.asarray(found), np.asarray(predict()))

    @property
    def accuracy(self) -> float:
        """The final accuracy, the mean over experiences."""
        return float(self.accuracies.mean())


# Ours


def ours(stream: Stream, case: Case, seed: int, epochs: int) -> Outcome:
    """Train on the stream with embedpipe, and test after each experience."""
    head, more = case.head, {"method": "naive"}
    if case.method:
        head = (
            f"sgd(lr={SGD_RATE}, momentum={case.momentum}, schedule=constant, epochs={epochs}, "
            f"batch_size={BATCH}, weight_decay=0.0, keep_optimiser=true)"
        )
        size = BUFFER if case.name != "agem" else EACH / stream.experiences[0].train.size
        more = {"method": case.method, "policy": case.policy, "retain": size, "mix": "balanced"}
    elif case.share:
        size = buffer_size(stream, case)
        more = {"method": "replay", "policy": "reservoir", "retain": size, "mix": "balanced"}

    def learn() -> tuple[np.ndarray, Callable[[], Any]]:
        loop = ContinualLoop(stream, head=head, seed=seed, **more).fit()
        return loop.matrix[-1], lambda: loop.fitted.predict(stream.matrix[test_rows(stream)])

    return Outcome.of(learn)


def equal_shrinkage(stream: Stream) -> float:
    """Return our shrinkage that is equivalent to the peer's after the last experience.

    The peer's covariance is (1 - e) S + e I. Ours is (1 - s) S + s v I, where v is the mean
    variance of the unit-length rows around the means of their classes. The two are equal up to a
    factor if s v / (1 - s) = e / (1 - e). The factor changes no prediction.
    """
    rows = np.concatenate([each.train for each in stream.experiences])
    codes = stream.codes[rows]
    X = unit(stream.matrix[rows].astype(np.float64))  # (n, d)
    square = sum(np.square(X[codes == k] - X[codes == k].mean(axis=0)).sum() for k in set(codes))
    variance = square / X.size
    ratio = EPSILON / (1.0 - EPSILON)
    return float(ratio / (variance + ratio))


# The peer


def theirs(stream: Stream, case: Case, seed: int, epochs: int) -> Outcome:
    """Train and test with Avalanche."""
    import torch

    benchmark = stream.to_avalanche()
    torch.manual_seed(seed)
    random.seed(seed)

    def learn() -> tuple[list[float], Callable[[], Any]]:
        if case.peer:
            strategy = baseline(stream, case, epochs)
        else:
            strategy = slda(stream) if case.name == "slda" else linear(stream, case, epochs)
        for experience in benchmark.train_stream:
            strategy.train(experience)
            found = strategy.eval(benchmark.test_stream)
        names = [name for name in found if name.startswith("Top1_Acc_Exp/eval_phase/test")]
        return [found[name] for name in sorted(names)], lambda: predictions(strategy)

    def predictions(strategy: Any) -> Any:
        if not case.peer:
            return []
        tested = torch.from_numpy(np.array(stream.matrix[test_rows(stream)]))
        return strategy.model(tested).argmax(dim=1).numpy()

    return Outcome.of(learn)


def baseline(stream: Stream, case: Case, epochs: int) -> Any:
    """Return Avalanche's strategy for a method that both libraries train by the same steps."""
    import avalanche.training
    import torch
    from avalanche.training.plugins.synaptic_intelligence import SynapticIntelligencePlugin
    from avalanche.training.supervised.der import DER

    head = torch.nn.Linear(stream.matrix.shape[1], stream.n_classes)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    SynapticIntelligencePlugin.extract_weights = staticmethod(copy_weights)
    maker = DER if case.peer == "DER" else getattr(avalanche.training, case.peer)
    return maker(
        model=head,
        optimizer=torch.optim.SGD(head.parameters(), lr=SGD_RATE, momentum=case.momentum),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=epochs,
        eval_mb_size=2048,
        evaluator=evaluator(),
        **case.options,
    )


def copy_weights(model: Any, target: Any, excluded: Any) -> None:
    """Store copies of the weights for SI; the method of Avalanche 0.6.0 stores views on a CPU."""
    from avalanche.training.plugins.synaptic_intelligence import SynapticIntelligencePlugin

    for name, value in SynapticIntelligencePlugin.allowed_parameters(model, excluded):
        target[name].data = value.detach().flatten().clone()


def linear(stream: Stream, case: Case, epochs: int) -> Any:
    """Return Avalanche's strategy for a linear head, with a reservoir for a replay case."""
    import torch
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ReservoirSamplingBuffer

    plugins = []
    weight = float(np.mean([each.train.size for each in stream.experiences]))
    if size := buffer_size(stream, case):
        plugins = [ReplayPlugin(size, storage_policy=ReservoirSamplingBuffer(size))]
        weight *= 2  # the buffer has the same weight as the new rows
    head = torch.nn.Linear(stream.matrix.shape[1], stream.n_classes)
    decay = 1.0 / (C * weight)  # the peer minimises the mean loss, embedpipe the sum
    return Naive(
        model=head,
        optimizer=torch.optim.SGD(
            head.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=decay
        ),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=epochs,
        eval_mb_size=2048,
        plugins=plugins,
        evaluator=evaluator(),
    )


def slda(stream: Stream) -> Any:
    """Return Avalanche's streaming LDA.

    A minibatch is a whole experience, because the strategy inverts a matrix for every minibatch.
    """
    import torch
    from avalanche.training import StreamingLDA

    return StreamingLDA(
        slda_model=torch.nn.Identity(),
        criterion=torch.nn.CrossEntropyLoss(),
        input_size=stream.matrix.shape[1],
        num_classes=stream.n_classes,
        shrinkage_param=EPSILON,
        train_mb_size=max(each.train.size for each in stream.experiences),
        eval_mb_size=2048,
        evaluator=evaluator(),
    )


def evaluator() -> Any:
    """Return an evaluator that only measures the accuracy of each experience."""
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    return EvaluationPlugin(accuracy_metrics(experience=True), loggers=[])


# Both


def stream_of(matrix: np.ndarray, codes: np.ndarray, seed: int, kind: str = "classes") -> Stream:
    """Return a stream whose experiences have different classes, or different class shares."""
    K, rng = int(codes.max()) + 1, np.random.default_rng(seed)
    if kind == "skewed":
        shares = rng.dirichlet(np.full(EXPERIENCES, 0.3), size=K)  # (K, T) of each class
        ends = np.cumsum(shares, axis=1)[codes]  # (n, T)
        buckets = (rng.random(len(codes))[:, None] > ends[:, :-1]).sum(axis=1)  # (n,)
        return Stream.from_arrays(matrix, codes, buckets, seed=seed, name=kind)
    place = np.empty(K, dtype=np.int64)  # the experience of each class
    place[rng.permutation(K)] = np.arange(K) * EXPERIENCES // K
    return Stream.from_arrays(matrix, codes, place[codes], seed=seed, name=kind)


def test_rows(stream: Stream) -> np.ndarray:
    return np.concatenate([each.test for each in stream.experiences])


def buffer_size(stream: Stream, case: Case) -> int:
    return round(case.share * sum(each.train.size for each in stream.experiences))


def compare(stream: Stream, case: Case, seed: int, epochs: int = 1) -> tuple[Outcome, Outcome]:
    """Return our outcome and the peer's on a stream."""
    if case.name == "slda":
        case = replace(case, head=f"slda(shrinkage={equal_shrinkage(stream)})")
    return ours(stream, case, seed, epochs), theirs(stream, case, seed, epochs)


def line(name: str, epochs: int, pairs: list[tuple[Outcome, Outcome]]) -> str:
    """Return a line of the table: means over the seeds, and the time ratio."""
    accuracies = 100 * np.array([[one.accuracy for one in pair] for pair in pairs])  # (s, 2)
    wall = np.array([[one.wall for one in pair] for pair in pairs]).mean(axis=0)  # (2,)
    busy = np.array([[one.processors for one in pair] for pair in pairs]).mean(axis=0)  # (2,)
    apart = accuracies[:, 1] - accuracies[:, 0]  # (s,)
    return (
        f"{name:<10} {epochs:>6}   {spread(accuracies[:, 0])}   "
        f"{spread(accuracies[:, 1])}   {spread(apart, error=True)}   "
        f"{equal(pairs)}   {wall[0]:6.2f} {wall[1]:10.2f}   {wall[1] / wall[0]:5.1f} x "
        f"({busy[1] / busy[0]:5.1f} x)"
    )


def equal(pairs: list[tuple[Outcome, Outcome]]) -> str:
    """Return the share of test rows with equal predictions, as text."""
    if not pairs[0][1].predictions.size:
        return "     –"
    shares = [float((own.predictions == other.predictions).mean()) for own, other in pairs]
    return f"{100 * float(np.mean(shares)):4.1f} %"


def spread(values: np.ndarray, *, error: bool = False) -> str:
    """Return the mean with the standard deviation, or with the standard error of the mean."""
    if len(values) < 2:
        return f"{values.mean():+6.2f}       " if error else f"{values.mean():6.2f}       "
    deviation = values.std(ddof=1) / (len(values) ** 0.5 if error else 1.0)
    sign = "+" if error else ""
    return f"{values.mean():{sign}6.2f} ± {deviation:4.2f}"


TITLE = """
                    final accuracy, % (mean ± sd)   difference              seconds of a stream
method     epochs   ours            Avalanche       (mean ± se)     equal     ours  Avalanche"""


def main() -> int:
    arguments = parse()
    if importlib.util.find_spec("avalanche") is None:
        print("skipped: Avalanche is not installed (pip install avalanche-lib)")
        return 0
    import torch

    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    # The peer raises deprecation warnings and resets the warning filters; logging hides them.
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        found, codes, origin = load(Path(folder), arguments)
        rows = np.random.default_rng(0).permutation(len(found))[: arguments.items]
        matrix, codes = np.array(found[rows], dtype=np.float32), codes[rows]
    print(
        f"{origin}: {matrix.shape[0]:,} rows, {matrix.shape[1]:,} dimensions, "
        f"{os.cpu_count()} CPUs, "
        f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}, "
        f"{arguments.seeds} seed(s), stream {arguments.stream}"
    )
    matrix = unit(matrix)
    few = np.random.default_rng(0).permutation(len(matrix))[:500]
    compare(stream_of(matrix[few], codes[few], 0), CASES[0], 0)  # a warm-up
    streams = [stream_of(matrix, codes, seed, arguments.stream) for seed in range(arguments.seeds)]
    print(TITLE)
    for case in CASES:
        if case.name not in (arguments.methods or [case.name]):
            continue
        for epochs in case.epochs if case.name == "slda" else arguments.epochs or case.epochs:
            pairs = [compare(each, case, seed, epochs) for seed, each in enumerate(streams)]
            print(line(case.name, epochs, pairs))
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0


def parse() -> argparse.Namespace:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("methods", nargs="*", help=f"{', '.join(names)} [default: all]")
    parser.add_argument("--embeddings", type=Path, help="an .npy file with an (n, d) matrix")
    parser.add_argument("--labels", type=Path, help="an .npy file with the (n,) labels of the rows")
    parser.add_argument("--items", type=int, help="number of random rows [default: all]")
    parser.add_argument(
        "--stream", choices=("classes", "skewed"), default="classes",
        help="experiences with different classes, or with different shares of all classes",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="number of streams")
    parser.add_argument("--epochs", type=int, nargs="*", help="numbers of epochs of the peer")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.methods) - set(names)):
        parser.error(f"unknown method {unknown[0]!r}: give {', '.join(names)}")
    return arguments


if __name__ == "__main__":
    without_slowing_settings()
    raise SystemExit(main())
