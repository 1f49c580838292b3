"""The catalogue keeps what it was given, through crashes, other processes and damaged files."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from shelfhelp_ros.catalogue.schema import MIGRATIONS
from shelfhelp_ros.catalogue.store import (
    PATH_VARIABLE,
    Catalogue,
    ReferencePhoto,
    UnknownProductError,
    default_catalogue_path,
)
from shelfhelp_ros.errors import ShelfHelpError

ENCODER = "a" * 64


def photo(seed: int = 0, dimensions: int = 8) -> ReferencePhoto:
    random = np.random.default_rng(seed)
    vector = random.standard_normal(dimensions).astype(np.float32)
    crop = random.integers(0, 256, (30, 20, 3), np.uint8)
    return ReferencePhoto(crop, vector / np.linalg.norm(vector), 0.9, 0.1, 128.0)


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue(tmp_path / "catalogue.db") as opened:
        yield opened


def test_add_list_get_remove(catalogue):
    """A product is found by id and by name whatever its case, listed with its photos, and removed with them."""
    product_id = catalogue.add("Oat Crunch", [photo(0), photo(1)], ENCODER)
    catalogue.add("Apple rings", [photo(2)], ENCODER)
    assert [(product.name, product.photos) for product in catalogue.list()] == [("Apple rings", 1), ("Oat Crunch", 2)]
    assert catalogue.get("OAT  crunch").id == catalogue.get(product_id).id == product_id
    assert [product.name for product in catalogue.list("CRUN")] == ["Oat Crunch"]
    assert catalogue.remove("oat crunch").id == product_id
    assert catalogue.references(ENCODER).product_ids == (catalogue.get("apple rings").id,)
    assert catalogue.crops(product_id) == []


def test_photos_are_added_to_the_same_name(catalogue):
    """Enrolling a name again, in another spelling, adds photos to the product that is there."""
    first = catalogue.add("Café Noir", [photo(0)], ENCODER)
    again = catalogue.add("CAFE\u0301 noir", [photo(1)], ENCODER)
    assert first == again
    assert [(product.name, product.photos) for product in catalogue.list()] == [("Café Noir", 2)]


def test_what_is_stored_comes_back(tmp_path):
    """Embeddings and crops survive closing and opening bit by bit."""
    photos = [photo(seed) for seed in range(3)]
    with Catalogue(tmp_path / "c.db") as catalogue:
        product_id = catalogue.add("Tea", photos, ENCODER)
    with Catalogue(tmp_path / "c.db") as catalogue:
        references = catalogue.references(ENCODER)
        np.testing.assert_array_equal(references.embeddings, [p.embedding for p in photos])
        for stored, given in zip(catalogue.crops(product_id), photos, strict=True):
            np.testing.assert_array_equal(stored, given.crop)


def test_state_follows_changes(catalogue):
    """Every change is seen by whoever compares the state, and reading changes nothing."""
    seen = [catalogue.state]
    catalogue.add("Tea", [photo()], ENCODER)
    seen.append(catalogue.state)
    catalogue.list()
    catalogue.references(ENCODER)
    assert catalogue.state == seen[-1]
    catalogue.remove("Tea")
    seen.append(catalogue.state)
    assert len(set(seen)) == 3


def test_unknown_names_get_suggestions(catalogue):
    """A misspelt name is an error that names the nearest ones."""
    catalogue.add("Oat Crunch", [photo()], ENCODER)
    catalogue.add("Tomato soup", [photo()], ENCODER)
    with pytest.raises(UnknownProductError, match="did you mean Oat Crunch") as raised:
        catalogue.get("oats crunsh")
    assert raised.value.suggestions == ("Oat Crunch",)
    with pytest.raises(UnknownProductError, match="products list"):
        catalogue.remove("zzzz")


def test_nothing_is_left_of_a_failed_enrolment(catalogue):
    """When a photo fails in the middle, neither the product nor the photos before it are there."""
    catalogue.add("Tea", [photo()], ENCODER)

    def broken():
        yield photo(1)
        raise RuntimeError("the camera was unplugged")

    for name in ("Coffee", "Tea"):
        with pytest.raises(RuntimeError):
            catalogue.add(name, broken(), ENCODER)
    with pytest.raises(ShelfHelpError, match="at least one"):
        catalogue.add("Coffee", [], ENCODER)
    assert [(product.name, product.photos) for product in catalogue.list()] == [("Tea", 1)]
    catalogue.add("Coffee", [photo()], ENCODER)


@pytest.mark.parametrize("name", ["", "   ", "...", "a\x00b", "bell\x07", "x" * 201])
def test_names_that_cannot_be_spoken(catalogue, name):
    """Empty names, control characters and endless names are refused before anything is stored."""
    with pytest.raises(ShelfHelpError, match="name"):
        catalogue.add(name, [photo()], ENCODER)
    assert catalogue.list() == []


def test_another_encoder(catalogue):
    """Embeddings of another encoder are not mixed in; they are made again from the stored crops, once."""
    catalogue.add("Tea", [photo(0), photo(1)], ENCODER)
    other = "b" * 64
    assert catalogue.references(other).embeddings.shape == (0, 0)
    assert catalogue.missing_embeddings(other) == 2
    crops = []

    def embed(given):
        crops.extend(given)
        return np.eye(5, dtype=np.float32)[: len(given)]

    assert catalogue.embed_missing(other, embed) == 2
    assert catalogue.embed_missing(other, embed) == 0
    np.testing.assert_array_equal(crops[0], photo(0).crop)
    np.testing.assert_array_equal(catalogue.references(other).embeddings, np.eye(5)[:2])
    assert catalogue.references(ENCODER).embeddings.shape == (2, 8)


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
from test_store import ENCODER, photo
from shelfhelp_ros.catalogue.store import Catalogue

def slow():
    for seed in range(3):
        yield photo(seed)
    print("in the middle", flush=True)
    time.sleep(60)
    yield photo(9)

Catalogue({path!r}).add(sys.argv[1], slow(), ENCODER)
"""


