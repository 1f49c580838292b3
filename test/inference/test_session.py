"""Networks load with their cards, or a sentence says why they do not."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from tiny_models import colour_encoder, detector_card, encoder_card, rectangle_finder, save

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import cuda, tensorrt_library
from shelfhelp_ros.inference.card import EmbeddingCard, card_path, file_sha256
from shelfhelp_ros.inference.engine_recipe import Gpu
from shelfhelp_ros.inference.models import FOLDER_VARIABLE, default_model_folder, load_model
from shelfhelp_ros.inference.progress import told_to
from shelfhelp_ros.inference.session import BACKENDS, KINDS, Kind, choose_backend, open_session, usable_cores


def test_runs_on_the_processor(tiny_models):
    """A session names its tensors and gives its outputs by name."""
    session = open_session(tiny_models / "encoder.onnx", "cpu", threads=1)
    assert (session.backend, session.input_names, session.output_names) == ("cpu", ("crops",), ("embeddings",))
    out = session.run({"crops": np.random.default_rng(0).standard_normal((3, 3, 64, 64)).astype(np.float32)})
    assert out["embeddings"].shape == (3, 48)


def test_wrong_input_is_explained(tiny_models):
    """A tensor of the wrong shape or name is one sentence."""
    session = open_session(tiny_models / "encoder.onnx", "cpu")
    for inputs in ({"crops": np.zeros((1, 3, 8, 8), np.float32)}, {"other": np.zeros(1, np.float32)}):
        with pytest.raises(ShelfHelpError, match=r"encoder\.onnx failed on its input"):
            session.run(inputs)


def test_bad_choices(tiny_models):
    """A backend that does not exist and no thread at all are refused."""
    with pytest.raises(ShelfHelpError, match="auto, cpu, cuda"):
        open_session(tiny_models / "encoder.onnx", "gpu")
    with pytest.raises(ShelfHelpError, match="at least 1"):
        open_session(tiny_models / "encoder.onnx", "cpu", threads=0)
    with pytest.raises(ShelfHelpError, match="is missing"):
        open_session(tiny_models / "nothing.onnx")


def test_auto_takes_what_is_there(tiny_models):
    """`auto` always works; `cuda` works where ONNX Runtime has it and is explained where it has not."""
    assert open_session(tiny_models / "encoder.onnx", "auto").backend in BACKENDS[1:]
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ShelfHelpError, match="has no CUDA"):
        open_session(tiny_models / "encoder.onnx", "cuda")


def test_damaged_model(tmp_path):
    """Bytes that are no ONNX are one sentence with the file's name."""
    (tmp_path / "encoder.onnx").write_bytes(b"not a model at all")
    with pytest.raises(ShelfHelpError, match=r"encoder\.onnx is not a usable ONNX model"):
        open_session(tmp_path / "encoder.onnx", "cpu")


@pytest.mark.parametrize(
    ("text", "cores"), [("100000 100000", 1), ("1000 100000", 1), ("max 100000", None), ("", None)]
)
def test_cores_of_a_container(tmp_path, text, cores):
    """A container that may use one core of many gets one thread; without a quota every core counts."""
    (tmp_path / "cpu.max").write_text(text)
    everything = usable_cores(tmp_path / "missing")
    assert everything >= 1
    assert usable_cores(tmp_path / "cpu.max") == (cores or everything)


def test_model_folder(monkeypatch, tmp_path):
    """The variable names the folder; without it the package's own is meant."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert default_model_folder() == tmp_path
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert default_model_folder().name == "models"


def test_card_and_metadata_have_to_agree(tmp_path):
    """A card edited beside its model (hash and all) is caught by the copy inside the file."""
    path = tmp_path / "encoder.onnx"
    save(colour_encoder(), encoder_card(), path)
    assert load_model(tmp_path, "encoder", "embedding").session.backend
    squashed = dataclasses.replace(encoder_card().input, resize="letterbox")
    edited = dataclasses.replace(encoder_card(), input=squashed, sha256=file_sha256(path))
    card_path(path).write_text(edited.to_json())
    with pytest.raises(ShelfHelpError, match="disagree on 'input'"):
        load_model(tmp_path, "encoder", "embedding")


def test_graph_has_to_have_the_cards_tensors(tmp_path):
    """An output that the card names and the graph has not is found at loading, not at the first frame."""
    card = dataclasses.replace(encoder_card(), embedding=EmbeddingCard("features", 48))
    save(colour_encoder(), card, tmp_path / "encoder.onnx")
    with pytest.raises(ShelfHelpError, match="no tensor features"):
        load_model(tmp_path, "encoder", "embedding")


def test_wrong_task(tmp_path):
    """A detector under the encoder's name is named as what it is."""
    save(rectangle_finder(64), detector_card(), tmp_path / "encoder.onnx")
    with pytest.raises(ShelfHelpError, match="for detection, not for embedding"):
        load_model(tmp_path, "encoder", "embedding")


