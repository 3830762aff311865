"""Which new names are typing errors of the names of classes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedpipe.labelling.class_names import similar_class

CASES = [
    ("shrit", ["dress", "shirt"], "shirt"),  # swapped
    ("shirts", ["shirt"], "shirt"),  # inserted
    ("shrt", ["shirt"], "shirt"),  # removed
    ("shixt", ["shirt"], "shirt"),  # replaced
    ("SHIRT", ["shirt"], "shirt"),
    ("Hat", ["cap", "hat"], "hat"),  # short names by case only
    ("hat", ["cat", "hats", "bat"], None),
    ("long sleves", ["long sleeves"], "long sleeves"),
    ("long slevs", ["long sleeves"], "long sleeves"),
    ("outwear", ["outerwear"], None),  # two edits, and less than eight letters
    ("outerwaer", ["outerwear"], "outerwear"),
    ("class 1", ["class 2"], None),  # digits are meant
    ("clas 1", ["class 1", "class 2"], "class 1"),
    ("shoe", [], None),
    ("tshirt", ["shirt", "t-shirt"], "t-shirt"),  # only a character that is no letter is missing
    ("long-sleeves", ["long sleeve", "long sleeves"], "long sleeves"),
    ("u\u0308ber", ["Über"], "Über"),
    ("shoes", ["shoe", "shoes"], "shoes"),
    ("boots", ["boats", "roots"], "boats"),  # the first of equally near ones
]


@pytest.mark.parametrize(("name", "classes", "similar"), CASES)
def test_names_that_are_similar(name: str, classes: list[str], similar: str | None) -> None:
    assert similar_class(name, classes) == similar


@given(st.text("abc", min_size=4, max_size=12), st.integers(0, 11), st.integers(0, 3))
def test_every_single_edit_of_a_long_name_is_similar(name: str, at: int, kind: int) -> None:
    at %= len(name)
    edited = (
        name[:at] + "d" + name[at:],
        name[:at] + name[at + 1 :] + ("" if len(name) > 4 else "c"),
        name[:at] + "d" + name[at + 1 :],
        name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    )[kind]
    if kind == 1 and len(name) == 4:
        return
    assert similar_class(edited, [name]) == name
