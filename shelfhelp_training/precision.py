"""An exported network in fewer bits: half precision, or eight bits, each with its measured loss.

Half precision is strongly typed: every tensor says its own type, which TensorRT 10 and 11 both take. Eight bits are
Q/DQ pairs around convolutions, symmetric and per channel, calibrated on pictures (Jacob et al., CVPR 2018).
What comes after the last convolution (pooling, projection, boxes from distances) stays in 32 bits: it costs no time,
and a box 600 pixels from the corner is known to half a pixel in 16 bits.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import iou
from shelfhelp_ros.inference.card import ModelCard, load_card
from shelfhelp_ros.inference.preprocessing import fit, letterbox_for, to_tensor
from shelfhelp_ros.inference.session import OnnxSession, Session
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder, crop_box
from shelfhelp_ros.sightings import FloatArray, ImageArray
from shelfhelp_training.export import write_card

Precision = Literal["fp16", "int8"]
# Of a crop's vectors before and after. Below it a half-precision encoder is refused: something went wrong.
LEAST_COSINE = 0.999
MATCH_IOU = 0.5


@dataclass(frozen=True)
class Loss:
    """What fewer bits cost.

    ``least`` and ``mean`` are of the cosine of crops' vectors (encoder) or of the IoU of boxes with their counterparts,
    0 without one (detector); ``milliseconds`` are the median for a picture or crop, in ONNX Runtime on the CPU.
    """

    pictures: int
    least: float
    mean: float
    milliseconds_before: float
    milliseconds: float


def reduce_model(model: Path, output: Path, precision: Precision, calibrate_on: Sequence[ImageArray]) -> ModelCard:
    """Write ``model`` in fewer bits to ``output``, with its card; ``calibrate_on`` are H×W×3 BGR pictures as it gets.

    Raises ShelfHelpError when there is no picture to calibrate eight bits on.
    """
    card = load_card(model)
    proto = with_float_weights(onnx.load(str(model)))
    kept = after_last_convolution(proto.graph)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        draft = Path(folder) / output.name
        if precision == "fp16":
            halved = convert_float_to_float16(proto, keep_io_types=True, node_block_list=kept)
            onnx.save(without_round_trips(halved), str(draft))
        else:
            _to_eight_bits(proto, draft, card, kept, calibrate_on)
        draft.replace(output)
    # Made from the ONNX file: the figures of the 32-bit network are not this one's.
    training = {**card.training, "precision": precision}
    return write_card(
        output, dataclasses.replace(card, version=f"{card.version}-{precision}", training=training, figures=())
    )


def with_float_weights(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without the Casts behind weights that are stored in 16 bits (see `half_weights`)."""
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    nodes = []
    for number, node in enumerate(proto.graph.node):
        if node.op_type == "Cast" and node.input[0] in stored:
            tensor = stored[node.input[0]]
            weights = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(weights, node.output[0]))
            continue
        node.name = node.name or f"{node.op_type}_{number}"
        nodes.append(node)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    onnx.checker.check_model(proto)
    return proto


