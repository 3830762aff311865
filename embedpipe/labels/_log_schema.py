"""The tables of the label log, and how a file of an older version becomes one of today's."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ..errors import LabelError

VERSION = 1
"""Kept in the file as ``user_version``."""

APPLICATION = int.from_bytes(b"eplb")
"""Kept in the file as ``application_id``: what tells a label log from any other database."""

COLUMNS = (
    "id", "kind", "dataset", "path", "content_id", "label", "who", "at", "round", "model",
    "suggestion", "previous", "undoes",
)  # fmt: skip

_FIRST_COLUMNS = COLUMNS[:11]
"""Those of version 0, which knew neither undoing nor renamed classes, nor its own name."""

# Nothing is ever deleted, so that ids rise without gaps and in the order of the commits.
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

# A move renames or merges a class. It leads the labels that were given before it on to another
# class, up to the next move of that one; where there is none, its fate is known.
_FATES = """
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

# The last event of an item that was not undone, its label led to where it is today. (With
# max(id), SQLite takes the other columns from the row of the maximum.)
CURRENT = f"""
    {_FATES}
    SELECT dataset, path, coalesce(fates.label, last.label) AS label, kind, who, at, event_id,
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

CLASSES = f"""
    {_FATES}
    SELECT coalesce(fates.label, said.label) AS today
    FROM (
        SELECT min(id) AS first, label, (
            SELECT min(id) FROM moves WHERE moves.dataset = given.dataset
            AND moves.previous = given.label AND moves.id > given.id
        ) AS next
        FROM live AS given WHERE dataset = :dataset AND kind IN ('label', 'new_class')
        GROUP BY label, next
    ) AS said
    LEFT JOIN fates ON fates.move = said.next
    GROUP BY today ORDER BY min(first)
"""

_TO_VERSION_1 = (
    "ALTER TABLE events ADD COLUMN previous TEXT",
    "ALTER TABLE events ADD COLUMN undoes INTEGER REFERENCES events(id)",
    "CREATE INDEX events_of_items ON events(dataset, path) WHERE path IS NOT NULL",
    "CREATE INDEX events_of_moves ON events(dataset, previous) WHERE previous IS NOT NULL",
    "CREATE UNIQUE INDEX events_undone ON events(undoes) WHERE undoes IS NOT NULL",
    """
    CREATE TRIGGER events_stay BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the label log is append-only'); END
    """,
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

STEPS = (_TO_VERSION_1,)
"""``STEPS[v]`` leads from version v to v + 1."""


def version_of(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the version of the log in a database, or None if the database is empty."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
    if application == APPLICATION:
        if version > VERSION:
            raise LabelError(
                f"{path} is a label log of version {version}; this embedpipe reads up to version "
                f"{VERSION}: update embedpipe."
            )
        return version
    if not application and not version:
        if not names:
            return None
        columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        if names == ["events"] and tuple(columns) == _FIRST_COLUMNS:
            return 0
    raise LabelError(
        f"{path} is a SQLite database, but not a label log: choose another path, or move it away."
    )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring an empty database or an older log to today's version, in one transaction."""
    # Another process may have done so in the meantime; then nothing happens.
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
