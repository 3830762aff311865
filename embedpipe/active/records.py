"""The record of a round, and the folder of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._files import count_rows, locked, read_parquet, write_parquet
from .._html import result_html
from .._loops.arrays import is_labelled
from .._loops.runs import damaged_run, unwritable_run, write_config
from .round_predictions import RoundPredictions

__all__ = ["FORMAT", "RoundRecord", "RunFolder", "area_under_budget_curve", "unpacked"]

FORMAT = 2

_ROUNDS = pa.schema(
    [
        pa.field("round", pa.int32()),
        pa.field("labelled", pa.int64()),
        pa.field("accuracy", pa.float64()),
        pa.field("macro_f1", pa.float64()),
        pa.field("select_seconds", pa.float64()),
        pa.field("fit_seconds", pa.float64()),
        pa.field("strategy", pa.string()),
        pa.field("head", pa.string()),
        pa.field("diagnostics", pa.string()),
        pa.field("balanced_accuracy", pa.float64()),
        pa.field("ece", pa.float64()),
        pa.field("cost", pa.float64()),
        pa.field("advice", pa.string()),
        pa.field("expected_accuracy", pa.float64()),
        pa.field("expected_accuracy_ci", pa.list_(pa.float64(), 2)),
        pa.field("test_set", pa.string()),
        pa.field("tested", pa.int32()),
        pa.field("correct", pa.binary()),
        pa.field("rest_accuracy", pa.float64()),
    ]
)
_PICKS = pa.schema(
    [
        pa.field("round", pa.int32()),
        pa.field("rank", pa.int32()),
        pa.field("row", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("label", pa.string()),
    ]
)


_TEXTS = ("head", "diagnostics", "advice")
"""Columns that hold JSON."""


@dataclass(frozen=True)
class RoundRecord:
    """One round: its picks, and the measures of the head after it.

    Attributes
    ----------
    round
        Number of the round; 0 is the round of the first batch.
    labelled
        Number of labels after the round; unanswered questions do not count.
    accuracy, macro_f1, balanced_accuracy, ece
        Measures on the test rows, see `Scores`; None without test rows or before the first label.
    select_seconds, fit_seconds
        Seconds of selection and of fitting, including the search for the regularisation.
    strategy
        Strategy that selected the picks, as text.
    rows
        (n,) int64 rows of the matrix that were picked, in order of selection.
    scores, labels
        (n,) float32 acquisition scores of the picks, and (n,) answers of the oracle. An answer is
        None if the oracle abstained.
    head
        Attributes of the fitted head, such as its regularisation.
    diagnostics
        Numbers and texts that the strategy reported; only the last value of an array is stored.
    cost
        Cost of all questions so far; 1 for each question by default, see `OracleOptions`.
    advice
        Advice on stopping; see ``docs/how-to/decide-when-to-stop.md``.
    expected_accuracy, expected_accuracy_ci
        Expected accuracy on the candidates without a label, and its 90 % interval; None if it is
        unknown. See ``docs/explanation/expected-accuracy.md``.
    correct
        (t,) bool: whether the prediction of each test row is right. None without test rows, before
        the first label, and in stored rounds of earlier versions. Stored as one bit for each test
        row.
    rest_accuracy
        Measured accuracy on the candidates without a label, or on 2,000 random ones of them. The
        dataset's labels of these candidates are used for nothing else.
    test_set
        `Problem.test_set`; None in stored rounds of earlier versions.
    predictions
        Predictions for the test rows and the picks; None in stored rounds of earlier versions and
        of experiments, and if the loop does not keep them.
    """

    round: int
    labelled: int
    accuracy: float | None
    macro_f1: float | None
    select_seconds: float
    fit_seconds: float
    strategy: str
    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    labels: NDArray[Any]
    head: dict[str, Any]
    diagnostics: dict[str, Any]
    balanced_accuracy: float | None = None
    ece: float | None = None
    cost: float = 0.0
    advice: dict[str, Any] = field(default_factory=dict)
    expected_accuracy: float | None = None
    expected_accuracy_ci: tuple[float, float] | None = None
    correct: NDArray[np.bool_] | None = field(default=None, repr=False, compare=False)
    rest_accuracy: float | None = None
    test_set: str | None = None
    predictions: RoundPredictions | None = field(default=None, repr=False, compare=False)

    @property
    def loss(self) -> float | None:
        """The training loss of the head; None for heads without one."""
        loss = self.head.get("loss")
        return None if loss is None else float(loss)

    def __str__(self) -> str:
        quality = "no test split"
        if self.accuracy is not None and self.macro_f1 is not None:
            quality = f"accuracy {self.accuracy:.4f}   macro-F1 {self.macro_f1:.4f}"
        return (
            f"round {self.round:>3}   {self.labelled:>6} labels   {quality}   "
            f"{self.strategy} {self.select_seconds:.2f} s, fit {self.fit_seconds:.2f} s"
        )

    def _repr_html_(self) -> str:
        low, high = self.expected_accuracy_ci or (None, None)
        facts = [
            ("strategy", self.strategy),
            ("accuracy", self.accuracy),
            ("macro-F1", self.macro_f1),
            ("expected accuracy", self.expected_accuracy),
            ("90 % interval", None if low is None else f"{low:.3f} to {high:.3f}"),
            ("advice", self.advice.get("reason")),
        ]
        labels = (None if label is None else str(label) for label in self.labels.tolist())
        picks = zip(
            range(1, len(self.rows) + 1), self.rows.tolist(), labels, self.scores.tolist(),
            strict=True,
        )  # fmt: skip
        title = f"Round {self.round}: {self.labelled:,} labels"
        headings = ["rank", "row", "label", "score"]
        return result_html(title, facts, headings, picks, n_rows=len(self.rows))

    def summary(self) -> dict[str, Any]:
        """Return the measures of the round as JSON, with the keys of the ``--json`` output."""
        return {
            "round": self.round,
            "labelled": self.labelled,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "select_seconds": round(self.select_seconds, 4),
            "fit_seconds": round(self.fit_seconds, 4),
            "balanced_accuracy": self.balanced_accuracy,
            "ece": self.ece,
            "cost": self.cost,
            "loss": self.loss,
            "advice": self.advice,
            "expected_accuracy": self.expected_accuracy,
            "expected_accuracy_ci": self.expected_accuracy_ci and [*self.expected_accuracy_ci],
            "rest_accuracy": self.rest_accuracy,
        }


def area_under_budget_curve(labelled: Sequence[int], accuracy: Sequence[float]) -> float:
    """Return the area under the budget curve divided by its width: the mean accuracy.

    The numbers of labels must ascend.

    Examples
    --------
    >>> area_under_budget_curve([100, 200, 400], [0.5, 0.7, 0.8])
    0.7
    """
    if len(labelled) == 1:
        return float(accuracy[0])
    width = labelled[-1] - labelled[0]
    return round(float(np.trapezoid(accuracy, labelled)) / width, 12)


class RunFolder:
    """A stored run.

    A round is stored once ``rounds.parquet`` contains it. The predictions and the picks of a round
    are written first, so a killed process can leave them without a round. They are ignored then.
    ``predictions.parquet`` is missing if no round has predictions. Several processes
    can read and write the same run: a lock protects the files, and the number of stored rounds
    never decreases.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        # Tables of the rounds that were written, so that each table is made only once.
        self._tables: dict[int, tuple[RoundRecord, pa.Table, pa.Table, pa.Table | None]] = {}

    def _stored_rounds(self) -> int:
        try:
            return count_rows(self.path / "rounds.parquet")
        except (pa.ArrowException, OSError):  # a missing or damaged file is written again
            return 0

    def start(self, config: dict[str, Any]) -> None:
        """Write the configuration of the run; raise an error if the folder has another run."""
        write_config(self.path, {"format": FORMAT, **config})

    def read(self) -> list[RoundRecord]:
        """Return the finished rounds."""
        if not (self.path / "rounds.parquet").exists():
            return []
        try:
            with locked(self.path):
                rounds = read_parquet(self.path / "rounds.parquet").to_pylist()
                picks = read_parquet(self.path / "picks.parquet").to_pylist()
                predictions = self._predictions()
        except (pa.ArrowException, OSError) as error:
            raise damaged_run(self.path, error) from error
        by_round: dict[int, list[dict[str, Any]]] = {}
        for pick in picks:
            by_round.setdefault(pick["round"], []).append(pick)
        records = [
            _record(row, by_round.get(row["round"], []), predictions.get(row["round"]))
            for row in rounds
        ]
        counts = np.cumsum([is_labelled(record.labels).sum() for record in records])
        if [record.labelled for record in records] != counts.tolist():
            raise damaged_run(self.path, "its picks do not fit its rounds")
        return records

    def write(self, records: list[RoundRecord], ids: Sequence[str] | None) -> None:
        """Write all rounds so far, unless they are stored; `ids` are the item ids of all rows."""
        self._tables = {
            id(record): self._tables.get(id(record)) or (record, *_table(record, ids))
            for record in records
        }
        rounds, picks = (
            pa.concat_tables([tables[place] for tables in self._tables.values()]).combine_chunks()
            for place in (1, 2)
        )
        predictions = [row for *_, row in self._tables.values() if row is not None]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                if self._stored_rounds() >= len(records):
                    return  # another process has stored these rounds
                if predictions:
                    write_parquet(self.path / "predictions.parquet", pa.concat_tables(predictions))
                write_parquet(self.path / "picks.parquet", picks)
                write_parquet(self.path / "rounds.parquet", rounds)
        except OSError as error:
            raise unwritable_run(self.path, error) from error

    def _predictions(self) -> dict[int, RoundPredictions]:
        """Return the stored predictions by the number of their round."""
        path = self.path / "predictions.parquet"
        return RoundPredictions.by_round(read_parquet(path)) if path.exists() else {}


