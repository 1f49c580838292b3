"""One product in one picture: what `shelfhelp find` does, without tracks or time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shelfhelp_ros.catalogue.index import Index
from shelfhelp_ros.catalogue.matching import Match, Matcher, reference_similarity
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.target import Target
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray


@dataclass(frozen=True)
class Scene:
    """A picture once looked at, ready to be asked for any product: its detections and their N×D embeddings."""

    detections: Detections
    embeddings: FloatArray

    @classmethod
    def look(cls, image: ImageArray, detector: Detector, encoder: Encoder) -> Scene:
        """Detect and embed every product of an H×W×3 BGR picture."""
        detections = detector.detect(image)
        return cls(detections, encoder.embed_boxes(image, detections.boxes))


def find_product(scene: Scene, target: Target, matcher: Matcher, index: Index | None = None) -> Match:
    """The verdict on one product over the detections of a scene; ``index`` brings the rest of the catalogue in."""
    similarity = reference_similarity(scene.embeddings, target.references)
    other = np.full(len(similarity), -1.0, np.float32)
    if index is not None:
        other, _ = index.best_product(scene.embeddings, without=target.product_id)
    return matcher.decide(scene.embeddings, similarity, other)
