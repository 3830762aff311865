"""Checks of strategies before the embedding, which may take long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._options import EmbedOptions

if TYPE_CHECKING:
    from ..strategies import Strategy

__all__ = ["check_strategies", "check_texts"]


def check_strategies(
    strategies: Sequence[Strategy], target: str | None, options: EmbedOptions
) -> None:
    """Refuse a strategy that does not use the target, or whose texts cannot be encoded."""
    from ..active.words import texts_of

    if target is not None:
        for each in strategies:
            each.check_target()
    check_texts(texts_of(*strategies), options)


def check_texts(texts: Sequence[str], options: EmbedOptions) -> None:
    """Refuse a backbone without a text tower if there are texts to encode."""
    if texts:
        from ..embedding.texts import check_text_tower

        check_text_tower(options)
