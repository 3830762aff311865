"""Label Studio: tasks to import there, and what it exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import quoteattr

from ...errors import FormatError
from .base import Format, OpenImage, register
from .entries import Entry
from .labelled import Labelled
from .text import read_json
from .trees import whole_folder

__all__ = ["LabelStudioFormat", "labelling_config", "local_files_url", "serving"]

TASKS, CONFIG = "tasks.json", "config.xml"
CHOICE = "choice"
"""The name of the control that holds the class; in JSON_MIN it is the key."""

LOCAL_FILES = "/data/local-files/?d="
"""What comes before the path below its document root in the address of a file that it serves."""

_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@register
class LabelStudioFormat(Format):
    """Tasks for Label Studio with predictions and labelling config, and the JSON it exports.

    Written is a folder with ``tasks.json``, to import into a project, and ``config.xml``, its
    labelling interface. A task carries the item's path in ``data.path``, so two files of one base
    name are two tasks; a label or a skip is an annotation, a prediction is pre-filled. Who
    labelled is in ``data.who``. An unsure item is a task without annotation, to be asked again.
    Options: ``classes``, names to offer beside those that occur; ``image_url``, what comes before
    the path in the address of an image, such as `local_files_url`.

    Read are ``tasks.json``, or the folder with it, and Label Studio's exports JSON and JSON_MIN.
    A cancelled annotation is a skip, unless someone else has labelled the task. Where there is no
    ``data.path``, the path is that of the image served from local files.

    Examples
    --------
    >>> folder = LabelStudioFormat().write(tmp / "tasks", [Labelled("a/1.jpg", "hat")])
    >>> LabelStudioFormat().read(folder)[0].label
    'hat'
    """

    name = "label-studio"
    carries = frozenset({"skip", "prediction", "score", "who", "model"})
    options = frozenset({"classes", "image_url"})

    def _entries(self, path: Path) -> Iterable[Entry]:
        file = path / TASKS if path.is_dir() else path
        tasks = read_json(file)
        if not isinstance(tasks, list):
            raise FormatError(f"{file} is not a list of tasks.")
        flat = [task for task in tasks if isinstance(task, dict) and "data" not in task]
        if flat and not any(CHOICE in task for task in flat):
            raise FormatError(
                f"{file}: no task has the key {CHOICE!r}: call the Choices control so in the "
                "labelling config, or export as JSON instead of JSON_MIN."
            )
        return _task_entries(file, tasks)

    def _write(
        self,
        path: Path,
        items: Sequence[Labelled],
        open_image: OpenImage | None,
        options: Mapping[str, Any],
    ) -> None:
        url = str(options.get("image_url", LOCAL_FILES))
        tasks = [_task(item, url) for item in items]
        names = {name for item in items for name in (item.label, item.prediction) if name}
        config = labelling_config(sorted(names | set(options.get("classes", ()))))
        text = json.dumps(tasks, ensure_ascii=False, indent=1)
        with whole_folder(path) as folder:
            (folder / TASKS).write_bytes(f"{text}\n".encode())
            (folder / CONFIG).write_bytes(config.encode())


def local_files_url(folder: Path) -> str:
    """Return what comes before the path of an image of `folder` in its address in Label Studio.

    Label Studio serves what is below its document root, and refuses to serve all of it: the
    document root is the folder above.

    Examples
    --------
    >>> local_files_url(Path("/home/ann/my photos"))
    '/data/local-files/?d=my%20photos/'
    """
    return f"{LOCAL_FILES}{quote(folder.name)}/"


def serving(folder: Path) -> str:
    """Say how Label Studio is made to show the images of `folder`, under `local_files_url`."""
    return (
        "So that it may show the images, start it with\n"
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and\n"
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.parent}\n"
        "and give the project a source storage (Settings, Cloud Storage) of the type Local files "
        f"with\nthe path {folder}; it need not be synchronised."
    )


def labelling_config(classes: Sequence[str]) -> str:
    """Return the labelling interface for a choice of one of `classes`.

    Raises
    ------
    FormatError
        If there are none, which Label Studio refuses, or XML cannot hold the name of one.

    Examples
    --------
    >>> print(labelling_config(["hat"]))
    <View><Image name="image" value="$image"/><Choices name="choice" toName="image"><Choice
    value="hat"/></Choices></View>
    """
    if not classes:
        raise FormatError(
            "there are no classes to choose from, and Label Studio takes no labelling interface "
            "without: name them (`classes`, --class on the command line)."
        )
    for name in classes:
        if _NOT_IN_XML.search(name):
            raise FormatError(f"the class {name!r} holds a character that XML cannot hold.")
    # A plain line break in an attribute is read as a space.
    breaks = {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    choices = "".join(f"<Choice value={quoteattr(name, breaks)}/>" for name in classes)
    return (
        '<View><Image name="image" value="$image"/>'
        f'<Choices name="{CHOICE}" toName="image">{choices}</Choices></View>\n'
    )


def _task(item: Labelled, url: str) -> dict[str, Any]:
    data = {"image": url + quote(item.path), "path": item.path}
    if item.who is not None:
        data["who"] = item.who
    task: dict[str, Any] = {"data": data}
    if item.prediction is not None:
        prediction: dict[str, Any] = {"result": [_choice(item.prediction)]}
        more = {"model_version": item.model, "score": item.score}
        prediction |= {key: value for key, value in more.items() if value is not None}
        task["predictions"] = [prediction]
    if item.status == "skip":
        task["annotations"] = [{"result": [], "was_cancelled": True}]
    elif item.is_sure:
        task["annotations"] = [{"result": [_choice(item.label)], "was_cancelled": False}]
    return task


def _choice(name: str | None) -> dict[str, Any]:
    return {
        "id": "r1",
        "from_name": CHOICE,
        "to_name": "image",
        "type": "choices",
        "value": {"choices": [name]},
    }


def _task_entries(file: Path, tasks: Iterable[Any]) -> Iterator[Entry]:
    for number, task in enumerate(tasks, start=1):
        named = task.get("id", number) if isinstance(task, dict) else number
        where = f"{file}, task {named}"
        if not isinstance(task, dict):
            raise FormatError(f"{where}: not a JSON object.")
        yield _full_entry(where, task) if "data" in task else _flat_entry(where, task)


def _flat_entry(where: str, task: Mapping[str, Any]) -> Entry:
    """Return the entry of a task in JSON_MIN: the keys of its data, and one for each control."""
    who = _person(where, task.get("annotator"))
    label = task.get(CHOICE)
    return Entry(where, _path(where, task), label, who=who or task.get("who"))


def _full_entry(where: str, task: Mapping[str, Any]) -> Entry:
    """Return the entry of a task in JSON: what all its annotations agree on."""
    data = task["data"]
    if not isinstance(data, dict):
        raise FormatError(f"{where}: its data is not a JSON object.")
    annotations = _objects(where, "annotations", task)
    prediction, score, model = _prediction(where, task, annotations)
    labels: dict[str, str | None] = {}  # who, by label
    for annotation in annotations:
        label = None if _cancelled(where, annotation) else _chosen(where, annotation)
        if label is not None:
            labels.setdefault(label, _person(where, annotation.get("completed_by")))
    if len(labels) > 1:
        raise FormatError(
            f"{where}: its annotations disagree: {', '.join(map(repr, labels))}. Keep one of them."
        )
    path = _path(where, data)
    for label, who in labels.items():
        return Entry(where, path, label, None, prediction, score, who or data.get("who"), model)
    skips = [annotation for annotation in annotations if _cancelled(where, annotation)]
    if not skips:
        return Entry(where, path, None, None, prediction, score, data.get("who"), model)
    who = _person(where, skips[-1].get("completed_by"))
    return Entry(where, path, None, "skip", prediction, score, who or data.get("who"), model)


def _prediction(
    where: str, task: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]]
) -> tuple[str | None, Any, Any]:
    """Return the class, the score and the model of the last prediction.

    Exports name the predictions of a task by number, and tell with each annotation which of them
    the person saw.
    """
    named = task.get("predictions") or []
    if isinstance(named, list) and all(type(one) is int for one in named):
        seen = [annotation.get("prediction") for annotation in annotations]
        predictions = [one for one in seen if isinstance(one, dict)]
    else:
        predictions = _objects(where, "predictions", task)
    for prediction in reversed(predictions):
        label = _chosen(where, prediction)
        if label is not None:
            return label, prediction.get("score"), prediction.get("model_version")
    return None, None, None


def _objects(where: str, key: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = task.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{where}: its {key} are not a list of JSON objects.")
    return found


def _cancelled(where: str, annotation: Mapping[str, Any]) -> bool:
    cancelled = annotation.get("was_cancelled", False)
    if not isinstance(cancelled, bool):
        raise FormatError(f"{where}: was_cancelled is {cancelled!r}, neither true nor false.")
    return cancelled


def _chosen(where: str, annotation: Mapping[str, Any]) -> str | None:
    """Return the one choice of an annotation or prediction, None if nothing was chosen."""
    chosen: list[str] = []
    for result in _objects(where, "result", annotation):
        if result.get("type") != "choices":
            continue
        value = result.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not all(isinstance(name, str) for name in choices):
            raise FormatError(f"{where}: a result of type 'choices' has no list of names.")
        chosen += choices
    if len(chosen) > 1:
        raise FormatError(f"{where}: {len(chosen)} classes are chosen; an image has one label.")
    return chosen[0] if chosen else None


def _person(where: str, who: Any) -> str | None:
    """Return the name of a person, who may be a number, a text, or an object with an email."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    if who is None or (isinstance(who, str | int) and not isinstance(who, bool)):
        return None if who is None else str(who)
    raise FormatError(f"{where}: {who!r} does not name a person.")


def _path(where: str, data: Mapping[str, Any]) -> Any:
    """Return the path that a task carries, or that of its image in the local files."""
    if "path" in data:
        return data["path"]
    image = data.get("image")
    try:
        served = parse_qs(urlsplit(image).query).get("d") if isinstance(image, str) else None
    except ValueError:
        served = None
    if not served:
        raise FormatError(
            f"{where}: its data has no 'path', and its image {image!r} is not served from local "
            "files (/data/local-files/?d=...)."
        )
    return served[0]
