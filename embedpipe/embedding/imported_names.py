"""The backbones ``imported:NAME``, which mean imported vectors."""

from __future__ import annotations

from typing import Any

from .._options import EmbedOptions
from ..cache import Spec

__all__ = ["IMPORTED", "LIBRARY", "is_imported", "spec_name"]

LIBRARY = "imported"
IMPORTED = f"{LIBRARY}:"
"""Beginning of the backbone that means imported vectors: ``imported:NAME``."""


def is_imported(options: EmbedOptions) -> bool:
    """Return whether the vectors of the options are imported."""
    return options.vectors is not None or spec_name(options.backbone) is not None


def spec_name(backbone: Any) -> str | None:
    """Return the name of imported vectors: that of ``imported:NAME`` or of their spec, or None."""
    if isinstance(backbone, Spec):
        is_imported = backbone.backbone.get("library") == LIBRARY
        return str(backbone.backbone["architecture"]) if is_imported else None
    if isinstance(backbone, str) and backbone.startswith(IMPORTED):
        return backbone.removeprefix(IMPORTED)
    return None
