"""Run the tutorial and store its outputs: `make tutorial`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

TUTORIAL = Path(__file__).parent.parent / "docs" / "tutorials" / "tutorial.ipynb"

RENDERER = "plotly_mimetype"
"""The form in which figures are stored: their data, without the script of plotly (5 MB each)."""


def run(path: Path = TUTORIAL) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run in an empty folder."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": folder}})
        client.execute(env=os.environ | {"PLOTLY_RENDERER": RENDERER})
    for cell in notebook.cells:
        cell.metadata.clear()  # it contains times of execution
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    return notebook


if __name__ == "__main__":
    nbformat.write(run(), TUTORIAL)
