"""The tutorial runs from top to bottom, and its outputs are up to date."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import pytest

from tests.docs.pages import DOCS, REPOSITORY

TUTORIAL = DOCS / "tutorials" / "tutorial.ipynb"
FIGURE = "application/vnd.plotly.v1+json"


def outputs(notebook: dict[str, Any]) -> list[object]:
    """Return the text of each output with numbers left out, or the kinds of its data."""
    return [
        re.sub(r"[\d.]+", "#", "".join(output["text"]))
        if output["output_type"] == "stream"
        else sorted(output["data"])
        for cell in notebook["cells"]
        for output in cell.get("outputs", ())
    ]


def figures(notebook: dict[str, Any]) -> list[Any]:
    """Return the figures of the outputs."""
    found = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    return [output["data"][FIGURE] for output in found if FIGURE in output.get("data", {})]


@pytest.mark.slow
def test_the_tutorial_runs_and_gives_the_outputs_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.delenv("EMBEDPIPE_WORKSPACE", raising=False)
    run = runpy.run_path(str(REPOSITORY / ".ci" / "run_tutorial.py"))["run"]
    shown = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    made = run(TUTORIAL)
    assert outputs(made) == outputs(shown)
    for figure, stored in zip(figures(made), figures(shown), strict=True):
        assert [trace.get("name") for trace in figure["data"]] == [
            trace.get("name") for trace in stored["data"]
        ]
    names = [
        [each["name"] for each in fig["data"] if each.get("showlegend")] for fig in figures(made)
    ]
    assert names == [["typiclust, then margin"], *2 * [["margin", "coreset", "random"]]]


def test_the_notebook_is_small_enough_for_the_repository() -> None:
    assert TUTORIAL.stat().st_size < 200_000
