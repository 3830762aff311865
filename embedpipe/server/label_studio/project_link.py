"""A project in Label Studio that receives predictions and sends annotations."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ...errors import FormatError, RunError
from .annotations import AnnotationStore, annotation_of
from .choices import ChoiceControl, choice_control
from .client import Client
from .ranking import PREFIX, Ranking
from .task_items import TaskItems

__all__ = ["ACTIONS", "ProjectLink", "project_key"]

ACTIONS = (
    "ANNOTATION_CREATED",
    "ANNOTATIONS_CREATED",
    "ANNOTATION_UPDATED",
    "ANNOTATIONS_DELETED",
    "TASKS_CREATED",
    "TASKS_DELETED",
)
"""Events of which Label Studio informs the service."""

TITLE = "embedpipe"
"""Name of the model and of the ordered tab in Label Studio."""

BATCH = 1000
"""Maximum number of predictions in a request."""


class ProjectLink:
    """Set up a project, read its annotations, and replace its predictions.

    Parameters
    ----------
    client
        Label Studio's API.
    project
        Id of the project.
    address
        Address of the service, as Label Studio reaches it.
    token
        Token of the service; None if it needs none.
    control
        Name of the control with the classes, or None.
    """

    def __init__(
        self,
        client: Client,
        project: int,
        *,
        address: str,
        token: str | None,
        control: str | None = None,
    ) -> None:
        self._client, self._id, self._wanted = client, project, control
        self._address, self._token = address.rstrip("/"), token
        self._working = threading.Lock()  # one replacement of predictions at a time
        self._rows: dict[int, int | None] | None = None  # row of each task
        self.people: dict[str, str] = {}  # email address by user id

    @property
    def url(self) -> str:
        """The address of the project's tasks."""
        return f"{self._client.url}/projects/{self._id}/data"

    def check_project(self, number: Any) -> None:
        """Refuse annotations of another project."""
        if number != self._id:
            raise FormatError(
                f"the annotations are of project {number}, and this service is for project "
                f"{self._id}: start one with --project {number}."
            )

    def check(self) -> ChoiceControl:
        """Return the control with the classes; raise an error if the project cannot be used."""
        return choice_control(self._project()["label_config"], self._wanted)

    def set_up(self) -> None:
        """Create the ordered tab, the webhook and the connected model, unless they exist."""
        self.people = {str(each["id"]): each["email"] for each in self._client.get("/api/users/")}
        views = self._client.get("/api/dm/views/", project=self._id)
        if all((view.get("data") or {}).get("title") != TITLE for view in views):
            self._client.post("/api/dm/views/", {"project": self._id, "data": _view()})
        try:
            self._set_up_webhook()
            self._connect_model()
        except RunError as error:
            raise RunError(
                f"{error} If Label Studio refuses the address {self._address}, start it with "
                "SSRF_PROTECTION_ENABLED=false and ML_BLOCK_LOCAL_IP=false, or give --public-url."
            ) from error

    def _set_up_webhook(self) -> None:
        url = f"{self._address}/webhook"
        headers = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        fields = {
            "url": url,
            "headers": headers,
            "is_active": True,
            "send_payload": True,
            "send_for_all_actions": False,
            "actions": list(ACTIONS),
        }
        known = self._client.get("/api/webhooks/", project=self._id)
        same = next((each["id"] for each in known if each["url"] == url), None)
        if same is None:
            self._client.post("/api/webhooks/", {**fields, "project": self._id})
        else:
            self._client.patch(f"/api/webhooks/{same}/", fields)

    def _connect_model(self) -> None:
        fields = {"url": self._address, "title": TITLE, "project": self._id}
        if self._token is not None:
            user = {"basic_auth_user": TITLE, "basic_auth_pass": self._token}
            fields |= {"auth_method": "BASIC_AUTH", **user}
        known = self._client.get("/api/ml", project=self._id)
        same = next(
            (each["id"] for each in known if each["url"].rstrip("/") == self._address), None
        )
        if same is None:
            self._client.post("/api/ml", fields)
        else:
            self._client.patch(f"/api/ml/{same}", fields)

    def read_annotations(
        self, items: TaskItems, store: AnnotationStore, remark: Callable[[str], None]
    ) -> int:
        """Store all annotations of the project, and the deletions of the others.

        Return the number of changes of the label log. Annotations with several classes are left
        out, with a remark.
        """
        project = self._project()
        control = choice_control(project["label_config"], self._wanted)
        key, seen, changes = project_key(project), set(), 0
        for task in self._client.annotated_tasks(self._id):
            row = items.row(task, control)
            for fields in task["annotations"] or ():
                seen.add(fields["id"])
                try:
                    annotation = annotation_of(
                        key, {"task": task["id"], **fields}, control, self.people
                    )
                except FormatError as error:
                    remark(f"left out: {error}")
                else:
                    changes += row is not None and store.put(row, annotation, late=True)
        for number in store.known(key) - seen:
            changes += store.remove(key, number)
        return changes

    def forget_tasks(self) -> None:
        """Read the list of tasks again before the next predictions."""
        self._rows = None

    def replace_predictions(self, ranking: Ranking, items: TaskItems) -> int:
        """Store the predictions of a ranking, delete those of earlier rankings, and count them."""
        with self._working:
            project = self._project()
            control = choice_control(project["label_config"], self._wanted)
            rows = self._rows
            if rows is None:
                tasks = list(self._client.tasks(self._id))
                numbers = [task["id"] for task in tasks]
                rows = dict(zip(numbers, items.rows(tasks, control), strict=True))
                self._rows = rows
            versions = self._versions()
            if versions.get(ranking.version, 0) != len(rows):
                self._delete(ranking.version, versions)
                predictions = (
                    {"task": task, **ranking.prediction(row, control)} for task, row in rows.items()
                )
                for batch in _batches(predictions):
                    self._client.post(f"/api/projects/{self._id}/import/predictions", batch)
            if rows and project.get("model_version") != ranking.version:
                self._client.patch(f"/api/projects/{self._id}", {"model_version": ranking.version})
            for version in versions:
                if version.startswith(PREFIX) and version != ranking.version:
                    self._delete(version, versions)
            return len(rows)

    def _project(self) -> dict[str, Any]:
        found = self._client.get(f"/api/projects/{self._id}")
        if not isinstance(found, dict) or "label_config" not in found:
            raise FormatError(f"Label Studio's description of project {self._id} is not valid.")
        return found

    def _versions(self) -> dict[str, int]:
        """Return the number of predictions of each model version."""
        found = self._client.get(f"/api/projects/{self._id}/model-versions/")
        return {version: count for version, count in found.items() if count}

    def _delete(self, version: str, versions: Mapping[str, int]) -> None:
        if version in versions:
            path = f"/api/projects/{self._id}/model-versions/"
            self._client.delete(path, {"model_version": version})


def project_key(project: Mapping[str, Any]) -> str:
    """Return the id of a project and the second of its creation, as Label Studio names it."""
    # The time distinguishes projects with the same id in different databases.
    try:
        created = int(datetime.fromisoformat(str(project["created_at"])).timestamp())
    except (KeyError, ValueError):
        raise FormatError("the project must have an `id`, and a time as `created_at`.") from None
    return f"{project.get('id')}.{created}"


def _view() -> dict[str, Any]:
    return {
        "title": TITLE,
        "type": "list",
        "target": "tasks",
        "ordering": ["tasks:predictions_score"],
        "filters": {"conjunction": "and", "items": []},
        "hiddenColumns": {"explore": [], "labeling": []},
    }


def _batches(predictions: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while batch := list(itertools.islice(predictions, BATCH)):
        yield batch
