"""What a TensorRT session does around its engines, held against the processor with ONNX Runtime in the engines' place.

Batches, the way of a picture through three networks, and which tensor goes where: all but the GPU itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import onnxruntime
import pytest
from drawn_shelf import draw_shelf

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX comes with the extra 'rtx'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS, profiles_for
from shelfhelp_ros.inference.graphs import graph_folder
from shelfhelp_ros.inference.preprocessing import letterbox_for, views_tensor
from shelfhelp_ros.inference.session import open_session
from shelfhelp_ros.inference.tensorrt_engine import Stage
from shelfhelp_ros.inference.tensorrt_session import LANES, Engines, Runner
from shelfhelp_ros.inference.views import View
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder


class OnnxEngine:
    """ONNX Runtime with an engine's face."""

    def __init__(self, model: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.inputs = tuple(node.name for node in self.session.get_inputs())
        self.outputs = tuple(node.name for node in self.session.get_outputs())

    def dtype(self, name: str) -> type:
        return np.float32


class OnnxLane:
    """Runs the stages one after the other, at the shapes it was made for, as a recorded lane would."""

    made: ClassVar[list[OnnxLane]] = []
    why_not_recorded = ""

    def __init__(self, stages: Sequence[Stage], inputs: Mapping[str, np.ndarray], wanted: Sequence[str]) -> None:
        self.stages, self.wanted = stages, wanted
        self.shapes = {name: value.shape for name, value in inputs.items()}
        self.freed = False
        self.made.append(self)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert not self.freed
        assert {name: value.shape for name, value in inputs.items()} == self.shapes
        values = dict(inputs)
        for stage in self.stages:
            engine: Any = stage.engine
            given = {tensor: values[name] for tensor, name in stage.inputs.items()}
            values |= dict(zip(stage.outputs.values(), engine.session.run(list(stage.outputs), given), strict=True))
        return {name: values[name] for name in self.wanted}

    def free(self) -> None:
        self.freed = True


class LonelyLane(OnnxLane):
    """Fails where two threads are in any lanes at once; runs long enough to be met."""

    inside = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert self.inside.acquire(blocking=False), "two threads ran at once"
        try:
            time.sleep(0.001)
            return super().run(inputs)
        finally:
            self.inside.release()

    def free(self) -> None:
        assert not self.inside.locked(), "freed while another thread ran"
        super().free()


class OnnxRunner:
    """A session as TensorRtSession is one, but for the GPU."""

    backend, metadata_card = "onnx engines", None

    def __init__(self, model: Path, lane: type[OnnxLane] = OnnxLane) -> None:
        OnnxLane.made = []
        self.card = load_card(model)
        network = OnnxEngine(model)
        see, suppress = (OnnxEngine(graph_folder() / f"{name}.onnx") for name in ("see", "suppress"))
        engines = Engines(see, network, suppress if self.card.detection else None, {})
        runner = Runner(model, self.card, engines, lane)
        self.input_names, self.output_names = network.inputs, network.outputs
        self.run, self.see, self.free, self.runner = runner.run, runner.see, runner.free, runner


@pytest.fixture
def encoder(tiny_models: Path) -> OnnxRunner:
    return OnnxRunner(tiny_models / "encoder.onnx")


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 40])
def test_any_number_of_crops(encoder: OnnxRunner, tiny_models: Path, count: int) -> None:
    """They are run in the batches there are engines for; what fills a batch up comes out nowhere."""
    crops = np.random.default_rng(count).standard_normal((count, 3, 64, 64)).astype(np.float32)
    found = encoder.run({"crops": crops})["embeddings"]
    expected = open_session(tiny_models / "encoder.onnx", "cpu").run({"crops": crops})["embeddings"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    allowed = {profile["crops"].best for profile in profiles_for(encoder.card)}
    assert {lane.shapes["crops"] for lane in OnnxLane.made} <= allowed


def test_a_tensor_that_is_missing_is_named(encoder: OnnxRunner) -> None:
    """One sentence, as from every other session."""
    with pytest.raises(ShelfHelpError, match=r"encoder\.onnx failed on its input"):
        encoder.run({"other": np.zeros(1, np.float32)})


def test_lanes_are_kept_and_the_oldest_makes_room(encoder: OnnxRunner) -> None:
    """The same shapes again cost nothing; device memory does not grow with every camera size ever seen."""
    card = encoder.card.input
    for number in range(LANES + 3):
        for _ in range(2):
            encoder.see(np.zeros((64, 64 + number, 3), np.uint8), [View.of(card, 0, 0, 40, 40)])
    assert len(OnnxLane.made) == LANES + 3
    assert [lane.freed for lane in OnnxLane.made] == [True] * 3 + [False] * LANES


def test_lanes_are_given_back(encoder: OnnxRunner) -> None:
    """What an engine was tried with leaves no memory behind; whoever runs again has new lanes."""
    for count in (1, 2, 1):
        encoder.run({"crops": np.zeros((count, 3, 64, 64), np.float32)})
    encoder.free()
    assert [lane.freed for lane in OnnxLane.made] == [True, True]
    encoder.run({"crops": np.zeros((1, 3, 64, 64), np.float32)})


def test_why_runs_are_not_recorded_is_kept(encoder: OnnxRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reason once, however many shapes it holds for."""
    for count, reason in ((1, ""), (2, "an old driver"), (4, "an old driver"), (8, "a loop")):
        monkeypatch.setattr(OnnxLane, "why_not_recorded", reason)
        encoder.run({"crops": np.zeros((count, 3, 64, 64), np.float32)})
    assert encoder.runner.unrecorded == ("an old driver", "a loop")


def test_threads_take_turns(tiny_models: Path) -> None:
    """Frames, catalogue photos and products still without a vector are embedded by three threads with one session."""
    encoder = OnnxRunner(tiny_models / "encoder.onnx", LonelyLane)
    view = View.of(encoder.card.input, 0, 0, 40, 40)
    pictures = [np.full((64, 64 + number, 3), number, np.uint8) for number in range(2 * LANES)]

    def work(thread: int) -> list[np.ndarray]:
        return [encoder.see(picture, [view])["embeddings"] for picture in pictures[thread:] + pictures[:thread]]

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(work, range(2))
    np.testing.assert_array_equal(first, second[-1:] + second[:-1])


@pytest.mark.parametrize("count", [1, 7, 20])
def test_crops_of_a_picture_give_the_processors_vectors(tiny_models: Path, count: int) -> None:
    """From boxes to vectors without a crop being cut out."""
    reference = Encoder.load(tiny_models, "cpu")
    ours = Encoder(reference.card, OnnxRunner(tiny_models / "encoder.onnx"))
    shelf = draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])[0]
    height, width = shelf.shape[:2]
    rng = np.random.default_rng(count)
    corners = rng.uniform(0, 0.7, (count, 2)) * [width, height]
    boxes = np.float32(np.concatenate([corners, corners + rng.uniform(20, 120, (count, 2))], axis=1))
    found = ours.embed_boxes(shelf, boxes)
    assert (found * reference.embed_boxes(shelf, boxes)).sum(axis=1).min() > 0.999
    assert max(lane.shapes["rows"][0] for lane in OnnxLane.made) <= BATCH_BUCKETS[-1]


@pytest.mark.parametrize("size", [(640, 480), (500, 700)])
def test_the_shipped_detector_finds_the_same_boxes(shipped_models: Path, size: tuple[int, int]) -> None:
    """Letterbox, normalisation and suppression in the engines' chain: what the person is led to does not move."""
    theirs = Detector.load(shipped_models, "cpu")
    ours = Detector(theirs.card, OnnxRunner(shipped_models / "detector.onnx"))
    shelf = cv2.resize(draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])[0], size)
    found, expected = ours.detect(shelf), theirs.detect(shelf)
    assert len(expected.boxes) >= 4
    assert len(found.boxes) == len(expected.boxes)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1.5)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.02)


def test_suppressed_boxes_come_out_with_no_score(shipped_models: Path) -> None:
    """Fewer boxes cross the bus as something: on the processor nothing is left to suppress."""
    runner = OnnxRunner(shipped_models / "detector.onnx")
    card = runner.card
    assert card.detection is not None
    shelf = cv2.resize(draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])[0], (640, 480))
    view = View.whole(letterbox_for(card.input, 640, 480))
    raw = runner.run({card.input.name: views_tensor(card.input, shelf, [view])})
    found = runner.see(shelf, [view])
    likely = [(run[card.detection.scores] >= card.detection.score_threshold).sum() for run in (raw, found)]
    assert 0 < likely[1] < likely[0]


def test_a_large_picture_goes_the_processors_way(encoder: OnnxRunner) -> None:
    """Above four megapixels the weights of a resize would need more memory than a Jetson can spare."""
    image = np.full((2000, 2000, 3), 90, np.uint8)
    found = encoder.see(image, [View.of(encoder.card.input, 0, 0, 500, 500)])
    assert found["embeddings"].shape == (1, 48)
    assert [set(lane.shapes) for lane in OnnxLane.made] == [{"crops"}]
