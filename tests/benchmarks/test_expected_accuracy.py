"""The tables of the expected accuracy, from stored results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.docs.pages import REPOSITORY

ROW = (
    "truth | expected | error | within 5 | interval | inside | class error | "
    "cross-validation (error) |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
)

TABLES = f"""
| spaces, strategy | {ROW}\
| reporting, margin | 75.0 | 73.5 | 4.5 | 50 % | ± 4.5 | 50 % | 5.0 | 55.0 (20.0) |

| spaces, labels | {ROW}\
| reporting, 40 | 70.0 | 73.0 | 3.0 | 100 % | ± 5.0 | 100 % | – | 60.0 (10.0) |

| space, `margin` | {ROW}\
| digits-pixels | 75.0 | 73.5 | 4.5 | 50 % | ± 4.5 | 50 % | 5.0 | 55.0 (20.0) |
"""


def test_the_tables_are_computed_from_the_stored_results(tmp_path: Path) -> None:
    names = {"space": "digits-pixels", "strategy": "margin", "head": "auto", "seed": 0}
    rounds = [
        {"labelled": 40, "truth": 0.7, "expected": 0.73, "low": 0.68, "high": 0.78,
         "cross_validated": 0.6, "class_error": None},
        {"labelled": 80, "truth": 0.8, "expected": 0.74, "low": 0.7, "high": 0.78,
         "cross_validated": 0.5, "class_error": 0.05},
    ]  # fmt: skip
    pq.write_table(
        pa.Table.from_pylist([names | each for each in rounds]), tmp_path / "results.parquet"
    )
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks" / "expected_accuracy.py", "digits-pixels",
         "--show", "--results", tmp_path / "results.parquet"],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.stdout == TABLES
