"""The option ``--classes``: names of classes whose vectors are a zero-shot prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Embed
from .session import Session

if TYPE_CHECKING:
    from ..embedding import Embeddings
    from ..heads import ZeroShotPrior

__all__ = ["ClassNames", "prior_of", "read_class_names"]

ClassNames = Annotated[
    str | None,
    typer.Option(
        help="Names of classes, separated by commas: 'hat,red shirt,shoes'. The model compares "
        "images with these names, and needs a backbone with a text tower",
        metavar="NAME,NAME",
        show_default=False,
    ),
]


def read_class_names(text: str | None, embed_options: Embed) -> list[str]:
    """Return the names of the option, after checks of the names and of the backbone."""
    if text is None:
        return []
    from ..active.words import check_classes
    from ..embedding.texts import check_text_tower

    names = [name.strip() for name in text.split(",")]
    check_classes(names)
    check_text_tower(embed_options)
    return names


def prior_of(
    session: Session, embeddings: Embeddings, names: Sequence[str]
) -> ZeroShotPrior | None:
    """Return the prior of the names; None without names."""
    if not names:
        return None
    from ..active import zero_shot_prior

    return zero_shot_prior(embeddings, names, workspace=session.workspace)
