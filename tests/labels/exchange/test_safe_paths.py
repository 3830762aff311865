"""Escaped file names, and paths inside the folder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.labels.exchange.safe_paths import escape, escape_path, tidy_path, unescape

letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0/")


def test_names_and_their_escapes():
    assert [escape(name) for name in ("t-shirt", "and/or", "..")] == ["t-shirt", "and%2For", "%2E."]
    assert [unescape(name) for name in ("and%2For", "50% a%20b")] == ["and/or", "50% a%20b"]
    paths = ("a/b:c.jpg", "/data/1.jpg", "../1.jpg")
    assert [escape_path(path) for path in paths] == ["a/b%3Ac.jpg", "%2Fdata/1.jpg", "%2E./1.jpg"]


@given(st.text(letters | st.sampled_from("%/\\:.25F"), min_size=1))
def test_an_escaped_name_is_one_part_and_is_reversible(name):
    safe = escape(name)
    assert unescape(safe) == name
    assert not set(safe) & set("/\\:")
    assert not safe.startswith(".")


def test_a_path_becomes_an_id_or_is_refused():
    assert tidy_path("./hats//1.jpg") == "hats/1.jpg"
    with pytest.raises(ValueError) as error:
        tidy_path("..\\1.jpg")
    assert str(error.value) == (
        "the path '..\\\\1.jpg' is outside the folder; expected a relative path without '..'"
    )
