"""Backbones that are ONNX files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import embedpipe as ep
from embedpipe.backbones import Preprocess, decode, get_backbone
from embedpipe.errors import EmbedpipeError

onnx = pytest.importorskip("onnx", exc_type=ModuleNotFoundError)
pytest.importorskip("onnxruntime", exc_type=ModuleNotFoundError)

KERNEL = np.random.default_rng(0).standard_normal((6, 3, 8, 8)).astype(np.float32) / 14
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
DESCRIPTION = "size: 32\nresize: 36\nmean: [0.4, 0.5, 0.6]\nstd: [0.2, 0.25, 0.3]\n"


def save_network(
    path: Path,
    *,
    batch: int | str = "images",
    side: int | str = "side",
    external: bool = False,
    scale: float = 1.0,
    description: str = DESCRIPTION,
) -> Path:
    """Write a convolution with three outputs: its mean, its cells as tokens, and its map."""
    from onnx import TensorProto, helper, numpy_helper

    path.parent.mkdir(parents=True, exist_ok=True)
    weights = [
        numpy_helper.from_array(KERNEL * np.float32(scale), "kernel"),
        numpy_helper.from_array(np.array([0, 6, -1]), "shape"),
    ]
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["map"], strides=[8, 8]),
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("Reshape", ["map", "shape"], ["cells"]),
        helper.make_node("Transpose", ["cells"], ["tokens"], perm=[0, 2, 1]),
    ]
    real = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", real, [batch, 3, side, side])],
        [
            helper.make_tensor_value_info("features", real, [batch, 6]),
            helper.make_tensor_value_info("tokens", real, [batch, "cells", 6]),
            helper.make_tensor_value_info("map", real, [batch, 6, "rows", "columns"]),
        ],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if external:
        onnx.save(model, path, save_as_external_data=True, size_threshold=0)
    else:
        onnx.save(model, path)
    path.with_name(f"{path.name}.yaml").write_text(description, encoding="utf-8")
    return path


def expected_map(pixels: np.ndarray) -> np.ndarray:
    """Return the convolution of pixels, (b, h, w, 3), computed by hand: (b, 6, rows, columns)."""
    images = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    b, h, w, _ = images.shape
    cells = images.reshape(b, h // 8, 8, w // 8, 8, 3)
    return np.einsum("byixjc,kcij->bkyx", cells, KERNEL.astype(np.float64))


def poolings(features: np.ndarray) -> dict[str, np.ndarray]:
    tokens = features.reshape(len(features), 6, -1).transpose(0, 2, 1)
    cls, mean = tokens[:, 0], tokens[:, 1:].mean(axis=1)
    return {
        "features": features.mean(axis=(2, 3)),
        "map": features.mean(axis=(2, 3)),
        "cls": cls,
        "mean": mean,
        "cls+mean": np.concatenate([cls, mean], axis=1),
    }


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize(
    ("output", "options", "vectors"),
    [
        ("", {}, "features"),
        ("@map", {"image_size": 48}, "map"),
        ("@tokens", {"pooling": "cls"}, "cls"),
        ("@tokens", {"pooling": "mean"}, "mean"),
        ("@tokens", {"pooling": "cls+mean", "image_size": 64}, "cls+mean"),
    ],
)
def test_vectors_of_every_output(
    tmp_path: Path, runtime: str, output: str, options: dict[str, Any], vectors: str
) -> None:
    path = save_network(tmp_path / "network.onnx")
    backbone = get_backbone(f"onnx:{path}{output}", **options)
    side = options.get("image_size", 32)
    assert backbone.preprocess == Preprocess((side, side), 36 * side // 32, "bicubic", MEAN, STD)
    pixels = np.random.default_rng(1).integers(0, 256, (5, side, side, 3), np.uint8)
    found = backbone.open(precision="fp32", runtime=runtime, batch_size=4).encode(pixels)
    expected = poolings(expected_map(pixels))[vectors]
    assert found.dtype == np.float32
    assert backbone.dim == expected.shape[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_fixed_batch_is_filled(tmp_path: Path, runtime: str) -> None:
    path = save_network(tmp_path / "network.onnx", batch=2, side=32)
    pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    encoder = get_backbone(f"onnx:{path}").open(precision="fp32", runtime=runtime, batch_size=16)
    expected = poolings(expected_map(pixels))["features"]
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)


def test_embedding_by_file(photos: Callable[..., Path], tmp_path: Path) -> None:
    path, folder = save_network(tmp_path / "network.onnx"), photos(4, 2)
    options: dict[str, Any] = {"backbone": f"onnx:{path}", "workspace": tmp_path / "w"}
    first = ep.embed(folder, runtime="onnxruntime", **options)
    assert first.spec.precision == "fp32"
    again = ep.embed(folder, runtime="openvino", **options)
    assert (first.report.embedded, again.report.embedded) == (4, 0)
    files = [folder / item.id for item in first.items]
    preprocess = get_backbone(f"onnx:{path}").preprocess
    pixels = np.stack([decode(file.read_bytes(), preprocess)[0] for file in files])
    np.testing.assert_allclose(first, poolings(expected_map(pixels))["features"], atol=1e-4)


def test_the_spec_follows_the_files_and_not_their_place(tmp_path: Path) -> None:
    def spec(path: Path, output: str = "", **options: Any) -> object:
        backbone = get_backbone(f"onnx:{path}{output}", **options)
        return backbone.identity, backbone.preprocess.as_spec()

    one = spec(save_network(tmp_path / "network.onnx"))
    assert spec(save_network(tmp_path / "moved" / "other.onnx")) == one
    assert spec(tmp_path / "network.onnx", "@features", image_size=32) == one
    others = [
        spec(save_network(tmp_path / "scaled.onnx", scale=2.0)),
        spec(tmp_path / "network.onnx", "@map"),
        spec(tmp_path / "network.onnx", image_size=64),
        spec(tmp_path / "network.onnx", "@tokens", pooling="cls"),
        spec(tmp_path / "network.onnx", "@tokens", pooling="mean"),
        spec(save_network(tmp_path / "x.onnx", description=DESCRIPTION.replace("0.4", "0.3"))),
    ]
    assert all(other != one for other in others)
    assert len({str(other) for other in others}) == len(others)


def test_weights_in_another_file_are_part_of_the_spec(tmp_path: Path) -> None:
    one = save_network(tmp_path / "one" / "network.onnx", external=True)
    other = save_network(tmp_path / "other" / "network.onnx", external=True, scale=2.0)
    digests = [get_backbone(f"onnx:{path}").identity["weights_sha256"] for path in (one, other)]
    assert digests[0] != digests[1]
    weights = next(path for path in one.parent.iterdir() if "onnx" not in path.name)
    weights.unlink()
    with pytest.raises(EmbedpipeError) as caught:
        _ = get_backbone(f"onnx:{one}").identity
    assert str(caught.value) == (
        f"{one} needs its weights in '{weights}', and there is no such file: copy it there."
    )


def test_weights_in_a_folder_beside_the_file(tmp_path: Path) -> None:
    file, other = save_network(tmp_path / "network.onnx"), tmp_path / "other"
    (other / "data").mkdir(parents=True)
    model = onnx.load(file)
    onnx.save(
        model, other / "network.onnx", save_as_external_data=True, size_threshold=0,
        location="data/weights.bin",
    )  # fmt: skip
    (other / "network.onnx.yaml").write_text(DESCRIPTION)
    assert get_backbone(f"onnx:{other / 'network.onnx'}").identity["dim"] == 6


def test_a_folder_may_have_the_sign_of_outputs_in_its_name(tmp_path: Path) -> None:
    file = save_network(tmp_path / "a@b" / "network.onnx")
    assert get_backbone(f"onnx:{file}").identity["architecture"] == "output features"
    assert get_backbone(f"onnx:{file}@map").identity["architecture"] == "output map"


@pytest.mark.parametrize(
    ("name", "description", "options", "message"),
    [
        ("", None, {},
         "no preprocessing for '{file}': write 'network.onnx.yaml' beside it, with the lines "
         "`mean: [0.485, 0.456, 0.406]` and `std: [0.229, 0.224, 0.225]` or the values of your "
         "network."),
        ("", "mean: [1, 2, 3]\nstdev: 1", {},
         "unknown key in '{file}.yaml' 'stdev'. Did you mean 'std'? Known: "),
        ("", "mean: [1, 2, 3]", {},
         "'{file}.yaml' lacks `std`: give three numbers, one per channel."),
        ("", "- 1", {}, "'{file}.yaml' must have one `name: value` per line."),
        ("", "mean: [1, 2", {}, "'{file}.yaml' is not valid YAML: "),
        ("", DESCRIPTION + "interpolation: box", {},
         "`interpolation` in '{file}.yaml' must be bilinear or bicubic or lanczos or nearest; got "
         "'box'."),
        ("", DESCRIPTION.replace("0.25", "0"), {},
         "`std` in '{file}.yaml' must be three positive numbers; got [0.2, 0, 0.3]."),
        ("", DESCRIPTION.replace("36", "20"), {},
         "`resize` in '{file}.yaml' must be at least the input size, 32 x 32 pixels; got 20 x 20."),
        ("", DESCRIPTION.replace("36", "[36, 40]"), {"image_size": 64},
         "`resize` in '{file}.yaml' must be at least the input size, 64 x 64 pixels; got 36 x 40."),
        ("", DESCRIPTION.replace("32", "[32]"), {},
         "`size` in '{file}.yaml' must be a number of pixels, or height and width; got [32]."),
        ("", DESCRIPTION.replace("size: 32\n", ""), {},
         "{file} takes images of any size: give --image-size."),
        ("@feature", DESCRIPTION, {},
         "unknown output of {file} 'feature'. Did you mean 'features'? Known: features, map, "
         "tokens."),
        ("@tokens", DESCRIPTION, {},
         "the output 'tokens' of {file} has a vector for each token: choose --pooling cls, mean or "
         "cls+mean."),
        ("", DESCRIPTION, {"pooling": "mean"},
         "'onnx:{file}' does not allow --pooling mean: leave it out."),
        ("", DESCRIPTION, {"weights": "w.pth"},
         "the backbone 'onnx:{file}' has its own weights: use --weights with timm:NAME, "
         "openclip:NAME or torchvision:NAME only."),
    ],
)  # fmt: skip
def test_invalid_descriptions_and_options(
    tmp_path: Path, name: str, description: str | None, options: dict[str, Any], message: str
) -> None:
    file = save_network(tmp_path / "network.onnx", description=description or "")
    if description is None:
        (tmp_path / "network.onnx.yaml").unlink()
    with pytest.raises(EmbedpipeError) as caught:
        backbone = get_backbone(f"onnx:{file}{name}", **options)
        _ = backbone.preprocess, backbone.identity
    assert str(caught.value).startswith(message.format(file=file))
    assert "\n" not in str(caught.value)


def test_invalid_files_sizes_precisions_and_runtimes(
    photos: Callable[..., Path], tmp_path: Path
) -> None:
    def message(path: Path, **options: Any) -> str:
        options = {"workspace": tmp_path / "w"} | options
        with pytest.raises(EmbedpipeError) as caught:
            ep.embed(folder, backbone=f"onnx:{path}", **options)
        return str(caught.value)

    folder = photos(2, 2)
    fixed = save_network(tmp_path / "fixed.onnx", side=32)
    assert message(fixed, image_size=64) == (
        f"{fixed} takes images of 32 x 32 pixels only; got 64 x 64."
    )
    assert message(fixed, precision="bf16") == (
        "this backbone does not allow --precision bf16: use fp32."
    )
    assert message(fixed, runtime="torch") == (
        f"--runtime torch cannot run 'onnx:{fixed}': use onnxruntime or openvino."
    )
    absent, broken = tmp_path / "absent.onnx", tmp_path / "broken.onnx"
    assert message(absent) == f"no file '{absent}': give the path of an ONNX file."
    broken.write_bytes(b"no network")
    assert message(broken).startswith(f"{broken} is not an ONNX file: ")
