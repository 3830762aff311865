"""The commands: the contract's keys, exit statuses, and one clear line for every error."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe as ep
from embedpipe.cli.main import app
from embedpipe.cli.reference import reference

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class Outcome:
    """What a command left: its exit status, standard output and standard error."""

    def __init__(self, arguments: list[str]) -> None:
        result = CliRunner().invoke(app, arguments)
        self.status, self.out, self.err = result.exit_code, result.stdout, result.stderr

    def json(self) -> dict[str, object]:
        assert self.status == 0, self.err
        assert self.out.count("\n") == 1
        parsed: dict[str, object] = json.loads(self.out)
        return parsed

    def error(self) -> tuple[int, str]:
        assert self.out == ""
        return self.status, self.err.removesuffix("\n")


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Return a function that runs a command with a workspace of its own and the toy backbone."""
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))

    def run(*arguments: object) -> Outcome:
        words = [str(argument) for argument in arguments]
        takes_backbone = words[0] in ("embed", "select", "run", "train", "predict")
        if takes_backbone and "--backbone" not in words:
            words += ["--backbone", "toy"]
        return Outcome(words)

    return run


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """Labels of six of the twelve photos, by their path."""
    path = tmp_path / "labels.csv"
    rows = [f"class{n % 3}/{n:04d}.jpg,{'abc'[n % 3]}" for n in range(6)]
    path.write_text("\n".join(["path,label", *rows]))
    return path


