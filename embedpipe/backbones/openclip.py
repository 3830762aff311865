"""The image towers of open_clip models: CLIP, SigLIP, MobileCLIP and others."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, UnknownNameError, UsageError
from .hub import hub_file
from .networks import NetworkBackbone
from .preprocess import Preprocess, three
from .text_tower import OpenClipText
from .timm_models import check_patches, resize_network

if TYPE_CHECKING:
    import torch

__all__ = ["OpenClipBackbone"]

FOLDER, REPOSITORY = "local-dir:", "hf-hub:"
"""open_clip's prefixes for a model that is described by a folder or by a hub repository."""

CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


@dataclass(frozen=True)
class _Source:
    """The arguments of open_clip for a model."""

    name: str
    """Name for ``open_clip.create_model`` and ``open_clip.get_tokenizer``."""
    architecture: str
    """Architecture for the embedding spec."""
    weights: Path | None = None
    """File of weights; None if the folder has them."""
    preprocessing: Mapping[str, Any] | None = None
    """Preprocessing of the weights; None if the folder describes it."""


class OpenClipBackbone(NetworkBackbone):
    """The image tower of an open_clip model; its vectors are comparable with those of texts.

    The vectors are those of open_clip's ``encode_image``, without normalisation.

    Parameters
    ----------
    architecture
        A name of open_clip, such as ``"ViT-B-32"``, ``"hf-hub:OWNER/NAME"``, or
        ``"local-dir:FOLDER"``.
    tag
        Name of the weights, such as ``"laion2b_s34b_b79k"``, or a revision on the hub.
    weights
        File with the weights of the whole model, instead of those of `tag`. The preprocessing is
        that of `tag`.
    """

    library = "open_clip"

    def __init__(
        self,
        architecture: str,
        tag: str | None = None,
        weights: Path | None = None,
        *,
        image_size: int | None = None,
        pooling: str | None = None,
    ) -> None:
        super().__init__(architecture, image_size=image_size, pooling=pooling)
        if weights and architecture.startswith((FOLDER, REPOSITORY)):
            raise UsageError(
                f"--weights cannot be combined with openclip:{architecture}, which has its own "
                "weights: leave out one of them."
            )
        self.name = f"openclip:{architecture}" + (f"@{tag}" if tag else "")
        self.tag, self.weights = tag, weights

    @functools.cached_property
    def clip_model(self) -> Any:
        """The whole open_clip model, with its weights, in evaluation mode."""
        source = self._source
        weights = None if source.weights is None else str(source.weights)
        try:
            with _quiet_log():
                model = _open_clip().create_model(
                    source.name,
                    pretrained=weights,
                    force_preprocess_cfg=source.preprocessing,
                    require_pretrained=True,
                )
        # open_clip and torch raise many kinds of exceptions for files that do not fit.
        except Exception as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise BackboneError(
                f"{weights or source.name.removeprefix(FOLDER)} cannot be loaded as the open_clip "
                f"model {source.architecture!r}: {reason}"
            ) from error
        return model.eval().requires_grad_(False)

    @property
    def tokenizer_name(self) -> str:
        """The name for ``open_clip.get_tokenizer``."""
        return self._source.name

    def text_tower(self) -> OpenClipText:
        """Return the text tower of the model."""
        return OpenClipText(self)

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec; reads the weights."""
        return super().identity | {"architecture": self._source.architecture}

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the weights."""
        config = self.clip_model.visual.preprocess_cfg
        size, mode = self.image_size or config["size"], config["resize_mode"]
        height, width = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        if mode == "longest" or (mode == "shortest" and height != width):
            raise BackboneError(
                f"{self.name!r} cannot be used: its resize mode {mode!r} to {height} x {width} "
                "pixels is not supported."
            )
        return Preprocess(
            size=(height, width),
            resize=height if mode == "shortest" else (height, width),
            # "random" is bicubic in evaluation mode
            interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
            mean=three(config["mean"]),
            std=three(config["std"]),
        )

    def _build(self) -> torch.nn.Module:
        network: torch.nn.Module = self.clip_model.visual
        return network

    def _resized(self, network: torch.nn.Module, size: int) -> torch.nn.Module:
        tower: Any = network
        if tower.preprocess_cfg["size"] in (size, (size, size)):
            return network
        if hasattr(tower, "trunk"):  # an architecture of timm
            resize_network(tower.trunk, size, self.name)
            return network
        check_patches(size, tower, self.name)
        library = _open_clip()
        with _quiet_log():
            model = library.create_model(
                self._source.name, load_weights=False, force_image_size=size
            )
            state = self.clip_model.state_dict()
            library.model.resize_pos_embed(state, model)
            model.load_state_dict(state)
        resized: torch.nn.Module = model.visual
        return resized.eval().requires_grad_(False)

    def _pooled(self, network: torch.nn.Module) -> torch.nn.Module:
        _ = self.pooling  # raises for a choice
        # The image tower of CoCa returns the features of the image and of its patches.
        return _first_output(network) if hasattr(self.clip_model, "text_decoder") else network

    @functools.cached_property
    def _source(self) -> _Source:
        if self.architecture.startswith(FOLDER):
            return _source_of_folder(Path(self.architecture.removeprefix(FOLDER)))
        if self.architecture.startswith(REPOSITORY):
            repository = self.architecture.removeprefix(REPOSITORY)
            config = hub_file(repository, [CONFIG], self.tag, self.name)
            hub_file(repository, WEIGHTS, self.tag, self.name)  # beside the configuration
            return _source_of_folder(config.parent)
        return self._built_in_source()

    def _built_in_source(self) -> _Source:
        library, name = _open_clip(), self.architecture
        if name not in library.list_models():
            raise UnknownNameError("open_clip model", name, library.list_models())
        known = {
            tag: library.get_pretrained_cfg(name, tag)
            for tag in library.list_pretrained_tags_by_model(name)
        }
        if self.tag is not None and self.tag not in known:
            raise UnknownNameError(f"weights of {name!r}", self.tag, known)
        if self.weights is not None and not self.weights.is_file():
            raise BackboneError(
                f"no weights at {self.weights}: give the path of a .safetensors or .pth file."
            )
        tag = self.tag or _only_tag(self.name, known, self.weights)
        if tag is None:
            return _Source(name, name, self.weights, {})
        if known[tag].get("quick_gelu", False) != library.get_model_config(name).get(
            "quick_gelu", False
        ):
            raise BackboneError(
                f"the weights {tag!r} need another activation than {name!r} has: use "
                f"openclip:{name}-quickgelu@{tag}."
            )
        weights = self.weights or _downloaded(self.name, known[tag])
        return _Source(name, name, weights, known[tag])


