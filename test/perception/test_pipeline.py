"""Frames in, sightings out: the whole of perception on drawn shelves, with small real networks."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from drawn_shelf import GREY, draw_pack, draw_shelf

from shelfhelp_ros.catalogue.enrolment import enrol, study_photos
from shelfhelp_ros.catalogue.store import Catalogue, UnknownProductError
from shelfhelp_ros.geometry import CameraModel, iou
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.drawing import annotate
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.evidence import EvidenceSettings
from shelfhelp_ros.perception.pipeline import Pipeline, PipelineSettings
from shelfhelp_ros.perception.verifier import SecondLook, Verifier, VerifierCard
from shelfhelp_ros.sightings import Decision, Frame, Verified

STEP_NS = 200_000_000
SHELF = list(range(12))


class CountingEncoder(Encoder):
    """The real encoder, keeping count of the crops of every call."""

    counts: list[int]

    def embed_boxes(self, image, boxes):
        self.counts.append(len(boxes))
        return super().embed_boxes(image, boxes)


@pytest.fixture(scope="module")
def models(tiny_models):
    detector = Detector.load(tiny_models, "cpu", threads=1)
    loaded = Encoder.load(tiny_models, "cpu", threads=1)
    encoder = CountingEncoder(loaded.card, loaded.session)
    encoder.counts = []
    return detector, encoder


@pytest.fixture
def catalogue(models, tmp_path):
    with Catalogue(tmp_path / "c.db") as opened:
        for number in (3, 5, 16):
            enrol(opened, *models, f"pack {number}", [draw_pack(number, 200, 210)])
        yield opened


@pytest.fixture
def pipeline(models, catalogue):
    models[1].counts = []
    return Pipeline(*models, catalogue)


def frame(step: int, numbers=SHELF, **options) -> Frame:
    return Frame(step * STEP_NS, "camera", draw_shelf(numbers, **options)[0])


def run(pipeline: Pipeline, steps: int, start: int = 0, **options):
    for step in range(start, start + steps):
        sightings = pipeline.process(frame(step, **options))
    return sightings


class CountingDetector(Detector):
    """The real detector, keeping count of its calls."""

    calls = 0

    def detect(self, image, score_threshold=None, tiled=1.0):
        self.calls += 1
        return super().detect(image, score_threshold, tiled)


@pytest.fixture
def counting(models, catalogue):
    models[1].counts = []
    detector = CountingDetector(models[0].card, models[0].session)
    return Pipeline(detector, models[1], catalogue)


def test_products_are_followed_between_detections(counting):
    """At 20 frames a second products are detected in every third; the target is where each frame shows it."""
    counting.set_target("pack 5")
    for step in range(12):
        shift = (6 * step, 2 * step)
        image = draw_shelf(SHELF, shift=shift)[0]
        sightings = counting.process(Frame(step * 50_000_000, "camera", image))
        if step >= 4:
            found = iou(sightings.target.product.box[None], draw_shelf(SHELF, shift=shift)[1])[0]
            assert (found.argmax(), sightings.target.decision) == (5, Decision.FOUND)
            assert found.max() > 0.7
    assert counting.detector.calls == 4


def test_a_picture_that_cannot_be_followed_is_looked_at(counting):
    """After a leap of the camera, or where nothing has corners, products are detected however soon."""
    for step, image in enumerate(
        [
            draw_shelf(SHELF)[0],
            draw_shelf(SHELF, shift=(150, 0))[0],
            np.full_like(draw_shelf(SHELF)[0], 128),
            draw_shelf(SHELF)[0],
        ]
    ):
        counting.process(Frame(step * 20_000_000, "camera", image))
    assert counting.detector.calls == 4


def test_frames_that_wait_for_no_network_find_the_same(models, catalogue):
    """With the networks beside, the target is found and followed; a slow camera's frame says at once what it shows."""
    with ThreadPoolExecutor(1) as thread:
        beside, alone = (Pipeline(*models, catalogue, beside=executor) for executor in (thread, None))
        for pipeline in (beside, alone):
            pipeline.set_target("pack 5")
        for step in range(4):
            slow = Frame(step * 300_000_000, "camera", draw_shelf(SHELF, shift=(3 * step, 0))[0])
            ours, theirs = (pipeline.process(slow) for pipeline in (beside, alone))
            assert ours.target.decision == theirs.target.decision
            assert ours.target.probability == pytest.approx(theirs.target.probability, abs=1e-4)
            assert [p.product_id for p in ours.products] == [p.product_id for p in theirs.products]
        assert ours.target.decision is Decision.FOUND
        for step in range(1, 8):
            shift = (9 + 6 * step, 0)
            picture = draw_shelf(SHELF, shift=shift)[0]
            sightings = beside.process(Frame(slow.stamp_ns + step * 50_000_000, "camera", picture))
            assert sightings.target.decision is Decision.FOUND
            found = iou(sightings.target.product.box[None], draw_shelf(SHELF, shift=shift)[1])[0]
            assert found.argmax() == 5
            assert found.max() > 0.7


