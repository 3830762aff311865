"""An item of a dataset, and what tells that its bytes have not changed."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Item", "Stamp"]


@dataclass(frozen=True, slots=True)
class Item:
    """One image of a dataset: which one it is and what is known about it.

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


@dataclass(frozen=True, slots=True)
class Stamp:
    """What says "unchanged" without reading the bytes.

    Parameters
    ----------
    size
        Bytes of the item.
    mtime_ns, ctime_ns, inode
        Of the file that holds it: the image file itself, or the archive.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
