"""An engine that computes something else is refused; held here against real networks in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxruntime import GraphOptimizationLevel

from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import RefusedError
from shelfhelp_ros.inference.engine_recipe import BATCH_BUCKETS
from shelfhelp_ros.inference.parity import LEAST, agreement, check_parity, reference, trial_inputs
from shelfhelp_ros.inference.session import open_session


@pytest.fixture(scope="module")
def encoder(shipped_models: Path):
    model = shipped_models / "encoder.onnx"
    return load_card(model), open_session(model, "cpu").run


@pytest.fixture(scope="module")
def detector(shipped_models: Path):
    model = shipped_models / "detector.onnx"
    return load_card(model), open_session(model, "cpu").run


def test_a_network_agrees_with_itself(encoder, detector):
    """And the drawn pictures are something to compare on: vectors that differ, and boxes that are reported."""
    assert check_parity(*encoder[:1], "fp16", encoder[1], encoder[1]) == pytest.approx(1, abs=1e-5)
    assert check_parity(*detector[:1], "fp16", detector[1], detector[1]) == pytest.approx(1, abs=1e-5)
    card, run = encoder
    vectors = run({card.input.name: trial_inputs(card)[-1]})[card.embedding.name]
    cosines = vectors @ vectors.T
    assert cosines[np.triu_indices(len(cosines), 1)].min() < 0.9
    card, run = detector
    for tensor in trial_inputs(card)[:2]:
        scores = run({card.input.name: tensor})[card.detection.scores]
        assert (scores >= card.detection.score_threshold).sum() >= 3


@pytest.mark.parametrize(("noise", "refused"), [(0.01, False), (1.0, True)])
def test_noise_in_the_vectors(encoder, noise, refused):
    """A hundredth of a vector's length passes half precision's bar, as much as its length does not."""
    card, run = encoder

    def noisy(inputs):
        vectors = run(inputs)[card.embedding.name]
        random = np.random.default_rng(0).standard_normal(vectors.shape) / np.sqrt(vectors.shape[1])
        return {card.embedding.name: np.float32(vectors + noise * random)}

    if refused:
        with pytest.raises(RefusedError, match=r"at least 0\.999 is asked for"):
            check_parity(card, "fp16", run, noisy)
    else:
        assert check_parity(card, "fp16", run, noisy) >= LEAST["fp16"]


@pytest.mark.parametrize("count", BATCH_BUCKETS)
def test_each_batch_is_compared(encoder, count):
    """Each has kernels of its own; one that is wrong is enough."""
    card, run = encoder

    def wrong_at_one(inputs):
        (tensor,) = inputs.values()
        return run({card.input.name: -tensor if len(tensor) == count else tensor})

    with pytest.raises(RefusedError, match="it is not used"):
        check_parity(card, "int8", run, wrong_at_one)


@pytest.mark.parametrize("network", ["encoder", "detector"])
def test_the_recorded_run_is_compared(request, network):
    """A graph that leaves what the run before gave has not run at all."""
    card, run = request.getfixturevalue(network)
    before = {}

    def stale(inputs):
        shape = inputs[card.input.name].shape
        return before.setdefault(shape, run(inputs))

    with pytest.raises(RefusedError, match="it is not used"):
        check_parity(card, "int8", run, stale)


@pytest.mark.parametrize("broken", ["moved", "unsure", "empty", "not numbers"])
def test_a_detector_that_is_wrong_is_refused(detector, broken):
    """Boxes elsewhere, other scores, nothing at all, NaN: each alone."""
    card, run = detector

    def wrong(inputs):
        found = {name: value.copy() for name, value in run(inputs).items()}
        if broken == "moved":
            found[card.detection.boxes] += 20
        elif broken == "unsure":
            found[card.detection.scores] **= 2
        else:
            found[card.detection.scores][:] = 0 if broken == "empty" else np.nan
        return found

    with pytest.raises(RefusedError, match="it is not used"), np.errstate(invalid="ignore"):
        check_parity(card, "int8", run, wrong)


def test_ranks_may_swap(detector):
    """Boxes with as good as equal scores come in any order: that is no difference."""
    card, run = detector
    expected = run({card.input.name: trial_inputs(card)[0]})
    turned = {name: value[:, ::-1] for name, value in expected.items()}
    assert agreement(card, expected, turned) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_eight_bits_are_held_against_what_is_written(tiny_models, precision):
    """The processor's own instructions for eight bits saturate without VNNI: a right engine would be refused."""
    options = reference(tiny_models / "encoder.onnx", precision)._loaded.get_session_options()
    exact = options.graph_optimization_level == GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert exact == (precision == "int8")
