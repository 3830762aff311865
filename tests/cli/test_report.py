"""The command ``report``: its page, its JSON, its next steps, and its errors in one line."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import embedpipe as ep
from embedpipe.labels import Event
from embedpipe.reports import data_report, pages
from tests.cli.conftest import Outcome

TOY = ("--backbone", "toy", "--layout", "components")


@pytest.fixture
def shop(photos: Callable[..., Path]) -> Path:
    """30 photos of three classes, a copy, a damaged file, and a file in another format."""
    folder = photos(30)
    (folder / "class0" / "same.jpg").write_bytes((folder / "class0" / "0000.jpg").read_bytes())
    (folder / "class2" / "broken.jpg").write_bytes(b"no image")
    (folder / "class2" / "phone.jxl").write_bytes(b"x")
    return folder


def steps_of(page: Path) -> list[str]:
    """Return the commands of the next steps on a page."""
    found = re.search(r'<ol class="steps">(.*?)</ol>', page.read_text(), re.DOTALL)
    assert found is not None
    return re.findall(r"<pre>(.*?)</pre>", found[1])


def test_json_and_page(call: Callable[..., Outcome], shop: Path, tmp_path: Path) -> None:
    result = call("report", shop, *TOY, "--json", "--quiet").json()
    page = Path(result["report"])
    name = result["dataset"]
    assert page == tmp_path / "workspace" / "reports" / f"{name}.html"
    assert "31 images in 3 classes" in page.read_text()
    images = [path for path in shop.rglob("*.jpg") if path.name != "broken.jpg"]
    expected = {
        "items": 31,
        "labelled": 31,
        "label_source": "dataset",
        "classes": {"class0": 11, "class1": 10, "class2": 10},
        "splits": {},
        "bytes": sum(path.stat().st_size for path in images),
        "formats": {"JPEG": 31},
        "width": {"min": 40, "median": 40, "max": 40},
        "duplicates": 1,
        "leakage": None,
        "failed": 1,
        "skipped": {".jxl": 1},
        "map": {"images": 31, "layout": "components"},
    }
    assert {key: result[key] for key in expected} == expected
    assert [failure["path"] for failure in result["failures"]] == ["class2/broken.jpg"]
    again = call("report", shop, *TOY, "--json", "--quiet").json()
    del result["seconds"], again["seconds"]
    assert again == result


def test_text_output_and_next_steps(
    call: Callable[..., Outcome], shop: Path, tmp_path: Path
) -> None:
    page = tmp_path / "a page.html"
    done = call("report", shop, *TOY, "--output", page)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[:3] == [
        "31 images in 3 classes",
        "  1 file cannot be used",
        "  1 file in a format that is not supported",
    ]
    assert "  1 group of duplicate files" in lines
    assert lines[-1] == f"report: {page}"
    commands = steps_of(page)
    assert commands[0] == f"embedpipe check {shop} --backbone toy --report checks.html"
    assert commands[-1] == (
        f"embedpipe train {shop} --backbone toy --labels dataset --output model.safetensors"
    )


def test_the_commands_of_the_next_steps_are_quoted(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(30, classes=1, name="my photos")
    page = tmp_path / "page.html"
    assert call("report", folder, *TOY, "--folder-labels", "no", "--output", page).status == 0
    quoted = f"'{folder}' --folder-labels no --backbone toy"
    assert steps_of(page)[-2:] == [
        f"embedpipe label {quoted}".replace("'", "&#39;"),
        f"embedpipe select {quoted} -n 100 --strategy auto --output picks.csv".replace(
            "'", "&#39;"
        ),
    ]


def test_labels_of_the_log(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(12, classes=1)
    name = ep.load_dataset(folder).name
    with ep.LabelLog(tmp_path / "workspace" / "labels.sqlite") as log:
        for number, label in enumerate(("hat", "shoe", "hat")):
            log.append([Event("label", name, f"class0/{number:04d}.jpg", label=label)])
    result = call("report", folder, *TOY, "--json", "--quiet").json()
    assert result["classes"] == {"hat": 2, "shoe": 1}
    assert (result["items"], result["labelled"], result["label_source"]) == (12, 3, "log")
    assert steps_of(Path(result["report"]))[-1] == (
        f"embedpipe train {folder} --backbone toy --output model.safetensors"
    )


def test_an_archive_a_manifest_and_one_image(
    call: Callable[..., Outcome], photos: Callable[..., Path], tmp_path: Path
) -> None:
    folder = photos(9)
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted(folder.rglob("*.jpg")):
            file.write(path, path.relative_to(folder))
    manifest = tmp_path / "list.csv"
    classes, splits = ("cap", "hat"), ("train", "test")
    rows = [f"photos/class{n % 3}/{n:04d}.jpg,{classes[n % 2]},{splits[n > 6]}" for n in range(9)]
    manifest.write_text("\n".join(["path,label,split", *rows]))
    found = call("report", archive, *TOY, "--json", "--quiet").json()
    assert (found["items"], found["bytes"]) == (
        9, sum(path.stat().st_size for path in folder.rglob("*.jpg"))
    )  # fmt: skip
    found = call("report", manifest, *TOY, "--json", "--quiet").json()
    assert found["classes"] == {"cap": 5, "hat": 4}
    assert found["splits"] == {"train": 7, "test": 2}
    assert f"embedpipe run {manifest} --backbone toy" in steps_of(Path(found["report"]))
    image = folder / "class0" / "0000.jpg"
    found = call("report", image, *TOY, "--json", "--quiet").json()
    assert (found["items"], found["map"]["images"]) == (1, 1)


def test_without_pixels(call: Callable[..., Outcome], shop: Path) -> None:
    found = call("report", shop, *TOY, "--no-pixels", "--json", "--quiet").json()
    assert "bytes" not in found
    assert (found["items"], found["tiny"]) == (31, None)
    assert found["not_checked"]["tiny"] == "the images were not read"


def test_errors_in_one_line(call: Callable[..., Outcome], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    status, message = call("report", empty, *TOY).error()
    assert status == 1
    assert message.startswith(f"embedpipe: no images in folder {str(empty)!r}: expected ")
    (empty / "text.jpg").write_bytes(b"no image")
    status, message = call("report", empty, *TOY).error()
    assert (status, "could be embedded" in message) == (1, True)
    assert call("report", "digits", "--layout", "umap").error() == (
        2,
        "embedpipe: unknown layout 'umap'. Known: auto, components, neighbours.",
    )
    assert not (tmp_path / "workspace").exists() or not list(tmp_path.rglob("*.html"))


@pytest.mark.parametrize("longest_plain_chart", [0, pages.LONG])
def test_erasing_an_image_removes_a_page_with_its_name_on_the_map(
    call: Callable[..., Outcome],
    photos: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    longest_plain_chart: int,
) -> None:
    monkeypatch.setattr(pages, "LONG", longest_plain_chart)
    monkeypatch.setattr(data_report, "SINGLE_EXAMPLES", 1)
    folder = photos(12, classes=1)
    files = [path.rename(path.with_stem(f"{path.stem} <b>&'é'")) for path in folder.rglob("*.jpg")]
    page = Path(call("report", folder, *TOY, "--json", "--quiet").json()["report"])
    text = page.read_text()
    victim = next(path for path in files if f"{path.name[:4]} &lt;b&gt;&amp;&#39;" not in text)
    assert (f"{victim.name[:4]} &lt;b" in text) == (longest_plain_chart > 0)
    done = json.loads(call("cache", "forget", victim, "--yes", "--json").out)
    assert str(page) in done["removed"]
    assert not page.exists()
