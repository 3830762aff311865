"""How evenly the classes are represented."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Imbalance", "class_imbalance"]

RARE_SHARE = 0.1
"""A class is rare if it has less than this share of the items that an even split would give."""


@dataclass(frozen=True)
class Imbalance:
    """How evenly the classes are represented.

    Attributes
    ----------
    counts
        Items of each class, the largest first, ties by name.
    ratio
        The largest count over the smallest; None without labels.
    rare
        Classes with less than a tenth of what an even split would give them.
    missing
        Splits and classes: the split has labels, but not one of this class.
    """

    counts: dict[str, int]
    ratio: float | None
    rare: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


def class_imbalance(labels: Sequence[str | None], splits: Sequence[str | None]) -> Imbalance:
    """Return how evenly the classes are represented.

    Parameters
    ----------
    labels, splits
        (n,) of each item, or None.

    Examples
    --------
    >>> labels = ["hat"] * 40 + ["shoe"] * 39 + ["skirt"]
    >>> found = class_imbalance(labels, ["test"] + ["train"] * 79)
    >>> found.ratio, found.rare, found.missing
    (40.0, ('skirt',), (('test', 'shoe'), ('test', 'skirt')))
    """
    counts = Counter(label for label in labels if label is not None)
    ordered = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
    if not ordered:
        return Imbalance({}, None, (), ())
    sizes = list(ordered.values())
    even = sum(sizes) / len(sizes)
    rare = tuple(name for name, count in ordered.items() if count < RARE_SHARE * even)
    pairs = {(split, label) for split, label in zip(splits, labels, strict=True) if label}
    names = sorted({split for split, _ in pairs if split is not None})
    missing = tuple(
        (split, label) for split in names for label in ordered if (split, label) not in pairs
    )
    return Imbalance(ordered, sizes[0] / sizes[-1], rare, missing)
