"""Ids of file names."""

import os
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedpipe.datasets import load_dataset
from embedpipe.datasets.identifiers import decode_id, encode_id


@given(st.binary())
@example(rb"caf\xe9" + b"\xe9")
@example(rb"\x5c\x5cx80\\x80")
def test_every_name_has_a_unicode_id_that_decodes_to_it(raw):
    name = raw.decode("utf-8", "surrogateescape")
    encoded = encode_id(name)
    encoded.encode("utf-8")
    assert decode_id(encoded) == name


@given(st.text())
def test_text_without_a_backslash_is_its_own_id(text):
    name = text.replace("\\", "").encode("utf-8", "ignore").decode()
    assert encode_id(name) == name


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_file_whose_name_is_not_utf8_is_listed_and_read(tmp_path, make):
    (content,) = make(tmp_path, ["x.png"]).values()
    (tmp_path / "x.png").rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    dataset = load_dataset(tmp_path)
    assert [item.id for item in dataset.items] == ["caf\\xe9.png"]
    assert dataset.source.read_one("caf\\xe9.png") == content


def test_bytes_that_are_not_utf8_are_escaped():
    assert encode_id("Größe 50%/a b.jpg") == "Größe 50%/a b.jpg"
    raw = b"caf\xe9.jpg"
    assert encode_id(raw.decode("utf-8", "surrogateescape")) == "caf\\xe9.jpg"
    assert decode_id("caf\\xe9.jpg").encode("utf-8", "surrogateescape") == raw
