"""Folders with a folder for each class: the formats imagefolder and fiftyone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .class_trees import class_file, tree_entries, write_tree
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats

__all__ = ["FiftyOneFormat", "ImageFolderFormat"]


@formats.register("imagefolder")
class ImageFolderFormat(Format):
    """A folder for each class with copies of its images, or links to them.

    An item is at ``<class>/<path>``, with all the folders of its path: two files of one base name
    lie in two folders. So the path of an image that is read is what follows the class. Names that
    no tree can hold are escaped as :mod:`~embedpipe.labels.exchange.safe_paths` defines, and the
    hidden file ``.embedpipe.json`` records that they are. Items without a sure label are left out.
    In a tree from elsewhere, first folders that are all named like splits are splits. The option
    ``link_to``, the dataset's folder, makes symbolic links instead of copies.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg", "and/or")]
    >>> tree = ImageFolderFormat().write(tmp / "tree", items, lambda path: b"the image's bytes")
    >>> sorted(str(file.relative_to(tree)) for file in tree.rglob("*.jpg"))
    ['and%2For/y/1.jpg', 'hat/x/1.jpg']
    """

    needs_images = True
    only_labelled = True
    write_options = frozenset({"link_to"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the images of the tree."""
        return tree_entries(path, self.name, options)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write the images and the marker."""
        files = {item.path: class_file(item, flat=False) for item in items}
        write_tree(path, self.name, files, options)


@formats.register("fiftyone")
class FiftyOneFormat(Format):
    """FiftyOne's classification directory tree: a folder for each class, one for no class.

    The format is flat, ``<class>/<image>``: the folders of an item's path become part of the
    file's name, ``/`` written as ``%2F``, so two files of one base name have two names, and the
    path is read back from it. Items without a sure label are in ``_unlabeled/``, which gives no
    labels when it is read. The hidden file ``.embedpipe.json`` records that names are escaped.
    ``link_to``, the dataset's folder, makes symbolic links instead of copies.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg")]
    >>> tree = FiftyOneFormat().write(tmp / "tree", items, lambda path: b"the image's bytes")
    >>> sorted(str(file.relative_to(tree)) for file in tree.rglob("*.jpg"))
    ['_unlabeled/y%2F1.jpg', 'hat/x%2F1.jpg']
    """

    needs_images = True
    holds_unlabelled = True
    write_options = frozenset({"link_to"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the images of the tree."""
        return tree_entries(path, self.name, options)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write the images and the marker."""
        files = {item.path: class_file(item, flat=True) for item in items}
        write_tree(path, self.name, files, options)
