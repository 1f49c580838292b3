"""Networks in fewer bits: they load as any other, compute where they should in 16 or 8 bits, and say what it cost."""

from __future__ import annotations

import collections
import shutil
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

pytest.importorskip("torch", reason="torch comes with the extra 'training'")

from click.testing import CliRunner
from drawn_shelf import draw_pack, draw_shelf
from onnx import TensorProto, helper

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_training.commands.export_precision import command
from shelfhelp_training.half_weights import halve_weights
from shelfhelp_training.precision import (
    LEAST_COSINE,
    after_last_convolution,
    encoder_loss,
    reduce_model,
    with_float_weights,
)

ENCODER = default_model_folder() / "encoder.onnx"
CROPS = [draw_pack(number, 120, 160) for number in range(1, 7)]


def kinds(model: Path) -> collections.Counter[int]:
    """How many convolution weights there are of each type; a quantised one is behind its DequantizeLinear."""
    graph = onnx.load(str(model)).graph
    stored = {tensor.name: tensor.data_type for tensor in graph.initializer}
    behind = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    weights = [node.input[1] for node in graph.node if node.op_type == "Conv"]
    return collections.Counter(stored[behind.get(name, name)] for name in weights)


def test_half_precision_is_typed_so_and_hardly_turns_a_vector(tmp_path: Path) -> None:
    """Every convolution has 16-bit weights (what TensorRT goes by), and vectors stay within a cosine of 0.999."""
    card = reduce_model(ENCODER, tmp_path / "encoder.onnx", "fp16", [])
    assert set(kinds(tmp_path / "encoder.onnx")) == {TensorProto.FLOAT16}
    assert (card.version, card.training["precision"]) == (f"{load_card(ENCODER).version}-fp16", "fp16")
    assert card.figures == ()
    loss = encoder_loss(ENCODER.parent, tmp_path, CROPS)
    assert loss.pictures == len(CROPS)
    assert LEAST_COSINE <= loss.least <= loss.mean <= 1.0 + 1e-5


def test_what_stays_in_32_bits_is_not_rounded_on_the_way(tmp_path: Path) -> None:
    """A Cast to 16 bits and back between two exact nodes would undo their exactness, and TensorRT refuses some."""
    reduce_model(ENCODER, tmp_path / "encoder.onnx", "fp16", [])
    graph = onnx.load(str(tmp_path / "encoder.onnx")).graph
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    # The network's own output was declared before.
    inner = [node for name, node in casts.items() if name not in {value.name for value in graph.output}]
    back = [node for node in inner if node.attribute[0].i == TensorProto.FLOAT and node.input[0] in casts]
    assert not [node for node in back if casts[node.input[0]].name.endswith("_cast_to_fp16_node")]


def test_biases_stay_floats(tmp_path: Path) -> None:
    """TensorRT reads no bias of 32-bit integers."""
    reduce_model(ENCODER, tmp_path / "encoder.onnx", "int8", CROPS)
    graph = onnx.load(str(tmp_path / "encoder.onnx")).graph
    assert TensorProto.INT32 not in {tensor.data_type for tensor in graph.initializer}


def test_eight_bits_are_calibrated_on_pictures(tmp_path: Path) -> None:
    """Convolutions compute on 8-bit weights; the loss is real, neither nothing nor everything."""
    reduce_model(ENCODER, tmp_path / "encoder.onnx", "int8", CROPS)
    assert set(kinds(tmp_path / "encoder.onnx")) == {TensorProto.INT8}
    loss = encoder_loss(ENCODER.parent, tmp_path, CROPS)
    assert 0.9 < loss.mean < 0.99999


def test_eight_bits_without_a_picture_are_refused(tmp_path: Path) -> None:
    """Ranges out of nothing would give a network that sees nothing."""
    with pytest.raises(ShelfHelpError, match="no pictures to calibrate on"):
        reduce_model(ENCODER, tmp_path / "encoder.onnx", "int8", [])
    assert not list(tmp_path.iterdir())


def test_weights_stored_in_16_bits_become_plain_ones_again(tmp_path: Path) -> None:
    """The Casts behind stored weights hide them from a quantiser; without them the network gives the same numbers."""
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
        for file in ("encoder.onnx", "encoder.json"):
            shutil.copy(ENCODER.with_name(file), tmp_path / name / file)
    halve_weights(tmp_path / "before" / "encoder.onnx", smallest=1024)
    plain = with_float_weights(onnx.load(str(tmp_path / "before" / "encoder.onnx")))
    assert "Cast" not in {node.op_type for node in plain.graph.node if not node.input[0].startswith("images")}
    onnx.save(plain, str(tmp_path / "after" / "plain.onnx"))
    before = Encoder.load(ENCODER.parent, "cpu")
    after = Encoder(before.card, _session(tmp_path / "after" / "plain.onnx"))
    np.testing.assert_allclose(before.embed(CROPS), after.embed(CROPS), atol=1e-5)


def test_what_comes_after_the_last_convolution() -> None:
    """Branches count: a node is after the last convolution only if nothing that it leads to is one."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], "before"),
        helper.make_node("Conv", ["a", "w"], ["b"], "middle"),
        helper.make_node("GlobalAveragePool", ["b"], ["pooled"], "side"),
        helper.make_node("Conv", ["b", "w"], ["c"], "last"),
        helper.make_node("Add", ["c", "pooled"], ["y"], "sum"),
    ]
    graph = helper.make_graph(nodes, "branches", [], [])
    assert sorted(after_last_convolution(graph)) == ["side", "sum"]


def test_the_command_writes_both_networks_and_says_what_it_cost(tmp_path: Path) -> None:
    """A folder of pictures in, a folder of models out that everything else can be given with --models."""
    shelves = tmp_path / "shelves"
    shelves.mkdir()
    for number in range(2):
        cv2.imwrite(str(shelves / f"{number}.png"), draw_shelf([1, 2, 3, 4, 5, 6, 7, 8], shift=(3 * number, 0))[0])
    done = CliRunner().invoke(command, ["fp16", "--images", str(shelves), "--output", str(tmp_path / "made")])
    assert done.exception is None, done.exception
    assert [line.split('"')[3] for line in done.stdout.splitlines()] == ["detector", "encoder"]
    assert {path.name for path in (tmp_path / "made").iterdir()} >= {"detector.onnx", "encoder.onnx", "detector.json"}
    missing = CliRunner().invoke(command, ["int8", "--images", str(tmp_path / "no"), "--output", str(tmp_path / "n")])
    assert "is not a folder" in str(missing.exception)


def _session(path: Path) -> object:
    from shelfhelp_ros.inference.session import open_session

    return open_session(path, "cpu")
