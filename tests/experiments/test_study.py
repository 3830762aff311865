"""A name stays with the runs that were done under it."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.errors import RunError, UsageError

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


def grid(workspace, **changes):
    options = {
        "strategies": ["margin"], "heads": ["nearest_mean"], "seeds": 2, "initial_size": 10,
        "batch_size": 10, "rounds": 1, "upper_bound": False, "name": "mine",
    }  # fmt: skip
    problem = ep.ActiveLoop.from_arrays(X[:80], Y[:80], X[80:120], Y[80:120]).problem
    return ep.Experiment(problem, workspace=workspace, **{**options, **changes})


def study(workspace, **changes):
    stream = ep.Stream.from_arrays(X[:120], Y[:120], np.repeat([0, 1], 60))
    options = {"policies": ["random"], "retains": [0.2], "seeds": 2, "bounds": [], "name": "mine"}
    return ep.ReplayStudy(stream, workspace=workspace, **{**options, **changes})


def test_runs_and_rounds_may_be_added(tmp_path):
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
    assert len(list((tmp_path / "runs").iterdir())) == 4  # nothing was begun


def test_fewer_rounds_would_lose_some(tmp_path):
    grid(tmp_path).run(workers=0)
    with pytest.raises(RunError) as error:
        grid(tmp_path, rounds=0).run(workers=0)
    assert str(error.value) == (
        "the experiment 'mine' has 1 rounds, more than the 0 of this one: choose another name, or "
        "delete the folder."
    )


def test_grids_and_studies_do_not_share_a_name(tmp_path):
    grid(tmp_path).run(workers=0)
    with pytest.raises(RunError, match="the experiment 'mine' holds 4 runs that are not in"):
        study(tmp_path).run(workers=0)
    study(tmp_path, name="s").run(workers=0)
    for changes in ({"retains": [0.3]}, {"policies": ["el2n"], "baseline": "el2n"}, {"seeds": 1}):
        with pytest.raises(RunError, match="the experiment 's' holds"):
            study(tmp_path, name="s", **changes).run(workers=0)


def test_the_same_again_is_welcome(tmp_path):
    first = grid(tmp_path).run(workers=0)
    assert grid(tmp_path).run(workers=0).table.equals(first.table)


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "a\\b", "../x", "\0"])
def test_a_name_is_the_name_of_a_folder(tmp_path, name):
    for make in (grid, study):
        with pytest.raises(UsageError, match="give the name of a folder, without a path"):
            make(tmp_path, name=name)


def test_a_file_that_is_no_table_of_results(tmp_path):
    folder = tmp_path / "experiments" / "mine"
    folder.mkdir(parents=True)
    (folder / "results.parquet").write_bytes(b"nothing")
    with pytest.raises(RunError, match="is not the results of such an experiment"):
        grid(tmp_path).run(workers=0)
