"""The file of the label log: creation, migration, foreign and damaged files."""

import sqlite3

import pytest

from embedpipe.errors import LabelError
from embedpipe.labels import Event, LabelLog

AT = "2026-05-01T07:30:00.000000+00:00"

VERSION_0 = """
CREATE TABLE events (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, dataset TEXT NOT NULL, path TEXT,
    content_id BLOB, label TEXT, who TEXT, at TEXT NOT NULL, round INTEGER, model TEXT,
    suggestion TEXT
);
INSERT INTO events VALUES
    (1, 'new_class', 'shop', NULL, NULL, 'hat', 'ann', '2026-05-01T07:30:00.000000+00:00',
     NULL, NULL, NULL),
    (2, 'label', 'shop', 'a.jpg', zeroblob(32), 'cap', 'ann', '2026-05-01T07:30:00.000000+00:00',
     1, 'm', 'hat'),
    (3, 'skip', 'shop', 'b.jpg', NULL, NULL, NULL, '2026-05-01T07:30:00.000000+00:00',
     NULL, NULL, NULL);
"""


def database(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def error_of(path, timeout=30.0):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(LabelError) as error:
        LabelLog(path, timeout=timeout)
    assert "\n" not in str(error.value)
    if before is not None:
        assert path.read_bytes() == before
    return str(error.value)


def structure(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT type, name FROM sqlite_master ORDER BY 1, 2").fetchall()
    columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
    numbers = [connection.execute(f"PRAGMA {name}").fetchone()[0]
               for name in ("user_version", "application_id")]  # fmt: skip
    connection.close()
    return rows, columns, numbers


def test_version_0_is_migrated(tmp_path):
    path = database(tmp_path / "old.sqlite", VERSION_0)
    with LabelLog(path) as log:
        assert list(log.events()) == [
            Event("new_class", "shop", label="hat", who="ann", at=AT, id=1),
            Event("label", "shop", "a.jpg", bytes(32), "cap", "ann", AT, 1, "m", "hat", id=2),
            Event("skip", "shop", "b.jpg", at=AT, id=3),
        ]
        assert log.append([Event("merge_class", "shop", previous="cap", label="hat")]) == [4]
        assert log.classes("shop") == ["hat"]
        assert [event.id for event in log.undo("shop", "ann")] == [2, 1]  # at the same time
    LabelLog(tmp_path / "new.sqlite").close()
    assert structure(path) == structure(tmp_path / "new.sqlite")
    assert structure(path)[2] == [2, 0x65706C62]


VERSION_1 = (
    VERSION_0
    + """
ALTER TABLE events ADD COLUMN previous TEXT;
ALTER TABLE events ADD COLUMN undoes INTEGER REFERENCES events(id);
CREATE INDEX events_of_items ON events(dataset, path) WHERE path IS NOT NULL;
CREATE INDEX events_of_moves ON events(dataset, previous) WHERE previous IS NOT NULL;
CREATE UNIQUE INDEX events_undone ON events(undoes) WHERE undoes IS NOT NULL;
CREATE TRIGGER events_stay BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the label log is append-only'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the label log is append-only'); END;
CREATE VIEW live AS SELECT * FROM events AS e
    WHERE undoes IS NULL AND NOT EXISTS (SELECT 1 FROM events AS u WHERE u.undoes = e.id);
CREATE VIEW moves AS SELECT * FROM live WHERE previous IS NOT NULL;
CREATE VIEW current AS SELECT path FROM events;
INSERT INTO events VALUES
    (4, 'label', 'shop', 'c.jpg', NULL, 'cap', 'ann', '2026-05-02T07:30:00.000000+00:00',
     1, NULL, NULL, NULL, NULL),
    (5, 'label', 'shop', 'd.jpg', NULL, 'cap', 'bob', '2026-05-02T07:30:00.000000+00:00',
     1, NULL, NULL, NULL, NULL),
    (6, 'label', 'shop', 'e.jpg', NULL, 'cap', 'ann', '2026-05-02T07:30:00.000000+00:00',
     1, NULL, NULL, NULL, NULL);
PRAGMA application_id = 1701866594;
PRAGMA user_version = 1;
"""
)


def test_version_1_is_migrated_and_its_events_of_one_time_are_one_act(tmp_path):
    path = database(tmp_path / "old.sqlite", VERSION_1)
    with LabelLog(path) as log:
        before = list(log.events())
        assert [event.id for event in before] == [1, 2, 3, 4, 5, 6]
        assert [event.id for event in log.undo("shop", "ann")] == [6, 4]
        assert [event.id for event in log.undo("shop", "ann")] == [2, 1]
        assert log.undo("shop", "ann") == []
        assert list(log.events())[:6] == before
        accepted = Event("accept", "shop", "c.jpg", label="hat", suggestion="hat", model="m")
        log.append([accepted])
        log.append([Event("delete_class", "shop", previous="cap")])
        found = {place: (now.label, now.kind) for place, now in log.current("shop").items()}
    assert found == {"b.jpg": (None, "skip"), "c.jpg": ("hat", "accept"), "d.jpg": (None, "clear")}
    LabelLog(tmp_path / "new.sqlite").close()
    assert structure(path) == structure(tmp_path / "new.sqlite")


def test_a_failed_migration_changes_nothing(tmp_path):
    path = database(tmp_path / "old.sqlite", VERSION_0)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("PRAGMA journal_mode = WAL")
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(LabelError) as error:
        LabelLog(path, timeout=0.2)
    assert str(error.value) == (
        f"another process locked {path} for more than 0.2 s. Nothing was written; try again."
    )
    blocker.execute("ROLLBACK")
    blocker.close()
    assert structure(path)[2] == [0, 0]
    with LabelLog(path) as log:
        assert len(list(log.events())) == 3


def test_a_lock_of_another_writer_is_reported(tmp_path):
    with LabelLog(tmp_path / "labels.sqlite", timeout=0.2) as log:
        blocker = sqlite3.connect(log.path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(LabelError) as error:
            log.append([Event("skip", "shop", "a")])
        assert str(error.value) == (
            f"another process locked {log.path} for more than 0.2 s. Nothing was written; try "
            "again."
        )
        assert log.current("shop") == {}  # readers are not blocked
        blocker.close()
        assert log.append([Event("skip", "shop", "a")]) == [1]


def test_a_newer_version_is_refused(tmp_path):
    path = tmp_path / "labels.sqlite"
    LabelLog(path).close()
    database(path, "PRAGMA user_version = 3")
    assert error_of(path) == (
        f"{path} is a label log of version 3, but this embedpipe supports versions up to 2. Update "
        "embedpipe."
    )


@pytest.mark.parametrize(
    "script",
    [
        "CREATE TABLE photos (id)",
        "CREATE TABLE events (id, kind)",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 5",
        VERSION_0 + "CREATE TABLE photos (id)",
    ],
)
def test_another_database_is_refused(tmp_path, script):
    path = database(tmp_path / "other.sqlite", script)
    assert error_of(path) == (
        f"{path} is a SQLite database, but not a label log. Choose another path, or move this file "
        "away."
    )


def test_a_file_that_is_not_a_database_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("path,label\na.jpg,cap\n" * 100)
    assert error_of(path) == (
        f"{path} is not a label log, because it is not a SQLite database. Choose another path, or "
        "move this file away."
    )


def test_a_folder_is_refused(tmp_path):
    assert error_of(tmp_path) == (
        f"{tmp_path} cannot be opened (unable to open database file). Check that it is a file in a "
        "writable folder."
    )
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "labels.sqlite"
    assert error_of(path) == f"cannot make the folder {tmp_path / 'file'}: File exists."


def test_an_empty_file_becomes_a_log(tmp_path):
    path = tmp_path / "labels.sqlite"
    path.touch()
    with LabelLog(path) as log:
        assert log.append([Event("skip", "shop", "a")]) == [1]


def long_log(path):
    with LabelLog(path) as log:
        log.append([
            Event("label", "shop", f"{i:05d}.jpg", bytes(32), "hat", "ann") for i in range(2000)
        ])  # fmt: skip
    return path


def test_every_damaged_page_is_noticed(tmp_path):
    path = long_log(tmp_path / "labels.sqlite")
    whole = path.read_bytes()
    for start in range(0, len(whole), 4096):
        path.write_bytes(whole[:start] + b"\xa5" * 4096 + whole[start + 4096 :])
        message = error_of(path)
        assert message.startswith(f"{path} is "), message
        assert "Restore a backup" in message or "is not a SQLite database" in message


def test_a_truncated_file_is_noticed(tmp_path):
    path = long_log(tmp_path / "labels.sqlite")
    whole = path.read_bytes()
    for size in (len(whole) // 2, len(whole) - 4096, 4096, 5000):
        path.write_bytes(whole[:size])
        assert error_of(path) == (
            f"{path} is damaged (database disk image is malformed). Restore a backup, or save the "
            "readable events with `sqlite3 labels.sqlite .recover`."
        )
