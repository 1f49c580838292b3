"""The two small networks that run before and after ours on a GPU, as ONNX files that ship with the runtime.

``see.onnx`` makes network input out of a picture: letterbox or squash, normalisation; see
`shelfhelp_ros.inference.views`. ``suppress.onnx`` is non-maximum suppression. Neither has weights. They are written by
``python -m shelfhelp_training.gpu_graphs``, and the tests run them in ONNX Runtime against what the processor does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from shelfhelp_ros.inference.graphs import graph_folder

OPSET = 18
Shape = Sequence[str | int | None]
# Enough for the longest chain of boxes of which each suppresses the next: on a shelf they are 2 or 3 long.
ROUNDS = 16


class _Graph:
    """Builds a graph node by node; names of values are those of the nodes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        name = name or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name, **attributes))
        return name

    def model(self, name: str, inputs: dict[str, tuple[int, Shape]], outputs: dict[str, Shape]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()],
            self.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def see() -> onnx.ModelProto:
    """Picture (H×W×3 uint8 BGR) and spans to N×3×h×w: weights · picture · weightsᵀ, rounded, padded, normalised."""
    g = _Graph()
    pixels = g.add("Cast", "picture", to=TensorProto.FLOAT)
    planes = g.add("Transpose", g.add("MatMul", pixels, g.add("Transpose", "channels", perm=[1, 0])), perm=[2, 0, 1])
    down = _weights(g, "rows", axis=0)
    across = _weights(g, "columns", axis=1)
    batch = g.constant([1], np.int64)
    shorter = g.add("MatMul", g.add("Unsqueeze", down, batch), g.add("Unsqueeze", planes, g.constant([0], np.int64)))
    across_turned = g.add("Unsqueeze", g.add("Transpose", across, perm=[0, 2, 1]), batch)
    resized = g.add("Round", g.add("MatMul", shorter, across_turned))
    shown = g.add("MatMul", _shown(g, "rows"), g.add("Transpose", _shown(g, "columns"), perm=[0, 2, 1]))
    inside = g.add("Greater", g.add("Unsqueeze", shown, batch), g.constant(0.5))
    padded = g.add("Where", inside, resized, "pad")
    g.add("Add", g.add("Mul", padded, "scale"), "shift", name="tensor")
    float32 = TensorProto.FLOAT
    inputs: dict[str, tuple[int, Shape]] = {
        "picture": (TensorProto.UINT8, ["picture_height", "picture_width", 3]),
        "rows": (float32, ["views", "height", 3]),
        "columns": (float32, ["views", "width", 3]),
        "channels": (float32, [3, 3]),
        "scale": (float32, [1, 3, 1, 1]),
        "shift": (float32, [1, 3, 1, 1]),
        "pad": (float32, [1, 1, 1, 1]),
    }
    return g.model("see", inputs, {"tensor": ["views", 3, "height", "width"]})


def _weights(g: _Graph, spans: str, axis: int) -> str:
    """N×L×3 spans as N×L×S weights of the S source pixels along an axis: how much of each pixel lies in the span."""
    start, end, share = (_column(g, spans, number) for number in range(3))
    shape = g.add("Shape", "picture")
    length = g.add("Gather", shape, g.constant(axis, np.int64))
    numbers = g.add("Range", g.constant(0, np.int64), length, g.constant(1, np.int64))
    places = g.add("Cast", numbers, to=TensorProto.FLOAT)
    last = g.add("Min", end, g.add("Add", places, g.constant(1.0)))
    covered = g.add("Relu", g.add("Sub", last, g.add("Max", start, places)))
    return g.add("Mul", covered, share)


def _column(g: _Graph, spans: str, number: int) -> str:
    return g.add("Slice", spans, *(g.constant([value], np.int64) for value in (number, number + 1, 2)))


def _shown(g: _Graph, spans: str) -> str:
    """N×L×1: 1 where a row or column shows the picture, 0 in the padding."""
    return g.add("Cast", g.add("Greater", _column(g, spans, 2), g.constant(0.0)), to=TensorProto.FLOAT)


