"""One way in: a name, a folder, an archive, a manifest or image files become a dataset."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import DatasetError, UnknownNameError, UsageError
from .archive import ARCHIVE_SUFFIXES, load_archive
from .clear import is_clear_tree, load_clear_tree
from .dataset import Dataset
from .download import Progress
from .folder import load_files, load_folder
from .identifiers import encode_id, no_such_path
from .layout import is_image, suffix_of
from .manifest import MANIFEST_SUFFIXES, load_manifest
from .registry import DOWNLOADS, Request, datasets

__all__ = ["load_dataset"]

_PATHS_TOO = (
    "A path is accepted too: a folder, an archive "
    f"({', '.join(ARCHIVE_SUFFIXES)}) or a manifest ({', '.join(MANIFEST_SUFFIXES)})."
)


def load_dataset(
    name_or_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    source: str | os.PathLike[str] | None = None,
    download: bool = False,
    directory: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    within: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Return a dataset by its name, or from a folder, an archive, a manifest or image files.

    A registered name comes first: a folder ``digits`` in the working directory is ``"./digits"``,
    or ``Path("digits")``, which is never a name.
    A folder that carries the marks of CLEAR is read as such, with its buckets of time.
    Nothing is fetched unless `download` is true or `source` is a URL.

    Parameters
    ----------
    name_or_path
        A registered name; a folder; an archive (``.zip``, ``.tar``, ``.tar.gz`` ...); a manifest
        (``.csv``, ``.jsonl``, ``.parquet``) with a ``path`` column; an image file, or a list of
        them: see `load_files`. A list of one path is that path.
    source
        Where the images are: a folder, an archive or a URL for a named dataset; the folder or
        archive that a manifest's paths are relative to.
    download
        Whether a named dataset may be fetched from its home.
    directory
        Where downloads go and are looked for; by default ``.embedpipe/downloads``.
    progress
        Called with the bytes that have been downloaded, and how many there are or None.
    within
        A folder; for a manifest of which not all is trusted. Every path of the manifest must lead
        to a place inside of it, symbolic links followed.

    Raises
    ------
    UnknownNameError
        If it is neither a registered name nor a path.
    DatasetError
        If it cannot be found, listed or read, or is not what it is said to be.
    UsageError
        If an option does not go with it.

    Examples
    --------
    >>> load_dataset("digits").class_names
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    request = Request(
        source=None if source is None else os.fspath(source),
        download=download,
        directory=Path(DOWNLOADS if directory is None else directory),
        progress=progress,
        within=None if within is None else os.fspath(within),
    )
    if not isinstance(name_or_path, (str, os.PathLike)):
        if len(name_or_path) != 1:
            _refuse_options(request, "a list of files")
            return load_files(name_or_path)
        (name_or_path,) = name_or_path
    if isinstance(name_or_path, str) and name_or_path in datasets:
        _refuse_within(request, repr(name_or_path))
        try:
            return datasets[name_or_path](request)
        except DatasetError as error:
            beside = beside_name(name_or_path)
            if beside is None:
                raise
            raise DatasetError(f"{error} {beside}") from error
    return _load_path(name_or_path, request)


def beside_name(name: str) -> str | None:
    """Say that there is also a file or folder of a registered name, and how to mean it."""
    if name not in datasets or not os.path.exists(name):
        return None
    return f"{name!r} is a registered dataset; for the path of that name here, write './{name}'."


def _refuse_options(request: Request, what: str) -> None:
    """Refuse options that only a named dataset or a manifest has."""
    _refuse_within(request, what)
    if request.download:
        raise UsageError(f"only a named dataset can be downloaded, {what} is a path.")
    if request.source is not None:
        raise UsageError(
            f"a source goes with a named dataset or a manifest, {what} is neither; leave it out."
        )


def _load_path(given: str | os.PathLike[str], request: Request) -> Dataset:
    path = os.path.expanduser(os.fspath(given))
    if not os.path.exists(path):
        raise _missing(given)
    if request.download:
        _refuse_options(request, repr(encode_id(path)))
    if os.path.isfile(path) and suffix_of(os.path.basename(path)) in MANIFEST_SUFFIXES:
        return load_manifest(path, request)
    _refuse_options(request, repr(encode_id(path)))
    if os.path.isdir(path):
        return load_clear_tree(path) if is_clear_tree(path) else load_folder(path)
    if path.lower().endswith(ARCHIVE_SUFFIXES):
        return load_archive(path)
    if is_image(os.path.basename(path)):
        return load_files([path])
    raise DatasetError(
        f"{encode_id(path)!r} is not a folder, an archive ({', '.join(ARCHIVE_SUFFIXES)}), "
        f"a manifest ({', '.join(MANIFEST_SUFFIXES)}) or an image file."
    )


def _refuse_within(request: Request, what: str) -> None:
    if request.within is not None:
        raise UsageError(
            f"`within` confines the paths of a manifest, and {what} is not a manifest "
            f"({', '.join(MANIFEST_SUFFIXES)}); leave it out."
        )


def _missing(given: str | os.PathLike[str]) -> DatasetError | UnknownNameError:
    text = os.fspath(given)
    named = isinstance(given, str) and os.path.basename(text) == text and not suffix_of(text)
    if named:
        return UnknownNameError("dataset", text, datasets, _PATHS_TOO)
    return no_such_path("folder or file", text)
