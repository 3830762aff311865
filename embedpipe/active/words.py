"""Vectors of words for selection, and class names as a zero-shot prior."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._workspace import Workspace
from ..embedding import Embeddings
from ..embedding.texts import TextEncoder, check_text
from ..errors import LabelError
from ..heads import ZeroShotPrior
from ..strategies import Strategy

__all__ = ["text_vectors", "texts_of", "zero_shot_prior"]


def text_vectors(
    embeddings: Embeddings,
    texts: Sequence[str],
    *,
    workspace: str | Path | Workspace | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Return the (d,) vector of each text, from the text tower of the embeddings' backbone.

    The vectors are stored in the workspace under the digests of the texts. Pass the result to
    `select` or `LabellingSession` as `texts`, for ``combine(similarity(text='red hat'))``. Loops
    and experiments compute the vectors themselves.

    Raises
    ------
    UsageError
        If a text is blank.
    BackboneError
        If the backbone has no text tower.
    """
    if not texts:
        return {}
    vectors = TextEncoder(embeddings, Workspace(workspace)).vectors(texts)
    return dict(zip(texts, vectors, strict=True))


def texts_of(*strategies: Strategy) -> list[str]:
    """Return the texts whose vectors strategies need, each once."""
    return list(dict.fromkeys(text for each in strategies for text in each.texts))


def zero_shot_prior(
    embeddings: Embeddings,
    classes: Sequence[str],
    *,
    workspace: str | Path | Workspace | None = None,
) -> ZeroShotPrior:
    """Return the prior of class names for heads such as `AutoHead`.

    The vector of a name is the mean of the unit vectors of seven sentences such as "a photo of a
    hat.". An underscore in a name is read as a blank.

    Raises
    ------
    LabelError
        If there are fewer than two distinct names.
    UsageError
        If a name is blank.
    BackboneError
        If the backbone has no text tower.
    """
    check_classes(classes)
    encoder = TextEncoder(embeddings, Workspace(workspace))
    return ZeroShotPrior(list(classes), encoder.class_vectors(classes), encoder.scale)


def check_classes(classes: Sequence[str]) -> None:
    """Refuse fewer than two names, and names that are blank or repeated."""
    if any(not name.strip() for name in classes):
        raise LabelError("the name of a class is blank: give at least one word.")
    for name in classes:
        check_text(name)
    twice = [name for at, name in enumerate(classes) if name in classes[:at]]
    if twice:
        raise LabelError(f"the class {twice[0]!r} is given twice: give it once.")
    if len(classes) < 2:
        raise LabelError(f"at least two class names are needed; got {len(classes)}.")
