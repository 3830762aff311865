"""The order in which Label Studio shows tasks, and their predictions."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...labelling import LabellingSession, Model
from .choices import ChoiceControl

__all__ = ["PREFIX", "Ranking", "rank"]

PREFIX = "embedpipe:"
"""Beginning of all model versions in Label Studio."""

PICKS, PICKS_SHARE = 100, 0.02
"""Minimum number of images that the strategy orders, and their minimum share of all labels."""


@dataclass(frozen=True)
class Ranking:
    """The order of all items after a training; 4 bytes per item."""

    version: str  # model version in Label Studio
    model: Model | None
    positions: NDArray[np.int32]  # (n,) 0 is the item to label next

    def prediction(self, row: int | None, control: ChoiceControl) -> dict[str, Any]:
        """Return the prediction of a task; without an item, an empty prediction in last place.

        Its score is the position of the task as a share of all tasks, because Label Studio's
        uncertainty sampling shows the lowest score first.
        """
        if row is None:
            return {"model_version": self.version, "score": 1.0, "result": []}
        model, result = self.model, []
        if model is not None:
            label, confidence = model.classes[model.codes[row]], float(model.confidence[row])
            result = control.result_of(label, round(confidence, 4))
        score = float(self.positions[row]) / len(self.positions)
        return {"model_version": self.version, "score": score, "result": result}


def rank(session: LabellingSession, model: Model | None) -> Ranking:
    """Return the order of all items.

    The picks of the strategy come first, in its order. Then come the other unlabelled items, the
    least confident prediction first; then items of the test and validation splits; then labelled,
    skipped and unsure items.
    """
    snapshot = session.snapshot()
    n_labels = int(np.count_nonzero(snapshot.codes >= 0))
    picks = session.order(max(PICKS, round(PICKS_SHARE * n_labels)), model)
    unlabelled = snapshot.states == 0
    groups = np.full(len(unlabelled), 3, dtype=np.int8)  # (n,)
    groups[unlabelled] = 2
    candidates = session.candidates
    groups[candidates[unlabelled[candidates]]] = 1
    confidence = np.zeros(len(groups), np.float32) if model is None else model.confidence
    order = np.lexsort((confidence, groups))  # (n,) stable: equal items in the order of rows
    is_pick = np.zeros(len(groups), dtype=bool)
    is_pick[picks] = True
    order = np.concatenate([picks, order[~is_pick[order]]])
    positions = np.empty(len(groups), dtype=np.int32)
    positions[order] = np.arange(len(groups), dtype=np.int32)
    name = "no-model" if model is None else model.name
    version = snapshot.version if model is None else model.version
    return Ranking(f"{PREFIX}{name}.{version}.{_digest(positions, model)}", model, positions)


def _digest(positions: NDArray[np.int32], model: Model | None) -> str:
    """Return a digest that differs for another order, other classes or other confidences."""
    digest = hashlib.sha256(positions.tobytes())
    if model is not None:
        digest.update(json.dumps(model.classes).encode())
        digest.update(model.codes.tobytes())
        digest.update(model.confidence.tobytes())
    return digest.hexdigest()[:8]
