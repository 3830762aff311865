"""Exports of the page: labels or the trained model, to a new file or folder in the workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..active import train
from ..errors import LabelError
from ..labels import Labelled, formats
from ..labels.exchange import local_files_url, serving_instructions
from .page_state import PageState

__all__ = ["EXPORTS", "MODEL", "export"]

MODEL = "model"

EXPORTS = (
    "imagefolder",
    "csv",
    "jsonl",
    "parquet",
    "huggingface",
    "label-studio",
    "fiftyone",
    "cvat",
    MODEL,
)
"""Exports on the page: formats of labels, and the trained model for `embedpipe predict`."""


def export(state: PageState, name: str) -> dict[str, Any]:
    """Write the current labels or the model; return the path and the number of labels."""
    items = _labelled(state)
    sure = sum(item.is_sure for item in items)
    if not sure:
        raise LabelError("there are no labels to export: label some images first.")
    folder = state.workspace.root / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    path = folder / f"{state.session.dataset}-{name}-{moment}"
    note = None
    if name == MODEL:
        path = path.with_name(f"{path.name}.embedpipe")
        train(
            state.session.embeddings, state.session.labels(), head=state.session.head, output=path
        )
    else:
        kind = formats[name]
        path = path.with_name(path.name + kind.suffix)
        source = state.session.embeddings.dataset.source
        options: dict[str, Any] = {}
        if "classes" in kind.write_options:
            options["classes"] = state.session.classes()
        if "image_url" in kind.write_options and source.folder is not None:
            options["image_url"], note = (
                local_files_url(source.folder),
                serving_instructions(source.folder),
            )
        open_image = source.read_one if kind.needs_images else None
        kind.write(path, items, open_image, existing=set(state.session.ids), **options)
    return {"path": str(path.resolve()), "items": sure, "format": name, "note": note}


def _labelled(state: PageState) -> list[Labelled]:
    """Return the labelled, skipped and unsure items, in the order of the dataset."""
    current = state.session.current()
    return [
        Labelled(
            state.session.ids[row],
            current[row].label,
            status=current[row].kind,
            who=current[row].by,
        )
        for row in sorted(current)
        if current[row].kind in ("label", "skip", "unsure")
    ]
