"""The format lightly-predictions: Lightly's tree of predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ...errors import FormatError
from ...tables.text_files import read_json, write_json
from .entries import Entry, Labelled
from .format import Format, ReadOptions, WriteOptions, formats
from .safe_paths import check_lengths, escape_path, tidy_path

__all__ = ["LightlyPredictionsFormat"]

ROOT = ".lightly/predictions"
LABELS, PREDICTIONS = "labels", "predictions"
SCHEMA = "schema.json"

_Guess = tuple[str, str, "float | None"]
"""Path, class, and its probability or None."""


@formats.register("lightly-predictions")
class LightlyPredictionsFormat(Format):
    """Lightly's tree of predictions: a folder for each task, a JSON file for each image.

    The task ``labels`` contains labels, and the task ``predictions`` contains predictions. A single
    task with another name is also read as predictions. A file is ``<task>/<path>.json``; the
    suffix of the image is removed, so two paths that differ only in the suffix are refused. The
    score is the probability of the class; the other classes share the rest equally. Skipped and
    unsure items are left out.

    Examples
    --------
    >>> folder = LightlyPredictionsFormat().write(tmp / "tree", [Labelled("x/1.jpg", "hat")])
    >>> (folder / ".lightly/predictions/labels/x/1.json").read_text()
    '{"file_name": "x/1.jpg", "predictions": [{"category_id": 0, "probabilities": [1.0]}]}'
    """

    carries = frozenset({"prediction", "score"})

    def read_entries(self, path: Path, options: ReadOptions) -> Iterator[Entry]:
        """Yield the images of the tasks."""
        root = path / ROOT if (path / ROOT).is_dir() else path
        tasks = _tasks(root)
        labels = _task_rows(root / LABELS) if LABELS in tasks else {}
        model = next((task for task in tasks if task != LABELS), None)
        predictions = _task_rows(root / model) if model else {}
        for item in {**labels, **predictions}:
            where, label, _ = labels.get(item, (predictions.get(item, ("",))[0], None, None))
            _, prediction, score = predictions.get(item, ("", None, None))
            yield Entry(where, item, label, None, prediction, score)

    def write_items(self, path: Path, items: Sequence[Labelled], options: WriteOptions) -> None:
        """Write a folder for each task, and ``tasks.json``."""
        _check_stems(items)
        check_lengths(self.name, [(item.path, f"{_stem(item.path)}.json") for item in items])
        tasks: dict[str, list[_Guess]] = {LABELS: [], PREDICTIONS: []}
        for item in items:
            if item.label:
                tasks[LABELS].append((item.path, item.label, 1.0))
            if item.prediction:
                tasks[PREDICTIONS].append((item.path, item.prediction, item.score))
        root = path / ROOT
        root.mkdir(parents=True)
        write_json(root / "tasks.json", [name for name, rows in tasks.items() if rows])
        for name, rows in tasks.items():
            if rows:
                _write_task(root / name, rows)


def _check_stems(items: Sequence[Labelled]) -> None:
    owner: dict[str, str] = {}
    for item in items:
        stem = _stem(item.path)
        if owner.setdefault(stem, item.path) != item.path:
            raise FormatError(
                f"{owner[stem]!r} and {item.path!r} would have the same file, {stem}.json. Rename "
                "one of them."
            )
        if stem == "schema":
            raise FormatError(f"{item.path!r} would overwrite {SCHEMA}. Rename the image.")
    taken = {f"{stem}.json": path for stem, path in owner.items()} | {SCHEMA: SCHEMA}
    for stem, path in owner.items():
        for folder in PurePosixPath(stem).parents:
            if folder.as_posix() in taken:
                raise FormatError(
                    f"the folder of {path!r} would have the same path as the file of "
                    f"{taken[folder.as_posix()]!r}. Rename the folder."
                )


def _stem(path: str) -> str:
    """Return the path of an item's file without ``.json``."""
    return PurePosixPath(escape_path(path)).with_suffix("").as_posix()