def suppress(rounds: int = ROUNDS) -> onnx.ModelProto:
    """Boxes (1×K×4) and scores (1×K) to the same scores with those of suppressed boxes set to 0.

    What greedy suppression keeps is a fixed point: a box stays unless a surer one that stays overlaps it too much.
    Iterating from "all stay" reaches it in as many rounds as the longest chain has boxes (Cluster-NMS, Zheng et al.,
    IEEE Trans. Cybernetics 2022). Every round is a product of matrices of fixed size, which a CUDA graph can hold.
    """
    g = _Graph()
    low, high = (g.add("Slice", "window", *(g.constant([v], np.int64) for v in ends)) for ends in ((0, 2), (2, 4)))
    corners = [
        g.add("Min", g.add("Max", _corner(g, first), low), high) for first in (0, 2)
    ]  # K×2 each, cut to the picture
    first, second = (
        [g.add("Unsqueeze", corner, g.constant([axis], np.int64)) for corner in corners] for axis in (1, 0)
    )
    sides = g.add("Relu", g.add("Sub", g.add("Min", first[1], second[1]), g.add("Max", first[0], second[0])))
    shared = _product(g, sides)
    area = _product(g, g.add("Relu", g.add("Sub", corners[1], corners[0])))
    both = g.add("Add", _turned(g, area, 1), _turned(g, area, 0))
    union = g.add("Max", g.add("Sub", both, shared), g.constant(1e-9))
    overlapping = g.add("Greater", g.add("Div", shared, union), "iou")
    row, column = (g.add("Reshape", "scores", g.constant(shape, np.int64)) for shape in ([-1, 1], [1, -1]))
    count = g.add("Gather", g.add("Shape", "scores"), g.constant(1, np.int64))
    numbers = g.add("Range", g.constant(0, np.int64), count, g.constant(1, np.int64))
    places = g.add("Cast", numbers, to=TensorProto.FLOAT)
    earlier = g.add("Less", _turned(g, places, 0), _turned(g, places, 1))
    surer = g.add("Or", g.add("Greater", column, row), g.add("And", g.add("Equal", column, row), earlier))
    against = g.add("Cast", g.add("And", overlapping, surer), to=TensorProto.FLOAT)
    stays = g.add("Add", g.add("Mul", row, g.constant(0.0)), g.constant(1.0))
    for _ in range(rounds):
        stays = g.add("Cast", g.add("Less", g.add("MatMul", against, stays), g.constant(0.5)), to=TensorProto.FLOAT)
    kept = g.add("Mul", row, stays)
    g.add("Reshape", kept, g.constant([1, -1], np.int64), name="kept_scores")
    float32 = TensorProto.FLOAT
    inputs: dict[str, tuple[int, Shape]] = {
        "boxes": (float32, [1, "boxes", 4]),
        "scores": (float32, [1, "boxes"]),
        "window": (float32, [4]),
        "iou": (float32, [1]),
    }
    return g.model("suppress", inputs, {"kept_scores": [1, "boxes"]})


def _corner(g: _Graph, first: int) -> str:
    flat = g.add("Reshape", "boxes", g.constant([-1, 4], np.int64))
    return g.add("Slice", flat, *(g.constant([value], np.int64) for value in (first, first + 2, 1)))


def _turned(g: _Graph, values: str, axis: int) -> str:
    """K values as K×1 (axis 1) or 1×K (axis 0)."""
    return g.add("Unsqueeze", values, g.constant([axis], np.int64))


def _product(g: _Graph, sides: str) -> str:
    """…×2 to …: width times height."""
    return g.add("ReduceProd", sides, g.constant([-1], np.int64), keepdims=0)


def write(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(see(), str(folder / "see.onnx"))
    onnx.save(suppress(), str(folder / "suppress.onnx"))


if __name__ == "__main__":
    write(graph_folder())
