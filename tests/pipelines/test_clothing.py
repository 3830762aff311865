"""The workflow on the clothing photos, from the real archive."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import PIPELINES, Run

ARCHIVE = "clothing-dataset-small.zip"


@pytest.mark.slow
def test_clothing(pipeline: Run, tmp_path: Path) -> None:
    data = os.environ.get("EMBEDPIPE_TEST_DATA", PIPELINES.parents[1] / "shared" / "data")
    archive = Path(data) / ARCHIVE
    if not archive.exists():
        pytest.skip(f"no copy of {ARCHIVE}: set EMBEDPIPE_TEST_DATA to the folder that holds it")
    printed = pipeline(
        "clothing.py", "--source", archive, "--backbone", "toy", "--initial-size", 30,
        "--batch-size", 10, "--rounds", 1, "--output", "out",
    ).stdout  # fmt: skip
    assert "3781 items" in printed
    assert [line.split()[0] for line in printed.splitlines()[-3:-1]] == ["30", "40"]
    assert " accuracy with 40 labels</title>" in (tmp_path / "out" / "report.html").read_text(
        encoding="utf-8"
    )
