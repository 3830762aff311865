"""Images that appear in the folder of the dataset while the page is open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from .._workspace import Workspace
from ..datasets import Dataset
from ..datasets.dataset import path_name
from ..datasets.files import load_folder
from ..embedding import embed
from ..errors import EmbedpipeError
from ..labelling import LabellingSession
from .background import ClosedError
from .json_messages import Progress, problem_of

__all__ = ["NewImages"]

INTERVAL, INTERVAL_SHARE = 5.0, 20.0
"""Minimum time between two listings of the folder: in seconds, and in durations of a listing."""

SETTLED_NS = 2_000_000_000
"""Minimum age of a new file in nanoseconds; a younger file may not be complete."""

Publish = Callable[[LabellingSession], None]
"""Function that serves the page with a new session."""


class NewImages:
    """Find new images of a session's dataset, and add them by a new session on the same log.

    Rows are positions in the sorted list of items, so that new items change the rows. Therefore
    a session never grows: a new one replaces it, and the server refuses requests for the rows of
    the old one. Labels are stored by path, so no label is lost.
    """

    def __init__(
        self, session: LabellingSession, workspace: Workspace, publish: Publish | None
    ) -> None:
        self._session, self._workspace, self._publish = session, workspace, publish
        self._lock = threading.Lock()
        self._count, self._next = 0, 0.0  # number of new images, and time of the next listing
        self._progress: Progress | None = None
        self._problem: str | None = None
        self._closed = False

    def status(self) -> dict[str, Any]:
        """Return the number of new images, and the progress while they are added."""
        with self._lock:
            if self._progress is None and time.monotonic() >= self._next:
                started = time.monotonic()
                self._count = self._counted()
                ended = time.monotonic()
                self._next = ended + max(INTERVAL, INTERVAL_SHARE * (ended - started))
            return {
                "new": self._count,
                "addable": self._is_addable,
                "adding": None if self._progress is None else asdict(self._progress),
                "problem": self._problem,
            }

    def add(self) -> bool:
        """Embed the new images in the background and serve them; return whether this began."""
        with self._lock:
            if self._progress is not None or not self._is_addable or self._closed:
                return False
            self._progress, self._problem = Progress("scan", 0.0), None
        threading.Thread(target=self._run, name="embedpipe-new-images", daemon=True).start()
        return True

    def close(self) -> None:
        """Stop at the next report of progress."""
        self._closed = True

    @property
    def _is_addable(self) -> bool:
        return self._publish is not None and self._session.embeddings.options is not None

    @cached_property
    def _root(self) -> Path | None:
        """The folder that the dataset was loaded from; None if it is no folder of images."""
        dataset = self._session.embeddings.dataset
        folder = dataset.source.folder
        if folder is None or dataset.listed:
            return None
        places = (folder, *folder.parents)
        return next((each for each in places if path_name(str(each)) == dataset.name), None)

    def _listed(self) -> Dataset | None:
        """Return the dataset as it is now, or None if it cannot be listed."""
        try:
            return None if self._root is None else load_folder(self._root)
        except (EmbedpipeError, OSError):  # for example, the disk was removed
            return None

    def _counted(self) -> int:
        listed = self._listed()
        if listed is None:
            return 0
        known = {item.id for item in self._session.embeddings.dataset.items}
        new = [item.id for item in listed.items if item.id not in known]
        now = time.time_ns()
        stamps = listed.source.stamps(new)
        return sum(each is not None and each.mtime_ns + SETTLED_NS < now for each in stamps)

    def _run(self) -> None:
        problem = None
        try:
            self._add()
        except ClosedError:
            return
        # The page shows the error, which must not end the thread without a result.
        except Exception as error:  # noqa: BLE001
            problem = problem_of(error)
        with self._lock:
            self._progress, self._problem, self._next = None, problem, 0.0

    def _add(self) -> None:
        listed, publish = self._listed(), self._publish
        if listed is None or publish is None:
            return
        embeddings = embed(
            listed,
            workspace=self._workspace,
            options=self._session.embeddings.options,
            progress=self._update,
        )
        session = self._session.for_embeddings(embeddings)
        self._update("train", 0, 1)
        session.retrain()  # the page has suggestions at once
        if not self._closed:
            publish(session)

    def _update(self, step: str, done: int, total: int) -> None:
        if self._closed:
            raise ClosedError
        self._progress = Progress(step, round(done / max(1, total), 3))
