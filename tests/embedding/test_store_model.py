"""The store against a dictionary: see ``store_model.py``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills need POSIX processes")
def test_the_store_equals_the_dictionary_after_any_history() -> None:
    program = Path(__file__).with_name("store_model.py")
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
