"""The continual-learning loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._html import result_html
from .._loops.fitting import Batch, head_attributes, timed
from .._workspace import Workspace
from ..index import Index
from ..strategies import Pool
from .learner import Learner
from .memory import ExperienceBatch, Memory
from .metrics import accuracy_matrix, continual_metrics
from .options import ContinualOptions
from .records import ContinualFolder, ExperienceRecord, Progress
from .stream import Experience, Stream

__all__ = ["ContinualLoop"]

STORED_ATTRIBUTES = ("loss_", "C_", "alpha_", "shrinkage_", "temperature_", "cv_accuracy_")
"""Attributes of a head that a record stores."""


class ContinualLoop:
    """Trains a head on the experiences of a stream in order.

    After each experience, the head is tested on the test rows of all experiences.

    Parameters
    ----------
    stream
        The stream.
    options
        See `ContinualOptions`.
    workspace
        The run is stored in ``runs/<run_id>/`` of the workspace and can be resumed; None for no
        storage.
    **changes
        Options that replace the same options in `options`: ``policy="el2n"``.

    Attributes
    ----------
    records
        The records of the experiences so far.
    memory
        The content of the replay buffer.
    head, policy, strategy, initial
        Objects built from the options; `head` is unfitted.

    Raises
    ------
    UsageError
        If an option is invalid, or the head does not support the method.

    Examples
    --------
    >>> import embedpipe as ep
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> stream = Stream.of(digits, "order", n=3)
    >>> loop = ContinualLoop(stream, policy="random", retain=0.05)
    >>> [(record.learned, record.replayed) for record in loop.run()]
    [(420, 0), (418, 21), (418, 42)]
    >>> loop.matrix.shape
    (3, 3)
    """

    def __init__(
        self,
        stream: Stream,
        *,
        options: ContinualOptions | None = None,
        workspace: str | Path | Workspace | None = None,
        **changes: Any,
    ) -> None:
        self.options = options = replace(options or ContinualOptions(), **changes)
        options.check_fits({each.name: each.train.size for each in stream.learned})
        self.stream = stream
        self.head, self.policy = options.built_head, options.built_policy
        self.strategy, self.initial = options.built_strategy, options.built_initial
        self._method = options.built_method
        self._workspace = None if workspace is None else Workspace(workspace)
        self._learner = Learner(stream, self.head, options.mix, options.seed)
        self.records: list[ExperienceRecord] = []
        self.memory = Memory.empty()
        self._head: Any = None
        self._batches: list[Batch] = []

    def config(self) -> dict[str, Any]:
        """Return the configuration that determines the results."""
        return self.options.config(self.stream.identity)

    @property
    def run_id(self) -> str:
        """The identity of the run, the same for the same arguments and seed."""
        return self.options.run_id(self.stream.identity)

    @property
    def folder(self) -> Path | None:
        """The folder of the run; None without a workspace."""
        return None if self._workspace is None else self._workspace.runs / self.run_id

    def run(self) -> Iterator[ExperienceRecord]:
        """Yield the record of each experience; stored experiences are not learned again.

        Raises
        ------
        RunError
            If the folder of the run is damaged.
        """
        folder = None
        self._continue_from(Progress.none())
        if self.folder is not None:
            folder = ContinualFolder(self.folder, self.stream)
            folder.start(self.config())
            self._continue_from(folder.read(len(self.stream.learned)))
            yield from self.records
        learned = self.stream.learned
        if self._method.at_once:
            if not self.records:
                yield self._keep(folder, self._at_once(learned))
            return
        for number in range(len(self.records), len(learned)):
            yield self._keep(folder, self._experience(number, learned[number]))

    def fit(self) -> ContinualLoop:
        """Run to the end of the stream."""
        for _ in self.run():
            pass
        return self

    @property
    def fitted(self) -> Any:
        """The last head; None before the first experience, or if a stored run lacks the head."""
        return self._head

    @property
    def matrix(self) -> NDArray[np.float64]:
        """The (T, T) accuracies: row i is after experience i was learned; NaN where undefined."""
        rows = ((record.experience, record.accuracies) for record in self.records)
        return accuracy_matrix(rows, len(self.stream))

    @property
    def metrics(self) -> dict[str, float]:
        """The metrics of the accuracy matrix, see `continual_metrics`."""
        return continual_metrics(
            self.matrix, protocol=self.stream.protocol, floor=self.stream.floor
        )

    def _repr_html_(self) -> str:
        facts: list[tuple[str, Any]] = [
            ("head", str(self.options.head)),
            ("method", str(self.options.method)),
            ("policy", str(self.policy) if self._method.replays else None),
            ("rows kept", len(self.memory.rows) if self._method.replays else None),
            ("seed", self.options.seed),
        ]
        if self.records:
            shown = ("gem_accuracy", "clear_next_domain", "forgetting_last")
            found = self.metrics
            facts += [(name, found[name]) for name in shown if found[name] == found[name]]
        names = [each.name for each in self.stream.experiences]
        rows = [
            (record.name, *map(float, record.accuracies), record.mean_accuracy)
            for record in self.records
        ]
        headings = ("after ↓ on →", *names, "mean") if rows else ()
        title = f"Continual learning on {self.stream.name}"
        return result_html(title, facts, headings, rows, n_rows=len(rows))

    def _experience(self, number: int, experience: Experience) -> ExperienceRecord:
        rows, choose_seconds = timed(lambda: self._to_label(number, experience))
        self._batches.append(self._batch(rows))
        keep_seconds = 0.0
        if self._method.fills_first:
            keep_seconds = self._fill_buffer(number, rows)
        kept = self._batch(self.memory.rows)
        self._head, fit_seconds = timed(
            lambda: self._method.learn(self._learner, self._head, self._batches, kept)
        )
        if self._method.replays and not self._method.fills_first:
            keep_seconds = self._fill_buffer(number, rows)
        return self._record(
            number,
            experience.name,
            replayed=kept.rows.size,
            select_seconds=choose_seconds + keep_seconds,
            fit_seconds=fit_seconds,
        )

    def _fill_buffer(self, number: int, rows: NDArray[np.int64]) -> float:
        """Let the policy choose the rows of the buffer; return the seconds."""
        rng = np.random.default_rng(self.options.seed)
        batch = self._experience_batch(number, rows)
        self.memory, seconds = timed(
            lambda: self.policy.update(self.memory, batch, self.options.size, rng)
        )
        return seconds

    def _at_once(self, learned: tuple[Experience, ...]) -> ExperienceRecord:
        _, select_seconds = timed(lambda: self._label_all(learned))
        nothing = self._batch(self.memory.rows)
        self._head, fit_seconds = timed(
            lambda: self._method.learn(self._learner, None, self._batches, nothing)
        )
        return self._record(
            len(learned) - 1,
            learned[-1].name,
            replayed=0,
            select_seconds=select_seconds,
            fit_seconds=fit_seconds,
        )

    def _record(self, number: int, name: str, **figures: Any) -> ExperienceRecord:
        accuracies = self._learner.accuracies(self._head)
        if self.stream.protocol == "streaming":
            accuracies[: number + 1] = np.nan  # their rows were used for training
        batches = self._batches if self._method.at_once else self._batches[-1:]
        record = ExperienceRecord(
            number,
            name,
            learned=sum(batch.rows.size for batch in batches),
            kept=self.memory.rows.size,
            labelled=sum(batch.rows.size for batch in self._batches),
            accuracies=accuracies,
            head=head_attributes(self._head, STORED_ATTRIBUTES),
            **figures,
        )
        self.records.append(record)
        return record

    def _batch(self, rows: NDArray[np.int64]) -> Batch:
        return Batch(rows, self.stream.labels(rows))

    def _label_all(self, learned: tuple[Experience, ...]) -> None:
        for number, experience in enumerate(learned):
            self._batches.append(self._batch(self._to_label(number, experience)))

    def _to_label(self, number: int, experience: Experience) -> NDArray[np.int64]:
        """Return the rows of an experience to label."""
        if self.options.budget is None:
            return experience.train
        candidates = np.sort(experience.train)
        past = np.concatenate([batch.rows for batch in self._batches] or [candidates[:0]])
        known = self.memory.rows if self._method.replays else past
        pool = Pool(
            self.stream.matrix,
            labelled=known,
            labels=self.stream.labels(known),
            head=self._head,
            candidates=candidates,
            index=Index(self.stream.matrix, candidates),
        )
        chooser = self.strategy if known.size and self._head is not None else self.initial
        rng = np.random.default_rng([self.options.seed, number])
        return np.asarray(chooser.select(pool, self.options.budget, rng).rows)

    def _experience_batch(self, number: int, rows: NDArray[np.int64]) -> ExperienceBatch:
        return ExperienceBatch(
            number=number,
            rows=rows,
            codes=self.stream.codes[rows],
            vectors=self.stream.matrix[rows],
            probabilities=lambda: self._learner.probabilities(self._head, rows),
            total=sum(batch.rows.size for batch in self._batches),
        )

    def _continue_from(self, progress: Progress) -> None:
        self.records, self.memory = list(progress.records), progress.memory
        self._head = progress.head
        self._batches = [self._batch(rows) for rows in progress.labelled]

    def _keep(self, folder: ContinualFolder | None, record: ExperienceRecord) -> ExperienceRecord:
        if folder is not None:
            labelled = [batch.rows for batch in self._batches]
            progress = Progress(self.records, self.memory, self._head, labelled)
            folder.write(progress, chosen=self.options.budget is not None)
        return record
