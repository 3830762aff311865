"""The label log: events, invalid events, moved and edited files, undo."""

import hashlib
import os
import sqlite3
import threading

import pytest

from embedpipe.errors import LabelError, UnknownNameError, UsageError
from embedpipe.labels import Event, LabelLog, rebuild_states

AT = "2026-05-01T07:30:00.000000+00:00"


def digest(text):
    return hashlib.sha256(text.encode()).digest()


def label(path, name, who="ann", content=None, dataset="shop"):
    content_id = None if content is None else digest(content)
    return Event("label", dataset, path, content_id, name, who, AT)


@pytest.fixture
def log(tmp_path):
    with LabelLog(tmp_path / "new" / "folder" / "labels.sqlite") as log:
        yield log


def labels_of(log, dataset="shop"):
    return {path: current.label for path, current in log.current(dataset).items()}


def test_every_field_comes_back(log):
    event = Event(
        kind="label",
        dataset="shop",
        path="rot/größe 1, “a”.jpg",
        content_id=digest("a"),
        label="Hüte, rot",
        who="ann",
        at="2026-05-01T09:30:00+02:00",
        round=3,
        model="logistic@12",
        suggestion="cap",
    )
    assert log.append([event]) == [1]
    [back] = log.events()
    assert back == Event(**{
        **{name: getattr(event, name) for name in Event.__slots__},
        "at": AT,
        "id": 1,
    })  # fmt: skip


def test_ids_rise_and_events_can_be_read_after_an_id(log):
    assert log.append([label(f"{i}.jpg", "hat") for i in range(2500)]) == list(range(1, 2501))
    assert [event.id for event in log.events()] == list(range(1, 2501))
    assert [event.path for event in log.events(after=2498)] == ["2498.jpg", "2499.jpg"]
    assert list(log.events(after=2500)) == []
    assert log.append([]) == []


def test_the_last_event_is_the_current_state(log):
    log.append([
        label("a.jpg", "hat"),
        label("b.jpg", "hat"),
        label("c.jpg", "shoe"),
        label("a.jpg", "shoe", who="bob"),
        Event("skip", "shop", "b.jpg", who="bob", at=AT),
        Event("clear", "shop", "c.jpg", who="bob", at=AT),
        Event("unsure", "shop", "d.jpg", at=AT),
        label("a.jpg", "cat", dataset="pets"),
    ])  # fmt: skip
    found = log.current("shop")
    assert [(p, c.label, c.kind, c.by, c.event_id) for p, c in found.items()] == [
        ("a.jpg", "shoe", "label", "bob", 4),
        ("b.jpg", None, "skip", "bob", 5),
        ("c.jpg", None, "clear", "bob", 6),
        ("d.jpg", None, "unsure", None, 7),
    ]
    assert {current.at for current in found.values()} == {AT}
    assert labels_of(log, "pets") == {"a.jpg": "cat"}
    assert log.current("nothing") == {}
    assert (log.classes("shop"), log.classes("pets")) == (["hat", "shoe"], ["cat"])


def test_classes_are_renamed_and_merged(log):
    log.append([Event("new_class", "shop", label="scarf"), label("a", "cap"), label("b", "hat")])
    log.append([
        Event("rename_class", "shop", previous="cap", label="beanie"),
        label("c", "beanie"),
        label("d", "cap"),  # after the rename: a new class of that name
        Event("merge_class", "shop", previous="beanie", label="hat"),
    ])  # fmt: skip
    assert labels_of(log) == {"a": "hat", "b": "hat", "c": "hat", "d": "cap"}
    assert log.classes("shop") == ["scarf", "hat", "cap"]
    assert log.classes("pets") == []


def test_a_deleted_class_clears_its_items(log):
    accepted = Event("accept", "shop", "b", label="cap", suggestion="cap", model="m", who="ann")
    log.append([label("a", "cap"), label("b", "hat"), accepted, label("c", "hat")])
    log.append([Event("rename_class", "shop", previous="cap", label="beanie")])
    log.append([Event("delete_class", "shop", previous="beanie", who="ann")])
    found = {path: (now.label, now.kind) for path, now in log.current("shop").items()}
    assert found == {"a": (None, "clear"), "b": (None, "clear"), "c": ("hat", "label")}
    assert log.classes("shop") == ["hat"]
    log.append([label("d", "beanie", who="bob")])  # later, a class of that name
    assert (labels_of(log)["d"], log.classes("shop")) == ("beanie", ["hat", "beanie"])
    assert [event.kind for event in log.undo("shop", "ann")] == ["delete_class"]
    found = {path: (now.label, now.kind) for path, now in log.current("shop").items()}
    assert found == {
        "a": ("beanie", "label"), "b": ("beanie", "accept"), "c": ("hat", "label"),
        "d": ("beanie", "label"),
    }  # fmt: skip


