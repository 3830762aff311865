"""Annotation by question and answer, round by round, with a plan that survives a kill."""

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
    """What a round came to.

    Attributes
    ----------
    round
        From 1; 0 while there were not two classes.
    labelled, classes
        Labels and classes there are now.
    model
        The head that learned from them, None while there are not two classes.
    stopped
        Whether the person stopped before the end of the round.
    """

    round: int
    labelled: int
    classes: int
    model: Model | None
    stopped: bool

    def summary(self) -> dict[str, Any]:
        """Return the figures as plain JSON."""
        model = self.model
        return {
            "round": self.round,
            "labelled": self.labelled,
            "classes": self.classes,
            "accuracy": None if model is None else model.accuracy,
            "interval": None if model is None or model.interval is None else [*model.interval],
        }

    def __str__(self) -> str:
        text = f"round {self.round}: {self.labelled} labels, classes: {self.classes}"
        if self.model is not None and self.model.accuracy is not None:
            text += f", accuracy {self.model.accuracy:.3f}"
            if self.model.interval is not None:
                low, high = self.model.interval
                text += f" ({low:.3f} to {high:.3f})"
            text += " cross-validated on them"
        return text


class Annotation:
    """Ask a person for the labels of the least certain items, train, and ask again.

    Each round asks for the items of which the head is least certain, chosen by the session's
    strategy; while there are not two classes, for those that its initial strategy chooses. Every
    answer is in the label log before the next question. The labels that the dataset brings are
    never shown, nor are paths that tell them. Killed at any instant and begun again, it goes on
    with the question that was open.

    Parameters
    ----------
    session
        What keeps the labels, learns and proposes.
    person
        Who answers.
    plan
        The file that remembers what is asked in the round; it is removed at the end.
    least_confident_instances
        Questions in a round.
    num_annotation_rounds
        Rounds after there are two classes.
    initial_size
        Questions at a time before there are two classes.
    whole_paths
        Show paths as they are, even if the name of a folder may tell the class.

    Raises
    ------
    UsageError
        If one of these numbers is less than 1.

    Examples
    --------
    >>> import embedpipe as ep
    >>> from embedpipe.labelling import LabellingSession
    >>> class Sure:
    ...     def ask(self, question):
    ...         return "even" if int(question.path[-5]) % 2 == 0 else "odd"
    ...
    ...     def tell(self, text):
    ...         pass
    >>> digits = ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=tmp)
    >>> session = LabellingSession(
    ...     digits,
    ...     ep.LabelLog(tmp / "labels.sqlite"),
    ...     strategy="least_confidence",
    ...     initial="coreset",
    ... )
    >>> rounds = Annotation(session, Sure(), tmp / "plan.json", 5, 2, 10).run()
    >>> [each.labelled for each in rounds]
    [10, 15, 20]
    """

    def __init__(
        self,
        session: LabellingSession,
        person: Person,
        plan: str | Path,
        least_confident_instances: int = 10,
        num_annotation_rounds: int = 5,
        initial_size: int = 20,
        *,
        whole_paths: bool = False,
    ) -> None:
        sizes = {
            "least_confident_instances": least_confident_instances,
            "num_annotation_rounds": num_annotation_rounds,
            "initial_size": initial_size,
        }
        for name, size in sizes.items():
            if size < 1:
                raise UsageError(f"{name} is {size}: give 1 or more.")
        self.session, self.person, self._file = session, person, Path(plan)
        self._batch, self._rounds, self._initial = sizes.values()
        self._settings = {"dataset": session.dataset, "who": session.who, **sizes}
        self._names = () if whole_paths else session.embeddings.dataset.class_names

    def run(self) -> Iterator[AnnotatedRound]:
        """Ask until the rounds are over, the person stops, or nothing is left to label.

        Yields
        ------
        AnnotatedRound
            One for each round, and one for a round that was stopped.
        """
        plan = self._kept() or self._following(None)
        while plan is not None:
            stopped = self._ask_all(plan)
            yield self._record(plan, stopped)
            if stopped:
                return
            plan = self._following(plan)
        self._file.unlink(missing_ok=True)

    def _kept(self) -> Plan | None:
        """Return the plan of an annotation that was stopped or killed."""
        plan = read_plan(self._file, self._settings)
        if plan is None:
            return None
        self.person.tell(f"going on with round {plan.round}")
        there = set(self.session.ids)  # files may have gone
        return replace(plan, picks=tuple(pick for pick in plan.picks if pick.path in there))

    def _following(self, before: Plan | None) -> Plan | None:
        """Return what to ask next, None if that was all."""
        last = 0 if before is None else before.round
        if last >= self._rounds:
            return None
        model = self.session.retrain()
        n = self._initial if model is None else self._batch
        proposals = self.session.propose(n, model)
        if not proposals:
            self.person.tell("nothing is left to label")
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

    def _record(self, plan: Plan, stopped: bool) -> AnnotatedRound:
        model = self.session.retrain()
        counts = self.session.counts()
        return AnnotatedRound(plan.round, sum(counts.values()), len(counts), model, stopped)

    def _ask_all(self, plan: Plan) -> bool:
        """Ask for what is open in a round; return whether the person stopped."""
        queue = deque(plan.picks)
        while queue:
            if not self._is_open(queue[0]):  # answered before, or by somebody else meanwhile
                queue.popleft()
                continue
            try:
                answer = self._ask(plan, queue[0])
                if answer.kind == "stop":
                    return True
                if answer.kind == "undo":
                    queue.extendleft(self._undo(plan))
                else:
                    self._keep(plan, queue[0], answer)
            except EOFError:
                return True
            except LabelError as error:  # nothing was kept: the question stays
                self.person.tell(f"  {printable(str(error))}")
        return False

    def _is_open(self, pick: Pick) -> bool:
        current = self.session.current_of(self.session.row_of(pick.path))
        return current is None or current.kind == "clear"

    def _ask(self, plan: Plan, pick: Pick) -> Answer:
        classes = tuple(self.session.classes())
        suggestion = pick.label if pick.label in classes else None  # it may have been renamed
        dataset = self.session.embeddings.dataset
        question = Question(
            round=plan.round,
            number=1 + sum(not self._is_open(each) for each in plan.picks),
            of=len(plan.picks),
            path=pick.path,
            shown=hide_classes(pick.path, self._names),
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

    def _keep(self, plan: Plan, pick: Pick, answer: Answer) -> None:
        row = self.session.row_of(pick.path)
        if answer.kind == "skip":
            self.session.mark([row], "skip")
            return
        assert answer.label is not None
        if answer.label not in self.session.classes():
            self.person.tell(f"  a new class: {printable(answer.label)} (u takes it back)")
        self.session.label([row], answer.label, suggestions=[pick.label], model=plan.model)

    def _undo(self, plan: Plan) -> Sequence[Pick]:
        """Take back the last answer of this annotation; return what to ask again."""
        now = self.session.current().values()
        if not any(each.by == self.session.who and each.event_id > plan.started for each in now):
            self.person.tell("  nothing to undo")
            return []
        rows = self.session.undo()
        paths = [self.session.ids[row] for row in rows]
        names = ", ".join(printable(hide_classes(path, self._names)) for path in paths[:3])
        more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
        self.person.tell(f"  taken back: {names or 'a change of the classes'}{more}")
        known = {pick.path: pick for pick in plan.picks}
        # Many at once were labelled elsewhere: they are not asked for here.
        return [known.get(path, Pick(path)) for path in paths] if len(paths) == 1 else []


@dataclass(frozen=True)
class Pick:
    """An item to ask for.

    Attributes
    ----------
    path
        Which.
    label, confidence
        What the head says it is and with what probability; None before there is a head.
    """

    path: str
    label: str | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class Plan:
    """What is asked in a round. What was answered is in the label log, not here.

    Attributes
    ----------
    settings
        Of the annotation; with others it is another one.
    started
        Id of the last event in the log when the annotation began.
    round
        From 1; 0 while there are not two classes.
    model
        Name of the head that chose; None in round 0.
    picks
        What to ask.
    """

    settings: Mapping[str, Any]
    started: int
    round: int
    model: str | None
    picks: tuple[Pick, ...]


def write_plan(path: Path, plan: Plan) -> None:
    """Keep a plan, whole or not at all."""
    try:
        write_atomically(path, json.dumps(asdict(plan), ensure_ascii=False).encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}.") from error


def read_plan(path: Path, settings: Mapping[str, Any]) -> Plan | None:
    """Return the plan that was kept; None if there is none with these settings."""
    try:
        kept = json.loads(path.read_bytes())
        plan = Plan(**{**kept, "picks": tuple(Pick(**pick) for pick in kept["picks"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(
            f"{path} cannot be read as what an annotation left: remove it. The labels are not in "
            "it; they stay."
        ) from error
    return plan if plan.settings == settings else None
