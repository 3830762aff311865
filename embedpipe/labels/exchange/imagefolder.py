"""ImageFolder: a folder for each class, as torchvision and timm read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, ReadOptions, register
from .entries import Entry
from .labelled import Labelled
from .paths import check_lengths, escape, escape_path
from .trees import sure_items, tree_entries, whole_folder, write_image, write_marker

__all__ = ["ImageFolderFormat"]


@register
class ImageFolderFormat(Format):
    """A folder for each class with copies of its images, or links to them.

    An item is at ``<class>/<path>``, with all the folders of its path: two files of one base name
    lie in two folders. So the path of an image that is read is what follows the class. Names that
    no tree can hold are escaped as :mod:`~embedpipe.labels.exchange.paths` says, and the hidden
    file ``.embedpipe.json`` says that they are. Items without a sure label are left out. In a tree
    from elsewhere, first folders that are all named like splits are splits. The option ``link_to``,
    the dataset's folder, makes symbolic links instead of copies.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg", "and/or")]
    >>> tree = ImageFolderFormat().write(tmp / "tree", items, lambda path: b"the image's bytes")
    >>> sorted(str(file.relative_to(tree)) for file in tree.rglob("*.jpg"))
    ['and%2For/y/1.jpg', 'hat/x/1.jpg']
    """

    name = "imagefolder"
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
        sure = sure_items(self.name, items)
        files = [
            (item.path, f"{escape(item.label or '')}/{escape_path(item.path)}") for item in sure
        ]
        check_lengths(self.name, files)
        with whole_folder(path) as root:
            for item_path, file in files:
                write_image(root / file, item_path, open_image, options.get("link_to"))
            write_marker(root)
