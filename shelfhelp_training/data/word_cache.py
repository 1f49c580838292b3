"""The words on crops, read once and kept on disk: reading takes half a second a crop."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.perception.text import TextReader, Word
from shelfhelp_ros.sightings import ImageArray


class Reader(Protocol):
    """Whatever reads the words on a picture (H×W×3 BGR)."""

    def read(self, image: ImageArray) -> tuple[Word, ...]: ...


def read_words(pictures: Sequence[ImageArray], cache: Path, reader: Reader | None = None) -> list[tuple[Word, ...]]:
    """The words on each picture, those that ``cache`` (SQLite) does not hold yet read by ``reader``.

    What is read is kept at once, so an interrupted run goes on where it stopped. The key is the hash of the pixels.

    Raises ShelfHelpError when the cache cannot be used, or words have to be read and the extra ``text`` is missing.
    """
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        store = sqlite3.connect(cache)
        with store:
            store.execute("CREATE TABLE IF NOT EXISTS words (picture TEXT PRIMARY KEY, words TEXT NOT NULL)")
        found = []
        for picture in tqdm(pictures, desc="reading words", unit="picture"):
            key = _key(picture)
            row = store.execute("SELECT words FROM words WHERE picture = ?", (key,)).fetchone()
            if row is None:
                reader = reader or TextReader()
                words = reader.read(picture)
                with store:
                    text = json.dumps([[word.text, word.height] for word in words])
                    store.execute("INSERT OR REPLACE INTO words VALUES (?, ?)", (key, text))
            else:
                words = tuple(Word(text, height) for text, height in json.loads(row[0]))
            found.append(words)
        store.close()
    except (OSError, sqlite3.Error) as error:
        raise ShelfHelpError(f"{cache} cannot keep the words that were read ({error}); name another --cache") from error
    return found


def _key(picture: ImageArray) -> str:
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()
