from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedpipe.active import Problem
from embedpipe.experiments import Experiment


@pytest.fixture(scope="session")
def blobs() -> Callable[..., Problem]:
    """Return a function that makes four overlapping clouds, a third of them to test on."""

    def make(n: int = 240, seed: int = 0) -> Problem:
        rng = np.random.default_rng(seed)
        labels = rng.integers(4, size=n)
        centres = rng.standard_normal((4, 8)) * 1.2
        matrix = (centres[labels] + rng.standard_normal((n, 8))).astype(np.float32)
        rows = np.arange(n)
        names = np.array(["hat", "shoe", "sock", "tie"])[labels]
        return Problem.from_arrays(matrix, names, rows[n // 3 :], rows[: n // 3], name="blobs")

    return make


@pytest.fixture
def grid(tmp_path: Path, blobs: Callable[..., Problem]) -> Callable[..., Experiment]:
    """Return a function that makes a small grid with one pool, in a workspace of its own."""
    problem = blobs()

    def make(**changes: Any) -> Experiment:
        options: dict[str, Any] = {
            "strategies": ["margin", "coreset"],
            "seeds": 2,
            "pool_share": 1,
            "initial_size": 8,
            "batch_size": 4,
            "rounds": 2,
            "workspace": tmp_path / "workspace",
            "name": "small",
        }
        given = changes.pop("problems", problem)
        return Experiment(given, **{**options, **changes})

    return make
