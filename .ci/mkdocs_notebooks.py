"""A hook of MkDocs: each notebook in `docs/` becomes a page with the stored outputs.

Figures of plotly are interactive on the page. The script of plotly is a file of the site, which
only pages with figures load.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from plotly.offline import get_plotlyjs

PLOTLY = "application/vnd.plotly.v1+json"

DRAW = """
for (const figure of document.querySelectorAll(".notebook-figure")) {
  const { data, layout } = JSON.parse(figure.nextElementSibling.textContent);
  Plotly.newPlot(figure, data, layout, {
    displayModeBar: false, responsive: true, showSendToCloud: false, typesetMath: false,
  });
}
"""


def on_files(files: Files, *, config: Any) -> Files:
    """Add a Markdown page for each notebook, and the script of plotly."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            notebook = json.loads(Path(file.abs_src_path).read_text(encoding="utf-8"))
            page = file.src_uri.removesuffix(".ipynb") + ".md"
            link = f"[Download this page as a notebook]({Path(page).with_suffix('.ipynb').name})"
            content = "\n\n".join(part for cell in notebook["cells"] for part in markdown(cell))
            if PLOTLY in json.dumps(notebook):
                up = "../" * page.count("/")
                content += f'\n\n<script src="{up}assets/plotly.min.js"></script>'
                content += f"\n\n<script>{DRAW}</script>"
            files.append(File.generated(config, page, content=f"{content}\n\n{link}\n"))
    files.append(File.generated(config, "assets/plotly.min.js", content=get_plotlyjs()))
    return files


def markdown(cell: dict[str, Any]) -> list[str]:
    """Return a cell and its outputs as parts of a Markdown page."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    return [f"```python\n{source}\n```", *map(output_of, cell["outputs"])]


def output_of(output: dict[str, Any]) -> str:
    """Return an output in its richest form."""
    data = output.get("data", {})
    if PLOTLY in data:
        figure = {key: data[PLOTLY][key] for key in ("data", "layout")}
        text = json.dumps(figure).replace("<", "\\u003c")
        height = figure["layout"].get("height", 450)
        return (
            f'<div class="notebook-figure" style="height:{height}px"></div>'
            f'<script type="application/json">{text}</script>'
        )
    if "text/html" in data:
        return "".join(data["text/html"])
    text = "".join(output.get("text", data.get("text/plain", "")))
    return f"```text\n{text.rstrip()}\n```" if text else ""
