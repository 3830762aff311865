"""States rebuilt from the events equal those of the view, for any events."""

import sqlite3
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from embedpipe.errors import EmbedpipeError
from embedpipe.labels import Current, Event, LabelLog, State, rebuild_states
from embedpipe.labels.log_state import match

DATASETS = ("shop", "pets")
datasets = st.sampled_from(DATASETS)
people = st.sampled_from(["ann", "bob", None])
paths = st.sampled_from(["a.jpg", "b.jpg", "sub/a.jpg", "ü .jpg"])
contents = st.sampled_from([None, b"1" * 32, b"2" * 32])  # renamed and edited images
names = st.sampled_from(["hat", "cap", "Hut", "shoe"])

item_events = st.builds(
    lambda kind, dataset, path, content, name, who: Event(
        kind,
        dataset,
        path,
        content,
        name if kind in ("label", "accept") else None,
        who,
        suggestion=name if kind == "accept" else None,
        model="m" if kind == "accept" else None,
    ),
    st.sampled_from(["label", "label", "label", "accept", "skip", "unsure", "clear"]),
    datasets, paths, contents, names, people,
)  # fmt: skip
class_events = st.one_of(
    st.builds(lambda d, n, w: Event("new_class", d, label=n, who=w), datasets, names, people),
    st.builds(lambda d, n, w: Event("delete_class", d, previous=n, who=w), datasets, names, people),
    st.builds(
        lambda kind, d, n, old, w: Event(kind, d, label=n, previous=old, who=w),
        st.sampled_from(["rename_class", "merge_class"]), datasets, names, names, people,
    ),
)  # fmt: skip
undone_by_id = st.builds(
    lambda d, i, w: Event("undo", d, undoes=i, who=w), datasets, st.integers(1, 20), people
)
undone_by_person = st.tuples(datasets, people, st.integers(1, 4))
steps = st.lists(
    st.one_of(item_events, item_events, class_events, undone_by_id, undone_by_person),
    max_size=40,
)


def apply_step(log, step):
    """Apply one step; return False if it is refused."""
    try:
        if isinstance(step, Event):
            log.append([step])
        else:
            log.undo(*step)
    except EmbedpipeError:
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(steps)
def test_the_view_equals_the_rebuilt_state_after_every_step(steps):
    check(steps)


# One annotator, one item, three classes that are renamed in circles.
few = st.sampled_from(["x", "y", "z"])
busy = st.one_of(
    st.builds(lambda n: Event("label", "shop", "a", label=n, who="ann"), few),
    st.builds(lambda n, old: Event("rename_class", "shop", label=n, previous=old), few, few),
    st.builds(lambda n, old: Event("merge_class", "shop", label=n, previous=old), few, few),
    st.builds(lambda old: Event("delete_class", "shop", previous=old), few),
    st.builds(lambda i: Event("undo", "shop", undoes=i), st.integers(1, 12)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(busy, min_size=25, max_size=40))
def test_classes_that_are_renamed_in_circles(steps):
    check(steps)


def check(steps):
    with tempfile.TemporaryDirectory() as folder, LabelLog(f"{folder}/labels.sqlite") as log:
        for step in steps:
            before = list(log.events())
            if not apply_step(log, step):
                assert list(log.events()) == before
            states = rebuild_states(log.events())
            for dataset in DATASETS:
                state = states.get(dataset, State())
                assert log.current(dataset) == state.current
                assert list(log.current(dataset)) == list(state.current)
                assert log.classes(dataset) == state.classes
                assert {c.label for c in state.current.values()} <= {None, *state.classes}
            assert view_of(log) == {
                (dataset, path): (current.label, current.kind)
                for dataset, state in states.items()
                for path, current in state.current.items()
            }


def view_of(log):
    """Read the view with another SQLite client."""
    connection = sqlite3.connect(log.path)
    rows = connection.execute("SELECT dataset, path, label, kind FROM current").fetchall()
    connection.close()
    assert len(rows) == len({row[:2] for row in rows})
    return {(dataset, path): (label, kind) for dataset, path, label, kind in rows}


def test_states_after_each_event_by_hand():
    at = "2026-05-01T07:30:00.000000+00:00"
    events = [
        Event("label", "shop", "a", label="cap", at=at, id=1),
        Event("label", "shop", "b", label="hat", at=at, id=2),
        Event("merge_class", "shop", label="hat", previous="cap", at=at, id=3),
        Event("label", "shop", "c", label="cap", at=at, id=4),
        Event("rename_class", "shop", label="headgear", previous="hat", at=at, id=5),
        Event("undo", "shop", undoes=3, at=at, id=6),
        Event("clear", "shop", "b", at=at, id=7),
    ]
    seen = []
    for count in range(1, len(events) + 1):
        state = rebuild_states(events[:count])["shop"]
        seen.append(({path: c.label for path, c in state.current.items()}, state.classes))
    assert seen == [
        ({"a": "cap"}, ["cap"]),
        ({"a": "cap", "b": "hat"}, ["cap", "hat"]),
        ({"a": "hat", "b": "hat"}, ["hat"]),
        ({"a": "hat", "b": "hat", "c": "cap"}, ["hat", "cap"]),
        ({"a": "headgear", "b": "headgear", "c": "cap"}, ["headgear", "cap"]),
        ({"a": "cap", "b": "headgear", "c": "cap"}, ["cap", "headgear"]),
        ({"a": "cap", "b": None, "c": "cap"}, ["cap", "headgear"]),
    ]


def test_a_moved_file_keeps_its_label_and_an_edited_one_does_not():
    hat = Current("hat", "label", "ann", "2026-05-01T07:30:00+00:00", 1, b"aa")
    found = match({"old.jpg": hat}, {"new.jpg": b"aa", "other.jpg": b"bb"})
    assert (found.current, found.moved) == ({"new.jpg": hat}, {"new.jpg": "old.jpg"})
    assert match({"old.jpg": hat}, {"old.jpg": b"bb"}).edited == {"old.jpg": hat}
