"""Grids: cells, results that do not depend on workers, no run twice, and failures."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import embedpipe as ep
from embedpipe._workspace import Workspace
from embedpipe.active import ActiveLoop, OracleOptions, Problem
from embedpipe.errors import EmbedpipeError, RunError, UnknownNameError, UsageError
from embedpipe.experiments import Experiment
from embedpipe.experiments.problems import publish
from embedpipe.strategies import Random
from tests.processes import children_of, wait_for_end

Grid = Callable[..., Experiment]


def names(experiment: Experiment) -> list[str]:
    return [str(cell) for cell in experiment.cells()]


def stamps(folder: Path) -> dict[str, int]:
    """Return when each file of each run was written."""
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


# The cells


def test_a_grid_has_all_settings_and_the_lower_baseline(grid: Grid) -> None:
    where = "blobs: {}; auto, cumulative; seed {}"
    assert names(grid(seeds=[7])) == [
        where.format(strategies, 7)
        for strategies in ("typiclust, then margin", "coreset", "random")
    ]
    found = names(grid(strategies=["margin"], initials=["coreset", "same"], baseline="entropy"))
    assert found == [
        where.format(strategies, seed)
        for strategies in (
            "coreset, then margin",
            "coreset, then entropy",
            "typiclust, then margin",
            "typiclust, then entropy",
            "random",
        )
        for seed in (0, 1)
    ]


def test_repeated_strategies_and_seeds_give_one_cell(grid: Grid) -> None:
    twice = grid(strategies=["margin", "margin"], initials=["typiclust", "same"], seeds=[3, 3])
    assert [each.split(": ")[1].split(";")[0] for each in names(twice)] == [
        "typiclust, then margin",
        "typiclust, then random",
        "random",
    ]


def test_a_cell_has_the_run_id_of_its_loop(grid: Grid, blobs: Callable[..., Problem]) -> None:
    loop = ActiveLoop(
        blobs(),
        strategy="margin",
        initial="typiclust",
        initial_size=8,
        batch_size=4,
        seed=1,
        skip=1,
        labelling=OracleOptions(noise=0.1),
    )
    cells = grid(skip=1, labelling=OracleOptions(noise=0.1)).cells()
    assert cells[1].run_id == loop.run_id()
    assert len({cell.run_id for cell in cells}) == len(cells)


def test_datasets_and_backbones_have_the_given_names(blobs: Callable[..., Problem]) -> None:
    several = Experiment(
        {"a": blobs(), ("b", "net"): lambda seed: blobs(seed=seed)},
        strategies=["random"],
        seeds=2,
        pool_share=1,
    )
    assert names(several) == [
        "a: random; auto, cumulative; seed 0",
        "a: random; auto, cumulative; seed 1",
        "b, net: random; auto, cumulative; seed 0",
        "b, net: random; auto, cumulative; seed 1",
    ]
    runs = [cell.run_id for cell in several.cells()]
    assert runs[0] == runs[2]  # the same problem by another name
    assert len(set(runs)) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategies": []}, "strategies is []: give a list with at least one entry."),
        ({"strategies": "margin"}, "strategies is 'margin': give a list with at least one entry."),
        ({"modes": "replay"}, "modes is 'replay': give a list with at least one entry."),
        (
            {"initials": ["margin"]},
            "'margin' cannot choose the first batch: it needs labels. Use a strategy that "
            "needs no labels, such as 'typiclust', or 'same'.",
        ),
        (
            {"seeds": 0},
            "seeds is 0: give a number of seeds, at least 1, or a list of whole numbers, at least "
            "0.",
        ),
        (
            {"seeds": [1, -2]},
            "seeds is [1, -2]: give a number of seeds, at least 1, or a list of whole numbers, at "
            "least 0.",
        ),
        ({"rounds": -1}, "rounds is -1: give a whole number, at least 0."),
        ({"batch_size": 2.5}, "batch_size is 2.5: give a whole number, at least 1."),
        (
            {"problems": [3]},
            "cannot run on a int: give embeddings, a Problem, or a dictionary. The values of a "
            "dictionary must be embeddings, Problem objects, or functions from a seed to a "
            "Problem.",
        ),
        ({"problems": []}, "there is no dataset to run on: give at least one."),
        (
            {"strategies": [ep.strategies.TypiClust(), ep.strategies.TypiClust()]},
            "two of the strategies have the name 'typiclust': register them under different names.",
        ),
        (
            {"strategies": ["coreset"], "target": [[0.0] * 8], "oracle_ceiling": True},
            "the oracle ceiling compares batches on the pool, which a target replaces: give "
            "oracle_ceiling or target, not both.",
        ),
    ],
)
def test_options_that_are_not_valid_raise_an_error(
    grid: Grid, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        grid(**options)
    assert str(caught.value) == message


def test_unknown_names_raise_an_error(grid: Grid) -> None:
    with pytest.raises(UnknownNameError, match="unknown strategy 'marign'. Did you mean 'margin'?"):
        grid(strategies=["marign"])
    with pytest.raises(UnknownNameError, match="unknown mode 'repaly'. Did you mean 'replay'?"):
        grid(modes=["repaly"])
    with pytest.raises(UsageError, match="unknown kind of index 'flat'"):
        grid(index="flat")


def test_two_datasets_with_one_name_raise_an_error(blobs: Callable[..., Problem]) -> None:
    with pytest.raises(UsageError) as caught:
        Experiment([blobs(), blobs(seed=1)])
    assert str(caught.value) == (
        "two datasets have the name 'blobs' (backbone 'none'): give a dictionary with a name for "
        "each."
    )


# Running


def test_results_do_not_depend_on_the_number_of_workers(grid: Grid, tmp_path: Path) -> None:
    tables = []
    for workers in (0, 1, 2):
        experiment = grid(workspace=tmp_path / str(workers))
        results = experiment.run(workers=workers)
        assert results.failures == ()
        tables.append((experiment.folder / "results.parquet").read_bytes())
        assert pq.read_table(experiment.folder / "bounds.parquet").equals(results.upper_baselines)
    assert tables[0] == tables[1] == tables[2]


def test_a_cell_has_the_picks_of_its_loop(
    grid: Grid, blobs: Callable[..., Problem], tmp_path: Path
) -> None:
    experiment = grid()
    table = experiment.run(workers=2).table.to_pylist()
    for cell in experiment.cells():
        loop = ActiveLoop(
            blobs(),
            strategy=cell.setting.strategy,
            initial=cell.setting.initial,
            initial_size=8,
            batch_size=4,
            seed=cell.seed,
        )
        records = list(loop.run(rounds=2))
        folder = tmp_path / "workspace" / "runs" / cell.run_id
        picks = pq.read_table(folder / "picks.parquet").column("row").to_pylist()
        assert picks == [row for record in records for row in record.rows.tolist()]
        rows = [row for row in table if row["run_id"] == cell.run_id]
        assert [row["accuracy"] for row in rows] == [record.accuracy for record in records]
        assert [row["labelled"] for row in rows] == [8, 12, 16]


def test_rows_of_tables_have_the_columns_of_their_cell(
    grid: Grid, blobs: Callable[..., Problem]
) -> None:
    experiment = grid(strategies=["margin"], seeds=1)
    results = experiment.run(workers=0)
    first = results.table.to_pylist()[0]
    assert {key: first[key] for key in ("dataset", "backbone", "initial", "strategy", "head")} == {
        "dataset": "blobs",
        "backbone": "none",
        "initial": "typiclust",
        "strategy": "margin",
        "head": "auto",
    }
    assert (first["mode"], first["seed"], first["round"]) == ("cumulative", 0, 0)
    assert (first["chosen_by"], first["cost"]) == ("typiclust", 8.0)
    assert "select_seconds" not in first
    assert results.timings.column("select_seconds").null_count == 0
    assert (
        results.upper_baselines.to_pylist()[0]["accuracy"]
        == ActiveLoop(blobs(), strategy="random", initial="random").upper_baseline()
    )


# No run twice


def test_finished_runs_are_not_changed(
    grid: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = grid().run(workers=2)
    before = stamps(tmp_path / "workspace")

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("all runs are finished")

    monkeypatch.setattr("embedpipe.experiments.workers.ProcessPoolExecutor", forbidden)
    monkeypatch.setattr("embedpipe.experiments.experiment.work", forbidden)
    monkeypatch.setattr(Problem, "save", forbidden)
    again = grid().run(workers=2)
    assert again.table.equals(results.table)
    assert again.timings.equals(results.timings)
    assert stamps(tmp_path / "workspace") == before


def test_more_strategies_and_seeds_compute_only_new_runs(grid: Grid, tmp_path: Path) -> None:
    grid().run(workers=0)
    before = stamps(tmp_path / "workspace")
    done = []
    more = grid(strategies=["margin", "coreset", "entropy"], seeds=3)
    more.run(workers=0, on_round=lambda cell, record: done.append((str(cell), record.round)))
    after = stamps(tmp_path / "workspace")
    assert {name: after[name] for name in before} == before
    where = "blobs: {}; auto, cumulative; seed {}"
    assert sorted({name for name, _ in done}) == sorted(
        [
            *(where.format("typiclust, then entropy", seed) for seed in (0, 1, 2)),
            *(where.format(each, 2) for each in ("typiclust, then margin", "coreset", "random")),
        ]
    )
    # Two seeds have a first batch by typiclust with the same head: it is copied.
    started = [
        number for name, number in done if name == where.format("typiclust, then entropy", 0)
    ]
    assert started == [1, 2]


def test_more_rounds_continue_a_run(grid: Grid, tmp_path: Path) -> None:
    grid(strategies=["margin"], seeds=1).run(workers=0)
    rounds = []
    longer = grid(strategies=["margin"], seeds=1, rounds=4)
    longer.run(workers=0, on_round=lambda cell, record: rounds.append(record.round))
    assert sorted(rounds) == [3, 3, 4, 4]
    fresh = grid(strategies=["margin"], seeds=1, rounds=4, workspace=tmp_path / "fresh")
    fresh.run(workers=0)
    written = [each.folder / "results.parquet" for each in (longer, fresh)]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_a_run_that_ends_early_is_finished(grid: Grid) -> None:
    small = {"strategies": ["random"], "seeds": 1, "initial_size": 150, "batch_size": 6}
    results = grid(**small, rounds=5).run(workers=0)
    assert results.table.column("labelled").to_pylist() == [150, 156, 160]
    again: list[int] = []
    grid(**small, rounds=5).run(workers=0, on_round=lambda cell, record: again.append(1))
    assert again == []


SCRIPT = """
    import sys
    import numpy as np
    from embedpipe.active import Problem
    from embedpipe.experiments import Experiment

    if __name__ == "__main__":
        problem = Problem.load({problem!r})
        Experiment(
            problem, strategies=["margin", "coreset", "entropy"], seeds=3, initial_size=8,
            batch_size=4, rounds=6, pool_share=1, workspace={workspace!r}, name="small",
        ).run(workers=2)
