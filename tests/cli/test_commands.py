"""All commands: exit statuses, help, and one clear line for every error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe.cli.reference import reference_pages
from tests.cli.conftest import Outcome
from tests.processes import run

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def test_help_and_import_load_no_heavy_module() -> None:
    program = (
        "import sys, embedpipe\n"
        "from embedpipe.cli.main import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['compare', '--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['replay', '--help']).exit_code == 0\n"
        "heavy = {'torch', 'torchvision', 'timm', 'faiss', 'sklearn', 'pyarrow', 'openvino',\n"
        "         'matplotlib', 'PIL', 'numpy', 'yaml', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = run([sys.executable, "-c", program])
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_exists_and_has_a_docstring() -> None:
    assert dir(ep) == sorted(ep.__all__)
    for name in ep.__all__:
        entry = getattr(ep, name)
        assert name == "__version__" or entry.__doc__, name
    with pytest.raises(AttributeError, match="emebd"):
        _ = ep.emebd


def test_the_command_line_reference_is_current() -> None:
    folder = REPOSITORY / "docs" / "reference" / "cli"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert written == reference_pages(), "run `make cli-reference`"


def test_commands_accept_image_files(
    call: Callable[..., Outcome], photos: Callable[..., Path]
) -> None:
    files = sorted(photos(12).glob("class0/*.jpg"))
    assert call("embed", *files, "--json", "--quiet").json()["embedded"] == 4
    picks = call("select", *files, "-n", "2", "--json", "--quiet").json()["picks"]
    assert {pick["id"] for pick in picks} < {path.name for path in files}
    found = call("check", *files, "--backbone", "toy", "--json", "--quiet").json()
    assert (found["items"], found["duplicates"]) == (4, [])


def test_require_cached_refuses_new_images(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head, require = photos(12), tmp_path / "head.safetensors", "--require-cached"
    commands = {
        "embed": (),
        "select": ("-n", 2),
        "run": ("--rounds", 1, "--initial-size", 2, "--batch-size", 2),
        "train": ("--labels", labels, "--output", head),
        "check": ("--backbone", "toy"),
        "compare": ("--strategies", "random", "--seeds", 1, "--backbone", "toy"),
    }
    for name, options in commands.items():
        status, message = call(name, folder, *options, require, "--quiet").error()
        assert status == 1
        assert "12 of the 12 images of 'photos-" in message
        assert message.count("\n") == 0
    grid = tmp_path / "grid.yaml"
    grid.write_text(f"dataset: {folder}\nbackbone: toy\nseeds: 1\nrounds: 1\n")
    compared = Outcome(["compare", str(grid), require, "--quiet"])
    assert compared.status == 1
    assert "12 of the 12 images" in compared.err
    call("train", folder, "--labels", labels, "--output", head)
    for name, options in {**commands, "predict": ("--model", head)}.items():
        if name != "compare":
            assert call(name, folder, *options, require, "--quiet").status == 0


NEED_NO_LABELS = sorted(
    name for name in ep.strategies.strategies if not ep.strategies.strategies[name].needs_labels
)


ERRORS: dict[str, tuple[list[object], int, str]] = {
    "missing folder": (
        ["embed", "./nowhere"], 1, "No folder, archive or manifest at `./nowhere`.",
    ),
    "unknown dataset": (
        ["embed", "clotihng"], 2,
        "No folder, archive or manifest at `clotihng`, and no dataset of that name. "
        "Did you mean 'clothing'?",
    ),
    "unknown backbone": (
        ["embed", "{photos}", "--backbone", "efficientnet_lite1"], 2,
        "unknown backbone 'efficientnet_lite1'. Did you mean 'efficientnet_lite2'? Known: "
        "efficientnet_lite2, efficientnet_lite0 and others. Any timm:NAME, openclip:NAME, "
        "torchvision:NAME or onnx:FILE is a backbone too. For a backbone of your own, add --import "
        "MODULE.",
    ),
    "unknown timm model": (
        ["embed", "{photos}", "--backbone", "timm:resnet181"], 2,
        "unknown timm model 'resnet181'. Did you mean 'resnet18'? Known: ",
    ),
    "unknown strategy": (
        ["select", "{photos}", "-n", 3, "--strategy", "corset"], 2,
        "unknown strategy 'corset'. Did you mean 'coreset'? Known: ",
    ),
    "unknown index": (
        ["select", "{photos}", "-n", 3, "--index", "flat"], 2,
        "unknown kind of index 'flat': give exact, ivf or hnsw.",
    ),
    "unknown head": (
        ["run", "{photos}", "--head", "logistc"], 2,
        "unknown head 'logistc'. Did you mean 'logistic'? Known: ",
    ),
    "unknown mode": (
        ["run", "{photos}", "--mode", "all"], 2,
        "unknown mode 'all'. Known: cumulative, half_cumulative, incremental, replay.",
    ),
    "a mode that the head cannot do": (
        ["run", "{photos}", "--mode", "half_cumulative", "--head", "nearest_mean"], 2,
        "mode 'half_cumulative' continues from the weights of the previous round, but a "
        "NearestMeanHead has no warm_start option: use mode cumulative or incremental or replay, "
        "or a head such as mlp.",
    ),
    "a buffer without replay": (
        ["run", "{photos}", "--buffer-size", 3], 2,
        "buffer_size is for mode 'replay', and this is mode 'cumulative'.",
    ),
    "unknown kind of noise": (
        ["run", "{photos}", "--noise", 0.1, "--noise-kind", "confusible"], 2,
        "unknown kind of noise 'confusible'. Did you mean 'confusable'? Known: confusable, "
        "symmetric.",
    ),
    "a class to be rare that there is not": (
        ["run", "{photos}", "--rare", "clas1=3"], 2,
        "unknown class 'clas1'. Did you mean 'class1'? Known: class0, class1, class2.",
    ),
    "a rare class without a number": (
        ["run", "{photos}", "--rare", "class1"], 2,
        "--rare class1: give CLASS=N, such as hat=20, with N at least 1.",
    ),
    "unknown precision": (
        ["embed", "{photos}", "--precision", "fp8"], 2,
        "unknown precision 'fp8': use auto, fp32 or bf16.",
    ),
    "unknown runtime": (
        ["embed", "{photos}", "--runtime", "tensorflow"], 2,
        "unknown runtime 'tensorflow': use auto, torch, torch-compile, openvino, onnxruntime.",
    ),
    "unknown executor": (
        ["embed", "{photos}", "--executor", "spark"], 2,
        "unknown executor 'spark': use local or ray.",
    ),
    "unknown executor of a selection": (
        ["select", "{photos}", "-n", 3, "--executor", "spark"], 2,
        "unknown executor 'spark': use local or ray.",
    ),
    "a workspace in memory": (
        ["embed", "{photos}", "--workspace", "memory://w"], 2,
        "the workspace 'memory://w' is in memory, and would be lost at the end of the command: "
        "give a folder, or an address such as s3://bucket/workspace.",
    ),
    "unknown list": (
        ["list", "strategis"], 2,
        "unknown list 'strategis'. Did you mean 'strategies'? Known: backbones, datasets, formats, "
        "heads, methods, policies, strategies.",
    ),
    "n larger than the pool": (
        ["select", "{photos}", "-n", 30], 1,
        "`n` must be at most 12 (the unlabelled items); got 30.",
    ),
    "no labels": (
        ["select", "{photos}", "-n", 3, "--strategy", "margin"], 1,
        "strategy 'margin' needs labels. Label some items first, or use a strategy that needs no "
        "labels: "
        f"{', '.join(NEED_NO_LABELS)}.",
    ),
    "an initial strategy that needs labels": (
        ["run", "{photos}", "--initial", "entropy", "--initial-size", 3], 1,
        "strategy 'entropy' needs labels. Label some items first, or use a strategy that needs no "
        "labels: "
        f"{', '.join(NEED_NO_LABELS)}.",
    ),
    "no label file": (
        ["train", "{photos}", "--labels", "none.csv", "--output", "h.safetensors"], 1,
        "there is no label file at none.csv.",
    ),
    "labels for unknown paths": (
        ["select", "{photos}", "-n", 3, "--labels", "{strangers}"], 1,
        "1 of 2 labelled paths is not in the dataset: 'class9/x.jpg'. Paths must be relative to "
        "the dataset's folder, such as 'class0/0000.jpg'. Remove the rows of deleted images. "
        "--skip-unknown leaves these labels out.",
    ),
    "a manifest without path": (
        ["embed", "{manifest}"], 1,
        "{manifest}, line 1: no column 'path'; found 2 columns: 'file', 'label'.",
    ),
    "no images": (
        ["embed", "{empty}"], 1,
        "no images in folder '{empty}': expected .avif, .bmp, .gif, .heic, .heif, .hif, .jfif, "
        ".jpe, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp; found 1 .txt.",
    ),
    "a dataset that is elsewhere": (
        ["embed", "clothing"], 1,
        "clothing is not in '{workspace}/downloads': give --source PATH if you have it (a "
        "folder or archive with train/, validation/ and test/, each with a folder per class), or "
        "--download to fetch 107 MB from https://github.com/alexeygrigorev/clothing-dataset-small/"
        "archive/11961516512414bf9f6c150a832cfd21b54a6b54.zip.",
    ),
    "no head file": (
        ["predict", "{photos}", "--model", "none", "--output", "p.csv"], 2,
        "there is no model file at none. Check --model, or train one.",
    ),
    "another suffix": (
        ["predict", "{photos}", "--model", "none", "--output", "p.xls"], 2,
        "p.xls is not a table: its name must end in .csv, .jsonl or .parquet.",
    ),
    "weights of a backbone that has its own": (
        ["embed", "{photos}", "--backbone", "efficientnet_lite0", "--weights", "w.pth"], 2,
        "the backbone 'efficientnet_lite0' has its own weights: use --weights with timm:NAME, "
        "openclip:NAME or torchvision:NAME only.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(ERRORS))
def test_an_error_is_one_line(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path, case: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "a.txt").write_text("hello")
    (tmp_path / "manifest.csv").write_text("file,label\na.jpg,x\n")
    (tmp_path / "strangers.csv").write_text("path,label\nclass0/0000.jpg,a\nclass9/x.jpg,b\n")
    names = {
        "{photos}": photos(12), "{empty}": tmp_path / "empty",
        "{manifest}": tmp_path / "manifest.csv", "{strangers}": tmp_path / "strangers.csv",
        "{workspace}": tmp_path / "workspace",
    }  # fmt: skip
    arguments, status, message = ERRORS[case]
    for name, path in names.items():
        message = message.replace(name, str(path))
    words = [names.get(str(argument), argument) for argument in arguments]
    found_status, found = call(*words, "--quiet").error()
    assert found_status == status
    if message.endswith("Known: "):
        assert found.startswith(f"embedpipe: {message}")
        assert "\n" not in found
    else:
        assert found == f"embedpipe: {message}"


def test_debug_shows_the_traceback(call: Callable[..., Outcome]) -> None:
    outcome = call("embed", "./nowhere", "--debug")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
    assert "DatasetError" in outcome.err
    assert "Traceback" not in call("embed", "./nowhere").err


def test_wrong_usage_has_exit_status_2(call: Callable[..., Outcome]) -> None:
    for words in (
        ["embde"],
        ["embed"],
        ["select", "x"],
        ["embed", "x", "--bckbone", "y"],
        ["select", "x", "-n", "0"],
        ["run", "x", "--seed", "-1"],
    ):
        assert Outcome(words).status == 2


def test_progress_is_on_standard_error_and_only_json_on_standard_output(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    done = run(
        [sys.executable, "-m", "embedpipe", "embed", str(photos(8)), "--backbone", "toy", "--json"],
        env={**os.environ, "EMBEDPIPE_WORKSPACE": str(tmp_path / "w"), "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert json.loads(done.stdout)["embedded"] == 8
    assert "Embedding" in done.stderr


def test_a_closed_pipe_is_not_an_error() -> None:
    command = f"{sys.executable} -m embedpipe list strategies --json | head -c 0"
    done = run(["bash", "-c", command])
    assert done.stderr == ""


@pytest.mark.parametrize("command", [["select", "-n", 3], ["run"]])
def test_a_misspelt_index_is_refused_before_the_embedding(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path, command: list[object]
) -> None:
    outcome = call(command[0], photos(), *command[1:], "--index", "flat")
    assert outcome.status == 2
    assert not (tmp_path / "workspace").exists()


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("datasets", {"digits", "clothing", "cifar10"}),
        ("backbones", {"efficientnet_lite0"}),
        ("strategies", {"random", "coreset", "margin", "coral"}),
        ("heads", {"logistic"}),
        ("policies", {"random", "el2n", "entropy", "margin"}),
        ("formats", {"csv", "cvat", "label-studio"}),
    ],
)
def test_list(call: Callable[..., Outcome], kind: str, some: set[str]) -> None:
    rows = call("list", kind, "--json").json()[kind]
    assert isinstance(rows, list)
    assert some <= {row["name"] for row in rows}
    assert all(row["description"].endswith(".") for row in rows)
    text = call("list", kind).out
    assert all(f"{row['name']} " in text for row in rows)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("strategy", ["select", "{photos}", "-n", 3, "--strategy", "qqqq"]),
        ("head", ["run", "{photos}", "--head", "qqqq"]),
        ("policy", ["replay", "digits", "--policy", "qqqq"]),
        ("label format", ["labels", "export", "{photos}", "--format", "qqqq", "--output", "x"]),
    ],
)
def test_an_unknown_name_of_an_extension_hints_at_its_import(
    call: Callable[..., Outcome], photos: Callable[..., Path], kind: str, words: list[object]
) -> None:
    folder = photos(4)
    status, message = call(*(str(word).format(photos=folder) for word in words)).error()
    assert status == 2
    assert message.startswith(f"embedpipe: unknown {kind} 'qqqq'. Known: ")
    assert message.endswith(f" For a {kind} of your own, add --import MODULE.")