def _table(
    record: RoundRecord, ids: Sequence[str] | None
) -> tuple[pa.Table, pa.Table, pa.Table | None]:
    """Return tables with the round, its picks and its predictions."""
    n = len(record.rows)
    picks = {
        "round": np.full(n, record.round, np.int32),
        "rank": np.arange(n, dtype=np.int32),
        "row": record.rows,
        "id": [None] * n if ids is None else [ids[row] for row in record.rows.tolist()],
        "score": record.scores,
        "label": [json.dumps(label) for label in record.labels.tolist()],
    }
    texts = {name: json.dumps(getattr(record, name), sort_keys=True) for name in _TEXTS}
    values = vars(record) | texts | _packed(record.correct)
    row = {name: [values[name]] for name in _ROUNDS.names}
    predictions = None if record.predictions is None else record.predictions.table(record.round)
    return pa.table(row, _ROUNDS), pa.table(picks, _PICKS), predictions


def _packed(correct: NDArray[np.bool_] | None) -> dict[str, Any]:
    """Return the columns of `RoundRecord.correct`: the number of test rows, and one bit each."""
    if correct is None:
        return {"tested": None, "correct": None}
    return {"tested": correct.size, "correct": np.packbits(correct).tobytes()}


def unpacked(tested: int | None, correct: bytes | None) -> NDArray[np.bool_] | None:
    """Return `RoundRecord.correct` from its columns."""
    if tested is None or correct is None:
        return None
    return np.unpackbits(np.frombuffer(correct, np.uint8), count=tested).astype(np.bool_)


def _record(
    row: dict[str, Any], picks: list[dict[str, Any]], predictions: RoundPredictions | None
) -> RoundRecord:
    interval = row.get("expected_accuracy_ci")  # runs of earlier versions have none
    tested, correct = row.pop("tested", None), row.pop("correct", None)
    return RoundRecord(
        **row
        | {
            "rows": np.array([pick["row"] for pick in picks], np.int64),
            "scores": np.array([pick["score"] for pick in picks], np.float32),
            "labels": np.array([json.loads(pick["label"]) for pick in picks]),
        }
        | {name: json.loads(row[name]) for name in _TEXTS}
        | {"expected_accuracy_ci": None if interval is None else tuple(interval)}
        | {"correct": unpacked(tested, correct), "predictions": predictions}
    )