def test_an_undo_reverts_all_events_that_an_annotator_appended_together(log):
    log.append([label("a", "hat"), label("b", "hat", who="bob"), label("c", "hat")])
    log.append([label("a", "cap", dataset="pets")])
    log.append([label("d", "cap"), label("a", "cap")])  # at the same time as the first labels
    assert [event.path for event in log.undo("shop", "ann")] == ["a", "d"]
    assert labels_of(log) == {"a": "hat", "b": "hat", "c": "hat"}
    assert [event.path for event in log.undo("shop", "ann", n=7)] == ["c", "a"]
    assert labels_of(log) == {"b": "hat"}
    assert labels_of(log, "pets") == {"a": "cap"}


def test_events_without_a_time_have_the_time_of_their_act(log):
    log.append([Event("skip", "shop", path) for path in "abc"])
    log.append([Event("skip", "shop", "d")])
    first, *others, last = [event.at for event in log.events()]
    assert others == [first, first]
    assert first < last


def test_undo_goes_back_through_the_acts_of_one_annotator(log):
    for event in (
        label("a", "cap", who="ann"),
        label("a", "hat", who="bob"),
        label("b", "cap", who="ann"),
        Event("merge_class", "shop", previous="cap", label="hat", who="ann", at=AT),
    ):
        log.append([event])
    assert labels_of(log) == {"a": "hat", "b": "hat"}
    assert [(event.kind, event.id) for event in log.undo("shop", "ann")] == [("merge_class", 4)]
    assert labels_of(log) == {"a": "hat", "b": "cap"}
    assert [event.id for event in log.undo("shop", "ann", n=5)] == [3, 1]
    assert labels_of(log) == {"a": "hat"}
    assert log.undo("shop", "ann") == []
    assert log.undo("pets", "bob") == []
    assert [(e.kind, e.undoes, e.who) for e in log.events(after=4)] == [
        ("undo", 4, "ann"),
        ("undo", 3, "ann"),
        ("undo", 1, "ann"),
    ]
    assert log.classes("shop") == ["hat"]
    assert [event.id for event in log.undo("shop", "bob")] == [2]
    assert (log.current("shop"), log.classes("shop")) == ({}, [])


def test_one_event_and_one_item(log):
    first, last = log.append([label("a", "cap"), label("b", "cap")])
    log.append([Event("rename_class", "shop", previous="cap", label="hat")])
    assert (log.event(last).path, log.event(first).label) == ("b", "cap")
    assert {path: now.label for path, now in log.current("shop", "b").items()} == {"b": "hat"}
    assert log.current("shop", "c") == {}
    with pytest.raises(LabelError, match="has no event 99.$"):
        log.event(99)


def test_undo_without_an_annotator(log):
    log.append([label("a", "cap", who=None), label("b", "cap", who="ann")])
    assert [event.path for event in log.undo("shop", None)] == ["a"]
    assert labels_of(log) == {"b": "cap"}


