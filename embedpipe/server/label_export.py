"""Exports of the page: labels or the trained model, to a visible folder or as a download."""

from __future__ import annotations

import secrets
import tempfile
import threading
import zipfile
from collections import OrderedDict
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._files import TEMPORARY_PREFIX
from .._workspace import Workspace
from ..active import train
from ..datasets.layout import EXPORTS_FOLDER
from ..errors import LabelError, RunError
from ..labelling import LabellingSession
from ..labels import Labelled, formats
from ..labels.exchange import local_files_url, serving_instructions
from ..labels.exchange.entries import status_of

__all__ = ["EXPORTS", "MODEL", "Exports"]

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

MAX_DOWNLOADS = 3
"""Maximum number of downloads on the disk; a further one removes the oldest."""


class Exports:
    """Exports of a session's labels or model; each is a new file or folder."""

    def __init__(self, session: LabellingSession, workspace: Workspace) -> None:
        self._session, self._workspace = session, workspace
        self._lock = threading.Lock()
        self._downloads: OrderedDict[str, tuple[tempfile.TemporaryDirectory[str], Path]] = (
            OrderedDict()
        )

    def export(self, name: str) -> dict[str, Any]:
        """Write the current labels or the model to a folder; return the path and the contents."""
        labelled = self._labelled()
        path, note = self._write(name, labelled, self._folder())
        return {"path": str(path.resolve()), **_result(name, labelled), "note": note}

    def download(self, name: str) -> dict[str, Any]:
        """Write the current labels or the model as a file; return its address and the contents."""
        labelled = self._labelled()
        try:
            folder = tempfile.TemporaryDirectory(
                prefix=TEMPORARY_PREFIX, dir=self._workspace.root, ignore_cleanup_errors=True
            )
        except OSError as error:
            raise _unwritable(self._workspace.root, error) from error
        path, _ = self._write(name, labelled, Path(folder.name))
        if path.is_dir():
            path = _zipped(path)
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._downloads[key] = folder, path
            while len(self._downloads) > MAX_DOWNLOADS:
                self._downloads.popitem(last=False)[1][0].cleanup()
        return {"download": f"/api/exports/{key}", "name": path.name, **_result(name, labelled)}

    def file_of(self, key: str) -> Path | None:
        """Return the file of a download; None if it was removed."""
        with self._lock:
            return self._downloads[key][1] if key in self._downloads else None

    def close(self) -> None:
        """Remove all downloads from the disk."""
        with self._lock:
            for folder, _ in self._downloads.values():
                folder.cleanup()
            self._downloads.clear()

    def _folder(self) -> Path:
        """Return the first writable folder: at the dataset, current directory or workspace."""
        images, places = self._session.embeddings.dataset.source.folder, []
        if images is not None and not images.is_relative_to(self._workspace.root):
            places.append(images.parent / EXPORTS_FOLDER)
        places += [Path.cwd() / EXPORTS_FOLDER, self._workspace.root / "exports"]
        for folder in places:
            with suppress(OSError):  # for example a read-only disk: the next place is tried
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile(prefix=TEMPORARY_PREFIX, dir=folder):
                    return folder
        raise RunError(f"cannot write to {places[-1]}: free disk space or permit writing.")

    def _write(self, name: str, labelled: list[Labelled], folder: Path) -> tuple[Path, str | None]:
        """Write an export to a folder; return its path and a note for the user."""
        session, note = self._session, None
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        path = folder / f"{session.dataset}-{name}-{moment}"
        if name == MODEL:
            path = path.with_name(f"{path.name}.embedpipe")
            labels = session.labels()
            train(session.embeddings, labels, head=session.head, output=path, prior=session.prior)
            accepted = sum(item.status == "accepted" for item in labelled)
            if accepted:
                note = f"The model is not trained on accepted suggestions: {accepted}."
            return path, note
        kind = formats[name]
        path = path.with_name(path.name + kind.suffix)
        source = session.embeddings.dataset.source
        options: dict[str, Any] = {}
        if "classes" in kind.write_options:
            options["classes"] = session.classes()
        if "image_url" in kind.write_options and source.folder is not None:
            options["image_url"] = local_files_url(source.folder)
            note = serving_instructions(source.folder)
        open_image = source.read_one if kind.needs_images else None
        kind.write(path, labelled, open_image, existing=set(session.ids), **options)
        return path, note

    def _labelled(self) -> list[Labelled]:
        """Return the labelled, accepted, skipped and unsure items, in the order of the dataset."""
        current, ids = self._session.current(), self._session.ids
        found = [
            Labelled(ids[row], now.label, status=status_of(now), who=now.by)
            for row, now in sorted(current.items())
            if now.kind != "clear"
        ]
        if not any(item.is_sure for item in found):
            raise LabelError("there are no labels to export: label some images first.")
        return found


def _result(name: str, labelled: list[Labelled]) -> dict[str, Any]:
    # A model is trained without the accepted suggestions.
    used = [
        item for item in labelled if item.is_sure and (name, item.status) != (MODEL, "accepted")
    ]
    return {"items": len(used), "format": name}


def _zipped(folder: Path) -> Path:
    """Write a zip archive of a folder beside it; images are not compressed again."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, Path(folder.name) / file.relative_to(folder))
    return path


def _unwritable(folder: Path, error: OSError) -> RunError:
    return RunError(f"cannot write to {folder}: {error.strerror or error}.")
