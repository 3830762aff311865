"""The findings of `embedpipe check`, computed in the background when the page first asks."""

from __future__ import annotations

import threading
from typing import Any

from ..checks import Checked, check
from ..checks.duplicates import Rows
from ..errors import EmbedpipeError, RunError
from .json_messages import Progress
from .page_state import PageState

__all__ = ["LISTS", "BackgroundChecks"]

LISTS = ("copies", "outliers", "small")
"""Names of the lists."""

MAX_FAILED = 100
"""Maximum images that are named as unreadable."""


class _ClosedError(Exception):
    """The server ends."""


class BackgroundChecks:
    """Check a dataset's images once for as long as the server runs, on a thread of its own.

    The labels of the dataset itself are not used.
    """

    def __init__(self, state: PageState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._found: Checked | str | None = None  # a text says why there is none
        self._progress = Progress("starting", 0.0)
        self._closed = False
        state.at_the_end(self._close)

    def listed(self, name: str, n: int) -> dict[str, Any] | Progress:
        """Return one of `LISTS` with up to `n` items, or the progress of the checks."""
        # The first call begins them; if they fail, the next call raises `RunError` once. `total`
        # counts groups of copies, or images; `groups` are the worst first.
        with self._lock:
            found = self._found
            if isinstance(found, str):
                self._thread = self._found = None
                raise RunError(found)
            if found is None:
                if self._thread is None:
                    self._progress = Progress("starting", 0.0)
                    self._thread = threading.Thread(
                        target=self._run, name="embedpipe-checks", daemon=True
                    )
                    self._thread.start()
                return self._progress
        groups = self._groups(name, found)
        shown, left = [], n
        for title, rows in groups:
            if left < 1:
                break
            items = self._state.entries(rows[:left].tolist())
            shown.append({"title": title, "items": items})
            left -= len(items)
        failed = [{"path": each.path, "reason": each.error} for each in found.failures[:MAX_FAILED]]
        total = len(groups) if name == "copies" else sum(rows.size for _, rows in groups)
        return {"total": total, "groups": shown, "failed": failed}

    def _close(self) -> None:
        self._closed = True  # it is seen at the next report of progress

    def _run(self) -> None:
        found: Checked | str
        try:
            found = check(self._state.session.embeddings, labels={}, progress=self._tell)
        except _ClosedError:
            return
        except EmbedpipeError as error:
            found = str(error)
        # What nobody foresaw must not end the thread in silence: the page shows it.
        except Exception as error:  # noqa: BLE001
            found = f"unexpected {type(error).__name__}: {error}"
        with self._lock:
            self._found = found

    def _tell(self, doing: str, done: int, total: int) -> None:
        if self._closed:
            raise _ClosedError
        self._progress = Progress(doing, round(done / max(1, total), 3))

    def _groups(self, name: str, checked: Checked) -> list[tuple[str, Rows]]:
        """Return the groups of a list that have members, with a line on each."""
        if name == "copies":
            return [(self._title(rows), rows) for rows in checked.copies]
        if name == "outliers":
            found = [("Far from all others, the farthest first", checked.outliers.rows)]
        else:
            found = [("Of few pixels", checked.tiny), ("Of one colour", checked.blank)]
        return [(title, rows) for title, rows in found if rows.size]

    def _title(self, rows: Rows) -> str:
        """Return what copies have in common, and where they are."""
        embeddings = self._state.session.embeddings
        contents = {embeddings.content_ids[row] for row in rows.tolist()}
        says = "The same file" if len(contents) == 1 else "The same picture"
        splits = {embeddings.items[row].split for row in rows.tolist()} - {None}
        return f"{says}, in {_joined(splits)}" if len(splits) > 1 else says


def _joined(names: set[str | None]) -> str:
    return " and ".join(sorted(str(name) for name in names))
