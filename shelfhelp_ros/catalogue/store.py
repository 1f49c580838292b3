"""The catalogue on disk: products, their reference crops and embeddings, in one SQLite file.

Every change is one transaction in WAL mode, so a crash leaves what was there before, and readers in other processes
never wait for a writer.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from shelfhelp_ros.catalogue.names import clean_name, name_key, nearest_names
from shelfhelp_ros.catalogue.schema import migrate
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.images import decode_image
from shelfhelp_ros.sightings import FloatArray, ImageArray

PATH_VARIABLE = "SHELFHELP_CATALOGUE"
# How long a writer waits for another one before it says that the catalogue is busy.
BUSY_SECONDS = 5.0
# A glance at the generation, once a frame, waits for nobody.
GLANCE_SECONDS = 0.02


class UnknownProductError(ShelfHelpError):
    """No product has this name or id. ``suggestions`` are the nearest names."""

    def __init__(self, wanted: str, suggestions: tuple[str, ...]) -> None:
        hint = f"did you mean {' or '.join(suggestions)}?" if suggestions else "see `shelfhelp products list`"
        super().__init__(f"no product is called {wanted!r}; {hint}")
        self.suggestions = suggestions


# Of a catalogue: its identity and its generation.
State = tuple[str, int]
# Named here because inside the class `list` is the method.
Rows = list[tuple[Any, ...]]
Products = list["CatalogueProduct"]
Crops = list[ImageArray]


@dataclass(frozen=True)
class CatalogueProduct:
    """One product: ``photos`` is how many reference photos it has, ``created_ns`` nanoseconds since 1970."""

    id: str
    name: str
    photos: int
    created_ns: int


@dataclass(frozen=True)
class ReferencePhoto:
    """A reference photo ready to be stored: the product's crop (H×W×3 BGR), its vector (D,), and facts on quality.

    ``detection_score`` is None when no product was detected and the whole picture was taken.
    """

    crop: ImageArray
    embedding: FloatArray
    detection_score: float | None
    sharpness: float
    brightness: float


@dataclass(frozen=True)
class References:
    """Every reference embedding of one encoder: row i of ``embeddings`` (N×D) is photo ``photo_ids[i]``.

    ``state`` is that of the catalogue they were read from.
    """

    state: State
    photo_ids: tuple[int, ...]
    product_ids: tuple[str, ...]
    embeddings: FloatArray


def default_catalogue_path() -> Path:
    """The file named by SHELFHELP_CATALOGUE, else the one in the user's data folder."""
    named = os.environ.get(PATH_VARIABLE)
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "shelfhelp" / "catalogue.db"


