"""The page of a check: its content, escaped names, small screens."""

from __future__ import annotations

import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from embedpipe.checks import Imbalance, check
from embedpipe.errors import UsageError
from embedpipe.reports import Pick, make_thumbnail, write_checks
from embedpipe.reports.check_report import (
    ChecksData,
    Finding,
    FindingKind,
    checks_of,
    missing_classes,
)
from tests.conftest import quiet_page

EVIL = "<script>fail()</script>"


@pytest.fixture(scope="module")
def data(embeddings):
    return checks_of(embeddings, check(embeddings), command="embedpipe check shop")


def kind(data, name):
    (found,) = (each for each in data.kinds if each.name == name)
    return found


def test_it_shows_what_was_found(data, copies):
    assert [pick.id for pick in kind(data, "duplicates").findings[0].items] == [
        "test/a/same.jpg", "train/b/005.jpg",
    ]  # fmt: skip
    assert kind(data, "duplicates").findings[0].text == "2 images, with labels a and b"
    assert kind(data, "near_duplicates").count == len(copies)
    assert kind(data, "leakage").findings[0].text == "2 images in test, train"
    assert kind(data, "tiny").findings[0].text == "12 × 48"
    assert kind(data, "blank").findings[0].items[0].id == "train/a/white.jpg"
    assert [name for name, _ in data.failures] == ["train/a/broken.jpg", "train/a/half.jpg"]
    assert data.missing == ("The test split has no image of class b.",)
    findings = [finding for each in data.kinds for finding in each.findings]
    assert all(pick.thumbnail for finding in findings for pick in finding.items)


def test_missing_classes_are_named_up_to_a_number():
    def sentences(*names):
        return missing_classes(Imbalance({}, None, (), tuple(("test", name) for name in names)))

    assert sentences("b", "c") == ("The test split has no image of 2 classes: b, c.",)
    (many,) = sentences(*map(str, range(312)))
    assert many == (
        "The test split has no image of 312 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 302 more."
    )


def test_the_same_data_give_the_same_page_without_external_files(data, tmp_path):
    one = write_checks(tmp_path / "deep" / "one.html", data).read_bytes()
    assert write_checks(tmp_path / "two.html", data).read_bytes() == one
    page = one.decode()
    shown = sum(len(finding.items) for each in data.kinds for finding in each.findings)
    assert page.count("<img") == shown
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "embedpipe check shop" in page
    with pytest.raises(UsageError, match=r"^cannot write .*: Is a directory\.$"):
        write_checks(tmp_path, data)


def test_a_page_without_findings(embeddings, tmp_path):
    found = check(embeddings, labels={}, pixels=False)
    page = write_checks(tmp_path / "page.html", checks_of(embeddings, found)).read_text()
    assert "not checked" in page
    empty = ChecksData("shop", "No problems found", (), (), (), (), ())
    assert "No problems found" in write_checks(tmp_path / "empty.html", empty).read_text()


def crowded(path):
    buffer = BytesIO()
    Image.fromarray(np.full((60, 60), 99, dtype=np.uint8)).save(buffer, "PNG")
    thumbnail = make_thumbnail(buffer.getvalue())
    long = "x" * 150
    picks = tuple(Pick(f"{EVIL}/{long}{i}.jpg", 0.0, EVIL, thumbnail) for i in range(12))
    alone = tuple(Finding((pick,), f"{long}, or {EVIL}?") for pick in picks)
    groups = (Finding(picks, f"12 images, with labels {long} and {EVIL}", 88),)
    kinds = (
        FindingKind("label_errors", "Doubtful labels", "How.", 500, alone),
        FindingKind("near_duplicates", "Near-duplicates", "How.", 1, groups),
        FindingKind("leakage", "Leaks", "How.", 0, (), "the dataset has fewer than two splits"),
    )
    classes = ((long, 100, 1.0, False), (EVIL, 1, 0.01, True))
    data = ChecksData(
        long, "501 findings to review", (("images", "1"),) * 9, kinds, classes, (EVIL,),
        ((long, EVIL),), f"embedpipe check {long}",
    )  # fmt: skip
    return write_checks(path, data)


def test_names_are_text(tmp_path):
    page = crowded(tmp_path / "page.html").read_text()
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "This page shows the first 12." in page
    assert "88 more" in page


def test_it_fits_every_screen_and_loads_no_external_files(browser, tmp_path):
    url = crowded(tmp_path / "page.html").as_uri()
    for width in (1280, 390):
        with quiet_page(browser, url, width) as page:
            assert page.locator("img").count() == 24
