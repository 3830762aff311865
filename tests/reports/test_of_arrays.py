"""The page of loops without a dataset: curve, table and rows, as for the others."""

import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.active import Problem

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def loops(**options):
    return [
        ep.ActiveLoop.from_arrays(
            X[:200], Y[:200], X[200:300], Y[200:300], strategy=strategy, initial="random",
            head="nearest_mean", initial_size=20, update_size=10, advice="cheap", **options,
        ).fit(rounds=2)
        for strategy in ("margin", "random")
    ]  # fmt: skip


def test_it_has_the_curve_the_table_and_the_rows(tmp_path):
    margin, random = loops()
    data = ep.report_of([margin], baseline=random, upper_bound=margin.upper_bound())
    facts = dict(data.facts)
    assert facts["items"] == "300"
    assert (facts["to choose from"], facts["test"], facts["classes"]) == ("200", "100", "10")
    assert facts["vectors"] == "64 numbers each"
    assert "backbone" not in facts and "precision" not in facts
    (curve, baseline) = data.curves
    assert baseline.baseline and [r.labelled for r in curve.rounds] == [20, 30, 40]
    assert [r.accuracy for r in curve.rounds] == [r.accuracy for r in margin.records]
    for shown, record in zip(curve.rounds, margin.records, strict=True):
        assert [pick.id for pick in shown.picks] == [f"row {row}" for row in record.rows]
        assert [pick.label for pick in shown.picks] == [str(Y[row]) for row in record.rows]
        assert all(pick.thumbnail is None for pick in shown.picks)
    page = ep.write_report(tmp_path / "r.html", data).read_text()
    assert page.count("<img") == 0
    assert f"{margin.records[-1].accuracy:.3f} accuracy from 40 labels" in page
    for row in margin.records[1].rows:
        assert f"row {row}" in page
    assert re.search(r"<t[dh][^>]*>\s*30\s*</t[dh]>", page)


def test_without_test_rows_there_is_still_a_page(tmp_path):
    loop = ep.ActiveLoop.from_arrays(X[:60], Y[:60], head="nearest_mean", initial_size=20)
    list(loop.run(rounds=1, batch_size=10))
    page = ep.write_report(tmp_path / "r.html", ep.report_of([loop])).read_text()
    assert f"row {loop.records[0].rows[0]}" in page


def test_a_problem_that_was_loaded_names_its_items(tmp_path):
    digits = ep.embed(ep.load_dataset("digits").subset("train"), backbone="toy", workspace=tmp_path)
    Problem.of(digits, 0).save(tmp_path / "problem")
    loop = ep.ActiveLoop(Problem.load(tmp_path / "problem"), head="nearest_mean", initial="random")
    list(loop.run(rounds=0))
    picks = ep.report_of([loop]).curves[0].rounds[0].picks
    assert picks[0].id == digits.items[loop.records[0].rows[0]].id


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_the_figure_of_a_replay_study(tmp_path, suffix):
    stream = ep.Stream.from_arrays(X[:200], Y[:200], np.repeat([0, 1], 100))
    study = ep.ReplayStudy(
        stream, policies=["random"], retains=[0.1], heads=["logistic", "slda"], seeds=2,
        workspace=tmp_path,
    )  # fmt: skip
    data = ep.replay_of(study.run(workers=0))
    path = ep.write_replay_figure(tmp_path / f"curves{suffix}", data)
    start = {".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG"}[suffix]
    first = path.read_bytes()
    assert first.startswith(start)
    assert ep.write_replay_figure(path, data).read_bytes() == first