def test_labels_of_moved_edited_and_copied_files(log):
    log.append([
        label("same.jpg", "hat", content="1"),
        label("old.jpg", "shoe", content="2"),
        label("edited.jpg", "hat", content="3"),
        label("copy1.jpg", "hat", content="4"),
        label("copy2.jpg", "hat", content="4"),
        label("torn1.jpg", "hat", content="5"),
        label("torn2.jpg", "shoe", content="5"),
        label("unknown.jpg", "hat"),
        label("unhashed.jpg", "hat", content="8"),
        Event("clear", "shop", "cleared.jpg", digest("2b"), at=AT),
    ])  # fmt: skip
    found = log.current_for(
        "shop",
        {
            "same.jpg": digest("1"),
            "new.jpg": digest("2"),
            "edited.jpg": digest("not 3"),
            "copy3.jpg": digest("4"),
            "torn3.jpg": digest("5"),
            "torn1.jpg": digest("5"),
            "unknown.jpg": digest("6"),
            "stranger.jpg": digest("7"),
            "bare.jpg": None,
            "same-copy.jpg": digest("1"),
            "unhashed.jpg": None,
            "unhashed-copy.jpg": digest("8"),
            "edited-moved.jpg": digest("3"),
            "moved-cleared.jpg": digest("2b"),
        },
    )
    assert {path: current.label for path, current in found.current.items()} == {
        "same.jpg": "hat",
        "new.jpg": "shoe",
        "copy3.jpg": "hat",
        "torn1.jpg": "hat",
        "unknown.jpg": "hat",
        "unhashed.jpg": "hat",
        "edited-moved.jpg": "hat",
        "moved-cleared.jpg": None,
    }
    assert found.moved == {
        "new.jpg": "old.jpg",
        "copy3.jpg": "copy2.jpg",
        "edited-moved.jpg": "edited.jpg",
        "moved-cleared.jpg": "cleared.jpg",
    }
    assert {path: current.label for path, current in found.edited.items()} == {"edited.jpg": "hat"}
    assert found.ambiguous == {"torn3.jpg": ["torn1.jpg", "torn2.jpg"]}


MALFORMED = [
    (
        Event("lable", "shop", "a"),
        "unknown kind of event 'lable'. Did you mean 'label'? Known: accept, clear, delete_class, "
        "label, link, merge_class, new_class, rename_class, skip, undo, unsure.",
    ),
    (
        Event("label", "shop", "a", label="hat", id=7),
        "the event 'label' is already event 7 of a log. Append a new event with id=None.",
    ),
    (
        Event("label", "shop", "a"),
        "an event 'label' needs 'label'; it must have 'path' and 'label'.",
    ),
    (
        Event("accept", "shop", "a", label="hat", suggestion="hat"),
        "an event 'accept' needs 'model'; it must have 'path' and 'label' and 'suggestion' and "
        "'model'.",
    ),
    (
        Event("accept", "shop", "a", label="hat", suggestion="cap", model="m"),
        "the accepted label 'hat' is not the suggestion 'cap'. Use the kind 'label'.",
    ),
    (
        Event("delete_class", "shop", label="hat", previous="hat"),
        "an event 'delete_class' does not accept 'label'; it must have 'previous'.",
    ),
    (
        Event("delete_class", "shop", previous="cup"),
        "unknown class 'cup'. Did you mean 'cap'? Known: cap, hat.",
    ),
    (
        Event("skip", "shop", "a", label="hat"),
        "an event 'skip' does not accept 'label'; it must have 'path'.",
    ),
    (
        Event("rename_class", "shop", label="hat"),
        "an event 'rename_class' needs 'previous'; it must have 'previous' and 'label'.",
    ),
    (
        Event("merge_class", "shop", label="hat", previous="hat"),
        "the class 'hat' cannot be renamed to itself or merged into itself. Choose another class.",
    ),
    (
        Event("label", "shop", "a", label=" hat"),
        "the class ' hat' begins or ends with a space. Remove the space.",
    ),
    (Event("skip", " ", "a"), "the dataset of an event 'skip' is blank. Fill it in."),
    (
        Event("skip", "shop", "a\udcff"),
        "the path 'a\\udcff' is not valid Unicode. Rename it.",
    ),
    (
        Event("skip", "shop", "a", b"123"),
        "the content id of 'a' has 3 bytes; expected a SHA-256 (32 bytes) or None.",
    ),
    (
        Event("skip", "shop", "a", at="yesterday"),
        "the time 'yesterday' is not ISO 8601; expected a time such as "
        "'2026-05-01T07:30:00+00:00'.",
    ),
    (
        Event("skip", "shop", "a", at="2026-05-01T07:30:00"),
        "the time '2026-05-01T07:30:00' has no UTC offset; expected a time such as "
        "'2026-05-01T07:30:00+00:00'.",
    ),
    (
        Event("rename_class", "shop", label="beanie", previous="cup"),
        "unknown class 'cup'. Did you mean 'cap'? Known: cap, hat.",
    ),
    (
        Event("merge_class", "shop", label="heat", previous="cap"),
        "unknown class 'heat'. Did you mean 'hat'? Known: cap, hat.",
    ),
    (
        Event("rename_class", "shop", label="hat", previous="cap"),
        "the class 'cap' cannot be renamed to 'hat', which already exists. Merge the two classes, "
        "or choose another name.",
    ),
    (
        Event("undo", "shop", undoes=9),
        "event 9 of 'shop' cannot be undone: it does not exist, is already undone, or is an undo "
        "event or a link.",
    ),
    (
        Event("undo", "pets", undoes=1),
        "event 1 of 'pets' cannot be undone: it does not exist, is already undone, or is an undo "
        "event or a link.",
    ),
]


