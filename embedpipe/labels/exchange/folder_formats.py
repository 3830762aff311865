"""The formats imagefolder and fiftyone: class folders on disk."""

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

    A file is ``<class>/<path>``, with all folders of the path. Names are escaped as in
    :mod:`~embedpipe.labels.exchange.safe_paths`, and the hidden file ``.embedpipe.json`` records
    this. Only items with a sure label are written. In trees of other programs, the top
    folders are splits if all of them have names of splits. The option ``link_to`` (the dataset's
    folder) writes symbolic links. With the option ``by_prediction``, items without a label are in
    the folder of their predicted class. The table ``sorted_by_prediction.csv`` lists them, and they
    are read as predictions, not as labels.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg", "and/or")]
    >>> tree = ImageFolderFormat().write(tmp / "tree", items, lambda path: b"the image's bytes")
    >>> sorted(str(file.relative_to(tree)) for file in tree.rglob("*.jpg"))
    ['and%2For/y/1.jpg', 'hat/x/1.jpg']
    """

    needs_images = True
    only_labelled = True
    write_options = frozenset({"link_to", "by_prediction"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the images of the tree."""
        return tree_entries(path, self.name, options)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write the images and the marker."""
        files = {item.path: class_file(item, flat=False) for item in items}
        predicted = [item for item in items if item.is_only_predicted]
        write_tree(path, self.name, files, options, predicted)


@formats.register("fiftyone")
class FiftyOneFormat(Format):
    """FiftyOne's classification directory tree: folders for classes and unlabelled images.

    A file is ``<class>/<image>``, with ``/`` in the item's path written as ``%2F``. Items without
    a sure label are in ``_unlabeled/``. The hidden file ``.embedpipe.json`` records that names are
    escaped. The option ``link_to`` (the dataset's folder) writes symbolic links.

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
