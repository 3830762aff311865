"""`export_model`: each format, each head, the script alone, and what is refused."""

from __future__ import annotations

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import embedpipe as ep
from embedpipe.backbones import digest_of_file
from embedpipe.errors import DamagedFileError, EmbedpipeError, RunError, UsageError
from embedpipe.models import export
from embedpipe.models.samples import made_samples
from tests.conftest import make_image
from tests.processes import run

NETWORK = "test_efficientnet"


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    """Embeddings of 24 photos of three classes by a tiny network of random weights."""
    folder = tmp_path_factory.mktemp("export")
    torch.manual_seed(0)
    save_file(timm.create_model(NETWORK, num_classes=0).state_dict(), folder / "w.safetensors")
    for number in range(24):
        path = folder / "photos" / f"class {number % 3}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        colour = [(250, 30, 30), (30, 250, 30), (30, 30, 250)][number % 3]
        image = make_image(number, (64, 48))
        Image.blend(image, Image.new("RGB", image.size, colour), 0.5).save(path)
    return ep.embed(
        folder / "photos",
        backbone=f"timm:{NETWORK}",
        weights=folder / "w.safetensors",
        workspace=folder / "w",
        precision="fp32",
    )


@pytest.fixture(scope="module")
def trained(
    embeddings: ep.Embeddings, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Return a function that trains a head and returns the model file."""
    labels = {item.id: str(item.label) for item in embeddings.items}

    def train(head: str = "logistic") -> Path:
        path = tmp_path_factory.mktemp("model") / "m.safetensors"
        ep.train(embeddings, labels, head=head, output=path)
        return path

    return train


@pytest.mark.parametrize("form", ["onnx", "openvino", "torchscript"])
def test_each_format_predicts_like_the_model(
    trained: Callable[..., Path], embeddings: ep.Embeddings, tmp_path: Path, form: str
) -> None:
    model, folder = trained(), tmp_path / "exported"
    done = ep.export_model(model, folder, format=form)
    assert (done.images, done.precision, done.other_classes_in_precision) == (32, "fp32", None)
    assert 0 <= done.max_difference < 1e-4
    assert done.bytes == sum(path.stat().st_size for path in folder.iterdir())
    paths = [Path(embeddings.dataset.source.path(item.id)) for item in embeddings.items]
    expected, exported = ep.load_model(model).predict(paths), ep.load_model(folder)
    found = exported.predict(paths)
    assert found.labels.tolist() == expected.labels.tolist()
    assert set(found.labels) == {"class 0", "class 1", "class 2"}
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-4)
    alone = exported.predict(paths[0]).probabilities
    np.testing.assert_allclose(alone, expected.probabilities[:1], atol=1e-4)
    assert (folder / "labels.txt").read_text().splitlines() == ["class 0", "class 1", "class 2"]
    description = json.loads((folder / "model.json").read_text())
    assert description["spec_id"] == embeddings.spec.id
    assert description["preprocessing"] == json.loads(json.dumps(embeddings.spec.preprocess))
    assert description["verified"]["max_difference"] == done.max_difference
    for name, digest in description["files"].items():
        assert digest_of_file(folder / name) == digest
    assert list(tmp_path.iterdir()) == [folder]


HEADS = ("auto", "ridge", "nearest_mean", "slda", "mlp(hidden=8)", "sgd", "sgd(hidden=4)",
         "random_projection_ridge(features=64)")  # fmt: skip


@pytest.mark.parametrize("head", HEADS)
def test_each_head_of_affine_layers_is_exported(
    trained: Callable[..., Path], tmp_path: Path, head: str
) -> None:
    assert ep.export_model(trained(head), tmp_path / "m", format="torchscript").images == 32


@pytest.mark.parametrize("head", ["knn", "fecam"])
def test_other_heads_are_refused(trained: Callable[..., Path], tmp_path: Path, head: str) -> None:
    path = trained(head)
    with pytest.raises(UsageError) as caught:
        ep.export_model(path, tmp_path / "m")
    assert str(caught.value) == (
        f"the head '{head}' of {path} cannot be exported: it is no sequence of affine layers. "
        "Train the model with another head, such as auto, logistic, ridge, nearest_mean, slda, mlp "
        "or sgd."
    )
    assert list(tmp_path.iterdir()) == []


def test_the_script_reads_images_as_embedpipe_does(
    trained: Callable[..., Path], tmp_path: Path
) -> None:
    """To the last bit, for the samples; on a machine without embedpipe and PyTorch."""
    folder = tmp_path / "m"
    model = trained()
    ep.export_model(model, folder)
    script = runpy.run_path(str(folder / "predict.py"))
    loaded = ep.load_model(model)
    for number, content in enumerate(made_samples()):
        path = tmp_path / f"{number}.image"
        path.write_bytes(content)
        assert script["pixels_of"](path).tolist() == loaded.decode(content).tolist()
    code = (
        "import sys, runpy\n"
        "class Blocked:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] in ('embedpipe', 'torch', 'sklearn', 'onnx'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    images = [tmp_path / "0.image", tmp_path / "4.image"]
    done = run([sys.executable, "-c", code, folder / "predict.py", *images])
    assert done.stderr == ""
    expected = loaded.predict(images)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [
        [str(path), label] for path, label in zip(images, expected.labels, strict=True)
    ]
    shares = [float(row[2]) for row in rows]
    np.testing.assert_allclose(shares, expected.confidences, atol=2e-4)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(deep)
    with pytest.raises(ValueError, match="has the mode I;16: convert it to 8-bit RGB"):
        script["pixels_of"](deep)


def test_an_export_that_differs_is_not_written(
    trained: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        """A network whose head has other weights."""

        def __call__(self, module, preprocess, layers):  # type: ignore[no-untyped-def]
            weights, intercepts = layers.affine[0]
            turned = layers._replace(affine=(type(layers.affine[0])(-weights, intercepts),))
            return network(module, preprocess, turned)

    network = export.classifier
    monkeypatch.setattr(export, "classifier", Other())
    with pytest.raises(RunError, match=(
        r"^the export differs from the model on 32 sample images: \d+ other classes, and "
        r"probabilities up to [\d.]+ apart; the limit is 0\.001\. Nothing was written\. Update "
        r"torch and the runtime, or choose another --format\.$"
    )):  # fmt: skip
        ep.export_model(trained(), tmp_path / "m", format="torchscript")
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_can_have_the_samples(
    trained: Callable[..., Path], embeddings: ep.Embeddings, tmp_path: Path
) -> None:
    done = ep.export_model(
        trained(), tmp_path / "m", format="torchscript", samples=embeddings.dataset
    )
    assert done.images == 24
    deep = tmp_path / "deep"
    deep.mkdir()
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(deep / "a.png")
    with pytest.raises(UsageError, match=r"^none of the 1 sample images has 8 bits per channel"):
        ep.export_model(trained(), tmp_path / "n", samples=ep.load_dataset(deep))


def test_a_model_of_bf16_vectors_is_compared_in_fp32(
    trained: Callable[..., Path], embeddings: ep.Embeddings, tmp_path: Path
) -> None:
    lower = ep.embed(
        embeddings.dataset,
        workspace=tmp_path / "w",
        options=embeddings.options,
        precision="bf16",
        runtime="torch",
    )
    labels = {item.id: str(item.label) for item in lower.items}
    ep.train(lower, labels, head="logistic", output=tmp_path / "m.safetensors")
    done = ep.export_model(tmp_path / "m.safetensors", tmp_path / "m", format="torchscript")
    assert done.precision == "bf16"
    assert done.max_difference < 1e-4
    assert done.max_difference_in_precision is not None
    # A runtime may compute in fp32 if the processor has no bf16.
    assert done.max_difference <= done.max_difference_in_precision < 0.2


def test_errors_are_one_line(
    trained: Callable[..., Path], tmp_path: Path, embeddings: ep.Embeddings
) -> None:
    path = trained()
    toy = ep.embed(embeddings.dataset, backbone="toy", workspace=tmp_path / "w")
    ep.train(toy, {item.id: str(item.label) for item in toy.items}, output=tmp_path / "toy")
    folder = tmp_path / "m"
    ep.export_model(path, folder, format="torchscript")

    def message(work: Callable[[], object], kind: type[EmbedpipeError]) -> str:
        with pytest.raises(kind) as caught:
            work()
        return str(caught.value)

    def export_(
        model: Path = path, output: Path = tmp_path / "x", **how: str
    ) -> Callable[[], object]:
        return lambda: ep.export_model(model, output, **how)

    assert message(export_(format="onx"), UsageError).startswith(
        "unknown format 'onx'. Did you mean 'onnx'? Known: onnx, openvino, torchscript."
    )
    assert message(export_(output=folder), UsageError) == (
        f"{folder} exists and is not an empty folder: give another --output."
    )
    assert message(export_(tmp_path / "toy"), UsageError) == (
        f"the backbone 'toy' of {tmp_path / 'toy'} cannot be exported: it is no torch network. "
        "Train the model with a timm, torchvision or bundled backbone."
    )
    assert message(export_(folder, tmp_path / "x"), UsageError) == (
        f"{folder} is an exported folder: give the model file of `train`."
    )
    assert message(lambda: ep.load_model(tmp_path / "w"), DamagedFileError) == (
        f"{tmp_path / 'w'} has no model.json, so it is no folder of `embedpipe export-model`."
    )
    weights = (folder / "model.pt").read_bytes()
    (folder / "model.pt").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert message(lambda: ep.load_model(folder), DamagedFileError) == (
        f"{folder / 'model.pt'} was altered: its content does not match its digest in model.json."
    )
    (folder / "model.pt").unlink()
    assert message(lambda: ep.load_model(folder), DamagedFileError) == (
        f"{folder / 'model.pt'} is missing. Copy the whole folder again."
    )
    description = json.loads((folder / "model.json").read_text())
    for text, end in (
        ("no JSON", "is not JSON: Expecting value: line 1 column 1 (char 0)."),
        ("{}", "is not a description by `embedpipe export-model`."),
        (json.dumps({**description, "version": 2}),
         "has version 2; this embedpipe reads version 1: update embedpipe."),
        (json.dumps({**description, "classes": None, "preprocessing": {}}), None),
        (json.dumps({**description, "files": {}}), "is invalid: KeyError('model.pt')."),
        (json.dumps({**description, "files": 3}), None),
    ):  # fmt: skip
        (folder / "model.json").write_text(text)
        found = message(lambda: ep.load_model(folder), DamagedFileError)
        assert found.startswith(f"{folder / 'model.json'} ")
        assert end is None or found == f"{folder / 'model.json'} {end}"


def test_the_commands(
    trained: Callable[..., Path], embeddings: ep.Embeddings, tmp_path: Path
) -> None:
    """`export-model` reports its comparison, and `predict` needs no backbone."""
    command = [sys.executable, "-m", "embedpipe"]
    model, folder = trained(), tmp_path / "m"
    words = ["--model", model, "--output", folder, "--format", "torchscript"]
    done = run([*command, "export-model", *words, "--json"])
    result = json.loads(done.stdout)
    assert (result["output"], result["images"]) == (str(folder), 32)
    assert result["max_difference"] < 1e-4
    paths = [embeddings.dataset.source.path(item.id) for item in embeddings.items[:3]]
    words = ["--model", model, "--workspace", tmp_path / "w", "--json", "--quiet"]
    listed = run([*command, "predict", "-", *words], input="\n".join([*paths, "", ""]))
    found = json.loads(listed.stdout)["predictions"]
    assert [each["path"] for each in found] == sorted(paths)
    expected = ep.load_model(model).predict(sorted(paths)).labels.tolist()
    assert [each["label"] for each in found] == expected
