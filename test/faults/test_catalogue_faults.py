"""A catalogue that is locked, read-only, damaged, on a full disk, or killed in the middle loses nothing committed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from faulty_assistant import Assistant
from random_photo import random_photo
from ros_graph import photo_of, until

from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError

REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def held(path: Path, *statements: str) -> Iterator[None]:
    """Another program in the middle of its work on the catalogue."""
    other = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        other.execute(statement)
    yield
    other.close()


def catalogue_of(assistant: Assistant) -> Path:
    assert assistant.perception.pipeline is not None
    return Path(assistant.perception.pipeline.catalogue.path)


def test_a_locked_catalogue_stops_no_picture(assistant: Assistant) -> None:
    """Enrolling waits and then says so; meanwhile the search goes on, frame by frame."""
    path = catalogue_of(assistant)
    with held(path, "BEGIN IMMEDIATE"):
        frames = assistant.perception.statistics.total_frames
        with pytest.raises(ShelfHelpError, match="being written by another program; try again"):
            assistant.client.enrol_product("Pack five", [photo_of(5)])
        assert assistant.perception.statistics.total_frames > frames + 3
    assert assistant.client.enrol_product("Pack five", [photo_of(5)]).success
    assistant.client.remove_product("Pack five")
    assistant.works()


def test_a_catalogue_that_may_not_be_written(assistant: Assistant) -> None:
    """The sentence of SQLite's read-only mode; the search goes on."""
    pipeline = assistant.perception.pipeline
    assert pipeline is not None
    # As root every file may be written, so SQLite itself is told to refuse.
    pipeline.catalogue._line.connection.execute("PRAGMA query_only = ON")
    try:
        with pytest.raises(ShelfHelpError, match="cannot be written; change its permissions"):
            assistant.client.enrol_product("Pack five", [photo_of(5)])
        assistant.works()
    finally:
        pipeline.catalogue._line.connection.execute("PRAGMA query_only = OFF")
    assistant.works()


READING = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from random_photo import random_photo
from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError
photo = random_photo(1)
if os.geteuid() == 0:
    os.setuid(65534)
with Catalogue(sys.argv[1]) as catalogue:
    print(catalogue.state[1], len(Index.open(catalogue, "a" * 64)), [product.name for product in catalogue.list()])
    try:
        catalogue.add("Rice", [photo], "a" * 64)
    except ShelfHelpError as error:
        print(error)