def test_a_pack_that_was_taken_is_known_in_the_same_frame(models, catalogue):
    """What was learnt of its track counts no more; no frame tells of it as of a product that nobody has looked at."""
    shelf, boxes = draw_shelf(SHELF)
    x1, y1, x2, y2 = boxes[5].astype(int)
    wide, high = int(1.3 * (x2 - x1)), int(1.3 * (y2 - y1))
    left, top = (x1 + x2 - wide) // 2, (y1 + y2 - high) // 2
    held, near = shelf.copy(), np.full(shelf.shape[:2], 1.0, np.float32)
    held[top : top + high, left : left + wide] = cv2.resize(shelf[y1:y2, x1:x2], (wide, high))
    near[top : top + high, left : left + wide] = 0.77
    with ThreadPoolExecutor(1) as thread:
        pipeline = Pipeline(*models, catalogue, beside=thread)
        for step in range(4):
            pipeline.process(Frame(step * 300_000_000, "camera", shelf, np.full_like(near, 1.0)))
        taken = []
        for step in range(1, 12):
            sightings = pipeline.process(Frame(900_000_000 + step * 50_000_000, "camera", held, near))
            if pipeline._taken:
                taken.append({p.product_name for p in sightings.products if iou(p.box[None], boxes[5:6]).max() > 0.5})
            thread.submit(lambda: None).result()
    assert taken == [{"pack 5"}]


@pytest.mark.parametrize(("number", "right"), [(5, True), (7, False)])
def test_the_pack_in_the_hand_is_judged_by_itself(pipeline, number, right):
    """Another facing may stay the one that is spoken of; what stands clear of the shelf is told beside it."""
    numbers = [5, 5, 2, 7, 8, 9, 10, 11, 3, 1, 0, 4]
    shelf, boxes = draw_shelf(numbers)
    x1, y1, x2, y2 = boxes[numbers.index(number)].astype(int)
    wide, high = int(1.5 * (x2 - x1)), int(1.5 * (y2 - y1))
    held, near = shelf.copy(), np.full(shelf.shape[:2], 0.8, np.float32)
    held[110 : 170 + high, 230 : 290 + wide] = GREY
    held[140 : 140 + high, 260 : 260 + wide] = cv2.resize(shelf[y1:y2, x1:x2], (wide, high))
    near[140 : 140 + high, 260 : 260 + wide] = 0.4
    pipeline.set_target("pack 5")
    for step in range(4):
        before = pipeline.process(Frame(step * STEP_NS, "camera", shelf, np.full_like(near, 0.8))).target
    assert (before.decision, before.held) == (Decision.FOUND, None)
    for step in range(4, 10):
        after = pipeline.process(Frame(step * STEP_NS, "camera", held, near)).target
    assert after.held.product.position.xyz[2] == pytest.approx(0.4, abs=0.01)
    assert (after.held.probability > 0.7) is right
    assert right or after.held.probability < 0.1


def test_target_is_found_and_followed(pipeline):
    """The target is found at its place while the camera pans, with one id, a probability and its name."""
    pipeline.set_target("pack 5")
    ids = set()
    for step in range(8):
        shift = (12 * step, 4 * step)
        sightings = pipeline.process(frame(step, shift=shift))
        if step < 2:
            continue
        target = sightings.target
        assert target.decision is Decision.FOUND
        assert (target.target_name, target.product.product_name) == ("pack 5", "pack 5")
        assert target.probability > 0.9
        assert iou(target.product.box[None], draw_shelf(SHELF, shift=shift)[1])[0].argmax() == 5
        ids.add(target.product.track_id)
    assert len(ids) == 1
    assert sightings.stamp_ns == target.stamp_ns == 7 * STEP_NS
    assert sightings.image_size == (640, 480)
    assert {"detect", "track", "embed", "match", "total"} <= set(sightings.timings_ms)
    assert sightings.timings_ms["total"] >= sightings.timings_ms["detect"] > 0


