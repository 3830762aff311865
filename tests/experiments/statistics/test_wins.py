"""Wins, ties and losses over datasets, counted by hand."""

import numpy as np
import pytest

from embedpipe.errors import UsageError
from embedpipe.experiments.statistics import wins_ties_losses

CLEAR = np.array([0.01, -0.01, 0.0, 0.02, -0.02])


def test_counted_by_hand():
    tables = {
        "one": {"a": 0.9 + CLEAR, "b": 0.8 + CLEAR[::-1], "c": 0.5 + CLEAR},
        "two": {"a": 0.8 + CLEAR, "b": 0.9 + CLEAR[::-1], "c": 0.5 + CLEAR},
        "three": {"a": 0.8 + CLEAR, "b": 0.8 + CLEAR[::-1], "c": 0.8 + CLEAR[[1, 0, 3, 4, 2]]},
    }
    found = wins_ties_losses(tables)
    assert found.strategies == ("a", "b", "c")
    # a - c is equal for all seeds of "one" and "two": it is not tested
    assert found.wins.tolist() == [[0, 1, 0], [1, 0, 2], [0, 0, 0]]
    assert found.losses.tolist() == [[0, 1, 0], [1, 0, 0], [0, 2, 0]]
    assert found.untested.tolist() == [[0, 0, 2], [0, 0, 0], [2, 0, 0]]
    counted = found.wins + found.losses + found.ties + found.untested
    assert counted.tolist() == [[0, 3, 3], [3, 0, 3], [3, 3, 0]]
    # ranks 1 2 3, 2 1 3, and three equal means
    assert found.ranks.tolist() == pytest.approx([5 / 3, 5 / 3, 8 / 3]) and found.n_ranked == 3


def test_missing_strategies_of_a_dataset_are_not_counted():
    rng = np.random.default_rng(0)
    tables = {
        "one": {"a": 0.9 + 0.01 * rng.normal(size=5), "b": 0.5 + 0.01 * rng.normal(size=5)},
        "two": {"a": 0.9 + 0.01 * rng.normal(size=5)},
    }
    found = wins_ties_losses(tables)
    assert found.wins.tolist() == [[0, 1], [0, 0]] and found.ties.tolist() == [[0, 0], [0, 0]]
    assert found.ranks.tolist() == [1.0, 2.0] and found.n_ranked == 1
    alone = wins_ties_losses({"one": {"a": [1, 2]}, "two": {"b": [1, 2]}})
    assert alone.n_ranked == 0 and np.isnan(alone.ranks).all()


def test_the_correction_is_for_the_pairs_of_a_dataset():
    # differences to b of 1, 1, 2, 5, 5: p = 0.038 alone, and 3 times that among three pairs
    tables = {"one": {"a": [1, 1, 2, 5, 5], "b": [0] * 5, "c": [0] * 5}}

    def runs(*names):
        return range(5), range(5)  # equal by chance

    assert wins_ties_losses(tables, runs=runs).wins.sum() == 0
    plain = wins_ties_losses(tables, corrected=False, runs=runs)
    assert plain.wins.tolist()[0] == [0, 1, 1]


def test_strategies_with_one_run_neither_win_nor_tie():
    tables = {"one": {"a": [0.9] * 5, "b": 0.5 + CLEAR, "c": 0.7 + CLEAR[::-1]}}
    found = wins_ties_losses(tables)
    assert found.untested.tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    assert found.wins.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]] and not found.ties.any()


def test_no_dataset_raises_an_error():
    with pytest.raises(UsageError) as caught:
        wins_ties_losses({})
    assert str(caught.value) == "there is no dataset: give at least one."