@pytest.mark.parametrize(("event", "message"), MALFORMED)
def test_an_invalid_event_is_refused_with_its_whole_batch(log, event, message):
    log.append([label("a", "cap"), label("b", "hat")])
    with pytest.raises((LabelError, UnknownNameError)) as error:
        log.append([label("c", "hat"), event])
    assert str(error.value) == message
    assert labels_of(log) == {"a": "cap", "b": "hat"}
    assert log.append([label("d", "hat")]) == [3]


def test_an_event_is_undone_only_once(log):
    log.append([label("a", "cap")])
    with pytest.raises(LabelError, match="event 1 of 'shop' cannot be undone"):
        log.append([Event("undo", "shop", undoes=1), Event("undo", "shop", undoes=1)])
    log.append([Event("undo", "shop", undoes=1)])
    with pytest.raises(LabelError, match="event 2 of 'shop' cannot be undone"):
        log.append([Event("undo", "shop", undoes=2)])
    with pytest.raises(UsageError) as error:
        log.undo("shop", "ann", n=0)
    assert str(error.value) == "the number of acts to undo must be at least 1; got 0."


def test_events_can_be_neither_changed_nor_deleted(log):
    log.append([label("a", "cap")])
    other = sqlite3.connect(log.path)
    for statement in ("UPDATE events SET label = 'x'", "DELETE FROM events"):
        with pytest.raises(sqlite3.IntegrityError, match="the label log is append-only"):
            other.execute(statement)
    other.close()
    assert labels_of(log) == {"a": "cap"}


