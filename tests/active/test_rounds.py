"""Measures on the test rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.naive_bayes import GaussianNB

from embedpipe.active import ActiveLoop, Problem
from embedpipe.active.rounds import Evaluator, Scores
from embedpipe.active.sample import predictions_of
from embedpipe.errors import RunError

MATRIX = np.array([[0.0], [1.0], [0.1], [0.9], [0.4]], dtype=np.float32)


def test_scores_by_hand():
    head = GaussianNB(var_smoothing=0.1).fit(MATRIX[:2], ["a", "b"])
    predictions = predictions_of(head, MATRIX, np.array([2, 3, 4]))
    scores = Evaluator(np.array(["a", "b", "b"])).scores(predictions)
    assert (round(scores.accuracy, 3), round(scores.balanced_accuracy, 3)) == (0.667, 0.75)


def test_without_predictions_there_are_no_scores():
    assert Evaluator(np.array(["a"])).scores(None) == Scores()


def test_the_right_predictions_of_the_test_rows_are_stored_as_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.array(["hat", "shoe"])[np.arange(60) % 2]
    matrix = rng.normal(size=(60, 4)).astype(np.float32) + (np.arange(60) % 2)[:, None]
    problem = Problem.from_arrays(matrix, labels, range(47), range(47, 60))
    loop = ActiveLoop(problem, strategy="random", initial_size=6, workspace=tmp_path)
    records = list(loop.run(rounds=1, batch_size=6))
    last = loop.predict(matrix[47:]) == labels[47:]
    assert records[1].correct.tolist() == last.tolist()
    assert records[1].accuracy == last.mean()
    folder = loop.folder(6)
    table = pq.read_table(folder.path / "rounds.parquet")
    assert table["tested"].to_pylist() == [13, 13]
    assert [len(bits) for bits in table["correct"].to_pylist()] == [2, 2]
    for stored, record in zip(folder.read(), records, strict=True):
        assert stored.correct.tolist() == record.correct.tolist()


def test_rounds_of_earlier_versions_have_no_right_predictions(tmp_path: Path) -> None:
    problem = Problem.from_arrays(MATRIX, ["a", "b", "a", "b", "a"], [0, 1, 2], [3, 4])
    loop = ActiveLoop(problem, strategy="random", initial_size=1, workspace=tmp_path)
    list(loop.run(rounds=1, batch_size=1))
    folder = loop.folder(1)
    path = folder.path / "rounds.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["tested", "correct"]), path)
    again = ActiveLoop(problem, strategy="random", initial_size=1, workspace=tmp_path)
    records = list(again.run(rounds=2, batch_size=1))
    assert [record.correct is None for record in records] == [True, True, False]
    assert pq.read_table(path)["tested"].to_pylist() == [None, None, 2]


def blobs() -> Problem:
    """Three classes, 60 candidates and 30 test rows; no test row has the third class."""
    rng = np.random.default_rng(3)
    codes = np.arange(90) % 3
    codes[60:] = np.arange(30) % 2
    matrix = rng.normal(size=(90, 4)).astype(np.float32) + 1.2 * codes[:, None]
    return Problem.from_arrays(
        matrix, np.array(["ant", "bee", "cat"])[codes], range(60), range(60, 90)
    )


@pytest.mark.parametrize("mode", ["cumulative", "incremental"])
def test_the_predictions_of_each_round_are_those_of_its_heads(tmp_path: Path, mode: str) -> None:
    problem = blobs()
    head = "mlp(hidden=4)" if mode == "incremental" else "logistic"
    options = {"strategy": "margin", "initial": "random", "initial_size": 6, "head": head}
    loop = ActiveLoop(problem, mode=mode, workspace=tmp_path, **options)
    records = list(loop.run(rounds=3, batch_size=5))
    heads = [loop.head_after(number) for number in range(4)]
    truth = np.asarray(problem.test_labels)
    for number, record in enumerate(records):
        kept = record.predictions
        assert kept.classes.tolist() == ["ant", "bee", "cat"]
        assert (
            kept.classes[kept.test].tolist() == heads[number].predict(problem.matrix[60:]).tolist()
        )
        assert np.mean(kept.classes[kept.test] == truth) == record.accuracy
        after = heads[number].predict_proba(problem.matrix[record.rows]).max(axis=1)
        assert np.allclose(kept.after.probabilities, after, atol=1e-6)
        if number:
            before = heads[number - 1].predict(problem.matrix[record.rows])
            assert kept.classes[kept.before.codes].tolist() == before.tolist()
    assert records[0].predictions.before is None


def test_a_continued_run_has_the_predictions_of_all_rounds(tmp_path: Path) -> None:
    def run(workspace: Path, rounds: int) -> list[Any]:
        loop = ActiveLoop(blobs(), initial_size=6, head="logistic", workspace=workspace)
        return [r.predictions.table(r.round).to_pylist() for r in loop.run(rounds, batch_size=5)]

    whole = run(tmp_path / "whole", 3)
    assert run(tmp_path / "parts", 1) == whole[:2]
    assert run(tmp_path / "parts", 3) == whole
    assert run(tmp_path / "parts", 3) == whole  # all from the file


def test_runs_without_predictions_are_continued(tmp_path: Path) -> None:
    def loop(**options: Any) -> ActiveLoop:
        return ActiveLoop(blobs(), initial_size=6, head="logistic", workspace=tmp_path, **options)

    quiet = loop(keep_predictions=False)
    assert all(record.predictions is None for record in quiet.run(1, batch_size=5))
    assert not (quiet.folder(5).path / "predictions.parquet").exists()
    records = list(loop().run(2, batch_size=5))
    assert [record.predictions is None for record in records] == [True, True, False]
    again = list(loop(keep_predictions=False).run(3, batch_size=5))
    assert [record.predictions is None for record in again] == [True, True, False, True]
    assert pq.read_table(quiet.folder(5).path / "predictions.parquet")["round"].to_pylist() == [2]


def test_a_damaged_file_of_predictions_is_an_error(tmp_path: Path) -> None:
    loop = ActiveLoop(blobs(), initial_size=6, head="logistic", workspace=tmp_path)
    list(loop.run(0, batch_size=5))
    (loop.folder(5).path / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(RunError, match="is damaged"):
        list(loop.run(0, batch_size=5))
