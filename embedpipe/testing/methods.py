"""The contract of continual-learning methods."""

from __future__ import annotations

import tempfile
from functools import cache
from typing import Any

import numpy as np

from ..continual import ContinualLoop, Stream, get_method, methods
from ._suite import CheckReport, Suite

__all__ = ["check_method", "method_checks"]

method_checks = Suite("method")
"""The checks of `check_method`; each takes the spec string of a registered method."""


def check_method(spec: str) -> CheckReport:
    """Check the contract of a method with the head ``sgd``, given by its spec string.

    Raise `ContractError` if a check fails.

    Examples
    --------
    >>> print(check_method("lwf"))
    5 checks passed
    """
    return method_checks.run(spec)


@cache
def _pairs() -> Stream:
    """Return three experiences with two new classes each."""
    rng = np.random.default_rng(0)
    codes = np.arange(360) % 6
    X = rng.normal(size=(6, 16))[codes] + 0.6 * rng.normal(size=(360, 16))
    return Stream.from_arrays(X, codes, codes // 2, name="pairs")


def _loop(spec: str, **options: Any) -> ContinualLoop:
    return ContinualLoop(
        _pairs(), head="sgd(epochs=4)", method=spec, policy="class_balanced", retain=24, **options
    )


@method_checks
def has_a_description(spec: str) -> None:
    method = get_method(spec)
    assert type(method).__doc__, "the class has no docstring"
    assert method.name in methods, f"the name {method.name!r} is not registered"


@method_checks
def spec_string_gives_an_equal_method(spec: str) -> None:
    method = get_method(spec)
    assert vars(get_method(str(method))) == vars(method), "an option is not kept as an attribute"


@method_checks
def same_stream_gives_the_same_head(spec: str) -> None:
    first, second = (_loop(spec).fit() for _ in range(2))
    np.testing.assert_array_equal(first.matrix, second.matrix)
    np.testing.assert_array_equal(first.fitted.coef_, second.fitted.coef_)


@method_checks
def vectors_are_not_changed(spec: str) -> None:
    before = _pairs().matrix.copy()
    _loop(spec).fit()
    np.testing.assert_array_equal(_pairs().matrix, before)


@method_checks
def run_that_was_stopped_continues_with_the_same_head(spec: str) -> None:
    whole = _loop(spec).fit()
    with tempfile.TemporaryDirectory() as workspace:
        for number in range(len(whole.records)):
            steps = _loop(spec, workspace=workspace).run()
            for _ in range(number + 1):
                next(steps)
        again = _loop(spec, workspace=workspace).fit()
    np.testing.assert_array_equal(again.matrix, whole.matrix)
    np.testing.assert_array_equal(again.fitted.coef_, whole.fitted.coef_)
    for one, other in zip(again.records, whole.records, strict=True):
        counts = [(each.kept, each.replayed, each.learned) for each in (one, other)]
        assert counts[0] == counts[1], f"the record of experience {one.experience} differs"
