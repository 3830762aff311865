"""Addresses on the command line: signatures are not shown, and errors of a store are one line."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from typer.testing import CliRunner

from embedpipe import _storage
from embedpipe.cli import report
from embedpipe.cli.main import app
from embedpipe.cli.options import DatasetWithLabels
from embedpipe.cli.session import Session
from tests.object_store import S3Server

TOY = ("--backbone", "toy")


@pytest.fixture
def archive(s3: S3Server, bucket: str, tmp_path: Path) -> str:
    """A signed web address of an archive of 12 photos, which is also in the bucket."""
    import shutil

    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / "photos" / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 24, 3)).astype(np.uint8)).save(path)
    shutil.make_archive(str(tmp_path / "up" / "photos"), "zip", tmp_path / "photos")
    s3.upload(tmp_path / "up", bucket)
    return s3.client.generate_presigned_url(
        "get_object", Params={"Bucket": bucket, "Key": "photos.zip"}
    )


def test_the_steps_of_a_report_have_no_signature(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["report", archive, *TOY, "--layout", "components", "--workspace", "w"]
    monkeypatch.setattr("sys.argv", ["embedpipe", *words])
    result = CliRunner().invoke(app, [*words, "--json"])
    assert result.exit_code == 0, result.stderr
    page = Path(json.loads(result.stdout)["report"]).read_text()
    public = archive.partition("?")[0]
    assert f"embedpipe train {public} --backbone toy --workspace w" in page
    for secret in ("Signature", "AWSAccessKeyId", "AKIATHIS"):
        assert secret not in page


def test_the_source_in_the_steps_has_no_signature() -> None:
    given = {"source": "--source https://h/a b.zip?id=1&Signature=s"}
    session = cast(Session, SimpleNamespace(given=given))
    data = DatasetWithLabels("clear")
    assert report._target(session, data) == "clear --source 'https://h/a b.zip?id=1'"


def test_the_target_may_be_an_address(archive: str, bucket: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "photos")
    words = ["select", folder, *TOY, "-n", "2", "--workspace", str(tmp_path / "w"), "--target"]
    for target in (archive, f"s3://{bucket}/photos.zip"):
        result = CliRunner().invoke(app, [*words, target])
        assert "Signature" not in result.stderr
        assert "target: 12 images of " in result.stderr
    result = CliRunner().invoke(app, [*words, archive.replace("photos.zip", "absent.zip")])
    assert result.exit_code == 1
    assert "absent.zip" in result.stderr
    assert "Signature" not in result.stderr


COMMANDS = [
    ["cache", "list"],
    ["cache", "verify"],
    ["embed", "digits", *TOY],
    ["check", "digits", *TOY],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("workspace", "reason"),
    [
        ("s3://mistyped-bucket-name/ws", "The specified bucket does not exist"),
        ("s3://", "has no bucket: give an address such as s3://bucket/photos."),
    ],
)
def test_a_bad_workspace_is_one_line(
    s3: S3Server, words: list[str], workspace: str, reason: str
) -> None:
    result = CliRunner().invoke(app, [*words, "--workspace", workspace, "--quiet"])
    assert result.exit_code == (2 if workspace == "s3://" else 1)
    assert len(result.stderr.splitlines()) == 1
    assert reason in result.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_missing_credentials_are_one_line(
    s3: S3Server, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    _storage._file_system.cache_clear()
    result = CliRunner().invoke(app, [*words, "--workspace", "s3://bucket/ws", "--quiet"])
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "unexpected" not in result.stderr
    assert "Unable to locate credentials" in result.stderr
