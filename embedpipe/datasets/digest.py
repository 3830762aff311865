"""A checksum of what a dataset holds, however it is packed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from .dataset import Dataset

__all__ = ["file_sha256", "tree_digest"]


def tree_digest(dataset: Dataset) -> str:
    """Return the SHA-256 over the sorted lines ``<SHA-256 of the bytes>  <id>``.

    A folder, a zip and a tar of the same images have the same digest, unlike archives made twice.

    Raises
    ------
    OSError
        If an item cannot be read.
    """
    lines = []
    for id, content in dataset.source.read([item.id for item in dataset.items]):
        if isinstance(content, OSError):
            raise content
        lines.append(f"{hashlib.sha256(content).hexdigest()}  {id}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the content of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
