"""From labels by item id to rows of the matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embedding import Embeddings
from ..labels import rows_for

__all__ = ["rows_of_labels"]


def rows_of_labels(
    embeddings: Embeddings, labels: Mapping[str, str]
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return the rows that are labelled, ascending, and their labels.

    Labels of items that could not be embedded are left out: those items have no row.

    Raises
    ------
    LabelError
        If a label's id is not in the dataset.
    """
    rows_for(labels, [item.id for item in embeddings.dataset.items])
    failed = {failure.path for failure in embeddings.failures}
    usable = {item_id: label for item_id, label in labels.items() if item_id not in failed}
    return rows_for(usable, [item.id for item in embeddings.items])
