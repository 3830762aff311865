import subprocess
import sys

import numpy as np
import pytest

from embedpipe.errors import SelectionError, UnknownNameError
from embedpipe.strategies import (
    DiverseStrategy,
    Pool,
    Selection,
    Strategy,
    UniquePicks,
    get_strategy,
)


class Faulty(Strategy):
    name, needs_labels = "faulty", False

    def __init__(self, rows):
        self.rows = np.array(rows)

    def choose(self, pool, n, rng):
        return Selection(self.rows, np.zeros(n, dtype=np.float32))


@pytest.mark.parametrize(
    ("rows", "given"),
    [
        ([1, 1], "returned 2 rows (1 distinct) and 2 scores."),
        ([0, 1], "returned 2 rows (2 distinct) and 2 scores."),  # row 0 is labelled
        ([1], "returned 1 rows (1 distinct) and 2 scores."),
    ],
)
def test_invalid_rows_are_refused(rows, given):
    pool = Pool(np.eye(4, dtype=np.float32), labelled=[0])
    with pytest.raises(SelectionError) as caught:
        Faulty(rows).select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        f"strategy 'faulty' {given} It must return 2 distinct unlabelled rows and a score for each."
    )


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        get_strategy("corset")
    assert str(caught.value).startswith("unknown strategy 'corset'. Did you mean 'coreset'? Known")


@pytest.mark.parametrize(
    ("rows", "scores", "given"),
    [
        ([1, 2], [0.0, 0.0], "rows of type list and scores of type list."),
        (np.array([1.0, 2.0]), np.zeros(2), "rows of type float64 and scores of type float64."),
        (np.array([1, 2]), np.array(["a", "b"]), "rows of type int64 and scores of type <U1."),
    ],
)
def test_results_of_wrong_types_are_refused(rows, scores, given):
    class Odd(Strategy):
        name = "odd"

        def choose(self, pool, n, rng):
            return Selection(rows, scores)

    with pytest.raises(SelectionError) as caught:
        Odd().select(Pool(np.eye(4, dtype=np.float32)), 2, np.random.default_rng(0))
    assert str(caught.value) == (
        f"strategy 'odd' returned {given} It must return an integer array of rows and a numeric "
        "array of scores."
    )


def test_the_old_names_of_unique_vectors_still_work():
    with pytest.warns(DeprecationWarning, match=r"`Old.choose_points` is now `choose_unique`\."):

        class Old(DiverseStrategy):
            name = "old"

            def choose_points(self, pool, n, rng):
                return UniquePicks(np.array([1]), np.ones(1))

    pool = Pool(np.eye(4, dtype=np.float32), labelled=[0])
    assert Old().select(pool, 1, np.random.default_rng(0)).rows.tolist() == [1]
    with pytest.warns(DeprecationWarning, match=r"is now `Pool.unique_labelled`\."):
        assert pool.points_labelled is pool.unique_labelled
    with pytest.warns(DeprecationWarning, match=r"is now `UniquePicks.positions`\."):
        assert UniquePicks(np.array([1]), np.ones(1)).points.tolist() == [1]


def test_importing_strategies_loads_no_heavy_library():
    code = (
        "import sys, embedpipe.strategies\n"
        "print([m for m in ('faiss', 'torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
