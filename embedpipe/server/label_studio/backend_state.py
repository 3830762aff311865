"""The state of the service: the session, its ranking, and the annotations that were received."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import FormatError, RunError
from ...labelling import LabellingSession
from ..background import BackgroundTraining
from ..json_messages import problem_of
from .annotations import AnnotationStore, annotation_of
from .choices import ChoiceControl, choice_control
from .project_link import ProjectLink, project_key
from .ranking import PREFIX, Ranking, rank
from .task_items import TaskItems

__all__ = ["BackendState"]

WAIT = 90.0
"""Maximum seconds that a request for predictions waits for the first ranking."""

FILE = "label-studio.jsonl"
"""Name of the file with the annotations of all datasets."""


class BackendState:
    """Answer Label Studio's requests with a session.

    The annotations are stored beside the label log. `remark` prints a line. With `link`, the
    predictions in Label Studio are replaced after each training.
    """

    def __init__(
        self,
        session: LabellingSession,
        remark: Callable[[str], None],
        *,
        control: str | None = None,
        link: ProjectLink | None = None,
    ) -> None:
        self.session, self._remark, self._control, self._link = session, remark, control, link
        self._items = TaskItems(session, remark)
        self._annotations = AnnotationStore(session, session.log.path.with_name(FILE))
        self._ranking: Ranking | None = None
        self._ranked = threading.Event()
        self._is_set_up, self._is_read = False, False
        self._training = BackgroundTraining(session, after=self._publish)

    def start(self) -> None:
        """Rank all items in the background, and set up the project; the server must listen."""
        self._training.request()

    def close(self) -> None:
        """Stop the work in the background."""
        self._training.close()

    @property
    def version(self) -> str:
        """The model version in Label Studio."""
        return f"{PREFIX}starting" if self._ranking is None else self._ranking.version

    def control_of(self, config: Any) -> ChoiceControl:
        """Return the control with the classes of a labelling interface."""
        return choice_control(config, self._control)

    def predictions(self, tasks: Any, config: Any) -> list[dict[str, Any]]:
        """Return one prediction for each task."""
        if not isinstance(tasks, list):
            raise FormatError("`tasks` must be a list.")
        control = self.control_of(config)
        rows = self._items.rows(tasks, control)
        if not self._ranked.wait(WAIT) or self._ranking is None:
            raise RunError("the images are still being ranked; try again in a minute.")
        ranking = self._ranking
        return [ranking.prediction(row, control) for row in rows]

    def receive(self, project: Any, annotations: Any, tasks: Any) -> int:
        """Store created or changed annotations with their tasks; return the number of new labels.

        Annotations of tasks without an item are left out.
        """
        fields, control = self._project(project)
        if self._link is not None:
            self._link.check_project(fields.get("id"))
        key, people = project_key(fields), {} if self._link is None else self._link.people
        given, of_tasks, changed = _objects(annotations), _objects(tasks), 0
        if len(given) != len(of_tasks):
            raise FormatError(f"there are {len(given)} annotations, but {len(of_tasks)} tasks.")
        for each, task in zip(given, of_tasks, strict=True):
            row = self._items.row(task, control)
            known = annotation_of(key, {"task": task.get("id"), **each}, control, people)
            changed += row is not None and self._annotations.put(row, known)
        self._train_if_due()
        return changed

    def remove(self, project: Any, annotations: Any) -> int:
        """Store that annotations were deleted; return the number of changed items."""
        if not isinstance(project, dict):
            raise FormatError("`project` must be a JSON object.")
        key = project_key(project)
        numbers: list[Any] = [each.get("id") for each in _objects(annotations)]
        if not all(type(number) is int for number in numbers):
            raise FormatError("each annotation must have a number as its `id`.")
        changed = sum(self._annotations.remove(key, number) for number in numbers)
        self._train_if_due()
        return changed

    def train(self) -> None:
        """Read all annotations of the linked project again, and train the model soon."""
        self._is_read = False
        self._training.request()

    def tasks_changed(self) -> None:
        """Replace the predictions of the linked project soon, because its tasks changed."""
        if self._link is not None:
            self._link.forget_tasks()
            self._training.request()

    def _project(self, project: Any) -> tuple[Mapping[str, Any], ChoiceControl]:
        if not isinstance(project, dict):
            raise FormatError("`project` must be a JSON object.")
        return project, self.control_of(project.get("label_config"))

    def _train_if_due(self) -> None:
        """Train the model if there are enough new labels, also after a training that runs now."""
        if self._training.is_due(self.session.snapshot()):
            self._training.request()

    def _publish(self) -> None:
        """Rank the items after a training, and update the linked project."""
        if self._training.problem is not None:
            self._remark(self._training.problem)
        if self._attempt(self._rank) and self._link is not None:
            link = self._link
            self._is_set_up = self._is_set_up or self._attempt(link.set_up)
            self._is_read = self._is_read or self._attempt(lambda: self._read(link))
            self._attempt(lambda: self._send(link))

    def _attempt(self, work: Callable[[], None]) -> bool:
        """Do a part of the work in the background; return whether it succeeded."""
        try:
            work()
        # The training must go on; the next training tries again.
        except Exception as error:  # noqa: BLE001
            self._remark(problem_of(error))
            return False
        return True

    def _rank(self) -> None:
        self._ranking = rank(self.session, self.session.model)
        self._ranked.set()

    def _read(self, link: ProjectLink) -> None:
        changed = link.read_annotations(self._items, self._annotations, self._remark)
        if changed:
            self._remark(f"{changed} labels were read from Label Studio.")
            self._training.request()

    def _send(self, link: ProjectLink) -> None:
        assert self._ranking is not None
        count = link.replace_predictions(self._ranking, self._items)
        self._remark(f"{self._ranking.version}: the order of {count} tasks is in Label Studio.")


def _objects(found: Any) -> Sequence[dict[str, Any]]:
    """Return a JSON object or a list of objects as a list."""
    objects = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in objects):
        raise FormatError("annotations and tasks must be JSON objects.")
    return objects
