"""Datasets in archives."""

from __future__ import annotations

import os

from ..errors import DatasetError
from .archive_source import ArchiveSource, open_binary
from .dataset import Dataset, path_name, sorted_class_names
from .identifiers import encode_id
from .tar_source import TarSource
from .zip_source import ZipSource

__all__ = ["ARCHIVE_SUFFIXES", "load_archive", "open_archive"]

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Of the archives that can be read; in lower case."""

_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def open_archive(path: str | os.PathLike[str]) -> ArchiveSource:
    """Return the source for an archive; its kind is read from its first bytes."""
    text = os.fspath(path)
    try:
        with open_binary(text) as file:
            magic = file.read(4)
    except OSError as error:
        raise DatasetError(
            f"archive {encode_id(text)!r} cannot be opened: {error.strerror}."
        ) from error
    if magic in _ZIP or text.lower().endswith(".zip"):
        return ZipSource(text)
    return TarSource(text)


def load_archive(path: str | os.PathLike[str]) -> Dataset:
    """Return the dataset of the images in an archive, which is read in place."""
    source = open_archive(path)
    items = source.items
    name = path_name(os.fspath(path))
    return Dataset(name, tuple(items), source, sorted_class_names(items))
