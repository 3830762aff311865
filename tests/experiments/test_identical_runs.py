"""Identical runs are one observation in every place that shows statistics.

One study has one pool for all seeds, where `coreset` gives one run. The other study has a pool for
each seed, where `coreset` gives five.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.active import Problem
from embedpipe.continual import Stream
from embedpipe.experiments import Experiment, ReplayResults, ReplayStudy, Results
from embedpipe.reports import (
    LineChart,
    figure_of,
    replay_of,
    write_figure,
    write_replay,
    write_replay_figure,
)
from embedpipe.reports.study_report import StudyData

SEEDS = 5

SHARES = {1.0: 1, 0.8: SEEDS}
"""Number of distinct runs of `coreset`, by pool share."""


@pytest.fixture(scope="module", params=SHARES, ids=["one pool", "pools"])
def share(request: pytest.FixtureRequest) -> float:
    found: float = request.param
    return found


@pytest.fixture(scope="module")
def results(
    share: float, blobs: Callable[..., Problem], tmp_path_factory: pytest.TempPathFactory
) -> Results:
    return Experiment(
        {"one": blobs(300), "two": blobs(300, seed=1)},
        strategies=["coreset", "random"],
        seeds=SEEDS,
        pool_share=share,
        initial_size=10,
        batch_size=10,
        rounds=3,
        workspace=tmp_path_factory.mktemp("identical"),
    ).run(workers=0)


@pytest.fixture(scope="module")
def replayed(share: float, tmp_path_factory: pytest.TempPathFactory) -> ReplayResults:
    rng = np.random.default_rng(2)
    labels, buckets = rng.integers(3, size=400), np.repeat(np.arange(4), 100)
    centres = rng.standard_normal((3, 6)) + rng.standard_normal((4, 3, 6)) * 0.8
    matrix = centres[buckets, labels] + rng.standard_normal((400, 6))
    return ReplayStudy(
        Stream.from_arrays(matrix, labels, buckets, name="wandering"),
        policies=["margin", "random"],
        retains=[0.1],
        reference_methods=["naive"],
        seeds=SEEDS,
        pool_share=share,
        workspace=tmp_path_factory.mktemp("identical"),
    ).run(workers=0)


def test_the_rows_of_a_summary(results: Results, share: float) -> None:
    one = share == 1
    for group in results.summary().groups:
        row = next(row for row in group.rows if row.setting.strategy == "coreset")
        assert row.distinct_runs == SHARES[share]
        assert row.comparison is not None
        assert row.rounds is not None
        assert row.labels is not None
        assert math.isnan(row.aubc.low) == one
        assert all(math.isnan(each.low) == one for each in row.at.values())
        assert all(math.isnan(each.low) == one for each in group.band(row.setting))
        found = row.comparison
        assert math.isnan(found.low) == math.isnan(found.p) == one
        assert found.reason == ("identical runs" if one else None)
        if one:
            assert not found.significant()
            assert row.labels.low is row.labels.high is None
            assert np.isnan([row.rounds.low, row.rounds.high]).all()
            assert not (row.rounds.above() | row.rounds.below()).any()


def test_the_json_of_a_summary(results: Results, share: float) -> None:
    one = share == 1
    rows = [row for row in results.summary().to_json() if row["strategy"] == "coreset"]
    assert len(rows) == 2
    for row in rows:
        assert row["distinct_runs"] == SHARES[share]
        for key in ("aubc_ci", "difference_ci", "p_value", "p_uncorrected", "p_signed_rank"):
            assert (row[key] is None) == one, key
        assert (row["detectable_difference"] is None) == one
        assert row["p_reason"] == ("identical runs" if one else None)
        assert (row["labels_to_target_ci"] is None) >= one


def test_the_text_of_a_summary(results: Results, share: float) -> None:
    text = str(results.summary())
    count = 2 if share == 1 else 0
    assert text.count("(one run)") == count
    assert text.count("   not tested: identical runs") == count
    assert text.count(f"   {SHARES[share]} of {SEEDS}   ") == (2 if share == 1 else 4)
    assert ("not tested (too few distinct runs): 2 comparisons" in text) == (share == 1)


def test_the_wins_over_several_datasets(results: Results, share: float) -> None:
    (matrix,) = results.summary().matrices.values()
    assert matrix.untested.sum() == (4 if share == 1 else 0)  # two datasets, in both directions


def test_the_page_of_a_comparison(results: Results, share: float, tmp_path: Path) -> None:
    data = ep.comparison_of(results)
    path = ep.write_comparison(tmp_path / "page.html", data)
    text = path.read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"<tr class=\"r\d.*?</tr>", text) if "coreset" in row]
    assert len(rows) == 2
    for row in rows:
        assert f"{SHARES[share]} of {SEEDS}" in row
        assert ("not tested: identical runs" in row) == (share == 1)
        assert ("(one run)" in row) == (share == 1)
        if share == 1:
            assert 'class="better"' not in row
            assert 'class="worse"' not in row
    # For each dataset: the bands of both curves, and the band of the difference.
    assert bands(data) == (2 if share == 1 else 6)


def test_the_figure_of_a_comparison(results: Results, share: float, tmp_path: Path) -> None:
    text = write_figure(results, tmp_path / "curves.svg").read_text(encoding="utf-8")
    assert len(filled(text)) == (2 if share == 1 else 4)


def bands(data: StudyData) -> int:
    """Return the number of bands in the line charts of a page."""
    charts = [c for group in data.groups for c in group.charts if isinstance(c, LineChart)]
    return sum(trace.fill == "toself" for chart in charts for trace in figure_of(chart).data)


def filled(svg: str) -> list[str]:
    """Return the bands of a figure that have an outline."""
    groups = re.findall(r'<g id="line-\d+-band">(.*?)</g>', svg, re.DOTALL)
    return [group for group in groups if "<use" in group or 'd="M' in group]


def test_the_rows_and_the_text_of_a_replay_study(replayed: ReplayResults, share: float) -> None:
    one = share == 1
    summary = replayed.summary(["gem_accuracy"])
    rows = {row.setting.learned: row for row in summary.rows}
    for name in ("margin, 10 %", "naive"):
        row = rows[name]
        assert row.distinct_runs == SHARES[share]
        found = row.comparisons["gem_accuracy"]
        assert found is not None
        assert found.reason == ("identical runs" if one else None)
        ends = [found.low, found.high, found.p, row.metrics["gem_accuracy"].low]
        assert [math.isnan(end) for end in ends] == [one] * 4
        assert not (one and found.significant())
    text = str(summary)
    assert text.count("not tested: identical runs") == text.count("(one run)") == (2 if one else 0)


def test_the_page_and_the_figure_of_a_replay_study(
    replayed: ReplayResults, share: float, tmp_path: Path
) -> None:
    data = replay_of(replayed)
    text = write_replay(tmp_path / "page.html", data).read_text(encoding="utf-8")
    assert ("not tested: identical runs" in text) == (share == 1)
    # One run of margin and of naive: the only band is that of random.
    assert bands(data) == (1 if share == 1 else 4)
    figure = write_replay_figure(tmp_path / "curves.svg", data).read_text(encoding="utf-8")
    assert len(filled(figure)) == (1 if share == 1 else 3)