def test_shipped_models_load(shipped_models):
    """The models that come with the package agree with their cards, and their cards say how they were made."""
    for name, task in (("detector", "detection"), ("encoder", "embedding")):
        card = load_model(shipped_models, name, task, "cpu").card
        assert card.training
        assert card.figures


def test_auto_says_what_it_takes_and_why(tiny_models):
    """Whoever wonders why the GPU is idle reads it in the log and in `doctor`."""
    said = []
    with told_to(said.append):
        session = open_session(tiny_models / "encoder.onnx")
    assert [line for line in said if line.startswith(f"encoder.onnx runs on {session.backend} (")]
    choice = choose_backend()
    assert choice.backend in KINDS
    for name in list(KINDS)[: list(KINDS).index(choice.backend)]:
        assert f"not {name}: {KINDS[name].obstacle()}" in choice.why


def test_auto_goes_on_where_a_backend_refuses_the_network(tiny_models, monkeypatch):
    """An engine that is refused for its numbers, or does not fit the memory, must not keep a person waiting."""

    def refuse(model, threads):
        raise ShelfHelpError("agrees to 0.9 only")

    monkeypatch.setitem(KINDS, "tensorrt", Kind(lambda: "", refuse))
    monkeypatch.setitem(KINDS, "cuda", Kind(lambda: "no CUDA", refuse))
    said = []
    with told_to(said.append):
        assert open_session(tiny_models / "encoder.onnx").backend == "cpu"
    assert said == ["encoder.onnx runs on cpu (not tensorrt: agrees to 0.9 only; not cuda: no CUDA)"]
    with pytest.raises(ShelfHelpError, match=r"0\.9 only"):
        open_session(tiny_models / "encoder.onnx", "tensorrt")


@pytest.mark.parametrize(("capability", "known"), [((8, 9), True), ((9, 0), False), ((8, 7), False)])
def test_auto_does_not_take_a_tensorrt_that_does_not_know_the_gpu(monkeypatch, capability, known):
    """TensorRT for RTX knows neither Hopper nor Orin: `doctor` says so, and not that it is the fastest there is."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX comes with the extra 'rtx'")
    monkeypatch.setattr(tensorrt_library, "MODULES", ("tensorrt_rtx_bindings",))
    monkeypatch.setattr(cuda, "obstacle", lambda: "")
    monkeypatch.setattr(cuda, "Device", lambda: SimpleNamespace(gpu=Gpu("a GPU", capability)))
    choice = choose_backend()
    assert (choice.backend == "tensorrt") == known
    number = ".".join(map(str, capability))
    assert (f"does not know compute capability {number}; it knows 7.5, 8.0" in choice.why) != known


def test_jetpacks_tensorrt_knows_the_gpu_it_comes_for(monkeypatch):
    """It has no list of them."""
    monkeypatch.setattr(tensorrt_library, "library_version", lambda: "TensorRT 10.3.0")
    assert tensorrt_library.unknown_capability((8, 7)) == ""


def test_a_tensorrt_that_does_not_load_is_no_choice(monkeypatch):
    """`auto` goes on to the next."""

    def broken():
        raise ShelfHelpError("tensorrt does not load")

    monkeypatch.setattr(tensorrt_library, "MODULES", ("json",))
    monkeypatch.setattr(tensorrt_library, "library_version", broken)
    monkeypatch.setattr(cuda, "obstacle", lambda: "")
    monkeypatch.setattr(cuda, "Device", lambda: SimpleNamespace(gpu=Gpu("a GPU", (8, 9))))
    assert KINDS["tensorrt"].obstacle() == "tensorrt does not load"


def test_tensorrt_where_it_cannot_be_used_is_explained(tiny_models):
    """Asked for by name it does not fall back in silence."""
    obstacle = KINDS["tensorrt"].obstacle()
    if not obstacle:
        pytest.skip("TensorRT can be used here")
    with pytest.raises(ShelfHelpError, match="the backend tensorrt cannot be used") as caught:
        open_session(tiny_models / "encoder.onnx", "tensorrt")
    assert obstacle in str(caught.value)
