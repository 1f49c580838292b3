"""Boxes leave the detector in pixels of the source image, whatever its size."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from drawn_shelf import GREY, draw_shelf, paste
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import write_models

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.images import load_image
from shelfhelp_ros.perception.detector import Detector, cut_off, spans, suppress, suppress_across

SIZES = [(320, 240), (640, 480), (480, 640), (1280, 720), (720, 1280), (1512, 2016), (4032, 3024)]


@pytest.fixture(scope="module", params=["fixed", "dynamic"])
def detector(request, tmp_path_factory):
    folder = write_models(tmp_path_factory.mktemp(request.param), dynamic=request.param == "dynamic")
    return Detector.load(folder, "cpu", threads=1)


@pytest.mark.parametrize("size", SIZES)
def test_boxes_in_source_pixels(detector, size):
    """Every drawn pack is found where it was drawn, within a cell of the little network."""
    image, boxes = draw_shelf(list(range(8)), size)
    found = detector.detect(image)
    assert len(found) == 8
    assert found.boxes.dtype == found.scores.dtype == np.float32
    cell = 4 * max(size) / 640
    rows = iou(boxes, found.boxes).argmax(axis=1)
    np.testing.assert_allclose(found.boxes[rows], boxes, atol=1.6 * cell)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_one_pack_anywhere(detector, data):
    """A pack anywhere in a picture of any shape is boxed there and the box never leaves the picture."""
    width, height = data.draw(st.tuples(st.integers(200, 1400), st.integers(200, 1400)))
    side = max(width, height) // 6
    x, y = data.draw(st.integers(-side // 2, width - side // 2)), data.draw(st.integers(-side // 2, height - side // 2))
    image = np.full((height, width, 3), GREY, np.uint8)
    paste(image, np.full((side, side, 3), (0, 0, 230), np.uint8), x, y)
    found = detector.detect(image)
    assert len(found) == 1
    box = found.boxes[0]
    assert (box >= 0).all()
    assert (box <= [width, height, width, height]).all()
    cell = 4 * max(width, height) / 640
    expected = np.clip([x, y, x + side, y + side], 0, [width, height, width, height])
    np.testing.assert_allclose(box, expected, atol=2.5 * cell)


def test_a_look_at_a_smaller_size_sees_what_is_large(detector):
    """What is small in the picture is lost at a small size; what is large is boxed where it is."""
    image = np.full((480, 640, 3), GREY, np.uint8)
    large, small = (np.full((side, side, 3), (0, 0, 230), np.uint8) for side in (200, 8))
    paste(image, large, 60, 60)
    paste(image, small, 500, 300)
    whole, smaller = detector.detect(image), detector.detect(image, zooms=(0.125,))
    assert (len(whole), len(smaller)) == (2, 1)
    np.testing.assert_allclose(smaller.boxes[0], [60, 60, 260, 260], atol=40)


def test_threshold_and_order(detector):
    """Scores fall from the first on; a threshold above them all leaves nothing, with the right shape."""
    image, _ = draw_shelf(list(range(6)))
    image[:240] = (image[:240].astype(int) + GREY) // 2  # half the colour, a lower score
    found = detector.detect(image)
    assert len(found) == 6
    assert (np.diff(found.scores) <= 0).all()
    assert found.scores[0] > found.scores[-1]
    assert len(detector.detect(image, float(found.scores.mean()))) < 6
    assert detector.detect(image, 1.0).boxes.shape == (0, 4)


def test_nothing_there(detector):
    """A blank picture, and one of a single pixel, have no products."""
    assert len(detector.detect(np.full((480, 640, 3), GREY, np.uint8))) == 0
    assert len(detector.detect(np.zeros((1, 1, 3), np.uint8))) == 0


def test_not_a_picture(detector):
    """A grey or floating picture is refused with its shape."""
    with pytest.raises(ShelfHelpError, match="uint8 array"):
        detector.detect(np.zeros((10, 10), np.uint8))


def test_most_detections_is_the_cards(tiny_models):
    """The card's limit on detections holds, and the best are kept."""
    detector = Detector.load(tiny_models, "cpu", threads=1)
    few = dataclasses.replace(detector.card, detection=dataclasses.replace(detector.card.detection, max_detections=3))
    image, _ = draw_shelf(list(range(12)))
    assert len(Detector(few, detector.session).detect(image)) == 3


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_tiles_stay_in_source_pixels(detector, data):
    """With tiles every pack is found once, where it was drawn, also those that borders of tiles cut, and no box leaves
    the picture."""
    width, height = data.draw(st.sampled_from(SIZES))
    times = data.draw(st.sampled_from([1.5, 2.0, 3.0]))
    image, boxes = draw_shelf(list(range(8)), (width, height))
    found = detector.detect(image, tiled=times)
    assert len(found) == 8
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width, height, width, height]).all()
    rows = iou(boxes, found.boxes).argmax(axis=1)
    np.testing.assert_allclose(found.boxes[rows], boxes, atol=1.6 * 4 * max(width, height) / 640)


