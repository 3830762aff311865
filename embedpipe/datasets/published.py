"""Named datasets that are published as a folder or an archive of image files."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import DatasetError
from .cards import DatasetCard, package_card
from .dataset import Dataset
from .download import Check, download, fetch, file_sha256, is_url
from .files import load_archive, load_folder
from .registry import Request, datasets

__all__ = ["load_clothing", "load_images", "not_available"]


@datasets.register("clothing", card=package_card("clothing"))
def load_clothing(request: Request) -> Dataset:
    """Photos of clothes in 10 classes, 3,781 items; CC0, 107 MB."""
    return load_images(request)


def load_images(request: Request) -> Dataset:
    """Return a named dataset from its folder or archive of image files.

    Without a source in the request, the archive that the dataset's card names is read from the
    folder for downloads. A missing archive is downloaded if the request permits it.
    """
    path = _obtain(request)
    return (load_folder if path.is_dir() else load_archive)(path, folder_labels=True)


def _obtain(request: Request) -> Path:
    """Return the folder or archive of the dataset, downloaded if that is permitted."""
    card, source = request.card, request.source
    if source is not None:
        if is_url(source):
            return fetch(source, request.directory, request.progress)
        path = Path(source).expanduser()
        if not path.exists():
            raise DatasetError(f"the source of {card.name} does not exist: {source!r}.")
        return path
    if card.archive is None or card.download is None:
        raise not_available(request)
    target = request.directory / card.archive
    if target.exists():
        return target
    if not request.download:
        raise not_available(request)
    return download(card.download, target, check=_content_check(card), progress=request.progress)


def not_available(request: Request) -> DatasetError:
    """Return the error for a missing dataset, with the ways to get it."""
    card = request.card
    if card.download is None:
        home = f"get it from {card.home} and " if card.home else ""
        return DatasetError(
            f"{card.name} cannot be downloaded by embedpipe: {home}give --source PATH "
            f"({card.layout})."
        )
    return DatasetError(
        f"{card.name} is not in {str(request.directory)!r}: give --source PATH if you have it "
        f"({card.layout}), or --download to fetch {card.size / 1e6:.0f} MB from {card.download}."
    )


def _content_check(card: DatasetCard) -> Check | None:
    """Return a check of an archive against the digests of the card, None without digests."""
    # Servers that create archives on demand do not send the same bytes twice, so the digest of
    # the images is accepted in place of the digest of the archive.
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
    """Return the SHA-256 of the sorted lines ``<SHA-256 of the bytes>  <id>``."""
    lines = []
    for id, content in dataset.source.read([item.id for item in dataset.items]):
        if isinstance(content, OSError):
            raise content
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {id}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
