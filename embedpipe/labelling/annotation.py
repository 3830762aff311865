"""Labelling in rounds of questions, with a plan on disk for resuming after an interruption."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .._files import write_atomically
from .._text import printable
from ..errors import LabelError, RunError, UsageError
from .learner import Model
from .session import LabellingSession
from .terminal import HELP, Answer, Person, Question, hide_classes, listed, parse_answer

__all__ = ["AnnotatedRound", "Annotation"]


@dataclass(frozen=True)
class AnnotatedRound:
    """The result of a round."""

    round: int  # from 1; 0 while there are fewer than two classes
    labelled: int  # total number of labels
    classes: int  # total number of classes
    model: Model | None  # fitted to these labels; None with fewer than two classes
    stopped: bool  # whether the annotator stopped before the end of the round

    def summary(self) -> dict[str, Any]:
        """Return the result as JSON types."""
        model = self.model
        return {
            "round": self.round,
            "labelled": self.labelled,
            "classes": self.classes,
            "accuracy": None if model is None else model.accuracy,
            "interval": None if model is None or model.interval is None else [*model.interval],
            "expected_accuracy": None if model is None else model.expected.value,
            "expected_accuracy_ci": None
            if model is None or model.expected.interval is None
            else [*model.expected.interval],
        }

    def __str__(self) -> str:
        text = f"round {self.round}: {self.labelled} labels, classes: {self.classes}"
        if self.model is not None and self.model.expected.value is not None:
            text += f", {self.model.expected} on the images without a label"
        return text


class Annotation:
    """Ask an annotator for the labels of proposed items, fit the model, and repeat.

    The session's strategy selects the items of each round. While there are fewer than two classes,
    its initial strategy selects them. Every answer is written to the label log before the next
    question. The dataset's own labels are not shown. An interrupted annotation resumes with the
    open question.

    Parameters
    ----------
    session
        The labelling session.
    person
        The annotator.
    plan
        File with the questions of the current round. It is removed after the last round.
    batch_size
        Number of questions in a round.
    rounds
        Number of rounds, counted from the first round with two classes.
    initial_size
        Number of questions in a round while there are fewer than two classes.
    whole_paths
        Show full paths, even if a folder name reveals the class.

    Examples
    --------
    >>> import embedpipe as ep
    >>> class Annotator:
    ...     def ask(self, question):
    ...         return "even" if int(question.path[-5]) % 2 == 0 else "odd"
    ...
    ...     def tell(self, text):
    ...         pass
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> log = ep.LabelLog(tmp / "labels.sqlite")
    >>> session = LabellingSession(digits, log, initial="coreset")
    >>> rounds = Annotation(session, Annotator(), tmp / "plan.json", 5, 2, 10).run()
    >>> [each.labelled for each in rounds]
    [10, 15, 20]
    >>> log.close()
    """

    def __init__(
        self,
        session: LabellingSession,
        person: Person,
        plan: str | Path,
        batch_size: int = 10,
        rounds: int = 5,
        initial_size: int = 20,
        *,
        whole_paths: bool = False,
    ) -> None:
        sizes = {"batch_size": batch_size, "rounds": rounds, "initial_size": initial_size}
        for name, size in sizes.items():
            if size < 1:
                raise UsageError(f"`{name}` must be at least 1; got {size}.")
        self.session, self.person, self._file = session, person, Path(plan)
        self._batch, self._rounds, self._initial = batch_size, rounds, initial_size
        self._settings = {  # the keys are part of the file format
            "dataset": session.dataset,
            "who": session.who,
            "least_confident_instances": batch_size,
            "num_annotation_rounds": rounds,
            "initial_size": initial_size,
        }
        dataset = session.embeddings.dataset
        folders = dataset.folder_labels
        names = dataset.class_names if folders is None else folders.names
        self._hidden = () if whole_paths else names

    def run(self) -> Iterator[AnnotatedRound]:
        """Yield the result of each round, until the last round or until the annotator stops."""
        plan = self._resumed() or self._next_plan(None)
        while plan is not None:
            stopped = self._ask_all(plan)
            yield self._result(plan, stopped)
            if stopped:
                return
            plan = self._next_plan(plan)
        self._file.unlink(missing_ok=True)

    def _resumed(self) -> Plan | None:
        """Return the plan of an interrupted annotation, or None."""
        plan = read_plan(self._file, self._settings)
        if plan is None:
            return None
        self.person.tell(f"going on with round {plan.round}")
        present = set(self.session.ids)  # files may have been deleted
        return replace(plan, picks=tuple(pick for pick in plan.picks if pick.path in present))

    def _next_plan(self, before: Plan | None) -> Plan | None:
        """Return the plan of the next round, or None after the last round."""
        last = 0 if before is None else before.round
        if last >= self._rounds:
            return None
        model = self.session.retrain()
        n = self._initial if model is None else self._batch
        proposals = self.session.propose(n, model)
        if not proposals:
            self.person.tell("no images are left to label")
            return None
        plan = Plan(
            settings=self._settings,
            started=self.session.version if before is None else before.started,
            round=0 if model is None else last + 1,
            model=None if model is None else model.name,
            picks=tuple(Pick(each.path, each.label, each.confidence) for each in proposals),
        )
        write_plan(self._file, plan)
        return plan

    def _result(self, plan: Plan, stopped: bool) -> AnnotatedRound:
        model = self.session.retrain()
        counts = self.session.counts()
        return AnnotatedRound(plan.round, sum(counts.values()), len(counts), model, stopped)

    def _ask_all(self, plan: Plan) -> bool:
        """Ask the open questions of a round; return whether the annotator stopped."""
        queue = deque(plan.picks)
        while queue:
            if not self._is_open(queue[0]):  # already answered, perhaps by another annotator
                queue.popleft()
                continue
            try:
                answer = self._ask(plan, queue[0])
                if answer.kind == "stop":
                    return True
                if answer.kind == "undo":
                    queue.extendleft(self._undo(plan))
                else:
                    self._store(plan, queue[0], answer)
            except EOFError:
                return True
            except LabelError as error:  # not stored: the question is repeated
                self.person.tell(f"  {printable(str(error))}")
        return False

    def _is_open(self, pick: Pick) -> bool:
        current = self.session.current_of(self.session.row_of(pick.path))
        return current is None or current.kind == "clear"

    def _ask(self, plan: Plan, pick: Pick) -> Answer:
        classes = tuple(self.session.classes())
        suggestion = pick.label if pick.label in classes else None  # a class may be renamed
        dataset = self.session.embeddings.dataset
        question = Question(
            round=plan.round,
            number=1 + sum(not self._is_open(each) for each in plan.picks),
            of=len(plan.picks),
            path=pick.path,
            shown=hide_classes(pick.path, self._hidden),
            suggestion=suggestion,
            confidence=None if suggestion is None else pick.confidence,
            classes=classes,
            image=lambda: dataset.source.read_one(pick.path),
        )
        while True:
            answer = parse_answer(self.person.ask(question), classes, suggestion)
            if answer.kind != "help":
                return answer
            self.person.tell("\n    ".join([HELP, *listed(classes)]))

    def _store(self, plan: Plan, pick: Pick, answer: Answer) -> None:
        row = self.session.row_of(pick.path)
        if answer.kind == "skip":
            self.session.mark([row], "skip")
            return
        assert answer.label is not None
        if answer.label not in self.session.classes():
            self.person.tell(f"  new class: {printable(answer.label)} (u to undo)")
        self.session.label([row], answer.label, suggestions=[pick.label], model=plan.model)

    def _undo(self, plan: Plan) -> Sequence[Pick]:
        """Undo the last answer of this annotation; return the picks to ask again."""
        labels = self.session.current().values()
        if not any(each.by == self.session.who and each.event_id > plan.started for each in labels):
            self.person.tell("  nothing to undo")
            return []
        rows = self.session.undo()
        paths = [self.session.ids[row] for row in rows]
        names = ", ".join(printable(hide_classes(path, self._hidden)) for path in paths[:3])
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        self.person.tell(f"  undone: {names or 'a change of the classes'}{more}")
        known = {pick.path: pick for pick in plan.picks}
        # Several items were labelled at once by another program. They are not asked again.
        return [known.get(path, Pick(path)) for path in paths] if len(paths) == 1 else []


@dataclass(frozen=True)
class Pick:
    """An item of a plan, with the model's prediction."""

    path: str
    label: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Plan:
    """The questions of a round. The answers are in the label log."""

    settings: Mapping[str, Any]  # a plan with other settings is ignored
    started: int  # id of the last event before the annotation began
    round: int  # from 1; 0 while there are fewer than two classes
    model: str | None  # name of the model in the label log
    picks: tuple[Pick, ...]


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan atomically."""
    try:
        write_atomically(path, json.dumps(asdict(plan), ensure_ascii=False).encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error


def read_plan(path: Path, settings: Mapping[str, Any]) -> Plan | None:
    """Return the stored plan, or None if no plan with these settings is stored."""
    try:
        fields = json.loads(path.read_bytes())
        plan = Plan(**{**fields, "picks": tuple(Pick(**pick) for pick in fields["picks"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} is damaged and cannot be resumed. Remove it; no labels are lost."
        ) from error
    return plan if plan.settings == settings else None