def test_tiles_see_what_is_too_small_for_one_look(detector):
    """A pack of a few pixels of the input is boxed well with tiles only."""
    far = np.full((3024, 4032, 3), GREY, np.uint8)
    paste(far, np.full((18, 12, 3), (0, 0, 230), np.uint8), 2000, 1500)
    expected = np.array([[2000, 1500, 2012, 1518]], np.float32)
    assert iou(expected, detector.detect(far).boxes).max(initial=0) < 0.5
    assert iou(expected, detector.detect(far, tiled=7).boxes).max(initial=0) > 0.5


def test_tiles_of_a_small_picture_are_the_picture(detector):
    """Where the first look already has every pixel, tiles change nothing; fewer than all pixels cannot be asked for."""
    image, _ = draw_shelf(list(range(6)), (640, 480))
    np.testing.assert_array_equal(detector.detect(image).boxes, detector.detect(image, tiled=4).boxes)
    with pytest.raises(ShelfHelpError, match=r"0\.5 times"):
        detector.detect(image, tiled=0.5)


@given(st.integers(1, 5000), st.integers(1, 700), st.floats(0, 0.9))
def test_spans_cover_the_length(length, side, overlap):
    """Tiles reach from end to end without a gap, share what they have to (to a pixel), and do not leave the picture."""
    found = spans(length, side, overlap)
    assert found[0][0] == 0
    assert found[-1][1] == length
    for (start, end), (following, _) in itertools.pairwise(found):
        assert end - start == min(side, length)
        assert end - following >= min(side - 1, overlap * side) - 1


def test_boxes_cut_by_a_tile():
    """A box at an inner border is cut; one at the border of the picture is not."""
    boxes = np.array([[0, 10, 40, 60], [590, 10, 640, 60], [100, 630, 150, 640], [100, 100, 200, 200]], np.float32)
    assert cut_off(boxes, (0, 0, 640, 640), (0, 0, 1000, 640)).tolist() == [False, True, False, False]


class TestSuppress:
    def test_overlaps_go(self):
        """Of two boxes on one product the surer stays; a neighbour that overlaps little stays too."""
        boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [9, 0, 19, 10]], np.float32)
        assert suppress(boxes, np.array([0.5, 0.9, 0.4], np.float32), 0.5, 10) == [1, 2]

    def test_empty(self):
        """No boxes, no rows."""
        assert suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5, 10) == []

    @given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.1, 0.9))
    def test_survivors_do_not_overlap(self, seed, count, threshold):
        """No two survivors overlap more than allowed and every box that went overlaps a surer survivor."""
        random = np.random.default_rng(seed)
        low = random.uniform(0, 80, (count, 2))
        boxes = np.concatenate([low, low + random.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)
        scores = random.uniform(0.01, 1, count).astype(np.float32)
        kept = suppress(boxes, scores, threshold, count)
        overlap = iou(boxes, boxes)
        assert list(scores[kept]) == sorted(scores[kept], reverse=True)
        for position, row in enumerate(kept):
            assert (overlap[row, kept[:position]] <= threshold + 1e-4).all()
        for row in set(range(count)) - set(kept):
            assert any(overlap[row, k] > threshold - 1e-4 and scores[k] >= scores[row] for k in kept)


class TestSuppressAcross:
    """Box 0 is large; 1 and 2 lie in it; 3 is apart."""

    boxes = np.array([[0, 0, 100, 100], [10, 10, 40, 90], [60, 10, 90, 90], [200, 0, 300, 100]], np.float32)

    def test_print_on_a_pack(self):
        """A sure large pack takes the place of what the closer look found on it."""
        look = np.array([1, 0, 0, 0])
        assert suppress_across(self.boxes, np.float32([0.8, 0.6, 0.7, 0.5]), look, 0.7, 10) == [0, 3]

    def test_packs_in_a_group(self):
        """Packs that are surer than the group around them take its place."""
        look = np.array([1, 0, 0, 0])
        assert suppress_across(self.boxes, np.float32([0.6, 0.8, 0.7, 0.5]), look, 0.7, 10) == [1, 2, 3]

    def test_one_look_does_not_contradict_itself(self):
        """Within one look boxes may lie inside each other; the limit keeps the surest."""
        look = np.zeros(4, int)
        assert suppress_across(self.boxes, np.float32([0.8, 0.6, 0.7, 0.5]), look, 0.7, 3) == [0, 2, 1]


def test_shipped_detector_near_and_far(shipped_models, photos):
    """A cereal shelf seen from so near that three packs fill the picture: the packs are boxed, not their print."""
    detector = Detector.load(shipped_models, "cpu")
    found = detector.detect(load_image(photos / "unibo_cereals" / "scenes" / "e3.png"))
    packs = np.array([[5, 15, 335, 453], [335, 15, 635, 422], [655, 15, 980, 440]], np.float32)
    assert (iou(packs, found.boxes).max(axis=1) >= 0.5).all()
    assert len(found) <= 6
