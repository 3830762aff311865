"""Runs in a workspace are found again: what stands for an option must never change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embedpipe._loops.identity import identity_of, run_id_of
from embedpipe.continual import get_policy, size_of
from embedpipe.errors import RunError
from embedpipe.heads import get_head
from embedpipe.strategies import get_strategy

RECORDED = json.loads((Path(__file__).parent / "identities.json").read_text())
MAKE = {
    "head": get_head,
    "strategy": get_strategy,
    "policy": get_policy,
    "size": lambda text: size_of(json.loads(text)),
}


@pytest.mark.parametrize("what", RECORDED)
def test_what_is_registered_has_the_identity_that_runs_recorded(what):
    # If a class has moved, add its old module to RECORDED_MODULES.
    kind, name = what.split()
    assert identity_of(MAKE[kind](name)) == RECORDED[what]


def test_arrays_are_told_apart_to_the_last_bit():
    one, other = np.array([1.0]), np.array([np.nextafter(1.0, 2.0)])
    assert identity_of(one) == identity_of(one.copy()) != identity_of(other)
    assert identity_of(one) != identity_of(one.astype(np.float32))


def test_a_function_has_no_identity():
    with pytest.raises(RunError) as error:
        identity_of({"key": print})
    assert str(error.value) == (
        "a builtin_function_or_method has no identity that a run could be found by again: use "
        "options that are numbers, texts or arrays, or leave out the workspace."
    )


def test_a_run_id_does_not_depend_on_the_order_of_the_configuration():
    assert run_id_of("a", {"x": 1, "y": 2}) == run_id_of("a", {"y": 2, "x": 1}) == "a-8ce18b4643"
