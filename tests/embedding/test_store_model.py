"""The store against a dictionary: see ``store_model.py``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.processes import run


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX processes")
@pytest.mark.parametrize("histories", [50, pytest.param(220, marks=pytest.mark.slow)])
def test_the_store_equals_the_dictionary_after_any_history(histories: int) -> None:
    program = Path(__file__).with_name("store_model.py")
    done = run([sys.executable, program, str(histories)], timeout=900)
    assert done.returncode == 0, done.stderr[-4000:]
