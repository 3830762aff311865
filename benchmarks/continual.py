"""Streams over cached vectors beside Avalanche: final accuracy and wall time, in one run.

    python benchmarks/continual.py                        # CIFAR-10 if it is at hand
    python benchmarks/continual.py --items 5000 --seeds 1 # a small one
    python benchmarks/continual.py replay-1 replay-5      # some methods
    python benchmarks/continual.py replay-1 --epochs 1 2 5 10 20 40   # the peer's ladder
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import timed, without_slowing_settings
from heads import load, unit

from embedpipe.continual import ContinualLoop, Stream

EXPERIENCES = 5
C = 1.0
"""Of our logistic heads; the peer's weight decay follows from it."""

BATCH, RATE, MOMENTUM = 64, 2.0, 0.9
"""The peer's minibatch, learning rate and momentum."""

EPSILON = 1e-4
"""The peer's shrinkage."""


@dataclass(frozen=True)
class Case:
    """What is learned by both.

    Attributes
    ----------
    head
        Ours.
    share
        How much of the training rows the buffer holds.
    epochs
        The peer's, of each experience.
    """

    name: str
    head: str = f"logistic(C={C})"
    share: float = 0.0
    epochs: int = 1


CASES = (
    Case("naive", epochs=1),
    Case("replay-1", share=0.01, epochs=5),
    Case("replay-5", share=0.05, epochs=5),
    Case("slda", head="slda"),
)


@dataclass(frozen=True)
class Outcome:
    """The (5,) accuracies after the last experience, and the seconds that all took."""

    seconds: float
    accuracies: np.ndarray

    @property
    def accuracy(self) -> float:
        """The final accuracy, the mean over experiences."""
        return float(self.accuracies.mean())


def stream_of(matrix: np.ndarray, codes: np.ndarray, seed: int) -> Stream:
    """Return a stream of two classes at a time (of 10), in an order drawn by `seed`."""
    K = int(codes.max()) + 1
    place = np.empty(K, dtype=np.int64)  # the experience of each class
    place[np.random.default_rng(seed).permutation(K)] = np.arange(K) * EXPERIENCES // K
    return Stream.from_arrays(matrix, codes, place[codes], seed=seed, name="classes")


def buffer_size(stream: Stream, case: Case) -> int:
    return round(case.share * sum(each.train.size for each in stream.experiences))


# Ours


def ours(stream: Stream, case: Case, seed: int) -> Outcome:
    """Learn the stream, and be judged on all of it after each experience."""
    more: dict[str, Any] = {"method": "naive"}
    if case.share:
        size = buffer_size(stream, case)
        more = {"method": "replay", "policy": "reservoir", "retain": size, "mix": "balanced"}
    seconds, loop = timed(lambda: ContinualLoop(stream, head=case.head, seed=seed, **more).fit())
    return Outcome(seconds, loop.matrix[-1])


def equal_shrinkage(stream: Stream) -> float:
    """Return the shrinkage of ours that is the peer's after the last experience.

    The peer's covariance is (1 - e) S + e I, ours (1 - s) S + s v I with v the mean variance of
    the unit-length rows around the means of their classes: the same but for a factor, which
    changes no prediction, where s v / (1 - s) = e / (1 - e).
    """
    rows = np.concatenate([each.train for each in stream.experiences])
    codes = stream.codes[rows]
    X = unit(stream.matrix[rows].astype(np.float64))  # (n, d)
    square = sum(np.square(X[codes == k] - X[codes == k].mean(axis=0)).sum() for k in set(codes))
    variance = square / X.size
    ratio = EPSILON / (1.0 - EPSILON)
    return float(ratio / (variance + ratio))


# The peer


def theirs(stream: Stream, tensors: Any, case: Case, seed: int) -> Outcome:
    """Do the same with Avalanche."""
    import torch

    scenario = scenario_of(stream, tensors)
    torch.manual_seed(seed)
    make = slda if case.name == "slda" else linear
    started = time.perf_counter()
    strategy = make(stream, case)
    for experience in scenario.train_stream:
        strategy.train(experience)
        found = strategy.eval(scenario.test_stream)
    seconds = time.perf_counter() - started
    names = sorted(name for name in found if name.startswith("Top1_Acc_Exp/eval_phase/test"))
    return Outcome(seconds, np.array([found[name] for name in names]))


def scenario_of(stream: Stream, tensors: Any) -> Any:
    """Return the experiences of the stream as Avalanche's datasets of tensors."""
    import torch
    from avalanche.benchmarks import benchmark_from_datasets, with_task_labels
    from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, DataAttribute

    codes = torch.from_numpy(stream.codes)

    def dataset(rows: np.ndarray) -> Any:
        targets = codes[rows]
        tasks = ConstantSequence(0, len(rows))
        return AvalancheDataset(
            [torch.utils.data.TensorDataset(tensors[rows], targets)],
            data_attributes=[
                DataAttribute(targets.tolist(), "targets"),
                DataAttribute(tasks, "targets_task_labels", use_in_getitem=True),
            ],
        )

    return with_task_labels(
        benchmark_from_datasets(
            train=[dataset(each.train) for each in stream.experiences],
            test=[dataset(each.test) for each in stream.experiences],
        )
    )


def linear(stream: Stream, case: Case) -> Any:
    """Return Avalanche's strategy for a linear head, with a reservoir if there is a buffer."""
    import torch
    from avalanche.training import Naive
    from avalanche.training.plugins import ReplayPlugin
    from avalanche.training.storage_policy import ReservoirSamplingBuffer

    plugins = []
    weight = float(np.mean([each.train.size for each in stream.experiences]))
    if size := buffer_size(stream, case):
        plugins = [ReplayPlugin(size, storage_policy=ReservoirSamplingBuffer(size))]
        weight *= 2  # the buffer counts as much as the new rows
    head = torch.nn.Linear(stream.matrix.shape[1], stream.n_classes)
    decay = 1.0 / (C * weight)  # of the mean loss, where ours is of the sum
    return Naive(
        model=head,
        optimizer=torch.optim.SGD(
            head.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=decay
        ),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=case.epochs,
        eval_mb_size=2048,
        plugins=plugins,
        evaluator=evaluator(),
    )


def slda(stream: Stream, case: Case) -> Any:
    """Return Avalanche's streaming LDA.

    A minibatch is a whole experience: before it learns one, it predicts it, for which it inverts
    the covariance again.
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
    """Return what measures the accuracy of each experience, and nothing else."""
    from avalanche.evaluation.metrics import accuracy_metrics
    from avalanche.training.plugins import EvaluationPlugin

    return EvaluationPlugin(accuracy_metrics(experience=True), loggers=[])
