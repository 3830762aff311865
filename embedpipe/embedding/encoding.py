"""An encoding: how the vectors of a spec are computed, and their store."""

from __future__ import annotations

from dataclasses import dataclass

from ..backbones import Encoder, open_backbone
from ..cache import Store
from .parts import Part

__all__ = ["Encoding"]


@dataclass(frozen=True)
class Encoding:
    """A backbone with its preprocessing, the store of its vectors, and the runtime."""

    part: Part
    store: Store
    runtime: str

    def open(self, batch_size: int) -> Encoder:
        """Load the backbone for batches of at most a number of images."""
        return open_backbone(
            self.part.backbone,
            self.part.preprocess,
            precision=self.store.spec.precision,
            runtime=self.runtime,
            batch_size=batch_size,
        )