@pytest.mark.parametrize("name", ["Coffee", "Tea"])
def test_killed_in_the_middle_of_an_enrolment(tmp_path, name):
    """kill -9 while photos are written loses nothing that was there and leaves no half product."""
    path = tmp_path / "c.db"
    with Catalogue(path) as catalogue:
        catalogue.add("Tea", [photo(1)], ENCODER)
    script = KILLED.format(tests=str(Path(__file__).parent), path=str(path))
    root = str(Path(__file__).resolve().parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", script, name], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    )
    assert process.stdout.readline() == b"in the middle\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with Catalogue(path) as catalogue:
        assert [(product.name, product.photos) for product in catalogue.list()] == [("Tea", 1)]
        np.testing.assert_array_equal(catalogue.references(ENCODER).embeddings[0], photo(1).embedding)
        catalogue.add(name, [photo(2)], ENCODER)


def test_readers_do_not_wait_for_a_writer(tmp_path):
    """While one connection is in the middle of an enrolment another one reads the state before it."""
    path = tmp_path / "c.db"
    with Catalogue(path) as writer, Catalogue(path) as reader:
        writer.add("Tea", [photo()], ENCODER)

        def photos():
            yield photo(1)
            assert [product.name for product in reader.list()] == ["Tea"]

        writer.add("Coffee", photos(), ENCODER)
        assert [product.name for product in reader.list()] == ["Coffee", "Tea"]


def test_threads_share_one_object(catalogue):
    """A node's services and its worker use one catalogue at once."""
    errors = []

    def work(number: int) -> None:
        try:
            for step in range(5):
                catalogue.add(f"product {number} {step}", [photo(step)], ENCODER)
                catalogue.references(ENCODER)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(catalogue.list()) == 20


def test_locked_catalogue(tmp_path, monkeypatch):
    """A writer that waits too long for another one says so."""
    monkeypatch.setattr("shelfhelp_ros.catalogue.store.BUSY_SECONDS", 0.05)
    with Catalogue(tmp_path / "c.db") as catalogue:
        other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ShelfHelpError, match="being written by another program"):
            catalogue.add("Tea", [photo()], ENCODER)
        other.execute("ROLLBACK")
        other.close()
        catalogue.add("Tea", [photo()], ENCODER)


def test_full_disk(tmp_path):
    """When the disk is full the enrolment fails in one sentence and what was there stays."""
    with Catalogue(tmp_path / "c.db") as catalogue:
        catalogue.add("Tea", [photo()], ENCODER)
        pages = catalogue._line.connection.execute("PRAGMA page_count").fetchone()[0]
        catalogue._line.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(ShelfHelpError, match="disk is full"):
            catalogue.add("Coffee", [photo(seed, 4000) for seed in range(5)], ENCODER)
        assert [product.name for product in catalogue.list()] == ["Tea"]


def test_damaged_file(tmp_path):
    """A file that is no database, and one with garbage in the middle, are one sentence each."""
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(ShelfHelpError, match="is damaged"):
        Catalogue(junk)
    path = tmp_path / "c.db"
    with Catalogue(path) as catalogue:
        for number in range(20):
            catalogue.add(f"Tea {number}", [photo(number)], ENCODER)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(ShelfHelpError, match="is damaged"), Catalogue(path) as catalogue:
        catalogue.list()


