"""The options of a continual-learning loop, and the identity of a run."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from embedpipe.continual import ContinualLoop, ContinualOptions, Stream, StreamIdentity
from embedpipe.errors import UsageError

DIGEST = "ccaaf8f70e28222fdc8db8000696fbe5baa1926010a1dbc5a6bd1b04ac90d287"
YEARS = StreamIdentity("years", DIGEST, "iid")


def years() -> Stream:
    matrix = np.arange(16, dtype=np.float32)[:, None]
    return Stream.from_arrays(matrix, ["hat", "shoe"] * 8, [1] * 8 + [2] * 8, name="years")


@pytest.mark.parametrize(
    ("options", "run_id"),
    [
        ({}, "years-random-s0-250a63fa61"),
        ({"policy": "el2n(take=easiest)", "retain": 4}, "years-el2n-s0-8939c8f760"),
        ({"policy": "none"}, "years-naive-s0-d1f5786746"),
        ({"method": "joint", "seed": 3}, "years-joint-s3-01158bf8c5"),
        ({"head": "slda"}, "years-naive-s0-6bfe7536be"),
        ({"budget": 2, "mix": "balanced", "initial": "random"}, "years-random-s0-c5220041f4"),
        ({"method": "cumulative", "head": "mlp(hidden=8)"}, "years-cumulative-s0-b0760a56f4"),
    ],
)
def test_run_ids_are_those_of_version_0_2(options, run_id):
    assert ContinualOptions(**options).run_id(YEARS) == run_id
    loop = ContinualLoop(years(), **options)
    assert (loop.stream.identity, loop.run_id) == (YEARS, run_id)


def test_pickled_options_give_the_same_run():
    options = ContinualOptions(policy="el2n", head="mlp(hidden=8)", seed=3)
    assert pickle.loads(pickle.dumps(options)).run_id(YEARS) == options.run_id(YEARS)


def test_changed_options_are_those_of_the_new_values():
    options = replace(ContinualOptions(head="mlp", seed=3), seed=4, policy="none")
    assert (options.built_head.seed, options.method_name) == (4, "naive")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"policy": "none", "method": "replay"},
            "method 'replay' needs a buffer, and policy 'none' has none: use method 'naive', or a "
            "policy such as random.",
        ),
        (
            {"method": "gdumb", "policy": "el2n"},
            "method 'gdumb' fills the buffer before the head learns the new rows, so policy 'el2n' "
            "has no predictions: use a policy such as class_balanced.",
        ),
        (
            {"method": "ewc"},
            "method ewc changes the training steps of a head, and LogisticHead is not trained in "
            "such steps: use the head sgd.",
        ),
        (
            {"method": "ewc(mode=on)", "head": "sgd"},
            "unknown mode of ewc 'on'. Known: online, separate.",
        ),
        ({"mix": "concatenate"}, "unknown mix 'concatenate'. Did you mean 'concatenated'? "
         "Known: balanced, concatenated."),
        (
            {"budget": 2, "initial": "margin"},
            "initial strategy 'margin' needs labels, and there are none: use a strategy that "
            "needs no labels, such as typiclust.",
        ),
    ],
)  # fmt: skip
def test_wrong_options_are_refused_without_a_stream(options, message):
    with pytest.raises(UsageError) as error:
        ContinualOptions(**options)
    assert str(error.value) == message


def test_a_budget_and_a_buffer_must_fit_the_stream():
    with pytest.raises(UsageError) as error:
        ContinualOptions(budget=9).check_fits({"1": 12, "2": 8})
    assert str(error.value) == (
        "the budget is 9 labels, but experience '2' has 8 rows to label: give 1 to 8."
    )
    with pytest.raises(UsageError) as error:
        ContinualOptions(retain=21).check_fits({"1": 12, "2": 8})
    assert str(error.value) == (
        "the buffer has 21 rows, but the stream has only 20 training rows: give fewer rows, or "
        "use method cumulative, which keeps all rows."
    )


def test_the_old_name_of_an_experience_batch_is_deprecated():
    from embedpipe import continual

    with pytest.warns(DeprecationWarning, match="`Seen` is now `ExperienceBatch`"):
        assert continual.Seen is continual.ExperienceBatch
