"""Rows of labels, and messages about unknown paths."""

import numpy as np
import pytest

from embedpipe.datasets.path_messages import Counted
from embedpipe.errors import LabelError
from embedpipe.labels import PathResolver, resolve_labels, rows_for

IDS = ["hats/001.jpg", "shoes/001.jpg", "shoes/002.JPG", "bags/new/007.jpg"]


def error_of(labels, ids=IDS):
    with pytest.raises(LabelError) as error:
        rows_for(labels, ids)
    return str(error.value)


def test_rows_ascend_for_any_order_of_the_labels():
    rows, labels = rows_for({"bags/new/007.jpg": "bag", "hats/001.jpg": "hat"}, IDS)
    assert rows.dtype == np.int64
    assert rows.tolist() == [0, 3]
    assert labels.tolist() == ["hat", "bag"]


def test_no_labels_give_no_rows():
    rows, labels = rows_for({}, IDS)
    assert (rows.shape, rows.dtype, labels.shape) == ((0,), np.int64, (0,))
    assert rows_for({}, [])[0].shape == (0,)


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("007.jpg", " (did you mean 'bags/new/007.jpg'?)"),
        ("shoes/002.jpg", " (did you mean 'shoes/002.JPG'?)"),
        ("shoes\\001.jpg", " (did you mean 'shoes/001.jpg'?)"),
        ("/home/me/shoes/001.jpg", " (did you mean 'shoes/001.jpg'?)"),
        ("./hats/001.jpg", " (did you mean 'hats/001.jpg'?)"),
        ("001.jpg", ""),
        ("999.jpg", ""),
    ],
)
def test_suggestions_for_unknown_paths(path, hint):
    assert error_of({path: "hat"}) == (
        f"1 of 1 labelled paths is not in the dataset: {path!r}{hint}. "
        "Paths must be relative to the dataset's folder, such as 'hats/001.jpg'. "
        "Remove the rows of deleted images."
    )


def test_three_unknown_paths_are_listed_and_the_others_counted():
    labels = {"hats/001.jpg": "hat", **{f"x{i}.jpg": "hat" for i in range(5)}}
    assert error_of(labels) == (
        "5 of 6 labelled paths are not in the dataset: 'x0.jpg', 'x1.jpg', 'x2.jpg' and 2 more. "
        "Paths must be relative to the dataset's folder, such as 'hats/001.jpg'. "
        "Remove the rows of deleted images."
    )


def test_a_dataset_without_items():
    assert error_of({"a": "hat", "b": "hat"}, []) == (
        "none of the 2 labelled paths is in the dataset, which has no images."
    )


def test_a_name_in_another_unicode_form_is_explained():
    message = error_of({"Cafe\u0301.jpg": "hat"}, ["Caf\u00e9.jpg"])
    assert message == (
        "1 of 1 labelled paths is not in the dataset: 'Cafe\u0301.jpg' (did you mean "
        "'Caf\u00e9.jpg'? The two differ only in their Unicode form). Paths must be relative to "
        "the dataset's folder, such as 'Caf\u00e9.jpg'. Remove the rows of deleted images."
    )


def test_paths_of_other_programs_are_resolved():
    resolver = PathResolver([*IDS, " a b.jpg", "Caf\u00e9.jpg"], folder="/data/photos")
    labels = {
        "hats\\001.jpg": "hat",
        "/mnt/photos/shoes/001.jpg": "shoe",
        "a%20b.jpg": "bag",
        "Cafe\u0301.jpg": "cup",
        "001.jpg": "tie",
    }
    found, rewritten = resolve_labels(labels, resolver)
    assert found == {
        "hats/001.jpg": "hat",
        "shoes/001.jpg": "shoe",
        " a b.jpg": "bag",
        "Caf\u00e9.jpg": "cup",
        "001.jpg": "tie",
    }
    assert rewritten["backslashes read as slashes"] == Counted(
        1, "'hats\\\\001.jpg' is 'hats/001.jpg'"
    )
    assert len(rewritten) == 4
    with pytest.raises(LabelError) as error:
        resolve_labels({"hats/001.jpg": "hat", "hats\\001.jpg": "tie"}, resolver)
    assert str(error.value) == (
        "'hats\\\\001.jpg' is the item 'hats/001.jpg', which is labelled 'tie' and 'hat'. Keep one "
        "of the two."
    )
