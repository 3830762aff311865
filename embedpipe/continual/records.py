"""The record of an experience, and the folder of a continual-learning run."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._files import count_rows, locked, read_parquet, write_parquet
from .._loops.runs import damaged_run, unwritable_run, write_config
from ..errors import DamagedFileError, UsageError
from ..heads import load_head, save_head
from .memory import Memory
from .stream import Stream

__all__ = ["FORMAT", "ContinualFolder", "ExperienceRecord", "Progress", "read_records"]

FORMAT = 1

_EXPERIENCES = pa.schema(
    [
        pa.field("experience", pa.int32()),
        pa.field("name", pa.string()),
        pa.field("learned", pa.int64()),
        pa.field("replayed", pa.int64()),
        pa.field("kept", pa.int64()),
        pa.field("labelled", pa.int64()),
        pa.field("accuracies", pa.list_(pa.float64())),
        pa.field("head", pa.string()),
        pa.field("select_seconds", pa.float64()),
        pa.field("fit_seconds", pa.float64()),
    ]
)
_ROWS = pa.schema(
    [
        pa.field("row", pa.int64()),
        pa.field("id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("experience", pa.int64()),
        pa.field("key", pa.float64()),
    ]
)


@dataclass(frozen=True)
class ExperienceRecord:
    """The results of one experience.

    Attributes
    ----------
    experience, name
        Number, from 0, and name of the experience.
    learned
        Number of new training rows.
    replayed
        Number of training rows from the buffer.
    kept
        Number of rows in the buffer afterwards.
    labelled
        Number of labels so far.
    accuracies
        (T,) float64 accuracies on the test rows of each experience; NaN where undefined.
    head
        Attributes of the head, such as the chosen C.
    select_seconds, fit_seconds
        Seconds to choose the rows to label and the rows to keep; seconds to train.
    """

    experience: int
    name: str
    learned: int
    replayed: int
    kept: int
    labelled: int
    accuracies: NDArray[np.float64]
    head: dict[str, float | str | None] = field(default_factory=dict)
    select_seconds: float = 0.0
    fit_seconds: float = 0.0

    @property
    def loss(self) -> float | None:
        """The training loss of the head (``loss_``), or None."""
        loss = self.head.get("loss_")
        return None if loss is None else float(loss)

    @property
    def mean_accuracy(self) -> float | None:
        """The mean of the defined accuracies, or None."""
        known = self.accuracies[np.isfinite(self.accuracies)]
        return float(known.mean()) if known.size else None

    def __str__(self) -> str:
        mean = "-" if self.mean_accuracy is None else f"{self.mean_accuracy:.3f}"
        return (
            f"experience {self.experience} ({self.name}): {self.learned} new and {self.replayed} "
            f"replayed rows, mean accuracy {mean}"
        )


@dataclass(frozen=True)
class Progress:
    """The state of a run: records, buffer, head, and the labelled rows of each experience."""

    records: list[ExperienceRecord]
    memory: Memory
    head: Any
    labelled: list[NDArray[np.int64]]

    @classmethod
    def none(cls) -> Progress:
        """Return the state before the first experience."""
        return cls([], Memory.empty(), None, [])


class ContinualFolder:
    """A continual-learning run on disk.

    An experience is complete when ``experiences.parquet`` has its record. The buffer, the labelled
    rows and the head are written before the record, in files with the number of the experience.
    Files of the previous experience are deleted after the record is written. So the run is intact
    after a kill at any time. A lock on the folder lets several processes share a run.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        self.path, self._stream = path, stream

    def start(self, config: dict[str, Any]) -> None:
        """Write the configuration; refuse a folder with another configuration."""
        write_config(self.path, {"format": FORMAT, **config})

    def read(self, n_experiences: int) -> Progress:
        """Return the stored state; an empty state if an unfinished run has no saved head."""
        if not (self.path / "experiences.parquet").exists():
            return Progress.none()
        with locked(self.path):
            return self._read(n_experiences)

    def _read(self, n_experiences: int) -> Progress:
        try:
            records = [_record(row) for row in _read(self.path / "experiences.parquet")]
            number = records[-1].experience
            head = self._head(number)
            if head is None and number < n_experiences - 1:
                return Progress.none()
            buffer = _read(self.path / f"buffer-{number}.parquet")
            chosen = self.path / f"labelled-{number}.parquet"
            labelled = _read(chosen) if chosen.exists() else None
        except (pa.ArrowException, OSError, KeyError, IndexError, DamagedFileError) as error:
            raise damaged_run(self.path, error) from error
        rows = np.array([row["row"] for row in buffer], dtype=np.int64)
        memory = Memory(
            rows=rows,
            codes=self._stream.codes[rows],
            experience=np.array([row["experience"] for row in buffer], dtype=np.int64),
            keys=np.array([row["key"] for row in buffer], dtype=np.float64),
        )
        if labelled is None:
            train_rows = [each.train for each in self._stream.experiences[: number + 1]]
            return Progress(records, memory, head, train_rows)
        parts: list[list[int]] = [[] for _ in range(number + 1)]
        for row in labelled:
            parts[row["experience"]].append(row["row"])
        return Progress(records, memory, head, [np.array(p, dtype=np.int64) for p in parts])

    def write(self, progress: Progress, *, chosen: bool) -> None:
        """Write the state after an experience; the labelled rows only if a strategy chose them."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                if self._count_stored() < len(progress.records):
                    self._write(progress, chosen)
        except OSError as error:
            raise unwritable_run(self.path, error) from error

    def _count_stored(self) -> int:
        try:
            return count_rows(self.path / "experiences.parquet")
        except (pa.ArrowException, OSError):  # missing or damaged
            return 0

    def _write(self, progress: Progress, chosen: bool) -> None:
        number, memory = progress.records[-1].experience, progress.memory
        self._write_rows(f"buffer-{number}", memory.rows, memory.experience, memory.keys)
        if chosen:
            sizes = [rows.size for rows in progress.labelled]
            experience = np.repeat(np.arange(number + 1), sizes)
            labelled = np.concatenate(progress.labelled)
            self._write_rows(f"labelled-{number}", labelled, experience, None)
        with contextlib.suppress(UsageError):  # a foreign head cannot be saved
            save_head(progress.head, self.path / f"head-{number}.safetensors")
        table = pa.Table.from_pylist([_row(each) for each in progress.records], _EXPERIENCES)
        write_parquet(self.path / "experiences.parquet", table)
        for name in ("buffer", "labelled", "head"):
            for path in self.path.glob(f"{name}-*"):
                if path.stem != f"{name}-{number}":
                    path.unlink(missing_ok=True)

    def _head(self, number: int) -> Any:
        path = self.path / f"head-{number}.safetensors"
        return load_head(path)[0] if path.exists() else None

    def _write_rows(
        self,
        name: str,
        rows: NDArray[np.int64],
        experience: NDArray[np.int64],
        keys: NDArray[np.float64] | None,
    ) -> None:
        ids, classes = self._stream.ids, self._stream.classes
        columns = {
            "row": rows,
            "id": [None] * rows.size if ids is None else [ids[row] for row in rows.tolist()],
            "label": [str(classes[code]) for code in self._stream.codes[rows].tolist()],
            "experience": experience,
            "key": np.full(rows.size, np.nan) if keys is None else keys,
        }
        write_parquet(self.path / f"{name}.parquet", pa.table(columns, _ROWS))


def read_records(folder: Path) -> list[ExperienceRecord]:
    """Return the records of a run on disk; none if there is no run."""
    path = folder / "experiences.parquet"
    try:
        return [_record(row) for row in _read(path)] if path.exists() else []
    except (pa.ArrowException, OSError, KeyError) as error:
        raise damaged_run(folder, error) from error


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_parquet(path).to_pylist()
    return rows


def _row(record: ExperienceRecord) -> dict[str, Any]:
    return {
        **{name: getattr(record, name) for name in _EXPERIENCES.names},
        "accuracies": record.accuracies.tolist(),
        "head": json.dumps(record.head, sort_keys=True),
    }


def _record(row: dict[str, Any]) -> ExperienceRecord:
    accuracies = np.array(row["accuracies"], dtype=np.float64)
    return ExperienceRecord(**{**row, "accuracies": accuracies, "head": json.loads(row["head"])})
