"""Replay studies: cells, tables, resuming, workers and statistics."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from embedpipe.continual import ContinualLoop, Stream
from embedpipe.errors import RunError, UnknownNameError, UsageError
from embedpipe.experiments import ReplayStudy
from embedpipe.experiments.statistics import detectable_difference
from embedpipe.reports import replay_of


def wandering(seed: int) -> Stream:
    """Return a stream of three classes whose centres move over four experiences."""
    rng = np.random.default_rng([11, seed])
    labels, buckets = rng.integers(3, size=240), np.repeat(np.arange(4), 60)
    centres = rng.standard_normal((3, 6)) * 1.5 + rng.standard_normal((4, 3, 6)) * 0.8
    matrix = centres[buckets, labels] + rng.standard_normal((240, 6))
    return Stream.from_arrays(matrix, labels, buckets, seed=seed, name="wandering")


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., ReplayStudy]:
    def make(**changes: Any) -> ReplayStudy:
        options: dict[str, Any] = {
            "policies": ["random", "margin"],
            "retains": [0.05, 0.2],
            "seeds": 3,
            "pool_share": 1,
            "workspace": tmp_path / "workspace",
            "name": "small",
        }
        return ReplayStudy(changes.pop("streams", wandering), **{**options, **changes})

    return make


def test_a_study_has_every_policy_at_every_size_and_the_reference_methods(
    study: Callable[..., ReplayStudy],
) -> None:
    cells = study(heads=["logistic", "slda"], seeds=[4, 7]).cells()
    assert list(dict.fromkeys(str(cell.setting) for cell in cells)) == [
        "wandering: logistic, random, 5 %",
        "wandering: logistic, random, 20 %",
        "wandering: logistic, margin, 5 %",
        "wandering: logistic, margin, 20 %",
        "wandering: logistic, naive",
        "wandering: logistic, joint",
        "wandering: slda, naive",
        "wandering: slda, joint",
    ]
    assert [cell.seed for cell in cells[:4]] == [4, 7, 4, 7]
    assert len({cell.run_id for cell in cells}) == len(cells)
    only = study(policies=["margin"], baseline="el2n(take=easiest)", reference_methods=[])
    learned = list(dict.fromkeys(cell.setting.policy for cell in only.cells()))
    assert learned == ["margin", "el2n(take=easiest)"]


def test_tables_hold_the_results_of_the_loops(study: Callable[..., ReplayStudy]) -> None:
    results = study().run(workers=0)
    setting = next(s for s in results.settings if s.policy == "margin" and s.retain == "0.2")
    loop = ContinualLoop(wandering(1), policy="margin", retain=0.2, seed=1).fit()
    assert np.array_equal(results.matrices[setting][1], loop.matrix)
    mean = np.mean([results.matrices[setting][seed] for seed in range(3)], axis=0)
    assert np.allclose(results.matrix(setting), mean)
    rows = [
        row
        for row in results.metrics.to_pylist()
        if row["policy"] == "margin" and row["retain"] == "0.2" and row["seed"] == 1
    ]
    found = {name: rows[0][name] for name in loop.metrics}
    assert found == pytest.approx(loop.metrics, nan_ok=True)


def test_workers_give_the_same_bytes_and_no_run_is_done_twice(
    study: Callable[..., ReplayStudy], tmp_path: Path
) -> None:
    tables = []
    for workers in (0, 1, 2):
        made = study(workspace=tmp_path / str(workers), seeds=2)
        made.run(workers=workers)
        tables.append((made.folder / "results.parquet").read_bytes())
    assert tables[0] == tables[1] == tables[2]
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "2" / "runs").rglob("*") if p.is_file()}
    reports: list[Any] = []
    more = study(workspace=tmp_path / "2", policies=["random", "margin", "entropy"], seeds=2)
    more.run(workers=1, progress=reports.append)
    assert (reports[0].cells, reports[0].of_cells) == (12, 16)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_killed_cell_continues(study: Callable[..., ReplayStudy]) -> None:
    made = study(seeds=1)
    whole = made.run(workers=0)
    for path in sorted(made.folder.parent.parent.glob("runs/*margin*/experiences.parquet")):
        path.unlink()
    again = made.run(workers=0)
    assert again.table.equals(whole.table)


def test_differences_are_paired_and_corrected(study: Callable[..., ReplayStudy]) -> None:
    results = study(seeds=6).run(workers=0)
    summary = results.summary(["gem_accuracy"])
    values = {
        (row["policy"], row["retain"], row["method"], row["seed"]): row["gem_accuracy"]
        for row in results.metrics.to_pylist()
    }

    def of(policy: str, retain: str, method: str = "replay") -> np.ndarray:
        return np.array([values[policy, retain, method, seed] for seed in range(6)])

    compared = [row for row in summary.rows if row.comparisons["gem_accuracy"] is not None]
    assert [row.setting.learned for row in compared] == [
        "margin, 5 %", "margin, 20 %", "naive", "joint",
    ]  # fmt: skip
    expected = [
        stats.ttest_rel(of("margin", "0.05"), of("random", "0.05")).pvalue,
        stats.ttest_rel(of("margin", "0.2"), of("random", "0.2")).pvalue,
        stats.ttest_rel(of("", "", "naive"), of("random", "0.2")).pvalue,
        stats.ttest_rel(of("", "", "joint"), of("random", "0.2")).pvalue,
    ]
    found = [row.comparisons["gem_accuracy"] for row in compared]
    assert [each.p_t for each in found] == pytest.approx(expected)  # type: ignore[union-attr]
    from statsmodels.stats.multitest import multipletests

    corrected = multipletests(expected, method="holm")[1]
    assert [each.p_holm for each in found] == pytest.approx(corrected)  # type: ignore[union-attr]
    text = str(results.summary())
    assert "wandering; logistic; 6 seeds" in text
    joint = next(line for line in text.splitlines() if line.startswith("  joint"))
    assert "–" in joint  # a joint fit has no forgetting


def test_identical_runs_are_one_observation(study: Callable[..., ReplayStudy]) -> None:
    fixed = wandering(0)  # one stream for all seeds: only random methods have distinct runs
    results = study(streams=fixed, seeds=5, retains=[0.2]).run(workers=0)
    rows = {row.setting.learned: row for row in results.summary(["gem_accuracy"]).rows}
    assert {name: row.distinct_runs for name, row in rows.items()} == {
        "random, 20 %": 5, "margin, 20 %": 1, "naive": 1, "joint": 1,
    }  # fmt: skip
    for name in ("margin, 20 %", "naive", "joint"):
        found, mean = rows[name].comparisons["gem_accuracy"], rows[name].metrics["gem_accuracy"]
        assert found is not None
        assert (found.reason, found.significant()) == ("identical runs", False)
        assert np.isnan([found.low, found.p, mean.low, mean.high]).all()
    mean = rows["random, 20 %"].metrics["gem_accuracy"]
    assert 0 <= mean.low < mean.estimate < mean.high <= 1
    text = str(results.summary(["gem_accuracy"]))
    margin = next(line for line in text.splitlines() if line.startswith("  margin"))
    assert "1 of 5" in margin
    assert "(one run)" in margin
    assert margin.endswith("not tested: identical runs")
    reverse = study(streams=fixed, seeds=5, retains=[0.2], baseline="margin", policies=["random"])
    rows = {row.setting.learned: row for row in reverse.run(workers=0).summary().rows}
    found = rows["random, 20 %"].comparisons["gem_accuracy"]
    assert found is not None
    assert found.reason == "identical runs"  # of the baseline


def test_classes_that_are_never_learned_are_reported(study: Callable[..., ReplayStudy]) -> None:
    def odd(seed: int) -> Stream:
        stream = wandering(seed)
        labels = stream.classes[stream.codes].astype(str)
        splits = np.where(np.arange(240) % 3 == 0, "test", "train")
        labels[3] = "unknown"
        return Stream.from_arrays(stream.matrix, labels, np.repeat(np.arange(4), 60), splits)

    results = study(streams={"odd": odd}, seeds=1).run(workers=0)
    assert results.never_learned == {"odd": ["unknown"]}
    assert not results.failures


def test_each_seed_draws_its_own_training_rows_for_all_policies(
    study: Callable[..., ReplayStudy],
) -> None:
    made = study(streams=wandering(0), seeds=4, retains=[0.2], pool_share=0.8)
    results = made.run(workers=0)
    whole = wandering(0)
    for cell in made.cells():
        stream = made._stream(cell)
        assert stream.digest == whole.subsampled(0.8, cell.seed).digest
        assert cell.run_id.startswith("wandering-share0.8-")
        assert cell.setting.stream == "wandering"
        for drawn, every in zip(stream.experiences, whole.experiences, strict=True):
            assert drawn.train.size == round(0.8 * every.train.size)
            assert set(drawn.train.tolist()) < set(every.train.tolist())
            assert drawn.test.tolist() == every.test.tolist()
    setting = next(s for s in results.settings if s.policy == "margin")
    stream = whole.subsampled(0.8, 1)
    loop = ContinualLoop(stream, policy="margin", retain=0.2, seed=1).fit()
    assert np.array_equal(results.matrices[setting][1], loop.matrix)
    # Methods without random numbers have one run for each seed.
    rows = {row.setting.learned: row for row in results.summary(["gem_accuracy"]).rows}
    assert {name: row.distinct_runs for name, row in rows.items()} == {
        "random, 20 %": 4, "margin, 20 %": 4, "naive": 4, "joint": 3,
    }  # fmt: skip
    # Two joint fits have equal accuracies, so they count as one observation.
    compared = rows["naive"].comparisons["gem_accuracy"]
    assert compared is not None
    assert compared.reason is None
    n = sum(each.train.size for each in whole.experiences)
    line = f"each seed: its own random 80 % of the {n} training images, drawn in each experience"
    assert str(results.summary()).splitlines()[1] == line
    assert results.pools["wandering"].sizes == (stream.n_learned, stream.n_learned)
    assert set(results.metrics.column("pool_share").to_pylist()) == {0.8}
    assert set(results.table.column("pool_size").to_pylist()) == {stream.n_learned}
    with pytest.raises(RunError) as caught:
        study(streams=wandering(0), seeds=4, retains=[0.2]).run(workers=0)
    assert str(caught.value).endswith(
        "Their pools have 80 % of the training images, and the pools of this grid 100 %: choose "
        "another name, or delete the folder, or use --pool-share 0.8."
    )


def test_the_text_names_the_difference_that_could_have_been_found(
    study: Callable[..., ReplayStudy],
) -> None:
    options = {"policies": ["margin"], "reference_methods": [], "retains": [0.2]}
    summary = study(**options, seeds=3).run(workers=0).summary(["gem_accuracy"])
    (compared,) = [row.comparisons["gem_accuracy"] for row in summary.rows if row.against]
    assert compared is not None
    assert not compared.significant()
    points = 100 * detectable_difference(compared)
    assert points > 100 * abs(compared.difference)
    assert str(summary).splitlines()[-1] == (
        f"gem_accuracy: A difference of less than about {points:.1f} points cannot be found "
        "reliably with so few runs (80 % power)."
    )
    # One stream for all seeds: margin has one run, so nothing is tested and nothing is claimed.
    fixed = study(**options, seeds=3, streams=wandering(0), name="fixed").run(workers=0)
    assert "cannot be found" not in str(fixed.summary(["gem_accuracy"]))
    assert "not tested: identical runs" in str(fixed.summary(["gem_accuracy"]))


def test_a_class_that_no_seed_or_one_seed_does_not_learn_is_named(
    study: Callable[..., ReplayStudy],
) -> None:
    def odd(seed: int) -> Stream:
        stream = wandering(0)
        labels = np.array(["common"] * 240, dtype=object)
        labels[::2] = "other"
        labels[5] = "seldom"  # one training row
        labels[[7, 9]] = "seldom"
        splits = np.array(["train", "test"] * 120, dtype=object)
        splits[::2] = np.where(np.arange(120) % 3 == 0, "test", "train")
        splits[5], splits[[1, 3]] = "train", "train"
        return Stream.from_arrays(stream.matrix, labels, np.repeat(np.arange(4), 60), splits)

    made = study(streams={"odd": odd}, seeds=8, retains=[0.2], policies=["random"], pool_share=0.8)
    results = made.run(workers=0)
    learns = ["seldom" not in made._stream(cell).never_learned for cell in made.cells()]
    assert set(learns) == {True, False}
    assert results.never_learned == {"odd": ["seldom"]}


def test_options_that_are_not_valid_raise_an_error(
    study: Callable[..., ReplayStudy],
) -> None:
    with pytest.raises(UnknownNameError, match="unknown policy 'hardest'"):
        study(policies=["hardest"])
    with pytest.raises(UsageError, match="unknown reference method 'upper'"):
        study(reference_methods=["upper"])
    with pytest.raises(UsageError, match="unknown reference method 'jont'. Did you mean 'joint'"):
        study(reference_methods=["jont"], heads=["ridge"])
    with pytest.raises(UsageError, match="'label_propagation' has no partial_fit, so it cannot"):
        study(heads=["label_propagation"], reference_methods=["naive"])
    with pytest.raises(UsageError, match="policies is 'random': give a list"):
        study(policies="random")
    with pytest.raises(UsageError, match="seeds is 0"):
        study(seeds=0)
    with pytest.raises(UsageError, match="pool_share must be a share of the training images"):
        study(pool_share=0)
    with pytest.raises(UsageError, match="the buffer has 9999 rows"):
        study(retains=[9999])


def test_if_all_runs_fail_the_error_has_a_reason(
    study: Callable[..., ReplayStudy], tmp_path: Path
) -> None:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "runs").write_text("a file where the folder belongs")
    with pytest.raises(
        RunError, match=r"all 18 runs failed. First error: wandering: .*cannot write the"
    ):
        study().run(workers=0)


def test_methods_are_rows_beside_replay(study: Callable[..., ReplayStudy]) -> None:
    results = study(
        heads=["sgd(epochs=2)", "logistic", "slda"],
        methods=["ewc(strength=10)", "der", "gdumb", "replay"],
        policies=["class_balanced"],
        retains=[0.2],
        reference_methods=["naive"],
        seeds=3,
    ).run(workers=0)
    assert not results.failures
    learned: dict[str, list[str]] = {}
    for setting in results.settings:
        learned.setdefault(setting.head, []).append(setting.learned)
    buffers = ["class_balanced, 20 %", "random, 20 %", "naive"]
    assert learned == {
        "sgd(epochs=2)": [
            "ewc(strength=10.0)", "der; class_balanced, 20 %", "gdumb; class_balanced, 20 %",
            *buffers,
        ],
        "logistic": ["gdumb; class_balanced, 20 %", *buffers],
        "slda": ["gdumb; class_balanced, 20 %", "naive"],
    }  # fmt: skip
    rows = {row.setting.learned: row for row in results.summary().rows[:6]}
    baseline = rows["random, 20 %"]
    assert baseline.against is None
    for name in ("ewc(strength=10.0)", "der; class_balanced, 20 %", "naive"):
        assert rows[name].against == baseline.setting
    assert "method" in str(results.summary()).splitlines()[1 if not results.pools else 2]
    page = replay_of(results)
    names = [row.name for row in page.groups[0].rows]
    assert set(names) == set(learned["sgd(epochs=2)"])
    assert names[-1] == "naive"  # reference methods are last
    roles = {row.name: row.role for row in page.groups[0].rows}
    assert roles["ewc(strength=10.0)"] == "no buffer"
    assert roles["naive"] == "lower baseline: no buffer"
    assert roles["random, 20 %"] == "baseline"
    assert roles["der; class_balanced, 20 %"] == ""


def test_a_method_without_a_head_for_it_is_refused(study: Callable[..., ReplayStudy]) -> None:
    with pytest.raises(UsageError) as error:
        study(methods=["lwf"], heads=["logistic", "slda"])
    assert str(error.value) == (
        "method lwf changes the training steps of a head, and LogisticHead is not trained in such "
        "steps: use the head sgd."
    )
    only = study(methods=["lwf"], heads=["logistic", "sgd"], retains=[0.2], seeds=1)
    heads = [cell.setting.head for cell in only.cells() if cell.setting.method == "lwf"]
    assert heads == ["sgd"]
