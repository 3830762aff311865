"""Invalid options: an error in one line that names them, before the work starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from embedpipe.cli.main import app

FILE = """\
dataset: digits
backbone: toy
strategies: [margin]
heads: [nearest_mean]
seeds: 2
rounds: 1
initial_size: 20
batch_size: 10
skip: 0
labelling: {noise: 0.1}
upper_baseline: false
pool_share: 0.9
name: mine
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


def refused(outcome: Result) -> str:
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert outcome.stderr.count("\n") == 1
    return outcome.stderr.removeprefix("embedpipe: ").rstrip("\n")


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--seeds 3", "seeds"), ("--seed-offset 2", "seeds"),
        ("--strategies coreset", "strategies"),
        ("--heads ridge", "heads"), ("--rounds 4", "rounds"), ("--initial-size 5", "initial_size"),
        ("--batch-size 5", "batch_size"), ("--skip 1", "skip"), ("--noise 0.2", "labelling"),
        ("--abstain 0.1", "labelling"), ("--name other", "name"), ("--backbones toy", "backbones"),
        ("--no-upper-baseline", "upper_baseline"), ("--pool-share 0.5", "pool_share"),
    ],
)  # fmt: skip
def test_an_option_in_the_grid_file_cannot_be_typed(
    call: Callable[..., Result], tmp_path: Path, option: str, key: str
) -> None:
    (tmp_path / "grid.yaml").write_text(FILE)
    message = refused(call("compare", "grid.yaml", *option.split()))
    typed = "--upper-baseline" if option == "--no-upper-baseline" else option
    assert message == f"{typed} and `{key}` in grid.yaml set the same option: give only one."


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("--source x.zip", "source"), ("--download", "download"), ("--backbone toy", "backbone"),
        ("--precision fp32", "embed: precision"), ("--runtime torch", "embed: runtime"),
        ("--scaled-decode", "embed: scaled_decode"), ("--long-tailed 3.0", "long_tailed"),
        ("--rare 7=5", "rare"),
    ],
)  # fmt: skip
def test_options_of_the_dataset_must_be_in_the_grid_file(
    call: Callable[..., Result], tmp_path: Path, option: str, key: str
) -> None:
    (tmp_path / "grid.yaml").write_text("dataset: digits\n")
    assert refused(call("compare", "grid.yaml", *option.split())) == (
        f"{option} cannot be combined with a grid file: write `{key}` in grid.yaml instead."
    )


def test_other_options_can_be_typed_with_a_grid_file(
    call: Callable[..., Result], tmp_path: Path
) -> None:
    text = FILE.replace("seeds: 2\n", "").replace("name: mine\n", "")
    (tmp_path / "grid.yaml").write_text(text)
    outcome = call("compare", "grid.yaml", "--seeds", 1, "--name", "x", "--workers", 0, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    assert json.loads(outcome.stdout)["results"].endswith("experiments/x/results.parquet")


@pytest.mark.parametrize(
    ("words", "start"),
    [
        ("compare digits --pool-share 0", "pool_share must be a share of the training images"),
        ("replay digits --pool-share 0", "pool_share must be a share of the training images"),
        ("compare digits --accuracy 1.5", "accuracy is 1.5: give a share of the test images"),
        ("compare digits --accuracy -0.1", "accuracy is -0.1: give a share of the test images"),
        ("compare digits --accuracy nan", "--accuracy nan: give a finite number."),
        ("compare digits --target-share 1.5", "target is 1.5: give a share of the"),
        ("compare digits --target-share 0", "target is 0.0: give a share of the"),
        ("compare digits --target-share inf", "--target-share inf: give a finite number."),
        ("compare digits --long-tailed inf", "--long-tailed inf: give a finite number."),
        ("replay digits --retain 1.5", "--retain 1.5: the size of the buffer is 1.5: give a share"),
        ("replay digits --retain 0.05,nan", "--retain nan: the size of the buffer is nan"),
        ("replay digits --retain inf", "--retain inf: the size of the buffer is inf"),
        ("replay digits --retain 0", "--retain 0: the size of the buffer is 0"),
        ("replay digits --figure x.doc", "cannot draw x.doc: its name must end in"),
        ("replay digits --name a/b", "name is 'a/b': give the name of a folder, without a path."),
        ("compare digits --name ..", "name is '..': give the name of a folder, without a path."),
        ("compare digits --tracker tensorbord", "unknown tracker 'tensorbord'. Did you mean"),
        ("replay digits --tracker tensorbord", "unknown tracker 'tensorbord'. Did you mean"),
    ],
)  # fmt: skip
def test_numbers_and_names_out_of_range(
    call: Callable[..., Result], words: str, start: str
) -> None:
    command, *rest = words.split()
    backbone = ["--backbone", "toy", "--quiet"]
    assert refused(call(command, *rest, *backbone)).startswith(start)


@pytest.mark.parametrize(
    "words",
    [
        "run digits --noise 1.5", "run digits --abstain -1", "run digits --rounds -1",
        "run digits --noise nan", "run digits --abstain nan", "run digits --long-tailed 0.5",
        "compare digits --seeds 0", "compare digits --batch-size 0", "compare digits --workers -1",
        "replay digits --seeds 0", "replay digits --budget 0",
        "select digits -n 0", "select digits -n 5 --seed -1",
    ],
)  # fmt: skip
def test_ranges_of_the_help_are_enforced(call: Callable[..., Result], words: str) -> None:
    outcome = call(*words.split())
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    option = [word for word in words.split() if re.match("-+[a-z]", word)][-1]
    assert f"Invalid value for '{option}'" in outcome.stderr


def test_a_folder_with_a_registered_name(
    call: Callable[..., Result], photos: Callable[..., Path]
) -> None:
    photos(6).rename(Path("digits"))
    named = call("embed", "digits", "--backbone", "toy", "--json")
    assert json.loads(named.stdout)["items"] == 1797
    assert (
        "'digits' is a registered dataset; for the path of that name, use './digits'.\n"
        in named.stderr
    )
    folder = call("embed", "./digits", "--backbone", "toy", "--json")
    assert json.loads(folder.stdout)["items"] == 6
    assert "registered" not in folder.stderr
    Path("digits").rename(Path("clear10"))
    outcome = call("embed", "clear10", "--backbone", "toy", "--quiet")
    assert outcome.exit_code == 1
    assert outcome.stderr.endswith("name, use './clear10'.\n")
    assert (
        json.loads(call("embed", "./clear10", "--backbone", "toy", "--json").stdout)["items"] == 6
    )


@pytest.mark.parametrize(
    ("words", "new"),
    [
        ("compare digits --first-seed=-1", "--seed-offset"),
        ("compare digits --no-bound --seeds 0", "--no-upper-baseline"),
        ("replay digits --bounds x --seeds 0", "--reference-methods"),
        ("annotate digits --num-annotation-rounds 0", "--rounds"),
        ("annotate digits --least-confident-instances 0", "--batch-size"),
    ],
)
def test_an_old_name_of_an_option_is_accepted_with_a_warning(
    call: Callable[..., Result], words: str, new: str
) -> None:
    old = words.split()[2].partition("=")[0]
    warning = f"`{old}` is now `{new}`; the next version will not accept the old name."
    outcome = call(*words.split())
    assert outcome.exit_code == 2
    assert f"embedpipe: {warning}\n" in outcome.stderr
    assert "Invalid value for" in outcome.stderr
    assert "No such option" not in outcome.stderr
    assert warning not in call(*words.split(), "--quiet").stderr
