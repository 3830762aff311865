"""Six methods of continual learning on digits."""

from __future__ import annotations

import re
from pathlib import Path

from tests.pipelines.conftest import Run

METHODS = {
    "naive": "naive",
    "replay": "class_balanced, 100 rows",
    "gdumb": "gdumb; class_balanced, 100 rows",
    "ewc": "ewc(strength=30.0)",
    "lwf": "lwf",
    "joint": "joint",
}


def test_six_methods_learn_the_digits(pipeline: Run, tmp_path: Path) -> None:
    options = ["--backbone", "toy", "--memory", 100, "--strength", 30, "--seeds", 2, "--workers", 0]
    printed = pipeline("avalanche_style.py", "digits", *options).stdout
    accuracy = {}
    for method, name in METHODS.items():
        row = re.search(rf"^ *{re.escape(name)} +[12] of 2 +(\d\.\d+)", printed, re.MULTILINE)
        assert row, printed
        accuracy[method] = float(row[1])
    assert accuracy["joint"] == max(accuracy.values())
    assert accuracy["joint"] > 0.75
    assert min(accuracy["replay"], accuracy["gdumb"]) > accuracy["naive"] + 0.3
    assert accuracy["naive"] < 0.3
    assert "<title>" in (tmp_path / "continual.html").read_text(encoding="utf-8")
