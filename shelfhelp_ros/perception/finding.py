"""One product in one picture: what `shelfhelp find` does, without tracks or time."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import RIVALS, Match, Matcher, Verification, reference_similarity
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder, crop_box
from shelfhelp_ros.perception.second_look import Answer, Question, References, answer
from shelfhelp_ros.perception.target import Target
from shelfhelp_ros.perception.verifier import Verifier, View
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray


@dataclass(frozen=True)
class Scene:
    """A picture once looked at, ready to be asked for any product: its detections and their N×D embeddings."""

    detections: Detections
    embeddings: FloatArray

    @classmethod
    def look(cls, image: ImageArray, detector: Detector, encoder: Encoder, tiled: float = 1.0) -> Scene:
        """Detect and embed every product of an H×W×3 BGR picture; ``tiled`` as in ``Detector.detect``."""
        detections = detector.detect(image, tiled=tiled)
        return cls(detections, encoder.embed_boxes(image, detections.boxes))


def find_product(scene: Scene, target: Target, matcher: Matcher, index: Index | None = None) -> Match:
    """The verdict on one product over the detections of a scene; ``index`` brings the rest of the catalogue in."""
    similarity = reference_similarity(scene.embeddings, target.references)
    other = np.full(len(similarity), -1.0, np.float32)
    if index is not None:
        other, _ = index.best_product(scene.embeddings, without=target.product_id)
    return matcher.decide(scene.embeddings, similarity, other)


@dataclass(frozen=True)
class VerifiedMatch:
    """A match after a second look at the likeliest detections; ``answers`` by row."""

    match: Match
    answers: dict[int, Answer] = field(default_factory=dict)


class SecondSight:
    """Finding with a second look: the likeliest detections are laid beside the references before one is named.

    ``references`` also knows those of the catalogue, for products that resemble the target. ``most``: how many
    detections are looked at.
    """

    def __init__(self, verifier: Verifier, references: References, most: int = 4) -> None:
        self.verifier = verifier
        self.most = most
        self._references = references

    def find(
        self,
        scene: Scene,
        views: dict[int, View],
        target: Target,
        matcher: Matcher,
        index: Index | None = None,
    ) -> VerifiedMatch:
        """As `find_product`; ``views`` of the scene's detections by row (see `views_of`).

        A target without pictures gets no second look.
        """
        similarity = reference_similarity(scene.embeddings, target.references)
        other = np.full(len(similarity), -1.0, np.float32)
        if index is not None:
            other, _ = index.best_product(scene.embeddings, without=target.product_id)
        first = matcher.decide(scene.embeddings, similarity, other)
        answers: dict[int, Answer] = {}
        seen = Verification.none(len(similarity))
        for row in first.ranked(matcher.thresholds.present)[: self.most] if target.pictures else ():
            if (view := views.get(row)) is None:
                continue
            alike = [] if index is None else index.best_products(scene.embeddings[row], RIVALS, target.product_id)
            question = Question(target, row, view.image, target.pictures, matcher.rivals(alike))
            answers[row] = said = answer(self.verifier, self._references, question, view)
            seen.target[row] = np.inf if said.target.log_odds is None else said.target.log_odds
            seen.between[row] = said.between or 0.0
            if said.rival is not None and said.rival.log_odds is not None:
                seen.other[row] = said.rival.log_odds
        return VerifiedMatch(matcher.decide(scene.embeddings, similarity, other, verification=seen), answers)


def views_of(image: ImageArray, scene: Scene) -> dict[int, View]:
    """The detections of a picture, each ready for a second look, by row."""
    crops = ((row, crop_box(image, box)) for row, box in enumerate(scene.detections.boxes))
    return {row: View(crop) for row, crop in crops if crop is not None}
