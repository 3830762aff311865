"""Datasets at an address: a folder on an object store, an archive, or listed images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from .._storage import ObjectPath
from .._urls import clean_url, is_web_url, public_url
from ..errors import DatasetError
from .dataset import Dataset, Item, address_name
from .fetched import FetchedArchive, name_in
from .files import ARCHIVE_SUFFIXES, with_items, with_members
from .layout import (
    PREDICTIONS,
    arrange,
    image_suffixes,
    is_image,
    no_images,
    skipped_files,
)
from .object_source import AddressSource, ObjectSource
from .registry import Request

__all__ = ["is_archive_address", "load_address", "load_addresses"]


def is_archive_address(url: str) -> bool:
    """Return whether an address ends in the suffix of an archive."""
    return name_in(url).lower().endswith(ARCHIVE_SUFFIXES)


def load_address(url: str, request: Request) -> Dataset:
    """Return the dataset of an archive, an image, or a folder on an object store."""
    if is_archive_address(url):
        return _load_archive(url, request)
    if is_image(name_in(url)):
        return load_addresses([url])
    if is_web_url(url):
        raise DatasetError(
            f"{public_url(url)!r} is not an archive ({', '.join(ARCHIVE_SUFFIXES)}), a manifest or "
            "an image, and the folders of web servers cannot be listed. List the images in a "
            "manifest."
        )
    return _load_folder(url, request.folder_labels)


def _load_folder(url: str, folder_labels: bool | None) -> Dataset:
    source, others = ObjectSource(url), Counter[str]()
    try:
        wrapping, items = arrange(source.walk(others), growing=True)
        predicted = bool(items) and (ObjectPath(url) / PREDICTIONS).exists()
    except OSError as error:
        raise DatasetError(f"{source.location} cannot be listed: {error.strerror}.") from error
    if not items:
        raise DatasetError(no_images(source.location, others))
    source = source.inside(wrapping)
    dataset = Dataset(address_name(url), (), source, skipped=skipped_files(others), remote=True)
    return with_items(dataset, items, folder_labels, predicted=predicted)


def _load_archive(url: str, request: Request) -> Dataset:
    source = FetchedArchive(url, request.directory, request.progress)
    dataset = Dataset(address_name(url), (), source, remote=True)
    return with_members(dataset, source.archive, request.folder_labels)


def load_addresses(urls: Sequence[str]) -> Dataset:
    """Return the dataset of images with an address each; ids are addresses without signatures."""
    addresses = {public_url(url): clean_url(url) for url in urls}
    if len(addresses) < len(urls):
        ((most, times),) = Counter(map(public_url, urls)).most_common(1)
        raise DatasetError(f"{most!r} is listed {times} times; list each image once.")
    for id in addresses:
        if not is_image(name_in(id)):
            raise DatasetError(
                f"{id!r} is not an image: each address in a list must end in "
                f"{', '.join(sorted(image_suffixes()))}."
            )
    items = tuple(Item(id) for id in sorted(addresses))
    source = AddressSource(addresses, items[0].id.rpartition("/")[0])
    dataset = Dataset(address_name("\0".join(sorted(addresses))), items, source)
    return replace(dataset, listed=True)
