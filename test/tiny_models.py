"""Small real ONNX models with cards: a finder of coloured rectangles on grey, and a pooled-colour encoder.

They let every part of the runtime run for real, quickly, and whatever weights are shipped.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelfhelp_ros.inference.card import (
    METADATA_KEY,
    Calibration,
    DetectionCard,
    EmbeddingCard,
    InputCard,
    ModelCard,
    card_path,
    file_sha256,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
STRIDE = 4
MAX_DETECTIONS = 64
GRID = 4
OPSET = 17


def write_models(folder: Path, dynamic: bool = False, side: int = 640) -> Path:
    """Write detector.onnx and encoder.onnx with their cards into ``folder``; the detector takes ``side`` pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    save(rectangle_finder(side), detector_card(dynamic, side), folder / "detector.onnx")
    save(colour_encoder(), encoder_card(), folder / "encoder.onnx")
    return folder


def save(graph: onnx.GraphProto, card: ModelCard, path: Path) -> None:
    """Write a model with its card in the metadata and beside it."""
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    card_path(path).write_text(dataclasses.replace(card, sha256=file_sha256(path)).to_json(), encoding="utf-8")


def detector_card(dynamic: bool = False, side: int = 640) -> ModelCard:
    return ModelCard(
        task="detection",
        name="rectangle finder",
        version="1",
        input=InputCard("images", side, side, "letterbox", MEAN, STD, dynamic=dynamic, multiple_of=32),
        detection=DetectionCard("boxes", "scores", score_threshold=0.3, nms_iou=0.5, max_detections=MAX_DETECTIONS),
    )


def encoder_card() -> ModelCard:
    return ModelCard(
        task="embedding",
        name="pooled colours",
        version="1",
        input=InputCard("crops", 64, 64, "squash", MEAN, STD),
        embedding=EmbeddingCard("embeddings", 3 * GRID * GRID),
        calibration=Calibration(
            {"similarity": 40.0}, -36.0, {"found": 0.7, "present": 0.3, "ambiguous_margin": 0.15}, "drawn rectangles"
        ),
    )


class _Graph:
    """Builds a graph node by node."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: object) -> str:
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def pixels(self, tensor: str) -> str:
        """The normalised tensor as pixel values 0..1 again, so that a wrong normalisation would show."""
        scaled = self.add("Mul", tensor, self.constant(np.reshape(STD, (1, 3, 1, 1))))
        return self.add("Add", scaled, self.constant(np.reshape(MEAN, (1, 3, 1, 1))))

    def channels(self, tensor: str, start: int, end: int) -> str:
        bounds = [self.constant([place], np.int64) for place in (start, end, 1)]
        return self.add("Slice", tensor, *bounds)


def rectangle_finder(side: int) -> onnx.GraphProto:
    """Every cell of a coloured region learns the region's edges and colour from its neighbours; the first tells."""
    g = _Graph()
    cells = g.add("AveragePool", g.pixels("images"), kernel_shape=[STRIDE] * 2, strides=[STRIDE] * 2)
    colour = g.add(
        "Sub", g.add("ReduceMax", cells, axes=[1], keepdims=1), g.add("ReduceMin", cells, axes=[1], keepdims=1)
    )
    mask = g.add("Greater", colour, g.constant(0.15))
    ones = g.add("Add", g.add("Mul", colour, g.constant(0.0)), g.constant(1.0))
    x, y = (g.add("CumSum", ones, g.constant(axis, np.int64)) for axis in (3, 2))
    nothing = g.constant(-1e7)
    first = g.add("Neg", g.add("Add", g.add("Mul", y, g.constant(1000.0)), x))
    known = g.add("Concat", g.add("Neg", x), g.add("Neg", y), x, y, first, colour, axis=1)
    known = g.add("Where", mask, known, nothing)
    for _ in range(side // STRIDE):
        spread = g.add("MaxPool", known, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        known = g.add("Where", mask, spread, nothing)
    # Counting begins at 1: the first cell covers pixels 0..STRIDE.
    factor = g.constant(np.reshape([-STRIDE, -STRIDE, STRIDE, STRIDE], (1, 4, 1, 1)))
    offset = g.constant(np.reshape([-STRIDE, -STRIDE, 0, 0], (1, 4, 1, 1)))
    boxes = g.add("Add", g.add("Mul", g.channels(known, 0, 4), factor), offset)
    told = g.add("Equal", first, g.channels(known, 4, 5))
    sureness = g.add("Min", g.constant(0.99), g.add("Add", g.channels(known, 5, 6), g.constant(0.1)))
    score = g.add("Where", told, sureness, g.constant(0.0))
    flat_scores = g.add("Reshape", score, g.constant([0, -1], np.int64))
    flat_boxes = g.add("Transpose", g.add("Reshape", boxes, g.constant([0, 4, -1], np.int64)), perm=[0, 2, 1])
    g.nodes.append(helper.make_node("TopK", [flat_scores, g.constant([MAX_DETECTIONS], np.int64)], ["scores", "rows"]))
    rows = g.add("Expand", g.add("Unsqueeze", "rows", g.constant([2], np.int64)), g.constant([1, 1, 4], np.int64))
    g.add("GatherElements", flat_boxes, rows, name="boxes", axis=1)
    return helper.make_graph(
        g.nodes,
        "rectangle_finder",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", 3, "height", "width"])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["n", MAX_DETECTIONS, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", MAX_DETECTIONS]),
        ],
        g.constants,
    )


def colour_encoder() -> onnx.GraphProto:
    """Mean colours of a 4×4 grid, centred, scaled to length one."""
    g = _Graph()
    kernel = 64 // GRID
    pooled = g.add("AveragePool", g.pixels("crops"), kernel_shape=[kernel] * 2, strides=[kernel] * 2)
    centred = g.add("Sub", pooled, g.constant(0.45))
    flat = g.add("Reshape", centred, g.constant([0, 3 * GRID * GRID], np.int64))
    g.add("LpNormalization", flat, name="embeddings", axis=1, p=2)
    return helper.make_graph(
        g.nodes,
        "colour_encoder",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", 3 * GRID * GRID])],
        g.constants,
    )