def test_a_name_that_is_no_text(catalogue):
    """SQLite quotes what it cannot read, line breaks and all; a person reads one sentence."""
    catalogue.add("Tea", [photo()], ENCODER)
    with catalogue._transaction() as connection:
        connection.execute("UPDATE products SET name = CAST(x'54ff0a65' AS TEXT)")
    with pytest.raises(ShelfHelpError, match=r"is damaged; move it away") as refused:
        catalogue.list()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("side", [0, 9_000, 60_000])
def test_a_crop_that_claims_any_size(catalogue, side):
    """A stored picture of a few bytes that claims billions of pixels is one sentence too."""
    product = catalogue.add("Tea", [photo()], ENCODER)
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    claiming = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" + header + zlib.crc32(header).to_bytes(4, "big")
    with catalogue._transaction() as connection:
        connection.execute("UPDATE photos SET crop = CAST(? || substr(crop, 34) AS BLOB)", (claiming,))
    with pytest.raises(ShelfHelpError, match="stored reference photo is damaged"):
        catalogue.crops(product)


@pytest.mark.parametrize("moved", [False, True])
def test_a_copy_put_in_place_of_a_damaged_file_is_used(tmp_path, moved):
    """Both while it is open: whoever has it open reads the damage, and then the copy, however it was put there."""
    path, copy = tmp_path / "c.db", tmp_path / "copy.db"
    with Catalogue(path) as catalogue:
        catalogue.add("Tea", [photo()], ENCODER)
    shutil.copy(path, copy)
    with Catalogue(path) as catalogue:
        state = catalogue.state
        with path.open("r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
        for _ in range(2):
            with pytest.raises(ShelfHelpError, match="is damaged"):
                _ = catalogue.state
            with pytest.raises(ShelfHelpError, match="is damaged"):
                catalogue.list()
        if moved:
            copy.replace(path)
        else:
            shutil.copy(copy, path)
        assert catalogue.state == state
        assert [product.name for product in catalogue.list()] == ["Tea"]
        catalogue.add("Rice", [photo(1)], ENCODER)
    with Catalogue(path) as catalogue:
        assert [product.name for product in catalogue.list()] == ["Rice", "Tea"]


def test_a_file_that_is_gone_is_not_made_anew_in_the_middle(tmp_path):
    """An empty catalogue in its place would end the search without a word; a file that comes back is used."""
    path, away = tmp_path / "c.db", tmp_path / "away.db"
    with Catalogue(path) as catalogue:
        catalogue.add("Tea", [photo()], ENCODER)
        sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
        path.rename(away)
        with pytest.raises(ShelfHelpError, match="is gone; put it back"):
            _ = catalogue.state
        with pytest.raises(ShelfHelpError, match="is gone; put it back"):
            catalogue.list()
        assert not path.exists()
        away.rename(path)
        assert [product.name for product in catalogue.list()] == ["Tea"]


def test_newer_catalogue(tmp_path):
    """A catalogue of a newer program is refused instead of misread."""
    Catalogue(tmp_path / "c.db").close()
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(ShelfHelpError, match="newer shelfhelp"):
        Catalogue(tmp_path / "c.db")


def test_path_that_cannot_be(tmp_path):
    """A folder, and a path below a file, are one sentence each."""
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "c.db"):
        with pytest.raises(ShelfHelpError, match="catalogue"):
            Catalogue(path)
    with pytest.raises(ShelfHelpError, match="there is no catalogue"):
        Catalogue.existing(tmp_path / "none.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_read_only_catalogue(tmp_path):
    """A catalogue that may not be written says so."""
    Catalogue(tmp_path / "c.db").close()
    (tmp_path / "c.db").chmod(0o444)
    with pytest.raises(ShelfHelpError, match="cannot be written"), Catalogue(tmp_path / "c.db") as catalogue:
        catalogue.add("Tea", [photo()], ENCODER)


def test_read_only_connection(catalogue):
    """The sentence for a database that SQLite may only read."""
    catalogue._line.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(ShelfHelpError, match="cannot be written"):
        catalogue.add("Tea", [photo()], ENCODER)


def test_foreign_keys_hold(catalogue):
    """A photo without its product cannot exist."""
    with pytest.raises(sqlite3.IntegrityError):
        catalogue._line.connection.execute(
            "INSERT INTO photos (product_id, crop, width, height, sharpness, brightness, created_ns) "
            "VALUES ('nobody', x'00', 1, 1, 0, 0, 0)"
        )


def test_default_path(monkeypatch, tmp_path):
    """The variable names the file; without it the user's data folder is meant."""
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "mine.db"))
    assert default_catalogue_path() == tmp_path / "mine.db"
    monkeypatch.delenv(PATH_VARIABLE)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_catalogue_path() == tmp_path / "shelfhelp" / "catalogue.db"
