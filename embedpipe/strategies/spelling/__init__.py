"""Strategies and their options as text: ``coral(uncertainty=entropy)``, or a ``.yaml`` file."""

from .lines import make_strategy, spelling_of

__all__ = ["make_strategy", "spelling_of"]
