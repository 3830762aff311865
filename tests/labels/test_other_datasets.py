"""Labels of the same images under the names of other datasets."""

from __future__ import annotations

import hashlib
from pathlib import Path

from embedpipe.labels import Event, LabelLog
from embedpipe.labels.other_datasets import OtherLabels, copy_labels, find_labels

AT = "2026-05-01T07:30:00.000000+00:00"


def content(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


def labelled(dataset: str, **labels: str) -> list[Event]:
    return [
        Event("label", dataset, f"{name}.jpg", content(name), label, "ann", AT)
        for name, label in labels.items()
    ]


def items(*names: str, prefix: str = "") -> dict[str, bytes | None]:
    return {f"{prefix}{name}.jpg": content(name) for name in names}


def test_other_datasets_are_found_by_the_content_of_their_labelled_images(tmp_path: Path) -> None:
    with LabelLog(tmp_path / "labels.sqlite") as log:
        log.append(labelled("moved", a="hat", b="cap", c="hat"))
        log.append(labelled("one-in-common", c="shoe", x="sock", y="sock"))
        log.append(labelled("nothing-in-common", z="sock"))
        log.append(labelled("new", d="hat"))
        assert find_labels(log, "new", items("a", "b", "c", "d")) == [
            OtherLabels("moved", 3, is_moved=True),
            OtherLabels("one-in-common", 1, is_moved=False),
        ]
        inside = items("a", "b", "c", prefix="photos/")
        assert find_labels(log, "new", inside)[0] == OtherLabels("moved", 3, is_moved=False)


def test_edited_images_and_withdrawn_labels_do_not_count(tmp_path: Path) -> None:
    with LabelLog(tmp_path / "labels.sqlite") as log:
        log.append(labelled("old", a="hat", b="cap"))
        log.append([Event("clear", "old", "b.jpg", content("b"), who="ann")])
        edited = {"a.jpg": content("edited"), "b.jpg": content("b"), "c.jpg": None}
        assert find_labels(log, "new", edited) == []


def test_copied_labels_keep_their_annotator_time_and_present_class(tmp_path: Path) -> None:
    with LabelLog(tmp_path / "one.sqlite") as source, LabelLog(tmp_path / "two.sqlite") as log:
        source.append(labelled("old", a="hat", b="cap"))
        source.append([Event("skip", "old", "c.jpg", content("c"), who="bob", at=AT)])
        source.append([Event("rename_class", "old", label="beanie", previous="hat", who="ann")])
        present = items("a", "c", "d", prefix="photos/")
        assert copy_labels(source, "old", log, "new", present) == 2
        assert list(log.events()) == [
            Event("label", "new", "photos/a.jpg", content("a"), "beanie", "ann", AT, id=1),
            Event("skip", "new", "photos/c.jpg", content("c"), who="bob", at=AT, id=2),
        ]
