"""The tables of the catalogue and the steps from each version to the next."""

from __future__ import annotations

import sqlite3

from shelfhelp_ros.errors import ShelfHelpError

# Step n brings a database from user_version n to n + 1. Steps are never changed once released, only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE catalogue (
            only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
            identity TEXT NOT NULL,              -- tells the index file of this catalogue from that of another
            generation INTEGER NOT NULL          -- grows with every change of products, photos or embeddings
        ) STRICT""",
        "INSERT INTO catalogue VALUES (1, lower(hex(randomblob(16))), 1)",
        """CREATE TABLE products (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            name_key TEXT NOT NULL UNIQUE,       -- names.name_key: one product per name, whatever its spelling
            created_ns INTEGER NOT NULL
        ) STRICT""",
        """CREATE TABLE photos (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            product_id TEXT NOT NULL REFERENCES products (id) ON DELETE CASCADE,
            crop BLOB NOT NULL,                  -- PNG of the product alone, to embed again with another encoder
            width INTEGER NOT NULL,              -- pixels of the crop
            height INTEGER NOT NULL,
            detection_score REAL,                -- NULL when the whole picture was taken
            sharpness REAL NOT NULL,             -- enrolment.sharpness
            brightness REAL NOT NULL,            -- mean grey level, 0..255
            created_ns INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX photos_by_product ON photos (product_id)",
        """CREATE TABLE embeddings (
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            encoder TEXT NOT NULL,               -- SHA-256 of the encoder that made it
            vector BLOB NOT NULL,                -- float32, little endian, length one
            PRIMARY KEY (photo_id, encoder)
        ) STRICT, WITHOUT ROWID""",
    ),
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to the newest version, each step in one transaction.

    Raises ShelfHelpError when a newer program made it. Two processes may do this at once: the version is read again
    once the write lock is held.
    """
    while _version(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = _version(connection)
            if version < len(MIGRATIONS):
                for statement in MIGRATIONS[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
    if _version(connection) > len(MIGRATIONS):
        raise ShelfHelpError(
            "the catalogue was made by a newer shelfhelp; update this one or name another with --catalogue"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