"""


@pytest.mark.parametrize(
    ("file", "folder", "crashed"),
    [(0o444, 0o777, False), (0o666, 0o555, False), (0o444, 0o555, False), (0o444, 0o555, True)],
)
def test_a_card_that_may_only_be_read(file: int, folder: int, crashed: bool) -> None:
    """After a reboot the disk may be read-only, also after a crash: what is there is found, and enrolling says why."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "catalogue.db"
        with Catalogue(path) as catalogue:
            catalogue.add("Tea", [random_photo(0)], "a" * 64)
            left = {each: each.read_bytes() for each in path.parent.iterdir()}
        for each, data in left.items() if crashed else [(path, path.read_bytes())]:
            each.write_bytes(data)
            each.chmod(file)
        path.parent.chmod(folder)
        read = subprocess.run(
            [sys.executable, "-c", READING, str(path), str(REPOSITORY), str(Path(__file__).parent)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        path.parent.chmod(0o755)
    found, refused = read.stdout.splitlines()
    assert found == "2 1 ['Tea']"
    assert "cannot be written; change its permissions" in refused


def test_a_full_disk_loses_nothing(assistant: Assistant) -> None:
    """The enrolment is refused in one sentence, what was there stays, and with room again it works."""
    pipeline = assistant.perception.pipeline
    assert pipeline is not None
    connection = pipeline.catalogue._line.connection
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    try:
        with pytest.raises(ShelfHelpError, match="cannot grow because the disk is full; free some space"):
            enrol_again_and_again(assistant)
        assert "Pack three" in [product.name for product in assistant.client.list_products().products]
        assistant.works()
    finally:
        connection.execute("PRAGMA max_page_count = 1000000")
    assistant.client.enrol_product("Pack five", [photo_of(5)])
    assistant.client.remove_product("Pack five")
    assistant.works()


def enrol_again_and_again(assistant: Assistant) -> None:
    for _ in range(20):
        assistant.client.enrol_product("Pack five", [photo_of(5)])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of half a megabyte: enrolments end in one sentence, and every one before is there."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        with Catalogue(disk / "catalogue.db") as catalogue:
            kept: set[str] = set()
            with pytest.raises(ShelfHelpError, match="disk is full; free some space and try again"):
                fill(catalogue, kept)
        assert kept
        with Catalogue(disk / "catalogue.db") as catalogue:
            assert {product.name for product in catalogue.list()} == kept
            assert sum(len(catalogue.crops(product.id)) for product in catalogue.list()) == len(kept)
            _whole(catalogue)
    finally:
        subprocess.run(["umount", disk], check=True)


def fill(catalogue: Catalogue, kept: set[str]) -> None:
    """Add products until the disk is full; ``kept`` gathers the names of those that were added."""
    for number in range(1000):
        catalogue.add(f"Product {number}", [random_photo(number)], "a" * 64)
        kept.add(f"Product {number}")


def _whole(catalogue: Catalogue) -> None:
    assert catalogue._line.connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_catalogue_damaged_while_it_is_in_use_ends_no_search(assistant: Assistant) -> None:
    """What is looked for is known already: guidance goes on, /diagnostics tells, services answer with a sentence.

    A copy that is put in its place is used at once.
    """
    path = catalogue_of(assistant)
    assistant.client.enrol_product("Pack five", [photo_of(5)])
    _checkpoint(path)
    whole = path.read_bytes()
    try:
        with path.open("r+b") as file:
            file.write(b"\xff" * len(whole))
        assistant.tells("perception: frames", "is damaged; move it away to begin a new one")
        assistant.works()
        with pytest.raises(ShelfHelpError, match=r"is damaged|cannot be used"):
            assistant.client.enrol_product("Pack six", [photo_of(6)])
    finally:
        with path.open("r+b") as file:
            file.write(whole)
    until(lambda: "damaged" not in assistant.health["perception: frames"].message, what="a catalogue that works")
    assert assistant.client.enrol_product("Pack six", [photo_of(6)]).success
    for name in ("Pack five", "Pack six"):
        assistant.client.remove_product(name)
    assistant.works()


def _checkpoint(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


ENROLLING = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from drawn_shelf import photo_of
from shelfhelp_ros.catalogue.enrolment import enrol
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
models = Path(sys.argv[2])
detector, encoder = Detector.load(models, "cpu", 1), Encoder.load(models, "cpu", 1)
with Catalogue(sys.argv[1]) as catalogue:
    for number in range(200):
        enrol(catalogue, detector, encoder, f"Product {number}", [photo_of(number)])
        print(f"Product {number}", flush=True)
"""


@pytest.mark.parametrize("after", [3, 17])
def test_killed_in_the_middle_of_200_enrolments(tiny_models: Path, tmp_path: Path, after: int) -> None:
    """Every product that was reported is there with its photo, nothing is half there, and the rest can go on."""
    path = tmp_path / "catalogue.db"
    places = [str(REPOSITORY), str(REPOSITORY / "test")]
    process = subprocess.Popen(
        [sys.executable, "-c", ENROLLING, str(path), str(tiny_models), *places], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(after)]
    time.sleep(0.013 * after)
    process.send_signal(signal.SIGKILL)
    told += process.stdout.read().split("\n")
    process.wait()
    committed = {name for name in told if name.startswith("Product") and name[-1].isdigit()}
    with Catalogue(path) as catalogue:
        _whole(catalogue)
        products = catalogue.list()
        assert committed <= {product.name for product in products}
        assert len(products) <= len(committed) + 1
        assert all(product.photos == 1 and len(catalogue.crops(product.id)) == 1 for product in products)
