"""The image towers of open_clip models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import embedpipe as ep
from embedpipe.backbones import decode, get_backbone
from embedpipe.errors import BackboneError, EmbedpipeError
from tests.open_clip_models import save_open_clip

pytest.importorskip("open_clip", exc_type=ModuleNotFoundError)


def expected_vectors(name: str, files: list[Path]) -> np.ndarray:
    """Return the vectors of open_clip's own model, transforms and `encode_image`."""
    import open_clip

    model, transform = open_clip.create_model_from_pretrained(name.removeprefix("openclip:"))
    images = torch.stack([transform(Image.open(file)) for file in files])
    with torch.inference_mode():
        vectors: np.ndarray = model.eval().encode_image(images, normalize=False).numpy()
    return vectors


@pytest.mark.parametrize("kind", ["clip", "siglip", "coca"])
def test_vectors_equal_those_of_open_clip(
    kind: str, photos: Callable[..., Path], tmp_path: Path
) -> None:
    name = save_open_clip(tmp_path / "model", kind)
    files = sorted(photos(4, 2).rglob("*.jpg"))
    backbone = get_backbone(name)
    pixels = np.stack([decode(file.read_bytes(), backbone.preprocess)[0] for file in files])
    expected = expected_vectors(name, files)
    for runtime in ("torch", "openvino"):
        encoder = backbone.open(precision="fp32", runtime=runtime, batch_size=4)
        np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)
    assert backbone.dim == expected.shape[1]


def test_a_folder_may_move_but_its_configuration_and_image_weights_are_in_the_spec(
    tmp_path: Path,
) -> None:
    identity = get_backbone(save_open_clip(tmp_path / "one")).identity
    assert get_backbone(save_open_clip(tmp_path / "two")).identity == identity
    assert get_backbone(save_open_clip(tmp_path / "other", seed=1)).identity != identity
    name = save_open_clip(tmp_path / "text")
    path = tmp_path / "text" / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    save_file({**weights, "logit_scale": torch.tensor(0.0)}, path)
    assert get_backbone(name).identity == identity  # texts do not change the vectors of images
    save_file({**weights, "visual.proj": weights["visual.proj"] * 2}, path)
    assert get_backbone(name).identity != identity


def test_embedding_by_name(photos: Callable[..., Path], tmp_path: Path) -> None:
    name = save_open_clip(tmp_path / "model")
    folder = photos(4, 2)
    embeddings = ep.embed(folder, backbone=name, precision="fp32", workspace=tmp_path / "w")
    files = [folder / item.id for item in embeddings.items]
    np.testing.assert_allclose(embeddings, expected_vectors(name, files), atol=1e-4)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip.factory

    def create(name: str, pretrained: str | None = None, **options: Any) -> None:
        raise RuntimeError(f"{pretrained} was to be loaded\nwith more lines")

    monkeypatch.setattr(open_clip, "create_model", create)


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("openclip:ViT-B-320", None,
         "unknown open_clip model 'ViT-B-320'. Did you mean 'ViT-B-32'?"),
        ("openclip:MobileCLIP2-S0@dfn", None,
         "unknown weights of 'MobileCLIP2-S0' 'dfn'."),
        ("openclip:ViT-B-16", None,
         "'openclip:ViT-B-16' has several weights: give one as openclip:ViT-B-16@openai. Known: "
         "openai, laion400m_e31, "),
        ("openclip:ViT-B-32@openai", None,
         "the weights 'openai' need another activation than 'ViT-B-32' has: use "
         "openclip:ViT-B-32-quickgelu@openai."),
        ("openclip:ViT-B-32@datacomp_xl_s13b_b90k", "absent.safetensors",
         "no weights at {folder}/absent.safetensors: give the path of a .safetensors or .pth "
         "file."),
        ("openclip:ViT-B-32@datacomp_xl_s13b_b90k", "w.safetensors",
         "{folder}/w.safetensors cannot be loaded as the open_clip model 'ViT-B-32': "
         "{folder}/w.safetensors was to be loaded"),
        ("openclip:local-dir:{folder}", "w.safetensors",
         "--weights cannot be combined with openclip:local-dir:{folder}, which has its own "
         "weights: leave out one of them."),
        ("openclip:local-dir:{folder}", None,
         "{folder}/open_clip_config.json is not a configuration of open_clip (FileNotFoundError: "),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_hub")
def test_invalid_names_and_weights(
    name: str, weights: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"")
    file = None if weights is None else tmp_path / weights
    with pytest.raises(EmbedpipeError) as caught:
        _ = get_backbone(name.format(folder=tmp_path), file).identity
    assert str(caught.value).startswith(message.format(folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_weights_without_a_name_have_the_preprocessing_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    asked: dict[str, Any] = {}

    def create(name: str, **options: Any) -> None:
        asked.update(options, name=name)
        raise RuntimeError("enough")

    monkeypatch.setattr(open_clip, "create_model", create)
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    with pytest.raises(BackboneError, match="enough"):
        _ = get_backbone("openclip:ViT-B-16-SigLIP2", path).preprocess
    assert (asked["name"], asked["pretrained"]) == ("ViT-B-16-SigLIP2", str(path))
    assert asked["force_preprocess_cfg"]["mean"] == (0.5, 0.5, 0.5)
    assert asked["force_preprocess_cfg"]["resize_mode"] == "squash"


def test_open_clip_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(BackboneError) as caught:
        _ = get_backbone("openclip:ViT-B-32").identity
    assert str(caught.value) == "open_clip is not installed: `pip install 'embedpipe[text]'`."
