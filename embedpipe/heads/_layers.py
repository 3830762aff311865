"""A fitted head as affine layers, for exports that run without embedpipe."""

from __future__ import annotations

from typing import NamedTuple

from ._arrays import Array


class Affine(NamedTuple):
    """A layer that computes ``x @ weights + intercepts``."""

    weights: Array
    """(i, o) for i inputs and o outputs."""
    intercepts: Array
    """(o,)."""


class Layers(NamedTuple):
    """A fitted head as affine layers, with ReLU between them.

    The probabilities are softmax(output / temperature).

    Attributes
    ----------
    affine
        The layers; the last one has an output for each class.
    normalize
        Whether rows are scaled to unit length first; rows of zeros stay zero.
    temperature
        Divisor of the last layer's output.
    """

    affine: tuple[Affine, ...]
    normalize: bool
    temperature: float
