"""The options of a loop: the identity of a run, and what is refused before there is a loop."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB

from embedpipe.active import ActiveLoop, LoopOptions, OracleOptions, Problem, ProblemIdentity
from embedpipe.errors import UsageError
from embedpipe.strategies import get_strategy

DIGEST = "6b9dfd666785e20475bf79fed9de8a22d23d798ac9606533082365fe8d6fbfea"
TOYS = ProblemIdentity("toys", DIGEST)


def toys() -> Problem:
    matrix = np.arange(12, dtype=np.float32)[:, None]
    return Problem.from_arrays(matrix, ["hat", "shoe"] * 6, range(10), [10, 11], name="toys")


@pytest.mark.parametrize(
    ("options", "run_id"),
    [
        ({}, "toys-coreset-margin-s0-9102b76742"),
        ({"batch_size": 99}, "toys-coreset-margin-s0-3d356c1b06"),
        (
            {"strategy": "entropy", "initial": "typiclust", "seed": 7, "initial_size": 3,
             "batch_size": 2},
            "toys-typiclust-entropy-s7-babae78fac",
        ),
        ({"mode": "replay", "buffer_size": 4}, "toys-coreset-margin-s0-dd3c8771c7"),
        ({"mode": "replay"}, "toys-coreset-margin-s0-593ccc5991"),
        ({"mode": "replay", "batch_size": 99}, "toys-coreset-margin-s0-7479fd4a37"),
        (
            {"mode": "half_cumulative", "head": "mlp(hidden=8)", "skip": 1},
            "toys-coreset-margin-s0-31fa09b53c",
        ),
        (
            {"labelling": OracleOptions(0.1, "symmetric", 0.2, {"hat": 2.0}), "advice": "cheap"},
            "toys-coreset-margin-s0-db334c1715",
        ),
        ({"head": GaussianNB()}, "toys-coreset-margin-s0-28385f0a35"),
        (
            {"strategy": "coral(uncertainty=entropy)", "initial": "random"},
            "toys-random-coral-s0-205be121e8",
        ),
    ],
)  # fmt: skip
def test_run_ids_are_those_of_version_0_2(options, run_id):
    options = {"head": "logistic", **options}
    assert LoopOptions(**options).run_id(TOYS) == run_id
    loop = ActiveLoop(toys(), **options)
    assert (loop.problem.identity, loop.run_id()) == (TOYS, run_id)


def test_pickled_options_give_the_same_run_id():
    options = LoopOptions(strategy=get_strategy("coreset"), head="mlp(hidden=8)", seed=3)
    assert pickle.loads(pickle.dumps(options)).run_id(TOYS) == options.run_id(TOYS)


def test_another_seed_changes_the_seed_of_the_head():
    options = replace(LoopOptions(head="mlp", seed=3), seed=4)
    assert options.built_head.seed == 4
    assert options.run_id(TOYS) == LoopOptions(head="mlp", seed=4).run_id(TOYS)


def test_options_can_be_changed_by_name():
    options = LoopOptions(strategy="entropy", seed=7)
    loop = ActiveLoop(toys(), options=options, seed=8)
    assert loop.options.seed == 8
    assert loop.run_id() == ActiveLoop(toys(), strategy="entropy", seed=8).run_id()


def test_a_head_without_probabilities_raises_an_error():
    with pytest.raises(UsageError) as error:
        LoopOptions(head=RidgeClassifier())
    assert str(error.value) == (
        "a RidgeClassifier gives no probabilities: wrap it in scikit-learn's "
        "CalibratedClassifierCV."
    )


def test_the_old_name_of_the_oracle_options_is_deprecated():
    import embedpipe
    from embedpipe import active

    with pytest.warns(DeprecationWarning, match="`Labelling` is now `OracleOptions`"):
        assert active.Labelling is OracleOptions
    with pytest.warns(DeprecationWarning, match="`Labelling` is now `OracleOptions`"):
        assert embedpipe.Labelling is OracleOptions
