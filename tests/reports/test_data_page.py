"""The page about a dataset: its numbers against PIL and `os.stat`, its steps, and the browser."""

from __future__ import annotations

import importlib.util
import re
import shutil
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from PIL import Image

import embedpipe as ep
from embedpipe.cache import Failure
from embedpipe.checks import CheckResult, check
from embedpipe.errors import UsageError
from embedpipe.reports import DataReport, data_report
from tests.accessibility import violations
from tests.checks.conftest import draw
from tests.conftest import quiet_page
from tests.paper import too_wide_for_paper

EVIL = "<img src=x onerror=alert(1)>&\"'"
HEBREW = "שלום"
ORIENTATION = 0x0112


@dataclass
class Messy:
    """A folder of photos with everything that goes wrong, and its report."""

    folder: Path
    embeddings: ep.Embeddings
    checked: CheckResult
    report: DataReport

    @property
    def readable(self) -> list[Path]:
        """The image files that can be used."""
        return [self.folder / item.id for item in self.embeddings.items]


def make_messy(folder: Path) -> None:
    for number in range(40):
        path = folder / f"{number:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number, (160, 120) if number % 2 else (150, 200)).save(path, quality=92)
    first = folder / "000.jpg"
    for number in range(3):
        shutil.copy(first, folder / f"copy{number}.jpg")
    with Image.open(folder / "001.jpg") as image:
        image.resize((80, 60)).save(folder / "smaller.jpg")
    turned = Image.Exif()
    turned[ORIENTATION] = 6
    draw(100).save(folder / "turned.jpg", exif=turned)
    draw(101).convert("CMYK").save(folder / "print.jpg")
    deep = np.asarray(draw(102).convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    draw(103).save(folder / "png.jpg", "PNG")
    Image.new("RGB", (160, 120), "white").save(folder / "white.jpg")
    draw(104, (60, 60)).resize((12, 14)).save(folder / "tiny.jpg")
    draw(105).save(folder / f"{EVIL}.jpg")
    draw(106).save(folder / f"{HEBREW}.jpg")
    (folder / "notes.jpg").write_text("milk, eggs")
    (folder / "half.jpg").write_bytes(first.read_bytes()[:900])
    (folder / "phone.jxl").write_bytes(b"x")


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Messy:
    folder = tmp_path_factory.mktemp("messy") / "photos"
    make_messy(folder)
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path_factory.mktemp("workspace"))
    checked = check(embeddings)
    report = ep.data_report_of(
        embeddings, checked, layout="components", target="photos", command="embedpipe report photos"
    )
    return Messy(folder, embeddings, checked, report)


