"""A checkpoint of a detector, the light one or RetinaNet, as ONNX with its card."""

from __future__ import annotations

import pickle
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.export import Dim

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.inference.card import DetectionCard, InputCard, ModelCard
from shelfhelp_training.export import Outputs, export_model
from shelfhelp_training.methods.box_training import METHOD, BoxTraining
from shelfhelp_training.methods.detector import DetectorTraining
from shelfhelp_training.methods.retinanet import RetinaNetTraining
from shelfhelp_training.record import read_record

INPUT_SIZE = 640
MAX_DETECTIONS = 300
# Differences are in scores (0..1) and in 1 − IoU of the boxes.
TOLERANCE = 0.01
MULTIPLE = 32


def export_detector(
    checkpoint: Path, output: Path, name: str | None, version: str, score_threshold: float, nms_iou: float
) -> ModelCard:
    """Export the (averaged) weights of a checkpoint of either detector; returns the card that was written."""
    training = load_detector(checkpoint)
    card = ModelCard(
        task="detection",
        name=name or training.network_name,
        version=version,
        input=InputCard(
            name="images",
            height=INPUT_SIZE,
            width=INPUT_SIZE,
            resize="letterbox",
            mean=training.mean,
            std=training.std,
            dynamic=True,
            multiple_of=MULTIPLE,
        ),
        detection=DetectionCard(
            boxes="boxes",
            scores="scores",
            score_threshold=score_threshold,
            nms_iou=nms_iou,
            max_detections=MAX_DETECTIONS,
        ),
        training=read_record(checkpoint),
    )
    height, width = (Dim(axis, min=1, max=128) * MULTIPLE for axis in ("rows", "columns"))
    shapes = {0: Dim("batch", min=1, max=64), 2: height, 3: width}
    inputs = [_drawn_shelves(training, *size) for size in ((2, 480, 640), (1, 640, 640), (1, 640, 96))]
    return export_model(training.exported(), card, output, inputs, shapes, _difference, TOLERANCE)


def load_detector(checkpoint: Path) -> BoxTraining:
    """The module of a checkpoint, ready to detect. Raises ShelfHelpError when the file is no such checkpoint."""
    try:
        method = torch.load(checkpoint, map_location="cpu", weights_only=False).get(METHOD, DetectorTraining.method)
        training: BoxTraining
        if method == RetinaNetTraining.method:
            training = RetinaNetTraining.load_from_checkpoint(
                checkpoint, map_location="cpu", weights="none", start_from=None, weights_only=False
            )
        else:
            training = DetectorTraining.load_from_checkpoint(
                checkpoint, map_location="cpu", pretrained=False, start_from=None, weights_only=False
            )
    except (OSError, AttributeError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise ShelfHelpError(f"{checkpoint} is not a checkpoint of a detector: {error}") from error
    return training.eval()


def _drawn_shelves(training: BoxTraining, count: int, height: int, width: int) -> Tensor:
    """N×3×H×W normalised pictures with rows of coloured rectangles: something to find, so that boxes are compared."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(count):
        picture = rng.integers(0, 60, (height, width, 3)).astype(np.uint8)
        for top in range(10, height - 90, 110):
            for left in range(6, width - 40, 48):
                colour = tuple(int(v) for v in rng.integers(40, 255, 3))
                cv2.rectangle(picture, (left, top), (left + 38, top + 80), colour, -1)
        pictures.append(picture)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v)[None, :, None, None] for v in (training.mean, training.std))
    return ((pixels - mean) / std).contiguous()


def _difference(expected: Outputs, found: Outputs) -> float:
    """Largest difference of the sorted scores, and of boxes as 1 − IoU.

    Neighbours in rank swap when their scores are as good as equal, so a box looks for its partner among equals.
    """
    scores = float(np.abs(expected["scores"] - found["scores"]).max())
    boxes = 0.0
    for one, other, score in zip(expected["boxes"], found["boxes"], expected["scores"], strict=True):
        near = np.abs(score[:, None] - score[None, :]) <= TOLERANCE
        # The last ranks may have been cut off on one side only.
        safe = score > score[-1] + TOLERANCE
        overlap = np.where(near, iou(one, other), 0).max(axis=1)[safe]
        boxes = max(boxes, float(1 - overlap.min(initial=1.0)))
    return max(scores, boxes)
