"""A hook of MkDocs: each notebook in `docs/` becomes a page with the stored outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files


def on_files(files: Files, *, config: Any) -> Files:
    """Add a Markdown page for each notebook."""
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            notebook = json.loads(Path(file.abs_src_path).read_text(encoding="utf-8"))
            page = file.src_uri.removesuffix(".ipynb") + ".md"
            link = f"[Download this page as a notebook]({Path(page).with_suffix('.ipynb').name})"
            content = "\n\n".join(part for cell in notebook["cells"] for part in markdown(cell))
            files.append(File.generated(config, page, content=f"{content}\n\n{link}\n"))
    return files


def markdown(cell: dict[str, Any]) -> list[str]:
    """Return a cell and its outputs as parts of a Markdown page."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return [source]
    parts = [f"```python\n{source}\n```"]
    for output in cell["outputs"]:
        data = output.get("data", {})
        text = "".join(output.get("text", data.get("text/plain", "")))
        if "image/png" in data:
            image = "".join(data["image/png"].split())
            parts.append(f"![Output of the cell above](data:image/png;base64,{image})")
        elif text:
            parts.append(f"```text\n{text.rstrip()}\n```")
    return parts
