"""Each advice is given for a photo that deserves it, and not for one that does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_shelf import GREY, draw_pack, paste

from shelfhelp_ros.catalogue.quality import (
    Finding,
    QualityLimits,
    advise,
    find_main_product,
    odd_ones_out,
    sharpness,
    unusable,
)
from shelfhelp_ros.sightings import Detections

LIMITS = QualityLimits()


def pack(width: int = 300, height: int = 400) -> np.ndarray:
    return draw_pack(3, width, height)


def advice(crop, several=False, cut_off=False) -> str:
    height, width = crop.shape[:2]
    box = np.array([0, 0, width, height], np.float32)
    return " ".join(advise(crop, Finding(box, 0.9, several, cut_off)))


def detections(*boxes, scores=None) -> Detections:
    rows = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections(rows, np.array(scores or [0.9] * len(rows), np.float32))


def test_good_photo_gets_no_advice():
    """A sharp, bright, large, single pack passes, and so does a dark pack in good light."""
    assert advice(pack()) == ""
    dark_pack = (pack() * 0.15).astype(np.uint8)
    cv2.putText(dark_pack, "COCOA", (20, 200), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (230, 230, 230), 14)
    assert "dark" not in advice(dark_pack)


@pytest.mark.parametrize("blur", ["focus", "shake"])
def test_blurred(blur):
    """Out of focus and shaken photos are called blurred, a little softness is not."""
    kernel = np.zeros((41, 41), np.float32)
    kernel[20] = 1 / 41
    image = pack(600, 800)
    blurred = cv2.GaussianBlur(image, (0, 0), 12) if blur == "focus" else cv2.filter2D(image, -1, kernel + kernel.T)
    assert "too blurred" in advice(cv2.GaussianBlur(blurred, (0, 0), 4))
    assert "blurred" not in advice(cv2.GaussianBlur(image, (0, 0), 1.5))


def test_dark():
    """An underexposed photo is called dark."""
    assert "too dark" in advice((pack() * 0.2).astype(np.uint8))
    assert "dark" not in advice((pack() * 0.8).astype(np.uint8))


def test_small():
    """A pack of few pixels is called small, with their number."""
    assert "too small (60 pixels across)" in advice(pack(60, 90))
    assert "small" not in advice(pack(100, 140))


def test_cut_off_and_several_are_said():
    """What the finding says of the photo reaches the words."""
    assert "cuts the product off" in advice(pack(), cut_off=True)
    assert "several products" in advice(pack(), several=True)


def test_unusable():
    """Black, blank and tiny pictures cannot be used at all; a poor one can."""
    assert "black" in unusable(np.zeros((100, 100, 3), np.uint8))
    assert "blank" in unusable(np.full((100, 100, 3), 200, np.uint8))
    assert "far too small" in unusable(pack(10, 40))
    assert unusable((pack() * 0.2).astype(np.uint8)) is None


def test_sharpness_does_not_depend_on_contrast_or_size():
    """The same print at half the contrast or twice the size is about as sharp; a blank wall with noise is not."""
    image = pack(512, 640)
    faded = (image // 2 + 60).astype(np.uint8)
    assert sharpness(faded) == pytest.approx(sharpness(image), rel=0.1)
    assert sharpness(cv2.resize(image, None, fx=2, fy=2)) == pytest.approx(sharpness(image), rel=0.25)
    assert sharpness(np.full((50, 50, 3), 9, np.uint8)) == 0


class TestMainProduct:
    def test_whole_photo(self):
        """Without a detection, or with specks only, the whole photo is the product."""
        for found in (detections(), detections([10, 10, 20, 20])):
            finding = find_main_product(found, 400, 300)
            assert finding.score is None
            np.testing.assert_array_equal(finding.box, [0, 0, 400, 300])
            assert not finding.cut_off

    def test_middle_one_of_several(self):
        """Of equal neighbours the middle one is meant, and the photo shows several products."""
        finding = find_main_product(detections([10, 50, 110, 250], [150, 50, 250, 250], [290, 50, 390, 250]), 400, 300)
        np.testing.assert_array_equal(finding.box, [150, 50, 250, 250])
        assert finding.several

    def test_photo_cropped_to_its_pack(self):
        """A pack that fills most of the photo is taken with all of the photo: no box is exact."""
        finding = find_main_product(detections([10, 10, 350, 280]), 400, 300)
        np.testing.assert_array_equal(finding.box, [0, 0, 400, 300])
        assert finding.score == pytest.approx(0.9)

    def test_unsure_rival(self):
        """What is detected much less surely beside the product is no second product."""
        both = detections([50, 50, 190, 250], [210, 50, 350, 250], scores=[0.9, 0.7])
        assert not find_main_product(both, 400, 300).several

    def test_large_one_among_small_ones(self):
        """A pack held in front of a shelf is meant, not the small ones behind it."""
        finding = find_main_product(
            detections([100, 30, 300, 290], [10, 10, 70, 90], [330, 10, 390, 90], scores=[0.6, 0.9, 0.9]), 400, 300
        )
        np.testing.assert_array_equal(finding.box, [100, 30, 300, 290])
        assert not finding.several

    def test_parts_are_no_rivals(self):
        """A picture printed on the pack that is detected too does not make several products."""
        finding = find_main_product(detections([50, 20, 350, 280], [60, 100, 340, 275]), 400, 300)
        assert not finding.several

    @pytest.mark.parametrize("box", [[0, 50, 150, 250], [250, 50, 400, 250], [100, 0, 300, 200], [100, 120, 300, 300]])
    def test_cut_off(self, box):
        """A pack that runs out of the photo on any side is cut off, one inside is not, nor is a crop to the pack."""
        assert find_main_product(detections(box), 400, 300).cut_off
        assert not find_main_product(detections([50, 20, 350, 280]), 400, 300).cut_off
        assert not find_main_product(detections([0, 0, 400, 299]), 400, 300).cut_off


class TestDisagreement:
    def test_one_odd_photo(self):
        """Of three photos the one that is like neither of the others is named."""
        alike = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
        assert list(odd_ones_out(alike, 0.5)) == [2]

    def test_front_and_back(self):
        """Two sides with two photos each agree in pairs: nothing is odd."""
        alike = np.kron(np.eye(2), np.full((2, 2), 0.9))
        assert list(odd_ones_out(alike, 0.5)) == []

    def test_two_that_differ(self):
        """Of two photos that differ the first is trusted."""
        assert list(odd_ones_out(np.eye(2), 0.5)) == [1]
        assert list(odd_ones_out(np.eye(1), 0.5)) == []


def test_real_packshots_are_good(photos):
    """Packshots from a web shop get no advice on sharpness or light."""
    from shelfhelp_ros.images import load_image

    for path in sorted((photos / "unibo_cereals" / "models").glob("*.jpg"))[:10]:
        words = advice(load_image(path))
        assert "blurred" not in words, path.name
        assert "dark" not in words, path.name


def test_real_packshot_blurred(photos):
    """The same packshots out of focus are called blurred."""
    from shelfhelp_ros.images import load_image

    for path in sorted((photos / "unibo_cereals" / "models").glob("*.jpg"))[:10]:
        image = cv2.resize(load_image(path), (384, 512), interpolation=cv2.INTER_AREA)
        assert "too blurred" in advice(cv2.GaussianBlur(image, (0, 0), max(image.shape) / 40)), path.name


def test_photo_of_a_pack_on_a_table():
    """The drawn scene the enrolment tests use is itself a good photo."""
    image = np.full((480, 640, 3), GREY, np.uint8)
    paste(image, pack(180, 240), 230, 120)
    assert unusable(image) is None
