"""Memory, streams and graphs on a GPU, without TensorRT; and both networks on it with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_shelf import draw_shelf

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda
from shelfhelp_ros.inference.session import KINDS
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.encoder import Encoder

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device() -> cuda.Device:
    missing = cuda.obstacle()
    if missing:
        pytest.skip(missing)
    device = cuda.Device()
    device.use()
    return device


def test_a_gpu_has_a_name_and_a_compute_capability(device: cuda.Device) -> None:
    """Both are part of an engine's key."""
    assert device.gpu.name.isprintable()
    assert device.gpu.name
    assert (5, 0) <= device.gpu.capability < (20, 0)


@pytest.mark.usefixtures("device")
def test_a_buffer_keeps_its_bytes() -> None:
    """What goes to the device and back is what was there, whatever the host memory held meanwhile."""
    stream, buffer = cuda.Stream(), cuda.Buffer(4 * 1000)
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    host = buffer.host((10, 100), np.float32)
    host[:] = values.reshape(10, 100)
    buffer.upload(values.nbytes, stream)
    stream.wait()
    host[:] = 0
    buffer.download(values.nbytes, stream)
    stream.wait()
    np.testing.assert_array_equal(host, values.reshape(10, 100))
    buffer.free()
    stream.free()


@pytest.mark.usefixtures("device")
def test_a_recorded_graph_does_its_work_again() -> None:
    """A graph copies what lies in the page-locked memory when it is launched, not when it was recorded."""
    stream, source = cuda.Stream(), cuda.Buffer(400)
    host = source.host((100,), np.float32)

    def there_and_back() -> None:
        source.upload(400, stream)
        source.download(400, stream)

    graph = stream.record(there_and_back)
    for value in (1.0, 2.0):
        host[:] = value
        graph.launch(stream)
        stream.wait()
        np.testing.assert_array_equal(host, value)
    graph.free()
    source.free()
    stream.free()


@pytest.mark.usefixtures("device")
def test_a_stream_is_usable_after_a_recording_that_failed() -> None:
    """The error is the one that was raised; the next recording succeeds."""
    stream, buffer = cuda.Stream(), cuda.Buffer(4)

    def fails() -> None:
        buffer.upload(4, stream)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        stream.record(fails)
    graph = stream.record(lambda: buffer.upload(4, stream))
    graph.launch(stream)
    stream.wait()
    graph.free()


@pytest.mark.usefixtures("device")
def test_what_the_driver_refuses_is_one_clear_error() -> None:
    """Named are the function and the driver's reason."""
    with pytest.raises(ShelfHelpError, match="cuMemAlloc failed: "):
        cuda.Buffer(1 << 60)


def test_onnx_runtime_gives_on_the_gpu_what_it_gives_on_the_processor(shipped_models: Path) -> None:
    """Boxes and vectors of a drawn shelf."""
    if missing := KINDS["cuda"].obstacle():
        pytest.skip(missing)
    shelf = draw_shelf([1, 2, 3, 4, 5, 6, 7, 8])[0]
    ours, theirs = (Detector.load(shipped_models, backend) for backend in ("cuda", "cpu"))
    assert ours.session.backend == "cuda"
    found, expected = ours.detect(shelf), theirs.detect(shelf)
    assert len(expected.boxes)
    order, other = (np.lexsort(one.boxes.T.round()) for one in (found, expected))
    np.testing.assert_allclose(found.boxes[order], expected.boxes[other], atol=2)
    vectors = [Encoder.load(shipped_models, backend).embed_boxes(shelf, expected.boxes) for backend in ("cuda", "cpu")]
    assert (vectors[0] * vectors[1]).sum(axis=1).min() >= 0.999