def test_help_and_import_are_quick_to_load_and_load_nothing_heavy() -> None:
    program = (
        "import sys, embedpipe\n"
        "from embedpipe.cli.main import app\n"
        "from typer.testing import CliRunner\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0\n"
        "assert CliRunner().invoke(app, ['compare', '--help']).exit_code == 0\n"
        "heavy = {'torch', 'torchvision', 'timm', 'faiss', 'sklearn', 'pyarrow', 'openvino',\n"
        "         'matplotlib', 'PIL', 'numpy', 'yaml'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_every_public_name_is_there_and_documented() -> None:
    assert dir(ep) == ep.__all__ == sorted(ep.__all__)
    for name in ep.__all__:
        entry = getattr(ep, name)
        assert name == "__version__" or entry.__doc__, name
    with pytest.raises(AttributeError, match="module 'embedpipe' has no attribute 'emebd'"):
        _ = ep.emebd


def test_the_reference_is_what_the_commands_say() -> None:
    path = REPOSITORY / "docs" / "cli-reference.md"
    assert path.read_text(encoding="utf-8") == reference(), "run `make docs`"


def test_embed(call: Callable[..., Outcome], photos: Callable[..., Path]) -> None:
    folder = photos(12)
    first = call("embed", folder, "--json").json()
    assert list(first) == [
        "dataset", "spec_id", "items", "embedded", "reused", "failed", "failures", "dim",
        "seconds", "images_per_second", "remarks", "notes",
    ]  # fmt: skip
    assert (first["items"], first["embedded"], first["reused"]) == (12, 12, 0)
    (folder / "class0" / "0000.jpg").write_bytes(b"no image")
    outcome = call("embed", folder)
    assert outcome.status == 0
    assert "12 items, 0 embedded, 11 reused, 1 failed; 48 dimensions" in outcome.out
    assert outcome.err == ("could not decode class0/0000.jpg: not an image in a known format\n")
    assert call("embed", folder, "--quiet").err == ""


def test_select_names_what_each_pick_stands_for_and_shows_it(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, page = photos(), tmp_path / "picks.html"
    result = call("select", folder, "-n", 3, "--groups", 2, "--report", page, "--json").json()
    picks = result["picks"]
    assert isinstance(picks, list)
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path / "workspace")
    chosen = ep.select(embeddings, n=3)
    for pick, row, group in zip(
        picks, chosen.rows, ep.groups(embeddings, chosen.rows), strict=True
    ):
        assert pick["id"] == embeddings.items[row].id
        assert pick["stands_for"] == len(group.rows)
        assert pick["members"] == [
            {"id": embeddings.items[member].id, "distance": float(distance)}
            for member, distance in zip(group.rows[:2], group.distances[:2], strict=True)
        ]
    assert sum(pick["stands_for"] for pick in picks) == 12 - 3
    assert result["report"] == str(page)
    assert "3 images to label next" in page.read_text()
    assert page.read_text().count("<img") == 3 + sum(len(pick["members"]) for pick in picks)


def test_select_does_not_write_over_a_file_that_it_cannot_read(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    output = tmp_path / "notes.csv"
    output.write_text("not,labels\n1,2\n")
    assert call("select", photos(), "-n", 2, "--output", output).error() == (
        2,
        f"embedpipe: {output} is there already and cannot be read as labels, so it is not written "
        f"over ({output}, line 1: the columns 'path' and 'label' are missing; its columns: 'not', "
        "'labels'.): choose "
        "another --output, or remove it.",
    )
    assert output.read_text() == "not,labels\n1,2\n"


def test_select(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, output = photos(12), tmp_path / "picks.csv"
    result = call("select", folder, "-n", 4, "--json", "--output", output).json()
    assert list(result) == ["strategy", "n", "picks", "diagnostics", "seconds"]
    assert (result["strategy"], result["n"]) == ("coreset", 4)
    picks = result["picks"]
    assert isinstance(picks, list)
    assert [pick["rank"] for pick in picks] == [1, 2, 3, 4]
    assert [list(pick) for pick in picks] == [["rank", "id", "path", "score"]] * 4
    assert all(Path(pick["path"]) == folder / pick["id"] for pick in picks)
    rows = read_csv(output)
    assert [row["path"] for row in rows] == [pick["id"] for pick in picks]
    assert {row["label"] for row in rows} == {""}
    plain = call("select", folder, "-n", 4)
    assert plain.out.split() == [pick["id"] for pick in picks]
    again = call("select", folder, "-n", 3, "--labels", labels, "--strategy", "margin", "--json")
    chosen = {pick["id"] for pick in again.json()["picks"]}  # type: ignore[attr-defined]
    assert not chosen & {row["path"] for row in read_csv(labels)}


def test_filled_in_picks_are_labels(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, picks = photos(12), tmp_path / "picks.csv"
    call("select", folder, "-n", 6, "--output", picks)
    lines = picks.read_text().splitlines()
    filled = [lines[0], *(line.replace(",,", f",{line[5]},") for line in lines[1:-1]), lines[-1]]
    picks.write_text("\n".join(filled))  # the last one is left blank
    result = call("select", folder, "-n", 7, "--labels", picks, "--strategy", "entropy", "--json")
    assert result.json()["n"] == 7
    assert call("select", folder, "-n", 2, "--output", picks).error() == (
        2,
        f"embedpipe: {picks} holds 5 labels that would be lost: choose another --output.",
    )


def test_run(call: Callable[..., Outcome], photos: Callable[..., Path]) -> None:
    arguments = (
        "run", photos(60), "--initial", "coreset", "--strategy", "entropy", "--initial-size", 6,
        "--batch-size", 4, "--rounds", 2, "--json", "--quiet",
    )  # fmt: skip
    result = call(*arguments).json()
    assert list(result) == ["run_id", "rounds", "aubc", "copies_left_out", "report"]
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert [list(each) for each in rounds] == [
        [
            "round",
            "labelled",
            "accuracy",
            "macro_f1",
            "select_seconds",
            "fit_seconds",
            "balanced_accuracy",
            "ece",
            "cost",
            "loss",
            "advice",
        ]
    ] * 3
    assert [each["labelled"] for each in rounds] == [6, 10, 14]
    assert [each["cost"] for each in rounds] == [6, 10, 14]
    report = Path(str(result["report"]))
    assert report.parent.name == result["run_id"]
    assert {path.name for path in report.parent.iterdir()} == {
        "config.json", "rounds.parquet", "picks.parquet", "report.html"
    }  # fmt: skip
    assert rounds[-1]["advice"]["reason"] in (page := report.read_text(encoding="utf-8"))
    advice = rounds[-1]["advice"]["advice"].capitalize()
    assert f"Advice for coreset, then entropy. {advice}: " in page
    assert call(*arguments).json() == result


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_run_keeps_its_figures_for_a_tracker_that_is_asked_for(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    arguments = (
        "run", photos(60), "--strategy", "entropy", "--initial-size", 6, "--batch-size", 4,
        "--rounds", 2, "--head", "nearest_mean", "--json", "--quiet",
    )  # fmt: skip
    call(*arguments)
    folder = tmp_path / "workspace" / "tracking"
    assert not folder.exists()
    for _ in range(2):  # again, nothing is added
        result = call(*arguments, "--tracker", "tensorboard").json()
    events = EventAccumulator(str(folder / str(result["run_id"]))).Reload()
    told = [(event.step, round(event.value, 6)) for event in events.Scalars("accuracy")]
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert told == [(each["labelled"], round(each["accuracy"], 6)) for each in rounds]
    assert len(list(folder.iterdir())) == 2  # and that of random choice
    wrong = call(*arguments, "--tracker", "paper")
    assert wrong.status == 2
    assert "tensorboard" in wrong.err


def test_run_in_another_mode_with_a_poor_labeller_on_rare_classes(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    arguments = (
        "run", photos(60), "--initial", "random", "--initial-size", 6, "--batch-size", 8,
        "--rounds", 9, "--no-baseline", "--quiet", "--mode", "replay", "--buffer-size", 5,
        "--skip", 1, "--noise", 0.2, "--noise-kind", "confusable", "--abstain", 0.2,
        "--long-tailed", 4, "--rare", "class0=3", "--head", "nearest_mean",
    )  # fmt: skip
    text = call(*arguments).out.splitlines()
    result = call(*arguments, "--json").json()
    rounds = result["rounds"]
    assert isinstance(rounds, list)
    assert rounds[-1]["cost"] > rounds[-1]["labelled"]
    assert text[-1] == f"report: {result['report']}"
    config = json.loads((Path(str(result["report"])).parent / "config.json").read_text())
    assert (config["mode"], config["buffer_size"], config["skip"]) == ("replay", 5, 1)
    assert dict(config["labelling"]) == {
        "noise": 0.2, "kind": "confusable", "abstain": 0.2, "cost": []
    }  # fmt: skip
    # 16 of each class: 16 and 8 and 4 by the long tail, one of them cut to 3; one is skipped.
    asked = rounds[-1]["cost"]
    assert asked in {16 + 8 + 3 - 1, 16 + 4 + 3 - 1, 8 + 4 + 3 - 1}
    assert (
        f"stopped after round {rounds[-1]['round']}: nothing is left that margin may choose" in text
    )


@pytest.mark.parametrize(
    "head", ["mlp(hidden=8, epochs=2)", "sklearn.ensemble:RandomForestClassifier(n_estimators=4)"]
)
def test_select_takes_a_head_with_options(call, photos, head):
    folder = photos(12)
    items = call("select", folder, "-n", 12, "--json").json()["picks"]
    labels = folder.parent / "some.csv"
    rows = [f"{pick['id']},{pick['id'].split('/')[0]}" for pick in items[:6]]
    labels.write_text("\n".join(["path,label", *rows]))
    options = ["--strategy", "margin", "--head", head, "--labels", labels, "--json"]
    found = call("select", folder, "-n", 3, *options).json()
    assert len({pick["id"] for pick in found["picks"]} - {pick["id"] for pick in items[:6]}) == 3
    again = call("select", folder, "-n", 3, *options).json()
    assert again["picks"] == found["picks"]


def test_train_and_predict(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head, output = photos(12), tmp_path / "head.safetensors", tmp_path / "all.csv"
    trained = call("train", folder, "--labels", labels, "--output", head, "--json").json()
    assert next(iter(trained)) == "accuracy"
    assert (trained["labelled"], trained["classes"]) == (6, ["a", "b", "c"])
    assert trained["output"] == str(head)
    result = call("predict", folder, "--model", head, "--output", output, "--json").json()
    assert list(result) == ["accuracy", "items", "output", "judged", "accuracy_note"]
    rows = read_csv(output)
    assert len(rows) == 12
    for row in rows:
        shares = {name: float(row[f"probability_{name}"]) for name in "abc"}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(shares, key=lambda name: shares[name])
        assert float(row["confidence"]) == max(shares.values())


def test_predict_takes_image_files_and_prints(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, head = photos(12), tmp_path / "head.safetensors"
    assert call("train", folder, "--labels", labels, "--output", head).status == 0
    one = folder / "class0" / "0003.jpg"
    many = sorted((folder / "class0").glob("*.jpg"))
    result = call("predict", one, "--model", head, "--json", "--quiet").json()
    (prediction,) = result["predictions"]  # type: ignore[misc]
    assert (prediction["id"], prediction["path"]) == ("0003.jpg", str(one))
    assert prediction["label"] == "a"  # it is one of the labelled images
    assert (result["accuracy"], result["items"], result["output"]) == (None, 1, None)
    told = call("predict", *many, "--model", head, "--quiet").out.splitlines()
    assert [line.split("\t")[0] for line in told] == [path.name for path in many]
    share = f"{prediction['confidence']:.4f}"
    assert told[1].split("\t") == ["0003.jpg", "a", share]
    call("predict", *many, "--model", head, "--output", tmp_path / "some.csv", "--quiet")
    assert [row["path"] for row in read_csv(tmp_path / "some.csv")] == [p.name for p in many]
    assert call("predict", one, folder / "no.jpg", "--model", head).error() == (
        1,
        f"embedpipe: no such file: '{folder / 'no.jpg'}'.",
    )


def test_other_commands_take_image_files_too(
    call: Callable[..., Outcome], photos: Callable[..., Path]
) -> None:
    files = sorted(photos(12).glob("class0/*.jpg"))
    assert call("embed", *files, "--json", "--quiet").json()["embedded"] == 4
    picks = call("select", *files, "-n", "2", "--json", "--quiet").json()["picks"]
    assert {pick["id"] for pick in picks} < {path.name for path in files}  # type: ignore[attr-defined]
    found = call("check", *files, "--backbone", "toy", "--json", "--quiet").json()
    assert (found["items"], found["duplicates"]) == (4, [])


def test_commands_embed_nothing_where_vectors_are_required(
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


def test_cache(call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path) -> None:
    assert call("cache", "list").out.startswith("the cache in ")
    call("embed", photos(5), "--precision", "fp32")
    (spec,) = call("cache", "list", "--json").json()["specs"]  # type: ignore[misc]
    assert (spec["rows"], spec["failed"], spec["backbone"]) == (5, 0, "embedpipe:toy")
    assert spec["bytes"] > 5 * 48 * 4
    assert call("cache", "verify").out == "every file is whole\n"
    (fragment,) = (tmp_path / "workspace").glob("cache/*/fragments/*")
    fragment.write_bytes(b"")
    verified = call("cache", "verify", "--json")
    assert verified.status == 1
    problems = {"problems": [{"path": str(fragment), "reason": "empty"}]}
    assert json.loads(verified.out) == problems
    assert call("embed", photos(5), "--precision", "fp32").error() == (
        1,
        f"embedpipe: {fragment} is not a whole fragment. Run `embedpipe cache gc` to remove "
        "damaged files; the next `embed` makes them again.",
    )
    doomed = [{"path": str(fragment), "reason": "empty", "bytes": 0}]
    assert call("cache", "gc", "--dry-run", "--json").json()["removed"] == doomed
    assert call("cache", "gc").out == f"{fragment}: empty (0.0 MB)\n0.0 MB removed\n"
    assert call("cache", "gc").out == "nothing to remove\n"
    assert call("embed", photos(5), "--precision", "fp32", "--json").json()["embedded"] == 5


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


NEED_NO_LABELS = sorted(
    name for name in ep.strategies.strategies if not ep.strategies.strategies[name].needs_labels
)

ERRORS: dict[str, tuple[list[object], int, str]] = {
    "missing folder": (
        ["embed", "./nowhere"], 1, "no such folder or file: './nowhere'.",
    ),
    "unknown dataset": (
        ["embed", "clotihng"], 2,
        "unknown dataset 'clotihng'. Did you mean 'clothing'? Known: cifar10, clear10, "
        "clear100, clothing, digits, eurosat, fashion_mnist, flowers102, mnist. A path is accepted "
        "too: a folder, an archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, .txz) or "
        "a manifest (.csv, .jsonl, .parquet).",
    ),
    "unknown backbone": (
        ["embed", "{photos}", "--backbone", "efficientnet_lite1"], 2,
        "unknown backbone 'efficientnet_lite1'. Did you mean 'efficientnet_lite0'? Known: "
        "efficientnet_lite0, toy. Any timm:NAME or torchvision:NAME is a backbone too.",
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
        "unknown kind of index 'flat': it is exact, ivf or hnsw.",
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
        "mode 'half_cumulative' goes on from the weights of the round before, and a "
        "NearestMeanHead has no warm_start option for that: use mode cumulative or incremental or "
        "replay, or a head such as mlp.",
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
        "unknown runtime 'tensorflow': use auto, torch, openvino.",
    ),
    "unknown executor": (
        ["embed", "{photos}", "--executor", "spark"], 2,
        "unknown executor 'spark': use local or ray.",
    ),
    "unknown list": (
        ["list", "strategis"], 2,
        "unknown list 'strategis'. Did you mean 'strategies'? Known: backbones, datasets, formats, "
        "heads, policies, strategies.",
    ),
    "n larger than the pool": (
        ["select", "{photos}", "-n", 30], 1,
        "asked for 30 items, but only 12 of the pool's 12 are unlabelled: ask for at most 12.",
    ),
    "no labels": (
        ["select", "{photos}", "-n", 3, "--strategy", "margin"], 1,
        "strategy 'margin' needs labels: give some, or use one that needs none: "
        f"{', '.join(NEED_NO_LABELS)}.",
    ),
    "an initial strategy that needs labels": (
        ["run", "{photos}", "--initial", "entropy", "--initial-size", 3], 1,
        "strategy 'entropy' needs labels: give some, or use one that needs none: "
        f"{', '.join(NEED_NO_LABELS)}.",
    ),
    "no label file": (
        ["train", "{photos}", "--labels", "none.csv", "--output", "h.safetensors"], 1,
        "there is no label file at none.csv.",
    ),
    "labels for unknown paths": (
        ["select", "{photos}", "-n", 3, "--labels", "{strangers}"], 1,
        "1 of 2 labelled paths is not in the dataset: 'class9/x.jpg'. An id is a path relative to "
        "the dataset's folder, such as 'class0/0000.jpg'.",
    ),
    "a manifest without path": (
        ["embed", "{manifest}"], 1,
        "{manifest}, line 1: the column 'path' is missing; its columns: 'file', 'label'.",
    ),
    "no images": (
        ["embed", "{empty}"], 1,
        "no images in folder '{empty}': looked for .bmp, .gif, .jfif, .jpe, .jpeg, .jpg, .pgm, "
        ".png, .ppm, .tif, .tiff, .webp; found 1 .txt.",
    ),
    "a dataset that is elsewhere": (
        ["embed", "clothing"], 1,
        "clothing is not in '{workspace}/downloads': give --source PATH where you have it (a "
        "folder or archive with train/, validation/ and test/, each with a folder per class), or "
        "--download to fetch 107 MB from https://github.com/alexeygrigorev/clothing-dataset-small/"
        "archive/11961516512414bf9f6c150a832cfd21b54a6b54.zip.",
    ),
    "no head file": (
        ["predict", "{photos}", "--model", "none", "--output", "p.csv"], 2,
        "there is no head file at none.",
    ),
    "another suffix": (
        ["predict", "{photos}", "--model", "none", "--output", "p.xls"], 1,
        "p.xls is not a table by its suffix: use .csv, .jsonl or .parquet.",
    ),
    "weights of a backbone that has its own": (
        ["embed", "{photos}", "--backbone", "efficientnet_lite0", "--weights", "w.pth"], 2,
        "the backbone 'efficientnet_lite0' has its own weights: give --weights with timm:NAME or "
        "torchvision:NAME.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", list(ERRORS))
def test_an_error_is_one_clear_line(
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


def test_debug_shows_where(call: Callable[..., Outcome]) -> None:
    outcome = call("embed", "./nowhere", "--debug")
    assert outcome.status == 1
    assert "Traceback" in outcome.err
    assert "DatasetError" in outcome.err
    assert "Traceback" not in call("embed", "./nowhere").err


def test_wrong_usage_ends_with_two(call: Callable[..., Outcome]) -> None:
    for words in (
        ["embde"],
        ["embed"],
        ["select", "x"],
        ["embed", "x", "--bckbone", "y"],
        ["select", "x", "-n", "0"],
        ["run", "x", "--seed", "-1"],
    ):
        assert Outcome(words).status == 2


def test_what_is_not_foreseen_is_one_line_too(
    call: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe import datasets

    def surprise(*args: object, **options: object) -> None:
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(datasets, "load_dataset", surprise)
    assert call("embed", "x").error() == (
        1,
        "embedpipe: unexpected ZeroDivisionError: division by zero (--debug shows where)",
    )


def test_an_interruption_is_said(
    call: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    from embedpipe import datasets

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "load_dataset", interrupted)
    assert call("embed", "x").error() == (
        130,
        "embedpipe: interrupted; run the same command again to continue.",
    )


def test_progress_goes_to_standard_error_and_json_alone_to_output(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "embedpipe", "embed", str(photos(8)), "--backbone", "toy", "--json"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "EMBEDPIPE_WORKSPACE": str(tmp_path / "w"), "FORCE_COLOR": "1"},
    )  # fmt: skip
    assert json.loads(done.stdout)["embedded"] == 8
    assert "Embedding" in done.stderr


def test_the_demo_does_the_main_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    first = Outcome(["demo", "--output", str(tmp_path / "demo"), "--json", "--quiet"]).json()
    assert list(first) == ["items", "rounds", "accuracy", "report", "seconds"]
    assert first["items"] == 1797
    assert first["rounds"][-1]["labelled"] == 400  # type: ignore[index]
    assert float(str(first["accuracy"])) > 0.85
    report = Path(str(first["report"])).read_text(encoding="utf-8")
    assert "http://" not in report.replace("http://www.w3.org", "")
    assert report.count("data:image/") >= 400
    outcome = Outcome(["embed", "digits", "--json", "--quiet"]).json()
    assert (outcome["embedded"], outcome["reused"]) == (0, 1797)


def test_a_reader_that_stops_early_is_no_error() -> None:
    command = f"{sys.executable} -m embedpipe list strategies --json | head -c 0"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""


@pytest.mark.parametrize("command", [["select", "-n", 3], ["run"]])
def test_a_misspelt_index_is_told_before_anything_is_embedded(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path, command: list[object]
) -> None:
    outcome = call(command[0], photos(), *command[1:], "--index", "flat")
    assert outcome.status == 2
    assert not (tmp_path / "workspace").exists()
