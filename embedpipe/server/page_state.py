"""The state of the page that all routes share: the session, its items and the background work."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .._loops.fitting import probabilities_of
from .._workspace import Workspace
from ..active.expected import ExpectedAccuracy
from ..checks import CheckResult
from ..checks.duplicates import Rows
from ..embedding.image_encoder import ImageEncoder
from ..errors import LabelError
from ..labelling import STATES, LabellingSession, Proposal, Snapshot
from .background import BackgroundChecks, BackgroundTraining
from .item_map import ItemMap
from .item_search import ItemSearch
from .json_messages import Progress
from .label_export import Exports
from .new_images import NewImages, Publish
from .overview import Overview
from .queries import SimilarityQueries

__all__ = ["LISTS", "PageState"]

MAX_POINTS = 100
"""Maximum number of points of the page's learning curve."""

MAX_CLASSES = 5
"""Maximum number of classes in a prediction."""

MAX_FAILED = 100
"""Maximum number of unreadable images in a response."""

LISTS = ("copies", "outliers", "small")
"""Names of the lists of checked images."""

NO_MODEL = "There is no model yet."

Point = tuple[int, float, float, float]


class PageState:
    """A session as the page shows it; thumbnails go to the workspace.

    `publish` serves another session instead, when the user adds new images.
    """

    def __init__(
        self, session: LabellingSession, workspace: Workspace, publish: Publish | None = None
    ) -> None:
        self.session, self.workspace = session, workspace
        self.run = secrets.token_hex(8)
        self.training = BackgroundTraining(session)
        self.checks = BackgroundChecks(session)
        self.item_map = ItemMap(session)
        self.encoder = ImageEncoder(session.embeddings, workspace)
        self.queries = SimilarityQueries(session.embeddings, workspace, self.encoder)
        self.search = ItemSearch(session, workspace, self.queries)
        self.overview = Overview(session, self.search, self.checks)
        self.exports = Exports(session, workspace)
        self.new_images = NewImages(session, workspace, publish)
        self.training.request_if_due(session.snapshot())

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.session.ids)

    def close(self) -> None:
        """Stop the work in the background."""
        self.item_map.umap.close()
        self.new_images.close()
        self.exports.close()
        self.checks.close()
        self.training.close()

    def _entry(
        self, row: int, snapshot: Snapshot, proposal: Proposal | None = None
    ) -> dict[str, Any]:
        """Return an item as the page shows it."""
        entry: dict[str, Any] = {
            "row": row,
            "path": self.session.ids[row],
            "image": self.session.embeddings.content_ids[row].hex()[:12],
            "label": snapshot.class_of(row),
            "state": STATES[snapshot.states[row]],
            "suggestion": None,
            "confidence": None,
        }
        model = self.session.model
        if proposal is not None:
            entry["suggestion"] = proposal.label
            entry["confidence"] = _rounded(proposal.confidence)
            entry["group"] = proposal.group
        elif model is not None:
            entry["suggestion"] = model.classes[model.codes[row]]
            entry["confidence"] = _rounded(float(model.confidence[row]))
        return entry

    def entries(self, rows: Iterable[int]) -> list[dict[str, Any]]:
        """Return items as the page shows them."""
        snapshot = self.session.snapshot()
        return [self._entry(int(row), snapshot) for row in rows]

    def proposed(self, proposals: Sequence[Proposal]) -> list[dict[str, Any]]:
        """Return proposed items as the page shows them."""
        snapshot = self.session.snapshot()
        return [self._entry(each.row, snapshot, each) for each in proposals]

    def predict(self, content: bytes) -> dict[str, Any]:
        """Return the model's most probable classes for the bytes of an image; store nothing."""
        model = self.session.model
        if model is None:
            raise LabelError("there is no model yet: label images of two classes first.")
        image = self.encoder.encode(content)
        probabilities = probabilities_of(model.head, image.vector[None], np.array([0]))[0]  # (C,)
        best = np.argsort(-probabilities, kind="stable")[:MAX_CLASSES].tolist()
        return {
            "classes": [
                {"name": model.classes[code], "probability": _rounded(float(probabilities[code]))}
                for code in best
            ],
            "labelled": model.labelled,
            "width": image.width,
            "height": image.height,
        }

    def confident(self, least: float) -> dict[str, Any]:
        """Return the unlabelled items with a confidence of at least `least`, ascending."""
        # `rows`, `codes` and `confidence` are aligned. A code is a position in `classes`.
        model, snapshot = self.session.model, self.session.snapshot()
        if model is None:
            return {"model": None, "classes": [], "rows": [], "codes": [], "confidence": []}
        current = np.isin(np.array(model.classes), np.array(snapshot.classes))  # (C,)
        candidates = self.session.candidates
        rows = candidates[
            (snapshot.states[candidates] == 0)
            & (model.confidence[candidates] >= least)
            & current[model.codes[candidates]]
        ]
        rows = rows[np.argsort(model.confidence[rows], kind="stable")]
        return {
            "model": model.name,
            "classes": list(model.classes),
            "rows": rows.tolist(),
            "codes": model.codes[rows].tolist(),
            "confidence": np.round(model.confidence[rows].astype(float), 4).tolist(),
        }

    def checked(self, name: str, n: int) -> dict[str, Any] | Progress:
        """Return one of `LISTS` with up to `n` items, or the progress of the checks."""
        # `total` is the number of groups of copies; in the other lists, the number of images.
        # Groups of copies are sorted by their lowest row. The most unusual outlier comes first.
        result = self.checks.result()
        if isinstance(result, Progress):
            return result
        groups = self._groups(name, result)
        shown, left = [], n
        for title, rows in groups:
            if left < 1:
                break
            items = self.entries(rows[:left].tolist())
            shown.append({"title": title, "items": items})
            left -= len(items)
        failed = [
            {"path": each.path, "reason": each.error} for each in result.failures[:MAX_FAILED]
        ]
        total = len(groups) if name == "copies" else sum(rows.size for _, rows in groups)
        return {"total": total, "groups": shown, "failed": failed}

    def _groups(self, name: str, checked: CheckResult) -> list[tuple[str, Rows]]:
        """Return the titles and the rows of a list's groups, without empty groups."""
        if name == "copies":
            return [(self._title(rows), rows) for rows in checked.copies]
        if name == "outliers":
            groups = [("Very different from all other images", checked.outliers.rows)]
        else:
            groups = [("Tiny images", checked.tiny), ("Blank images", checked.blank)]
        return [(title, rows) for title, rows in groups if rows.size]

    def _title(self, rows: Rows) -> str:
        """Return the kind of a group of copies, with its splits if there are several."""
        embeddings = self.session.embeddings
        contents = {embeddings.content_ids[row] for row in rows.tolist()}
        kind = "Same file" if len(contents) == 1 else "Same picture"
        splits = {embeddings.items[row].split for row in rows.tolist()} - {None}
        return f"{kind}, in {' and '.join(sorted(map(str, splits)))}" if len(splits) > 1 else kind

    def status(self) -> dict[str, Any]:
        """Return the numbers that the page shows beside the images."""
        snapshot, model = self.session.snapshot(), self.session.model
        counts, accepted = snapshot.counts(), snapshot.accepted_counts()
        states = np.bincount(snapshot.states, minlength=len(STATES))
        self.training.request_if_due(snapshot)
        return {
            "run": self.run,
            "dataset": self.session.dataset,
            "items": self.n,
            "version": snapshot.version,
            "labelled": sum(counts.values()),
            "left": self.session.left(),
            "skipped": int(states[2]),
            "unsure": int(states[3]),
            "accepted": sum(accepted.values()),
            "classes": [
                {"name": name, "count": count, "accepted": accepted[name]}
                for name, count in counts.items()
            ],
            "model": None
            if model is None
            else {
                "name": model.name,
                "version": model.version,
                "labelled": model.labelled,
                "zero_shot": not model.labelled,
                "expected": _expected(model.expected),
                "expected_reason": model.expected.reason,
                "accuracy": model.accuracy,
                "interval": model.interval,
                "advice": model.advice["advice"],
                "reason": model.advice["reason"],
                "choice": getattr(model.head, "choice_", None),
                "seconds": round(model.seconds, 3),
            },
            "search_by": {
                "words": self.queries.may_use_words,
                "image": self.queries.may_use_images,
            },
            "curve": _thinned(self.session.curve()),
            "training": self.training.busy,
            "problem": self.training.problem,
        }

    def confusion(self) -> dict[str, Any]:
        """Return the expected confusion matrix of the unlabelled items, and each class's share."""
        model = self.session.model
        if model is None or model.expected.value is None:
            reason = NO_MODEL if model is None else model.expected.reason
            return {"model": None, "reason": reason, "classes": [], "matrix": [], "per_class": []}
        expected = model.expected
        per_class = [
            {
                "class": str(name),
                "share": _rounded(each.share),
                "items": round(each.rows, 1),
                "predicted": round(each.predicted),
            }
            for name, each in expected.per_class.items()
        ]
        return {
            "model": model.name,
            "reason": "",
            "classes": list(model.classes),
            "matrix": expected.confusion.round(2).tolist(),
            "per_class": per_class,
        }


def _expected(expected: ExpectedAccuracy) -> dict[str, float] | None:
    """Return an expected accuracy with its interval, or None if it is unknown."""
    if expected.bounds is None:
        return None
    return dict(zip(("value", "low", "high"), expected.bounds, strict=True))


def _thinned(curve: list[Point]) -> list[Point]:
    """Return at most `MAX_POINTS` points of a curve, including the last."""
    step = -(-len(curve) // MAX_POINTS)
    return curve[::-1][:: max(1, step)][::-1]


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)
