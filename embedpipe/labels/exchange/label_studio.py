"""Label Studio: the format, and the tasks and the labelling config that are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from ...errors import FormatError
from ...tables.text_files import read_json, write_json
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats
from .label_studio_tasks import CHOICE, LOCAL_FILES, task_entries

__all__ = ["LabelStudioFormat", "labelling_config", "local_files_url", "serving"]

TASKS, CONFIG = "tasks.json", "config.xml"
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@formats.register("label-studio")
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

    carries = frozenset({"skip", "prediction", "score", "who", "model"})
    holds_unlabelled = True
    read_options = frozenset({"control"})
    write_options = frozenset({"classes", "image_url"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterable[Entry]:
        """Yield the tasks of an export, JSON or JSON_MIN."""
        file = path / TASKS if path.is_dir() else path
        if file.suffix.lower() in (".csv", ".tsv"):
            raise FormatError(f"{file} is a table. Export from Label Studio as JSON or JSON_MIN.")
        tasks = read_json(file)
        if not isinstance(tasks, list):
            raise FormatError(f"{file} is not a list of tasks.")
        return task_entries(file, tasks, options)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write ``tasks.json`` and ``config.xml``."""
        url = str(options.extra.get("image_url", LOCAL_FILES))
        names = {*options.class_names, *options.extra.get("classes", ())}
        config = labelling_config(sorted(names))
        write_json(path / TASKS, [_task(item, url) for item in items], indent=1)
        (path / CONFIG).write_bytes(config.encode())


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