def test_every_product_is_named_by_its_nearest_entry(pipeline):
    """Without a target the products are tracked and named all the same, and there is no verdict."""
    sightings = run(pipeline, 4)
    assert sightings.target is None
    assert len(sightings.products) == 12
    assert len({product.track_id for product in sightings.products}) == 12
    best = max(sightings.products, key=lambda product: product.similarity)
    assert best.product_name in ("pack 3", "pack 5")
    assert best.similarity > 0.95


def test_absent_target(pipeline):
    """A product that is in the catalogue but not on the shelf is searched for, then called absent."""
    pipeline.set_target("pack 16")
    assert run(pipeline, 3).target.decision is Decision.SEARCHING
    target = run(pipeline, 20, start=3).target
    assert target.decision is Decision.ABSENT
    assert target.product is None


def test_lost_target(pipeline):
    """A target that is taken off the shelf is lost."""
    pipeline.set_target("pack 5")
    assert run(pipeline, 4).target.decision is Decision.FOUND
    without = [number if number != 5 else 10 for number in SHELF]
    without[5] = 1
    target = run(pipeline, 12, start=4, numbers=without).target
    assert target.decision is Decision.LOST
    assert target.product is None


def test_facings_and_near_duplicates(pipeline):
    """Three facings of the target are one product: found, not ambiguous, and the choice stays on one facing."""
    pipeline.set_target("pack 5")
    chosen = set()
    for step in range(8):
        target = pipeline.process(frame(step, [5, 5, 2, 5, 7, 1])).target
        if step >= 2:
            assert target.decision is Decision.FOUND
            chosen.add(target.product.track_id)
    assert len(chosen) == 1


def test_unknown_target(pipeline):
    """A name that is not there is an error with the nearest names and leaves the target as it was."""
    pipeline.set_target("pack 5")
    with pytest.raises(UnknownProductError) as raised:
        pipeline.set_target("pak 3")
    assert "pack 3" in raised.value.suggestions
    assert pipeline.target.name == "pack 5"
    pipeline.set_target(None)
    assert run(pipeline, 2).target is None


def test_target_by_photos(pipeline, models):
    """A product that is not in the catalogue is found by photos; one that is there is no rival of itself."""
    for number in (7, 5):
        studied = study_photos(*models, [draw_pack(number, 180, 180)])
        pipeline.set_target_references("photos", "what I hold", studied.embeddings)
        target = run(pipeline, 4, start=10 * number).target
        assert target.decision is Decision.FOUND
        assert iou(target.product.box[None], draw_shelf(SHELF)[1])[0].argmax() == number


def test_crops_are_embedded_once(pipeline, models):
    """Twelve products cost twelve crops, at most the budget a frame; then only what is due costs more."""
    encoder = models[1]
    run(pipeline, 5)
    assert max(encoder.counts) <= EvidenceSettings().budget
    assert sum(encoder.counts) == 12
    run(pipeline, 20, start=5)
    assert sum(encoder.counts) <= 12 * 3


def test_depth_makes_positions(pipeline):
    """With depth and a camera every product has a place in metres; holes in the depth leave it out."""
    pipeline.set_target("pack 5")
    camera = CameraModel(640, 480, 600, 600, 320, 240)
    depth = np.full((480, 640), 0.9, np.float32)
    depth[:, :160] = np.nan
    for step in range(3):
        sightings = pipeline.process(dataclasses.replace(frame(step), depth=depth, camera=camera))
    product = sightings.target.product
    middle = (product.box[:2] + product.box[2:]) / 2
    np.testing.assert_allclose(product.position.xyz, camera.deproject(*middle, 0.9), atol=1e-3)
    np.testing.assert_allclose(product.bearing, product.position.xyz / np.linalg.norm(product.position.xyz), atol=1e-6)
    assert sum(other.position is None for other in sightings.products) == 3


