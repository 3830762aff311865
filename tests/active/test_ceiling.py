"""The oracle ceiling: the best candidate batch by true labels."""

import dataclasses

import numpy as np
import pytest

from embedpipe._loops.fitting import Batch, Trainer
from embedpipe.active import ActiveLoop, LoopOptions, Problem, SimulatedOracle
from embedpipe.active import ceiling as module
from embedpipe.active.ceiling import CEILING, OracleCeiling
from embedpipe.errors import UsageError
from embedpipe.heads import get_head
from embedpipe.strategies import Pool, Strategy, get_strategy, strategies

NEAREST = "sklearn.neighbors:KNeighborsClassifier(n_neighbors=1)"

LINE = np.array([[0], [1], [2], [9], [10], [20], [21], [22], [11]], dtype=np.float32)
TRUTH = np.array(["hat", "hat", "hat", "shoe", "shoe", "sock", "sock", "sock", "sock"])


def ceiling_of(monkeypatch, *batches):
    """Return a ceiling that compares these candidate batches, and its labels so far."""
    drawn = [module._Candidate(np.array(rows), f"strategy {at}") for at, rows in enumerate(batches)]
    monkeypatch.setattr(module, "_drawn", lambda pool, n, rng: drawn)
    trainer = Trainer(get_head(NEAREST), LINE, np.arange(9), np.unique(TRUTH))
    return OracleCeiling(SimulatedOracle(TRUTH), trainer)


def choose(ceiling, labelled, n=1):
    """Choose a batch after the labels of these rows."""
    known = Batch(np.array(labelled, np.int64), TRUTH[labelled])
    head = get_head(NEAREST).fit(LINE[labelled], TRUTH[labelled]) if labelled else None
    pool = Pool(LINE, labelled=labelled, labels=TRUTH[labelled] if labelled else None, head=head)
    return ceiling.choose(pool, n, [known] if labelled else [], np.random.default_rng(0))


def test_gains_worked_out_by_hand(monkeypatch):
    # With labels of 0 (hat) and 9 (shoe), the predictions of 1, 2 and 10 are right, those of 20,
    # 21, 22 and 11 (all sock) are wrong.
    # Batch [1] changes nothing. Batch [11]: then 20, 21 and 22 are right, and 10 (at the same
    # distance from 9 and 11) stays a shoe, because 9 comes first: 3 of the 6 other rows.
    # Batch [20]: 21 and 22 become right: 2 of 6.
    ceiling = ceiling_of(monkeypatch, [1], [5], [8])
    selection = choose(ceiling, [0, 3])
    assert selection.rows.tolist() == [8]
    assert selection.scores.tolist() == [0.5]
    assert selection.diagnostics == {"gain": 0.5, "drawn_by": "strategy 2", "batches": 3.0}


def test_a_batch_does_not_gain_by_its_own_rows(monkeypatch):
    # All four wrong rows: no wrong row is left outside, so the gain is 0. Batch [20]: 2 of 6.
    ceiling = ceiling_of(monkeypatch, [5, 6, 7, 8], [5])
    assert choose(ceiling, [0, 3]).diagnostics["gain"] == pytest.approx(2 / 6)


def test_of_equal_gains_the_first_batch_is_chosen(monkeypatch):
    ceiling = ceiling_of(monkeypatch, [2], [1], [4])
    assert choose(ceiling, [0, 3]).rows.tolist() == [2]


def test_without_labels_the_gain_is_the_accuracy(monkeypatch):
    # Rows 0, 4 and 6 (hat, shoe, sock): 1, 2, 9, 20 and 22 are right; 11 is nearest to 10, a shoe.
    ceiling = ceiling_of(monkeypatch, [0, 1, 2], [0, 4, 6])
    selection = choose(ceiling, [], n=3)
    assert selection.rows.tolist() == [0, 4, 6]
    assert selection.diagnostics["gain"] == pytest.approx(5 / 6)


def test_the_last_rows_of_a_pool_have_no_gain(monkeypatch):
    ceiling = ceiling_of(monkeypatch, [7, 8])
    assert choose(ceiling, list(range(7)), n=2).diagnostics["gain"] == 0


# In a loop


