"""Photos become a catalogue entry; each fault of a photo is named with the photo's number."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_shelf import GREY, draw_pack, paste

from shelfhelp_ros.catalogue.enrolment import enrol, study_photos
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder


@pytest.fixture(scope="module")
def models(tiny_models):
    return Detector.load(tiny_models, "cpu", threads=1), Encoder.load(tiny_models, "cpu", threads=1)


@pytest.fixture
def catalogue(tmp_path):
    with Catalogue(tmp_path / "c.db") as opened:
        yield opened


def table(*packs, size=(640, 480)) -> np.ndarray:
    """A photo of packs on a grey table: (number, x, y, width, height) each."""
    image = np.full((size[1], size[0], 3), GREY, np.uint8)
    for number, x, y, width, height in packs:
        paste(image, draw_pack(number, width, height), x, y)
    return image


GOOD = (3, 230, 120, 180, 240)


def jpeg(image) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_enrolment(models, catalogue):
    """Two good photos, one encoded and one decoded, make a product of two references without advice."""
    done = enrol(catalogue, *models, "  Blue   tea ", [jpeg(table(GOOD)), draw_pack(3, 300, 400)])
    assert (done.accepted, done.advice) == (2, ())
    assert catalogue.get(done.product_id).name == "Blue tea"
    crop = catalogue.crops(done.product_id)[0]
    assert abs(crop.shape[0] - 240) <= 24
    assert abs(crop.shape[1] - 180) <= 24
    references = catalogue.references(models[1].card.sha256)
    assert references.embeddings[0] @ references.embeddings[1] > 0.9


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (cv2.GaussianBlur(table(GOOD), (0, 0), 9), "too blurred"),
        ((table((3, 230, 120, 180, 240)) * 0.2).astype(np.uint8), "too dark"),
        (table((3, 300, 200, 56, 76)), "too small"),
        (table((3, -40, 120, 260, 280)), "cuts the product off"),
        (table((3, 100, 120, 180, 240), (7, 360, 120, 180, 240)), "several products"),
        (draw_pack(7, 300, 400), "does not look like the other photos"),
    ],
    ids=["blurred", "dark", "small", "cut off", "several", "another product"],
)
def test_advice_names_the_photo(models, catalogue, photo, words):
    """Of two photos the second has a fault: the advice names photo 2, that fault, and nothing of photo 1."""
    done = enrol(catalogue, *models, "Tea", [table(GOOD), photo])
    assert done.accepted == 2
    assert any(line.startswith("Photo 2 ") and words in line for line in done.advice), done.advice
    assert not any(line.startswith("Photo 1 ") for line in done.advice)


def test_unusable_photos_are_left_out(models, catalogue):
    """A black photo, a damaged one and a text are left out by number; the good one is enrolled."""
    black = np.zeros((480, 640, 3), np.uint8)
    done = enrol(catalogue, *models, "Tea", [black, jpeg(table(GOOD))[:3000], b"hello", table(GOOD)])
    assert done.accepted == 1
    assert [line[:10] for line in done.advice] == ["Photo 1 is", "Photo 2 is", "Photo 3 is"]
    assert "damaged" in done.advice[1]
    assert "not a picture" in done.advice[2]


def test_nothing_usable(models, catalogue):
    """With no usable photo nothing is stored and every photo's fault is in the one sentence."""
    with pytest.raises(ShelfHelpError, match=r"no photo can be used: Photo 1 is black.*Photo 2 is empty"):
        enrol(catalogue, *models, "Tea", [np.zeros((50, 50, 3), np.uint8), b""])
    assert catalogue.list() == []


@pytest.mark.parametrize("count", [0, 6])
def test_number_of_photos(models, catalogue, count):
    """One to five photos are taken."""
    with pytest.raises(ShelfHelpError, match="one to 5 photos"):
        enrol(catalogue, *models, "Tea", [table(GOOD)] * count)


def test_bad_name_is_refused_before_the_work(models, catalogue):
    """A name that cannot be stored is refused whatever the photos."""
    with pytest.raises(ShelfHelpError, match="letter or digit"):
        enrol(catalogue, *models, "!!!", [])


def test_studied_photos_find_the_pack(models):
    """The crop is the pack on the table, not the table."""
    detector, _ = models
    image = table(GOOD)
    assert iou(detector.detect(image).boxes, np.array([[230, 120, 410, 360]], np.float32)).max() > 0.85
    studied = study_photos(*models, [image])
    assert studied.photos[0].detection_score > 0.5
    assert studied.embeddings.shape == (1, 48)