def without_round_trips(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The same network without the Casts to 16 bits and back that the conversion leaves between nodes in 32 bits.

    They would round what is to stay exact, and TensorRT refuses a Range that is rounded so.
    """
    graph = proto.graph
    made = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    # Those that the conversion put behind a node in 32 bits; what the network itself casts may come from integers.
    rounding = {name for name, node in made.items() if node.name.endswith("_cast_to_fp16_node")}

    def exact(name: str) -> str:
        while name in made and made[name].attribute[0].i == TensorProto.FLOAT and made[name].input[0] in rounding:
            name = made[made[name].input[0]].input[0]
        return name

    for node in graph.node:
        node.input[:] = [exact(name) for name in node.input]
    while True:
        used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
        kept = [node for node in graph.node if node.op_type != "Cast" or node.output[0] in used]
        if len(kept) == len(graph.node):
            return proto
        del graph.node[:]
        graph.node.extend(kept)


def after_last_convolution(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes whose result reaches no convolution."""
    wanted: set[str] = set()
    tail = []
    for node in reversed(graph.node):
        if node.op_type == "Conv" or wanted.intersection(node.output):
            wanted.update(node.input)
        else:
            tail.append(node.name)
    return tail


def encoder_loss(before: Path, after: Path, crops: Sequence[ImageArray]) -> Loss:
    """Cosines of crops' vectors by the encoders in two folders, computed as written; times as this machine runs them.

    Raises ShelfHelpError without crops.
    """
    _require(crops, "crops of products")
    first, second = (Encoder(*_as_written(folder / "encoder.onnx")) for folder in (before, after))
    cosines = (first.embed(crops) * second.embed(crops)).sum(axis=1)
    few = crops[:16]
    times = [_milliseconds(partial(Encoder.load(folder, "cpu").embed, few)) / len(few) for folder in (before, after)]
    return Loss(len(crops), float(cosines.min()), float(cosines.mean()), *times)


def detector_loss(before: Path, after: Path, pictures: Sequence[ImageArray]) -> Loss:
    """How well the boxes of the detectors in two folders agree, both ways, computed as written; times as this machine
    runs them. Raises ShelfHelpError without pictures."""
    _require(pictures, "pictures")
    first, second = (Detector(*_as_written(folder / "detector.onnx")) for folder in (before, after))
    agreement: list[float] = []
    for picture in pictures:
        ours, theirs = first.detect(picture).boxes, second.detect(picture).boxes
        overlaps = iou(ours, theirs)
        for best in (overlaps.max(axis=1, initial=0), overlaps.max(axis=0, initial=0)):
            agreement += [float(value) if value >= MATCH_IOU else 0.0 for value in best]
    times = [_milliseconds(partial(Detector.load(folder, "cpu").detect, pictures[0])) for folder in (before, after)]
    least = min(agreement, default=1.0)
    return Loss(len(pictures), least, float(np.mean(agreement)) if agreement else 1.0, *times)


def _as_written(model: Path) -> tuple[ModelCard, Session]:
    return load_card(model), OnnxSession(model, exact=True)


def crops_of(pictures: Sequence[ImageArray], models: Path, limit: int = 500) -> list[ImageArray]:
    """What the detector in ``models`` cuts out of pictures, at most ``limit`` crops."""
    detector = Detector.load(models, "cpu")
    crops = (crop_box(picture, box) for picture in pictures for box in detector.detect(picture).boxes)
    found = [crop for crop in crops if crop is not None]
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, limit).round().astype(int))] if found else []


class _Pictures(CalibrationDataReader):
    def __init__(self, card: ModelCard, pictures: Sequence[ImageArray]) -> None:
        self._inputs: Iterator[dict[str, npt.NDArray[Any]]] = (
            {card.input.name: _as_input(card, picture)} for picture in pictures
        )

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._inputs, None)


def _as_input(card: ModelCard, picture: ImageArray) -> FloatArray:
    if card.detection is None:
        return to_tensor(card.input, [fit(card.input, picture)])
    letterbox = letterbox_for(card.input, picture.shape[1], picture.shape[0])
    return to_tensor(card.input, [letterbox.apply(picture, card.input.pad_value)])


def _to_eight_bits(
    proto: onnx.ModelProto, output: Path, card: ModelCard, kept: list[str], pictures: Sequence[ImageArray]
) -> None:
    _require(pictures, "pictures to calibrate on")
    source = output.with_suffix(".prepared.onnx")
    onnx.save(proto, str(source))
    quant_pre_process(str(source), str(source), skip_symbolic_shape=True)
    prepared = onnx.load(str(source))
    quantize_static(
        str(source),
        str(output),
        _Pictures(card, pictures),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        # Shape inference may have renamed or fused nodes: the tail is found again in what is quantised.
        nodes_to_exclude=sorted({*kept, *after_last_convolution(prepared.graph)}),
        # TensorRT knows no biases of 32-bit integers; it adds them in 32-bit floats.
        extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
    )


def _milliseconds(run: Callable[[], object], repeats: int = 15) -> float:
    """Median time of a call, after two to warm up."""
    times = []
    for _ in range(repeats + 2):
        began = time.perf_counter()
        run()
        times.append((time.perf_counter() - began) * 1e3)
    return float(np.median(times[2:]))


def _require(pictures: Sequence[ImageArray], what: str) -> None:
    if not len(pictures):
        raise ShelfHelpError(f"there are no {what} in --images; give a folder of pictures of shelves")
