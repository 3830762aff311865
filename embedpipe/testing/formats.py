"""The contract of label formats."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import FormatError, UsageError
from ..labels import Format, Labelled, PathResolver, formats
from ._suite import CheckReport, NotApplicable, Suite, raising

__all__ = ["check_format", "example_image", "example_items", "export", "format_checks"]

format_checks = Suite("label format")
"""The checks of `check_format`; each takes the name of a registered format."""

CLASSES = (
    "hat",
    "t-shirt",
    "Größe 38",
    "帽子",
    'so-called "hat"',
    "a, b",
    "and/or",
    ".hidden",
    "_unlabeled",
    "50% off %2F",
    "back\\slash: c",
    "__MACOSX",
)


def check_format(name: str) -> CheckReport:
    """Check the contract of a registered label format; raise `ContractError` if a check fails.

    Examples
    --------
    >>> print(check_format("jsonl"))
    11 checks passed
    not applicable: images_are_required: the format has no images
    not applicable: unreadable_image_leaves_no_file: the format has no images
    """
    return format_checks.run(name)


def example_items() -> list[Labelled]:
    """Return items of every status, with paths and classes that need escaping."""
    return [
        Labelled("one/img_001.jpg", CLASSES[0], who="ann"),
        Labelled("two/img_001.jpg", CLASSES[1], "label", CLASSES[0], 0.625, "ann", "logistic-20"),
        Labelled("two/three/img_001.jpg", CLASSES[2], prediction=CLASSES[2], score=1.0),
        Labelled("größe 帽/ä ö.png", CLASSES[3]),
        Labelled('q/it\'s "quoted", yes.jpg', CLASSES[4]),
        Labelled("root.JPEG", CLASSES[5]),
        Labelled("p/100%25 %2F.jpg", CLASSES[6]),
        Labelled("p/a:b;c=d&e#f?g+h.jpg", CLASSES[7]),
        Labelled(r"p/caf\xe9.jpg", CLASSES[8]),
        Labelled(".cache/.x.png", CLASSES[9]),
        Labelled("_unlabeled/=1+1.png", CLASSES[10]),
        Labelled("p/ spaces .png", CLASSES[11]),
        Labelled("s/accepted.jpg", CLASSES[1], "accepted", who="bob"),
        Labelled("s/skipped.jpg", status="skip", who="bob"),
        Labelled("s/unsure.jpg", status="unsure", who="bob"),
        Labelled("s/rather.jpg", "hat", status="unsure"),
        Labelled("s/guessed.jpg", prediction="a, b", score=0.25, model="größe 帽"),
        Labelled("s/silent.jpg"),
    ]


def export(name: str, folder: str | Path, items: Sequence[Labelled], **options: Any) -> Path:
    """Write items with images in a format into a folder, and return the path."""
    if "embeddings" in formats[name].write_options:
        import numpy as np

        options["embeddings"] = np.random.default_rng(0).normal(size=(len(items), 3))
    path = Path(folder) / f"labels{formats[name].suffix}"
    return formats[name].write(path, items, example_image, **options)


def example_image(path: str) -> bytes:
    """Return a PNG whose colour depends on the path."""
    file = io.BytesIO()
    Image.new("RGB", (4, 3), (sum(path.encode()) % 256, len(path), 7)).save(file, "PNG")
    return file.getvalue()


def _writes(name: str) -> bool:
    return type(formats[name]).write_items is not Format.write_items


def _reads(name: str) -> bool:
    return type(formats[name]).read_entries is not Format.read_entries


def _require(name: str, *, reads: bool = False, images: bool = False) -> None:
    if not _writes(name):
        raise NotApplicable("the format is read-only")
    if reads and not _reads(name):
        raise NotApplicable("the format is write-only")
    if images and not formats[name].needs_images:
        raise NotApplicable("the format has no images")


def _carried(item: Labelled, carries: frozenset[str]) -> Labelled:
    """Return an item without the fields that a format does not store."""
    if item.status not in {"label", *carries}:
        item = replace(item, status="label", label=item.label if item.is_sure else None)
    if "prediction" not in carries:
        item = replace(item, prediction=None, score=None)
    if "model" not in carries:
        item = replace(item, model=None)
    return item if "who" in carries else replace(item, who=None)


def _by_path(items: Sequence[Labelled]) -> dict[str, Labelled]:
    return {item.path: item for item in items}


@format_checks
def has_a_name_and_a_description(name: str) -> None:
    assert formats[name].name == name
    assert formats.describe()[name].endswith("."), "the docstring must begin with a sentence"
    assert _reads(name) or _writes(name), "the format has neither `read_entries` nor `write_items`"
    suffix = formats[name].suffix
    assert suffix == suffix.lower(), "the suffix must be in lower case"


@format_checks
def exported_labels_are_imported_unchanged(name: str) -> None:
    _require(name, reads=True)
    items, carries = example_items(), formats[name].carries
    expected = [_carried(item, carries) for item in items]
    expected = [item for item in expected if not item.is_empty]
    with tempfile.TemporaryDirectory() as folder:
        path = export(name, folder, items)
        imported = formats[name].read(path)
        assert [entry.name for entry in Path(folder).iterdir()] == [path.name], (
            "the export left more than one file or folder"
        )
    assert _by_path(imported) == _by_path(expected), "the imported items differ from the exported"
    assert len(imported) == len(expected), "an item was read twice"


@format_checks
def imported_labels_match_the_items_of_a_dataset(name: str) -> None:
    _require(name, reads=True)
    items = [Labelled(f"a/{number}.jpg", "hat", prediction="hat", score=0.5) for number in range(3)]
    with tempfile.TemporaryDirectory() as folder:
        path = export(name, folder, items)
        resolver = PathResolver([item.path for item in items])
        try:
            reading = formats[name].read_for(path, resolver)
        except FormatError:
            assert "prediction" in formats[name].carries, "the labels are not imported"
            raise NotApplicable("the format has predictions, which are not imported") from None
    assert {item.path: item.label for item in reading.items} == {item.path: "hat" for item in items}


@format_checks
def paths_outside_the_folder_are_refused(name: str) -> None:
    _require(name)
    for bad in ("../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "", ".", "a\0.png"):
        with tempfile.TemporaryDirectory() as folder:
            with raising(FormatError):
                export(name, folder, [Labelled("a.png", "hat"), Labelled(bad, "hat")])
            left = [entry for entry in Path(folder).rglob("*") if entry.is_file()]
            assert not left, f"files are left after the path {bad!r} was refused"


@format_checks
def class_names_cannot_leave_the_folder(name: str) -> None:
    _require(name, reads=True)
    for label in ("..", "../..", "/etc", "c:", "..\\.."):
        with tempfile.TemporaryDirectory() as folder:
            inside = Path(folder) / "inside"
            inside.mkdir()
            item = Labelled("a.png", label, prediction=label, score=1.0)
            path = export(name, inside, [item])
            assert formats[name].read(path) == [_carried(item, formats[name].carries)]
            assert [entry.name for entry in inside.iterdir()] == [path.name]
            assert [entry.name for entry in Path(folder).iterdir()] == ["inside"]


@format_checks
def inconsistent_items_are_refused(name: str) -> None:
    _require(name)
    bad = [
        Labelled("a.png", " hat"),
        Labelled("a.png", "hat", "skip"),
        Labelled("a.png", "hat", "done"),
        Labelled("a.png", score=0.5),
        Labelled("b.png", "hat"),
    ]
    for item in bad:
        with tempfile.TemporaryDirectory() as folder:
            with raising(FormatError):
                export(name, folder, [Labelled("b.png", "hat"), item])
            assert not list(Path(folder).iterdir()), f"files are left after {item} was refused"


@format_checks
def missing_file_is_refused(name: str) -> None:
    if not _reads(name):
        raise NotApplicable("the format is write-only")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "missing"
        with raising(FormatError, f"there is no file or folder at {path}."):
            formats[name].read(path)


@format_checks
def damaged_file_is_refused_with_its_name(name: str) -> None:
    if not _reads(name) or not formats[name].suffix:
        raise NotApplicable("the format does not read a file")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{formats[name].suffix}"
        path.write_bytes(b"\xff\x00\xfe damaged \xff" * 20)
        try:
            formats[name].read(path)
        except FormatError as error:
            assert path.name in str(error), f"the message does not name the file: {error}"
        else:
            raise AssertionError("the format must refuse bytes of another format")


@format_checks
def unknown_option_is_refused(name: str) -> None:
    known = ", ".join(sorted(formats[name].write_options)) or "none"
    message = f"the format {name} has no option 'colour'. Its options: {known}."
    with raising(UsageError, message):
        formats[name].write("x", [], colour="red")


@format_checks
def wrong_suffix_is_refused(name: str) -> None:
    suffix = formats[name].suffix
    if not suffix:
        raise NotApplicable("the format writes a folder")
    message = f"the format {name} writes a file that ends in {suffix}, not labels.other."
    with raising(UsageError, message):
        formats[name].write("labels.other", [])


@format_checks
def failed_export_keeps_the_earlier_file(name: str) -> None:
    _require(name, reads=True)
    items = example_items()
    with tempfile.TemporaryDirectory() as folder:
        path = export(name, folder, items)
        before = formats[name].read(path)
        with raising(FormatError):
            export(name, folder, [*items, Labelled("../x.png", "hat")])
        if path.is_dir():
            with raising(FormatError, f"{path} already exists. Remove it, or choose another path."):
                export(name, folder, items)
        assert formats[name].read(path) == before


@format_checks
def images_are_required(name: str) -> None:
    _require(name, images=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{formats[name].suffix}"
        with raising(UsageError, f"the format {name} contains the images. Give `open_image`."):
            formats[name].write(path, [Labelled("a.png", "hat")])


@format_checks
def unreadable_image_leaves_no_file(name: str) -> None:
    _require(name, images=True)

    def broken(path: str) -> bytes:
        if path == "b.jpg":
            raise OSError(5, "Input/output error")
        return example_image(path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{formats[name].suffix}"
        with raising(FormatError, "the image 'b.jpg' cannot be read: Input/output error."):
            formats[name].write(path, [Labelled("a.jpg", "hat"), Labelled("b.jpg", "hat")], broken)
        assert not list(Path(folder).iterdir()), "files are left"
