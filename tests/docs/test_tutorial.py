"""The tutorial runs from top to bottom, and its outputs are up to date."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import pytest

from tests.docs.pages import DOCS, REPOSITORY

TUTORIAL = DOCS / "tutorials" / "tutorial.ipynb"


def outputs(notebook: dict[str, Any]) -> list[object]:
    """Return the kind of each image and the text of each output, with numbers left out."""
    return [
        re.sub(r"[\d.]+", "#", "".join(output["text"]))
        if output["output_type"] == "stream"
        else "image/png" in output["data"]
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]


def test_the_tutorial_runs_and_gives_the_outputs_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    run = runpy.run_path(str(REPOSITORY / ".ci" / "run_tutorial.py"))["run"]
    shown = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    assert outputs(run(TUTORIAL)) == outputs(shown)
    assert outputs(shown).count(True) == 3
