"""What determines a vector, besides the image."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Spec"]


@dataclass(frozen=True)
class Spec:
    """Everything that determines the vector of an image: backbone, preprocess, precision.

    What may merely change low bits (runtime, versions, threads, processor) is not part of it.

    Attributes
    ----------
    backbone
        Library, architecture, pooling, ``dim`` and the digest of the weights as loaded.
    preprocess
        Sizes, interpolation, crop, mean, std, and the rules for EXIF, colour and decoding.
    precision
        ``"fp32"`` or ``"bf16"``.

    Examples
    --------
    >>> spec = Spec({"architecture": "toy", "dim": 48}, {"size": [32, 32]}, "fp32")
    >>> spec == Spec.from_json(spec.to_json())
    True
    >>> len(spec.id)
    64
    """

    backbone: dict[str, Any]
    preprocess: dict[str, Any]
    precision: str

    def to_json(self) -> str:
        """Return the canonical JSON: sorted keys, no spaces, ASCII."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes) -> Spec:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        return cls(fields["backbone"], fields["preprocess"], fields["precision"])

    @functools.cached_property
    def id(self) -> str:
        """The SHA-256 of the canonical JSON, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def dim(self) -> int:
        """The dimension of the vectors."""
        return int(self.backbone["dim"])

    def __hash__(self) -> int:
        return hash(self.id)
