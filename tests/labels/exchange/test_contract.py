"""The contract of every registered format."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import FormatError
from embedpipe.labels import PathResolver
from embedpipe.labels.exchange import Labelled, formats
from embedpipe.labels.exchange.safe_paths import tidy_path
from embedpipe.testing import format_checks

every_format = pytest.mark.parametrize("name", list(formats))
with_images = pytest.mark.parametrize("name", [n for n in formats if formats[n].needs_images])

EVERYTHING = {"accepted", "skip", "unsure", "prediction", "score", "who", "model"}
CARRIES = {
    "csv": EVERYTHING,
    "jsonl": EVERYTHING,
    "parquet": EVERYTHING,
    "imagefolder": set(),
    "fiftyone": set(),
    "cvat": set(),
    "huggingface": set(),
    "lightly": set(),
    "lightly-predictions": {"prediction", "score"},
    "label-studio": {"skip", "prediction", "score", "who", "model"},
}


@every_format
@pytest.mark.parametrize("check", format_checks, ids=lambda check: check.__name__)
def test_contract(name, check):
    check(name)


def by_path(items):
    return {item.path: item for item in items}


def test_the_formats_are_those_that_are_documented():
    assert set(formats) == set(CARRIES)
    assert {name: set(formats[name].carries) for name in formats} == CARRIES
    page = Path(__file__).parents[3] / "docs" / "reference" / "label-formats.md"
    for name in formats:
        assert f"`{name}`" in page.read_text(encoding="utf-8")


letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")
names = st.text(letters, min_size=1, max_size=12)
paths = st.builds("{}/{}.png".format, names, names)
letters_of_labels = st.characters(
    exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"
)
labels = st.text(letters_of_labels, max_size=12).map(str.strip)


def is_tidy(path):
    try:
        return tidy_path(path) == path
    except ValueError:
        return False


@every_format
@settings(max_examples=40, deadline=None)
@given(mapping=st.dictionaries(paths.filter(is_tidy), labels.filter(bool), min_size=1, max_size=4))
def test_any_names_are_read_back(name, export, mapping):
    given_items = [Labelled(path, label) for path, label in mapping.items()]
    with TemporaryDirectory() as folder:
        assert by_path(formats[name].read(export(name, Path(folder), given_items))) == by_path(
            given_items
        )


ESCAPES = [
    "../x.png",
    "a/../../x.png",
    "/etc/x.png",
    "C:/x.png",
    "a\\..\\x.png",
    "\\x.png",
]
BAD = [*ESCAPES, "a\0.png", "", " ", ".", "\ud800.png"]


@every_format
@pytest.mark.parametrize("path", BAD)
def test_a_path_that_leaves_the_folder_is_not_written(name, path, tmp_path, export):
    inside = tmp_path / "deep" / "inside"
    inside.mkdir(parents=True)
    with pytest.raises(FormatError, match="^the item .*: the path "):
        export(name, inside, [Labelled("a.png", "hat"), Labelled(path, "hat")])
    assert [entry for entry in tmp_path.rglob("*") if entry.is_file()] == []


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            Labelled("a.png", " hat"),
            "the item 'a.png' would be read differently: as "
            "Labelled(path='a.png', label='hat', status='label', prediction=None, score=None, "
            "who=None, model=None).",
        ),
        (
            Labelled("a.png", "hat", "skip"),
            "the item 'a.png': the status is skip, but there is a label, 'hat'. Remove one of the "
            "two.",
        ),
        (
            Labelled("a.png", "hat", "done"),
            "the item 'a.png': the status is 'done'; expected label, accepted, skip, unsure or "
            "blank.",
        ),
        (
            Labelled("a.png", status="accepted"),
            "the item 'a.png': the status is accepted, but there is no label. Add the label.",
        ),
        (
            Labelled("a.png", score=0.5),
            "the item 'a.png': there is a score, 0.5, but no prediction.",
        ),
        (
            Labelled("a.png", "hat", model="m"),
            "the item 'a.png': there is a model, 'm', but no prediction.",
        ),
        (
            Labelled("a.png", prediction="hat", score=float("nan")),
            "the item 'a.png': the score is nan; expected a finite number.",
        ),
        (Labelled("b.png", "hat"), "the item 'b.png' occurs twice. Keep one of the two."),
    ],
)
def test_invalid_items_are_refused_by_every_format(tmp_path, export, item, message):
    for name in formats:
        with pytest.raises(FormatError) as error:
            export(name, tmp_path, [Labelled("b.png", "hat"), item])
        assert str(error.value) == message
    assert list(tmp_path.iterdir()) == []


@with_images
def test_a_killed_writer_leaves_no_export(name, tmp_path):
    path = tmp_path / f"labels{formats[name].suffix}"
    script = (
        "import os, sys\n"
        "from embedpipe.labels.exchange import Labelled, formats\n"
        "items = [Labelled(f'{n}.png', 'hat') for n in range(5)]\n"
        "kill = lambda path: os.kill(os.getpid(), 9) if path == '3.png' else b'image'\n"
        f"formats[{name!r}].write({str(path)!r}, items, kill)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -9
    assert not path.exists()
    assert all(entry.name.startswith(".tmp-") for entry in tmp_path.iterdir())


@with_images
def test_frames_crops_and_rows_are_written_as_png(name, tmp_path, export):
    ids = ["a.txt", "clips/b.mp4#t=12.0", "c.jpg#xywh=1,2,3,4", "train-0.parquet/000001"]
    path = export(name, tmp_path, [Labelled(each, "hat") for each in ids])
    reading = formats[name].read_for(path, PathResolver(ids))
    assert {item.path: item.label for item in reading.items} == dict.fromkeys(ids, "hat")


@with_images
def test_an_item_without_an_image_is_refused(name, tmp_path):
    path = tmp_path / f"labels{formats[name].suffix}"
    with pytest.raises(FormatError) as error:
        formats[name].write(path, [Labelled("a.txt", "hat")], lambda _: b"text")
    assert str(error.value) == "`a.txt` is not an image in a supported format."
    assert not path.exists()
