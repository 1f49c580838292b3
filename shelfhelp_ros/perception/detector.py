"""Every product in a picture, whatever product it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.geometry import BoxArray, overlap_of_smaller
from shelfhelp_ros.images import require_image
from shelfhelp_ros.inference.card import DetectionCard, ModelCard
from shelfhelp_ros.inference.models import load_model
from shelfhelp_ros.inference.preprocessing import letterbox_for, to_tensor
from shelfhelp_ros.inference.session import Session
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray

# Detectors know things of some range of sizes. A pack in front of the camera is larger than those on a shelf two metres
# away, so the picture is looked at a second time at a quarter of the size, for a sixteenth of the first look's work.
ZOOMS = (1.0, 0.25)
# Pixels of the network's input: what is smaller in the second look is seen better in the first.
LEAST_SIDE = 45
# Share of the smaller box inside the larger one from where on both cannot be whole products.
INSIDE = 0.7


class Detector:
    """A class-agnostic product detector: one picture in, boxes in its pixels out."""

    def __init__(self, card: ModelCard, session: Session) -> None:
        if card.detection is None:
            raise ValueError("the card describes no detector")
        self.card = card
        self.session = session
        self._outputs: DetectionCard = card.detection

    @classmethod
    def load(cls, folder: Path | None = None, backend: str = "auto", threads: int | None = None) -> Detector:
        """The detector in a model folder (None: the default one). Raises ShelfHelpError when it cannot be used."""
        model = load_model(folder, "detector", "detection", backend, threads)
        return cls(model.card, model.session)

    def detect(
        self, image: ImageArray, score_threshold: float | None = None, zooms: Sequence[float] = ZOOMS
    ) -> Detections:
        """Products in an H×W×3 uint8 BGR picture; without ``score_threshold`` that of the card holds.

        The picture is looked at once for each of ``zooms`` (1 is the card's input size). The first look sees
        everything, the smaller ones only what is large in them.
        """
        require_image(image)
        threshold = self._outputs.score_threshold if score_threshold is None else score_threshold
        looks = [self._look(image, zoom, threshold, 0 if zoom == zooms[0] else LEAST_SIDE) for zoom in zooms]
        boxes = np.concatenate([boxes for boxes, _ in looks])
        scores = np.concatenate([scores for _, scores in looks])
        look = np.repeat(np.arange(len(looks)), [len(scores) for _, scores in looks])
        kept = suppress_across(boxes, scores, look, self._outputs.max_detections)
        return Detections(boxes[kept], scores[kept])

    def _look(self, image: ImageArray, zoom: float, threshold: float, least_side: float) -> tuple[BoxArray, FloatArray]:
        """Boxes and scores of one pass, those whose longer side has ``least_side`` pixels in the network's input."""
        height, width = image.shape[:2]
        letterbox = letterbox_for(self.card.input, width, height, zoom)
        tensor = to_tensor(self.card.input, [letterbox.apply(image, self.card.input.pad_value)])
        outputs = self.session.run({self.card.input.name: tensor})
        boxes = np.asarray(outputs[self._outputs.boxes][0], np.float32).reshape(-1, 4)
        scores = np.asarray(outputs[self._outputs.scores][0], np.float32).reshape(-1)
        longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
        likely = (scores >= threshold) & (longer >= least_side) & np.isfinite(boxes).all(axis=1)
        boxes, scores = letterbox.to_source(boxes[likely]), scores[likely]
        visible = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) >= 1
        boxes, scores = boxes[visible], scores[visible]
        kept = suppress(boxes, scores, self._outputs.nms_iou, self._outputs.max_detections)
        return boxes[kept], scores[kept]


def suppress(boxes: BoxArray, scores: FloatArray, iou_threshold: float, limit: int) -> list[int]:
    """Rows that greedy non-maximum suppression keeps, best score first, at most ``limit`` of them."""
    if not len(boxes):
        return []
    corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).astype(np.float64)
    kept = cv2.dnn.NMSBoxes(corners_and_sizes.tolist(), scores.tolist(), 0.0, iou_threshold)
    return [int(row) for row in np.asarray(kept).reshape(-1)[:limit]]


def suppress_across(boxes: BoxArray, scores: FloatArray, look: npt.NDArray[np.int64], limit: int) -> list[int]:
    """Rows that remain when looks disagree: of two boxes from different looks, one mostly inside the other, the surer.

    So a large pack takes the place of the pictures printed on it, and packs side by side that of a group of them.
    """
    order = np.argsort(-scores, kind="stable")
    conflict = (overlap_of_smaller(boxes, boxes) > INSIDE) & (look[:, None] != look[None, :])
    kept: list[int] = []
    for row in order:
        if not conflict[row, kept].any():
            kept.append(int(row))
    return kept[:limit]
