"""Selected images, as pages show them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Guess", "Neighbour", "Pick"]


@dataclass(frozen=True)
class Guess:
    """A predicted class and its probability, from 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True)
class Neighbour:
    """A similar image: its path in the dataset, its label, and the cosine distance, from 0 to 2."""

    id: str
    label: str | None
    distance: float


@dataclass(frozen=True)
class Pick:
    """A selected image.

    Attributes
    ----------
    id
        Path in the dataset.
    score
        Acquisition score.
    label
        Label; None without one.
    thumbnail
        Encoded thumbnail; None without one.
    before, after
        Predictions of the heads before and after the round; None if unknown.
    neighbours
        The most similar images with a label before the round, the most similar first.
    place
        Position on the map of the page, each coordinate from 0 to 1; None without a map.
    """

    id: str
    score: float
    label: str | None = None
    thumbnail: bytes | None = None
    before: Guess | None = None
    after: Guess | None = None
    neighbours: tuple[Neighbour, ...] = ()
    place: tuple[float, float] | None = None
