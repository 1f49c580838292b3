"""What a GPU makes of pictures and boxes is what the processor makes of them: the two small networks, run for real."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import STD, detector_card, encoder_card

from shelfhelp_ros.inference.graphs import graph_folder
from shelfhelp_ros.inference.preprocessing import letterbox_for, views_tensor
from shelfhelp_ros.inference.views import View, see_inputs, source_spans
from shelfhelp_ros.perception.detector import suppress

CPU = ["CPUExecutionProvider"]
SEE = onnxruntime.InferenceSession(str(graph_folder() / "see.onnx"), providers=CPU)
SUPPRESS = onnxruntime.InferenceSession(str(graph_folder() / "suppress.onnx"), providers=CPU)


def picture(width: int, height: int) -> np.ndarray:
    """Structure at every scale and values from 0 to 255."""
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3)).astype(np.float32)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX)
    return np.uint8(0.7 * smooth + 0.3 * noise)


def levels(card, image, views) -> np.ndarray:
    """Differences between both ways, in grey levels of 255."""
    found = SEE.run(None, see_inputs(card, image, views))[0]
    expected = views_tensor(card, image, views)
    assert found.shape == expected.shape
    return np.abs(found - expected) * 255 * np.reshape(STD, (1, 3, 1, 1))


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 900), st.integers(16, 900), st.sampled_from([1.0, 0.25]), st.sampled_from(["RGB", "BGR"]))
def test_a_letterboxed_picture(width, height, zoom, order):
    """At any size and zoom no value differs by more than the one grey level that rounding may cost."""
    card = dataclasses.replace(detector_card(dynamic=True).input, channel_order=order)
    difference = levels(card, picture(width, height), [View.whole(letterbox_for(card, width, height, zoom))])
    assert difference.max() < 1.01
    assert difference.mean() < 0.3


def test_a_camera_picture_is_taken_as_it_is():
    """640×480 needs no scaling: the very same numbers."""
    card = detector_card(dynamic=True).input
    assert levels(card, picture(640, 480), [View.whole(letterbox_for(card, 640, 480))]).max() < 1e-3


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_crops_of_one_picture(data):
    """A batch of crops, small and large, at the edges and inside, letterboxed as the shipped encoder wants them."""
    card = dataclasses.replace(encoder_card().input, resize="letterbox")
    image = picture(320, 240)
    views = []
    for _ in range(data.draw(st.integers(1, 4))):
        left, top = data.draw(st.integers(0, 319)), data.draw(st.integers(0, 239))
        right, bottom = data.draw(st.integers(left + 1, 320)), data.draw(st.integers(top + 1, 240))
        views.append(View.of(card, left, top, right, bottom))
    assert levels(card, image, views).max() < 1.01


def test_squashed_crops():
    """A network that takes squashed crops gets them, shrunk or enlarged."""
    card = encoder_card().input
    views = [View.of(card, 0, 0, 300, 200), View.of(card, 10, 20, 40, 50)]
    assert levels(card, picture(320, 240), views).max() < 1.01


@given(st.integers(1, 50), st.integers(0, 30), st.integers(1, 200), st.integers(0, 40))
def test_spans_stay_inside_the_crop(shown, padding, length, low):
    """No neighbour's pixel bleeds into a crop, and nothing is shown in the padding."""
    for areas in (True, False) if length >= shown else (False,):
        spans = source_spans(shown + 2 * padding, (padding, padding + shown), (low, low + length), areas)
        inside = spans[padding : padding + shown]
        assert inside[:, 0].min() >= low - 1e-3
        assert inside[:, 1].max() <= low + length + 1e-3
        np.testing.assert_allclose((inside[:, 1] - inside[:, 0]) * inside[:, 2], 1, atol=1e-3)
        assert not spans[:padding].any()
        assert not spans[padding + shown :].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(0, 10_000), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_keeps_what_the_greedy_one_keeps(count, seed, iou):
    """Crowded random boxes, many of them overlapping, scores alike included."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 200, (count, 2))
    boxes = np.float32(np.concatenate([corners, corners + rng.uniform(5, 90, (count, 2))], axis=1))
    scores = np.float32(rng.uniform(0.01, 1, count))
    inputs = {"boxes": boxes[None], "scores": scores[None], "window": np.float32([-999, -999, 999, 999])}
    kept = SUPPRESS.run(None, {**inputs, "iou": np.float32([iou])})[0][0]
    assert set(np.flatnonzero(kept)) == set(suppress(boxes, scores, iou, count))
    np.testing.assert_array_equal(kept[kept > 0], scores[kept > 0])


def test_of_two_equal_boxes_the_first_stays():
    """Also when their scores are the same to the last bit."""
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 10], [50, 0, 60, 10]]])
    inputs = {"boxes": boxes, "scores": np.float32([[0.5, 0.5, 0.5]]), "window": np.float32([0, 0, 99, 99])}
    kept = SUPPRESS.run(None, {**inputs, "iou": np.float32([0.5])})[0]
    np.testing.assert_array_equal(kept, [[0.5, 0, 0.5]])


def test_boxes_are_compared_inside_the_picture():
    """What lies in the padding is cut off before boxes are compared, as the detector does on the processor."""
    boxes = np.float32([[[0, 0, 10, 100], [0, 0, 10, 49]]])
    scores = np.float32([[0.9, 0.8]])
    inputs = {"boxes": boxes, "scores": scores, "iou": np.float32([0.5])}
    whole = SUPPRESS.run(None, {**inputs, "window": np.float32([0, 0, 200, 200])})[0]
    cut = SUPPRESS.run(None, {**inputs, "window": np.float32([0, 0, 200, 60])})[0]
    np.testing.assert_array_equal(whole, scores)
    np.testing.assert_array_equal(cut, [[np.float32(0.9), 0]])


def test_the_files_are_what_their_source_makes():
    """Nobody edits an ONNX by hand: the shipped two come out of `shelfhelp_training.gpu_graphs`."""
    onnx = pytest.importorskip("onnx", reason="onnx comes with the extra 'training'")
    pytest.importorskip("torch", reason="torch comes with the extra 'training'")
    from shelfhelp_training import gpu_graphs

    for name, made in (("see", gpu_graphs.see()), ("suppress", gpu_graphs.suppress())):
        shipped = onnx.load(str(graph_folder() / f"{name}.onnx"))
        assert shipped.graph == made.graph
        assert shipped.opset_import == made.opset_import
