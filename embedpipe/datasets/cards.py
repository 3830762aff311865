"""Dataset cards: what is known about a named dataset, one YAML file each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

__all__ = ["DatasetCard", "load_card"]

UNSPLIT = "unsplit"
"""The key in a card's `counts` of items that are of no split."""


@dataclass(frozen=True)
class DatasetCard:
    """What is known about a named dataset.

    Parameters
    ----------
    name, title, description
        What it is called, in full, and in a line.
    home, download
        The page about it, and the address of its archive; None if it comes with a library, or has
        to be fetched by hand.
    archive
        The name of the archive's file; None if a library downloads it.
    size
        Bytes of the download.
    licence, citation
        Whether it may be used, and whom to name.
    layout
        How it lies on disk.
    classes
        The names of its classes, in order; empty if only the copy at hand says.
    counts
        Number of items by split; ``"unsplit"`` where there are none. Empty if not known.
    sha256
        Of the archive, where its bytes are known to be stable or one copy is known.
    tree_digest
        Of the content, however it is packed: see :func:`~embedpipe.datasets.digest.tree_digest`.
    """

    name: str
    title: str
    description: str
    home: str
    licence: str
    citation: str
    layout: str
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    size: int = 0
    download: str | None = None
    archive: str | None = None
    sha256: str | None = None
    tree_digest: str | None = None

    @property
    def total(self) -> int:
        """The number of items, 0 if not known."""
        return sum(self.counts.values())


@lru_cache
def load_card(name: str) -> DatasetCard:
    """Return the card of the named dataset.

    Examples
    --------
    >>> card = load_card("clothing")
    >>> card.total, card.licence
    (3781, 'CC0-1.0')
    """
    import yaml

    fields = yaml.safe_load((_folder() / f"{name}.yaml").read_text("utf-8"))
    fields["classes"] = tuple(fields["classes"])
    fields["counts"] = MappingProxyType(fields["counts"])
    return DatasetCard(name=name, **fields)


def _folder() -> Path:
    """Return where the cards are: in the installed package, or in the repository's `data`."""
    installed = Path(__file__).parent / "cards"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "data"
