"""The three splits and the names that people give them."""

from __future__ import annotations

__all__ = ["SPLITS", "SPLIT_NAMES", "canonical_split"]

SPLITS = ("train", "validation", "test")
"""The canonical names, in their usual order."""

SPLIT_NAMES = {
    "train": ("train", "training", "trn"),
    # "eval" is what is looked at while a model is chosen, where there is a "test" beside it.
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing", "tst"),
}
"""Every name, in lower case, that stands for each split."""

_CANONICAL = {name: split for split, names in SPLIT_NAMES.items() for name in names}


def canonical_split(name: str) -> str | None:
    """Return the split that `name` stands for in whatever case, or None.

    Examples
    --------
    >>> canonical_split("Val"), canonical_split("hat")
    ('validation', None)
    """
    return _CANONICAL.get(name.lower())
