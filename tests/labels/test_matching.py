"""Labels find their rows, and strangers are explained."""

import numpy as np
import pytest

from embedpipe.errors import LabelError
from embedpipe.labels import rows_for

IDS = ["hats/001.jpg", "shoes/001.jpg", "shoes/002.JPG", "bags/new/007.jpg"]


def error_of(labels, ids=IDS):
    with pytest.raises(LabelError) as error:
        rows_for(labels, ids)
    return str(error.value)


def test_rows_ascend_whatever_the_order_of_the_labels():
    rows, labels = rows_for({"bags/new/007.jpg": "bag", "hats/001.jpg": "hat"}, IDS)
    assert rows.dtype == np.int64
    assert rows.tolist() == [0, 3]
    assert labels.tolist() == ["hat", "bag"]


def test_no_labels_are_no_rows():
    rows, labels = rows_for({}, IDS)
    assert (rows.shape, rows.dtype, labels.shape) == ((0,), np.int64, (0,))
    assert rows_for({}, [])[0].shape == (0,)


@pytest.mark.parametrize(
    ("path", "meant"),
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
def test_what_may_be_meant(path, meant):
    assert error_of({path: "hat"}) == (
        f"1 of 1 labelled paths is not in the dataset: {path!r}{meant}. "
        "An id is a path relative to the dataset's folder, such as 'hats/001.jpg'."
    )


def test_three_strangers_are_named_and_the_others_counted():
    labels = {"hats/001.jpg": "hat", **{f"x{i}.jpg": "hat" for i in range(5)}}
    assert error_of(labels) == (
        "5 of 6 labelled paths are not in the dataset: 'x0.jpg', 'x1.jpg', 'x2.jpg' and 2 more. "
        "An id is a path relative to the dataset's folder, such as 'hats/001.jpg'."
    )


def test_a_dataset_without_items():
    assert error_of({"a": "hat", "b": "hat"}, []) == (
        "none of the 2 labelled paths is in the dataset: it has no items."
    )
