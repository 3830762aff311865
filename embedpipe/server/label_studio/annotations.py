"""The annotations of Label Studio, and their labels in the label log."""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._files import sync_folder
from ...errors import FormatError, LabelError, RunError
from ...labelling import LabellingSession
from ...labels.exchange.label_studio_tasks import is_cancelled, person_name
from .choices import ChoiceControl

__all__ = ["Annotation", "AnnotationStore", "annotation_of"]

LABEL, SKIP, EMPTY, DELETED = "label", "skip", "empty", "deleted"
"""Kinds of annotations; an empty one has no single class."""


@dataclass(frozen=True)
class Annotation:
    """The last known state of an annotation."""

    project: str
    id: int
    task: int | None = None  # None for a deleted annotation that was not known
    updated: str = ""  # time of the change, in ISO 8601
    kind: str = DELETED
    label: str | None = None
    who: str | None = None
    event: int | None = None  # id of its event in the label log
    # The prediction that the annotator saw.
    suggestion: str | None = None
    model: str | None = None


def annotation_of(
    project: str, fields: Any, control: ChoiceControl, people: Mapping[str, str]
) -> Annotation:
    """Return an annotation, given Label Studio's JSON; `people` has names by user id."""
    if not isinstance(fields, dict):
        raise FormatError("an annotation must be a JSON object.")
    number, task = _number(fields, "id"), fields.get("task")
    where = f"annotation {number}"
    label = control.class_in(where, fields)
    kind = LABEL if label is not None else EMPTY
    if is_cancelled(where, fields):
        kind, label = SKIP, None
    suggestion, model = _seen(fields.get("prediction"), control)
    who = person_name(where, fields.get("completed_by"))
    return Annotation(
        project,
        number,
        task if isinstance(task, int) else None,
        _moment(where, fields),
        kind,
        label,
        None if who is None else people.get(who, who),
        suggestion=suggestion,
        model=model,
    )


def _seen(prediction: Any, control: ChoiceControl) -> tuple[str | None, str | None]:
    """Return the class and the model of the prediction that an annotator saw."""
    if not isinstance(prediction, dict):
        return None, None
    model = prediction.get("model_version")
    try:
        suggestion = control.class_in("the prediction", prediction)
    except FormatError:  # the prediction of another model, with several classes
        suggestion = None
    return suggestion, model if isinstance(model, str) and model.strip() else None


