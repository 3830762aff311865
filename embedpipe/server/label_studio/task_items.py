"""The items of Label Studio's tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from ..._text import printable
from ...datasets.resolver import ForeignPath
from ...errors import FormatError, LabelError
from ...labelling import LabellingSession
from ...labels import PathResolver
from ...labels.exchange.label_studio_tasks import task_path
from .choices import ChoiceControl

__all__ = ["TaskItems"]


class TaskItems:
    """Find the row of a task: by its ``data.path``, or by the address of its image.

    The address may begin with any folders or a web server: its end must be the path of exactly one
    item. The file name of an upload must belong to one item. `remark` is called once for each task
    without an item.
    """

    def __init__(self, session: LabellingSession, remark: Callable[[str], None]) -> None:
        self._session, self._remark = session, remark
        self._resolver = PathResolver.of(session.embeddings.dataset)
        self._reported: set[str] = set()

    def row(self, task: Any, control: ChoiceControl) -> int | None:
        """Return the row of a task, or None."""
        return self.rows([task], control)[0]

    def rows(self, tasks: Sequence[Any], control: ChoiceControl) -> list[int | None]:
        """Return the rows of tasks; None for a task without an item."""
        rows = [self._row(_data_of(task), control) for task in tasks]
        unknown = [
            task
            for task, row in zip(tasks, rows, strict=True)
            if row is None and str(task.get("id")) not in self._reported
        ]
        if unknown:
            self._reported.update(str(task.get("id")) for task in unknown)
            image = unknown[0]["data"].get(control.key)
            self._remark(
                f"tasks that match no image: {len(unknown)}, such as task {unknown[0].get('id')} "
                f"with the image {printable(str(image))!r}. They get no suggestion."
            )
        return rows

    def _row(self, data: Mapping[str, Any], control: ChoiceControl) -> int | None:
        for given in ({"path": data.get("path")}, {"image": data.get(control.key)}):
            if not all(isinstance(text, str) and text.strip() for text in given.values()):
                continue
            item = self._item(task_path("the task", given))
            if item is not None:
                try:
                    return self._session.row_of(item)
                except LabelError:  # the image has no embedding
                    return None
        return None

    def _item(self, path: str | ForeignPath) -> str | None:
        found = self._resolver.resolve(path)
        if found.id is not None or found.candidates:
            return found.id
        ends = {end for text in _texts(path) for end in _ends(text) if end in self._resolver.ids}
        return ends.pop() if len(ends) == 1 else None


def _data_of(task: Any) -> Mapping[str, Any]:
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict):
        raise FormatError("each task must be a JSON object with `data`.")
    return data


def _texts(path: str | ForeignPath) -> list[str]:
    """Return the forms of a path: as given, the alternatives of its format, and decoded."""
    if isinstance(path, str):
        return [path, unquote(path)]
    if path.upload:
        return []
    return [
        text
        for each in (path.text, *(text for text, _ in path.more))
        for text in (each, unquote(each))
    ]


def _ends(path: str) -> list[str]:
    """Return a path without its first folder, without its first two folders, and so on."""
    parts = [part for part in path.replace("\\", "/").split("/") if part]
    return ["/".join(parts[start:]) for start in range(1, len(parts))]
