"""What the handlers share: the session, what is known of each row, and who trains."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._workspace import Workspace
from ..labelling import LabellingSession, Proposal
from ..labels import Current
from .training import BackgroundTraining

__all__ = ["STATES", "Desk", "Snapshot"]

STATES = ("", "label", "skip", "unsure")
"""What may hold of an item; the first is nothing."""


@dataclass(frozen=True)
class Snapshot:
    """What holds of all items at one version of the log.

    Attributes
    ----------
    version
        Of the log.
    classes
        Their names, in order of appearance.
    current
        By row, of the items that anything was said of.
    codes
        (n,) int16, position in `classes`, -1 without a label.
    states
        (n,) uint8, position in `STATES`.

    Notes
    -----
    3 bytes per item.
    """

    version: int
    classes: tuple[str, ...]
    current: dict[int, Current]
    codes: NDArray[np.int16]
    states: NDArray[np.uint8]


class Desk:
    """A session as the page sees it.

    Parameters
    ----------
    session
        What is labelled.
    workspace
        Holds thumbnails and exports.
    """

    def __init__(self, session: LabellingSession, workspace: Workspace) -> None:
        self.session, self.workspace = session, workspace
        self.run = secrets.token_hex(8)
        self.training = BackgroundTraining(session)
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._found: tuple[tuple[Any, ...], NDArray[np.int64]] | None = None
        self._lowered: list[str] | None = None
        snapshot = self.snapshot()
        self.training.consider(snapshot.version, _counts(snapshot))

    @property
    def n(self) -> int:
        """How many items there are."""
        return len(self.session.ids)

    def snapshot(self) -> Snapshot:
        """Return what holds now, worked out once for each version of the log."""
        self.session.refresh()
        with self._lock:
            if self._snapshot is None or self._snapshot.version != self.session.version:
                self._snapshot = self._look()
            return self._snapshot

    def _look(self) -> Snapshot:
        version = self.session.version  # what is newer is seen next time
        current, classes = self.session.current(), tuple(self.session.classes())
        code_of = {name: code for code, name in enumerate(classes)}
        codes = np.full(self.n, -1, dtype=np.int16)
        states = np.zeros(self.n, dtype=np.uint8)
        for row, each in current.items():
            if each.label is not None and each.kind == "label":
                # A class of another tab may have come since: it is seen next time.
                codes[row] = code_of.get(each.label, -1)
            states[row] = STATES.index(each.kind) if each.kind in STATES else 0
        return Snapshot(version, classes, current, codes, states)

    def entry(
        self, row: int, snapshot: Snapshot, proposal: Proposal | None = None
    ) -> dict[str, Any]:
        """Return what the page shows of one item."""
        current = snapshot.current.get(row)
        found: dict[str, Any] = {
            "row": row,
            "path": self.session.ids[row],
            "image": self.session.embeddings.content_ids[row].hex()[:12],
            "label": None if current is None else current.label,
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
        snapshot = self.snapshot()
        return [self.entry(int(row), snapshot) for row in rows]

    def proposed(self, proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
        """Return what the page shows of items that are proposed."""
        snapshot = self.snapshot()
        return [self.entry(each.row, snapshot, each) for each in proposals]

    def find(self, text: str, state: str, label: str) -> NDArray[np.int64]:
        """Return the rows whose path holds a text and that are in a state, ascending.

        Parameters
        ----------
        text
            Parts of a path, all of which it must hold, whatever the case; blank for all.
        state
            ``""`` for all, ``"unlabelled"``, or one of `STATES`.
        label
            A class; blank for all.
        """
        snapshot = self.snapshot()
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
        parts = text.casefold().split()
        if parts:
            paths = self._casefolded()
            kept = [row for row in rows.tolist() if all(part in paths[row] for part in parts)]
            rows = np.array(kept, dtype=np.int64)
        with self._lock:
            self._found = key, rows
        return rows

    def _casefolded(self) -> list[str]:
        if self._lowered is None:
            self._lowered = [path.casefold() for path in self.session.ids]
        return self._lowered

    def status(self) -> dict[str, Any]:
        """Return what the page shows beside the images."""
        snapshot, model = self.snapshot(), self.session.model
        counts = _counts(snapshot)
        states = np.bincount(snapshot.states, minlength=len(STATES))
        self.training.consider(snapshot.version, counts)
        return {
            "run": self.run,
            "dataset": self.session.dataset,
            "items": self.n,
            "version": snapshot.version,
            "labelled": sum(counts),
            "skipped": int(states[2]),
            "unsure": int(states[3]),
            "classes": [
                {"name": name, "count": count}
                for name, count in zip(snapshot.classes, counts, strict=True)
            ],
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
            "curve": self.session.curve(),
            "training": self.training.busy,
            "problem": self.training.problem,
        }

    def close(self) -> None:
        """Stop training."""
        self.training.close()


def _counts(snapshot: Snapshot) -> list[int]:
    """Return how many labels each class has."""
    found = np.bincount(snapshot.codes + 1, minlength=len(snapshot.classes) + 1)
    return [int(count) for count in found[1:]]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
