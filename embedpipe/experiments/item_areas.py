"""The area under the learning curve of each single test item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..active.records import unpacked
from .cells import Setting
from .curves import Curves, setting_of
from .statistics import area_of_items

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ItemAreas", "item_areas"]

NOT_STORED = "the runs are from an earlier version, which did not store single predictions"
DIFFERENT = "each seed has its own test images"
NO_WHOLE_RUN = "no run has all rounds"
"""Reasons for missing areas of test items."""

_COLUMNS = ("test_set", "tested", "correct")


@dataclass(frozen=True)
class ItemAreas:
    """The areas of T test items, which are the same for all seeds."""

    areas: dict[Setting, NDArray[np.float64]]
    """(S, T) by setting; NaN for seeds without a whole run. 8 bytes for each entry."""
    reason: str | None = None
    """Reason why there are no areas; None if there are."""

    @property
    def count(self) -> int | None:
        """The number of test items; None without areas."""
        return next((each.shape[1] for each in self.areas.values()), None)


def item_areas(table: pa.Table, curves: Sequence[Curves]) -> ItemAreas:
    """Return the areas of the test items for settings that can be compared."""
    if not set(_COLUMNS) <= set(table.column_names):
        return ItemAreas({}, NOT_STORED)
    settings = {each.setting: each for each in curves}
    columns = ["dataset", "backbone", "initial", "strategy", "head", "mode", "seed", "round"]
    rows = table.select([*columns, *_COLUMNS]).to_pylist()
    found: dict[Setting, dict[int, dict[int, bytes]]] = {}  # by setting, seed and round
    sets = set()
    for row in rows:
        setting = setting_of(row)
        untested = row["correct"] is None and row["test_set"] is not None  # before the first label
        if setting in settings and not untested:
            found.setdefault(setting, {}).setdefault(row["seed"], {})[row["round"]] = row["correct"]
            sets.add((row["test_set"], row["tested"]))
    if not sets:
        return ItemAreas({}, NO_WHOLE_RUN)
    if (None, None) in sets:
        return ItemAreas({}, NOT_STORED)
    if len(sets) > 1:
        return ItemAreas({}, DIFFERENT)
    ((_, tested),) = sets
    areas = {
        setting: _areas(each, found[setting], tested)
        for setting, each in settings.items()
        if setting in found
    }
    whole = any(not np.isnan(each[:, 0]).all() for each in areas.values())
    return ItemAreas(areas) if whole else ItemAreas({}, NO_WHOLE_RUN)


def _areas(curves: Curves, bits: dict[int, dict[int, bytes]], tested: int) -> NDArray[np.float64]:
    """Return the (S, T) areas of one setting."""
    areas = np.full((len(curves.seeds), tested), np.nan)
    for at, seed in enumerate(curves.seeds):
        rounds = curves.rounds_of_seed(at)
        if curves.is_whole(at) and rounds.size:
            of_round = bits[seed]
            correct = np.array([unpacked(tested, of_round[int(number)]) for number in rounds])
            areas[at] = area_of_items(curves.labelled[at][rounds], correct)
    return areas
