"""The three splits and the names that people give them."""

from __future__ import annotations

__all__ = ["SPLITS", "SPLIT_NAMES", "canonical_split", "split_of"]

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


def split_of(text: str) -> str | None:
    """Return the split that a cell or a value stands for, None if it is blank.

    Raises
    ------
    ValueError
        If it is the name of no split; the message is a clause.

    Examples
    --------
    >>> split_of(" Test "), split_of("")
    ('test', None)
    """
    name = text.strip()
    if not name:
        return None
    split = canonical_split(name)
    if split is None:
        known = ", ".join(name for names in SPLIT_NAMES.values() for name in names)
        raise ValueError(f"the split is {name!r}; known splits: {known}")
    return split