"""


def test_a_killed_experiment_continues(
    grid: Grid, blobs: Callable[..., Problem], tmp_path: Path
) -> None:
    blobs().save(tmp_path / "problem")
    options = {"strategies": ["margin", "coreset", "entropy"], "seeds": 3, "rounds": 6}
    script, workspace = tmp_path / "script.py", tmp_path / "workspace"
    text = SCRIPT.format(problem=str(tmp_path / "problem"), workspace=str(workspace))
    script.write_text(textwrap.dedent(text))
    process = subprocess.Popen([sys.executable, script])
    experiment = grid(**options)
    folders = [workspace / "runs" / cell.run_id for cell in experiment.cells()]
    while process.poll() is None and not any(is_whole(folder, 7) for folder in folders):
        time.sleep(0.01)
    workers = children_of(process)
    process.send_signal(signal.SIGKILL)
    process.wait(90)
    wait_for_end(workers)
    (folders[-1]).mkdir(parents=True, exist_ok=True)
    (folders[-1] / f".tmp-{os.getpid()}-rounds.parquet").write_bytes(b"half of it")
    before = stamps(workspace)
    whole = [folder.name for folder in folders if is_whole(folder, 7)]
    results = experiment.run(workers=2)
    assert (len(whole), results.failures) > (0, ())
    after = stamps(workspace)
    kept = [name for name in before if name.split("/")[1] in whole]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    fresh = grid(**options, workspace=tmp_path / "fresh")
    fresh.run(workers=0)
    written = [each.folder / "results.parquet" for each in (experiment, fresh)]
    assert written[0].read_bytes() == written[1].read_bytes()


def is_whole(folder: Path, rounds: int) -> bool:
    path = folder / "rounds.parquet"
    return path.exists() and pq.read_metadata(path).num_rows == rounds


# Failures


def test_a_cell_that_fails_does_not_stop_the_others(grid: Grid) -> None:
    wrong = "combine(margin, metadata(sharpness))"
    for workers in (0, 1):
        results = grid(strategies=["margin", wrong], seeds=1).run(workers=workers)
        (failure,) = results.failures
        assert str(failure).startswith(
            f"blobs: typiclust, then {wrong}; auto, cumulative; seed 0: "
        )
        assert set(results.table.column("strategy").to_pylist()) == {"margin", "random"}


def test_if_all_runs_fail_an_error_is_raised(grid: Grid, tmp_path: Path) -> None:
    folder = tmp_path / "workspace" / "runs"
    folder.parent.mkdir()
    folder.write_text("in the way")
    with pytest.raises(EmbedpipeError) as caught:
        grid(strategies=["random"], seeds=1, upper_baseline=False).run(workers=0)
    assert isinstance(caught.value, RunError)
    assert str(caught.value).startswith(
        "all 1 runs failed. First error: blobs: random; auto, cumulative; seed 0: cannot write"
    )


def test_a_damaged_run_is_an_error_with_its_folder(grid: Grid, tmp_path: Path) -> None:
    experiment = grid(strategies=["margin"], seeds=1)
    experiment.run(workers=0)
    folder = tmp_path / "workspace" / "runs" / experiment.cells()[0].run_id
    (folder / "rounds.parquet").write_bytes(b"nonsense")
    with pytest.raises(RunError) as caught:
        grid(strategies=["margin"], seeds=1).run(workers=0)
    assert str(caught.value).startswith(f"the run in {folder} is damaged (")
    assert str(caught.value).endswith("): delete the folder, then run the same command again.")


def test_progress_is_reported(grid: Grid) -> None:
    reports = []
    grid(seeds=1).run(workers=0, progress=reports.append)
    first = reports[0]
    assert (first.cells, first.rounds, first.seconds_left) == (0, 0, None)
    assert str(reports[-1]) == "3 of 3 runs, 9 of 9 rounds"
    left = [each.seconds_left for each in reports[1:]]
    assert all(seconds is not None and seconds >= 0 for seconds in left)


def test_a_problem_without_its_matrix_is_written_again(
    grid: Grid, tmp_path: Path, blobs: Callable[..., Problem]
) -> None:
    grid(strategies=["random"], seeds=1).run(workers=0)
    (problem,) = (tmp_path / "workspace" / "problems").iterdir()
    (problem / "matrix.npy").unlink()
    results = grid(strategies=["random"], seeds=2).run(workers=0)
    assert results.failures == ()
    assert Problem.load(problem).digest == blobs().digest


def test_a_grid_of_embeddings(tmp_path: Path) -> None:
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)
    options = {"strategies": ["margin"], "seeds": 1, "rounds": 1, "pool_share": 1}
    grid = Experiment(digits, workspace=tmp_path, **options)  # type: ignore[arg-type]
    loop = ActiveLoop(digits, strategy="margin", initial="typiclust")
    assert grid.cells()[0].run_id == loop.run_id()
    grid.run(workers=0)
    picks = tmp_path / "runs" / loop.run_id() / "picks.parquet"
    assert pq.read_table(picks).column("id").to_pylist()[0].startswith("train/")


def test_problems_with_the_same_images_and_other_vectors_are_kept_apart(tmp_path: Path) -> None:
    first, second = (
        replace(
            Problem.from_arrays(
                np.full((4, 2), value, np.float32), ["hat"] * 4, range(4), identity=[b"images"]
            ),
            spec_id=spec_id,
        )
        for value, spec_id in ((1, "one"), (2, "two"))
    )
    assert first.digest == second.digest
    folders = [publish(each, Workspace(tmp_path)) for each in (first, second)]
    assert [Problem.load(folder).matrix[0, 0] for folder in folders] == [1, 2]


def test_the_oracle_ceiling_is_a_cell_of_its_own(
    grid: Grid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedpipe.active.ceiling.BATCHES", 6)
    options = {"name": None, "heads": ["logistic"]}
    plain, with_ceiling = grid(**options), grid(**options, oracle_ceiling=True)
    assert with_ceiling.folder != plain.folder
    added = [cell for cell in with_ceiling.cells() if cell not in plain.cells()]
    assert [str(cell) for cell in added] == [
        "blobs: oracle ceiling (uses true labels); logistic, cumulative; seed 0",
        "blobs: oracle ceiling (uses true labels); logistic, cumulative; seed 1",
    ]
    assert all(cell.setting.is_ceiling for cell in added)
    results = with_ceiling.run(workers=0)
    found = [row for row in results.table.to_pylist() if row["strategy"] == "oracle ceiling"]
    assert [row["labelled"] for row in found] == [8, 12, 16] * 2
    assert {row["chosen_by"] for row in found} == {"oracle ceiling"}
    (group,) = results.summary().groups
    assert group.ceiling is not None
    assert group.ceiling.seeds == 2
    # Of the others, every measure is as without the ceiling.
    others = [row for row in results.table.to_pylist() if row["strategy"] != "oracle ceiling"]
    assert others == plain.run(workers=0).table.to_pylist()


def test_no_strategy_has_the_name_of_the_oracle_ceiling(grid: Grid) -> None:
    class Impostor(Random):
        name = "oracle ceiling"

    with pytest.raises(UsageError) as error:
        grid(strategies=[Impostor()])
    assert (
        str(error.value) == "no strategy can have the name 'oracle ceiling': give it another name."
    )
