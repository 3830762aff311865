"""Labels updated event by event equal labels from the whole log, for any events."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import EmbedpipeError
from embedpipe.labelling.label_state import LabelState
from embedpipe.labels import Event, LabelLog, rebuild_states
from embedpipe.labels.log_state import match

CONTENT = {"a": b"1" * 32, "b": b"2" * 32, "copy of a": b"1" * 32, "moved": b"3" * 32}
"""Content ids of the existing files."""

LABELLED_FILES = [
    *CONTENT.items(),
    ("deleted", b"3" * 32),
    ("deleted too", b"3" * 32),
    ("b", b"9" * 32),
]
"""Files with events: some no longer exist, and one was edited."""

names = st.sampled_from(["hat", "cap", "shoe"])
steps = st.one_of(
    st.tuples(st.just("label"), st.sampled_from(LABELLED_FILES), names),
    st.tuples(st.sampled_from(["skip", "unsure", "clear"]), st.sampled_from(LABELLED_FILES)),
    st.tuples(st.just("accept"), st.sampled_from(LABELLED_FILES), names),
    st.tuples(st.sampled_from(["new_class", "delete_class"]), names),
    st.tuples(st.sampled_from(["rename_class", "merge_class"]), names, names),
    st.tuples(st.just("undo"), st.integers(1, 30)),
    st.tuples(st.just("look")),
)


def event_of(step):
    match step:
        case ("label", (path, content), name):
            return Event("label", "shop", path, content, name, who="ann")
        case ("accept", (path, content), name):
            more = {"label": name, "suggestion": name, "model": "m"}
            return Event("accept", "shop", path, content, who="ann", **more)
        case ("new_class", name):
            return Event("new_class", "shop", label=name, who="ann")
        case ("delete_class", name):
            return Event("delete_class", "shop", previous=name, who="ann")
        case ("undo", number):
            return Event("undo", "shop", undoes=number, who="ann")
        case (("rename_class" | "merge_class") as kind, old, new):
            return Event(kind, "shop", previous=old, label=new, who="ann")
        case (kind, (path, content)):
            return Event(kind, "shop", path, content, who="ann")
    raise AssertionError(step)


def dataset():
    return SimpleNamespace(
        dataset=SimpleNamespace(name="shop"),
        items=[SimpleNamespace(id=path) for path in CONTENT],
        content_ids=list(CONTENT.values()),
    )


def check(known, log):
    known.refresh()
    expected = rebuild_states(log.events()).get("shop")
    if expected is None:
        assert known.snapshot().classes == ()
        return
    found = match(expected.current, CONTENT).current
    snapshot = known.snapshot()
    assert list(snapshot.classes) == expected.classes
    assert {list(CONTENT)[row]: each for row, each in known.current.items()} == found
    for row, path in enumerate(CONTENT):
        now = found.get(path)
        assert snapshot.class_of(row) == (None if now is None else now.label)
        is_labelled = now is not None and now.kind == "label"
        assert snapshot.label(row) == (now.label if is_labelled else None)
        kinds = {0: (None, "clear"), 1: ("label",), 2: ("skip",), 3: ("unsure",), 4: ("accept",)}
        assert (now and now.kind) in kinds[snapshot.states[row]]
    labelled = snapshot.labelled()
    assert sum(snapshot.counts().values()) == len(labelled.rows)
    accepted = [each.label for each in found.values() if each.kind == "accept"]
    counts = {name: accepted.count(name) for name in expected.classes}
    assert snapshot.accepted_counts() == counts
    assert [snapshot.label(row) for row in labelled.rows] == labelled.labels.tolist()
    assert snapshot.declined().tolist() == np.flatnonzero(snapshot.states >= 2).tolist()


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, max_size=40))
def test_event_by_event_or_all_at_once(tmp_path_factory, steps):
    with LabelLog(tmp_path_factory.mktemp("log") / "labels.sqlite") as log:
        known = LabelState(dataset(), log)
        for step in steps:
            if step == ("look",):
                check(known, log)
                continue
            try:
                log.append([event_of(step)])
            except EmbedpipeError:  # for example an unknown class: no event was appended
                continue
        check(known, log)
        check(LabelState(dataset(), log), log)


def test_a_copy_is_an_item_of_its_own(tmp_path):
    with LabelLog(tmp_path / "labels.sqlite") as log:
        known = LabelState(dataset(), log)
        first, _ = log.append([event_of(("label", ("a", CONTENT["a"]), "hat")) for _ in range(2)])
        check(known, log)
        assert list(known.current) == [0]
        log.append([Event("undo", "shop", undoes=first, who="ann")])
        check(known, log)
        assert [each.label for each in known.current.values()] == ["hat"]


def test_many_undo_events_are_read_at_once(tmp_path):
    with LabelLog(tmp_path / "labels.sqlite") as log:
        known = LabelState(dataset(), log)
        ids = log.append([event_of(("label", ("a", CONTENT["a"]), str(n))) for n in range(150)])
        log.append([Event("undo", "shop", undoes=each, who="ann") for each in ids[1:]])
        check(known, log)
        assert known.snapshot().counts() == {"0": 1}
