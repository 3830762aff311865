"""Label Studio: tasks to import there, and what it exports."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

from ...datasets.suffixes import is_image
from ...errors import FormatError
from ..resolver import DECODED, Spelling
from .base import Format, OpenImage, ReadOptions, register
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

_UPLOADED = re.compile(r"(?:^|/)upload/(?:[0-9]+/)?[0-9a-f]{8}-[^/]+$")
"""How the address of an image ends that was uploaded."""

_UPLOADS = (
    "Label Studio keeps only the base name of a file that is uploaded: import there the tasks.json "
    "that `labels export` writes."
)

_RESOLVED = "/resolve/?fileuri="
"""What comes before the encoded address of an image in a bucket."""

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
    The class is the answer to one control: ``choice``, as in the config that is written, else the
    only Choices control of the file, else the one that the option ``control`` names. Answers to
    other controls, regions and predictions are no labels. A cancelled annotation is a skip, unless
    someone else has labelled the task. Where there is no ``data.path``, the path is that of the
    image in local files, a bucket or a URL; of an upload, the base name.

    Examples
    --------
    >>> folder = LabelStudioFormat().write(tmp / "tasks", [Labelled("a/1.jpg", "hat")])
    >>> LabelStudioFormat().read(folder)[0].label
    'hat'
    """

    name = "label-studio"
    carries = frozenset({"skip", "prediction", "score", "who", "model"})
    options = frozenset({"classes", "image_url"})
    read_options = frozenset({"control"})

    def _entries(self, path: Path, given: ReadOptions) -> Iterable[Entry]:
        file = path / TASKS if path.is_dir() else path
        if file.suffix.lower() in (".csv", ".tsv"):
            raise FormatError(f"{file} is a table. Export from Label Studio as JSON or JSON_MIN.")
        tasks = read_json(file)
        if not isinstance(tasks, list):
            raise FormatError(f"{file} is not a list of tasks.")
        return _task_entries(file, _checked_tasks(file, tasks), given)

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


_Task = tuple[str, dict[str, Any]]
"""Where a task stands, and the task."""


def _checked_tasks(file: Path, tasks: Sequence[Any]) -> list[_Task]:
    found = []
    for number, task in enumerate(tasks, start=1):
        named = task.get("id", number) if isinstance(task, dict) else number
        where = f"{file}, task {named}"
        if not isinstance(task, dict):
            raise FormatError(f"{where}: not a JSON object.")
        if "data" in task and not isinstance(task["data"], dict):
            raise FormatError(f"{where}: its data is not a JSON object.")
        found.append((where, task))
    return found


def _task_entries(file: Path, tasks: Sequence[_Task], given: ReadOptions) -> Iterator[Entry]:
    full = [(where, task) for where, task in tasks if "data" in task]
    flat = [(where, task) for where, task in tasks if "data" not in task]
    control = _control(file, full, flat, given)
    if control != CHOICE:
        given.notes.append(f"The class is the answer to the control {control!r}.")
    for where, task in tasks:
        entry = (_full_entry if "data" in task else _flat_entry)(where, task, control)
        spelling = entry.path
        if isinstance(spelling, Spelling) and given.resolver is None and not spelling.default:
            raise FormatError(
                f"{where}: its data has no 'path', and its image {spelling.text!r} is not served "
                f"from local files ({LOCAL_FILES}...)."
            )
        if isinstance(spelling, Spelling) and spelling.upload and _UPLOADS not in given.notes:
            given.notes.append(_UPLOADS)
        yield entry


def _control(file: Path, full: Sequence[_Task], flat: Sequence[_Task], given: ReadOptions) -> str:
    """Return the name of the control whose answers are the classes.

    Raises
    ------
    FormatError
        If several may be meant, or the one that was named is not there.
    """
    answers = _controls_of(full) | _controls_of_flat(flat)
    choices = sorted(name for name, kind in answers.items() if kind == "choices")
    others = sorted(f"{name} ({kind})" for name, kind in answers.items() if kind != "choices")
    asked = given.control
    if asked is not None:
        if asked in choices or not answers:
            return asked
        there = ", ".join([*choices, *others])
        raise FormatError(
            f"{file}: no task has an answer to a control {asked!r}; there is {there}."
        )
    if CHOICE in choices or not answers:
        ignored = ", ".join(name for name in choices if name != CHOICE)
        if ignored:
            given.notes.append(
                f"The class is the answer to the control {CHOICE!r}; other controls are left out: "
                f"{ignored}."
            )
        return CHOICE
    if len(choices) == 1 and (full or all("annotator" in task or _ID in task for _, task in flat)):
        return choices[0]
    if choices:
        raise FormatError(
            f"{file}: no task has an answer to the control {CHOICE!r}; there is "
            f"{', '.join(choices)}. Say which one holds the class: --control NAME, or `control` in "
            "Python."
        )
    raise FormatError(
        f"{file}: the answers are no classes of images: {', '.join(others)}. Label with a Choices "
        "control for one class per image."
    )


def _controls_of(tasks: Sequence[_Task]) -> dict[str, str]:
    """Return the type of the answers to each control of tasks in JSON."""
    found: dict[str, str] = {}
    for where, task in tasks:
        named = task.get("predictions")
        guesses = [one for one in named if isinstance(one, dict)] if isinstance(named, list) else []
        for answer in (*_annotations(where, task), *guesses):
            for result in _objects(where, "result", answer):
                kind = "regions" if _is_region(result) else str(result.get("type", "no type"))
                name = _control_of(result)
                found[name] = "choices" if kind == "choices" else found.get(name, kind)
    return found


