"""Class imbalance: counts, rare classes, and classes that are missing in a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Imbalance", "class_imbalance"]

RARE_SHARE = 0.1
"""Share of the mean class size below which a class is rare."""


@dataclass(frozen=True)
class Imbalance:
    """Class counts, rare classes, and classes that are missing in a split.

    Attributes
    ----------
    counts
        Number of items of each class, the largest class first; ties are sorted by name.
    ratio
        Largest count divided by the smallest; None without labels.
    rare
        Classes with less than a tenth of the mean class size.
    missing
        Pairs (split, class): the split has labels, but no item of the class.
    """

    counts: dict[str, int]
    ratio: float | None
    rare: tuple[str, ...]
    missing: tuple[tuple[str, str], ...]


def class_imbalance(labels: Sequence[str | None], splits: Sequence[str | None]) -> Imbalance:
    """Return the imbalance of `labels`; `splits` are their splits; missing values are None.

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
    mean_size = sum(sizes) / len(sizes)
    rare = tuple(name for name, count in ordered.items() if count < RARE_SHARE * mean_size)
    pairs = {(split, label) for split, label in zip(splits, labels, strict=True) if label}
    names = sorted({split for split, _ in pairs if split is not None})
    missing = tuple(
        (split, label) for split in names for label in ordered if (split, label) not in pairs
    )
    return Imbalance(ordered, sizes[0] / sizes[-1], rare, missing)