def test_commits_are_durable(log):
    settings = [log._connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous", "fullfsync")]  # fmt: skip
    assert settings == ["wal", 2, 1]  # 2: FULL


def test_threads_share_a_log(log):
    def write(name):
        for i in range(25):
            log.append([label(f"{name}/{i}", name), label(f"{name}/{i}/b", name)])
            assert log.current("shop")[f"{name}/{i}"].label == name

    threads = [threading.Thread(target=write, args=(f"class{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(log.current("shop")) == 200
    assert sorted(log.classes("shop")) == ["class0", "class1", "class2", "class3"]


def test_messages_of_closed_and_forked_logs(tmp_path):
    log = LabelLog(tmp_path / "labels.sqlite")
    log._process = os.getpid() + 1
    with pytest.raises(LabelError) as error:
        log.classes("shop")
    assert str(error.value) == (
        f"{log.path} was opened before this process was forked. Open it again in this process."
    )
    log._process = os.getpid()
    log.close()
    log.close()
    with pytest.raises(LabelError) as error:
        log.append([label("a", "cap")])
    assert str(error.value) == f"{log.path} is closed. Open it again."


def test_a_backup_is_a_log(log, tmp_path):
    log.append([label("a", "cap")])
    copy = log.backup(tmp_path / "copy.sqlite")
    log.append([label("b", "cap")])
    with LabelLog(copy) as other:
        assert labels_of(other) == {"a": "cap"}
        assert other.append([label("c", "hat")]) == [2]
    with pytest.raises(LabelError) as error:
        log.backup(copy)
    assert str(error.value) == f"{copy} already exists. Choose another path for the backup."
    nowhere = tmp_path / "no" / "folder.sqlite"
    with pytest.raises(LabelError) as error:
        log.backup(nowhere)
    assert str(error.value).startswith(f"{nowhere} cannot be opened (")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.sqlite", "new"]


def test_forgotten_items_leave_no_bytes_in_the_file(tmp_path):
    path = tmp_path / "labels.sqlite"
    content = bytes(range(32))

    def held() -> list[str]:
        return [
            file.name
            for file in sorted(tmp_path.iterdir())
            if b"secret/ann.jpg" in file.read_bytes() or content in file.read_bytes()
        ]

    log = LabelLog(path, timeout=0.2)
    first = [Event("label", "shop", f"{n}.jpg", label="hat") for n in range(200)]
    log.append(first)
    log.append([Event("label", "shop", "secret/ann.jpg", content, label="ill", suggestion="well")])
    log.append([Event("skip", "shop", "moved.jpg", content)])
    log.append([Event("label", "other", "secret/ann.jpg", label="hat")])
    accepted = {"label": "rare", "suggestion": "rare", "model": "m"}
    log.append([Event("accept", "shop", "secret/ann.jpg", **accepted)])
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    with pytest.raises(LabelError, match=r"locked .* for more than|another process is reading"):
        log.forget([("shop", "secret/ann.jpg")], [content])
    reader.close()
    assert held() != []
    log.forget([("shop", "secret/ann.jpg")], [content])
    assert held() == ["labels.sqlite"]  # the event of the other dataset, without content
    assert content not in path.read_bytes()
    assert log.forget([("other", "secret/ann.jpg")], []) == 1
    assert held() == []
    events = list(log.events())
    assert [event.id for event in events] == list(range(1, 205))
    assert [(event.kind, event.path, event.label, event.model) for event in events[200:]] == [
        ("new_class", None, "ill", None), ("forgotten", None, None, None),
        ("new_class", None, "hat", None), ("new_class", None, "rare", None),
    ]  # fmt: skip
    assert log.classes("shop") == ["hat", "ill", "rare"]
    assert len(log.current("shop")) == 200
    assert rebuild_states(events)["shop"].classes == ["hat", "ill", "rare"]
    assert log.append([Event("label", "shop", "new.jpg", label="hat")]) == [205]
    log.close()


def test_linked_datasets_read_and_write_the_same_events(log):
    log.append([label("a.jpg", "cap", dataset="old"), label("a.jpg", "sock", dataset="other")])
    log.link("new", "old")
    assert (log.dataset_of("new"), log.dataset_of("old")) == ("old", "old")
    log.append([label("b.jpg", "shoe", dataset="new")])
    assert labels_of(log, "new") == labels_of(log, "old") == {"a.jpg": "cap", "b.jpg": "shoe"}
    assert log.classes("new") == ["cap", "shoe"]
    assert [event.path for event in log.undo("new", "ann", 5)] == ["b.jpg", "a.jpg"]
    assert labels_of(log, "old") == {}
    assert labels_of(log, "other") == {"a.jpg": "sock"}
    assert set(rebuild_states(log.events())) == {"old", "other"}


def test_a_link_is_followed_to_its_end_and_can_be_ended(log):
    log.append([label("a.jpg", "cap", dataset="first")])
    log.link("second", "first")
    log.link("third", "second")
    assert log.dataset_of("third") == "first"
    log.link("first", "third")  # the two share their labels already
    assert log.dataset_of("first") == "first"
    assert log.is_linked("third")
    assert not log.is_linked("first")
    log.link("third", "third")
    assert log.dataset_of("third") == "third"
    assert log.is_linked("third")
    assert (log.has_items("second"), log.has_items("third")) == (True, False)


def test_a_link_of_another_process_is_seen_at_once(log):
    with LabelLog(log.path) as other:
        assert log.dataset_of("new") == "new"
        other.link("new", "old")
        log.append([label("a.jpg", "cap", dataset="new")])
        assert labels_of(other, "old") == {"a.jpg": "cap"}


def test_a_link_is_not_undone(log):
    log.append([Event("link", "new", label="old")])
    assert log.undo("new", None) == []
    (link,) = log.events()
    with pytest.raises(LabelError) as caught:
        log.append([Event("undo", "new", undoes=link.id)])
    assert str(caught.value) == (
        "event 1 of 'old' cannot be undone: it does not exist, is already undone, or is an undo "
        "event or a link."
    )


def test_links_that_form_a_circle_end(log):
    log.append([Event("link", "a", label="b"), Event("link", "b", label="a")])
    assert {log.dataset_of("a"), log.dataset_of("b")} == {"a", "b"}


def test_forgetting_an_item_of_a_linked_dataset(log):
    log.append([label("a.jpg", "cap", dataset="old")])
    log.link("new", "old")
    assert log.forget([("new", "a.jpg")], []) == 1
    assert labels_of(log, "old") == {}
