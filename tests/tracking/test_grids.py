"""Tracked runs of studies: one for each cell, with the loss of every round."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.errors import RunError
from embedpipe.tracking import Tracker

from .test_trackers import read_tensorboard

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


class Recorder(Tracker):
    """Records the logged metrics of each run."""

    def __init__(self):
        super().__init__()
        self.runs = {}
        self.open = None

    def start(self, run_id, config):
        assert self.open is None
        self.open = run_id
        self.runs[run_id] = {"config": config}

    def log(self, metrics, step):
        self.runs[self.open][step] = metrics

    def finish(self):
        self.open = None


def grid(workspace, seeds=2):
    problem = ep.ActiveLoop.from_arrays(X[:200], Y[:200], X[200:300], Y[200:300]).problem
    return ep.Experiment(
        problem, strategies=["margin"], seeds=seeds, initial_size=20, batch_size=10, rounds=2,
        upper_baseline=False, workspace=workspace,
    )  # fmt: skip


@pytest.mark.parametrize("workers", [0, 2])
def test_each_cell_of_an_experiment_is_one_tracked_run(tmp_path, workers):
    recorder = Recorder()
    results = grid(tmp_path).run(workers=workers, on_run=recorder.log_run)
    assert set(recorder.runs) == set(results.table.column("run_id").to_pylist())
    for row in results.table.to_pylist():
        logged = recorder.runs[row["run_id"]]
        assert logged["config"]["seed"] == row["seed"]
        assert logged[row["labelled"]]["accuracy"] == row["accuracy"]
        assert logged[row["labelled"]]["loss"] == json.loads(row["fitted"])["loss"] > 0
    assert recorder.open is None


def test_runs_finished_before_are_tracked_too(tmp_path):
    grid(tmp_path).run(workers=0)
    recorder = Recorder()
    more = grid(tmp_path, seeds=3)
    more.run(workers=0, on_run=recorder.log_run)
    assert set(recorder.runs) == {cell.run_id for cell in more.cells()}
    assert all(len(run) == 1 + 3 for run in recorder.runs.values())


def test_each_cell_of_a_replay_study_is_one_tracked_run(tmp_path):
    stream = ep.Stream.from_arrays(X[:300], Y[:300], np.repeat([0, 1, 2], 100))
    study = ep.ReplayStudy(
        stream, policies=["random"], retains=[0.1], heads=["logistic", "slda"], seeds=2,
        workspace=tmp_path,
    )  # fmt: skip
    recorder = Recorder()
    results = study.run(workers=0, on_run=recorder.log_run)
    cells = study.cells()
    assert set(recorder.runs) == {cell.run_id for cell in cells}
    for cell in cells:
        logged = dict(recorder.runs[cell.run_id])
        assert logged.pop("config")["method"] == cell.setting.method
        last = logged[max(logged)]
        matrix = results.matrix(cell.setting)
        pool = stream.subsampled(0.8, cell.seed)
        assert last["labelled"] == sum(each.train.size for each in pool.experiences)
        assert last["accuracy"] == np.mean([last[f"accuracy/{at}"] for at in range(3)])
        assert ("loss" in last) == (cell.setting.head == "logistic")
        assert len(logged) == (1 if cell.setting.method == "joint" else len(matrix))


def test_a_continual_loop_can_call_a_tracker(tmp_path):
    stream = ep.Stream.from_arrays(X[:200], Y[:200], np.repeat([0, 1], 100))
    loop = ep.ContinualLoop(stream)
    recorder = Recorder()
    with recorder:
        for record in loop.run():
            recorder(loop, record)
    assert list(recorder.runs) == [loop.run_id]
    assert recorder.runs[loop.run_id][loop.records[1].labelled]["loss"] == loop.records[1].loss > 0


def test_a_folder_without_a_run_raises_an_error(tmp_path):
    with pytest.raises(RunError, match="cannot read .*config.json"):
        Recorder().log_run(tmp_path)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_commands_log_metrics(tmp_path, monkeypatch):
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path))
    common = ["--backbone", "toy", "--tracker", "tensorboard", "--workers", "0", "--json"]
    compared = CliRunner().invoke(
        app,
        ["compare", "digits", *common, "--strategies", "margin", "--seeds", "1", "--rounds", "1",
         "--no-upper-baseline"],
    )  # fmt: skip
    assert compared.exit_code == 0, compared.stderr
    replayed = CliRunner().invoke(
        app,
        ["replay", "digits", *common, "--stream", "order", "--experiences", "3", "--seeds", "1",
         "--reference-methods", ""],
    )  # fmt: skip
    assert replayed.exit_code == 0, replayed.stderr
    tracked = sorted(path.name for path in (tmp_path / "tracking").iterdir())
    assert tracked == sorted(path.name for path in (tmp_path / "runs").iterdir())
    for run_id in tracked:
        curves, config = read_tensorboard(tmp_path / "tracking", run_id)
        assert config["seed"] == 0
        assert len(curves["loss"]) == len(curves["accuracy"]) == (3 if "order3" in run_id else 2)
