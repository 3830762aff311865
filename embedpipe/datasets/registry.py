"""The registry of named datasets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .._registry import Registry
from .dataset import Dataset
from .download import Progress

__all__ = ["Request", "datasets"]

DOWNLOADS = Path(".embedpipe") / "downloads"
"""Where downloads go unless told otherwise, relative to the working directory."""


@dataclass(frozen=True)
class Request:
    """How a named dataset is to be had.

    Parameters
    ----------
    source
        A folder, an archive or a URL; None for what comes with a library or has been downloaded.
    download
        Whether it may be fetched from its home.
    directory
        Where downloads go and are looked for.
    progress
        Told how far a download is.
    within
        The folder that every path of a manifest must lie in; None for no such limit.
    """

    source: str | None = None
    download: bool = False
    directory: Path = DOWNLOADS
    progress: Progress | None = None
    within: str | None = None


datasets: Registry[Callable[[Request], Dataset]] = Registry("dataset", "embedpipe.datasets")
"""Every named dataset: a function from a :class:`Request` to the dataset.

Examples
--------
>>> from embedpipe.datasets import datasets
>>> "digits" in datasets
True
"""