def _controls_of_flat(tasks: Sequence[_Task]) -> dict[str, str]:
    """Return the type of the answers to each control, or data column, of tasks in JSON_MIN."""
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
"""Keys of a task in JSON_MIN that are no answers to a control."""

_REGION = frozenset({"x", "y", "points", "rle", "start", "ranges", "sequence"})
"""Keys of the value of a result about a part of an image."""


def _kind_of(value: Any, before: str | None) -> str:
    """Return the type of the answers of which a value in JSON_MIN is one."""
    names = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if names or isinstance(value, str) or (isinstance(value, dict) and "choices" in value):
        return "choices" if before in (None, "choices") else before
    if isinstance(value, list) and isinstance(value[0], dict):
        return next((key for key in value[0] if key.endswith("labels")), "regions")
    return "no choice of one class"


def _control_of(result: Mapping[str, Any]) -> str:
    """Return the name of the control of a result; results without one are of our own."""
    return str(result.get("from_name") or CHOICE)


def _is_region(result: Mapping[str, Any]) -> bool:
    """Return whether a result is about a part of an image."""
    value = result.get("value")
    return isinstance(value, dict) and not _REGION.isdisjoint(value)


def _flat_entry(where: str, task: Mapping[str, Any], control: str) -> Entry:
    """Return the entry of a task in JSON_MIN: the keys of its data, and one for each control."""
    who = _person(where, task.get("annotator"))
    label = task.get(control)
    if isinstance(label, dict):
        label = _single(where, label.get("choices"))
    elif isinstance(label, list):
        label = _single(where, label)
    reason = f"without an answer to {control!r}"
    return Entry(where, _path(where, task), label, who=who or task.get("who"), reason=reason)


def _full_entry(where: str, task: Mapping[str, Any], control: str) -> Entry:
    """Return the entry of a task in JSON: what all its annotations agree on."""
    data = task["data"]
    annotations = _annotations(where, task)
    prediction, score, model = _prediction(where, task, annotations, control)
    labels: dict[str, str | None] = {}  # who, by label
    for annotation in annotations:
        label = None if _cancelled(where, annotation) else _chosen(where, annotation, control)
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
        reason = f"without an answer to {control!r}"
        return Entry(where, path, None, None, prediction, score, data.get("who"), model, reason)
    who = _person(where, skips[-1].get("completed_by"))
    return Entry(where, path, None, "skip", prediction, score, who or data.get("who"), model)


def _prediction(
    where: str, task: Mapping[str, Any], annotations: Sequence[Mapping[str, Any]], control: str
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
        label = _chosen(where, prediction, control)
        if label is not None:
            return label, prediction.get("score"), prediction.get("model_version")
    return None, None, None


def _annotations(where: str, task: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations of a task; Label Studio before 1.0 called them completions."""
    return _objects(where, "annotations" if "annotations" in task else "completions", task)


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


def _chosen(where: str, annotation: Mapping[str, Any], control: str) -> str | None:
    """Return the one choice of an annotation or prediction, None if nothing was chosen."""
    chosen: dict[str, None] = {}
    for result in _objects(where, "result", annotation):
        if result.get("type") != "choices" or _control_of(result) != control or _is_region(result):
            continue
        value = result.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if not isinstance(choices, list) or not all(isinstance(name, str) for name in choices):
            raise FormatError(f"{where}: a result of type 'choices' has no list of names.")
        chosen |= dict.fromkeys(choices)
    return _single(where, list(chosen))


def _single(where: str, chosen: Any) -> str | None:
    """Return the one class that was chosen, None if there is none."""
    if not isinstance(chosen, list) or not all(isinstance(name, str) for name in chosen):
        raise FormatError(f"{where}: the choices are not a list of names.")
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
    """Return the path that a task carries, or that of its image."""
    if "path" in data:
        return data["path"]
    image = data.get("image")
    if not isinstance(image, str):
        # A labelling config may call its image otherwise.
        images = [text for text in data.values() if isinstance(text, str) and _is_image_url(text)]
        image = images[0] if len(images) == 1 else image
    if not isinstance(image, str) or not image.strip():
        raise FormatError(f"{where}: its data has no 'path', and its image is {image!r}.")
    return _image_spelling(image)


def _is_image_url(text: str) -> bool:
    return LOCAL_FILES in text or is_image(text.partition("?")[0].rpartition("/")[2])


def _image_spelling(image: str) -> Spelling:
    """Return the path that the address of an image stands for."""
    _, served, query = image.partition(LOCAL_FILES)
    if served:
        raw = query.partition("&")[0]
        path, with_blanks = unquote(raw), unquote(raw.replace("+", " "))
        others = dict.fromkeys(text for text in (query, raw, with_blanks) if text != path)
        return Spelling(path, more=tuple((text, DECODED) for text in others), default=path)
    _, hidden, query = image.partition(_RESOLVED)
    if hidden:
        with contextlib.suppress(ValueError):
            image = base64.b64decode(unquote(query.partition("&")[0])).decode()
    if _UPLOADED.search(image):
        return Spelling(unquote(image), upload=True)
    path = image.partition("?")[0]
    return Spelling(image, more=((path, "query removed"),) if path != image else ())