def _write_task(folder: Path, rows: Sequence[_Guess]) -> None:
    names = sorted({name for _, name, _ in rows})
    number = {name: index for index, name in enumerate(names)}
    folder.mkdir()
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    write_json(folder / SCHEMA, {"task_type": "classification", "categories": categories})
    for path, name, score in rows:
        prediction: dict[str, Any] = {"category_id": number[name]}
        if score is not None:
            prediction["probabilities"] = _probabilities(path, number[name], score, len(names))
        file = folder / f"{_stem(path)}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, {"file_name": path, "predictions": [prediction]})


def _probabilities(path: str, chosen: int, score: float, count: int) -> list[float]:
    """Return (count,) probabilities; the other classes share the rest equally."""
    if not 0 <= score <= 1:
        raise FormatError(f"the score of {path!r} is {score}; expected a probability, 0 to 1.")
    rest = (1 - score) / (count - 1) if count > 1 else 0.0
    return [score if index == chosen else rest for index in range(count)]


def _tasks(root: Path) -> list[str]:
    file = root / "tasks.json"
    if not file.is_file():
        raise FormatError(f"{root} contains neither tasks.json nor {ROOT}/tasks.json.")
    tasks = read_json(file)
    if not isinstance(tasks, list) or not all(isinstance(task, str) for task in tasks):
        raise FormatError(f"{file} must be a list of task names.")
    for task in tasks:
        _check_task(file, task)
    others = [task for task in tasks if task != LABELS]
    if len(others) > 1:
        raise FormatError(
            f"{file} has several tasks with predictions: {', '.join(map(repr, others))}. Keep one "
            "of them."
        )
    return tasks


def _check_task(file: Path, task: str) -> None:
    try:
        if tidy_path(task) != task or "/" in task:
            raise ValueError(f"the task {task!r} is not a folder name")
    except ValueError as error:
        raise FormatError(f"{file}: {error}.") from None


def _task_rows(folder: Path) -> dict[str, tuple[str, str, Any]]:
    """Return the file, class and score of each path of a task."""
    names = _categories(folder / SCHEMA)
    found: dict[str, tuple[str, str, Any]] = {}
    for file in sorted(folder.rglob("*.json")):
        if file == folder / SCHEMA or file.is_dir():
            continue
        for path, name, score in _predictions(file, names):
            if path in found:
                raise FormatError(f"{file}: {path!r} is also in {found[path][0]}. Keep one file.")
            found[path] = (str(file), name, score)
    return found


def _categories(file: Path) -> dict[int, str]:
    if not file.is_file():
        raise FormatError(f"the schema {file} is missing.")
    schema = read_json(file)
    if not isinstance(schema, dict) or schema.get("task_type") != "classification":
        raise FormatError(f"{file} must have the 'task_type' 'classification'.")
    names: dict[int, str] = {}
    categories = schema.get("categories")
    for category in categories if isinstance(categories, list) else [None]:
        if not isinstance(category, dict):
            raise FormatError(f"{file}: the categories must be a list of JSON objects.")
        number, name = category.get("id"), category.get("name")
        if type(number) is not int or not isinstance(name, str) or number in names:
            raise FormatError(f"{file}: the category {category!r} needs a unique id and a name.")
        names[number] = name
    return names


def _predictions(file: Path, names: Mapping[int, str]) -> Iterator[tuple[str, str, Any]]:
    content = read_json(file)
    path = content.get("file_name") if isinstance(content, dict) else None
    predictions = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(path, str) or not isinstance(predictions, list):
        raise FormatError(f"{file} must have a 'file_name' and a list of 'predictions'.")
    if len(predictions) > 1:
        raise FormatError(f"{file}: {len(predictions)} predictions; expected one.")
    for prediction in predictions:
        number = prediction.get("category_id") if isinstance(prediction, dict) else None
        if type(number) is not int or number not in names:
            raise FormatError(f"{file}: the schema has no category with the id {number!r}.")
        yield path, names[number], _score(file, prediction, list(names).index(number))


def _score(file: Path, prediction: Mapping[str, Any], position: int) -> Any:
    """Return the probability of the class, or None."""
    probabilities = prediction.get("probabilities")
    if probabilities is None:
        return None
    if not isinstance(probabilities, list) or position >= len(probabilities):
        raise FormatError(f"{file}: expected one probability for each category.")
    return probabilities[position]
