"""Damaged files of every format give valid labels or one clear error; 3,000 in all."""

from __future__ import annotations

import os
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedpipe.errors import FormatError
from embedpipe.labels.exchange import formats, read_lightly_embeddings
from embedpipe.labels.exchange.entries import check_items

QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
THOROUGH = settings(QUICK, max_examples=250)

WHERE = {
    "csv": r", line \d+: ",
    "jsonl": r", line \d+: ",
    "huggingface": r", line \d+: ",
    "lightly": r", (after )?line \d+: |classes.json",
    "label-studio": r", line \d+: |, task .*: | is not a list of tasks|: (no task|no answer)",
    "lightly-predictions": r"\.json",
    "imagefolder": r", file .*: | contains no images",
    "fiftyone": r", file .*: | contains no images",
    "cvat": r", file .*: | cannot be read as a zip archive| contains no images",
    "parquet": r", row \d+: | is not a valid Parquet file: |: the column |: no columns? ",
}
"""Pattern of the place in the message about a damaged file."""

TREES = ("imagefolder", "fiftyone")


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """Change, remove, insert or cut off some bytes."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from([0, 1, 1, 1, 8])))
        kind = draw(st.sampled_from(["change", "insert", "remove", "cut", "repeat"]))
        some = draw(st.binary(min_size=1, max_size=4) | st.sampled_from(TROUBLE))
        middle = {
            "change": some[: max(1, end - start)],
            "insert": some,
            "remove": b"",
            "cut": b"",
            "repeat": data[start : start + 40] * 2,
        }[kind]
        if kind == "insert":
            end = start
        rest = b"" if kind == "cut" else data[end:]
        data = data[:start] + middle + rest
    return data


TROUBLE = [
    *(b"\n", b"\r", b'"', b",", b"\0", b"\xff", b"../", b"/", b"\\", b"{", b"}", b"[", b"]"),
    *(
        b"null",
        b"true",
        b"-1",
        b"1e999",
        b"NaN",
        b'\\ud800"',
        b"%2E%2E%2F",
        b"9" * 5000,
        b"[" * 3000,
    ),
]


@pytest.fixture(scope="module", params=list(formats))
def exported(request, tmp_path_factory, items, export):
    """The name of a format, an export, and its items."""
    path = export(request.param, tmp_path_factory.mktemp("exported"), items)
    return request.param, path, formats[request.param].read(path)


def read_or_error(name, path):
    """Return the valid labels; None after an error with a place."""
    try:
        found = formats[name].read(path)
    except FormatError as error:
        assert re.search(WHERE[name], str(error)), str(error)
        assert str(path) in str(error) or str(path.parent) in str(error)
        assert "\n" not in str(error).replace(str(path), "")
        return None
    check_items(found)
    return found


@QUICK
@given(data=st.data())
def test_a_damaged_file(exported, data):
    damage_once(exported, data)


@pytest.mark.slow
@THOROUGH
@given(data=st.data())
def test_many_damaged_files(exported, data):
    damage_once(exported, data)


def damage_once(exported, data):
    name, path, intact = exported
    if name in TREES:
        damaged_tree(name, path, data)
        return
    files = [path] if path.is_file() else sorted(text_files(path))
    file = data.draw(st.sampled_from(files))
    before = file.read_bytes()
    try:
        file.write_bytes(data.draw(damaged(before)))
        found = read_or_error(name, path)
        if name == "lightly":
            read_vectors_or_error(path)
        if name == "cvat" and found is not None:
            assert found == intact
    finally:
        file.write_bytes(before)
    assert formats[name].read(path) == intact


def text_files(folder):
    return [file for file in folder.rglob("*") if file.suffix in (".csv", ".json")]


def read_vectors_or_error(path):
    try:
        paths, matrix, labels = read_lightly_embeddings(path)
    except FormatError as error:
        assert re.search(r"line \d+: |contains no rows", str(error))
    else:
        assert matrix.shape == (len(paths), matrix.shape[1])
        assert labels.shape == (len(set(paths)),)


def damaged_tree(name, path, data):
    """The labels of a tree are in its names: rename a file or a folder of it."""
    file = data.draw(st.sampled_from(sorted(path.rglob("*"))))
    other = data.draw(damaged(file.name.encode())).replace(b"/", b"").replace(b"\0", b"")[:200]
    renamed = file.parent / os.fsdecode(other)  # may be no Unicode
    if other in (b"", b".", b"..") or renamed.exists():
        return
    file.rename(renamed)
    try:
        read_or_error(name, path)
    finally:
        renamed.rename(file)