@pytest.fixture
def problem():
    """Return a problem of three classes; 8 of its 120 candidates are of the third class."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["hat", "shoe", "sock"], [76, 76, 28])
    centres = {"hat": 0, "shoe": 4, "sock": 8}
    matrix = rng.standard_normal((180, 6)).astype(np.float32)
    matrix[:, 0] += [centres[name] for name in labels]
    rows = rng.permutation(180)
    sock = rows[labels[rows] == "sock"]
    other = rows[labels[rows] != "sock"]
    pool, test = np.r_[other[:112], sock[:8]], np.r_[other[112:], sock[8:]]
    return Problem.from_arrays(matrix, labels, pool, test, name="boxes")


def run(problem, rounds=2, **options):
    options = {"initial_size": 4, "batch_size": 4, "advice": "cheap", **options}
    return list(ActiveLoop(problem, oracle_ceiling=True, **options).run(rounds))


def test_a_loop_records_the_ceiling(problem, monkeypatch):
    monkeypatch.setattr(module, "BATCHES", 20)
    records = run(problem)
    assert [record.strategy for record in records] == [CEILING] * 3
    assert [record.labelled for record in records] == [4, 8, 12]
    assert all(record.diagnostics["batches"] <= 20 for record in records)
    free = {name for name in module.STRATEGIES if not strategies[name].needs_labels}
    assert records[0].diagnostics["drawn_by"] in free
    assert len(np.unique(np.concatenate([record.rows for record in records]))) == 12


def test_the_same_seed_gives_the_same_batches(problem, monkeypatch):
    monkeypatch.setattr(module, "BATCHES", 20)
    first, second = (run(problem, seed=3) for _ in range(2))
    assert [r.rows.tolist() for r in first] == [r.rows.tolist() for r in second]
    other = run(problem, seed=4)
    assert [r.rows.tolist() for r in first] != [r.rows.tolist() for r in other]


def test_test_labels_do_not_change_the_batches(problem, monkeypatch):
    monkeypatch.setattr(module, "BATCHES", 20)
    wrong = dataclasses.replace(problem, test_labels=problem.test_labels[::-1])
    before, after = run(problem), run(wrong)
    assert [r.rows.tolist() for r in before] == [r.rows.tolist() for r in after]
    assert [r.accuracy for r in before] != [r.accuracy for r in after]


def test_strategies_that_draw_candidates_see_labels_of_labelled_rows_only(problem, monkeypatch):
    seen = []

    class Spy(Strategy):
        """Record the pool."""

        name, needs_labels = "spy", False

        def choose(self, pool, n, rng):
            seen.append(pool)
            return get_strategy("random").choose(pool, n, rng)

    monkeypatch.setitem(strategies._entries, "spy", Spy)
    monkeypatch.setattr(module, "STRATEGIES", ("spy",))
    monkeypatch.setattr(module, "BATCHES", 3)
    run(problem)
    assert [pool.labelled.size for pool in seen] == [0] * 3 + [4] * 3 + [8] * 3
    for pool in seen:
        assert (0 if pool.labels is None else pool.labels.size) == pool.labelled.size
        assert not np.isin(pool.unlabelled, pool.labelled).any()
        assert not hasattr(pool, "oracle")


def test_the_whole_pool_can_be_labelled(problem, monkeypatch):
    monkeypatch.setattr(module, "BATCHES", 10)
    records = run(problem, rounds=40, batch_size=50)
    assert records[-1].labelled == 120


def test_the_ceiling_is_not_a_strategy():
    assert CEILING not in strategies
    assert not issubclass(OracleCeiling, Strategy)
    with pytest.raises(UsageError):
        get_strategy(CEILING)


def test_a_run_of_the_ceiling_has_its_own_id(problem):
    plain, ceiling = LoopOptions(), LoopOptions(oracle_ceiling=True)
    assert "oracle_ceiling" not in plain.config(problem.identity)
    config = ceiling.config(problem.identity)
    assert config["oracle_ceiling"] == OracleCeiling.config()
    assert not {"strategy", "initial"} & set(config)
    assert ceiling.run_id(problem.identity).startswith("boxes-oracle-ceiling-s0-")
    other = LoopOptions(oracle_ceiling=True, strategy="coreset")
    assert other.run_id(problem.identity) == ceiling.run_id(problem.identity)
