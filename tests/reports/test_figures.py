"""Figures for print; pages do not need matplotlib."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.errors import UsageError
from embedpipe.experiments.results import RESULTS
from embedpipe.reports import check_figure, write_figure

from .test_comparison_report import results


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_figures_for_print(tmp_path: Path, suffix: str) -> None:
    path = write_figure(results(("hats", "shoes")), tmp_path / f"curves.{suffix}")
    written = path.read_bytes()
    assert written[:8].startswith({"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[suffix])
    assert write_figure(results(("hats", "shoes")), path).read_bytes() == written


def test_figures_that_cannot_be_drawn_raise_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_figure(results(), tmp_path / "curves.doc")
    assert str(caught.value) == (
        f"cannot draw {tmp_path / 'curves.doc'}: its name must end in .pdf, .svg or .png."
    )
    with pytest.raises(UsageError, match="the results have no measure 'f1'."):
        write_figure(results(), tmp_path / "curves.pdf", measure="f1")
    empty = replace(results(), table=pa.Table.from_pylist([], RESULTS))
    with pytest.raises(UsageError, match="there is no curve to draw: no run is finished."):
        write_figure(empty, tmp_path / "curves.pdf")


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_the_figure_of_a_replay_study(tmp_path: Path, suffix: str) -> None:
    images, labels = load_digits(return_X_y=True)
    images = (images[:200] / 16).astype(np.float32)
    stream = ep.Stream.from_arrays(images, labels[:200], np.repeat([0, 1], 100))
    study = ep.ReplayStudy(
        stream, policies=["random"], retains=[0.1], heads=["logistic", "slda"], seeds=2,
        workspace=tmp_path,
    )  # fmt: skip
    data = ep.replay_of(study.run(workers=0))
    path = ep.write_replay_figure(tmp_path / f"curves{suffix}", data)
    start = {".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG"}[suffix]
    first = path.read_bytes()
    assert first.startswith(start)
    assert ep.write_replay_figure(path, data).read_bytes() == first


def test_without_matplotlib_the_error_has_the_install_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    line = "matplotlib is not installed: `pip install 'embedpipe[figures]'`."
    for draw in (check_figure, lambda path: write_figure(results(), path)):
        with pytest.raises(UsageError) as caught:
            draw(tmp_path / "curves.pdf")
        assert str(caught.value) == line


PAGES = """
import sys

sys.modules["matplotlib"] = None  # an import fails
from embedpipe.cli.main import app

folder = sys.argv[1]
for command in (
    "run digits --rounds 1",
    "compare digits --strategies random,margin --seeds 1 --rounds 1 --workers 0",
    "replay digits --stream classes --experiences 2 --seeds 1 --workers 0",
    f"check digits --no-pixels --report {folder}/check.html",
    f"select digits -n 2 --strategy random --report {folder}/picks.html",
):
    options = ["--backbone", "toy", "--workspace", folder, "--quiet"]
    sys.argv = ["embedpipe", *command.split(), *options]
    try:
        app()
    except SystemExit as end:
        assert not end.code, (command, end.code)
"""


def test_pages_do_not_need_matplotlib(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PAGES, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(list(tmp_path.rglob("*.html"))) == 5
