"""The feature spaces of the benchmarks, and the tables that are computed from stored results."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embedpipe as ep
from tests.docs.pages import DOCS, REPOSITORY

BENCHMARKS = REPOSITORY / "benchmarks"

TABLES = """
**digits-pixels**, `logistic`, 3 pools

| strategy | mean | 20 | to target | area | rounds |
| --- | --- | --- | --- | --- | --- |
| `margin` | 0.573 ± 0.023 | 0.420 | – | +0.050 (p = 0.007) | 1, 0 |
| `random` | 0.523 ± 0.025 | 0.420 | – | – | – |
| `coreset` | 0.482 ± 0.023 | 0.317 | – | -0.042 (p = 0.006) | 0, 1 |

**Area, in points above random: reporting, `logistic`**

| space | random | `margin` | `coreset` |
| --- | --- | --- | --- |
| digits-pixels | 52.3 | +5.0* | -4.2* |

**Area, in points above the best other strategy: reporting, `logistic`**

| space | `margin` | `coreset` |
| --- | --- | --- |
| digits-pixels | +5.0 | -9.2 |
| within 1 point | 1 of 1 | 0 of 1 |
| within 2 points | 1 of 1 | 0 of 1 |

**Rounds below random: reporting, `logistic`**

| space | `margin` | `coreset` |
| --- | --- | --- |
| digits-pixels | 0 (0) | 1 (1) |
"""


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("spaces")


def test_no_pair_of_images_and_features_is_for_tuning_and_for_reporting(spaces: Any) -> None:
    tuning = {(space.data, space.features) for space in spaces.TUNING}
    reporting = {(space.data, space.features) for space in spaces.REPORTING}
    assert not tuning & reporting
    assert len(spaces.SPACES) == sum(map(len, spaces.ROLES.values()))


def test_every_space_has_a_card_on_the_page(spaces: Any) -> None:
    text = (DOCS / "benchmarks" / "spaces.md").read_text(encoding="utf-8")
    cards = re.findall(r"^\| `([\w-]+)` \|", text.split(spaces.START)[1], re.MULTILINE)
    expected = [space.name for members in spaces.ROLES.values() for space in members]
    assert cards == expected


def test_a_burst_has_1_to_30_copies_and_the_test_images_are_corrupted(
    spaces: Any, tmp_path: Path
) -> None:
    digits = ep.load_dataset("digits")
    bursts = spaces.with_bursts(digits, tmp_path / "bursts", shifted=True)
    copies = Counter(item.id.rpartition("/")[0] for item in bursts.items if item.split == "train")
    assert len(copies) == 800
    assert (min(copies.values()), max(copies.values())) == (1, 30)
    # The frequencies are those of 1/k: k = 1 has 1 / (1 + 1/2 + ... + 1/30) = 25 %.
    assert Counter(copies.values())[1] == pytest.approx(200, abs=40)
    labels = {f"train/{item.id}": item.label for item in digits.items}
    assert all(
        item.label == labels[item.id.rpartition("/")[0]]
        for item in bursts.items
        if item.split == "train"
    )
    variants = Counter(item.id.split("/")[1] for item in bursts.items if item.split == "test")
    assert set(variants) == {f"{kind}-{s}" for kind in spaces.SHIFTS for s in (1, 3)}
    assert sum(variants.values()) == 397
    first = bursts.items[-1].id
    again = spaces.with_bursts(digits, tmp_path / "again", shifted=True)
    assert again.source.read_one(first) == bursts.source.read_one(first)


def test_the_tables_are_computed_from_the_stored_results(tmp_path: Path) -> None:
    # The areas of a strategy are the means of its two accuracies, because there are two rounds.
    accuracies = {
        "random": [(0.40, 0.60), (0.42, 0.62), (0.44, 0.66)],
        "margin": [(0.40, 0.70), (0.42, 0.73), (0.44, 0.75)],
        "coreset": [(0.30, 0.62), (0.31, 0.65), (0.34, 0.67)],
    }
    rows = [
        {"strategy": name, "head": "logistic", "seed": seed, "labelled": count, "accuracy": value}
        for name, curves in accuracies.items()
        for seed, curve in enumerate(curves)
        for count, value in zip((20, 40), curve, strict=True)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "digits-pixels.parquet")
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "labels.py", "--show", "--results", tmp_path],
        capture_output=True, text=True, check=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.stdout == TABLES


def test_a_run_stores_the_accuracies_of_each_strategy_and_with_all_labels(tmp_path: Path) -> None:
    options = ["--seeds", "3", "--rounds", "1", "--workers", "0", "--results", tmp_path]
    for strategies in (["margin"], ["coreset"]):  # the second run keeps the rows of the first
        subprocess.run(
            [sys.executable, BENCHMARKS / "labels.py", "digits-pixels", *options,
             "--workspace", tmp_path / "workspace", "--strategies", *strategies],
            capture_output=True, check=True, cwd=REPOSITORY,
        )  # fmt: skip
    rows = pq.read_table(tmp_path / "digits-pixels.parquet").to_pylist()
    found = Counter((row["strategy"], row["labelled"]) for row in rows)
    # The pool of a seed has 80 % of the 1,400 candidates.
    expected = {(name, count) for name in ("coreset", "margin", "random") for count in (20, 40)}
    assert found == dict.fromkeys((*expected, ("all labels", 1_120)), 3)
    means: dict[tuple[str, int], list[float]] = {key: [] for key in found}
    for row in rows:
        means[row["strategy"], row["labelled"]].append(row["accuracy"])
    assert min(means["all labels", 1_120]) > 0.9 > max(means["random", 20])
