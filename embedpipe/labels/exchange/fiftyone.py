"""FiftyOne: an image classification directory tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, ReadOptions, register
from .entries import Entry
from .labelled import Labelled
from .paths import check_lengths, escape
from .trees import tree_entries, whole_folder, write_image, write_marker

__all__ = ["FiftyOneFormat"]


@register
class FiftyOneFormat(Format):
    """FiftyOne's classification directory tree: a folder for each class, one for no class.

    The format is flat, ``<class>/<image>``: the folders of an item's path become part of the
    file's name, ``/`` written as ``%2F``, so two files of one base name have two names, and the
    path is read back from it. Items without a sure label are in ``_unlabeled/``, of which nothing
    is read. The hidden file ``.embedpipe.json`` says that names are escaped. ``link_to``, the
    dataset's folder, makes symbolic links instead of copies.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg")]
    >>> tree = FiftyOneFormat().write(tmp / "tree", items, lambda path: b"the image's bytes")
    >>> sorted(str(file.relative_to(tree)) for file in tree.rglob("*.jpg"))
    ['_unlabeled/y%2F1.jpg', 'hat/x%2F1.jpg']
    """

    name = "fiftyone"
    needs_images = True
    options = frozenset({"link_to"})

    def _entries(self, path: Path, given: ReadOptions) -> Iterable[Entry]:
        return tree_entries(path, given)

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        files = [(item.path, f"{_folder(item)}/{escape(item.path)}") for item in items]
        check_lengths(self.name, files)
        with whole_folder(path) as root:
            for item_path, file in files:
                write_image(root / file, item_path, open_image, options.get("link_to"))
            write_marker(root)


def _folder(item: Labelled) -> str:
    return escape(item.label) if item.is_sure and item.label else "_unlabeled"
