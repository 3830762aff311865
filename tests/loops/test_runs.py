"""Run identities: the recorded form of an option must never change."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from embedpipe._loops.runs import identity_of, run_id_of
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


@pytest.mark.parametrize("entry", RECORDED)
def test_registered_classes_keep_their_recorded_identity(entry):
    # After moving a class, add its old module to RECORDED_MODULES.
    kind, name = entry.split()
    assert identity_of(MAKE[kind](name)) == RECORDED[entry]


def test_identity_depends_on_every_bit_of_an_array():
    one, other = np.array([1.0]), np.array([np.nextafter(1.0, 2.0)])
    assert identity_of(one) == identity_of(one.copy()) != identity_of(other)
    assert identity_of(one) != identity_of(one.astype(np.float32))


def test_a_function_is_refused():
    with pytest.raises(RunError) as error:
        identity_of({"key": print})
    assert str(error.value) == (
        "a builtin_function_or_method cannot be part of the identity of a run: use options that "
        "are numbers, strings or arrays, or run without a workspace."
    )


def test_a_run_id_does_not_depend_on_the_order_of_the_configuration():
    assert run_id_of("a", {"x": 1, "y": 2}) == run_id_of("a", {"y": 2, "x": 1}) == "a-8ce18b4643"
