"""The comparison of strategies: its table, its page, its figure."""

from __future__ import annotations

from pathlib import Path

from .conftest import Run


def test_digits(pipeline: Run, tmp_path: Path) -> None:
    printed = pipeline(
        "compare_strategies.py", "digits", "--backbone", "toy", "--strategies", "margin", "random",
        "--seeds", 2, "--initial-size", 10, "--batch-size", 10, "--rounds", 1, "--workers", 0,
        "--output", "out",
    ).stdout  # fmt: skip
    assert "4 of 4 runs, 8 of 8 rounds" in printed
    assert "digits, toy; auto, cumulative; 2 seeds, 10 to 20 labels" in printed
    assert "margin" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "out" / "curves.pdf").read_bytes().startswith(b"%PDF")
