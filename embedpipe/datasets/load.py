"""`load_dataset`: the dataset of a name, a folder, an archive, a manifest or image files."""
# Paths are text here: a million Path objects would take gigabytes.

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .._urls import is_url, public_url
from ..errors import DatasetError, UnknownNameError, UsageError
from .addresses import load_address, load_addresses
from .clear import is_clear_tree, load_clear_tree
from .dataset import Dataset
from .download import Progress
from .fetched import name_in
from .files import (
    ARCHIVE_SUFFIXES,
    load_archive,
    load_files,
    load_folder,
    load_video,
    needs_interval,
)
from .identifiers import encode_id, no_such_path
from .image_tables import TABLE_SUFFIXES, has_images
from .layout import is_image, suffix_of
from .manifest import MANIFEST_SUFFIXES, load_manifest
from .media_fragments import is_video, read_interval
from .registry import DOWNLOADS, Request, datasets
from .shards import are_shards, expand_braces, load_shards, load_shards_in, load_table

__all__ = ["load_dataset", "name_conflict"]


def load_dataset(
    name_or_path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    source: str | os.PathLike[str] | None = None,
    download: bool = False,
    directory: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    within: str | os.PathLike[str] | None = None,
    folder_labels: bool | None = None,
    every: str | float | None = None,
) -> Dataset:
    """Return a dataset by its name, or from a folder, an archive, a manifest or image files.

    A registered name is preferred to a path; for a folder named ``digits``, pass ``"./digits"`` or
    ``Path("digits")``. A folder of the CLEAR dataset is recognised and loaded with its buckets.

    Parameters
    ----------
    name_or_path
        A registered name; a folder; an archive (``.zip``, ``.tar``, ``.tar.gz`` ...); a manifest
        (``.csv``, ``.jsonl``, ``.parquet``) with a ``path`` column; an image file, or a list of
        image files. A list of one path is treated like that path.
    source
        For a named dataset: folder, archive or URL of the images. For a manifest: the folder or
        archive that its paths are relative to, or the URL of this archive. A URL is downloaded.
    download
        Whether to download a named dataset that is missing.
    directory
        Folder for downloads; by default ``.embedpipe/downloads``.
    progress
        Function that takes the number of downloaded bytes, and the total number or None.
    within
        For an untrusted manifest: the folder that must contain all its images. Links are resolved
        before the check.
    folder_labels
        For a folder or an archive: whether its folder names are the labels of the images. By
        default they are if the layout is unmistakable: class folders inside ``train/`` and
        ``test/``, or every image in one of at least two class folders, and no folder named like a
        date, a number, an album or a folder of a camera. Numbers are accepted if the names of all
        class folders are consecutive numbers from 0 or 1.
    every
        For a video, a folder or a list of files: the time between two frames of each video, such as
        ``"1s"``, ``"500ms"`` or a number of seconds. Without it, videos in a folder are left out.
        The item ``clip.mp4#t=12.0`` is the frame that is shown 12 seconds after the first one.
        Needs ``embedpipe[video]``.

    Raises
    ------
    UnknownNameError
        If `name_or_path` is neither a registered name nor a path.
    DatasetError
        If the dataset cannot be found, listed or read, or differs from its card.
    UsageError
        If an option does not apply to the dataset.

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
        folder_labels=_checked_choice(folder_labels),
        every=None if every is None else read_interval(every),
    )
    if not isinstance(name_or_path, (str, os.PathLike)):
        if len(name_or_path) != 1:
            _refuse_options(request, "a list of files")
            _refuse_folder_labels(request, "a list of files")
            texts = [os.fspath(each) for each in name_or_path]
            are_urls = bool(texts) and all(map(is_url, texts))
            if are_shards(texts) and not are_urls:
                _refuse_interval(request, "a list of shards")
                return load_shards(texts)
            if not are_urls:
                return load_files(name_or_path, request.every)
            _refuse_interval(request, "a list of addresses")
            return load_addresses(texts)
        (name_or_path,) = name_or_path
    if isinstance(name_or_path, str) and name_or_path in datasets:
        _refuse_within(request, repr(name_or_path))
        _refuse_folder_labels(request, repr(name_or_path))
        _refuse_interval(request, repr(name_or_path))
        try:
            return datasets[name_or_path](request)
        except DatasetError as error:
            conflict = name_conflict(name_or_path)
            if conflict is None:
                raise
            raise DatasetError(f"{error} {conflict}") from error
    return _load_path(name_or_path, request)


def name_conflict(name: str) -> str | None:
    """Return a sentence if a file or folder has the name of a registered dataset, else None."""
    if name not in datasets or not os.path.exists(name):
        return None
    return f"{name!r} is a registered dataset; for the path of that name, use './{name}'."


def _load_path(given: str | os.PathLike[str], request: Request) -> Dataset:
    path = os.path.expanduser(os.fspath(given))
    shown = repr(encode_id(path))
    if not os.path.exists(path):
        if is_url(path):
            return _load_url(path, request)
        if "{" in path and are_shards(shards := expand_braces(path)):
            _refuse_all(request, shown)
            return load_shards(shards)
        raise _missing(given)
    if request.download:
        _refuse_options(request, shown)
    if not os.path.isdir(path):
        return _load_file(path, request)
    _refuse_options(request, shown)
    if not is_clear_tree(path):
        loader = load_shards_in if request.every is None else None
        return load_folder(path, request.folder_labels, request.every, loader)
    _refuse_all(request, shown)
    return load_clear_tree(path)


def _load_file(path: str, request: Request) -> Dataset:
    shown = repr(encode_id(path))
    if not is_video(path):
        _refuse_interval(request, shown)
    if path.lower().endswith(ARCHIVE_SUFFIXES):
        _refuse_options(request, shown)
        return load_archive(path, request.folder_labels)
    _refuse_folder_labels(request, shown)
    if suffix_of(os.path.basename(path)) in MANIFEST_SUFFIXES and not _is_table(path):
        return load_manifest(path, request)
    _refuse_options(request, shown)
    if _is_table(path):
        return load_table(path)
    if is_video(path):
        if request.every is None:
            raise DatasetError(needs_interval(encode_id(path)))
        return load_video(path, request.every)
    if is_image(os.path.basename(path)):
        return load_files([path])
    raise DatasetError(
        f"{encode_id(path)!r} is not a folder, an archive ({', '.join(ARCHIVE_SUFFIXES)}), "
        f"a manifest ({', '.join(MANIFEST_SUFFIXES)}), a table of images "
        f"({', '.join(sorted(TABLE_SUFFIXES))}), a video or an image file."
    )


def _is_table(path: str) -> bool:
    """Return whether a file is a table with the bytes of images."""
    suffix = suffix_of(os.path.basename(path))
    return os.path.isfile(path) and (
        suffix == ".arrow" or (suffix in TABLE_SUFFIXES and has_images(path))
    )


def _load_url(url: str, request: Request) -> Dataset:
    shown = repr(public_url(url))
    _refuse_interval(request, shown)
    if request.download:
        _refuse_options(request, shown)
    name = name_in(url)
    if suffix_of(name) in MANIFEST_SUFFIXES:
        _refuse_folder_labels(request, shown)
        return load_manifest(url, request)
    _refuse_options(request, shown)
    if is_image(name):
        _refuse_folder_labels(request, shown)
    return load_address(url, request)


def _refuse_options(request: Request, given: str) -> None:
    """Raise an error for options that only a named dataset or a manifest has."""
    _refuse_within(request, given)
    if request.download:
        raise UsageError(f"only a named dataset can be downloaded; {given} is a path.")
    if request.source is not None:
        raise UsageError(
            f"a source needs a named dataset or a manifest; {given} is neither. Leave the source "
            "out."
        )


def _refuse_all(request: Request, given: str) -> None:
    """Raise an error for each option that does not apply to shards."""
    _refuse_options(request, given)
    _refuse_folder_labels(request, given)
    _refuse_interval(request, given)


def _refuse_within(request: Request, given: str) -> None:
    if request.within is not None:
        raise UsageError(
            f"`within` needs a manifest ({', '.join(MANIFEST_SUFFIXES)}); {given} is no manifest. "
            "Leave `within` out."
        )


def _refuse_folder_labels(request: Request, given: str) -> None:
    if request.folder_labels is not None:
        raise UsageError(
            f"`folder_labels` needs a folder or an archive of images; {given} is neither. Leave it "
            "out."
        )


def _refuse_interval(request: Request, given: str) -> None:
    if request.every is not None:
        raise UsageError(
            f"the time between frames needs a video or a folder on this machine; {given} is "
            "neither. Leave it out."
        )


def _checked_choice(folder_labels: object) -> bool | None:
    if folder_labels is None or isinstance(folder_labels, bool):
        return folder_labels
    raise UsageError(f"`folder_labels` must be True, False or None; got {folder_labels!r}.")


def _missing(given: str | os.PathLike[str]) -> DatasetError | UnknownNameError:
    text = os.fspath(given)
    fault = "No folder, archive or manifest"
    if isinstance(given, str) and os.path.basename(text) == text and not suffix_of(text):
        fault = f"{fault} at `{encode_id(text)}`, and no dataset of that name."
        return UnknownNameError("dataset", text, datasets, fault=fault)
    return no_such_path(fault, text)
