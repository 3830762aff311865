"""Exports to a visible folder, and as a download of the browser."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from embedpipe.datasets import load_dataset
from embedpipe.labels.exchange import formats
from tests.server.conftest import Lab
from tests.server.tabs import Tab, kind_of


def label_some(lab: Lab, count: int = 6) -> dict[str, str]:
    labels = {path: kind_of(path) for path in lab.session.ids[:count]}
    for row, label in enumerate(labels.values()):
        lab.session.label([row], label)
    return labels


def test_the_folder_is_beside_the_dataset(lab: Lab) -> None:
    label_some(lab)
    path = Path(lab.post("/api/export", {"format": "csv"}).json()["path"])
    assert path.is_absolute()
    assert path.parent == lab.folder.parent.resolve() / "embedpipe-exports"
    lab.post("/api/export", {"format": "imagefolder"}).json()
    assert len(load_dataset(str(lab.folder.parent))) == 24 + len(thumbnails(lab))


def thumbnails(lab: Lab) -> list[Path]:
    """Return the images in the workspace beside the dataset: there are none in this test."""
    return [path for path in lab.workspace.rglob("*") if path.suffix in (".jpg", ".png")]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_without_permission_the_folder_is_in_the_current_directory(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_some(lab)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lab.folder.parent.chmod(0o555)
    try:
        path = Path(lab.post("/api/export", {"format": "csv"}).json()["path"])
    finally:
        lab.folder.parent.chmod(0o755)
    assert path.parent == (tmp_path / "here" / "embedpipe-exports").resolve()


def test_a_file_in_the_way_moves_the_folder(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_some(lab)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "embedpipe-exports").write_text("a file")
    path = Path(lab.post("/api/export", {"format": "csv"}).json()["path"])
    assert path.parent == (tmp_path / "here" / "embedpipe-exports").resolve()
    (tmp_path / "here" / "embedpipe-exports").rename(tmp_path / "here" / "old")
    (tmp_path / "here" / "embedpipe-exports").write_text("a file")
    path = Path(lab.post("/api/export", {"format": "csv"}).json()["path"])
    assert path.parent == (lab.workspace / "exports").resolve()


def test_a_download_is_one_file_with_the_labels(lab: Lab, tmp_path: Path) -> None:
    labels = label_some(lab)
    found = lab.post("/api/export", {"format": "csv", "download": True}).json()
    assert (found["items"], found["format"]) == (6, "csv")
    answer = lab.get(found["download"])
    assert answer.headers["content-disposition"] == f'attachment; filename="{found["name"]}"'
    (tmp_path / "got.csv").write_bytes(answer.body)
    back = {item.path: item.label for item in formats["csv"].read(tmp_path / "got.csv")}
    assert back == labels
    found = lab.post("/api/export", {"format": "imagefolder", "download": True}).json()
    with zipfile.ZipFile(io.BytesIO(lab.get(found["download"]).body)) as archive:
        archive.extractall(tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert {item.path: item.label for item in formats["imagefolder"].read(folder)} == labels
    assert not (lab.folder.parent / "embedpipe-exports").exists()
    missing = lab.get("/api/exports/nothing")
    assert missing.error() == (404, "this download was removed: export again.")


def test_old_downloads_and_those_of_an_ended_server_are_removed(lab: Lab) -> None:
    label_some(lab)
    asked = [
        lab.post("/api/export", {"format": "csv", "download": True}).json()["download"]
        for _ in range(4)
    ]
    assert [lab.get(address).status for address in asked] == [404, 200, 200, 200]
    assert len(list(lab.workspace.glob(".tmp-*"))) == 3
    lab.server.stop()
    assert list(lab.workspace.glob(".tmp-*")) == []


def test_the_buttons_of_the_panel(lab: Lab, tab_on: Callable[..., Tab], tmp_path: Path) -> None:
    labels = label_some(lab)
    tab = tab_on(lab)
    tab.page.get_by_label("Format").select_option("csv")
    with tab.page.expect_download() as waiting:
        tab.page.get_by_role("button", name="Download").click()
    waiting.value.save_as(tmp_path / "saved.csv")
    back = {item.path: item.label for item in formats["csv"].read(tmp_path / "saved.csv")}
    assert back == labels
    tab.page.get_by_role("button", name="Export", exact=True).click()
    tab.wait("() => / in \\//.test(document.querySelector('#exported').textContent)")
    path = Path(tab.text("#exported").split(" in ")[1])
    assert path.parent == lab.folder.parent.resolve() / "embedpipe-exports"
    assert {item.path: item.label for item in formats["csv"].read(path)} == labels
