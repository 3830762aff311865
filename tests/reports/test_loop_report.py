"""The report of a run: its headline, its data and its page, with and without a dataset."""

import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.reports import Curve, Pick, Round
from embedpipe.reports.loop_headline import write_headline

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def curve(name, *points, picks=()):
    rounds = tuple(
        Round(number, labelled, accuracy, accuracy, 0.0, 0.0, name, picks)
        for number, (labelled, accuracy) in enumerate(points)
    )
    return Curve(name, rounds)


RANDOM = curve("random images", (100, 0.6), (200, 0.71), (300, 0.78))


@pytest.mark.parametrize(
    ("points", "result", "comparison"),
    [
        (
            [(100, 0.65), (200, 0.8), (300, 0.871)],
            "0.871 accuracy with 300 labels",
            "Random selection needs 300 labels for 0.780; this strategy needed 200.",
        ),
        (
            [(100, 0.5), (200, 0.6), (300, 0.79)],
            "0.790 accuracy with 300 labels",
            "Random selection reaches 0.780 with 300 labels.",
        ),
        (
            [(100, 0.5), (300, 0.7)],
            "0.700 accuracy with 300 labels",
            "Random selection reaches 0.780 with 300 labels, which is better.",
        ),
        (
            [(100, 0.5), (300, 0.7804)],
            "0.780 accuracy with 300 labels",
            "Random selection reaches the same accuracy with 300 labels.",
        ),
        (
            [(200, 0.75), (400, 0.9)],
            "0.900 accuracy with 400 labels",
            "Random selection reaches 0.710 with 200 labels.",
        ),
        (
            [(1, 0.25)],
            "0.250 accuracy with 1 label",
            "Random selection reaches 0.780 with 300 labels.",
        ),
        (
            [(1000, 0.9), (2000, 0.95)],
            "0.950 accuracy with 2,000 labels",
            "Random selection reaches 0.780 with 300 labels.",
        ),
    ],
)
def test_the_comparison_with_a_baseline(points, result, comparison):
    assert write_headline(curve("margin", *points), RANDOM) == (result, comparison)


def test_without_a_baseline():
    assert write_headline(curve("margin", (10, 0.5)), None) == ("0.500 accuracy with 10 labels", "")


def test_a_baseline_without_accuracy():
    rival = curve("random images", (10, None))
    assert write_headline(curve("margin", (10, 0.5)), rival).comparison == ""


def test_a_run_without_accuracy():
    unmeasured = curve("margin", (1, None), (2, None), picks=(Pick("a", 0.0),))
    assert write_headline(unmeasured, RANDOM) == (
        "2 images selected in 2 rounds",
        "There is no accuracy, because there are no labelled test images.",
    )


# From loops without a dataset


def loops(**options):
    return [
        ep.ActiveLoop.from_arrays(
            X[:200], Y[:200], X[200:300], Y[200:300], strategy=strategy, initial="random",
            head="nearest_mean", initial_size=20, update_size=10, advice="cheap", **options,
        ).fit(rounds=2)
        for strategy in ("margin", "random")
    ]  # fmt: skip


def test_the_report_has_the_curve_the_table_and_the_rows(tmp_path):
    margin, random = loops()
    data = ep.report_of([margin], baseline=random, upper_baseline=margin.upper_baseline())
    assert dict(data.facts) == {
        "images": "300", "classes": "10", "images to label": "200", "test images": "100",
    }  # fmt: skip
    details = dict(data.details)
    assert details["strategy"] == "random, then margin"
    assert details["vectors"] == "64 dims"
    assert "backbone" not in details and "precision" not in details
    assert [curve.name for curve in data.curves] == ["suggested images", "random images"]
    (curve, baseline) = data.curves
    assert baseline.baseline and [r.labelled for r in curve.rounds] == [20, 30, 40]
    assert [r.accuracy for r in curve.rounds] == [r.accuracy for r in margin.records]
    for shown, record in zip(curve.rounds, margin.records, strict=True):
        assert [pick.id for pick in shown.picks] == [f"row {row}" for row in record.rows]
        assert [pick.label for pick in shown.picks] == [str(Y[row]) for row in record.rows]
        assert all(pick.thumbnail is None for pick in shown.picks)
    page = ep.write_report(tmp_path / "r.html", data).read_text()
    assert page.count("<img") == 0
    assert f"{margin.records[-1].accuracy:.3f} accuracy with 40 labels" in page
    for row in margin.records[1].rows:
        assert f"row {row}" in page
    assert re.search(r"<t[dh][^>]*>\s*30\s*</t[dh]>", page)


