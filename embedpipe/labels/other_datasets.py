"""Labels of the same images under the names of other datasets, such as a folder that was moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from .log import LabelLog
from .log_state import match

__all__ = ["OtherLabels", "copy_labels", "find_labels"]


@dataclass(frozen=True)
class OtherLabels:
    """The labels of another dataset that belong to the images of a dataset."""

    dataset: str  # name of the other dataset
    labels: int  # number of images with a label
    is_moved: bool  # whether the files of most of its labels are at the same paths in the dataset


def find_labels(
    log: LabelLog, dataset: str, items: Mapping[str, bytes | None]
) -> list[OtherLabels]:
    """Return the other datasets of a log whose labelled images are among the items.

    The dataset with the most labels for the items is first. `items` has the content id of each
    path, or None. Time is linear in the size of the log.
    """
    contents = set(items.values())
    own = log.dataset_of(dataset)
    hits = {name for name, content in log.labelled_contents() if content in contents}
    found = [_labels_of(log, name, items) for name in sorted(hits - {own})]
    return sorted(
        (each for each in found if each.labels), key=lambda each: (-each.labels, each.dataset)
    )


def _labels_of(log: LabelLog, dataset: str, items: Mapping[str, bytes | None]) -> OtherLabels:
    known = log.current(dataset)
    matched = match(known, items)
    # A label at a known path counts only if its file has the same content.
    here = [
        path
        for path, current in matched.current.items()
        if current.kind == "label" and items[path] is not None and current.content_id == items[path]
    ]
    at_same_path = sum(path not in matched.moved for path in here)
    total = sum(current.kind == "label" for current in known.values())
    return OtherLabels(dataset, len(here), 2 * at_same_path > total)


def copy_labels(
    source: LabelLog, other: str, log: LabelLog, dataset: str, items: Mapping[str, bytes | None]
) -> int:
    """Append the labels and marks of another dataset to a log, and return their number.

    Annotators and times stay as they were, so each act can be undone as before. `source` may be the
    same log.
    """
    found = source.current_for(other, items).current
    kept = sorted(
        (current.event_id, path) for path, current in found.items() if current.kind != "clear"
    )
    events = []
    for event_id, path in kept:
        event = replace(source.event(event_id), id=None, dataset=dataset, path=path)
        label = found[path].label
        suggestion = label if event.kind == "accept" else event.suggestion
        events.append(replace(event, label=label, suggestion=suggestion, content_id=items[path]))
    acts = groupby(events, key=lambda event: (event.who, event.at))
    return len(log.append_acts(list(act) for _, act in acts))
