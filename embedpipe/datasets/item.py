"""An item of a dataset, and the names of splits."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SPLITS", "SPLIT_NAMES", "Item", "canonical_split", "split_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset, with the facts about it.

    Parameters
    ----------
    id
        Its relative POSIX path inside the dataset. This is its identity in every label file
        and export: two folders may both hold an ``img_001.jpg``.
    label
        The name of its class, or None if unlabelled.
    split
        ``"train"``, ``"validation"``, ``"test"``, or None.
    bucket
        The stretch of a stream that it belongs to, or None.

    Examples
    --------
    >>> Item("train/hat/0a1b.jpg", label="hat", split="train")
    Item(id='train/hat/0a1b.jpg', label='hat', split='train', bucket=None)
    """

    id: str
    label: str | None = None
    split: str | None = None
    bucket: str | None = None


SPLITS = ("train", "validation", "test")
"""The canonical names, in their usual order."""

SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    # "eval" is the set for choosing a model where there is a "test" beside it.
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing", "tst"),
}
"""Every name of each split, in lower case."""

_CANONICAL = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def canonical_split(name: str) -> str | None:
    """Return the canonical name of the split called `name` in any case, or None."""
    return _CANONICAL.get(name.lower())


def split_of(text: str) -> str | None:
    """Return the split of a cell, None if it is blank; the ValueError's message is a clause."""
    name = text.strip()
    if not name:
        return None
    split = canonical_split(name)
    if split is None:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise ValueError(f"the split is {name!r}; known splits: {known}")
    return split
