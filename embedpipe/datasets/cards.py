"""Dataset cards: facts about a named dataset, from a YAML file or from code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import UnknownNameError

__all__ = ["UNSPLIT", "CardLike", "DatasetCard", "package_card", "read_card"]

UNSPLIT = "unsplit"
"""Key in a card's `counts` for the items without a split."""


@dataclass(frozen=True)
class DatasetCard:
    """Facts about a named dataset; all but the name are optional.

    Parameters
    ----------
    name, title, description
        Registered name, full name, and a one-line description.
    home, download
        Web page, and address of the archive; None if embedpipe cannot download it.
    archive
        File name of the archive; None if a library downloads the dataset.
    size
        Size of the download in bytes.
    licence, citation
        Terms of use, and the work to cite.
    layout
        Layout on disk, as a phrase.
    classes
        Class names in order; empty if not every copy of the dataset has the same classes.
    counts
        Number of items of each split; the key of items without a split is ``"unsplit"``. Empty if
        unknown.
    sha256
        SHA-256 of the archive.
    tree_digest
        Digest of the images, independent of packing: SHA-256 of the sorted lines
        ``<SHA-256 of the bytes>  <id>``.
    """

    name: str
    title: str = ""
    description: str = ""
    home: str = ""
    licence: str = ""
    citation: str = ""
    layout: str = "a folder or an archive of image files"
    classes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    download: str | None = None
    archive: str | None = None
    sha256: str | None = None
    tree_digest: str | None = None

    @property
    def total(self) -> int:
        """The number of items, 0 if unknown."""
        return sum(self.counts.values())


CardLike = DatasetCard | Mapping[str, Any] | str | os.PathLike[str] | None
"""A card, its fields, the path of a YAML file with its fields, or None."""


def read_card(name: str, given: CardLike) -> DatasetCard:
    """Return the card of the dataset called `name`."""
    if given is None:
        return DatasetCard(name)
    if isinstance(given, DatasetCard):
        return replace(given, name=name)
    values = dict(given) if isinstance(given, Mapping) else _read_yaml(Path(given))
    known = [each.name for each in fields(DatasetCard)]
    for key in values:
        if key not in known:
            raise UnknownNameError("field of a dataset card", key, known, f"Dataset: {name}.")
    values["classes"] = tuple(map(str, values.get("classes", ())))
    values["counts"] = dict(values.get("counts", {}))
    return DatasetCard(**{**values, "name": name})


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    return dict(yaml.safe_load(path.read_text("utf-8")))


def package_card(name: str) -> Path:
    """Return the path of a card in the installed package or in the repository's `data`."""
    installed = Path(__file__).parent / "cards"
    folder = installed if installed.is_dir() else Path(__file__).parents[2] / "data"
    return folder / f"{name}.yaml"
