"""A backbone of average colours whose text tower knows the names of three colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from embedpipe.backbones import TextTower, ToyBackbone

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}


class ColourText(TextTower):
    """The colour of each cell is the sum of the colours that a text names."""

    identity: ClassVar[dict[str, Any]] = {
        "library": "tests",
        "architecture": "colour words",
        "dim": 48,
    }
    scale = 20.0

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        colours = [
            0.05
            + sum((np.array(COLOURS.get(word, (0, 0, 0))) for word in text.split()), np.zeros(3))
            for text in (text.replace(".", "") for text in texts)
        ]
        return np.tile(np.array(colours, dtype=np.float32), 16)  # (n, 48)


class ColourWords(ToyBackbone):
    """The toy backbone with a text tower."""

    def text_tower(self) -> TextTower:
        return ColourText()
