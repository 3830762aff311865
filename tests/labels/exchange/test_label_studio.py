"""Label Studio imports the tasks and shows the images, and its exports are read.

Run where it is installed: `make consumers`.
"""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedpipe.labels.exchange import Labelled, formats, local_files_url
from tests.label_studio import LabelStudio


@pytest.fixture
def photos(
    tmp_path: Path, items: list[Labelled], open_image: Callable[[str], bytes]
) -> tuple[Path, list[Labelled]]:
    """A folder of photos, and its items."""
    folder = tmp_path / "my photos, 帽"
    for item in items:
        (folder / item.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / item.path).write_bytes(open_image(item.path))
    return folder, items


@pytest.fixture
def server(tmp_path: Path, photos: tuple[Path, list[Labelled]]) -> Iterator[LabelStudio]:
    pytest.importorskip("label_studio")
    (tmp_path / "server").mkdir()
    running = LabelStudio(tmp_path / "server", photos[0].parent)
    try:
        running.wait()
        yield running
    finally:
        running.close()


def test_tasks_go_there_and_back(
    server: LabelStudio, photos: tuple[Path, list[Labelled]], tmp_path: Path
) -> None:
    folder, items = photos
    studio = formats["label-studio"]
    tree = studio.write(tmp_path / "tasks", items, image_url=local_files_url(folder))
    config = (tree / "config.xml").read_text(encoding="utf-8")
    project = server.ask("/api/projects", {"title": "mine", "label_config": config})["id"]
    tasks = json.loads((tree / "tasks.json").read_text(encoding="utf-8"))
    taken = server.ask(f"/api/projects/{project}/import", tasks)
    assert taken["task_count"] == len(items)
    assert taken["prediction_count"] == sum(item.prediction is not None for item in items)

    with pytest.raises(urllib.error.HTTPError, match="404"):  # before there is a storage
        server.get(tasks[0]["data"]["image"])
    server.ask("/api/storages/localfiles/", {"project": project, "path": str(folder)})
    for task in tasks:
        content = server.get(task["data"]["image"])
        assert content == (folder / task["data"]["path"]).read_bytes(), task["data"]["path"]

    kept = {
        task["data"]["path"]: task["id"]
        for task in server.ask(f"/api/tasks?project={project}&page_size=100")["tasks"]
    }
    choice = {"from_name": "choice", "to_name": "image", "type": "choices"}
    result = [choice | {"value": {"choices": ["a, b"]}}]
    for path in ("s/silent.jpg", "s/guessed.jpg"):
        server.ask(f"/api/tasks/{kept[path]}/annotations/", {"result": result})
    skip = {"result": [], "was_cancelled": True}
    server.ask(f"/api/tasks/{kept['s/unsure.jpg']}/annotations/", skip)

    labels = {item.path: item.label for item in items if item.is_sure}
    labels |= {"s/silent.jpg": "a, b", "s/guessed.jpg": "a, b"}
    for form in ("JSON", "JSON_MIN"):
        file = tmp_path / f"{form}.json"
        file.write_bytes(server.get(f"/api/projects/{project}/export?exportType={form}"))
        read = studio.read(file)
        assert {item.path: item.label for item in read if item.label is not None} == labels
        skipped = {item.path for item in read if item.status == "skip"}
        assert skipped == ({"s/skipped.jpg", "s/unsure.jpg"} if form == "JSON" else set())
        seen = [item for item in read if item.prediction is not None]
        assert seen == (
            [Labelled("s/guessed.jpg", "a, b", "label", "a, b", 0.25, "1", "größe 帽")]
            if form == "JSON"
            else []
        )
