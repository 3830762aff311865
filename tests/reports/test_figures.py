"""Figures for print: their fonts and sizes, their colours, and what cannot be drawn."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_digits

import embedpipe as ep
from embedpipe.errors import UnknownNameError, UsageError
from embedpipe.experiments import Results
from embedpipe.experiments.results import RESULTS
from embedpipe.reports import Series, line_chart, write_figure
from embedpipe.reports.figures import KINDS
from embedpipe.reports.printed import print_charts

from .test_comparison_report import results


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_figures_for_print(tmp_path: Path, suffix: str) -> None:
    path = write_figure(results(("hats", "shoes")), tmp_path / f"curves.{suffix}")
    written = path.read_bytes()
    assert written[:8].startswith({"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[suffix])
    assert write_figure(results(("hats", "shoes")), path).read_bytes() == written


@pytest.fixture(scope="module")
def large() -> Results:
    """Return 20 strategies with 20 seeds and 40 rounds: 16,000 points."""
    rng = np.random.default_rng(0)
    labels = 100 * np.arange(1, 41)
    rate = np.linspace(600, 1500, 20)[:, None, None]
    accuracy = 0.5 + 0.4 * (1 - np.exp(-labels / rate)) + rng.normal(0, 0.01, (20, 20, 1))
    accuracy = accuracy + rng.normal(0, 0.005, (20, 20, 40))
    setting = {"dataset": "photos", "backbone": "net", "head": "logistic", "mode": "cumulative"}
    rows = [
        setting
        | {
            "initial": name, "strategy": name, "seed": seed, "run_id": f"{name} {seed}",
            "round": number, "labelled": int(labels[number]),
            "accuracy": float(accuracy[at, seed, number]),
        }
        for at, name in enumerate(["random", *(f"strategy_{at}" for at in range(1, 20))])
        for seed in range(20)
        for number in range(40)
    ]  # fmt: skip
    return replace(results(), table=pa.Table.from_pylist(rows, RESULTS))


def tool(name: str, *arguments: object) -> str:
    """Return the output of a program of poppler-utils."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} of poppler-utils is not installed")
    done = subprocess.run([name, *map(str, arguments)], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("width", "inches"), [("single", 3.3), ("double", 6.9)])
def test_a_large_comparison_is_small_vector_graphics(
    large: Results, tmp_path: Path, width: str, inches: float
) -> None:
    path = write_figure(large, tmp_path / "curves.pdf", width=width)
    written = path.read_bytes()
    assert len(written) < 2e6
    assert b"/Subtype /Image" not in written  # vector graphics
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", written)
    assert box is not None
    assert float(box[1]) / 72 == pytest.approx(inches, abs=0.01)
    fonts = tool("pdffonts", path).splitlines()[2:]
    assert fonts
    for font in fonts:  # name, type, encoding, embedded, subset, unicode
        assert re.search(r" (CID )?TrueType .* yes yes yes ", font), font
    text = tool("pdftotext", path, "-")
    for name in ("random", "strategy_1", "strategy_19", "accuracy", "significant difference"):
        assert name in text


def test_lines_differ_without_colours(tmp_path: Path) -> None:
    figure = print_charts([line_chart([
        Series(f"line {at}", [1, 2, 3], [0.1 * at, 0.2, 0.3]) for at in range(24)
    ], "Lines")])  # fmt: skip
    (legend,) = figure.legends
    looks = {(line.get_linestyle(), line.get_marker(), str(line._unscaled_dash_pattern))
             for line in legend.get_lines()}  # fmt: skip
    assert len(looks) == 24


def test_a_palette_of_ones_own_is_used_for_lines_and_bars(tmp_path: Path) -> None:
    for kind in ("curves", "rounds", "differences", "labels"):
        path = tmp_path / f"{kind}.svg"
        write_figure(results(), path, kind=kind, palette={"coreset": "tomato"})
        assert "#ff6347" in path.read_text()
    with pytest.raises(UnknownNameError, match="unknown name in the palette 'corset'"):
        write_figure(results(), path, palette={"corset": "tomato"})
    with pytest.raises(UsageError, match="'tomatoe' is not a colour"):
        write_figure(results(), path, palette={"coreset": "tomatoe"})


def test_names_are_text_in_every_kind_of_figure(tmp_path: Path) -> None:
    given = results(("$x_1$ & <b>", "שלום"))
    for kind in KINDS:
        path = write_figure(given, tmp_path / f"{kind}.svg", kind=kind, width="single")
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    path = write_figure(given, tmp_path / "labels.pdf", kind="labels")
    text = tool("pdftotext", "-layout", path, "-")
    for name in ("$x_1$ & <b>", "שלום", "<typiclust>, then margin", "over 30 (0 of 3)"):
        assert name in text


def test_figures_that_cannot_be_drawn_raise_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_figure(results(), tmp_path / "curves.doc")
    assert str(caught.value) == (
        f"cannot draw {tmp_path / 'curves.doc'}: its name must end in .pdf, .svg or .png."
    )
    with pytest.raises(UsageError, match="the results have no measure 'f1'."):
        write_figure(results(), tmp_path / "curves.pdf", measure="f1")
    with pytest.raises(UnknownNameError, match="unknown kind of figure 'bars'"):
        write_figure(results(), tmp_path / "curves.pdf", kind="bars")
    with pytest.raises(UnknownNameError, match="unknown width 'triple'"):
        write_figure(results(), tmp_path / "curves.pdf", width="triple")
    with pytest.raises(UsageError, match="nothing to draw: wins are counted over two or more"):
        write_figure(results(), tmp_path / "wins.pdf", kind="wins")
    empty = replace(results(), table=pa.Table.from_pylist([], RESULTS))
    with pytest.raises(UsageError, match="there is nothing to draw: no run is finished."):
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