def test_a_large_run_shows_the_first_picks_of_each_round(tmp_path, monkeypatch):
    monkeypatch.setattr("embedpipe.reports.loop_picks.MAX_SHOWN", 24)
    margin, random = loops()  # each with rounds of 20, 10 and 10 picks
    data = ep.report_of([margin], baseline=random)
    first = data.curves[0].rounds[0].picks
    assert len(first) == 20
    assert [pick.place is not None for pick in first] == [True] * 4 + [False] * 16
    page = ep.write_report(tmp_path / "r.html", data).read_text()
    assert page.count("The first 4 images of 20.") == 2
    assert page.count("The first 4 images of 10.") == 4
    run = json.loads(re.search(r'id="run">(.*?)</script>', page)[1])
    for shown, record in zip(run["curves"][0]["rounds"], margin.records, strict=True):
        assert len(shown["picks"]) == 4
        assert shown["count"] == len(record.rows)
        assert sum(shown["labels"]) == record.labelled  # of all picks
        assert sum(map(sum, shown["matrix"])) == 100
        assert sum(shown["right"]) / 100 == record.accuracy


def test_neighbours_have_a_label_before_the_round():
    (margin, _) = loops()
    rounds = ep.report_of([margin]).curves[0].rounds
    known = set()
    for entry in rounds:
        for pick in entry.picks:
            assert len(pick.neighbours) == min(3, len(known))
            assert {neighbour.id for neighbour in pick.neighbours} <= known
        known |= {pick.id for pick in entry.picks}


def test_a_loop_without_test_rows_has_a_page(tmp_path):
    loop = ep.ActiveLoop.from_arrays(X[:60], Y[:60], head="nearest_mean", initial_size=20)
    list(loop.run(rounds=1, batch_size=10))
    page = ep.write_report(tmp_path / "r.html", ep.report_of([loop])).read_text()
    assert f"row {loop.records[0].rows[0]}" in page


def test_a_loaded_problem_has_the_names_of_its_items(tmp_path):
    digits = ep.embed(ep.load_dataset("digits").subset("train"), backbone="toy", workspace=tmp_path)
    Problem.of(digits, 0).save(tmp_path / "problem")
    loop = ep.ActiveLoop(Problem.load(tmp_path / "problem"), head="nearest_mean", initial="random")
    list(loop.run(rounds=0))
    picks = ep.report_of([loop]).curves[0].rounds[0].picks
    assert picks[0].id == digits.items[loop.records[0].rows[0]].id


def test_several_loops_are_named_by_their_strategies():
    margin, random = loops()
    data = ep.report_of([margin, random])
    assert [curve.name for curve in data.curves] == ["random, then margin", "random"]
    assert data.advice is None or data.advice.startswith("random, then margin. ")


def test_old_names_of_the_upper_baseline_are_deprecated():
    margin, _ = loops()
    with pytest.warns(DeprecationWarning, match="`upper_bound` is now `upper_baseline`"):
        data = ep.report_of([margin], upper_bound=0.9)
    with pytest.warns(DeprecationWarning, match="`upper_bound` is now `upper_baseline`"):
        assert data.upper_bound == data.upper_baseline == 0.9
    with pytest.warns(DeprecationWarning, match="`upper_bound` is now `upper_baseline`"):
        assert margin.upper_bound() == margin.upper_baseline()
