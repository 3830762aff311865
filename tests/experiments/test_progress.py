"""The clock of a study: rounds left by kind of cell, shared out among the workers."""

from embedpipe.experiments.cells import Cell, Setting
from embedpipe.experiments.study import Clock


def test_the_time_left_follows_from_the_rounds_of_each_strategy() -> None:
    random, margin = (
        Cell(Setting("digits", "toy", "random", strategy, "logistic", "cumulative"), 0)
        for strategy in ("random", "margin")
    )
    clock = Clock({random: (3, 6), margin: (0, 4)}, workers=2)
    assert clock.progress().seconds_left is None
    clock.count(random, 2.0)
    assert clock.progress().seconds_left == 6.0  # (2 + 4 rounds of unknown cost) x 2 s / 2 workers
    clock.count(margin, 5.0)
    assert clock.progress().seconds_left == 9.5  # (2 x 2 s + 3 x 5 s) / 2
