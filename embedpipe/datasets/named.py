"""Named datasets that are kept in a folder or an archive: found, fetched, checked by their card."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import DatasetError
from .archive import load_archive
from .cards import UNSPLIT, DatasetCard
from .dataset import Dataset
from .digest import file_sha256, tree_digest
from .download import Check, download, fetch, is_url
from .folder import load_folder
from .registry import Request

__all__ = ["absent", "described", "load_images", "obtain"]


def load_images(card: DatasetCard, request: Request) -> Dataset:
    """Return a named dataset from its folder or archive.

    Raises
    ------
    DatasetError
        If it is not there and must not be fetched, or is not what its card says.
    """
    path = obtain(card, request)
    return described(load_folder(path) if path.is_dir() else load_archive(path), card)


def obtain(card: DatasetCard, request: Request) -> Path:
    """Return the folder or archive that holds the dataset, fetching it where that is allowed."""
    if request.source is not None:
        return _given(card, request.source, request)
    if card.archive is None or card.download is None:
        raise absent(card, request)
    target = request.directory / card.archive
    if target.exists():
        return target
    if not request.download:
        raise absent(card, request)
    return download(card.download, target, check=_content_check(card), progress=request.progress)


def _given(card: DatasetCard, source: str, request: Request) -> Path:
    if is_url(source):
        return fetch(source, request.directory, request.progress)
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(f"the source of {card.name} does not exist: {source!r}.")
    return path


def absent(card: DatasetCard, request: Request) -> DatasetError:
    """Return the error for a dataset that is not there, which says how to have it."""
    if card.download is None:
        return DatasetError(
            f"{card.name} is not downloaded for you: get it from {card.home} and give --source "
            f"PATH ({card.layout})."
        )
    return DatasetError(
        f"{card.name} is not in {str(request.directory)!r}: give --source PATH where you have it "
        f"({card.layout}), or --download to fetch {card.size / 1e6:.0f} MB from {card.download}."
    )


def described(dataset: Dataset, card: DatasetCard) -> Dataset:
    """Return `dataset` under the name and with the classes of its card.

    What the card does not know is not checked, and is as in the dataset.

    Raises
    ------
    DatasetError
        If its counts or its labels are not those of the card.
    """
    found = {split or UNSPLIT: count for split, count in dataset.counts().items()}
    if card.counts and found != dict(card.counts):
        raise DatasetError(
            f"{card.name} has {_sum(card.counts)} in its card, "
            f"the source {dataset.source.location!r} has {_sum(found)}."
        )
    strange = set(dataset.class_names) ^ set(card.classes)
    if card.classes and strange:
        raise DatasetError(
            f"the classes of {card.name} in the source {dataset.source.location!r} are not those "
            f"of its card: they differ in {_listing(strange)}."
        )
    names = card.classes or dataset.class_names
    return replace(dataset, name=card.name, class_names=names, card=card)


def _sum(counts: Mapping[str, int]) -> str:
    parts = ", ".join(f"{count} {split}" for split, count in counts.items())
    return f"{sum(counts.values())} images ({parts})"


def _listing(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _content_check(card: DatasetCard) -> Check:
    """Return a check that an archive is the one of the card, or packs the same files.

    Archives that a server packs on demand do not have the same bytes twice.
    """

    def check(path: Path) -> None:
        if file_sha256(path) == card.sha256:
            return
        try:
            found = tree_digest(load_archive(path))
        except OSError as error:
            raise DatasetError(f"an image in it cannot be read: {error}.") from error
        if found != card.tree_digest:
            raise DatasetError(f"the digest of its images is {found}, expected {card.tree_digest}.")

    return check
