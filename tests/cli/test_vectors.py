"""Imported vectors on the command line: `import-vectors`, `--vectors`, `imported:NAME`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import embedpipe as ep
from tests.cli.conftest import Outcome


@pytest.fixture
def call(call: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Run a command without the toy backbone."""

    def run(*arguments: object) -> Outcome:
        return Outcome([str(argument) for argument in arguments])

    return run


def write_vectors(folder: Path, file: Path, scale: float = 1.0) -> Path:
    ids = [item.id for item in ep.load_dataset(folder).items]
    codes = [int(each[5]) for each in ids]  # class0/0000.jpg
    rows = np.random.default_rng(0).normal(0, 0.1, (len(ids), 6)) + np.eye(6)[codes]
    np.save(file, scale * rows.astype(np.float32))
    file.with_suffix(".txt").write_text("\n".join(ids))
    return file


def test_import_and_use(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder, output = photos(12), tmp_path / "out.parquet"
    file = write_vectors(folder, tmp_path / "v.npy")
    result = call("import-vectors", folder, file, "--name", "mine", "--json").json()
    assert (result["backbone"], result["items"], result["embedded"]) == ("imported:mine", 12, 12)
    again = call("import-vectors", folder, "--vectors", file, "--name", "mine", "-q").out
    assert again.endswith("0 imported, 12 stored before or copies, 0 without a vector; 6 "
                          "dimensions\n")  # fmt: skip
    (spec,) = call("cache", "list", "--json").json()["specs"]
    assert (spec["spec_id"], spec["backbone"]) == (result["spec_id"], "imported:mine")
    embedded = call(
        "embed", folder, "--backbone", "imported:mine", "--output", output, "--json"
    ).json()
    assert (embedded["embedded"], embedded["output"]) == (0, str(output))
    stored = np.array(pq.read_table(output)["embedding"].to_pylist(), np.float32)
    assert np.array_equal(stored, np.load(file))
    assert call("import-vectors", folder).error() == (
        2, "embedpipe: give one file of vectors; got 0.",
    )  # fmt: skip


@pytest.mark.slow
def test_every_command_takes_vectors(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, model = photos(24), tmp_path / "m.safetensors"
    file = write_vectors(folder, tmp_path / "v.npy")
    small = ("--initial-size", 3, "--batch-size", 3, "--rounds", 1)
    commands: dict[str, tuple[object, ...]] = {
        "select": ("-n", 3),
        "run": small,
        "compare": ("--strategies", "random", "--seeds", 1, *small),
        "check": (),
        "train": ("--labels", labels, "--output", model, "--head", "logistic"),
        "replay": ("--policy", "random", "--retain", "3", "--seeds", 1),
        "report": ("--output", tmp_path / "report.html"),
    }
    for name, options in commands.items():
        done = call(name, folder, *options, "--vectors", file, "--quiet")
        assert (name, done.status, done.err) == (name, 0, "")
    (spec,) = call("cache", "list", "--json").json()["specs"]
    assert spec["rows"] == 24
    dropped = call("cache", "drop", "--spec", spec["spec_id"], "--yes", "--json").json()
    assert dropped["bytes"] > 0
    assert call("cache", "list", "--json").json()["specs"] == []


def test_a_model_predicts_with_vectors_of_its_own_spec(
    call: Callable[..., Outcome], photos: Callable[..., Path], labels: Path, tmp_path: Path
) -> None:
    folder, other, model = photos(12), photos(15, name="other"), tmp_path / "m.safetensors"
    file = write_vectors(folder, tmp_path / "v.npy")
    train = ("--labels", labels, "--output", model, "--head", "logistic", "--quiet")
    assert call("train", folder, "--vectors", file, *train).status == 0
    (spec,) = call("cache", "list", "--json").json()["specs"]
    predict = ("--model", model, "--quiet")
    assert call("predict", folder, *predict, "--json").json()["items"] == 12
    for path in other.glob("*/*"):  # other images than those in `folder`
        path.write_bytes(path.read_bytes() + b" ")
    status, message = call("predict", other, *predict).error()
    assert status == 1
    assert message.startswith("embedpipe: 15 of the 15 images of 'other-")
    name = spec["backbone"].removeprefix("imported:")
    assert message.endswith(
        f"Import a file with their vectors: `embedpipe import-vectors DATASET FILE --name {name}`."
    )
    rest = write_vectors(other, tmp_path / "other.npy")
    predicted = call("predict", other, *predict, "--vectors", rest, "--json").json()
    assert [each["label"] for each in predicted["predictions"]] == [
        "abc"[int(each["id"][5])] for each in predicted["predictions"]
    ]
    assert call("predict", folder, *predict, "--backbone", "toy").error() == (
        2,
        f"embedpipe: {model} was trained on {spec['backbone']}: leave out --backbone toy. If these "
        "images have no vectors of that name, give a file with --vectors.",
    )
    assert call("train", folder, "--backbone", "toy", *train).status == 0
    assert call("predict", folder, *predict, "--vectors", file).error() == (
        2,
        f"embedpipe: {model} was trained with the backbone toy, not on imported vectors: leave "
        "them out.",
    )


def test_forget_erases_an_imported_vector(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(12)
    file = write_vectors(folder, tmp_path / "v.npy")
    call("embed", folder, "--vectors", file)
    image = folder / "class0" / "0000.jpg"
    erased = call("cache", "forget", image, "--yes", "--json").json()
    assert sum("/imports/" in path for path in erased["rewritten"]) == 1
    image.unlink()
    result = call("embed", folder, "--vectors", file, "--json", "--quiet").json()
    assert (result["items"], result["embedded"], result["failed"]) == (11, 0, 0)
    assert call("cache", "verify").status == 0
