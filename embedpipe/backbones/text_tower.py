"""Text towers: encoders of texts into the space of a backbone's image vectors."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import BackboneError

__all__ = ["OpenClipText", "TextTower"]

BATCH_TEXTS = 64
"""Maximum number of texts that are encoded at once."""


class TextTower(ABC):
    """An encoder of texts; its vectors are comparable by angle with the image vectors."""

    @property
    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything that determines a vector: library, architecture, ``dim``, weights, tokenizer.

        It is the backbone's part of the spec of the text vectors.
        """

    @property
    @abstractmethod
    def scale(self) -> float:
        """Factor of the cosines between texts and images in the logits of the model."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return the (n, dim) float32 vectors of n texts, without normalisation."""


class OpenClipText(TextTower):
    """The text tower of an open_clip model.

    Parameters
    ----------
    backbone
        The backbone with the image tower: its attributes `clip_model`, `tokenizer_name` and
        `architecture` are used when a text is encoded.
    """

    def __init__(self, backbone: Any) -> None:
        self._backbone = backbone

    @functools.cached_property
    def identity(self) -> dict[str, Any]:
        """See `TextTower.identity`; reads the weights."""
        from .weights import digest_of_tensors

        model, image = self._backbone.clip_model, self._backbone.identity
        text = {
            name: tensor
            for name, tensor in model.state_dict().items()
            if not name.startswith("visual.")
        }
        return {
            "library": image["library"],
            "architecture": f"{image['architecture']} (texts)",
            "pooling": "text",
            "dim": image["dim"],
            "weights_sha256": digest_of_tensors(text),
            "tokenizer": type(self._tokenizer).__name__,
            "context_length": int(model.context_length),
        }

    @property
    def scale(self) -> float:
        """See `TextTower.scale`."""
        return float(self._backbone.clip_model.logit_scale.exp())

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """See `TextTower.encode`."""
        import torch

        model = self._backbone.clip_model
        parts = []
        with torch.inference_mode():
            for start in range(0, len(texts), BATCH_TEXTS):
                tokens = self._tokenizer(list(texts[start : start + BATCH_TEXTS]))  # (b, context)
                parts.append(model.encode_text(tokens).float().numpy())
        return np.concatenate(parts)

    @functools.cached_property
    def _tokenizer(self) -> Any:
        import open_clip

        backbone = self._backbone
        try:
            return open_clip.get_tokenizer(
                backbone.tokenizer_name, context_length=backbone.clip_model.context_length
            )
        # Tokenizers of the hub's libraries raise many kinds of exceptions.
        except Exception as error:
            reason = str(error).strip().split("\n", maxsplit=1)[0]
            raise BackboneError(
                f"the tokenizer of {backbone.name!r} cannot be loaded: {reason}"
            ) from error
