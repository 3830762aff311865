"""What is exchanged: one item, and what was said about it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Labelled"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One item and what was said about it, by a person or by a model.

    Parameters
    ----------
    path
        The item's id: its path relative to the dataset's folder.
    label
        The name of its class; None if it has none, as every skipped item.
    status
        ``"label"``, ``"skip"``, or ``"unsure"`` (with a label or without).
    prediction
        The class that a model predicts, if it was asked.
    score
        How sure the model is of it: a finite number, usually a probability.
    who
        Who labelled it.
    model
        Name of the model that predicts.

    Examples
    --------
    >>> Labelled("hats/1.jpg", "hat")
    Labelled(path='hats/1.jpg', label='hat', status='label', prediction=None, score=None, who=None,
    model=None)
    """

    path: str
    label: str | None = None
    status: str = "label"
    prediction: str | None = None
    score: float | None = None
    who: str | None = None
    model: str | None = None

    @property
    def is_sure(self) -> bool:
        """Whether it has a label that nobody doubts."""
        return self.label is not None and self.status == "label"

    @property
    def says_nothing(self) -> bool:
        """Whether it is unlabelled, and no model was asked: nothing to exchange."""
        return self.label is None and self.status == "label" and self.prediction is None
