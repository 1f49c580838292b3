"""Frames in, sightings out: detect, track, embed what is worth it, match, decide."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import RIVALS, Match, Matcher, Standing, Verification, reference_similarity
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray, CameraModel, box_depth, front_depth, position_at, size_at
from shelfhelp_ros.perception.clocked import Clocked
from shelfhelp_ros.perception.detecting import Detecting
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder, crop_box
from shelfhelp_ros.perception.evidence import Evidence, EvidenceSettings, choose_looks, look_weight, touches_border
from shelfhelp_ros.perception.held import Shelf, clear_of_shelf, detect
from shelfhelp_ros.perception.looking import Looking
from shelfhelp_ros.perception.motion import Affine, CameraMotion, growth
from shelfhelp_ros.perception.occlusion import DistanceMemory, Measured, OcclusionSettings
from shelfhelp_ros.perception.second_look import SecondLooks, SecondLookSettings, SecondLookWorker
from shelfhelp_ros.perception.sizes import Sizes
from shelfhelp_ros.perception.target import Target
from shelfhelp_ros.perception.tracker import Track, Tracker, TrackerSettings
from shelfhelp_ros.perception.verifier import Surroundings, Verifier
from shelfhelp_ros.perception.watch import TargetWatch, WatchSettings
from shelfhelp_ros.sightings import (
    Decision,
    Detections,
    FloatArray,
    Frame,
    HeldPack,
    ImageArray,
    Position,
    Sightings,
    TargetSighting,
    TrackedProduct,
    Verified,
)

# Names among the timings.
DETECTOR_RUN, ENCODER_RUN = "detector run", "encoder run"
# A camera that moves by more than this share of the picture brings products into view that nobody has seen yet.
_SMALL = 0.1
# Boxes of one thing differ by so much of their longer side from frame to frame.
_SLACK = 0.04
# On a live stream one look at what is clear of the shelf more is made where the first took no longer than this.
_ROOM_FOR_ANOTHER_LOOK_S = 0.12


@dataclass(frozen=True)
class PipelineSettings:
    """``confirm``: how sure to be before the product is named, a word of `matching.CONFIRM`. ``score_threshold`` None
    takes the detector card's. ``detection_interval_s``: products are detected in a frame that is so many seconds newer
    than the last in which they were; in those between they move with the camera. ``coast_s``: seconds for which an
    unseen product is still reported at its predicted box. ``field_of_view_degrees``: horizontal, for cameras without
    camera_info. ``whole_view``: share of the products in view that have to be embedded before the view counts as seen.
    """

    confirm: str = "balanced"
    score_threshold: float | None = None
    detection_interval_s: float = 0.15
    coast_s: float = 0.25
    field_of_view_degrees: float = 69.0
    whole_view: float = 0.8
    second_look: SecondLookSettings = field(default_factory=SecondLookSettings)
    tracker: TrackerSettings = field(default_factory=TrackerSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    watch: WatchSettings = field(default_factory=WatchSettings)
    occlusion: OcclusionSettings = field(default_factory=OcclusionSettings)


class Pipeline:
    """All of perception. `process` is for one worker thread; the target may be changed from any other."""

    def __init__(
        self,
        detector: Detector,
        encoder: Encoder,
        catalogue: Catalogue,
        settings: PipelineSettings | None = None,
        verifier: Verifier | None = None,
        beside: Executor | None = None,
    ) -> None:
        """With a ``verifier`` the likeliest products are looked at twice, in a thread of their own: see `close`. With
        ``beside``, an executor of one thread, frames do not wait for the networks: see `Detecting` and `Looking`."""
        self._settings = settings or PipelineSettings()
        self.detector = detector
        self.encoder = encoder
        self.catalogue = catalogue
        self.matcher = Matcher(encoder.calibration, confirm=self.settings.confirm)
        self._lock = threading.RLock()
        self._tracker = Tracker(self.settings.tracker)
        self._camera_motion = CameraMotion()
        self._beside = beside
        self._shelf: Shelf | None = None
        self._detector_runs = Clocked(self._detect_in)
        self._detecting = Detecting(self._detector_runs, beside)
        self._looking = Looking(encoder, beside)
        self._distances = DistanceMemory(self.settings.occlusion)
        self._measured: dict[int, Measured | None] = {}
        self._sizes = Sizes()
        self._taken = False
        self._clear: set[int] = set()
        self._hidden: set[int] = set()
        self._evidence: dict[int, Evidence] = {}
        self._candidates: set[int] = set()
        self._watch = TargetWatch(self.matcher.thresholds, self.settings.watch)
        self._target: Target | None = None
        self._index = self._open_index()
        self.catalogue_fault = ""
        self.second_looks: SecondLooks | None = None
        if verifier is not None:
            worker = SecondLookWorker(verifier, catalogue.crops)
            self.second_looks = SecondLooks(worker, verifier.card.yes, verifier.card.no, self.settings.second_look)

    def close(self) -> None:
        """End the threads of the second look and of the networks."""
        if self._beside is not None:
            self._beside.shutdown()
        if self.second_looks is not None:
            self.second_looks.worker.close()
            self.second_looks = None

    @property
    def settings(self) -> PipelineSettings:
        """May be replaced at any time; ``tracker``, ``watch`` and ``occlusion`` stay as they were at the beginning."""
        return self._settings

    @settings.setter
    def settings(self, settings: PipelineSettings) -> None:
        with self._lock:
            if settings.confirm != self._settings.confirm:
                self.matcher = Matcher(self.encoder.calibration, confirm=settings.confirm)
                self._watch.thresholds = self.matcher.thresholds
            self._settings = settings

    @property
    def target(self) -> Target | None:
        """What is looked for."""
        return self._target

    @property
    def known_products(self) -> int:
        """How many products of the catalogue are known by now."""
        return len(self._names)

    def set_target(self, product_id: str | None) -> None:
        """Look for a catalogue product, or for nothing. Raises UnknownProductError."""
        with self._lock:
            if product_id is None:
                self._change_target(None)
                return
            product = self.catalogue.get(product_id)
            self._refresh_index()
            self._change_target(self._catalogue_target(product.id, product.name))

    def set_target_references(
        self, target_id: str, name: str, embeddings: FloatArray, pictures: tuple[ImageArray, ...] = ()
    ) -> None:
        """Look for a product that is not in the catalogue, by R×D embeddings of its photos (see `enrolment`).

        ``pictures`` are the R crops of the product, for a second look.
        """
        with self._lock:
            self._refresh_index()
            self._change_target(
                Target.from_references(target_id, name, embeddings, self._index, self.matcher, pictures)
            )

    def reset(self) -> None:
        """Forget every track, as for another stream; the target stays."""
        with self._lock:
            self._tracker = Tracker(self.settings.tracker)
            self._camera_motion = CameraMotion()
            self._shelf = None
            self._detecting.forget()
            self._looking.forget()
            self._distances = DistanceMemory(self.settings.occlusion)
            self._sizes = Sizes()
            self._evidence.clear()
            self._candidates.clear()
            self._watch.reset()
            self._forget_second_looks()

    def process(self, frame: Frame) -> Sightings:
        """Take in one frame. A frame older than the one before begins anew (a bag that starts again)."""
        timings: dict[str, float] = {}
        size = (frame.image.shape[1], frame.image.shape[0])
        with self._lock, _timed(timings, "total"):
            with _timed(timings, "catalogue"):
                self._refresh_index()
            with _timed(timings, "motion"):
                motion = self._camera_motion.update(frame.image)
            with _timed(timings, "detect"):
                detections = self._detect(frame, motion)
            with _timed(timings, "track"):
                if detections is None:
                    tracks = self._tracker.carry(frame.stamp_ns, motion)
                else:
                    tracks = self._tracker.update(detections, frame.stamp_ns, motion)
                covered = self._covered(tracks, frame, motion)
                if detections is not None:
                    tracks = self._part(covered, detections, frame.stamp_ns)
                self._tracker.hold(covered, frame.stamp_ns)
                shown = self._shown(tracks, covered, frame.stamp_ns)
            with _timed(timings, "embed"):
                self._hidden = covered - self._clear
                self._look(frame, [track for track in tracks if track.track_id not in self._hidden])
            with _timed(timings, "match"):
                products = self._products(frame, shown)
                self._learn_sizes(shown, products, covered, size)
                target = self._sight_target(frame, shown, products, motion)
        timings |= self._runs_ms()
        return Sightings(frame.stamp_ns, frame.frame_id, size, tuple(products), target, timings)

    def _runs_ms(self) -> dict[str, float]:
        """How long the networks took whose work ended with this frame, or since the one before: no frame waits for it
        where they run beside."""
        runs = {DETECTOR_RUN: self._detector_runs.take_ms(), ENCODER_RUN: self._looking.embed.take_ms()}
        return {name: took for name, took in runs.items() if took is not None}

    def _detect(self, frame: Frame, motion: Affine) -> Detections | None:
        """The products in a frame; None where those of a moment ago only moved with the camera."""
        followed = motion if self._camera_motion.measured and _is_small(motion, frame.image.shape) else None
        return self._detecting.update(
            frame, followed, self.settings.detection_interval_s, self.settings.score_threshold
        )

    def _detect_in(self, frame: Frame, threshold: float | None) -> Detections:
        """The products in one frame, by what was known of the shelf when that came."""
        most_s = math.inf if self._beside is None else _ROOM_FOR_ANOTHER_LOOK_S
        return detect(self.detector, frame, self._shelf, threshold, most_s)

    def _open_index(self) -> Index:
        encoder = self.encoder.card.sha256
        self.catalogue.embed_missing(encoder, self.encoder.embed)
        self._names = {product.id: product.name for product in self.catalogue.list()}
        return Index.open(self.catalogue, encoder)

    def _refresh_index(self) -> None:
        """Follow changes that this or another process made to the catalogue.

        A catalogue that cannot be read, as ``catalogue_fault`` then says, ends no search: what is known serves on.
        """
        try:
            changed = self.catalogue.state != self._index.references.state
            if changed:
                self._index = self._open_index()
            self.catalogue_fault = ""
        except ShelfHelpError as error:
            self.catalogue_fault = str(error)
            return
        if not changed:
            return
        target = self._target
        if target is None:
            return
        if target.product_id != target.target_id:
            self._target = Target.from_references(
                target.target_id, target.name, target.references, self._index, self.matcher, target.pictures
            )
            return
        known = len(self._index.of_product(target.product_id)) > 0
        self._target = self._catalogue_target(target.product_id, target.name) if known else None

    def _catalogue_target(self, product_id: str, name: str) -> Target:
        pictures = tuple(self.catalogue.crops(product_id)) if self.second_looks is not None else ()
        return Target(product_id, name, self._index.of_product(product_id), product_id, pictures)

    def _change_target(self, target: Target | None) -> None:
        self._target = target
        self._candidates.clear()
        self._watch.reset()
        self._forget_second_looks()

    def _forget_second_looks(self) -> None:
        if self.second_looks is not None:
            self.second_looks.forget()

    def _covered(self, tracks: Sequence[Track], frame: Frame, motion: Affine) -> set[int]:
        """The tracks that something stands before. Also drops what is known of tracks that are gone."""
        alive = {track.track_id for track in tracks}
        self._evidence = {track_id: known for track_id, known in self._evidence.items() if track_id in alive}
        self._taken, self._clear = False, set()
        if frame.depth is None:
            self._measured = {}
            return set()
        self._measured = {track.track_id: _depths(track, frame) for track in tracks}
        all_taken = self._distances.update(self._measured, frame.stamp_ns, growth(motion))
        self._taken = bool(all_taken)
        for taken in all_taken:
            # A pack in the hand is looked at anew: its track may have been that of one it passed.
            self._evidence.pop(taken, None)
            self._looking.drop(taken)
        covered = {track_id for track_id in alive if self._distances.covered(track_id, frame.stamp_ns)}
        self._clear = self._clear_of_shelf(tracks, covered)
        return covered

    def _clear_of_shelf(self, tracks: Sequence[Track], covered: Collection[int]) -> set[int]:
        """The tracks that stand clear of the shelf. A hand hides a part of the pack that it holds; what it hides all
        of, nobody sees."""
        places = {}
        for track in tracks:
            distance = self._distances.distance(track.track_id)
            if distance is not None:
                across, down = (track.box[:2] + track.box[2:]) / 2
                places[track.track_id] = float(across), float(down), distance
        seen = {track.track_id for track in tracks if track.detection is not None}
        self._shelf = Shelf.of(places)
        return clear_of_shelf(places, self._shelf) - (set(covered) - seen)

    def _part(self, covered: Collection[int], detections: Detections, stamp_ns: int) -> list[Track]:
        """Every track, once what stands before a covered one has a track of its own, and one that is hidden in part has
        its own box."""
        before = {i for i in covered if self._distances.stands_before(i, self._measured.get(i))}
        self._tracker.part(before, detections, stamp_ns)
        return self._tracker.keep(set(covered) - self._clear, detections)

    def _shown(self, tracks: Sequence[Track], covered: set[int], stamp_ns: int) -> list[Track]:
        limit_ns = self.settings.coast_s * 1e9
        return [
            track
            for track in tracks
            if track.confirmed
            and (track.detection is not None or stamp_ns - track.last_seen_ns <= limit_ns or track.track_id in covered)
        ]

    def _look(self, frame: Frame, tracks: Sequence[Track]) -> None:
        """Have the tracks that deserve it embedded, and learn what has been seen by now."""
        # Who waited for the products has time to learn what they are, too; and of a pack that was just taken nothing is
        # known any more, which must not be told as if it were another.
        wait = self._detecting.waited or self._taken
        self._learn(wait)
        if self._looking.idle:
            size = (frame.image.shape[1], frame.image.shape[0])
            visible = [track for track in tracks if track.confirmed and track.detection is not None]
            settings = self.settings.evidence
            looks = choose_looks(visible, self._evidence, self._candidates, frame.stamp_ns, size, settings, self._clear)
            if looks:
                self._looking.begin(frame, looks)
        self._learn(wait)

    def _learn(self, wait: bool) -> None:
        for seen in self._looking.take(wait):
            track_id = seen.track.track_id
            weight = look_weight(seen.track, seen.image_size)
            evidence = self._evidence.get(track_id)
            if evidence is None:
                evidence = Evidence(np.zeros_like(seen.embedding), 0, seen.track.box, False)
                self._evidence[track_id] = evidence
            same = evidence.add(seen.embedding, weight, self.settings.evidence)
            if not same and self.second_looks is not None:
                self.second_looks.drop(track_id)
            evidence.looked_ns, evidence.looked_box = seen.stamp_ns, seen.track.box
            evidence.cut_off = touches_border(seen.track.box, seen.image_size)

    def _products(self, frame: Frame, shown: Sequence[Track]) -> list[TrackedProduct]:
        """What is published of each track, with its best catalogue entry."""
        if not shown:
            return []
        similarities, ids = self._index.best_product(self._embeddings(shown))
        camera = self._camera(frame)
        positions = [self._position(track, frame, camera) for track in shown]
        return [
            TrackedProduct(
                track_id=track.track_id,
                box=track.box,
                score=track.score,
                product_id=product_id,
                product_name=self._names.get(product_id, ""),
                similarity=float(similarity) if product_id else 0.0,
                bearing=camera.bearing(float(track.box[0] + track.box[2]) / 2, float(track.box[1] + track.box[3]) / 2),
                position=position,
                size=None if position is None else size_at(track.box, float(position.xyz[2]), camera),
            )
            for track, similarity, product_id, position in zip(shown, similarities, ids, positions, strict=True)
        ]

    def _position(self, track: Track, frame: Frame, camera: CameraModel) -> Position | None:
        """Where a product is; while it is covered, at the distance that it had."""
        if frame.depth is None:
            return None
        if self._distances.covered(track.track_id, frame.stamp_ns):
            distance = self._distances.distance(track.track_id)
            return None if distance is None else Position(*position_at(track.box, distance, camera))
        measured = self._measured.get(track.track_id)
        if measured is None:
            return None
        return Position(*position_at(track.box, measured.distance, camera, measured.spread))

    def _learn_sizes(
        self, shown: Sequence[Track], products: Sequence[TrackedProduct], covered: set[int], image_size: tuple[int, int]
    ) -> None:
        """Take in the sizes of what stands on the shelf and is seen whole; nothing of a pack in the hand."""
        standing = {track.track_id for track in shown} - self._clear
        measured = {
            track.track_id: product.size
            for track, product in zip(shown, products, strict=True)
            if product.size is not None
            and track.detection is not None
            and track.track_id in standing - covered
            and not touches_border(track.box, image_size)
        }
        self._sizes.learn(measured, standing)

    def _embeddings(self, tracks: Sequence[Track]) -> FloatArray:
        """T×D; zero rows for tracks that have not been looked at, which are like nothing."""
        rows = np.zeros((len(tracks), self.encoder.dimensions), np.float32)
        for row, track in enumerate(tracks):
            if (evidence := self._evidence.get(track.track_id)) is not None:
                rows[row] = evidence.embedding
        return rows

    def _camera(self, frame: Frame) -> CameraModel:
        height, width = frame.image.shape[:2]
        if frame.camera is None:
            return CameraModel.from_field_of_view(width, height, self.settings.field_of_view_degrees)
        return frame.camera.scaled(width, height)

    def _sight_target(
        self, frame: Frame, shown: Sequence[Track], products: Sequence[TrackedProduct], motion: Affine
    ) -> TargetSighting | None:
        target = self._target
        if target is None:
            return None
        known = [row for row, track in enumerate(shown) if track.track_id in self._evidence]
        track_ids = [shown[row].track_id for row in known]
        standing = self._standing([products[row] for row in known])
        match = self._match(target, [shown[row] for row in known], standing, frame)
        self._candidates = {
            track_id
            for track_id, probability in zip(track_ids, match.probabilities, strict=True)
            if probability >= self.matcher.thresholds.present
        }
        size = (frame.image.shape[1], frame.image.shape[0])
        whole = bool(shown) and len(known) >= self.settings.whole_view * len(shown)
        decision = self._watch.update(match, track_ids, whole, frame.stamp_ns, motion, size)
        best = None if match.best is None or decision is Decision.LOST else products[known[match.best]]
        # One that is merely not sure enough has no rival.
        runner_up = None if decision is Decision.AMBIGUOUS and not match.rivalled else match.runner_up
        return TargetSighting(
            stamp_ns=frame.stamp_ns,
            frame_id=frame.frame_id,
            target_id=target.target_id,
            target_name=target.name,
            decision=decision,
            probability=0.0 if match.best is None else float(match.probabilities[match.best]),
            product=best,
            runner_up=None if runner_up is None else products[known[runner_up]],
            runner_up_probability=0.0 if runner_up is None else float(match.probabilities[runner_up]),
            verified=Verified.UNKNOWN if best is None else self._verified(best, frame),
            held=self._held([products[row] for row in known], match, frame),
        )

    def _verified(self, product: TrackedProduct, frame: Frame) -> Verified:
        """What second looks say of a product by now."""
        if self.second_looks is None:
            return Verified.UNKNOWN
        return self.second_looks.verified(product.track_id, frame.stamp_ns)

    def _held(self, products: Sequence[TrackedProduct], match: Match, frame: Frame) -> HeldPack | None:
        """The likeliest of what stands clear of the shelf; ``products`` are the rows of the match."""
        clear = [row for row, product in enumerate(products) if product.track_id in self._clear]
        if not clear:
            return None
        row = max(clear, key=lambda row: float(match.probabilities[row]))
        return HeldPack(products[row], float(match.probabilities[row]), self._verified(products[row], frame))

    def _standing(self, products: Sequence[TrackedProduct]) -> Standing:
        levels = [math.nan if product.position is None else product.position.xyz[1] for product in products]
        return Standing(self._sizes.of([product.track_id for product in products]), np.array(levels, np.float32))

    def _match(self, target: Target, tracks: Sequence[Track], standing: Standing, frame: Frame) -> Match:
        embeddings = self._embeddings(tracks)
        chosen = next((row for row, track in enumerate(tracks) if track.track_id == self._watch.chosen), None)
        similarity = reference_similarity(embeddings, target.references)
        other, rivals = self._index.best_product(embeddings, without=target.product_id)
        seen = self._verification([track.track_id for track in tracks], rivals)
        references = target.references if len(target.references) > 1 else None
        match = self.matcher.decide(embeddings, similarity, other, chosen, seen, references, standing)
        self._look_twice(target, tracks, match, embeddings, frame)
        return match

    def _verification(self, track_ids: Sequence[int], rivals: Sequence[str]) -> Verification | None:
        """What second looks have said by now. A choice that one of them refutes is given up, not lost from view."""
        looks = self.second_looks
        if looks is None:
            return None
        looks.collect(self._evidence)
        if self._watch.chosen is not None and looks.refuted(self._watch.chosen):
            self._watch.give_up_choice()
        return looks.verification(track_ids, rivals)

    def _look_twice(
        self, target: Target, tracks: Sequence[Track], match: Match, embeddings: FloatArray, frame: Frame
    ) -> None:
        """Have a product that wants it looked at, when the worker is free: what stands clear of the shelf, then the
        likeliest; what one look alone refuted is looked at again."""
        looks = self.second_looks
        if looks is None or not target.pictures or not looks.worker.idle:
            return
        likely = match.ranked(self.matcher.thresholds.present)
        unlikely = set(range(len(tracks))).difference(likely)
        likely += [row for row in sorted(unlikely) if looks.has_to_recheck(tracks[row].track_id)]
        for row in sorted(likely, key=lambda row: tracks[row].track_id not in self._clear):
            track = tracks[row]
            if track.track_id in self._hidden:
                # A picture of the hand before a product would refute the product.
                continue
            held = track.track_id in self._clear
            crop = crop_box(frame.image, track.box) if track.detection is not None else None
            if crop is not None and looks.wants(track.track_id, max(crop.shape[:2]), frame.stamp_ns, held):
                rivals = self.matcher.rivals(self._index.best_products(embeddings[row], RIVALS, target.product_id))
                # The box about a pack in the hand often ends where the fingers, or a plain part of its front, begin.
                around = Surroundings.of(frame.image, track.box) if held else None
                looks.ask(track.track_id, crop, target.pictures, rivals, frame.stamp_ns, around)
                return


def _is_small(motion: Affine, shape: tuple[int, ...]) -> bool:
    """Whether the middle of the picture (``shape`` H×W×…) stays nearly where it was."""
    size = np.array([shape[1], shape[0]])
    moved = motion[:, :2] @ (size / 2) + motion[:, 2] - size / 2
    return bool((np.abs(moved) < _SMALL * size).all())


def _depths(track: Track, frame: Frame) -> Measured | None:
    """Metres to what is seen in a box of the colour image; None without usable depth. What hides a part of a product
    may be outside of the box that was detected, which then ends where it begins."""
    if frame.depth is None or frame.depth.size == 0:
        return None
    box = _on_depth(track.box, frame)
    middle, front = box_depth(box, frame.depth), front_depth(box, frame.depth)
    if middle is None or front is None:
        return None
    if track.whole is not None and _ends_early(track.box, track.whole):
        hiding = front_depth(_on_depth(track.whole, frame), frame.depth)
        front = front if hiding is None else min(front, hiding)
    height = None if track.detection is None else float(track.box[3] - track.box[1])
    return Measured(middle[0], front, middle[1], height)


def _ends_early(box: BoxArray, whole: BoxArray) -> bool:
    """Whether a box (4,) leaves out some of the whole."""
    slack = _SLACK * float((whole[2:] - whole[:2]).max())
    return bool((box[:2] > whole[:2] + slack).any() or (box[2:] < whole[2:] - slack).any())


def _on_depth(box: BoxArray, frame: Frame) -> BoxArray:
    """A box of the colour image in pixels of the aligned depth image, which may be smaller."""
    assert frame.depth is not None
    height, width = frame.depth.shape[:2]
    scale = np.array([width / frame.image.shape[1], height / frame.image.shape[0]] * 2, np.float32)
    return np.asarray(box * scale, np.float32)


@contextmanager
def _timed(timings: dict[str, float], stage: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[stage] = (time.perf_counter() - started) * 1e3