def _first_output(visual: torch.nn.Module) -> torch.nn.Module:
    """Return a network that returns the first output of another."""
    import torch

    class FirstOutput(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = visual

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            features: torch.Tensor = self.visual(images)[0]
            return features

    return FirstOutput().eval()


def _only_tag(
    backbone: str, known: Mapping[str, Mapping[str, Any]], weights: Path | None
) -> str | None:
    """Return the only tag, or, for a file of weights, one with the preprocessing of all."""
    keys = ("mean", "std", "interpolation", "resize_mode")
    if not known and weights is None:
        raise BackboneError(f"{backbone!r} has no public weights: give a file with --weights.")
    if not known:
        return None
    choices = {tuple(config[key] for key in keys) for config in known.values()}
    if len(known) > 1 and weights is None:
        raise UsageError(
            f"{backbone!r} has several weights: give one as {backbone}@{next(iter(known))}. "
            f"Known: {', '.join(known)}."
        )
    if len(choices) > 1:
        raise UsageError(
            f"{backbone!r} has weights with different preprocessing: give the weights that yours "
            f"are similar to, such as {backbone}@{next(iter(known))}. Known: {', '.join(known)}."
        )
    return next(iter(known))


def _downloaded(backbone: str, config: Mapping[str, Any]) -> Path:
    """Return the file of public weights."""
    repository, _, name = config["hf_hub"].rpartition("/")
    names = [name.rpartition(".")[0] + ".safetensors", name] if name else WEIGHTS
    return hub_file(repository, names, None, backbone)


def _source_of_folder(folder: Path) -> _Source:
    """Return the source for a folder with a configuration and weights."""
    path = folder.expanduser().absolute() / CONFIG
    try:
        described = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        text = json.dumps(described, sort_keys=True, separators=(",", ":"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackboneError(
            f"{path} is not a configuration of open_clip ({type(error).__name__}: {error}): give "
            f"a folder with {CONFIG} and {WEIGHTS[0]}."
        ) from error
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return _Source(f"{FOLDER}{path.parent}", f"config-{digest}")


def _open_clip() -> Any:
    try:
        import open_clip
    except ModuleNotFoundError:
        raise BackboneError(
            "open_clip is not installed: `pip install 'embedpipe[text]'`."
        ) from None
    return open_clip


@contextlib.contextmanager
def _quiet_log() -> Iterator[None]:
    """Silence open_clip's messages in the root log."""
    log, handler = logging.getLogger(), logging.NullHandler()
    level = log.level
    log.addHandler(handler)  # without a handler, logging adds one that stays
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
