import numpy as np
import pytest

from embedpipe.errors import SelectionError, UnknownNameError
from embedpipe.strategies import Pool, Selection, Strategy, get_strategy


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
def test_a_strategy_that_breaks_its_promise_is_named(rows, given):
    pool = Pool(np.eye(4, dtype=np.float32), labelled=[0])
    with pytest.raises(SelectionError) as caught:
        Faulty(rows).select(pool, 2, np.random.default_rng(0))
    assert str(caught.value) == (
        "strategy 'faulty' is at fault: it must return 2 distinct unlabelled rows "
        f"and a score for each, but {given}"
    )


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError) as caught:
        get_strategy("corset")
    assert str(caught.value).startswith("unknown strategy 'corset'. Did you mean 'coreset'? Known")