def test_depth_and_camera_of_other_sizes(pipeline):
    """Depth at half the size and a camera_info of the full sensor mean the same place."""
    camera = CameraModel(1280, 960, 1200, 1200, 640, 480)
    depth = np.full((240, 320), 0.9, np.float32)
    sightings = [pipeline.process(dataclasses.replace(frame(step), depth=depth, camera=camera)) for step in range(3)][
        -1
    ]
    product = sightings.products[0]
    middle = (product.box[:2] + product.box[2:]) / 2
    expected = CameraModel(640, 480, 600, 600, 320, 240).deproject(*middle, 0.9)
    np.testing.assert_allclose(product.position.xyz, expected, atol=2e-3)


def test_bearing_without_a_camera(models, catalogue):
    """Without camera_info the direction is given by the assumed field of view, and the distance is left out."""
    pipeline = Pipeline(*models, catalogue, PipelineSettings(field_of_view_degrees=90))
    product = max(run(pipeline, 3).products, key=lambda product: product.box[2])
    across = float(product.box[0] + product.box[2]) / 2
    assert product.bearing[0] / product.bearing[2] == pytest.approx((across - 320) / 320, rel=1e-4)
    assert product.position is None


def test_catalogue_changes_while_running(pipeline, models, tmp_path):
    """What another process enrols is seen, and a target that it removes is given up."""
    pipeline.set_target("pack 5")
    run(pipeline, 3)
    with Catalogue(tmp_path / "c.db") as other:
        enrol(other, *models, "pack 7", [draw_pack(7, 200, 210)])
        names = {product.product_name for product in run(pipeline, 2, start=3).products}
        assert "pack 7" in names
        other.remove("pack 5")
    assert run(pipeline, 1, start=5).target is None
    assert pipeline.target is None


def test_another_encoder_re_embeds(models, catalogue):
    """A catalogue made with another encoder is embedded again when the pipeline starts."""
    detector, encoder = models
    other = CountingEncoder(dataclasses.replace(encoder.card, sha256="b" * 64), encoder.session)
    other.counts = []
    pipeline = Pipeline(detector, other, catalogue)
    pipeline.set_target("pack 5")
    assert run(pipeline, 4).target.decision is Decision.FOUND


def test_empty_catalogue_and_empty_view(models, tmp_path):
    """Nothing known and nothing seen is no error."""
    with Catalogue(tmp_path / "empty.db") as catalogue:
        pipeline = Pipeline(*models, catalogue)
        assert all(product.product_id == "" for product in run(pipeline, 3).products)
        blank = Frame(10 * STEP_NS, "camera", np.full((480, 640, 3), GREY, np.uint8))
        assert len(pipeline.process(blank).products) <= 12


def test_stream_that_starts_again(pipeline):
    """After a bag loops back in time the target is found again, by a new track."""
    pipeline.set_target("pack 5")
    before = run(pipeline, 4, start=100).target
    after = run(pipeline, 4, start=0).target
    assert after.decision is Decision.FOUND
    assert after.product.track_id != before.product.track_id


def test_picture_size_changes(pipeline):
    """A camera that changes its resolution does not confuse the rest."""
    pipeline.set_target("pack 5")
    run(pipeline, 3)
    target = run(pipeline, 4, start=3, size=(1280, 720)).target
    assert target.decision is Decision.FOUND
    assert iou(target.product.box[None], draw_shelf(SHELF, (1280, 720))[1])[0].argmax() == 5


def test_reset(pipeline):
    """After a reset the tracks are new and the target is still wanted."""
    pipeline.set_target("pack 5")
    run(pipeline, 3)
    pipeline.reset()
    assert run(pipeline, 1, start=3).products == ()
    assert run(pipeline, 3, start=4).target.decision is Decision.FOUND


def test_annotated_picture(pipeline):
    """The drawing changes the picture where the target is and leaves the frame itself alone."""
    pipeline.set_target("pack 5")
    sightings = run(pipeline, 3)
    image = frame(3).image
    copy = image.copy()
    drawn = annotate(image, sightings)
    np.testing.assert_array_equal(image, copy)
    x1, y1, x2, y2 = sightings.target.product.box.astype(int)
    assert (drawn != image)[y1 : y2 + 1, x1 : x2 + 1].any()
    assert drawn.shape == image.shape


class Doubtful(Verifier):
    """A verifier that refutes whatever it is shown: what matters here is what the pipeline makes of that."""

    def __init__(self, log_odds):
        super().__init__(VerifierCard.load())
        self.log_odds = log_odds

    def look(self, crop, references):
        assert len(references) == 1
        return SecondLook(self.log_odds, None)


