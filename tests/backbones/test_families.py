"""Families of networks with random weights from a file: vectors, runtimes and specs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.models import register_model, vision_transformer

import embedpipe as ep
from embedpipe.backbones import CARDS, Backbone, decode, get_backbone
from embedpipe.errors import EmbedpipeError
from tests.conftest import make_image
from tests.open_clip_models import save_open_clip

pytest.importorskip("open_clip", exc_type=ModuleNotFoundError)
pytest.importorskip("openvino", exc_type=ImportError)


@register_model
def tiny_vit_with_registers(pretrained: bool = False, **options: Any) -> Any:
    """Return a network with the parts of `vit_small_patch14_reg4_dinov2`, in two layers."""
    settings = {
        "img_size": 98, "patch_size": 14, "embed_dim": 64, "depth": 2, "num_heads": 2,
        "reg_tokens": 4, "no_embed_class": True, "init_values": 1.0,
    }  # fmt: skip
    return vision_transformer._create_vision_transformer(
        "tiny_vit_with_registers", pretrained=pretrained, **{**settings, **options}
    )


@dataclass(frozen=True)
class Family:
    """A network, two image sizes, and a pooling besides the default."""

    name: str
    sizes: tuple[int, int]
    pooling: str | None = None


FAMILIES = [
    Family("timm:tiny_vit_with_registers", (112, 70), "cls+mean"),
    Family("timm:vit_tiny_patch16_dinov3_qkvb", (96, 64), "cls"),  # rotary position embeddings
    Family("timm:convnextv2_atto", (96, 64)),
    Family("timm:resnet10t", (96, 64)),
    Family("openclip:clip", (64, 96)),
    Family("openclip:siglip", (160, 96)),
]


def random_weights(name: str, path: Path, seed: int = 0) -> Path:
    """Write random weights of a timm network, as different from each other as trained ones."""
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    network = timm.create_model(name.removeprefix("timm:"), pretrained=False, num_classes=0)
    weights = network.state_dict()
    for key, values in weights.items():
        if "running" not in key and "num_batches" not in key:
            weights[key] = values + 0.02 * torch.randn_like(values)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: values.contiguous() for key, values in weights.items()}, path)
    return path


@pytest.fixture(scope="module", params=FAMILIES, ids=lambda family: family.name)
def saved(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Family, str, Path | None]:
    """A family, its name as a backbone, and its file of weights."""
    family: Family = request.param
    folder = tmp_path_factory.mktemp("weights")
    library, _, kind = family.name.partition(":")
    if library == "openclip":
        return family, save_open_clip(folder, kind), None
    return family, family.name, random_weights(family.name, folder / "w.safetensors")


def own_vectors(
    name: str, weights: Path | None, size: int, pooling: str | None, files: list[Path]
) -> np.ndarray:
    """Return the vectors of the library's own network and transforms."""
    network, transform, forward = _own_network(name, weights, size, pooling)
    images = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
    assert images.shape[-2:] == (size, size)
    network.eval()
    with torch.inference_mode():
        vectors: np.ndarray = forward(images).numpy()
    return vectors


def _own_network(name: str, weights: Path | None, size: int, pooling: str | None) -> Any:
    if name.startswith("openclip:"):
        import open_clip

        model, transform = open_clip.create_model_from_pretrained(
            name.removeprefix("openclip:"), force_image_size=size
        )
        return model, transform, model.encode_image
    import timm
    from timm.data import create_transform, resolve_data_config

    options: dict[str, Any] = {"img_size": size} if "vit" in name else {}
    network = timm.create_model(
        name.removeprefix("timm:"), pretrained=True, num_classes=0,
        pretrained_cfg_overlay={"file": str(weights), "num_classes": 0}, **options,
    )  # fmt: skip
    transform = create_transform(
        **resolve_data_config({"input_size": (3, size, size)}, model=network)
    )
    if pooling is None:
        return network, transform, network

    def forward(images: torch.Tensor) -> torch.Tensor:
        tokens = network.forward_features(images)
        kinds = {"cls": ["token"], "cls+mean": ["token", "avg"]}[pooling]
        return torch.cat([network.pool(tokens, pool_type=kind) for kind in kinds], dim=1)

    return network, transform, forward


