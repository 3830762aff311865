"""The backbones that the options of embedding name: one, several or a combination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from .._options import EmbedOptions
from ..backbones import Backbone, Preprocess, check_views, get_backbone, resolve_precision
from ..cache import Spec
from ..errors import UsageError
from .imported_names import IMPORTED, is_imported

__all__ = [
    "Part",
    "backbone_of",
    "joined_spec",
    "one_of_each",
    "parts_of",
    "precision_of",
    "preprocess_of",
    "spec_of",
]


@dataclass(frozen=True)
class Part:
    """A backbone with its preprocessing."""

    backbone: Backbone
    preprocess: Preprocess

    def spec(self, precision: str) -> Spec:
        """Return the spec of the vectors in a precision, ``"fp32"`` or ``"bf16"``."""
        return Spec(self.backbone.identity, self.preprocess.as_spec(), precision)


def one_of_each(options: EmbedOptions) -> list[EmbedOptions]:
    """Return the options of each backbone, or combination of backbones, of a list ``A,B``."""
    if not isinstance(options.backbone, str):
        return [options]
    names = _names(options, ",")
    return [replace(options, backbone=name) for name in names]


def parts_of(options: EmbedOptions) -> tuple[Part, ...]:
    """Return the backbones of a combination ``A+B``, or the only backbone.

    Raises
    ------
    UsageError
        If the options name several backbones with commas.
    """
    if isinstance(options.backbone, Backbone):
        return (Part(options.backbone, preprocess_of(options, options.backbone)),)
    if is_imported(options):
        raise UsageError(
            "the encoder of imported vectors is unknown, so no new image can be embedded. Import "
            "a file with the vectors of these images: --vectors FILE."
        )
    if "," in options.backbone:
        raise UsageError(
            f"--backbone {options.backbone}: only `embedpipe embed` takes several backbones. Give "
            f"one of them, or {options.backbone.replace(',', '+')} for a combination of their "
            "vectors."
        )
    backbones = [
        get_backbone(name, options.weights, image_size=options.image_size, pooling=options.pooling)
        for name in _names(options, "+")
    ]
    return tuple(Part(each, preprocess_of(options, each)) for each in backbones)


def backbone_of(options: EmbedOptions) -> Backbone:
    """Return the only backbone of the options; raise an error for a combination."""
    first, *others = parts_of(options)
    if others:
        raise UsageError(
            f"--backbone {options.backbone}: one backbone is needed here, not a combination. Give "
            "one of them."
        )
    return first.backbone


def preprocess_of(options: EmbedOptions, backbone: Backbone) -> Preprocess:
    """Return the preprocessing of the options for a backbone."""
    changes = {"scaled_decode": options.scaled_decode, "views": options.views}
    preprocess = replace(backbone.preprocess, **changes)  # type: ignore[arg-type]
    check_views(preprocess)
    return preprocess


def spec_of(options: EmbedOptions) -> Spec:
    """Return the spec of new vectors on this machine."""
    parts = parts_of(options)
    precision = precision_of(options, parts)
    return joined_spec([part.spec(precision) for part in parts])


def precision_of(options: EmbedOptions, parts: Sequence[Part]) -> str:
    """Return the precision on this machine, which all parts support."""
    first, *others = (part.backbone.precisions for part in parts)
    shared = [precision for precision in first if all(precision in each for each in others)]
    return resolve_precision(options.precision, shared)


def joined_spec(specs: Sequence[Spec]) -> Spec:
    """Return the only spec, or the combined spec of several."""
    return specs[0] if len(specs) == 1 else Spec.combined(specs)


def _names(options: EmbedOptions, sign: str) -> list[str]:
    """Return the names of backbones between signs; raise an error if they are unusable."""
    text = str(options.backbone)
    names = [name.strip() for name in text.split(sign)]
    if not all(names):
        raise UsageError(f"--backbone {text}: give a name before and after each {sign!r}.")
    if any(name.startswith(IMPORTED) for name in names[1:]):
        raise UsageError(
            f"--backbone {text}: imported vectors cannot be combined with others. Give one name."
        )
    ((name, count),) = Counter(names).most_common(1)
    if count > 1:
        raise UsageError(f"--backbone {text}: {name} is repeated. Give each backbone once.")
    if options.weights is not None and len(names) > 1:
        raise UsageError(
            f"--backbone {text}: --weights is for one backbone. Leave one of the options out."
        )
    return names
