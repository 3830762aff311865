"""Vectors of texts in the space of a dataset's embeddings, cached by the digest of the text."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._options import EmbedOptions
from .._versions import versions
from .._workspace import Workspace
from ..backbones import CARDS, Backbone, TextTower
from ..cache import CONTENT_ID, Row, Spec, Store
from ..errors import BackboneError, UsageError
from .embeddings import Embeddings
from .imported_names import is_imported
from .parts import backbone_of

__all__ = ["PROMPTS", "TextEncoder", "check_text", "check_text_tower"]

PROMPTS = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of one {}.",
    "a close-up photo of a {}.",
    "a cropped photo of a {}.",
    "a bright photo of a {}.",
    "a dark photo of a {}.",
)
"""Sentences in which the name of a class is encoded; the mean of their unit vectors is used."""

CANARY = ("a photo of a hat.", "two red shoes on a table", "0123456789")
"""Texts whose vectors every machine must reproduce."""


class TextEncoder:
    """Compute vectors of texts with the text tower of the backbone of a dataset's embeddings.

    A vector is stored in the workspace under the SHA-256 of its text. The text is not stored.

    Parameters
    ----------
    embeddings
        Embeddings of a dataset.
    workspace
        The workspace of the cache.
    backbone
        The backbone of the embeddings, if it is loaded already.
    """

    def __init__(
        self, embeddings: Embeddings, workspace: Workspace, backbone: Backbone | None = None
    ) -> None:
        self._embeddings, self._workspace, self._given = embeddings, workspace, backbone
        self._lock = threading.Lock()

    @functools.cached_property
    def tower(self) -> TextTower | None:
        """The text tower; None if the backbone has none, or if several backbones are combined.

        Its weights are loaded on first use.
        """
        if self._given is not None:
            return self._given.text_tower()
        options = self._embeddings.options
        if options is None or self._embeddings.spec.parts:
            return None
        return backbone_of(options).text_tower()

    @property
    def scale(self) -> float:
        """Factor of the cosines in the logits of the model; see `TextTower.scale`."""
        return self._checked_tower().scale

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the (n, d) vectors of texts of at least one character.

        Raises
        ------
        UsageError
            If a text is blank.
        BackboneError
            If the backbone has no text tower, or the vector of a text is not finite.
        """
        tower = self._checked_tower()
        for text in texts:
            check_text(text)
        digests = [hashlib.sha256(text.encode()).digest() for text in texts]
        with self._lock:
            store = self._store
            missing = store.missing(pa.array(digests, CONTENT_ID))
            wanted = {digests[at]: texts[at] for at in np.flatnonzero(missing).tolist()}
            if wanted:
                self._add(store, tower, wanted)
            found = np.empty((len(texts), store.spec.dim), dtype=np.float32)
            for positions, vectors in store.vectors_for(pa.array(digests, CONTENT_ID)):
                found[positions] = vectors
        return found

    def class_vectors(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the (C, d) unit vectors of class names: the means over `PROMPTS`.

        An underscore in a name is read as a blank.
        """
        words = [name.replace("_", " ") for name in names]
        prompts = [prompt.format(word) for word in words for prompt in PROMPTS]
        every = _unit(self.vectors(prompts)).reshape(len(names), len(PROMPTS), -1)  # (C, P, d)
        return _unit(every.mean(axis=1))

    @functools.cached_property
    def _store(self) -> Store:
        tower = self._checked_tower()
        return Store(self._workspace, Spec(tower.identity, {"input": "text"}, "fp32"))

    def _add(self, store: Store, tower: TextTower, wanted: dict[bytes, str]) -> None:
        """Encode texts by digest, and store their vectors."""
        store.create()
        provenance = versions()
        store.check_canary(lambda: tower.encode(CANARY), provenance)
        vectors = tower.encode(list(wanted.values()))
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if bad.size:
            text = list(wanted.values())[bad[0]]
            raise BackboneError(f"the text tower gives no finite vector for {text!r}.")
        rows = [
            Row(digest, vector, 0, 0, len(text.encode()))
            for (digest, text), vector in zip(wanted.items(), vectors, strict=True)
        ]
        store.add(rows, provenance)

    def _checked_tower(self) -> TextTower:
        """Return the text tower, or raise an error if there is none."""
        options = self._embeddings.options
        if self.tower is None and options is not None:
            check_text_tower(options)
        if self.tower is None:
            raise _imported()
        return self.tower


def check_text(text: str) -> None:
    """Refuse a text that is blank or no valid Unicode."""
    if not text.strip():
        raise UsageError("the text is blank: give at least one word.")
    if any("\ud800" <= sign <= "\udfff" for sign in text):  # bytes of the command line
        raise UsageError(f"the text {text!a} is not valid UTF-8: give it in this encoding.")


def check_text_tower(options: EmbedOptions) -> None:
    """Refuse imported vectors and a backbone without a text tower."""
    if is_imported(options):
        raise _imported()
    backbone = backbone_of(options)
    if backbone.text_tower() is None:
        names = [name for name, card in CARDS.items() if card.text]
        raise BackboneError(
            f"the backbone {backbone.name!r} has no text tower, so its images cannot be compared "
            f"with words. Backbones with one: {', '.join(names)}, and any openclip:NAME."
        )


def _imported() -> UsageError:
    return UsageError(
        "the vectors of this dataset were imported, so that words cannot be compared with them. "
        "Embed the images with --backbone openclip:NAME."
    )


def _unit(vectors: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return vectors scaled to unit length; a vector of zeros stays."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0.0, lengths, 1.0), dtype=np.float32)
