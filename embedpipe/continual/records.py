"""The record of an experience, and the folder of a run: its records, buffer and head."""

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
    """What was learned in one experience, and how good the head is after it.

    Attributes
    ----------
    experience, name
        Its number, from 0, and its name.
    learned
        How many new rows the head was trained on.
    replayed
        How many rows of the buffer it was trained on with them.
    kept
        How many rows the buffer holds afterwards.
    labelled
        How many labels were asked for so far.
    accuracies
        (T,) float64: the share of the test rows of each experience that is predicted right; NaN
        where that is not defined.
    head
        What the head says of itself, such as the C that it chose.
    select_seconds, fit_seconds
        How long it took to choose what to label and what to keep; and to train.
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
        """The head's training loss, for the heads that minimise one; see the head's ``loss_``."""
        loss = self.head.get("loss_")
        return None if loss is None else float(loss)

    @property
    def mean_accuracy(self) -> float | None:
        """The mean of the accuracies that are defined."""
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
    """How far a run is: its records, its buffer and head, and the rows labelled in each part."""

    records: list[ExperienceRecord]
    memory: Memory
    head: Any
    labelled: list[NDArray[np.int64]]

    @classmethod
    def none(cls) -> Progress:
        """Nothing has been learned."""
        return cls([], Memory.empty(), None, [])


class ContinualFolder:
    """A continual run on disk.

    An experience counts once ``experiences.parquet`` holds it. What the next one needs, the
    buffer, the labelled rows and the head, is written before, in files with its number; those of
    the experience before it are deleted after. So a kill at any instant leaves a whole run.
    Several processes may read and write the same run: whoever is at its files is alone, and
    experiences only grow.
    """

    def __init__(self, path: Path, stream: Stream) -> None:
        self.path, self._stream = path, stream

    def start(self, config: dict[str, Any]) -> None:
        """Write the configuration, or check that it is the same as before."""
        write_config(self.path, {"format": FORMAT, **config})

    def read(self, n_experiences: int) -> Progress:
        """Return the progress of the run: none, if it must go on and its head was not kept."""
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
            every = [each.train for each in self._stream.experiences[: number + 1]]
            return Progress(records, memory, head, every)
        parts: list[list[int]] = [[] for _ in range(number + 1)]
        for row in labelled:
            parts[row["experience"]].append(row["row"])
        return Progress(records, memory, head, [np.array(p, dtype=np.int64) for p in parts])

    def write(self, progress: Progress, *, chosen: bool) -> None:
        """Write the state after an experience; the labelled rows only if they were `chosen`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with locked(self.path):
                if self._experiences_there() < len(progress.records):
                    self._write(progress, chosen)
        except OSError as error:
            raise unwritable_run(self.path, error) from error

    def _experiences_there(self) -> int:
        try:
            return count_rows(self.path / "experiences.parquet")
        except (pa.ArrowException, OSError):  # none yet, or damaged: written anew
            return 0

    def _write(self, progress: Progress, chosen: bool) -> None:
        number, memory = progress.records[-1].experience, progress.memory
        self._write_rows(f"buffer-{number}", memory.rows, memory.experience, memory.keys)
        if chosen:
            sizes = [rows.size for rows in progress.labelled]
            experience = np.repeat(np.arange(number + 1), sizes)
            labelled = np.concatenate(progress.labelled)
            self._write_rows(f"labelled-{number}", labelled, experience, None)
        with contextlib.suppress(UsageError):  # a foreign head cannot be kept
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
    """Return the experiences of a run on disk; none if there is no run."""
    path = folder / "experiences.parquet"
    try:
        return [_record(row) for row in _read(path)] if path.exists() else []
    except (pa.ArrowException, OSError, KeyError) as error:
        raise damaged_run(folder, error) from error


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_parquet(path).to_pylist()
    return rows


def _row(record: ExperienceRecord) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in _EXPERIENCES.names}
    return {
        **told,
        "accuracies": record.accuracies.tolist(),
        "head": json.dumps(record.head, sort_keys=True),
    }


def _record(row: dict[str, Any]) -> ExperienceRecord:
    accuracies = np.array(row["accuracies"], dtype=np.float64)
    return ExperienceRecord(**{**row, "accuracies": accuracies, "head": json.loads(row["head"])})
