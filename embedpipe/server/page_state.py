"""What the handlers share: the session, its items as the page shows them, and the training."""

from __future__ import annotations

import secrets
import threading
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._workspace import Workspace
from ..labelling import STATES, LabellingSession, Proposal, Snapshot
from .background_training import BackgroundTraining

__all__ = ["PageState"]

MAX_POINTS = 100
"""Maximum points of the page's learning curve."""

Point = tuple[int, float, float, float]


class PageState:
    """A session as the page shows it; thumbnails and exports go to the workspace."""

    def __init__(self, session: LabellingSession, workspace: Workspace) -> None:
        self.session, self.workspace = session, workspace
        self.run = secrets.token_hex(8)
        self.training = BackgroundTraining(session)
        self._lock = threading.Lock()
        self._found: tuple[tuple[Any, ...], NDArray[np.int64]] | None = None
        self._folded_paths: list[str] | None = None
        self._at_end: list[Callable[[], None]] = []
        self.training.consider(session.snapshot())

    @property
    def n(self) -> int:
        """How many items there are."""
        return len(self.session.ids)

    def entry(
        self, row: int, snapshot: Snapshot, proposal: Proposal | None = None
    ) -> dict[str, Any]:
        """Return what the page shows of one item."""
        found: dict[str, Any] = {
            "row": row,
            "path": self.session.ids[row],
            "image": self.session.embeddings.content_ids[row].hex()[:12],
            "label": snapshot.label(row),
            "state": STATES[snapshot.states[row]],
        }
        model = self.session.model
        if proposal is not None:
            found |= {
                "suggestion": proposal.label,
                "confidence": _rounded(proposal.confidence),
                "group": proposal.group,
            }
        elif model is not None:
            found |= {
                "suggestion": model.classes[model.codes[row]],
                "confidence": _rounded(float(model.confidence[row])),
            }
        else:
            found |= {"suggestion": None, "confidence": None}
        return found

    def entries(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Return what the page shows of some items."""
        snapshot = self.session.snapshot()
        return [self.entry(int(row), snapshot) for row in rows]

    def proposed(self, proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
        """Return what the page shows of items that are proposed."""
        snapshot = self.session.snapshot()
        return [self.entry(each.row, snapshot, each) for each in proposals]

    def find(self, text: str, state: str, label: str) -> NDArray[np.int64]:
        """Return the rows, ascending, whose path holds all words of a text, in any case."""
        # `state`: "unlabelled" or one of `STATES`. A blank text, state or label is any.
        snapshot = self.session.snapshot()
        key = (text, state, label, snapshot.version if state or label else None)
        with self._lock:
            if self._found is not None and self._found[0] == key:
                return self._found[1]
        chosen = np.ones(self.n, dtype=bool)
        if state:
            chosen &= snapshot.states == (0 if state == "unlabelled" else STATES.index(state))
        if label:
            known = label in snapshot.classes
            chosen &= snapshot.codes == (snapshot.classes.index(label) if known else -2)
        rows = np.flatnonzero(chosen)
        parts = _folded(text).split()
        if parts:
            paths = self._paths_folded()
            kept = [row for row in rows.tolist() if all(part in paths[row] for part in parts)]
            rows = np.array(kept, dtype=np.int64)
        with self._lock:
            self._found = key, rows
        return rows

    def _paths_folded(self) -> list[str]:
        if self._folded_paths is None:
            self._folded_paths = [_folded(path) for path in self.session.ids]
        return self._folded_paths

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the images."""
        snapshot, model = self.session.snapshot(), self.session.model
        counts = snapshot.counts()
        states = np.bincount(snapshot.states, minlength=len(STATES))
        self.training.consider(snapshot)
        return {
            "run": self.run,
            "dataset": self.session.dataset,
            "items": self.n,
            "version": snapshot.version,
            "labelled": sum(counts.values()),
            "left": self.session.left(),
            "skipped": int(states[2]),
            "unsure": int(states[3]),
            "classes": [{"name": name, "count": count} for name, count in counts.items()],
            "model": None
            if model is None
            else {
                "name": model.name,
                "version": model.version,
                "labelled": model.labelled,
                "accuracy": model.accuracy,
                "interval": model.interval,
                "advice": model.advice["advice"],
                "reason": model.advice["reason"],
                "seconds": round(model.seconds, 3),
            },
            "curve": _thinned(self.session.curve()),
            "training": self.training.busy,
            "problem": self.training.problem,
        }

    def at_the_end(self, act: Callable[[], None]) -> None:
        """Call `act` when this is closed."""
        self._at_end.append(act)

    def close(self) -> None:
        """Stop training and other work in the background."""
        for act in self._at_end:
            act()
        self.training.close()


def _thinned(curve: list[Point]) -> list[Point]:
    """Return as many points as a small figure can show, the last among them."""
    step = -(-len(curve) // MAX_POINTS)
    return curve[::-1][:: max(1, step)][::-1]


def _folded(text: str) -> str:
    """Return a text without its case; an accent that is a character of its own is joined."""
    return unicodedata.normalize("NFC", text).casefold()


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