@pytest.fixture(scope="module")
def page(messy: Messy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ep.write_data_report(tmp_path_factory.mktemp("page") / "photos.html", messy.report)


def table(report: DataReport, title: str) -> dict[str, int]:
    (found,) = (each for each in report.files.tables if each.title == title)
    assert all(share == count / max(c for _, c, _ in found.rows) for _, count, share in found.rows)
    return {name: count for name, count, _ in found.rows}


def test_numbers_of_the_files_equal_those_of_pillow_and_the_file_system(messy: Messy) -> None:
    sizes, formats, modes, orientations = [], Counter(), Counter(), Counter()
    for path in messy.readable:
        with Image.open(path) as image:
            turn = image.getexif().get(ORIENTATION, 1)
            sizes.append(image.size[::-1] if turn == 6 else image.size)
            formats[image.format] += 1
            modes[image.mode] += 1
            orientations[str(turn)] += 1
    counts = messy.report.counts
    assert counts["items"] == len(sizes) == 52
    assert counts["bytes"] == sum(path.stat().st_size for path in messy.readable)
    assert counts["formats"] == formats == {"JPEG": 50, "PNG": 2}
    assert counts["modes"] == modes
    assert counts["orientations"] == orientations == {"1": 51, "6": 1}
    for axis, values in zip(("width", "height"), zip(*sizes, strict=True), strict=True):
        expected = {"min": min(values), "median": median(values), "max": max(values)}
        assert counts[axis] == expected
    sides = [min(size) for size in sizes]
    assert table(messy.report, "Shorter side") == {
        "less than 100 pixels": sum(side < 100 for side in sides),
        "100 to 299 pixels": sum(100 <= side < 300 for side in sides),
    }
    assert table(messy.report, "Colours") == {
        "colour": modes["RGB"], "colour for print (CMYK)": 1, "grey, 16 bits": 1,
    }  # fmt: skip
    assert table(messy.report, "Stored position (EXIF)") == {"upright": 51, "turned to the left": 1}


def test_charts_have_every_file(messy: Messy) -> None:
    sizes, shapes, n_bytes = messy.report.files.charts
    texts = dict(zip(zip(sizes.x, sizes.y, strict=True), sizes.notes, strict=True))
    assert texts[150, 200] == "150 × 200: 23 images"  # 20 photos and 3 copies
    assert texts[120, 160] == "120 × 160: 1 image"  # upright
    assert dict(zip(shapes.names, shapes.values, strict=True))["3:4"] == 24
    assert sum(shapes.values) == sum(n_bytes.values) == 52
    for name, count in zip(n_bytes.names, n_bytes.values, strict=True):
        low, high = (number_of(text) for text in name.split(" to "))
        assert count == sum(low <= path.stat().st_size < high for path in messy.readable)


def number_of(text: str) -> int:
    value, unit = text.split()
    return int(value) * {"B": 1, "kB": 1000}[unit]


def test_problems_are_those_of_the_folder(messy: Messy) -> None:
    report = messy.report
    assert report.headline == "52 images without labels"
    assert [problem.text for problem in report.problems if problem.anchor != "outliers"] == [
        "2 files cannot be used",
        "1 file in a format that is not supported",
        "1 group of duplicate files",
        "1 group of near-duplicates",
        "1 blank image",
        "1 tiny image",
        "1 file with a suffix of another format",
    ]
    assert report.files.misnamed == (("png.jpg", "JPEG", "PNG"),)
    assert [name for name, _ in report.failures] == ["half.jpg", "notes.jpg", "1 .jxl file"]
    assert report.failures[1][1] == "it is not an image in a supported format"
    assert (report.counts["failed"], report.counts["skipped"]) == (2, {".jxl": 1})
    assert report.counts["duplicates"] == 1
    assert report.counts["leakage"] is None
    assert "leakage" in report.counts["not_checked"]


def test_images_without_labels_are_in_groups(messy: Messy) -> None:
    report = messy.report
    assert not report.by_class
    assert len(report.groups) == 52 // 15
    assert sum(group.count for group in report.groups) == 52
    assert [group.count for group in report.groups] == sorted(
        (group.count for group in report.groups), reverse=True
    )
    shown = [pick.id for group in report.groups for pick in group.examples]
    assert len(shown) == len(set(shown))
    assert len({"000.jpg", "copy0.jpg", "copy1.jpg", "copy2.jpg"} & set(shown)) <= 1
    assert report.map is not None
    assert len(report.map.x) == 52
    assert report.map.groups == ("Group 1", "Group 2", "Group 3")
    assert Counter(report.map.codes) == {at: group.count for at, group in enumerate(report.groups)}


def test_next_steps_of_a_folder_without_labels(messy: Messy) -> None:
    commands = [step.command for step in messy.report.steps if step.command]
    assert commands == [
        "embedpipe check photos --report checks.html",
        "embedpipe label photos",
        "embedpipe select photos -n 100 --strategy auto --output picks.csv",
    ]
    assert messy.report.steps[1].text == "Convert files in unsupported formats to JPEG or PNG."


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ep.Embeddings:
    workspace = tmp_path_factory.mktemp("digits")
    return ep.embed(ep.load_dataset("digits"), backbone="toy", workspace=workspace)


@pytest.fixture(scope="module")
def digits_check(digits: ep.Embeddings) -> CheckResult:
    return check(digits)


def report_of(embeddings: ep.Embeddings, checked: CheckResult, **options: Any) -> DataReport:
    return ep.data_report_of(embeddings, checked, layout="components", **options)


def test_classes_and_splits_of_a_labelled_dataset(
    digits: ep.Embeddings, digits_check: CheckResult
) -> None:
    report = report_of(digits, digits_check, training="--labels dataset")
    assert report.headline == "1,797 images in 10 classes"
    labels = Counter(digits.dataset.labels())
    assert report.counts["classes"] == labels
    assert {group.name: group.count for group in report.groups} == labels
    items = {item.id: item for item in digits.items}
    for group in report.groups:
        assert len(group.examples) == 12
        assert all(items[pick.id].label == group.name for pick in group.examples)
        train = sum(i.label == group.name and i.split == "train" for i in digits.items)
        assert group.note == f"train {train}, test {group.count - train}"
    assert report.counts["splits"] == {"train": 1400, "test": 397}
    assert report.files.note == "All images have 8 × 8 pixels."
    assert report.files.counts["formats"] == {"PGM": 1797}
    assert report.files.charts == ()
    assert [step.command for step in report.steps][-2:] == [
        "embedpipe run digits",
        "embedpipe train digits --labels dataset --output model.safetensors",
    ]
    assert report.map is not None
    names = [report.map.groups[code] for code in report.map.codes]
    assert names == digits.dataset.labels()
    assert report_of(digits, digits_check, training="--labels dataset") == report


def test_a_large_dataset_has_a_random_sample_and_a_bounded_page(
    digits: ep.Embeddings,
    digits_check: CheckResult,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(data_report, "MAP_IMAGES", 200)
    monkeypatch.setattr(data_report, "MAX_GROUPS", 3)
    monkeypatch.setattr(data_report, "MAX_OTHERS", 5)
    monkeypatch.setattr(data_report, "MAP_CLASSES", 4)
    report = report_of(digits, digits_check)
    assert report.map is not None
    assert len(report.map.x) == report.counts["map"]["images"] == 200
    assert "It shows 200 of 1,797 images, chosen at random." in report.map.note
    assert "The 4 largest classes have a colour and a shape." in report.map.note
    assert report.map.groups[4:] == ("other classes",)
    assert [len(report.groups), len(report.other_classes[0].rows)] == [3, 5]
    assert report.other_classes[1] == 2
    text = ep.write_data_report(tmp_path / "page.html", report).read_text()
    assert "2 smaller classes are not listed." in text
    assert len(text) < 3e6


def test_partly_labelled_images(messy: Messy, tmp_path: Path) -> None:
    labels = {f"{number:03d}.jpg": EVIL if number % 2 else HEBREW for number in range(10)}
    report = report_of(messy.embeddings, check(messy.embeddings, labels=labels), target="photos")
    assert report.headline == "52 images, 10 of them labelled in 2 classes"
    assert report.by_class
    assert report.map is not None
    assert Counter(report.map.codes) == {0: 5, 1: 5, -1: 42}
    commands = [step.command for step in report.steps if step.command]
    assert commands[-1] == "embedpipe train photos --output model.safetensors"
    assert "embedpipe label photos" in commands
    text = ep.write_data_report(tmp_path / "page.html", report).read_text()
    assert EVIL not in text
    assert f"<bdi>{HEBREW}</bdi>" in text
    assert "no label" in text


def test_one_class_and_one_image(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    draw(0).save(folder / "a.jpg")
    embeddings = ep.embed(folder, backbone="toy", workspace=tmp_path / "workspace")
    report = report_of(embeddings, check(embeddings))
    assert report.headline == "1 image without labels"
    assert (report.map, report.problems) == (None, ())
    assert report.summary == "No problems found by these checks."
    assert report.files.note == "All images have 160 × 120 pixels."
    assert (
        "No problems found by these checks."
        in ep.write_data_report(tmp_path / "1.html", report).read_text()
    )
    labelled = check(embeddings, labels={"a.jpg": "hat"})
    assert report_of(embeddings, labelled).headline == "1 image in 1 class"


def test_images_that_were_not_read(messy: Messy, tmp_path: Path) -> None:
    report = report_of(messy.embeddings, check(messy.embeddings, pixels=False))
    assert table(report, "Formats") == {"JPEG": 51, "PNG": 1}  # by suffix
    assert report.files.charts == ()
    assert report.counts["tiny"] is None
    text = ep.write_data_report(tmp_path / "page.html", report).read_text()
    assert "The images were not read" in text


def test_vanished_files_and_buckets(messy: Messy) -> None:
    items = tuple(
        replace(item, bucket="2019" if row < 20 else "2020")
        for row, item in enumerate(messy.embeddings.items)
    )
    vanished = (Failure("gone.jpg", None, "scan", "it is missing"),)
    embeddings = replace(messy.embeddings, items=items, vanished=vanished)
    report = report_of(embeddings, messy.checked)
    assert report.counts["buckets"] == {"2019": 20, "2020": 32}
    assert report.failures[2] == ("gone.jpg", "it is missing")


def test_wrong_arguments(messy: Messy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^unknown layout 'umap'\. Known: auto, components, "):
        ep.data_report_of(messy.embeddings, messy.checked, layout="umap")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(UsageError, match="UMAP is not installed"):
        ep.data_report_of(messy.embeddings, messy.checked, layout="neighbours")
    report = ep.data_report_of(messy.embeddings, messy.checked)
    assert report.counts["map"]["layout"] == "components"
    with pytest.raises(UsageError, match="expected DataReport, got str"):
        ep.write_data_report(tmp_path / "page.html", "report")


def test_equal_data_give_equal_pages_without_external_files(
    messy: Messy, page: Path, tmp_path: Path
) -> None:
    again = report_of(
        messy.embeddings, check(messy.embeddings), target="photos",
        command="embedpipe report photos",
    )  # fmt: skip
    text = page.read_bytes()
    assert ep.write_data_report(tmp_path / "again.html", again).read_bytes() == text
    assert EVIL.encode() not in text


@pytest.mark.parametrize("width", [1280, 420])
def test_the_page_in_a_browser(browser: Any, page: Path, width: int) -> None:
    with quiet_page(browser, page.as_uri(), width) as tab:
        tab.wait_for_selector("html.charts-ready")
        assert tab.locator("figure.live").count() == 4
        # Each link in the list of problems leads to a section.
        for link in tab.locator(".problems a").all():
            assert tab.locator(str(link.get_attribute("href"))).count() == 1
        # A picture opens by the keyboard, larger and with its path.
        first = tab.locator(".picture").first
        before = first.locator("img").bounding_box()["width"]
        first.locator("summary").focus()
        tab.keyboard.press("Enter")
        assert first.locator(".id").is_visible()
        assert first.locator("img").bounding_box()["width"] > 1.5 * before
        # The arrow keys read the names of the images on the map.
        plot = tab.locator("#map-chart .plot")
        plot.focus()
        tab.keyboard.press("ArrowRight")
        assert ".jpg" in tab.locator("#map-chart .spoken").inner_text()
        shapes = tab.locator("figure.live").nth(2)
        shapes.locator(".plot").focus()
        tab.keyboard.press("ArrowRight")
        assert re.fullmatch(r"[\d:]+: \d+ images", shapes.locator(".spoken").inner_text())
        # A checkbox hides a group.
        tab.locator("#m0").uncheck()
        visible = plot.evaluate("plot => plot.data.map(trace => trace.visible !== false)")
        assert visible == [False, True, True]


def test_names_are_text_in_the_browser(browser: Any, page: Path) -> None:
    with quiet_page(browser, page.as_uri(), 1280) as tab:
        tab.wait_for_selector("html.charts-ready")
        names = tab.evaluate(
            "document.querySelector('#map-chart .plot').data.flatMap(trace => trace.text)"
        )
        assert f"\u2068{HEBREW}.jpg\u2069" in names
        assert sum("onerror" in name and "&lt;img" in name for name in names) == 1
        assert tab.locator("img[src=x]").count() == 0


def test_the_page_without_script_and_on_paper(browser: Any, page: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(page.as_uri())
    for text in ("52 images without labels", "embedpipe label photos", "notes.jpg"):
        assert tab.get_by_text(text).first.is_visible()
    assert tab.locator("figure svg.static").count() == 4
    assert all(each.is_visible() for each in tab.locator("figure svg.static").all())
    assert not tab.locator("#m0").is_visible()
    context.close()
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html.charts-ready")
    tab.emulate_media(media="print")
    assert all(each.is_visible() for each in tab.locator("figure svg.static").all())
    assert tab.pdf(format="A4").startswith(b"%PDF")
    assert too_wide_for_paper(tab) == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_of_accessibility_rules(
    browser: Any, page: Path, axe: str, scheme: str
) -> None:
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    tab.goto(page.as_uri())
    tab.wait_for_selector("html.charts-ready")
    assert violations(tab, axe) == {}
    context.close()