class Catalogue:
    """Products of one SQLite file, made when it is not there. One object may be shared between threads.

    Every method raises ShelfHelpError when the file is damaged, busy, read-only or the disk is full.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = default_catalogue_path() if path is None else Path(path)
        with _explained(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._line = _Line(self.path, _connect)
            # A connection of its own: a writer that waits for another program holds the first for seconds.
            self._glance = _Line(self.path, lambda path: _open(path, GLANCE_SECONDS))

    @classmethod
    def existing(cls, path: Path | str | None = None) -> Catalogue:
        """Open a catalogue that has to be there already. Raises ShelfHelpError when it is not."""
        path = default_catalogue_path() if path is None else Path(path)
        if not path.is_file():
            raise ShelfHelpError(f"there is no catalogue at {path}; make one with `shelfhelp products add`")
        return cls(path)

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._line.close()
        self._glance.close()

    @property
    def state(self) -> State:
        """The catalogue's identity, and its generation: a number that grows with every change, by any process."""
        with self._glance.used() as connection:
            row = connection.execute("SELECT identity, generation FROM catalogue").fetchone()
        if row is None:
            raise ShelfHelpError(f"the catalogue {self.path} {_DAMAGED}")
        return str(row[0]), int(row[1])

    def list(self, part: str = "") -> Products:
        """Products by name; ``part`` keeps those whose name contains it, whatever the case."""
        rows = self._rows(
            "SELECT p.id, p.name, count(f.id), p.created_ns FROM products p LEFT JOIN photos f ON f.product_id = p.id "
            "GROUP BY p.id ORDER BY p.name_key"
        )
        wanted = name_key(part)
        return [CatalogueProduct(*row) for row in rows if wanted in name_key(row[1])]

    def get(self, name_or_id: str) -> CatalogueProduct:
        """The product with this id or, whatever its case, this name. Raises UnknownProductError with nearest names."""
        products = self.list()
        for product in products:
            if product.id == name_or_id:
                return product
        wanted = name_key(name_or_id)
        for product in products:
            if name_key(product.name) == wanted:
                return product
        raise UnknownProductError(name_or_id, nearest_names(name_or_id, [product.name for product in products]))

    def find_names(self, wanted: str, limit: int = 3) -> tuple[str, ...]:
        """The names most like ``wanted``, best first."""
        return nearest_names(wanted, [product.name for product in self.list()], limit)

    def add(self, name: str, photos: Iterable[ReferencePhoto], encoder: str) -> str:
        """Store photos under a name, a new one or one that is there, and return the product's id.

        ``encoder`` is the SHA-256 of the encoder that made the embeddings. All in one transaction: either every photo
        is there afterwards or none.
        """
        name = clean_name(name)
        now = time.time_ns()
        with self._transaction() as connection:
            row = connection.execute("SELECT id FROM products WHERE name_key = ?", (name_key(name),)).fetchone()
            product_id = str(row[0]) if row else uuid.uuid4().hex
            if row is None:
                connection.execute("INSERT INTO products VALUES (?, ?, ?, ?)", (product_id, name, name_key(name), now))
            count = 0
            for photo in photos:
                _insert_photo(connection, product_id, photo, encoder, now)
                count += 1
            if not count:
                raise ShelfHelpError(f"no photo of {name} was given; give at least one")
        return product_id

    def remove(self, name_or_id: str) -> CatalogueProduct:
        """Remove a product with its photos and return what was removed. Raises UnknownProductError."""
        with self._transaction() as connection:
            product = self.get(name_or_id)
            connection.execute("DELETE FROM products WHERE id = ?", (product.id,))
        return product

    def references(self, encoder: str) -> References:
        """Every embedding made by the encoder with this SHA-256, by photo."""
        # One statement sees one state of the database, so generation and embeddings belong together.
        rows = self._rows(
            "SELECT c.identity, c.generation, f.id, f.product_id, e.vector FROM catalogue c "
            "LEFT JOIN embeddings e ON e.encoder = ? LEFT JOIN photos f ON f.id = e.photo_id ORDER BY f.id",
            (encoder,),
        )
        identity, generation = rows[0][:2]
        found = [row[2:] for row in rows if row[2] is not None]
        vectors = [np.frombuffer(vector, "<f4") for _, _, vector in found]
        return References(
            state=(identity, generation),
            photo_ids=tuple(photo for photo, _, _ in found),
            product_ids=tuple(product for _, product, _ in found),
            embeddings=np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32),
        )

    def missing_embeddings(self, encoder: str) -> int:
        """How many photos this encoder has not embedded."""
        return int(self._rows(f"SELECT count(*) FROM photos WHERE {_NOT_EMBEDDED}", (encoder,))[0][0])

    def embed_missing(self, encoder: str, embed: Callable[[Sequence[ImageArray]], FloatArray]) -> int:
        """Embed every stored crop that ``encoder`` has not embedded yet; returns how many there were.

        Other encoders' embeddings stay, so that going back to one costs nothing.
        """
        rows = self._rows(f"SELECT id, crop FROM photos WHERE {_NOT_EMBEDDED} ORDER BY id", (encoder,))
        if not rows:
            return 0
        vectors = embed([_decode_crop(crop) for _, crop in rows])
        with self._transaction() as connection:
            for (photo_id, _), vector in zip(rows, vectors, strict=True):
                # The photo may have been removed by another process while its crop was being embedded.
                connection.execute(
                    "INSERT OR IGNORE INTO embeddings SELECT id, ?, ? FROM photos WHERE id = ?",
                    (encoder, vector.astype("<f4").tobytes(), photo_id),
                )
        return len(rows)

    def crops(self, product_id: str) -> Crops:
        """The stored reference crops of a product, oldest first."""
        rows = self._rows("SELECT crop FROM photos WHERE product_id = ? ORDER BY id", (product_id,))
        return [_decode_crop(row[0]) for row in rows]

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> Rows:
        with self._line.used() as connection:
            return connection.execute(statement, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._line.used(writes=True) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("UPDATE catalogue SET generation = generation + 1")
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise


class _Line:
    """A connection for one thread at a time, opened anew when the file is no longer the one that it knows.

    SQLite keeps what it has read for as long as nobody commits, and the file that it opened for as long as it is open:
    it would never see a copy that was put in place of a damaged file.
    """

    def __init__(self, path: Path, opened: Callable[[Path], sqlite3.Connection]) -> None:
        self._path, self._opened = path, opened
        self._lock = threading.RLock()
        self.connection = opened(path)
        self._known = _file_state(path)

    @contextmanager
    def used(self, writes: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, for the block alone. May be nested; raises ShelfHelpError as every method of a catalogue."""
        with self._lock, _explained(self._path):
            if self._known is None or not (self.connection.in_transaction or self._known == _file_state(self._path)):
                self._open_anew()
            try:
                yield self.connection
                if writes:
                    self._known = _file_state(self._path)
            except (sqlite3.Error, UnicodeDecodeError) as error:
                if _reason(error) == _DAMAGED:
                    self._known = None
                raise

    def close(self) -> None:
        with self._lock:
            self.connection.close()

    def _open_anew(self) -> None:
        known, self._known = _file_state(self._path), None
        if known is None:
            raise ShelfHelpError(f"the catalogue {self._path} is gone; put it back, or start again to begin a new one")
        self.connection.close()
        self.connection = self._opened(self._path)
        self._known = known


def _file_state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written or another takes its place; None when there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


_DAMAGED = "is damaged; move it away to begin a new one, or put a copy of it back"
_NOT_EMBEDDED = "id NOT IN (SELECT photo_id FROM embeddings WHERE encoder = ?)"


def _open(path: Path, busy_seconds: float) -> sqlite3.Connection:
    # In WAL mode SQLite reads only where it can make two files beside the catalogue, or where a crash left them. Where
    # neither is so nobody writes, and the catalogue can be read as it is.
    fixed = path.is_file() and not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    place = path.absolute().as_uri() + ("?immutable=1" if fixed else "")
    # A null isolation level leaves transactions to us; without it sqlite3 would begin them behind our back.
    return sqlite3.connect(place, timeout=busy_seconds, isolation_level=None, check_same_thread=False, uri=True)


def _connect(path: Path) -> sqlite3.Connection:
    connection = _open(path, BUSY_SECONDS)
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _insert_photo(
    connection: sqlite3.Connection, product_id: str, photo: ReferencePhoto, encoder: str, now: int
) -> None:
    height, width = photo.crop.shape[:2]
    cursor = connection.execute(
        "INSERT INTO photos (product_id, crop, width, height, detection_score, sharpness, brightness, created_ns) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            product_id,
            _encode_crop(photo.crop),
            width,
            height,
            photo.detection_score,
            photo.sharpness,
            photo.brightness,
            now,
        ),
    )
    vector = photo.embedding.astype("<f4").tobytes()
    connection.execute("INSERT INTO embeddings VALUES (?, ?, ?)", (cursor.lastrowid, encoder, vector))


def _encode_crop(crop: ImageArray) -> bytes:
    done, data = cv2.imencode(".png", crop)
    if not done:
        raise ShelfHelpError(f"a crop of shape {crop.shape} cannot be stored")
    return data.tobytes()


def _decode_crop(data: object) -> ImageArray:
    try:
        return decode_image(data if isinstance(data, bytes) else b"")
    except ShelfHelpError as error:
        raise ShelfHelpError("a stored reference photo is damaged; remove the product and add it again") from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into one sentence for the user."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
        raise ShelfHelpError(f"the catalogue {path} {_reason(error)}") from error


def _reason(error: Exception) -> str:
    told = " ".join(str(error).split())
    text = told.lower()
    # Of a text in the file, or of SQLite's complaint that quotes it.
    if isinstance(error, UnicodeDecodeError) or "could not decode" in text:
        return _DAMAGED
    if "locked" in text or "busy" in text:
        return "is being written by another program; try again in a moment"
    if "readonly" in text or "read-only" in text:
        return "cannot be written; change its permissions or name another with --catalogue"
    if "full" in text or "no space" in text:
        return "cannot grow because the disk is full; free some space and try again"
    if "not a database" in text or "malformed" in text or "no such table" in text or "no such column" in text:
        return _DAMAGED
    return f"cannot be used ({told}); check the path and its permissions, or name another with --catalogue"
