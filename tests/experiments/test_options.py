"""The options of studies, checked without a dataset or a stream."""

from __future__ import annotations

import pytest

from embedpipe.errors import UsageError
from embedpipe.experiments.options import (
    ExperimentOptions,
    initial_for,
    pairs_of,
    strategy_choice,
)
from embedpipe.experiments.replay import ReplayOptions

MARGIN, CORESET, RANDOM = (strategy_choice(name) for name in ("margin", "coreset", "random"))


def test_strategies_are_named_by_their_spec_strings() -> None:
    options = ExperimentOptions(strategies=["margin", "coral( )"])
    assert [then.name for _, then in options._axes.pairs] == ["margin", "coral", "random"]


def test_the_initial_strategy_same() -> None:
    assert [initial_for(None, each).name for each in (CORESET, MARGIN)] == ["coreset", "typiclust"]
    assert initial_for(RANDOM, CORESET) is RANDOM


def test_pairs_include_the_baselines() -> None:
    def names(*given) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
        return [(first.name, then.name) for first, then in pairs_of(*given)]

    assert names([MARGIN, CORESET], [None], RANDOM) == [
        ("typiclust", "margin"),
        ("coreset", "coreset"),
        ("random", "random"),
    ]
    assert names([MARGIN], [CORESET], RANDOM) == [
        ("coreset", "margin"),
        ("coreset", "random"),
        ("random", "random"),
    ]


def test_options_are_checked_without_data() -> None:
    with pytest.raises(UsageError, match="rounds is -1: give a whole number, at least 0"):
        ExperimentOptions(rounds=-1)
    with pytest.raises(UsageError, match="unknown reference method 'upper'"):
        ReplayOptions(reference_methods=["upper"])
    with pytest.raises(UsageError, match="seeds is 0"):
        ReplayOptions(seeds=0)