def assert_equal_vectors(found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Compare vectors relative to the differences between images, and by their cosines."""
    spread = np.linalg.norm(expected - expected.mean(axis=0), axis=1).min()
    assert spread > 1e-3 * np.linalg.norm(expected, axis=1).max(), "the images look the same"
    assert np.linalg.norm(found - expected, axis=1).max() < tolerance * spread
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    assert ((expected * found).sum(axis=1) / lengths).min() > 0.9999


@pytest.mark.parametrize("which", [0, 1], ids=["one-size", "other-size"])
def test_vectors_equal_those_of_the_library_in_each_runtime(
    saved: tuple[Family, str, Path | None], which: int, photos: Callable[..., Path], tmp_path: Path
) -> None:
    family, name, weights = saved
    size, pooling = family.sizes[which], (None, family.pooling)[which]
    folder = photos(4, 2)
    options: dict[str, Any] = {
        "backbone": name, "weights": weights, "image_size": size, "pooling": pooling,
        "workspace": tmp_path / "w",
    }  # fmt: skip
    first = ep.embed(folder, runtime="torch", precision="fp32", **options)
    make_image(99).save(folder / "class0" / "new.jpg")
    # The canary compares the runtimes before the new image is added.
    both = ep.embed(folder, runtime="openvino", precision="fp32", **options)
    assert (first.report.embedded, both.report.embedded) == (4, 1)
    files = [folder / item.id for item in both.items]
    expected = own_vectors(name, weights, size, pooling, files)
    assert_equal_vectors(np.asarray(both), expected, tolerance=0.01)
    half = ep.embed(folder, runtime="torch", precision="bf16", **options)
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(half, axis=1)
    assert ((expected * np.asarray(half)).sum(axis=1) / lengths).min() > 0.99


@pytest.fixture(scope="module")
def vit_weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    from safetensors.torch import load_file

    folder = tmp_path_factory.mktemp("vit")
    one = random_weights("test_vit", folder / "one.safetensors")
    other = random_weights("test_vit", folder / "other.safetensors", seed=1)
    torch.save(load_file(one), folder / "one.pth")
    return {"one": one, "other": other, "pth": folder / "one.pth"}


def spec_and_vectors(backbone: Backbone) -> tuple[Any, np.ndarray]:
    from embedpipe.cache import Spec

    pixels = np.stack([decode(_photo(seed), backbone.preprocess)[0] for seed in range(3)])
    encoder = backbone.open(precision="fp32", runtime="torch", batch_size=4)
    spec = Spec(backbone.identity, backbone.preprocess.as_spec(), "fp32")
    return spec.id, encoder.encode(pixels)


def _photo(seed: int) -> bytes:
    import io

    file = io.BytesIO()
    make_image(seed, (200, 220)).save(file, "png")
    return file.getvalue()


@pytest.mark.parametrize(
    ("file", "options", "same"),
    [
        ("one", {}, True),
        ("pth", {}, True),
        ("one", {"image_size": 160}, True),
        ("one", {"pooling": "cls"}, True),
        ("other", {}, False),
        ("one", {"image_size": 96}, False),
        ("one", {"pooling": "mean"}, False),
        ("one", {"pooling": "cls+mean"}, False),
    ],
)
def test_the_spec_changes_exactly_when_the_vectors_do(
    vit_weights: dict[str, Path], file: str, options: dict[str, Any], same: bool
) -> None:
    spec, vectors = spec_and_vectors(get_backbone("timm:test_vit", vit_weights["one"]))
    other_spec, others = spec_and_vectors(
        get_backbone("timm:test_vit", vit_weights[file], **options)
    )
    assert (spec == other_spec) == same
    equal = others.shape == vectors.shape and bool(np.allclose(others, vectors, atol=1e-6))
    assert equal == same


def test_the_digest_of_the_weights_does_not_depend_on_the_image_size(
    vit_weights: dict[str, Path],
) -> None:
    # The resized position embeddings differ in low bits between processors.
    identities = [
        get_backbone("timm:test_vit", vit_weights["one"], image_size=size).identity
        for size in (None, 96)
    ]
    assert identities[0] == identities[1]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("timm:test_vit", {"image_size": 100},
         "--image-size 100 is not a multiple of 16, the patch size of 'timm:test_vit': use 96 or "
         "112."),
        ("timm:test_vit", {"pooling": "max"},
         "'timm:test_vit' does not allow --pooling max: use cls or mean or cls+mean."),
        ("timm:test_vit2", {"pooling": "cls"},
         "'timm:test_vit2' does not allow --pooling cls: use mean."),
        ("timm:resnet10t", {"pooling": "cls+mean"},
         "'timm:resnet10t' does not allow --pooling cls+mean: use mean."),
        ("torchvision:mobilenet_v3_small", {"pooling": "mean"},
         "'torchvision:mobilenet_v3_small' does not allow --pooling mean: leave it out."),
        ("torchvision:vit_b_16", {"image_size": 64},
         "'torchvision:vit_b_16' does not allow --image-size 64 (Wrong image height! Expected 224 "
         "but got 64!): use another size, or leave it out."),
        ("openclip:clip", {"pooling": "mean"},
         "'{name}' does not allow --pooling mean: leave it out."),
        ("openclip:clip", {"image_size": 70},
         "--image-size 70 is not a multiple of 16, the patch size of '{name}': use 64 or 80."),
        ("timm:resnet10t", {"image_size": 0}, "the image size must be at least 1 pixel; got 0."),
        ("toy", {"image_size": 64},
         "the backbone 'toy' does not allow --image-size: leave it out."),
        ("efficientnet_lite0", {"pooling": "cls"},
         "'efficientnet_lite0' does not allow --pooling cls: use mean."),
    ],
)  # fmt: skip
def test_options_that_a_network_does_not_allow(
    name: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    weights = None
    if name.startswith("openclip:"):
        name = save_open_clip(tmp_path / "model")
    elif name.startswith("timm:"):
        weights = random_weights(name, tmp_path / "w.safetensors")
    elif name.startswith("torchvision:"):
        from torchvision import models

        weights = tmp_path / "w.pth"
        network = models.get_model(name.partition(":")[2], weights=None)
        torch.save(network.state_dict(), weights)
    with pytest.raises(EmbedpipeError) as caught:
        _ = get_backbone(name, weights, **options).identity
    assert str(caught.value) == message.format(name=name)


def test_convolutions_take_any_image_size() -> None:
    import timm.data

    backbone: Any = get_backbone(image_size=160, pooling="mean")
    default = get_backbone()
    assert backbone.identity == default.identity
    config = timm.data.resolve_data_config({"input_size": (3, 160, 160)}, model=backbone.module)
    assert backbone.preprocess == backbone.preprocess.from_timm(config)
    encoder = backbone.open(precision="fp32", runtime="torch", batch_size=2)
    assert encoder.encode(np.zeros((2, 160, 160, 3), np.uint8)).shape == (2, 1280)


@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if ":" in card.source])
def test_cards_describe_their_networks(name: str) -> None:
    card = CARDS[name]
    library, _, source = card.source.partition(":")
    if library == "openclip":
        import open_clip

        architecture, _, tag = source.partition("@")
        config = open_clip.get_model_config(architecture)
        assert open_clip.get_pretrained_cfg(architecture, tag)["hf_hub"]
        assert (card.dim, card.image_size) == (
            config["embed_dim"], config["vision_cfg"]["image_size"]
        )  # fmt: skip
        assert card.text
        assert card.pooling == "model"
        return
    import timm

    config = timm.get_pretrained_cfg(source)
    assert config.hf_hub_id == f"timm/{source}"
    licence = card.licence.lower().replace(" ", "-")
    assert config.license == licence
    with torch.device("meta"):
        network = timm.create_model(source, num_classes=0)
    megabytes = sum(each.numel() for each in network.parameters()) * 4 / 1e6
    assert network.num_features == card.dim
    assert card.megabytes == pytest.approx(megabytes, rel=0.04)
    assert not card.text
    patch = network.patch_embed.patch_size[0] if hasattr(network, "patch_embed") else 32
    assert card.image_size % patch == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if ":" in card.source])
def test_named_backbones_work_with_random_weights(name: str, tmp_path: Path) -> None:
    card = CARDS[name]
    weights = tmp_path / "w.safetensors"
    if card.text:
        import open_clip
        from safetensors.torch import save_file

        architecture = card.source.removeprefix("openclip:").partition("@")[0]
        save_file(open_clip.create_model(architecture).state_dict(), weights)
    else:
        random_weights(card.source, weights)
    backbone = get_backbone(name, weights)
    assert (backbone.name, backbone.dim) == (name, card.dim)
    assert backbone.preprocess.size == (card.image_size, card.image_size)
    if card.pooling != "model":
        same = get_backbone(card.source, weights, image_size=card.image_size, pooling=card.pooling)
        assert same.identity == backbone.identity
    pixels = np.random.default_rng(0).integers(0, 256, (2, *backbone.preprocess.size, 3), np.uint8)
    vectors = backbone.open(precision="fp32", runtime="auto", batch_size=2).encode(pixels)
    assert vectors.shape == (2, card.dim)
