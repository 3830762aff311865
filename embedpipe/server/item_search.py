"""Search of all items by path, label, prediction, size, date and similarity, in memory."""

from __future__ import annotations

import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .._loops.fitting import probabilities_of
from .._workspace import Workspace
from ..cache import CONTENT_ID, open_store
from ..labelling import STATES, LabellingSession, Model, Snapshot
from .queries import SimilarityQueries

__all__ = ["SEARCH_STATES", "SORTS", "ItemQuery", "ItemSearch"]

SEARCH_STATES = ("unlabelled", "labelled", *STATES[1:])
"""States in a query: ``labelled`` means a label or an accepted suggestion."""

SORTS = ("path", "confidence", "size", "date")
"""Orders of the found items, ascending. A minus sign in front makes them descending."""

MAX_FOLDERS = 500
"""Maximum number of folders in the choices."""

MAX_KEPT = 8
"""Maximum number of results in memory; they serve the next pages of a list."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ItemQuery:
    """Conditions that items must all meet, and their order; an empty value is no condition."""

    text: str = ""  # words that the path contains, ignoring case
    state: str = ""  # one of `SEARCH_STATES`
    label: str = ""
    predicted: str = ""  # class that the model predicts
    annotator: str = ""
    folder: str = ""  # "." for images outside folders
    min_confidence: float | None = None
    max_confidence: float | None = None
    min_side: int | None = None  # pixels of the shorter side
    max_side: int | None = None
    after: date | None = None  # first day of the file's last change
    before: date | None = None  # last day of the file's last change
    sort: str = "path"  # one of `SORTS`
    descending: bool = False
    likely: str = ""  # sort by the probability of this class instead, descending
    words: str = ""  # sort by the similarity to these words instead, descending
    image: str = ""  # sort by the similarity to the image of this key instead, descending


class ItemSearch:
    """Find items; the columns are made on first use and take about 40 bytes for each item."""

    def __init__(
        self, session: LabellingSession, workspace: Workspace, queries: SimilarityQueries
    ) -> None:
        self._session, self._workspace, self._queries = session, workspace, queries
        self._lock = threading.Lock()
        self._results: OrderedDict[tuple[Any, ...], NDArray[np.int64]] = OrderedDict()

    def find(self, query: ItemQuery) -> NDArray[np.int64]:
        """Return the rows of the found items in the order of the query."""
        snapshot, model = self._session.snapshot(), self._session.model
        key = (query, snapshot.version, None if model is None else model.version)
        with self._lock:
            if key in self._results:
                return self._results[key]
        rows = self._sorted(query, np.flatnonzero(self._matches(query, snapshot, model)), model)
        with self._lock:
            self._results[key] = rows
            while len(self._results) > MAX_KEPT:
                self._results.popitem(last=False)
        return rows

    def choices(self) -> dict[str, Any]:
        """Return the values that occur in the dataset, with the number of their images."""
        snapshot, model = self._session.snapshot(), self._session.model
        predicted = {} if model is None else _counts(model.classes, model.codes)
        by, annotators = self._annotators()
        names, codes = self.folders
        largest = sorted(_counts(names, codes).items(), key=lambda each: -each[1])[:MAX_FOLDERS]
        sides, days = self.sizes.min(axis=1), self.dates
        return {
            "labels": _listed(_counts(snapshot.classes, _given(snapshot))),
            "predicted": _listed(predicted),
            "annotators": _listed(dict(sorted(_counts(annotators, by).items()))),
            "folders": _listed(dict(sorted(largest))),
            "sides": _ends(sides[sides > 0]),
            "dates": [str(np.datetime64(int(day), "D")) for day in _ends(days[days != NO_DATE])],
        }

    # The columns

    @cached_property
    def sizes(self) -> NDArray[np.int32]:
        """(n, 2) width and height in pixels; 0 if unknown."""
        embeddings = self._session.embeddings
        content_ids = pa.array(embeddings.content_ids, CONTENT_ID)
        return open_store(self._workspace, embeddings.spec).sizes_for(content_ids)

    @cached_property
    def dates(self) -> NDArray[np.int32]:
        """(n,) local day of each file's last change, in days since 1970; `NO_DATE` if unknown."""
        stamps = self._session.embeddings.dataset.source.stamps(self._session.ids)
        days = np.full(len(stamps), NO_DATE, dtype=np.int32)
        for row, stamp in enumerate(stamps):
            if stamp is not None and stamp.mtime_ns:
                days[row] = _day(datetime.fromtimestamp(stamp.mtime_ns / 1e9).date())
        return days

    @cached_property
    def folders(self) -> tuple[list[str], NDArray[np.int32]]:
        """Names of the folders, and the (n,) position of each item's folder among them."""
        place: dict[str, int] = {}
        parents = (path.rpartition("/")[0] or "." for path in self._session.ids)
        codes = np.array([place.setdefault(each, len(place)) for each in parents], dtype=np.int32)
        return list(place), codes

    @cached_property
    def _paths(self) -> list[str]:
        return [_folded(path) for path in self._session.ids]

    def _annotators(self) -> tuple[NDArray[np.int32], list[str]]:
        """Return the (n,) position of each item's annotator, or -1, and the names."""
        codes = np.full(len(self._session.ids), -1, dtype=np.int32)
        place: dict[str, int] = {}
        for row, current in self._session.current().items():
            if current.kind != "clear" and current.by is not None:
                codes[row] = place.setdefault(current.by, len(place))
        return codes, list(place)

    # Conditions and order

    def _matches(self, query: ItemQuery, snapshot: Snapshot, model: Model | None) -> Mask:
        n = len(self._session.ids)
        matches = np.ones(n, dtype=bool)
        given = _given(snapshot)
        if query.state == "unlabelled":
            matches &= snapshot.states == 0
        elif query.state == "labelled":
            matches &= given >= 0
        elif query.state:
            matches &= snapshot.states == STATES.index(query.state)
        if query.label:
            matches &= given == _position(snapshot.classes, query.label)
        if query.annotator:
            by, names = self._annotators()
            matches &= by == _position(names, query.annotator)
        if query.predicted or query.min_confidence is not None or query.max_confidence is not None:
            matches &= _predicted(query, model, n)
        if query.folder:
            matches &= self._inside(query.folder)
        matches &= _between(lambda: self.sizes.min(axis=1), query.min_side, query.max_side, 0)
        first, last = (None if day is None else _day(day) for day in (query.after, query.before))
        matches &= _between(lambda: self.dates, first, last, NO_DATE)
        words = _folded(query.text).split()
        if words:
            paths = self._paths
            for row in np.flatnonzero(matches).tolist():
                matches[row] = all(word in paths[row] for word in words)
        return matches

    def _inside(self, folder: str) -> Mask:
        """Return a mask of the items in a folder and in the folders below it."""
        names, codes = self.folders
        inside = [name == folder or name.startswith(f"{folder}/") for name in names]
        return np.array(inside, dtype=bool)[codes]

    def _sorted(
        self, query: ItemQuery, rows: NDArray[np.int64], model: Model | None
    ) -> NDArray[np.int64]:
        keys: NDArray[Any]
        descending = query.descending
        if query.words or query.image:
            keys, descending = self._queries.cosines(query.words, query.image)[rows], True
        elif query.likely:
            keys, descending = self._probabilities(query.likely, rows, model), True
        elif query.sort == "confidence":
            keys = np.zeros(len(rows)) if model is None else model.confidence[rows]
        elif query.sort == "size":
            keys = self.sizes[rows].astype(np.int64).prod(axis=1)
        elif query.sort == "date":
            keys = self.dates[rows]
        else:
            return rows[::-1] if descending else rows
        keys = -keys.astype(np.float64) if descending else keys
        return rows[np.argsort(keys, kind="stable")]

    def _probabilities(
        self, name: str, rows: NDArray[np.int64], model: Model | None
    ) -> NDArray[np.float64]:
        """Return the probability of a class for each row."""
        if model is None or name not in model.classes or not len(rows):
            return np.zeros(len(rows))
        every = probabilities_of(model.head, self._session.embeddings.matrix, rows)  # (k, C)
        return np.asarray(every[:, model.classes.index(name)], dtype=np.float64)


