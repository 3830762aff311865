"""The overview of a dataset: its files, sizes, classes and copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..checks.duplicates import Rows, exact_duplicates
from ..checks.file_groups import format_counts, size_groups
from ..datasets.layout import remedy_for
from ..labelling import STATES, LabellingSession, Snapshot
from .background import BackgroundChecks
from .item_search import ItemSearch

__all__ = ["Overview"]

WITH_CLASS = STATES.index("label"), STATES.index("accept")
"""States of items with a label or an accepted suggestion."""

MAX_LISTED = 100
"""Maximum number of unusable files in a response."""


class Overview:
    """Numbers about a session's dataset, and the copies that can be skipped."""

    def __init__(
        self, session: LabellingSession, search: ItemSearch, checks: BackgroundChecks
    ) -> None:
        self._session, self._search, self._checks = session, search, checks

    def summary(self) -> dict[str, Any]:
        """Return all numbers of the overview."""
        snapshot, embeddings = self._session.snapshot(), self._session.embeddings
        unusable = [*embeddings.failures, *embeddings.vanished]
        extra = self.extra_copies()
        return {
            "images": len(embeddings),
            "formats": self._formats,
            "sizes": [vars(group) for group in size_groups(self._search.sizes)],
            "unsupported": [
                {"suffix": suffix, "count": count, "remedy": remedy_for(suffix)}
                for suffix, count in embeddings.dataset.skipped.items()
            ],
            "unusable": len(unusable),
            "reasons": [each.message for each in unusable[:MAX_LISTED]],
            "classes": self._classes(snapshot),
            "copies": {
                "compared": self._checks.finished is not None,
                "groups": len(self._copies()),
                "extra": len(extra),
            },
        }

    def extra_copies(self) -> list[int]:
        """Return the unlabelled rows of all groups of copies, except the rows to keep.

        Rows with a label or an accepted suggestion are kept. In a group without such rows, the
        largest unlabelled image is kept. The returned rows are ascending.
        """
        snapshot, sizes = self._session.snapshot(), self._search.sizes.astype(np.int64)
        pixels = sizes.prod(axis=1)
        proposable = np.zeros(len(pixels), dtype=bool)
        proposable[self._session.candidates] = True
        extra: list[int] = []
        for group in self._copies():
            left = group[(snapshot.states[group] == 0) & proposable[group]]
            if not np.isin(snapshot.states[group], WITH_CLASS).any():
                left = np.delete(left, pixels[left].argmax()) if left.size else left
            extra += left.tolist()
        return sorted(extra)

    def _copies(self) -> Sequence[Rows]:
        """Return the groups of equal files or, after the checks, of equal pictures."""
        checked = self._checks.finished
        return self._equal_files if checked is None else checked.copies

    @cached_property
    def _equal_files(self) -> tuple[Rows, ...]:
        return exact_duplicates(self._session.embeddings.content_ids)

    @cached_property
    def _formats(self) -> list[dict[str, Any]]:
        counts = format_counts(self._session.ids)
        return [{"name": name, "count": count} for name, count in counts.items()]

    def _classes(self, snapshot: Snapshot) -> list[dict[str, Any]]:
        """Count each class: its labels, accepted suggestions, and suggestions for the rest."""
        model, suggested = self._session.model, Counter[str]()
        if model is not None:
            rest = ~np.isin(snapshot.states, WITH_CLASS)
            codes = np.bincount(model.codes[rest], minlength=len(model.classes))
            suggested.update(dict(zip(model.classes, codes.tolist(), strict=True)))
        accepted = snapshot.accepted_counts()
        return [
            {
                "name": name,
                "labels": count,
                "accepted": accepted[name],
                "suggested": suggested[name],
            }
            for name, count in snapshot.counts().items()
        ]
