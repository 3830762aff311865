"""Datasets published as a folder or an archive of image files: found, fetched, checked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import DatasetError
from .archive import load_archive
from .cards import DatasetCard, package_card
from .dataset import Dataset
from .download import Check, download, fetch, file_sha256, is_url
from .folder import load_folder
from .registry import Request, datasets

__all__ = ["absent", "load_clothing", "load_images"]


@datasets.register("clothing", card=package_card("clothing"))
def load_clothing(request: Request) -> Dataset:
    """Photos of clothes in 10 classes, 3,781 items; CC0, 107 MB."""
    return load_images(request)


def load_images(request: Request) -> Dataset:
    """Return a named dataset from its folder or archive of image files.

    The folder or archive is the source of the request. Without one it is the archive that the
    dataset's card names, in the folder for downloads, fetched if the request permits it.

    Raises
    ------
    DatasetError
        If it is not there and must not be fetched, or has another digest than in the card.
    """
    path = _obtain(request)
    return load_folder(path) if path.is_dir() else load_archive(path)


def _obtain(request: Request) -> Path:
    """Return the folder or archive of the dataset, fetched if that is permitted."""
    card = request.card
    if request.source is not None:
        return _given(card, request.source, request)
    if card.archive is None or card.download is None:
        raise absent(request)
    target = request.directory / card.archive
    if target.exists():
        return target
    if not request.download:
        raise absent(request)
    return download(card.download, target, check=_content_check(card), progress=request.progress)


def _given(card: DatasetCard, source: str, request: Request) -> Path:
    if is_url(source):
        return fetch(source, request.directory, request.progress)
    path = Path(source).expanduser()
    if not path.exists():
        raise DatasetError(f"the source of {card.name} does not exist: {source!r}.")
    return path


def absent(request: Request) -> DatasetError:
    """Return the error for a dataset that is not there, with the ways to get it."""
    card = request.card
    if card.download is None:
        home = f"get it from {card.home} and " if card.home else ""
        return DatasetError(
            f"{card.name} is not downloaded for you: {home}give --source PATH ({card.layout})."
        )
    return DatasetError(
        f"{card.name} is not in {str(request.directory)!r}: give --source PATH where you have it "
        f"({card.layout}), or --download to fetch {card.size / 1e6:.0f} MB from {card.download}."
    )


def _content_check(card: DatasetCard) -> Check | None:
    """Return a check that an archive is the one of the card, or packs the same files.

    Archives that a server packs on demand do not have the same bytes twice.
    """
    if card.sha256 is None and card.tree_digest is None:
        return None

    def check(path: Path) -> None:
        found = file_sha256(path)
        if found == card.sha256:
            return
        if card.tree_digest is None:
            raise DatasetError(f"its SHA-256 is {found}, expected {card.sha256}.")
        try:
            found = tree_digest(load_archive(path))
        except OSError as error:
            raise DatasetError(f"an image in it cannot be read: {error}.") from error
        if found != card.tree_digest:
            raise DatasetError(f"the digest of its images is {found}, expected {card.tree_digest}.")

    return check


def tree_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of the sorted lines ``<SHA-256 of the bytes>  <id>``, however packed."""
    lines = []
    for id, content in dataset.source.read([item.id for item in dataset.items]):
        if isinstance(content, OSError):
            raise content
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {id}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
