"""Every product in a picture, whatever product it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import BoxArray, Letterbox, overlap_of_smaller
from shelfhelp_ros.images import require_image
from shelfhelp_ros.inference.card import DetectionCard, ModelCard
from shelfhelp_ros.inference.models import load_model
from shelfhelp_ros.inference.preprocessing import letterbox_for, see
from shelfhelp_ros.inference.session import Session
from shelfhelp_ros.inference.views import View
from shelfhelp_ros.sightings import Detections, FloatArray, ImageArray

# Left, top, right and bottom in pixels of the picture that is cut into tiles.
Tile = tuple[int, int, int, int]
# Pixels from a tile's border within which a box counts as ending there.
TOUCHING = 4.0


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
        self,
        image: ImageArray,
        score_threshold: float | None = None,
        tiled: float = 1.0,
        zooms: tuple[float, ...] = (),
    ) -> Detections:
        """Products in an H×W×3 uint8 BGR picture; without ``score_threshold`` that of the card holds.

        The picture is looked at once for each of the ``zooms``, usually the card's. The first look sees everything, the
        smaller ones only what is large in them. With ``tiled`` above 1 overlapping tiles follow, each at the input's
        size, of the picture that many times larger than in the first look (at most at its own resolution): for products
        that are small in a large photo, at the cost of about ``tiled``² looks or more.

        Raises ShelfHelpError for what is no such picture, and for ``tiled`` below 1.
        """
        require_image(image)
        if not tiled >= 1:
            raise ShelfHelpError(f"tiles can show a picture 1 or more times as large, not {tiled:g} times")
        threshold = self._outputs.score_threshold if score_threshold is None else score_threshold
        first, *smaller = zooms or self._outputs.zooms
        looks = [self._look(image, first, threshold)]
        looks += [self._look(image, zoom, threshold, self._outputs.least_side) for zoom in smaller]
        looks += self._look_at_tiles(image, tiled, threshold)
        boxes = np.concatenate([boxes for boxes, _ in looks])
        scores = np.concatenate([scores for _, scores in looks])
        look = np.repeat(np.arange(len(looks)), [len(scores) for _, scores in looks])
        kept = suppress_across(boxes, scores, look, self._outputs.inside, self._outputs.max_detections)
        return Detections(boxes[kept], scores[kept])

    def _look_at_tiles(self, image: ImageArray, times: float, threshold: float) -> list[tuple[BoxArray, FloatArray]]:
        """One look a tile of what the tile shows whole; none where the first look already shows as much."""
        height, width = image.shape[:2]
        card = self.card.input
        scale = min(1.0, times * min(card.width / width, card.height / height))
        enlarged = Letterbox(width, height, max(1, round(width * scale)), max(1, round(height * scale)))
        across, down = enlarged.target_width, enlarged.target_height
        if across <= card.width and down <= card.height:
            return []
        picture = enlarged.apply(image, card.pad_value)
        looks = []
        for top, bottom in spans(down, card.height, self._outputs.tile_overlap):
            for left, right in spans(across, card.width, self._outputs.tile_overlap):
                tile = (left, top, right, bottom)
                boxes, scores = self._look(np.ascontiguousarray(picture[top:bottom, left:right]), 1.0, threshold)
                boxes = boxes + np.array([left, top, left, top], np.float32)
                whole = ~cut_off(boxes, tile, (0, 0, across, down))
                looks.append((enlarged.to_source(boxes[whole]), scores[whole]))
        return looks

    def _look(
        self, image: ImageArray, zoom: float, threshold: float, least_side: float = 0
    ) -> tuple[BoxArray, FloatArray]:
        """Boxes and scores of one pass, those whose longer side has ``least_side`` pixels in the network's input."""
        height, width = image.shape[:2]
        letterbox = letterbox_for(self.card.input, width, height, zoom)
        outputs = see(self.session, self.card.input, image, [View.whole(letterbox)])
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


def suppress_across(
    boxes: BoxArray, scores: FloatArray, look: npt.NDArray[np.int64], inside: float, limit: int
) -> list[int]:
    """Rows that remain when looks disagree, best score first, at most ``limit``.

    Of two boxes from different looks that share more than ``inside`` of the smaller one, the surer remains. So a large
    pack takes the place of the pictures printed on it, and packs side by side that of a group of them.
    """
    disagree = (overlap_of_smaller(boxes, boxes) > inside) & (look[:, None] != look[None, :])
    kept: list[int] = []
    beaten = np.zeros(len(boxes), bool)
    for row in np.argsort(-scores, kind="stable"):
        if beaten[row]:
            continue
        kept.append(int(row))
        beaten |= disagree[row]
        if len(kept) == limit:
            break
    return kept


def spans(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    """Starts and ends of stretches of ``side`` pixels, evenly over ``length``, that share at least ``overlap``."""
    if length <= side:
        return [(0, length)]
    count = 1 + int(np.ceil((length - side) / max(1.0, side * (1 - overlap))))
    starts = np.linspace(0, length - side, count).round().astype(int)
    return [(int(start), int(start) + side) for start in starts]


def cut_off(boxes: BoxArray, tile: Tile, picture: Tile) -> npt.NDArray[np.bool_]:
    """Which boxes (N×4) end at a border of the tile that is none of the picture: their products go on beyond it."""
    edges, borders = np.array(tile, np.float32), np.array(picture, np.float32)
    return np.asarray(((np.abs(boxes - edges) < TOUCHING) & (edges != borders)).any(axis=1))
