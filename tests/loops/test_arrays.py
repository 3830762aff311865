"""Label arrays, and random numbers for rows."""

from __future__ import annotations

import numpy as np
import pytest

from embedpipe._loops.arrays import is_labelled, known_labels, plain_labels, uniform_of_rows
from embedpipe.errors import LabelError


def test_objects_and_bytes_become_strings():
    assert plain_labels(np.array(["hat", "shoe"], dtype=object), "y").dtype.kind == "U"
    assert plain_labels(np.array([b"hat", b"shoe"]), "y").tolist() == ["hat", "shoe"]


def test_known_labels_omits_rows_without_a_label_and_plain_labels_refuses_them():
    known, labels = known_labels(["hat", None, "shoe", " "], "y")
    assert known.tolist() == [True, False, True, False]
    assert labels.tolist() == ["hat", "shoe"]
    with pytest.raises(LabelError) as error:
        plain_labels(["hat", None], "y")
    assert str(error.value) == "row 1 of y has no label: leave out rows without a label."


def test_is_labelled_is_false_for_missing_answers():
    assert is_labelled(np.array(["hat", None], dtype=object)).tolist() == [True, False]


def test_the_random_number_of_a_row_does_not_depend_on_other_rows():
    both = uniform_of_rows([7, 3], 0, "noise")
    assert both[1] == uniform_of_rows([3], 0, "noise")[0] != both[0]
