"""CVAT: a zip of the layout that it calls ImageNet 1.0."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...datasets.layout import is_image, is_visible
from ...datasets.zip_source import posix_names
from ...errors import FormatError
from .class_trees import ClassTree, class_file
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats
from .safe_paths import check_lengths

__all__ = ["CvatFormat"]

_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
    *(NotImplementedError, RuntimeError, ValueError, OverflowError, OSError),
)
"""What the standard library raises for an archive that it cannot make sense of."""

_OURS = b"embedpipe: names are escaped"
"""Comment of an archive that embedpipe wrote."""

_UTF8 = 0x800
_DIRECTORY_ENTRY = b"PK\x01\x02"


@formats.register("cvat")
class CvatFormat(Format):
    """CVAT's ImageNet 1.0: a zip with a folder for each class.

    The format is flat, ``<class>/<image>``: the folders of an item's path become part of the
    file's name, ``/`` written as ``%2F``, so two files of one base name have two names, and the
    path is read back from it. Items without a sure label are left out. Nothing is unpacked to read
    it. The same labels and images give the same bytes.

    Of what CVAT exports, images in ``no_label/`` have no label; a file may begin with the name of
    its class (``cat/cat_1.jpg``); and an image that had the tag cat when it was imported comes
    back as ``dog/cat/1.jpg`` after it was tagged dog.

    Examples
    --------
    >>> items = [Labelled("x/1.jpg", "hat"), Labelled("y/1.jpg", "hat")]
    >>> file = CvatFormat().write(tmp / "task.zip", items, lambda path: b"the image's bytes")
    >>> zipfile.ZipFile(file).namelist()
    ['hat/x%2F1.jpg', 'hat/y%2F1.jpg']
    """

    suffix = ".zip"
    needs_images = True
    only_labelled = True

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the images of the archive; nothing is unpacked."""
        names, others, ours = _names(path)
        if not any("/" in name for name in names):
            raise FormatError(
                f"{path} holds no images in folders of classes. Export from CVAT as ImageNet 1.0, "
                "and save the images with it."
            )
        tree = ClassTree(str(path), names, ours=ours, others=others, wanted="ImageNet 1.0")
        return tree.entries(options, nested=True)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write an uncompressed archive; the same items give the same bytes."""
        files = {item.path: class_file(item, flat=True) for item in items}
        check_lengths(self.name, files.items())
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = _OURS
            for item_path, member in files.items():
                archive.writestr(zipfile.ZipInfo(member), options.image_bytes(item_path))


def _names(path: Path) -> tuple[list[str], list[str], bool]:
    """Return the names of images, those of other files, and whether embedpipe wrote them."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = list(_checked_names(archive))
            images = [name for name in names if is_image(name.rpartition("/")[2])]
            others = [name for name in names if not is_image(name.rpartition("/")[2])]
            return images, others, archive.comment == _OURS
    except _DAMAGE as error:
        raise FormatError(f"{path} is not a zip archive that can be read: {error}.") from None


def _checked_names(archive: zipfile.ZipFile) -> Iterator[str]:
    members: list[tuple[str, int]] = []  # name and host system
    for member in archive.infolist():
        name = member.orig_filename
        if "\0" in name:
            raise zipfile.BadZipFile(f"the name {name!r} holds a null character")
        if _DIRECTORY_ENTRY in member.extra or _DIRECTORY_ENTRY in member.comment:
            raise zipfile.BadZipFile(f"the entry of {name!r} swallows the one behind it")
        if name.endswith("/"):
            continue
        archive.open(member).close()  # compares the name in the directory with that of the member
        if not member.flag_bits & _UTF8:
            name = _as_utf8(name)
        members.append((name, member.create_system))
    names, hosts = [name for name, _ in members], [host for _, host in members]
    for name in posix_names(str(archive.filename), names, hosts):
        *folders, base = name.split("/")
        # A ".." is not passed over: it is refused.
        if all(is_visible(part) or part == ".." for part in (*folders, base)):
            yield name


def _as_utf8(name: str) -> str:
    """Return a name that is UTF-8 though the archive does not say so, as a Mac writes them."""
    try:
        return name.encode("cp437").decode()
    except ValueError:
        return name
