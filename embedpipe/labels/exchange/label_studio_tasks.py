"""Reading Label Studio's tasks: the class, annotator and path of each task."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ...datasets.layout import is_image
from ...datasets.resolver import DECODED, ForeignPath
from ...errors import FormatError
from .entries import Entry
from .format import ReadOptions

__all__ = [
    "CHOICE",
    "LOCAL_FILES",
    "chosen_class",
    "is_cancelled",
    "person_name",
    "task_entries",
    "task_path",
]

CHOICE = "choice"
"""Name of the control with the classes; in JSON_MIN, a key of each task."""

LOCAL_FILES = "/data/local-files/?d="
"""Prefix of the URLs of local files, before the path below the document root."""

_UPLOADED = re.compile(r"(?:^|/)upload/(?:[0-9]+/)?[0-9a-f]{8}-[^/]+$")
"""End of the URL of an uploaded image."""

_UPLOADS = (
    "Label Studio keeps only the file name of an uploaded image. To keep full paths, import the "
    "tasks.json of `labels export` into Label Studio."
)

_RESOLVED = "/resolve/?fileuri="
"""Prefix of the encoded URL of an image in a bucket."""

_Task = tuple[str, dict[str, Any]]
"""Place of a task in its file, and the task."""


def _checked_tasks(file: Path, tasks: Sequence[Any]) -> list[_Task]:
    found = []
    for number, task in enumerate(tasks, start=1):
        task_id = task.get("id", number) if isinstance(task, dict) else number
        where = f"{file}, task {task_id}"
        if not isinstance(task, dict):
            raise FormatError(f"{where}: expected a JSON object.")
        if "data" in task and not isinstance(task["data"], dict):
            raise FormatError(f"{where}: the data must be a JSON object.")
        found.append((where, task))
    return found


def task_entries(file: Path, content: Sequence[Any], options: ReadOptions) -> Iterator[Entry]:
    """Yield the entry of each task of an export in JSON or JSON_MIN."""
    tasks = _checked_tasks(file, content)
    full = [(where, task) for where, task in tasks if "data" in task]
    flat = [(where, task) for where, task in tasks if "data" not in task]
    control = _control(file, full, flat, options)
    if control != CHOICE:
        options.notes.append(f"The class is the answer to the control {control!r}.")
    for where, task in tasks:
        entry = (_full_entry if "data" in task else _flat_entry)(where, task, control)
        foreign = entry.path
        if isinstance(foreign, ForeignPath) and options.resolver is None and not foreign.default:
            raise FormatError(
                f"{where}: the data have no 'path', and the image {foreign.text!r} is not a local "
                f"file ({LOCAL_FILES}...)."
            )
        if isinstance(foreign, ForeignPath) and foreign.upload and _UPLOADS not in options.notes:
            options.notes.append(_UPLOADS)
        yield entry


def _control(file: Path, full: Sequence[_Task], flat: Sequence[_Task], options: ReadOptions) -> str:
    """Return the name of the control whose answers are the classes."""
    answers = _controls_of(full) | _controls_of_flat(flat)
    choices = sorted(name for name, kind in answers.items() if kind == "choices")
    others = sorted(f"{name} ({kind})" for name, kind in answers.items() if kind != "choices")
    wanted: str | None = options.extra.get("control")
    if wanted is not None:
        if wanted in choices or not answers:
            return wanted
        raise FormatError(
            f"{file}: no task has an answer to the control {wanted!r}. Controls with answers: "
            f"{', '.join([*choices, *others])}."
        )
    if CHOICE in choices or not answers:
        ignored = ", ".join(name for name in choices if name != CHOICE)
        if ignored:
            options.notes.append(
                f"The class is the answer to the control {CHOICE!r}. Ignored controls: {ignored}."
            )
        return CHOICE
    if len(choices) == 1 and (full or all("annotator" in task or _ID in task for _, task in flat)):
        return choices[0]
    if choices:
        raise FormatError(
            f"{file}: no task has an answer to the control {CHOICE!r}. Controls with answers: "
            f"{', '.join(choices)}. Choose the one with the classes: --control NAME, or `control` "
            "in Python."
        )
    raise FormatError(
        f"{file}: no answer is the class of a whole image; found {', '.join(others)}. Label with a "
        "Choices control, one class per image."
    )


def _controls_of(tasks: Sequence[_Task]) -> dict[str, str]:
    """Return the type of the answers to each control, for tasks in JSON."""
    found: dict[str, str] = {}
    for where, task in tasks:
        stored = task.get("predictions")
        predictions = stored if isinstance(stored, list) else []
        shown = [each for each in predictions if isinstance(each, dict)]
        for answer in (*_annotations(where, task), *shown):
            for result in _objects(where, "result", answer):
                kind = "regions" if _is_region(result) else str(result.get("type", "no type"))
                name = _control_of(result)
                found[name] = "choices" if kind == "choices" else found.get(name, kind)
    return found


def _controls_of_flat(tasks: Sequence[_Task]) -> dict[str, str]:
    """Return the type of the answers to each control or data column, for tasks in JSON_MIN."""
    found: dict[str, str] = {}
    for _, task in tasks:
        for name in task.keys() - _NOT_CONTROLS:
            value = task[name]
            if value in (None, "", []) or (isinstance(value, str) and _is_image_url(value)):
                continue
            if name == CHOICE:
                found[name] = "choices"
            else:
                found[name] = _kind_of(value, found.get(name))
    return found


_ID = "annotation_id"

_NOT_CONTROLS = frozenset(
    {
        *("id", "image", "path", "who", "annotator", _ID, "created_at", "updated_at"),
        *("lead_time", "agreement", "inner_id", "project", "predictions", "meta", "comments"),
    }
)
"""Keys of a task in JSON_MIN that are not answers."""

_REGION = frozenset({"x", "y", "points", "rle", "start", "ranges", "sequence"})
"""Keys that occur only in values about a region of an image."""


def _kind_of(value: Any, before: str | None) -> str:
    """Return the type of an answer in JSON_MIN, given the type of earlier answers."""
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if names or isinstance(value, str) or (isinstance(value, dict) and "choices" in value):
        return "choices" if before in (None, "choices") else before
    if isinstance(value, list) and isinstance(value[0], dict):
        return next((key for key in value[0] if key.endswith("labels")), "regions")
    return "no choice of one class"


def _control_of(result: Mapping[str, Any]) -> str:
    """Return the control of a result; tasks written by embedpipe may lack its name."""
    return str(result.get("from_name") or CHOICE)


def _is_region(result: Mapping[str, Any]) -> bool:
    """Return whether a result is about a region of an image."""
    value = result.get("value")
    return isinstance(value, dict) and not _REGION.isdisjoint(value)


def _flat_entry(where: str, task: Mapping[str, Any], control: str) -> Entry:
    """Return the entry of a task in JSON_MIN, which has a key for each control."""
    who = person_name(where, task.get("annotator"))
    label = task.get(control)
    if isinstance(label, dict):
        label = _single(where, label.get("choices"))
    elif isinstance(label, list):
        label = _single(where, label)
    reason = f"without an answer to {control!r}"
    return Entry(where, task_path(where, task), label, who=who or task.get("who"), reason=reason)


def _full_entry(where: str, task: Mapping[str, Any], control: str) -> Entry:
    """Return the entry of a task in JSON, whose annotations must agree."""
    data = task["data"]
    annotations = _annotations(where, task)
    prediction, score, model = _prediction(where, task, annotations, control)
    labels: dict[str, str | None] = {}  # annotator by label
    for annotation in annotations:
        label = (
            None if is_cancelled(where, annotation) else chosen_class(where, annotation, control)
        )
        if label is not None:
            labels.setdefault(label, person_name(where, annotation.get("completed_by")))
    if len(labels) > 1:
        raise FormatError(
            f"{where}: the annotations have different labels: {', '.join(map(repr, labels))}. Keep "
            "one of them."
        )
    path = task_path(where, data)
    for label, who in labels.items():
        return Entry(where, path, label, None, prediction, score, who or data.get("who"), model)
    skips = [annotation for annotation in annotations if is_cancelled(where, annotation)]
    if not skips:
        reason = f"without an answer to {control!r}"
        return Entry(where, path, None, None, prediction, score, data.get("who"), model, reason)
    who = person_name(where, skips[-1].get("completed_by"))
    return Entry(where, path, None, "skip", prediction, score, who or data.get("who"), model)


def _prediction(
    where: str, task: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], control: str
) -> tuple[str | None, Any, Any]:
    """Return the class, the score and the model of the last prediction."""
    # Exports have only the ids of predictions. An annotation contains the prediction that the
    # annotator saw.
    stored = task.get("predictions") or []
    if isinstance(stored, list) and all(type(each) is int for each in stored):
        shown = [annotation.get("prediction") for annotation in annotations]
        predictions = [each for each in shown if isinstance(each, dict)]
    else:
        predictions = _objects(where, "predictions", task)
    for prediction in reversed(predictions):
        label = chosen_class(where, prediction, control)
        if label is not None:
            return label, prediction.get("score"), prediction.get("model_version")
    return None, None, None


def _annotations(where: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations of a task (``completions`` before Label Studio 1.0)."""
    return _objects(where, "annotations" if "annotations" in task else "completions", task)


