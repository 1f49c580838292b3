"""TensorRT on a GPU, end to end; every test here needs one, and a TensorRT that knows it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_shelf import draw_shelf

from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import EngineCache
from shelfhelp_ros.inference.models import default_model_folder
from shelfhelp_ros.inference.preprocessing import letterbox_for, see
from shelfhelp_ros.inference.session import KINDS, open_session
from shelfhelp_ros.inference.tensorrt_session import LARGEST_PICTURE, TensorRtSession
from shelfhelp_ros.inference.views import View
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder

pytestmark = pytest.mark.gpu
ENCODER = load_card(default_model_folder() / "encoder.onnx").input
SHAPE = (3, ENCODER.height, ENCODER.width)


@pytest.fixture(scope="module", autouse=True)
def usable() -> None:
    missing = KINDS["tensorrt"].obstacle()
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> EngineCache:
    return EngineCache(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module")
def detector(shipped_models: Path, cache: EngineCache) -> TensorRtSession:
    return TensorRtSession(shipped_models / "detector.onnx", cache)


@pytest.fixture(scope="module")
def encoder(shipped_models: Path, cache: EngineCache) -> TensorRtSession:
    return TensorRtSession(shipped_models / "encoder.onnx", cache)


@pytest.fixture(scope="module")
def shelf() -> np.ndarray:
    return draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])[0]


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(axis=1) / (np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))


def test_parity_was_checked_when_the_engines_were_built(detector: TensorRtSession, encoder: TensorRtSession) -> None:
    """And is kept with the engine."""
    assert isinstance(detector.parity, float)
    assert isinstance(encoder.parity, float)
    assert min(detector.parity, encoder.parity) >= 0.999


@pytest.mark.parametrize("count", [1, 2, 3, 5, 16, 17, 40])
def test_any_number_of_crops(encoder: TensorRtSession, shipped_models: Path, count: int) -> None:
    """Batches that no engine was built for are filled up or cut; every vector is that of ONNX Runtime."""
    reference = open_session(shipped_models / "encoder.onnx", "cpu")
    crops = np.random.default_rng(count).standard_normal((count, *SHAPE)).astype(np.float32)
    found = encoder.run({encoder.input_names[0]: crops})["embeddings"]
    expected = reference.run({reference.input_names[0]: crops})["embeddings"]
    assert found.shape == expected.shape
    assert cosines(found, expected).min() >= 0.999


def test_runs_are_recorded_and_replay_the_same(encoder: TensorRtSession) -> None:
    """A CUDA graph gives what the calls it was recorded from gave, for new inputs too."""
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 4, *SHAPE)).astype(np.float32)
    name = encoder.input_names[0]
    called = [encoder.run({name: one})["embeddings"] for one in (first, second)]
    replayed = [encoder.run({name: one})["embeddings"] for one in (first, second)]
    np.testing.assert_allclose(called, replayed, atol=1e-5)
    assert not encoder.unrecorded, encoder.unrecorded


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (333, 517)])
@pytest.mark.parametrize("zoom", [1.0, 0.25])
def test_pictures_are_prepared_as_on_the_processor(
    detector: TensorRtSession, shipped_models: Path, shelf: np.ndarray, size: tuple[int, int], zoom: float
) -> None:
    """The same boxes come out whether letterbox and normalisation ran here or there."""
    on_processor = Detector.load(shipped_models, "cpu")
    image = cv2.resize(shelf, size)
    box = letterbox_for(on_processor.card.input, *size, zoom)
    card = on_processor.card
    assert card.detection is not None
    found = detector.see(image, [View.whole(box)])
    expected = see(on_processor.session, card.input, image, [View.whole(box)])
    kept = np.sort(found[card.detection.scores][0])[::-1][:5]
    assert np.abs(kept - np.sort(expected[card.detection.scores][0])[::-1][:5]).max() < 0.05


def test_detections_and_vectors_are_those_of_the_processor(
    detector: TensorRtSession, encoder: TensorRtSession, shipped_models: Path, shelf: np.ndarray
) -> None:
    """The whole way: picture to boxes with suppression on the GPU, boxes to vectors."""
    ours = Detector(Detector.load(shipped_models, "cpu").card, detector)
    theirs = Detector.load(shipped_models, "cpu")
    found, expected = ours.detect(shelf), theirs.detect(shelf)
    assert len(found.boxes) == len(expected.boxes)
    order, other = (np.lexsort(one.boxes.T.round()) for one in (found, expected))
    np.testing.assert_allclose(found.boxes[order], expected.boxes[other], atol=2)
    reference = Encoder.load(shipped_models, "cpu")
    vectors = Encoder(reference.card, encoder).embed_boxes(shelf, expected.boxes)
    assert (vectors * reference.embed_boxes(shelf, expected.boxes)).sum(axis=1).min() >= 0.999


def test_a_picture_too_large_for_the_gpu_is_scaled_on_the_processor(encoder: TensorRtSession) -> None:
    """Twelve megapixels give vectors, not an error."""
    image = np.zeros((LARGEST_PICTURE[0] + 1, LARGEST_PICTURE[1] + 1, 3), np.uint8)
    view = View.of(ENCODER, 0, 0, 500, 500)
    assert encoder.see(image, [view])["embeddings"].shape[0] == 1


def test_a_second_start_builds_nothing(
    shipped_models: Path, cache: EngineCache, encoder: TensorRtSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine is found, loaded and gives the same vectors."""
    from shelfhelp_ros.inference import engine_builder

    monkeypatch.setattr(engine_builder, "build", lambda *_: pytest.fail("built again"))
    again = TensorRtSession(shipped_models / "encoder.onnx", cache)
    crops = np.ones((1, *SHAPE), np.float32)
    name = encoder.input_names[0]
    np.testing.assert_allclose(
        again.run({name: crops})["embeddings"], encoder.run({name: crops})["embeddings"], atol=1e-3
    )