@pytest.mark.parametrize(("log_odds", "decision", "verified"), [(6.0, "FOUND", "YES"), (-6.0, "SEARCHING", None)])
def test_the_second_look_confirms_or_refutes(models, catalogue, log_odds, decision, verified):
    """It is pending at first, and the product can be aimed at; then its yes stays and its no takes the product back,
    which is then neither found nor lost."""
    models[1].counts = []
    pipeline = Pipeline(*models, catalogue, verifier=Doubtful(log_odds))
    pipeline.set_target("pack 5")
    found = [pipeline.process(frame(step)).target for step in range(2)][-1]
    assert (found.decision, found.verified) == (Decision.FOUND, Verified.PENDING)
    assert pipeline.second_looks.worker.wait(10)
    after = run(pipeline, 2, start=3).target
    assert after.decision is Decision[decision]
    assert verified is None or after.verified is Verified[verified]
    pipeline.close()


def test_what_one_look_refuted_is_looked_at_again(models, catalogue):
    """However unlikely that has made it: one look alone decides nothing."""
    models[1].counts = []
    verifier = Doubtful(-6.0)
    pipeline = Pipeline(*models, catalogue, verifier=verifier)
    pipeline.set_target("pack 5")
    for step in range(3):
        pipeline.process(frame(step))
        assert pipeline.second_looks.worker.wait(10)
    verifier.log_odds = 6.0
    for step in range(3, 12):
        target = pipeline.process(frame(step)).target
        assert pipeline.second_looks.worker.wait(10)
    assert target.probability > 0.3
    pipeline.close()


def test_a_product_behind_a_hand_is_not_looked_at_twice(models, catalogue):
    """A picture of the hand before it says nothing of the product, which stays found."""
    models[1].counts = []
    verifier = Doubtful(6.0)
    pipeline = Pipeline(*models, catalogue, verifier=verifier)
    pipeline.set_target("pack 5")
    shelf, boxes = draw_shelf(SHELF)
    x1, y1, x2, y2 = boxes[5].astype(int)
    far = np.full(shelf.shape[:2], 0.8, np.float32)
    for step in range(4):
        pipeline.process(Frame(step * STEP_NS, "camera", shelf, far))
        assert pipeline.second_looks.worker.wait(10)
    verifier.log_odds = -6.0
    near = far.copy()
    near[(y1 + y2) // 2 : y2, x1:x2] = 0.5
    for step in range(4, 30):
        target = pipeline.process(Frame(step * STEP_NS, "camera", shelf, near)).target
        assert pipeline.second_looks.worker.wait(10)
        assert target.decision is Decision.FOUND
    pipeline.close()


def test_a_product_of_which_the_hand_leaves_a_part_stays_as_it_was(pipeline):
    """What is still seen of it would be another place, and another picture, than that of the product."""
    pipeline.set_target("pack 5")
    shelf, boxes = draw_shelf(SHELF)
    x1, y1, x2, y2 = boxes[5].astype(int)
    far = np.full(shelf.shape[:2], 0.8, np.float32)
    for step in range(4):
        before = pipeline.process(Frame(step * STEP_NS, "camera", shelf, far)).target
    for step in range(1, 16):
        picture, depth = shelf.copy(), far.copy()
        hand = np.s_[y2 - min(4 * step, (y2 - y1) // 2) : y2 + 30, x1:x2]
        picture[hand], depth[hand] = GREY, 0.7
        target = pipeline.process(Frame((3 + step) * STEP_NS, "camera", picture, depth)).target
        assert target.decision is Decision.FOUND
        assert iou(target.product.box[None], boxes[5:6])[0, 0] > 0.7
        assert target.probability > 0.9 * before.probability


def test_photos_of_the_moment_are_looked_at_twice(models, catalogue):
    """A target given by photos keeps its crops, so that there is something to compare with."""
    models[1].counts = []
    pipeline = Pipeline(*models, catalogue, verifier=Doubtful(6.0))
    studied = study_photos(*models, [draw_pack(7, 180, 180)])
    pictures = tuple(photo.crop for photo in studied.photos)
    pipeline.set_target_references("photos", "what I hold", studied.embeddings, pictures)
    run(pipeline, 3)
    assert pipeline.second_looks.worker.wait(10)
    assert run(pipeline, 1, start=3).target.verified is Verified.YES
    pipeline.close()
