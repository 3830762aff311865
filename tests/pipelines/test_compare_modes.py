"""The comparison of training modes: forgetting, and the files."""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tests import processes

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def run(folder: Path, *arguments: object) -> str:
    program = REPOSITORY / "pipelines" / "compare_modes.py"
    line = [sys.executable, str(program), "--workspace", str(folder / "w"), *map(str, arguments)]
    done = processes.run(line, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_incremental_margin_forgets_and_replay_does_not(tmp_path: Path) -> None:
    printed = run(
        tmp_path, "--modes", "incremental", "replay", "--strategies", "margin", "--output", "out",
    )  # fmt: skip
    found = dict(re.findall(r"(\w+) margin +peak [\d.]+ +end ([\d.]+)", printed))
    peaks = dict(re.findall(r"(\w+) margin +peak ([\d.]+)", printed))
    lost = {mode: float(peaks[mode]) - float(found[mode]) for mode in found}
    assert lost["incremental"] > 0.08
    assert lost["replay"] < lost["incremental"] / 1.5
    assert float(found["replay"]) > float(found["incremental"]) + 0.03
    with (tmp_path / "out" / "modes.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["mode"] for row in rows} == {"incremental", "replay"}
    assert len(rows) == 2 * 88
    assert all(len(row["most_informative"].split()) == 16 for row in rows[:87])
    assert rows[-1]["labelled_percent"] == "100.0000"
    assert (tmp_path / "out" / "modes.pdf").read_bytes().startswith(b"%PDF")


def test_pixels_of_a_file_of_arrays(tmp_path: Path) -> None:
    X, y = load_digits(return_X_y=True)
    np.savez(
        tmp_path / "d.npz", x_train=X[:200].reshape(-1, 8, 8).astype(np.uint8), y_train=y[:200],
        x_test=X[200:300].reshape(-1, 8, 8).astype(np.uint8), y_test=y[200:300],
    )  # fmt: skip
    printed = run(
        tmp_path, "--data", "d.npz", "--modes", "cumulative", "--head", "nearest_mean",
        "--strategies", "random", "margin", "--rounds", 2, "--seeds", 2,
    )  # fmt: skip
    assert printed.startswith("pool 200, test 100 images, 64 pixels\n")
    assert (tmp_path / "modes-report" / "modes.csv").read_text().count("\n") == 1 + 2 * 2 * 3
