"""The predictions of the heads of a round, and their table in the folder of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .sample import Predictions

__all__ = ["PREDICTIONS", "Predicted", "RoundPredictions"]

PREDICTIONS = pa.schema(
    [
        pa.field("round", pa.int32()),
        pa.field("classes", pa.string()),
        pa.field("test", pa.list_(pa.int32())),
        pa.field("before", pa.list_(pa.int32())),
        pa.field("before_probability", pa.list_(pa.float32())),
        pa.field("after", pa.list_(pa.int32())),
        pa.field("after_probability", pa.list_(pa.float32())),
    ]
)
"""Columns of ``predictions.parquet``, one row for each round. `classes` is a JSON list of labels;
the other integers are positions in this list. A list is null without a head."""


class Predicted(NamedTuple):
    """The most probable class of each of (k,) rows, and its probability."""

    codes: NDArray[np.int32]
    """(k,) positions in `RoundPredictions.classes`."""
    probabilities: NDArray[np.float32]
    """(k,) probabilities, from 0 to 1."""

    @classmethod
    def of(cls, predictions: Predictions, classes: NDArray[Any]) -> Predicted:
        """Return the most probable classes as positions in `classes`."""
        code_of = {label: code for code, label in enumerate(classes.tolist())}
        codes = np.array([code_of[label] for label in predictions.classes.tolist()], np.int32)
        best = predictions.probabilities.argmax(axis=1)  # (k,)
        highest = predictions.probabilities[np.arange(len(best)), best]  # (k,)
        return cls(codes[best], highest.astype(np.float32))


@dataclass(frozen=True)
class RoundPredictions:
    """Predicted classes for the test rows and for the picks of a round.

    Attributes
    ----------
    classes
        (C,) labels of the candidates and of the test rows, sorted.
    test
        (t,) int32 class of each test row after the round, as a position in `classes`; None without
        test rows or without a head.
    before
        Prediction for each of the (n,) picks by the head that the strategy could use; None before
        the first label.
    after
        Prediction for each pick by the head that was trained on it; None without a label.
    """

    classes: NDArray[Any]
    test: NDArray[np.int32] | None
    before: Predicted | None
    after: Predicted | None

    def table(self, number: int) -> pa.Table:
        """Return the row of round `number`."""
        values: dict[str, Any] = {
            "round": number,
            "classes": json.dumps(self.classes.tolist()),
            "test": self.test,
        }
        for name in ("before", "after"):
            found: Predicted | None = getattr(self, name)
            values[name] = None if found is None else found.codes
            values[f"{name}_probability"] = None if found is None else found.probabilities
        return pa.table({name: [values[name]] for name in PREDICTIONS.names}, PREDICTIONS)

    @classmethod
    def by_round(cls, table: pa.Table) -> dict[int, RoundPredictions]:
        """Return the predictions in a table by the number of their round."""
        return {
            row["round"]: cls._of_row(row) for row in table.select(PREDICTIONS.names).to_pylist()
        }

    @classmethod
    def _of_row(cls, row: dict[str, Any]) -> RoundPredictions:
        before, after = (
            None
            if row[name] is None
            else Predicted(
                np.array(row[name], np.int32), np.array(row[f"{name}_probability"], np.float32)
            )
            for name in ("before", "after")
        )
        test = None if row["test"] is None else np.array(row["test"], np.int32)
        return cls(np.array(json.loads(row["classes"])), test, before, after)
