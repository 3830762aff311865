"""Pools: each seed of a grid draws its own share of the candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

import embedpipe as ep
from embedpipe.active import ActiveLoop, Problem
from embedpipe.errors import RunError, UsageError
from embedpipe.experiments import Experiment

Grid = Callable[..., Experiment]

SHARE = 0.8


def test_each_seed_has_its_own_pool_for_all_strategies_heads_and_modes(
    grid: Grid, blobs: Callable[..., Problem], tmp_path: Path
) -> None:
    experiment = grid(
        pool_share=SHARE, heads=["logistic", "ridge"], modes=["cumulative", "incremental"]
    )
    table = experiment.run(workers=0).table
    pools = {seed: blobs().subsampled(SHARE, seed) for seed in (0, 1)}
    assert pools[0].candidates.tolist() != pools[1].candidates.tolist()
    for cell in experiment.cells():
        setting = cell.setting
        loop = ActiveLoop(
            pools[cell.seed],
            strategy=setting.strategy,
            initial=setting.initial,
            head=setting.head,
            mode=setting.mode,
            initial_size=8,
            batch_size=4,
            seed=cell.seed,
        )
        assert cell.run_id == loop.run_id()
        assert cell.run_id.startswith("blobs-share0.8-")
        records = list(loop.run(rounds=2))
        folder = tmp_path / "workspace" / "runs" / cell.run_id
        picks = pq.read_table(folder / "picks.parquet").column("row").to_pylist()
        assert picks == [row for record in records for row in record.rows.tolist()]
        assert set(picks) <= set(pools[cell.seed].candidates.tolist())
    assert set(table.column("pool_share").to_pylist()) == {SHARE}
    assert set(table.column("pool_size").to_pylist()) == {128}  # 80 % of 160


def test_the_upper_baseline_is_measured_on_the_pool_of_the_seed(
    grid: Grid, blobs: Callable[..., Problem]
) -> None:
    found = grid(pool_share=0.2, strategies=["random"]).run(workers=0).upper_baselines.to_pylist()
    expected = [
        ActiveLoop(blobs().subsampled(0.2, seed), strategy="random", seed=seed).upper_baseline()
        for seed in (0, 1)
    ]
    assert [row["accuracy"] for row in found] == expected
    assert expected[0] != expected[1]


def test_the_upper_baseline_is_measured_for_the_vectors_of_each_backbone(
    grid: Grid, blobs: Callable[..., Problem]
) -> None:
    good = replace(blobs(), spec_id="good")
    noise = np.random.default_rng(0).standard_normal(good.matrix.shape).astype(np.float32)
    bad = replace(
        Problem.from_arrays(noise, every_label(good), good.candidates, good.test_rows),
        digest=good.digest,  # the same images
        name=good.name,
        spec_id="bad",
    )
    problems = {("blobs", "good"): lambda _: good, ("blobs", "bad"): lambda _: bad}
    results = grid(problems=problems, strategies=["random"], seeds=1).run(workers=0)
    found = {row["backbone"]: row["accuracy"] for row in results.upper_baselines.to_pylist()}
    expected = {
        name: ActiveLoop(problem, strategy="random").upper_baseline()
        for name, problem in (("good", good), ("bad", bad))
    }
    assert found == expected
    assert expected["good"] > expected["bad"]  # type: ignore[operator]


def every_label(problem: Problem) -> NDArray[Any]:
    labels = np.empty(len(problem.matrix), dtype=object)
    labels[problem.candidates] = problem.oracle.every_label(problem.candidates)
    labels[problem.test_rows] = problem.test_labels
    return labels


def test_results_with_pools_do_not_depend_on_the_number_of_workers(
    grid: Grid, tmp_path: Path
) -> None:
    written = []
    for workers in (0, 2):
        experiment = grid(pool_share=SHARE, workspace=tmp_path / str(workers))
        experiment.run(workers=workers)
        written.append((experiment.folder / "results.parquet").read_bytes())
    assert written[0] == written[1]


def test_the_matrix_is_written_once_for_all_seeds(grid: Grid, tmp_path: Path) -> None:
    grid(pool_share=SHARE, seeds=5, strategies=["random"]).run(workers=1)
    (problem,) = (tmp_path / "workspace" / "problems").iterdir()
    assert len(list(problem.rglob("matrix.npy"))) == 1


def test_a_deterministic_strategy_is_one_observation_only_on_one_whole_pool(grid: Grid) -> None:
    def found(pool_share: float) -> dict[str, dict[str, object]]:
        study = grid(strategies=["coreset"], seeds=5, pool_share=pool_share, name=None)
        return {row["strategy"]: row for row in study.run(workers=0).summary().to_json()}

    whole, pools = found(1)["coreset"], found(SHARE)["coreset"]
    assert (whole["distinct_runs"], whole["p_reason"]) == (1, "identical runs")
    assert whole["aubc_ci"] is whole["difference_ci"] is whole["p_value"] is None
    assert (pools["distinct_runs"], pools["p_reason"]) == (5, None)
    low, high = pools["aubc_ci"]  # type: ignore[misc]
    assert low < pools["aubc_mean"] < high
    assert 0 < pools["p_value"] <= 1  # type: ignore[operator]
    assert (whole["pool_share"], whole["pool_size"]) == (1, 160)
    assert (pools["pool_share"], pools["pool_size"]) == (SHARE, 128)


def test_equal_picks_are_one_observation_also_with_a_random_head(grid: Grid) -> None:
    options = {"heads": ["mlp(hidden=4, epochs=3)"], "strategies": ["coreset"], "seeds": 4}
    results = grid(**options, upper_baseline=False).run(workers=0)
    curves = {}
    for row in results.table.to_pylist():
        curves.setdefault((row["strategy"], row["seed"]), []).append((row["picks"], row["ece"]))
    chosen = [curves["coreset", seed] for seed in range(4)]
    assert len({tuple(picks for picks, _ in each) for each in chosen}) == 1
    assert len({tuple(ece for _, ece in each) for each in chosen}) == 4  # the head is random
    rows = {row["strategy"]: row for row in results.summary().to_json()}
    assert (rows["coreset"]["distinct_runs"], rows["random"]["distinct_runs"]) == (1, 4)
    assert rows["coreset"]["aubc_ci"] is rows["coreset"]["p_value"] is None
    assert rows["coreset"]["p_reason"] == "identical runs"
    # Without the column of picks, only the measures tell runs apart.
    older = replace(results, table=results.table.drop_columns(["picks"]))
    assert older.summary().rows[0].distinct_runs > 1


def test_picks_of_different_arrays_are_different(grid: Grid, blobs: Callable[..., Problem]) -> None:
    seeded = {"seeded": lambda seed: blobs(seed=seed)}
    every = {"initial_size": 160, "rounds": 0, "strategies": ["random"], "pool_share": 1}
    table = grid(problems=seeded, **every).run(workers=0).table
    assert len(set(table.column("picks").to_pylist())) == 2  # all candidates of both
    table = grid(problems=blobs(), name=None, **every).run(workers=0).table
    assert len(set(table.column("picks").to_pylist())) == 1


def test_the_table_says_how_pools_were_drawn(grid: Grid, blobs: Callable[..., Problem]) -> None:
    def line(**options: object) -> str:
        results = grid(strategies=["random"], name=None, **options).run(workers=0)
        table = str(results.summary()).split("\n\n")[1]  # after the headline
        return table.splitlines()[1]

    assert line(pool_share=SHARE) == "each seed: its own random 80 % of the 160 candidates"
    assert line(pool_share=1) == "all seeds: the same 160 candidates"
    seeded = {"seeded": lambda seed: blobs(240 + 3 * seed, seed)}
    assert line(pool_share=1, problems=seeded) == "each seed: its own 160 to 162 candidates"
    assert line(pool_share=0.5, problems=seeded) == (
        "each seed: its own random 50 % of the 160 to 162 candidates"
    )
    assert line(pool_share=0.5, initial_size=78) == (
        "each seed: its own random 50 % of the 160 candidates; runs end early, because 80 are "
        "fewer than the 86 labels of all rounds"
    )


def test_a_pool_that_is_too_small_for_the_rounds_is_an_error(grid: Grid) -> None:
    with pytest.raises(RunError) as caught:
        grid(pool_share=0.1, initial_size=15).cells()
    assert str(caught.value) == (
        "the pool of seed 0 has 16 of the 160 candidates of 'blobs', but a first batch of 15 and 2 "
        "rounds need at least 17: use smaller batches, or --pool-share 1 (`pool_share=1`) for the "
        "same pool in all seeds."
    )
    assert len(grid(pool_share=0.1, initial_size=14).cells()) == 6


def test_results_of_another_pool_share_are_not_mixed(grid: Grid) -> None:
    first = grid(strategies=["random"])
    first.run(workers=0)
    with pytest.raises(RunError) as caught:
        grid(strategies=["random"], pool_share=SHARE).run(workers=0)
    message = (
        "the experiment 'small' holds 2 runs that are not in this grid, such as "
        f"{first.cells()[0].run_id}. Their pools have 100 % of the training images, and the pools "
        "of this grid 80 %: choose another name, or delete the folder, or use --pool-share 1."
    )
    assert str(caught.value) == message
    # Results without the column were made with whole pools.
    path = first.folder / "results.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["pool_share", "pool_size"]), path)
    with pytest.raises(RunError) as caught:
        grid(strategies=["random"], pool_share=SHARE).run(workers=0)
    assert str(caught.value) == message
    grid(strategies=["random"]).run(workers=0)
    assert set(pq.read_table(path).column("pool_share").to_pylist()) == {1.0}


@pytest.mark.parametrize("share", [0, 1.5, -1])
def test_a_share_out_of_range_is_an_error(grid: Grid, share: float) -> None:
    with pytest.raises(UsageError, match="pool_share must be a share of the training images"):
        grid(pool_share=share)


def test_the_pool_of_a_dataset_is_drawn_from_its_training_images(tmp_path: Path) -> None:
    digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp_path)
    grid = Experiment(digits, strategies=["random"], seeds=2, rounds=0, workspace=tmp_path)
    results = grid.run(workers=0)
    whole = Problem.of(digits, seed=0)
    for cell in grid.cells():
        pool = whole.subsampled(SHARE, cell.seed)
        assert (
            cell.run_id
            == ActiveLoop(pool, strategy="random", initial="random", seed=cell.seed).run_id()
        )
    size = round(SHARE * len(whole.candidates))
    assert set(results.table.column("pool_size").to_pylist()) == {size}
    assert all(cell.run_id.startswith("digits-share0.8-random-") for cell in grid.cells())


def test_a_dataset_without_a_test_split_is_split_and_drawn_for_each_seed(tmp_path: Path) -> None:
    for name, colour in (("hat", (200, 30, 30)), ("shoe", (30, 30, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            image = Image.new("RGB", (16, 16), tuple(max(0, c - 2 * number) for c in colour))
            image.save(tmp_path / "photos" / name / f"{number:02d}.png")
    workspace = tmp_path / "workspace"
    dataset = ep.load_dataset(tmp_path / "photos", folder_labels=True)
    photos = ep.embed(dataset, backbone="toy", workspace=workspace)
    grid = Experiment(
        photos,
        strategies=["coreset"],
        seeds=3,
        initial_size=4,
        batch_size=4,
        rounds=2,
        upper_baseline=False,
        workspace=workspace,
    )
    results = grid.run(workers=0)
    for cell in grid.cells():
        pool = Problem.of(photos, cell.seed).subsampled(SHARE, cell.seed)
        assert len(pool.candidates) == round(SHARE * 32)  # a fifth of each class is the test set
        loop = ActiveLoop(
            pool,
            strategy=cell.setting.strategy,
            initial=cell.setting.initial,
            initial_size=4,
            batch_size=4,
            seed=cell.seed,
        )
        assert cell.run_id == loop.run_id()
    line = "each seed: its own random 80 % of the 32 candidates"
    assert line in str(results.summary())
    (source,) = grid._sources
    assert len(source._wholes) == 1  # memory does not grow with the number of seeds


def test_results_are_read_without_their_pools(grid: Grid) -> None:
    results = grid(strategies=["random"]).run(workers=0)
    (group,) = (
        ep.experiments.Results(
            table=results.table.drop_columns(["pool_share", "pool_size"]),
            timings=results.timings,
            upper_baselines=results.upper_baselines,
            baseline=results.baseline,
        )
        .summary()
        .groups
    )
    assert group.pools is None
    assert isinstance(results.table, pa.Table)
