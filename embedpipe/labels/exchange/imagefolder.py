"""ImageFolder: a folder for each class, as torchvision and timm read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .base import Format, OpenImage, register
from .entries import Entry
from .labelled import Labelled
from .paths import escape, escape_path
from .trees import sure_items, tree_entries, whole_folder, write_image

__all__ = ["ImageFolderFormat"]


@register
class ImageFolderFormat(Format):
    """A folder for each class with copies of its images, or links to them.

    An item is at ``<class>/<path>``, with all the folders of its path: two files of one base name
    lie in two folders. So the path of an image that is read is what follows the class. Names that
    no tree can hold are escaped as :mod:`~embedpipe.labels.exchange.paths` says. Items without a
    sure label are left out. The option ``link_to``, the dataset's folder, makes symbolic links
    instead of copies.

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

    def _entries(self, path: Path) -> Iterable[Entry]:
        return tree_entries(path)

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        sure = sure_items(self.name, items)
        with whole_folder(path) as root:
            for item in sure:
                file = root / escape(item.label or "") / escape_path(item.path)
                write_image(file, item.path, open_image, options.get("link_to"))
