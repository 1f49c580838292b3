"""What a CUDA session does around ONNX Runtime, run on the processor: batches, and a session of its own per shape.

On a GPU each new shape costs seconds, so none may be prepared twice, and crops may not make ever new ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.cuda_session import CUDA, SHAPES, CudaSession
from shelfhelp_ros.inference.session import KINDS, OnnxSession
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder


class OnProcessor(CudaSession):
    """With the processor in the GPU's place; counts the sessions of ONNX Runtime it makes."""

    def __init__(self, model: Path, shapes: int = SHAPES) -> None:
        self.made = 0
        super().__init__(model, threads=1, providers=["CPUExecutionProvider"], shapes=shapes)

    def _open(self) -> Any:
        self.made += 1
        return super()._open()


def crops(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"crops": np.random.default_rng(seed).standard_normal((count, 3, 64, 64)).astype(np.float32)}


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 16, 17, 40])
def test_same_vectors_as_the_processor(tiny_models, count):
    """What a batch is filled up with never comes back, and rows stay in order across batches."""
    inputs = crops(count)
    expected = OnnxSession(tiny_models / "encoder.onnx").run(inputs)
    found = OnProcessor(tiny_models / "encoder.onnx").run(inputs)
    assert found.keys() == expected.keys()
    assert found["embeddings"].shape == (count, 48)
    np.testing.assert_allclose(found["embeddings"], expected["embeddings"], atol=1e-6)


def test_one_session_a_bucket(tiny_models):
    """Every number of crops up to many takes five shapes in all, and shapes that take turns are not prepared again."""
    session = OnProcessor(tiny_models / "encoder.onnx")
    assert session.made == 1
    for count, made in ((16, 1), (14, 1), (16, 1), (3, 2), (4, 2), (1, 3), (2, 4), (7, 5), (40, 5)):
        session.run(crops(count))
        assert session.made == made, count
    for count in range(1, 40):
        session.run(crops(count))
    assert session.made == 5


def test_looks_of_a_detector_take_turns(tiny_models):
    """A detector's sizes are not filled up: each has a session, and boxes are the processor's."""
    session, processor = OnProcessor(tiny_models / "detector.onnx"), OnnxSession(tiny_models / "detector.onnx")
    for _ in range(3):
        for side in (64, 96):
            inputs = {"images": np.random.default_rng(side).random((1, 3, side, side), np.float32)}
            found, expected = session.run(inputs), processor.run(inputs)
            assert {name: value.shape for name, value in found.items()} == {"boxes": (1, 64, 4), "scores": (1, 64)}
            for name, value in expected.items():
                np.testing.assert_allclose(found[name], value, atol=1e-4)
    assert session.made == 2


def test_few_shapes_stay(tiny_models):
    """Cameras of ever other sizes do not fill the GPU's memory: the shape that was not used longest goes."""
    session = OnProcessor(tiny_models / "encoder.onnx", shapes=2)
    for count, made in ((1, 1), (2, 2), (1, 2), (4, 3), (1, 3), (2, 4)):
        session.run(crops(count))
        assert session.made == made, count
        assert len(session._sessions) <= 2


def test_a_first_axis_that_is_no_batch_is_left_alone(tmp_path):
    """A first axis that is fixed, or that an output does not have, is neither filled up nor cut."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    for name, given, told in (("fixed", [3, 2], [3, 2]), ("summed", ["n", 2], [1, 2])):
        operator = "Identity" if name == "fixed" else "ReduceSum"
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node(operator, ["x", "axes"] if name == "summed" else ["x"], ["y"])],
            name,
            [onnx.helper.make_tensor_value_info("x", kind, given)],
            [onnx.helper.make_tensor_value_info("y", kind, told)],
            [onnx.numpy_helper.from_array(np.array([0]), "axes")] if name == "summed" else [],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, str(tmp_path / f"{name}.onnx"))
        x = np.arange(6, dtype=np.float32).reshape(3, 2)
        expected = x if name == "fixed" else x.sum(axis=0, keepdims=True)
        np.testing.assert_array_equal(OnProcessor(tmp_path / f"{name}.onnx").run({"x": x})["y"], expected)


def test_names_and_card_are_the_files(tiny_models):
    """Loading checks card and graph by these, before and after runs."""
    session, processor = OnProcessor(tiny_models / "encoder.onnx"), OnnxSession(tiny_models / "encoder.onnx")
    session.run(crops(1))
    for name in ("input_names", "output_names", "metadata_card"):
        assert getattr(session, name) == getattr(processor, name)
    assert (session.backend, processor.backend) == ("cuda", "cpu")


@pytest.mark.parametrize(
    "inputs",
    [{}, {"other": np.zeros(1, np.float32)}, {"crops": np.zeros((3, 3, 8, 8), np.float32)}, {"crops": np.float32(0)}],
)
def test_wrong_input_is_explained(tiny_models, inputs):
    """A tensor of the wrong shape or name is one sentence, and the next run is not the worse for it."""
    session = OnProcessor(tiny_models / "encoder.onnx")
    with pytest.raises(ShelfHelpError, match=r"encoder\.onnx failed on its input"):
        session.run(inputs)
    assert session.run(crops(3))["embeddings"].shape == (3, 48)


def test_damaged_model(tmp_path):
    """Bytes that are no ONNX are one sentence with the file's name."""
    (tmp_path / "encoder.onnx").write_bytes(b"not a model at all")
    with pytest.raises(ShelfHelpError, match=r"encoder\.onnx is not a usable ONNX model"):
        OnProcessor(tmp_path / "encoder.onnx")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_that_does_not_load_is_explained(tiny_models):
    """ONNX Runtime would go on with the processor and say nothing."""
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ShelfHelpError, match="the CUDA libraries do not load"):
        KINDS["cuda"].open(tiny_models / "encoder.onnx", None)


def test_frames_prepare_each_shape_once(shipped_models):
    """The networks that come with the package, as a frame uses them: no second frame waits for a session."""
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    boxes = np.tile(np.array([[10, 10, 60, 100]], np.float32), (13, 1))
    loaded = Detector.load(shipped_models, "cpu"), Encoder.load(shipped_models, "cpu")
    sessions = [OnProcessor(shipped_models / f"{name}.onnx") for name in ("detector", "encoder")]
    detector, encoder = Detector(loaded[0].card, sessions[0]), Encoder(loaded[1].card, sessions[1])
    detector.detect(image)
    vectors = encoder.embed_boxes(image, boxes)
    np.testing.assert_allclose(vectors, loaded[1].embed_boxes(image, boxes), atol=1e-4)
    made = [session.made for session in sessions]
    assert made[0] == len(detector.card.detection.zooms)
    detector.detect(image)
    encoder.embed_boxes(image, boxes)
    assert [session.made for session in sessions] == made
