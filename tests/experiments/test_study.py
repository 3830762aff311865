"""Names of studies, and the time left."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.errors import RunError, UsageError
from embedpipe.experiments.cells import Cell, Setting
from embedpipe.experiments.study import Clock

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def grid(workspace, **changes):
    options = {
        "strategies": ["margin"], "heads": ["nearest_mean"], "seeds": 2, "initial_size": 10,
        "batch_size": 10, "rounds": 1, "upper_baseline": False, "name": "mine",
    }  # fmt: skip
    problem = ep.ActiveLoop.from_arrays(X[:80], Y[:80], X[80:120], Y[80:120]).problem
    return ep.Experiment(problem, workspace=workspace, **{**options, **changes})


def study(workspace, **changes):
    stream = ep.Stream.from_arrays(X[:120], Y[:120], np.repeat([0, 1], 60))
    options = {
        "policies": ["random"],
        "retains": [0.2],
        "seeds": 2,
        "reference_methods": [],
        "name": "mine",
    }
    return ep.ReplayStudy(stream, workspace=workspace, **{**options, **changes})


def test_runs_and_rounds_can_be_added(tmp_path):
    first = grid(tmp_path).run(workers=0).table.num_rows
    more = grid(tmp_path, seeds=3, strategies=["margin", "entropy"], rounds=2).run(workers=0)
    assert more.table.num_rows == 3 * 3 * 3 > first
    few = study(tmp_path, name="other").run(workers=0).table.num_rows
    assert study(tmp_path, name="other", seeds=3).run(workers=0).table.num_rows > few


@pytest.mark.parametrize(
    "changes",
    [{"seeds": 1}, {"strategies": ["entropy"]}, {"batch_size": 5}, {"heads": ["ridge"]}],
)
def test_results_of_other_runs_are_not_overwritten(tmp_path, changes):
    before = grid(tmp_path).run(workers=0).folder / "results.parquet"
    held = before.read_bytes()
    with pytest.raises(RunError, match="^the experiment 'mine' holds .* runs that are not in") as e:
        grid(tmp_path, **changes).run(workers=0)
    assert str(e.value).endswith(": choose another name, or delete the folder.")
    assert before.read_bytes() == held
    assert len(list((tmp_path / "runs").iterdir())) == 4  # no run was started


def test_results_with_more_rounds_are_not_overwritten(tmp_path):
    grid(tmp_path).run(workers=0)
    with pytest.raises(RunError) as error:
        grid(tmp_path, rounds=0).run(workers=0)
    assert str(error.value) == (
        "the experiment 'mine' has 1 rounds, more than the 0 of this grid: choose another name, or "
        "delete the folder."
    )


def test_experiments_and_replay_studies_cannot_share_a_name(tmp_path):
    grid(tmp_path).run(workers=0)
    with pytest.raises(RunError, match="the experiment 'mine' holds 4 runs that are not in"):
        study(tmp_path).run(workers=0)
    study(tmp_path, name="s").run(workers=0)
    for changes in ({"retains": [0.3]}, {"policies": ["el2n"], "baseline": "el2n"}, {"seeds": 1}):
        with pytest.raises(RunError, match="the experiment 's' holds"):
            study(tmp_path, name="s", **changes).run(workers=0)


def test_the_same_study_can_run_again(tmp_path):
    first = grid(tmp_path).run(workers=0)
    assert grid(tmp_path).run(workers=0).table.equals(first.table)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\\b", "../x", "\0"])
def test_a_name_must_be_the_name_of_a_folder(tmp_path, name):
    for make in (grid, study):
        with pytest.raises(UsageError, match="give the name of a folder, without a path"):
            make(tmp_path, name=name)


def test_a_file_without_results_is_an_error(tmp_path):
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "results.parquet").write_bytes(b"nothing")
    with pytest.raises(RunError, match="does not hold the results of an experiment"):
        grid(tmp_path).run(workers=0)


def test_the_time_left_uses_the_mean_round_of_each_strategy() -> None:
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