class AnnotationStore:
    """Write the labels of annotations to the label log.

    The newest annotation of a task gives the label. Each annotation is stored with the id of its
    event, in a file of one JSON object for each change, 250 bytes each. The file contains no path.
    A repeated or late message about an annotation therefore changes nothing, and a deleted
    annotation takes back only its own label: a later label from the page stays.
    """

    def __init__(self, session: LabellingSession, path: Path) -> None:
        self._session, self._path = session, path
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], Annotation] = {}
        self._of_task: dict[tuple[str, int | None], set[int]] = defaultdict(set)
        self._is_torn = False  # the last line of the file has no end
        self._read()

    def known(self, project: str) -> set[int]:
        """Return the ids of a project's annotations that are not deleted."""
        with self._lock:
            return {
                each.id
                for each in self._known.values()
                if each.project == project and each.kind != DELETED
            }

    def put(self, row: int, annotation: Annotation, *, late: bool = False) -> bool:
        """Store a created or changed annotation of an item; return whether the log changed.

        A `late` annotation does not replace a label that another program stored after it.
        """
        with self._lock:
            before = self._known.get((annotation.project, annotation.id))
            if before is not None and (
                before.kind == DELETED or before.updated >= annotation.updated
            ):
                return False
            event = None if before is None else before.event
            current = self._session.current_of(row)
            is_old = late and current is not None and current.at > annotation.updated
            return self._apply(row, replace(annotation, event=event), is_old=is_old)

    def remove(self, project: str, number: int) -> bool:
        """Store that an annotation was deleted; return whether the log changed."""
        with self._lock:
            before = self._known.get((project, number), Annotation(project, number))
            deleted = replace(before, kind=DELETED)
            if before.kind == DELETED:
                if (project, number) not in self._known:
                    self._store(deleted)
                return False
            return self._apply(self._row_of(before), deleted)

    def _apply(self, row: int | None, changed: Annotation, *, is_old: bool = False) -> bool:
        """Write the label that an item has after a change of one of its annotations."""
        others = self._others(changed)
        answers = [each for each in (*others, changed) if each.kind in (LABEL, SKIP)]
        newest = max(answers, key=lambda each: (each.updated, each.id), default=None)
        own = {each.event for each in (*others, changed)} - {None}
        is_new = newest is changed and not is_old
        event = None if row is None else self._write(row, newest, own, is_new=is_new)
        self._store(replace(changed, event=event) if newest is changed and event else changed)
        if newest is not None and newest is not changed and event:
            self._store(replace(newest, event=event))
        return event is not None

    def _write(
        self, row: int, newest: Annotation | None, own: set[int | None], *, is_new: bool
    ) -> int | None:
        """Append the event of an item's newest annotation, and return its id, or None."""
        current = self._session.current_of(row)
        if not is_new and (current is None or current.event_id not in own):
            return None  # the item has a label from elsewhere
        now = (None, "clear") if current is None else (current.label, current.kind)
        if newest is None:
            return None if now[1] == "clear" else self._session.mark([row], "clear")
        if now == (newest.label, newest.kind):
            return None
        if newest.kind == SKIP:
            return self._session.mark([row], "skip", who=newest.who)
        assert newest.label is not None
        suggestions = [newest.suggestion]
        return self._session.label(
            [row], newest.label, suggestions=suggestions, model=newest.model, who=newest.who
        )

    def _row_of(self, annotation: Annotation) -> int | None:
        """Return the row of an annotation's item, or None if the log has no event of its task."""
        for each in (annotation, *self._others(annotation)):
            path = None if each.event is None else self._session.log.event(each.event).path
            if path is not None:
                try:
                    return self._session.row_of(path)
                except LabelError:  # the file was moved or removed
                    return None
        return None

    def _others(self, annotation: Annotation) -> list[Annotation]:
        """Return the other annotations of a task."""
        numbers = self._of_task[annotation.project, annotation.task] - {annotation.id}
        return [self._known[annotation.project, number] for number in sorted(numbers)]

    def _store(self, annotation: Annotation) -> None:
        self._keep(annotation)
        fields = {
            name: value
            for name, value in asdict(annotation).items()
            if value is not None and name not in ("suggestion", "model")
        }
        try:
            is_new = not self._path.exists()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            start, self._is_torn = "\n" if self._is_torn else "", True
            with self._path.open("ab") as file:
                file.write(f"{start}{json.dumps(fields)}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            self._is_torn = False
            if is_new:
                sync_folder(self._path.parent)
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {error.strerror or error}.") from error

    def _keep(self, annotation: Annotation) -> None:
        self._known[annotation.project, annotation.id] = annotation
        if annotation.task is not None:
            self._of_task[annotation.project, annotation.task].add(annotation.id)

    def _read(self) -> None:
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunError(f"cannot read {self._path}: {error.strerror or error}.") from error
        self._is_torn = bool(content) and not content.endswith(b"\n")
        for line in content.splitlines():
            try:
                self._keep(Annotation(**json.loads(line)))
            except (ValueError, TypeError):  # the line was not written to its end
                continue


def _number(fields: Mapping[str, Any], name: str) -> int:
    number = fields.get(name)
    if type(number) is not int or not 0 <= number < 2**63:
        raise FormatError(f"an annotation must have a number as its `{name}`; got {number!r}.")
    return number


def _moment(where: str, fields: Mapping[str, Any]) -> str:
    """Return the time of the last change of an annotation, in the form of the label log."""
    text = fields.get("updated_at") or fields.get("created_at")
    try:
        moment = datetime.fromisoformat(str(text))
        if moment.tzinfo is None:
            raise ValueError
        return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError):
        raise FormatError(
            f"{where}: `updated_at` is {text!r}; expected a time with its UTC offset."
        ) from None