NO_DATE = np.iinfo(np.int32).min
"""Day of an item whose file has no date."""


def _given(snapshot: Snapshot) -> NDArray[np.int32]:
    """Return the (n,) class of each label or accepted suggestion, or -1."""
    return np.maximum(snapshot.codes, snapshot.accepted)


def _predicted(query: ItemQuery, model: Model | None, n: int) -> Mask:
    """Return a mask of the items with the predicted class and a confidence in the range."""
    if model is None:
        return np.zeros(n, dtype=bool)
    matches = np.ones(n, dtype=bool)
    if query.predicted:
        matches &= model.codes == _position(model.classes, query.predicted)
    if query.min_confidence is not None:
        matches &= model.confidence >= np.float32(query.min_confidence)
    if query.max_confidence is not None:
        matches &= model.confidence <= np.float32(query.max_confidence)
    return matches


def _between(
    column: Callable[[], NDArray[np.integer]], least: int | None, most: int | None, unknown: int
) -> Mask | bool:
    """Return a mask of values within limits; without limits, the column is not made."""
    if least is None and most is None:
        return True
    values = column()
    matches: Mask = values != unknown
    if least is not None:
        matches &= values >= least
    if most is not None:
        matches &= values <= most
    return matches


def _position(names: tuple[str, ...] | list[str], name: str) -> int:
    """Return the position of a name, or a number that no item has."""
    return names.index(name) if name in names else -2


def _counts(names: tuple[str, ...] | list[str], codes: NDArray[np.integer]) -> dict[str, int]:
    """Return the number of items of each name; the code -1 is no name."""
    counts = np.bincount(codes.astype(np.int64) + 1, minlength=len(names) + 1)
    return dict(zip(names, counts[1:].tolist(), strict=True))


def _listed(counts: dict[str, int]) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in counts.items()]


def _ends(values: NDArray[np.integer]) -> list[int]:
    """Return the smallest and the largest value; empty without values."""
    return [int(values.min()), int(values.max())] if values.size else []


def _day(day: date) -> int:
    return (day - date(1970, 1, 1)) // timedelta(days=1)


def _folded(text: str) -> str:
    """Return a text in Unicode normal form C, with case-folded letters."""
    return unicodedata.normalize("NFC", text).casefold()
