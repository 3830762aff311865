"""The format cvat: CVAT's ImageNet 1.0, a zip of class folders."""

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
"""Exceptions of the standard library for damaged archives."""

_OURS = b"embedpipe: names are escaped"
"""Comment of archives written by embedpipe."""

_UTF8 = 0x800
_DIRECTORY_ENTRY = b"PK\x01\x02"


@formats.register("cvat")
class CvatFormat(Format):
    """CVAT's ImageNet 1.0: a zip with a folder for each class.

    A file is ``<class>/<image>``, with ``/`` in the item's path written as ``%2F``. Only items
    with a sure label are written. The same labels and images give the same bytes.

    CVAT's exports differ in three ways. Images in ``no_label/`` have no label. A file name may
    begin with its class (``cat/cat_1.jpg``). An image whose tag was changed from cat to dog is
    ``dog/cat/1.jpg``.

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
        """Yield the images of the archive, without unpacking them."""
        names, others, escaped = _names(path)
        if not any("/" in name for name in names):
            raise FormatError(
                f"{path} contains no images in class folders. Export from CVAT as ImageNet 1.0, "
                "with images."
            )
        tree = ClassTree(
            str(path), names, escaped=escaped, others=others, format_name="ImageNet 1.0"
        )
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
    """Return the names of images and of other files, and whether embedpipe wrote the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = list(_checked_names(archive))
            images = [name for name in names if is_image(name.rpartition("/")[2])]
            others = [name for name in names if not is_image(name.rpartition("/")[2])]
            return images, others, archive.comment == _OURS
    except _DAMAGE as error:
        raise FormatError(f"{path} cannot be read as a zip archive: {error}.") from None


def _checked_names(archive: zipfile.ZipFile) -> Iterator[str]:
    members: list[tuple[str, int]] = []  # name and host system
    for member in archive.infolist():
        name = member.orig_filename
        if "\0" in name:
            raise zipfile.BadZipFile(f"the name {name!r} contains a null character")
        if _DIRECTORY_ENTRY in member.extra or _DIRECTORY_ENTRY in member.comment:
            raise zipfile.BadZipFile(f"the entry of {name!r} includes the next entry")
        if name.endswith("/"):
            continue
        archive.open(member).close()  # checks that the local header has the same name
        if not member.flag_bits & _UTF8:
            name = _as_utf8(name)
        members.append((name, member.create_system))
    names, hosts = [name for name, _ in members], [host for _, host in members]
    for name in posix_names(str(archive.filename), names, hosts):
        *folders, base = name.split("/")
        # Names with ".." are kept, because later code refuses them with a message.
        if all(is_visible(part) or part == ".." for part in (*folders, base)):
            yield name


def _as_utf8(name: str) -> str:
    """Return a name decoded as UTF-8 if possible: macOS writes UTF-8 without the flag for it."""
    try:
        return name.encode("cp437").decode()
    except ValueError:
        return name