def _objects(where: str, key: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = task.get(key) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{where}: the {key} must be a list of JSON objects.")
    return found


def is_cancelled(where: str, annotation: Mapping[str, Any]) -> bool:
    """Return whether an annotator skipped the task."""
    cancelled = annotation.get("was_cancelled", False)
    if not isinstance(cancelled, bool):
        raise FormatError(f"{where}: was_cancelled is {cancelled!r}; expected true or false.")
    return cancelled


def chosen_class(where: str, annotation: Mapping[str, Any], control: str) -> str | None:
    """Return the chosen class of an annotation or prediction, or None."""
    chosen: dict[str, None] = {}
    for result in _objects(where, "result", annotation):
        if result.get("type") != "choices" or _control_of(result) != control or _is_region(result):
            continue
        value = result.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not all(isinstance(name, str) for name in choices):
            raise FormatError(f"{where}: a result of type 'choices' must have a list of names.")
        chosen |= dict.fromkeys(choices)
    return _single(where, list(chosen))


def _single(where: str, chosen: Any) -> str | None:
    """Return the only chosen class, or None."""
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise FormatError(f"{where}: the choices must be a list of names.")
    if len(chosen) > 1:
        raise FormatError(f"{where}: {len(chosen)} classes are chosen; expected one.")
    return chosen[0] if chosen else None


def person_name(where: str, who: Any) -> str | None:
    """Return the name of an annotator, given as a number, text or an object with an email."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    if who is None or (isinstance(who, str | int) and not isinstance(who, bool)):
        return None if who is None else str(who)
    raise FormatError(f"{where}: the annotator is {who!r}; expected a name or number.")


def task_path(where: str, data: Mapping[str, Any]) -> Any:
    """Return the path of a task, or else the path of its image."""
    if "path" in data:
        return data["path"]
    image = data.get("image")
    if not isinstance(image, str):
        # The labelling configuration may use another name for the image.
        images = [text for text in data.values() if isinstance(text, str) and _is_image_url(text)]
        image = images[0] if len(images) == 1 else image
    if not isinstance(image, str) or not image.strip():
        raise FormatError(f"{where}: the data have no 'path', and the image is {image!r}.")
    return _image_path(image)


def _is_image_url(text: str) -> bool:
    return LOCAL_FILES in text or is_image(text.partition("?")[0].rpartition("/")[2])


def _image_path(image: str) -> ForeignPath:
    """Return the path of an image, given its URL."""
    _, served, query = image.partition(LOCAL_FILES)
    if served:
        raw = query.partition("&")[0]
        path, with_blanks = unquote(raw), unquote(raw.replace("+", " "))
        others = dict.fromkeys(text for text in (query, raw, with_blanks) if text != path)
        return ForeignPath(path, more=tuple((text, DECODED) for text in others), default=path)
    _, resolved, query = image.partition(_RESOLVED)
    if resolved:
        with contextlib.suppress(ValueError):
            image = base64.b64decode(unquote(query.partition("&")[0])).decode()
    if _UPLOADED.search(image):
        return ForeignPath(unquote(image), upload=True)
    path = image.partition("?")[0]
    return ForeignPath(image, more=((path, "query removed"),) if path != image else ())
