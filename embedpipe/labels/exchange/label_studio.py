"""The format label-studio, and the tasks and labelling configuration that it writes."""

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

__all__ = [
    "LabelStudioFormat",
    "choice_result",
    "labelling_config",
    "local_files_url",
    "serving_instructions",
]

TASKS, CONFIG = "tasks.json", "config.xml"
_NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@formats.register("label-studio")
class LabelStudioFormat(Format):
    """Tasks and labelling configuration for Label Studio, and the JSON that Label Studio exports.

    Writing creates a folder with ``tasks.json``, to import into a project, and ``config.xml``, its
    labelling interface. In a task, ``data.path`` is the item's path, and ``data.who`` is the
    annotator. Labels and skips become annotations, and predictions become pre-filled answers. An
    unsure item is a task without annotations. The option ``classes`` has additional class names.
    The option ``image_url`` is the prefix of image URLs, for example from `local_files_url`.

    Reading accepts ``tasks.json``, its folder, and Label Studio's exports JSON and JSON_MIN. The
    classes are the answers to one control: the control in the option ``control``, or else
    ``choice``, or else the only Choices control of the file. Other controls and regions are
    ignored. A cancelled annotation is a skip, unless another annotator labelled the task. Without
    ``data.path``, the path comes from the image's URL. An uploaded image has only its file name.

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
        """Yield the entries of an export in JSON or JSON_MIN."""
        file = path / TASKS if path.is_dir() else path
        if file.suffix.lower() in (".csv", ".tsv"):
            raise FormatError(f"{file} is a table. Export from Label Studio as JSON or JSON_MIN.")
        tasks = read_json(file)
        if not isinstance(tasks, list):
            raise FormatError(f"{file} is not a list of tasks. Export as JSON or JSON_MIN.")
        return task_entries(file, tasks, options)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write ``tasks.json`` and ``config.xml``."""
        url = str(options.extra.get("image_url", LOCAL_FILES))
        names = {*options.class_names, *options.extra.get("classes", ())}
        config = labelling_config(sorted(names))
        write_json(path / TASKS, [_task(item, url) for item in items], indent=1)
        (path / CONFIG).write_bytes(config.encode())


def local_files_url(folder: Path) -> str:
    """Return the prefix of image URLs in Label Studio for the images of `folder`.

    The parent of `folder` must be Label Studio's document root.

    Examples
    --------
    >>> local_files_url(Path("/home/ann/my photos"))
    '/data/local-files/?d=my%20photos/'
    """
    return f"{LOCAL_FILES}{quote(folder.name)}/"


def serving_instructions(folder: Path) -> str:
    """Return instructions for showing the images of `folder` in Label Studio."""
    return (
        "To show the images, start Label Studio with\n"
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and\n"
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={folder.parent}\n"
        "Then add a source storage to the project (Settings, Cloud Storage) of the type Local "
        f"files\nwith the path {folder}. You need not synchronise it."
    )


def labelling_config(classes: Sequence[str]) -> str:
    """Return the labelling interface (XML) for a choice of one of `classes`.

    Examples
    --------
    >>> print(labelling_config(["hat"]))
    <View><Image name="image" value="$image"/><Choices name="choice" toName="image"><Choice
    value="hat"/></Choices></View>
    """
    if not classes:
        raise FormatError(
            "Label Studio needs at least one class, but no item has a label. Name the classes "
            "(`classes`, --class on the command line)."
        )
    for name in classes:
        if _NOT_IN_XML.search(name):
            raise FormatError(
                f"the class {name!r} contains a character that XML does not allow. Rename the "
                "class."
            )
    # XML parsers read a plain line break in an attribute as a space.
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
        prediction: dict[str, Any] = {"result": [choice_result(item.prediction)]}
        more = {"model_version": item.model, "score": item.score}
        prediction |= {key: value for key, value in more.items() if value is not None}
        task["predictions"] = [prediction]
    if item.status == "skip":
        task["annotations"] = [{"result": [], "was_cancelled": True}]
    elif item.is_sure:
        task["annotations"] = [{"result": [choice_result(item.label)], "was_cancelled": False}]
    return task


def choice_result(
    name: str | None, *, control: str = CHOICE, image: str = "image"
) -> dict[str, Any]:
    """Return the result of an annotation or prediction that chooses a class for an image."""
    return {
        "id": "r1",
        "from_name": control,
        "to_name": image,
        "type": "choices",
        "value": {"choices": [name]},
    }
