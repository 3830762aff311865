"""Labels out of the page, into a new file or folder of the workspace."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..active import train
from ..errors import LabelError
from ..labels.exchange import Labelled, formats, local_files_url, serving
from .desk import Desk

__all__ = ["EXPORTS", "export"]

HEAD = "head"

EXPORTS = (
    "imagefolder",
    "csv",
    "jsonl",
    "parquet",
    "huggingface",
    "label-studio",
    "fiftyone",
    "cvat",
    HEAD,
)
"""What can be asked for: formats of labels, and the trained head for `embedpipe predict`."""


def export(desk: Desk, name: str) -> dict[str, Any]:
    """Write what is labelled now, and return where and how many items.

    The place is a new one each time: nothing is ever overwritten. ``note`` says what else the
    other program needs, if anything.

    Raises
    ------
    LabelError
        If nothing is labelled.
    """
    items = _labelled(desk)
    sure = sum(item.is_sure for item in items)
    if not sure:
        raise LabelError("there is nothing to export: label something first.")
    folder = desk.workspace.root / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    path = folder / f"{desk.session.dataset}-{name}-{moment}"
    note = None
    if name == HEAD:
        path = path.with_name(f"{path.name}.embedpipe")
        train(desk.session.embeddings, desk.session.labels(), head=desk.session.head, output=path)
    else:
        kind = formats[name]
        path = path.with_name(path.name + kind.suffix)
        source = desk.session.embeddings.dataset.source
        options: dict[str, Any] = {}
        if "classes" in kind.write_options:
            options["classes"] = desk.session.classes()
        if "image_url" in kind.write_options and source.folder is not None:
            options["image_url"], note = local_files_url(source.folder), serving(source.folder)
        open_image = source.read_one if kind.needs_images else None
        kind.write(path, items, open_image, existing=set(desk.session.ids), **options)
    return {"path": str(path.resolve()), "items": sure, "format": name, "note": note}


def _labelled(desk: Desk) -> list[Labelled]:
    """Return what was said of each item, in the order of the dataset."""
    current = desk.session.current()
    return [
        Labelled(
            desk.session.ids[row],
            current[row].label,
            status=current[row].kind,
            who=current[row].by,
        )
        for row in sorted(current)
        if current[row].kind in ("label", "skip", "unsure")
    ]
