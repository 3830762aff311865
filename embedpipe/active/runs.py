"""The folder of a run: what it was asked, its rounds, its picks; each file whole or not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .._files import write_atomically
from ..errors import RunError
from .records import RoundRecord

__all__ = ["RunFolder", "run_id_of"]

FORMAT = 1

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


def run_id_of(name: str, config: dict[str, Any]) -> str:
    """Return the identity of a run: readable, and the same for the same arguments."""
    text = json.dumps({"format": FORMAT, **config}, sort_keys=True)
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"


class RunFolder:
    """A run on disk.

    A round counts once ``rounds.parquet`` holds it; its picks are written before. A kill between
    the two leaves picks of a round that has not happened, and they are ignored.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def start(self, config: dict[str, Any]) -> None:
        """Write down what the run was asked, or check that it was asked the same before.

        Raises
        ------
        RunError
            If the folder holds another run.
        """
        path = self.path / "config.json"
        text = json.dumps({"format": FORMAT, **config}, sort_keys=True, indent=1)
        try:
            if not path.exists():
                write_atomically(path, text.encode())
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if path.read_text(encoding="utf-8") != text:
            raise RunError(
                f"{self.path} holds another run: it was started with other arguments. Choose "
                "another folder, or delete this one."
            )

    def read(self) -> list[RoundRecord]:
        """Return the rounds that were finished.

        Raises
        ------
        RunError
            If a file is damaged.
        """
        if not (self.path / "rounds.parquet").exists():
            return []
        try:
            rounds = _read(self.path / "rounds.parquet")
            picks = _read(self.path / "picks.parquet")
        except (pa.ArrowException, OSError) as error:
            raise RunError(
                f"the run in {self.path} is damaged ({str(error).splitlines()[0]}): delete the "
                "folder, and the same command makes it again."
            ) from error
        by_round: dict[int, list[dict[str, Any]]] = {}
        for pick in picks:
            by_round.setdefault(pick["round"], []).append(pick)
        records = [_record(row, by_round.get(row["round"], [])) for row in rounds]
        counts = np.cumsum([len(record.rows) for record in records])
        if [record.labelled for record in records] != counts.tolist():
            raise RunError(
                f"the run in {self.path} is damaged (its picks do not fit its rounds): delete the "
                "folder, and the same command makes it again."
            )
        return records

    def write(self, records: list[RoundRecord], ids: list[str] | None) -> None:
        """Write all rounds so far, unless as many are there.

        Parameters
        ----------
        records
            From round 0 on.
        ids
            The item id of each row of the matrix, if the rows are items.
        """
        if len(self.read()) >= len(records):
            return  # another process is ahead with the same rounds
        picks = [pick for record in records for pick in _picks(record, ids)]
        rounds = [
            record.summary()
            | {
                "select_seconds": record.select_seconds,
                "fit_seconds": record.fit_seconds,
                "strategy": record.strategy,
                "head": json.dumps(record.head, sort_keys=True),
                "diagnostics": json.dumps(record.diagnostics, sort_keys=True),
            }
            for record in records
        ]
        try:
            _write(self.path / "picks.parquet", pa.Table.from_pylist(picks, _PICKS))
            _write(self.path / "rounds.parquet", pa.Table.from_pylist(rounds, _ROUNDS))
        except OSError as error:
            raise _unwritable(self.path, error) from error


def _unwritable(path: Path, error: OSError) -> RunError:
    return RunError(
        f"cannot write the run to {path}: {error.strerror or error}. What was written before is "
        "whole; free space or permit writing, then run the same command again."
    )


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path, page_checksum_verification=True).to_pylist()
    return rows


def _write(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_atomically(path, sink.getvalue().to_pybytes())


def _picks(record: RoundRecord, ids: list[str] | None) -> list[dict[str, Any]]:
    return [
        {
            "round": record.round,
            "rank": rank,
            "row": int(row),
            "id": None if ids is None else ids[row],
            "score": float(score),
            "label": json.dumps(label.item() if isinstance(label, np.generic) else label),
        }
        for rank, (row, score, label) in enumerate(
            zip(record.rows, record.scores, record.labels, strict=True)
        )
    ]


def _record(row: dict[str, Any], picks: list[dict[str, Any]]) -> RoundRecord:
    fields = dict(row)
    return RoundRecord(
        **fields
        | {
            "rows": np.array([pick["row"] for pick in picks], np.int64),
            "scores": np.array([pick["score"] for pick in picks], np.float32),
            "labels": np.array([json.loads(pick["label"]) for pick in picks]),
            "head": json.loads(row["head"]),
            "diagnostics": json.loads(row["diagnostics"]),
        }
    )
