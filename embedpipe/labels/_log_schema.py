"""The tables and views of the label log, and the migration of older files."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import LabelError

VERSION = 2
"""Current version of the schema, stored as ``user_version`` of the file."""

APPLICATION = int.from_bytes(b"eplb")
"""``application_id`` of the file, which identifies a label log."""

COLUMNS = (
    "id", "kind", "dataset", "path", "content_id", "label", "who", "at", "round", "model",
    "suggestion", "previous", "undoes",
)  # fmt: skip
"""Columns that are fields of an `Event`. The column ``act`` is not one of them."""

_FIRST_COLUMNS = COLUMNS[:11]
"""Columns of version 0, which has no undo and no renamed classes."""

# Rows are never deleted, so ids rise without gaps in the order of the commits.
_TO_VERSION_0 = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY,
        kind TEXT NOT NULL,
        dataset TEXT NOT NULL,
        path TEXT,
        content_id BLOB,
        label TEXT,
        who TEXT,
        at TEXT NOT NULL,
        round INTEGER,
        model TEXT,
        suggestion TEXT
    )
    """,
)

# A move renames, merges or deletes a class. Earlier labels of that class follow the chain of moves
# from class to class. The class at the end of the chain ("fate") is the current class of these
# labels; it is NULL after a deletion.
_FINAL_CLASSES = """
    WITH RECURSIVE
    led(move, label, next) AS (
        SELECT id, label, (
            SELECT min(id) FROM moves AS later WHERE later.dataset = move.dataset
            AND later.previous = move.label AND later.id > move.id
        )
        FROM moves AS move
        UNION ALL
        SELECT led.move, move.label, (
            SELECT min(id) FROM moves AS later WHERE later.dataset = move.dataset
            AND later.previous = move.label AND later.id > move.id
        )
        FROM led JOIN events AS move ON move.id = led.next
    ),
    fates AS MATERIALIZED (SELECT move, label FROM led WHERE next IS NULL)
"""

# The last event of each item, without undone events, with the current name of its class. With
# max(id), SQLite takes the other columns from the row of the maximum. The items of a deleted class
# are cleared.
CURRENT = f"""
    {_FINAL_CLASSES}
    SELECT dataset, path, iif(fates.move, fates.label, last.label) AS label,
        iif(fates.move AND fates.label IS NULL, 'clear', kind) AS kind, who, at, event_id,
        content_id
    FROM (
        SELECT dataset, path, label, kind, who, at, max(id) AS event_id, content_id
        FROM live WHERE path IS NOT NULL {{of_dataset}}
        GROUP BY dataset, path
    ) AS last
    LEFT JOIN fates ON fates.move = (
        SELECT min(id) FROM moves WHERE moves.dataset = last.dataset
        AND moves.previous = last.label AND moves.id > last.event_id
    )
"""

# The current classes of a dataset, in order of first appearance.
CLASSES = f"""
    {_FINAL_CLASSES}
    SELECT iif(fates.move, fates.label, used.label) AS today
    FROM (
        SELECT min(id) AS first, label, (
            SELECT min(id) FROM moves WHERE moves.dataset = given.dataset
            AND moves.previous = given.label AND moves.id > given.id
        ) AS next
        FROM live AS given WHERE dataset = :dataset AND kind IN ('label', 'accept', 'new_class')
        GROUP BY label, next
    ) AS used
    LEFT JOIN fates ON fates.move = used.next
    WHERE today IS NOT NULL GROUP BY today ORDER BY min(first)
"""

_EVENTS_STAY = """
    CREATE TRIGGER events_stay BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the label log is append-only'); END
"""

_TO_VERSION_1 = (
    "ALTER TABLE events ADD COLUMN previous TEXT",
    "ALTER TABLE events ADD COLUMN undoes INTEGER REFERENCES events(id)",
    "CREATE INDEX events_of_items ON events(dataset, path) WHERE path IS NOT NULL",
    "CREATE INDEX events_of_moves ON events(dataset, previous) WHERE previous IS NOT NULL",
    "CREATE UNIQUE INDEX events_undone ON events(undoes) WHERE undoes IS NOT NULL",
    _EVENTS_STAY,
    """
    CREATE TRIGGER events_last BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the label log is append-only'); END
    """,
    """
    CREATE VIEW live AS SELECT * FROM events AS e
    WHERE undoes IS NULL AND NOT EXISTS (SELECT 1 FROM events AS u WHERE u.undoes = e.id)
    """,
    "CREATE VIEW moves AS SELECT * FROM live WHERE previous IS NOT NULL",
    f"CREATE VIEW current AS {CURRENT.format(of_dataset='')}",
    f"PRAGMA application_id = {APPLICATION}",
)

# Version 2 has accepted suggestions, deleted classes, and `act`: the id of the first event of the
# act. In version 1, the events of an act have the same time.
_TO_VERSION_2 = (
    "DROP TRIGGER events_stay",
    "ALTER TABLE events ADD COLUMN act INTEGER",
    "CREATE TEMPORARY TABLE acts (id INTEGER PRIMARY KEY, act INTEGER NOT NULL)",
    "INSERT INTO acts SELECT id, min(id) OVER (PARTITION BY dataset, who, at) FROM events",
    "UPDATE events SET act = (SELECT act FROM acts WHERE acts.id = events.id)",
    "DROP TABLE acts",
    _EVENTS_STAY,
    "DROP VIEW current",
    f"CREATE VIEW current AS {CURRENT.format(of_dataset='')}",
)

STEPS = (_TO_VERSION_1, _TO_VERSION_2)
"""``STEPS[v]`` migrates version v to v + 1."""


def version_of(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the schema version of a label log, or None for an empty database."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
    if application == APPLICATION:
        if version > VERSION:
            raise LabelError(
                f"{path} is a label log of version {version}, but this embedpipe supports versions "
                f"up to {VERSION}. Update embedpipe."
            )
        return version
    if not application and not version:
        if not names:
            return None
        columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        if names == ["events"] and tuple(columns) == _FIRST_COLUMNS:
            return 0
    raise LabelError(
        f"{path} is a SQLite database, but not a label log. Choose another path, or move this file "
        "away."
    )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate an empty database or an older log to the current version, in one transaction."""
    # Another process may have migrated the file in the meantime. Then no step is left.
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = version_of(connection, path)
        if version is None:
            _run(connection, _TO_VERSION_0)
            version = 0
        for step in STEPS[version:]:
            _run(connection, step)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _run(connection: sqlite3.Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        connection.execute(statement)
