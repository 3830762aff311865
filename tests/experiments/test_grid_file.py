"""Grid files: all keys, and errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedpipe._options import EmbedOptions, ExperimentFields, OracleOptions
from embedpipe.errors import UsageError
from embedpipe.experiments import Experiment
from embedpipe.experiments.grid_file import DatasetEntry, read_grid


def write(folder: Path, text: str) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_keys_of_a_grid_file(tmp_path: Path) -> None:
    grid = read_grid(
        write(
            tmp_path,
            """
            datasets:
              - digits
              - {dataset: clothing, source: clothing.zip, name: few skirts, rare: {skirt: 5}}
              - {dataset: photos, long_tailed: 20}
            backbones: [efficientnet_lite0, "timm:resnet18"]
            embed: {precision: fp32}
            strategies: [auto, "combine(margin^2, diversity)"]
            heads: logistic
            seeds: [100, 101]
            pool_share: 0.6
            labelling: {noise: 0.1, kind: confusable}
            rounds: 3
            """,
        )
    )
    assert grid.datasets == (
        DatasetEntry("digits"),
        DatasetEntry(
            "clothing",
            source=str(tmp_path / "clothing.zip"),
            name="few skirts",
            rare={"skirt": 5},
        ),
        DatasetEntry(str(tmp_path / "photos"), long_tailed=20),
    )
    assert grid.backbones == ("efficientnet_lite0", "timm:resnet18")
    assert grid.embed == EmbedOptions(precision="fp32")
    assert grid.experiment == ExperimentFields(
        strategies=["auto", "combine(margin^2, diversity)"],
        heads=["logistic"],
        seeds=[100, 101],
        pool_share=0.6,
        labelling=OracleOptions(noise=0.1, kind="confusable"),
        rounds=3,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "{} must hold keys and values, such as `dataset: digits`."),
        ("seeds: 3", "{} has no dataset: give `dataset` or `datasets`."),
        (
            "{dataset: digits, datasets: [digits]}",
            "{} has both `dataset` and `datasets`: give one of them.",
        ),
        ("{dataset: {name: x}}", "a dataset in {} has no `dataset`: give its name or path."),
        ("{dataset: digits, labelling: 3}", "labelling in {} is 3: give keys and values."),
    ],
)
def test_files_that_are_not_valid_raise_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_grid(path)
    assert str(caught.value) == message.format(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{dataset: digits, sedes: 3}", "unknown key of a grid 'sedes'. Did you mean 'seeds'?"),
        ("dataset: {dataset: x, raer: 1}", "unknown option of a dataset 'raer'."),
        ("{dataset: x, labelling: {noize: 1}}", "unknown option of labelling 'noize'."),
        ("{dataset: x, embed: {precison: bf16}}", "unknown option of `embed` 'precison'."),
    ],
)
def test_unknown_keys_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_grid(path)
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith(f"The key is in {path}.")


def test_unreadable_files_raise_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_grid(tmp_path / "none.yaml")
    assert str(caught.value) == f"cannot read {tmp_path / 'none.yaml'}: No such file or directory."
    with pytest.raises(UsageError, match=r"grid.yaml is not valid YAML: while parsing"):
        read_grid(write(tmp_path, "{a: [}"))


def test_imbalanced_datasets_are_drawn_for_each_seed(tmp_path: Path) -> None:
    text = "dataset: {dataset: digits, name: few, rare: {'3': 7}}\nbackbone: toy\nseeds: 2"
    experiment = Experiment.from_yaml(write(tmp_path, text), workspace=tmp_path, rounds=0)
    (source,) = experiment._sources
    problems = [source.draw(seed).of(source.whole(seed)) for seed in (0, 1)]
    assert [problem.class_sizes["3"] for problem in problems] == [7, 7]
    assert problems[0].digest != problems[1].digest
    # The pool is drawn first: the other classes have 80 % of their images, the rare class has 7.
    whole = source.whole(0)
    threes = whole.subsampled(0.8, seed=0).class_sizes["3"]
    size = round(0.8 * len(whole.candidates)) - threes + 7
    assert source.pool(0).size == len(problems[0].candidates) == size
    assert str(experiment.cells()[0]) == "few, toy: auto; auto, cumulative; seed 0"


def test_the_old_key_of_the_upper_baseline_is_deprecated(tmp_path: Path) -> None:
    path = write(tmp_path, "{dataset: digits, upper_bound: false}")
    with pytest.warns(DeprecationWarning, match="`upper_bound` is now `upper_baseline`"):
        assert read_grid(path).experiment.upper_baseline is False


def test_options_are_checked_before_anything_is_embedded(tmp_path: Path) -> None:
    def opened(entry: DatasetEntry, backbone: str) -> None:
        raise AssertionError("too early")

    path = write(tmp_path, "{dataset: digits, strategies: [marign]}")
    with pytest.raises(UsageError, match="unknown strategy 'marign'"):
        Experiment.from_yaml(path, workspace=tmp_path, opener=opened)  # type: ignore[arg-type]
