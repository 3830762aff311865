"""The ids of a folder's images as a stream, for sources whose ids are never in one list."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

from .._storage import ObjectPath
from .._urls import is_url, is_web_url, public_url
from ..errors import UsageError
from .files import walk
from .identifiers import encode_id
from .layout import image_suffixes, is_visible, suffix_of
from .object_source import ObjectSource
from .source import FolderSource, Source

__all__ = ["stream_ids", "streamed_source"]


def streamed_source(place: str) -> Source:
    """Return the source of a folder or of the address of a folder, without a list of its images."""
    if is_url(place) and not is_web_url(place):
        return ObjectSource(place)
    path = os.path.abspath(os.path.expanduser(place))
    if not os.path.isdir(path):
        shown = public_url(place) if is_url(place) else encode_id(place)
        raise UsageError(
            f"--fill-only takes a folder or the address of one, such as s3://bucket/photos; got "
            f"{shown!r}."
        )
    return FolderSource(path)


def stream_ids(place: str) -> Iterator[str]:
    """Yield the ids of the images for `streamed_source`; one folder at a time is in memory."""
    source = streamed_source(place)
    if isinstance(source, ObjectSource):
        return _object_ids(ObjectPath(place))
    return walk(source.location, Counter())


def _object_ids(root: ObjectPath) -> Iterator[str]:
    begin = len(str(root)) + 1
    folders = [root]
    while folders:
        folder = folders.pop()
        for path in folder.iterdir():
            # a name may have several parts, some of them empty
            if not all(map(is_visible, str(path)[len(str(folder)) + 1 :].split("/"))):
                continue
            if path.entry().is_folder:
                folders.append(path)
            elif suffix_of(path.name) in image_suffixes():
                yield encode_id(str(path)[begin:])
