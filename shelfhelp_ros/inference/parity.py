"""Whether an engine computes what ONNX Runtime computes: asked once, when it is built, on drawn pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from shelfhelp_ros.geometry import iou
from shelfhelp_ros.inference.card import DetectionCard, ModelCard
from shelfhelp_ros.inference.engine_cache import RefusedError
from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS
from shelfhelp_ros.inference.preprocessing import fit, letterbox_for, to_tensor
from shelfhelp_ros.inference.session import OnnxSession, Tensor
from shelfhelp_ros.sightings import ImageArray

Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
# Least agreement by precision. Eight bits are rounded in places that differ between ONNX Runtime and TensorRT.
LEAST = {"fp32": 0.999, "fp16": 0.999, "int8": 0.99}


def reference(model: Path, precision: str) -> OnnxSession:
    """What an engine of that precision is held against: a right engine in eight bits does not saturate."""
    return OnnxSession(model, exact=precision == "int8")


def check_parity(card: ModelCard, precision: str, reference: Run, engine: Run) -> float:
    """The least agreement, 0..1, over drawn pictures. Raises RefusedError below what the precision asks for.

    Of an encoder it is the cosine of vectors; of a detector the cosine of its ranked scores, and the mean IoU of the
    boxes it would report with their counterparts.
    """
    agreements = []
    for tensor in trial_inputs(card):
        expected, found = (run({card.input.name: tensor}) for run in (reference, engine))
        agreements.append(agreement(card, expected, found))
    least = float(np.min(agreements))
    wanted = LEAST.get(precision, LEAST["fp16"])
    if not least >= wanted:  # also when it is not a number
        raise RefusedError(
            f"the engine of {card.name} ({precision}) agrees with ONNX Runtime to {least:.5f} only, at least {wanted} "
            "is asked for: it is not used; export another precision (`shelfhelp-export precision`) or use cuda or cpu"
        )
    return least


def agreement(card: ModelCard, expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """How well two runs on the same input agree, at most 1 (to rounding); NaN where one holds no numbers."""
    if card.embedding is not None:
        return float(_cosines(expected[card.embedding.name], found[card.embedding.name]).min())
    assert card.detection is not None
    scores = [np.sort(run[card.detection.scores], axis=1) for run in (expected, found)]
    boxes = [_reported(card.detection, run) for run in (expected, found)]
    return min(float(_cosines(*scores).min()), _mean_overlap(*boxes))


def trial_inputs(card: ModelCard) -> list[Tensor]:
    """Tensors of drawn pictures: shelves for a detector at each zoom, packs for an encoder in each of its batches.

    Of each shape there are two, one after the other: the first run is queued, the second is that of the CUDA graph.
    They differ, as a graph that did nothing would leave what the first run gave.
    """
    rng = np.random.default_rng(7)
    if card.detection is None:
        packs = [fit(card.input, draw_trial(rng, 200, 140, 1)) for _ in range(BATCH_BUCKETS[-1])]
        orders = [to_tensor(card.input, packs), to_tensor(card.input, packs[::-1])]
        return [pictures[:count] for count in BATCH_BUCKETS for pictures in orders]
    shelves = [draw_trial(rng, 480, 640, 24) for _ in range(2)]
    boxes = [letterbox_for(card.input, 640, 480, zoom) for zoom in card.detection.zooms]
    return [to_tensor(card.input, [box.apply(shelf, card.input.pad_value)]) for box in boxes for shelf in shelves]


def draw_trial(rng: np.random.Generator, height: int, width: int, packs: int) -> ImageArray:
    """An H×W×3 BGR picture of coloured packs in rows before something dark, with stripes for print."""
    picture = rng.integers(20, 60, (height, width, 3), np.uint8)
    columns = int(np.ceil(np.sqrt(packs * width / height)))
    rows = -(-packs // columns)
    across, down = width // columns, height // rows
    for number in range(packs):
        left, top = number % columns * across, number // columns * down
        corners = (left + across // 10, top + down // 10), (left + across * 9 // 10, top + down * 9 // 10)
        cv2.rectangle(picture, *corners, rng.integers(60, 256, 3).tolist(), -1)
        for _ in range(4):
            begin, end = (tuple(map(int, rng.integers(*corners))) for _ in range(2))
            cv2.line(picture, begin, end, rng.integers(0, 256, 3).tolist(), max(1, across // 24))
    return picture


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.asarray((first * second).sum(axis=1) / lengths, np.float32)


def _reported(card: DetectionCard, run: Mapping[str, Tensor]) -> Tensor:
    return np.asarray(run[card.boxes][0][run[card.scores][0] >= card.score_threshold], np.float32)


def _mean_overlap(first: Tensor, second: Tensor) -> float:
    """Mean IoU of boxes with their best counterparts, both ways; 1 when neither has any."""
    if not len(first) and not len(second):
        return 1.0
    if not len(first) or not len(second):
        return 0.0
    overlaps = iou(first, second)
    return float(np.concatenate([overlaps.max(axis=1), overlaps.max(axis=0)]).mean())
