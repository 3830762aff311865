"""The base class for formats of other packages."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

import embedpipe.labels
from embedpipe.cli.main import app
from embedpipe.errors import FormatError, UsageError
from embedpipe.labels import Entry, Format, Labelled, PathResolver, formats
from tests.conftest import make_image


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the registrations of a test afterwards."""
    monkeypatch.setattr(formats, "_entries", dict(formats._entries))


@pytest.fixture
def pairs() -> Format:
    """The format that the docstring of `embedpipe.labels` shows."""
    text = embedpipe.labels.__doc__ or ""
    _, _, after = text.partition("subclass of `Format`::\n")
    code = textwrap.dedent(after.partition("\n`read_entries`")[0])
    assert len([line for line in code.splitlines() if line.strip()]) < 20
    exec(code, {"__name__": "example"})
    return formats["pairs"]


def test_the_example_is_a_format_of_less_than_20_lines(pairs: Format, tmp_path: Path) -> None:
    items = [
        Labelled("a b/1.jpg", "hat", who="ann"),
        Labelled("2.jpg", "shoe", "unsure"),
        Labelled("3.jpg", status="skip"),
    ]
    file = pairs.write(tmp_path / "labels.txt", items)
    assert file.read_text(encoding="utf-8") == "a b/1.jpg\that\n"
    assert pairs.read(file) == [Labelled("a b/1.jpg", "hat")]
    file.write_text("a%20b/1.jpg\that\n")
    assert pairs.read_for(file, PathResolver(["a b/1.jpg"])).items == [Labelled("a b/1.jpg", "hat")]
    assert formats.describe()["pairs"] == (
        "Text with the path of an item, a tab and its class on each line."
    )


def test_an_export_of_a_foreign_format_is_atomic(pairs: Format, tmp_path: Path) -> None:
    file = pairs.write(tmp_path / "labels.txt", [Labelled("1.jpg", "hat")])
    with pytest.raises(FormatError) as error:
        pairs.write(file, [Labelled("1.jpg")])
    assert str(error.value) == "no labels to write as pairs: none of 1 items has a sure label."
    with pytest.raises(FormatError, match="^the item '../1.jpg': the path "):
        pairs.write(file, [Labelled("../1.jpg", "hat")])
    assert file.read_text(encoding="utf-8") == "1.jpg\that\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"1.jpg\that\n1.jpg\tshoe\n",
            "line 2: '1.jpg' is labelled 'shoe' here, but labelled 'hat' ",
        ),
        (b"../1.jpg\that\n", "line 1: the path '../1.jpg' is outside the folder"),
        (b"\xff\xff", " cannot be read: 'utf-8' codec can't decode byte 0xff in position 0"),
    ],
)
def test_entries_of_a_foreign_format_are_validated(
    pairs: Format, tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    with pytest.raises(FormatError) as error:
        pairs.read(file)
    assert message in str(error.value)
    assert str(file) in str(error.value)


def test_the_command_line_sees_a_foreign_format(
    pairs: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDPIPE_WORKSPACE", str(tmp_path / "workspace"))
    photos, file, copy = (tmp_path / name for name in ("photos", "labels.txt", "copy.txt"))
    photos.mkdir()
    make_image(1).save(photos / "1.jpg")
    pairs.write(file, [Labelled("1.jpg", "hat")])
    for line in (("import", photos, file), ("export", photos, "--output", copy)):
        words = ["labels", *map(str, line), "--format", "pairs", "--json"]
        result = CliRunner().invoke(app, words)
        assert json.loads(result.stdout)["items"] == 1, result.stderr
    assert copy.read_bytes() == file.read_bytes()


def test_a_folder_of_images_with_options_of_its_own(tmp_path: Path) -> None:
    @formats.register("gallery")
    class Gallery(Format):
        """Images by number, and their labels."""

        needs_images = True
        carries = frozenset({"skip"})
        write_options = frozenset({"title"})

        def write_items(self, path, items, options):  # type: ignore[no-untyped-def]
            names = {f"{number}.jpg": item for number, item in enumerate(items)}
            for name, item in names.items():
                options.place_image(path / "images" / name, item.path)
            lines = [f"{name} {item.status} {item.label}" for name, item in names.items()]
            text = "\n".join([options.extra["title"], *options.class_names, *lines])
            (path / "index").write_text(text)

    gallery = formats["gallery"]
    items = [Labelled("a.jpg", "hat", who="ann"), Labelled("b.jpg", "shoe", "unsure")]
    items.append(Labelled("c.jpg", status="skip"))
    folder = gallery.write(tmp_path / "out", items, lambda path: path.encode(), title="Hats")
    assert (folder / "index").read_text() == (
        "Hats\nhat\nshoe\n0.jpg label hat\n1.jpg label None\n2.jpg skip None"
    )
    assert (folder / "images" / "2.jpg").read_bytes() == b"c.jpg"
    with pytest.raises(UsageError) as error:
        gallery.read(folder)
    assert str(error.value) == "the format gallery can only be written."


def test_a_format_that_is_read_alone(tmp_path: Path) -> None:
    @formats.register("votes")
    class Votes(Format):
        """A label for each line."""

        suffix = ".txt"
        read_options = frozenset({"default"})

        def read_entries(self, path, options) -> Iterator[Entry]:  # type: ignore[no-untyped-def]
            options.notes.append("Blank lines have the default.")
            for number, line in enumerate(path.read_text().split("\n"), start=1):
                yield Entry(f"line {number}", f"{number}.jpg", line or options.extra["default"])

    file = tmp_path / "votes.txt"
    file.write_text("hat\n")
    votes = formats["votes"]
    assert [item.label for item in votes.read(file, default="shoe")] == ["hat", "shoe"]
    reading = votes.read_for(file, PathResolver(["1.jpg", "2.jpg"]), default="tie")
    assert (reading.items[1].label, reading.notes) == ("tie", ["Blank lines have the default."])
    with pytest.raises(UsageError) as error:
        votes.write(tmp_path / "new.txt", [Labelled("1.jpg", "hat")])
    assert str(error.value) == "the format votes can only be read."
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        ("embedpipe.labels", "replay", "rebuild_states"),
        ("embedpipe.labels.exchange", "news", "new_events"),
        ("embedpipe.labels.exchange", "serving", "serving_instructions"),
        ("embedpipe.checks", "Checked", "CheckResult"),
    ],
)
def test_old_names_are_aliases(module: str, old: str, new: str) -> None:
    package = import_module(module)
    with pytest.warns(DeprecationWarning, match=f"^`{old}` is now `{new}`.$"):
        assert getattr(package, old) is getattr(package, new)


@pytest.mark.parametrize("line", ["", '@formats.register("twin")\n'])
def test_a_format_of_an_installed_package(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = f"twin_{len(line)}"
    information = tmp_path / f"{module}-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[embedpipe.formats]\ntwin = {module}:Twin\n")
    (tmp_path / f"{module}.py").write_text(
        f"from embedpipe.labels import Format, formats\n{line}"
        "class Twin(Format):\n    '''Nothing but a name.'''\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(formats, "_installed", None)
    assert "twin" in formats
    assert isinstance(formats["twin"], Format)
    assert (formats["twin"].name, formats.describe()["twin"]) == ("twin", "Nothing but a name.")
