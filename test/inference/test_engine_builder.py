"""The builder's half of TensorRT, for real and without a GPU: TensorRT for RTX builds for one that is elsewhere."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_models import encoder_card, save, write_models

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX comes with the extra 'rtx'")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference import engine_builder
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import EngineCache
from shelfhelp_ros.inference.engine_recipe import Gpu, Profile, Recipe, profiles_for
from shelfhelp_ros.inference.progress import told_to
from shelfhelp_ros.inference.tensorrt_library import library_version
from shelfhelp_ros.inference.tensorrt_session import NOT_CHECKED, get_engines, recipes

GPU = Gpu("a GPU elsewhere", (8, 6))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"), dynamic=True, side=64)


def encoder_recipe(folder: Path, gpu: Gpu = GPU) -> Recipe:
    card = load_card(folder / "encoder.onnx")
    return Recipe(folder / "encoder.onnx", gpu, library_version(), "fp32", profiles_for(card))


def without_device(model: Path, cache: EngineCache) -> None:
    get_engines(model, load_card(model), GPU, cache, lambda content, recipe: content, lambda content, recipe: None)


def convolution(weights: int) -> onnx.GraphProto:
    """One convolution with ``weights``² × 9 random weights, then the mean over the picture."""
    rng = np.random.default_rng(0)
    shapes = {"first": (weights, 3, 3, 3), "second": (weights, weights, 3, 3)}
    nodes = [
        helper.make_node("Conv", ["crops", "first"], ["a"], "conv_1", kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "second"], ["c"], "conv_2", kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["c"], ["d"], "pool"),
        helper.make_node("Flatten", ["d"], ["embeddings"], "flatten"),
    ]
    return helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("crops", TensorProto.FLOAT, ["n", 3, 64, 64])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["n", weights])],
        [numpy_helper.from_array(np.float32(rng.normal(0, 0.05, shape)), name) for name, shape in shapes.items()],
    )


def test_every_engine_of_a_network_is_built_and_found_again(models: Path, tmp_path: Path) -> None:
    """Input, network and suppression, each for its shapes; nobody claims to have run what could not be run."""
    cache, said = EngineCache(tmp_path), []
    with told_to(said.append):
        without_device(models / "detector.onnx", cache)
    engines = {engine.name: engine for engine in cache.list()}
    assert set(engines) == {"see", "detector", "suppress"}
    assert all(engine.bytes > 1000 for engine in engines.values())
    assert engines["detector"].notes["parity"] == NOT_CHECKED
    assert engines["detector"].notes["metadata_card"]
    assert engines["detector"].facts["library"] == library_version()
    assert len(engines["detector"].facts["profiles"]) == 2
    assert [line for line in said if "building the engine of detector (fp32) for a GPU elsewhere" in line]
    assert [line for line in said if NOT_CHECKED in line]


def test_a_hit_touches_neither_builder_nor_parser(models: Path, tmp_path: Path) -> None:
    """A start with engines in the cache takes no minutes: in a fresh process not even our builder is imported."""
    without_device(models / "encoder.onnx", EngineCache(tmp_path))
    program = """
import sys
from pathlib import Path
import tensorrt_rtx_bindings as trt
def touched(*arguments, **named): raise AssertionError("a hit built something")
trt.Builder = trt.OnnxParser = touched
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import EngineCache
from shelfhelp_ros.inference.engine_recipe import Gpu
from shelfhelp_ros.inference.tensorrt_session import get_engines
model, folder = map(Path, sys.argv[1:])
gpu = Gpu("a GPU elsewhere", (8, 6))
engines = get_engines(model, load_card(model), gpu, EngineCache(folder), lambda content, _: len(content), touched)
print(engines.network, "shelfhelp_ros.inference.engine_builder" in sys.modules)
"""
    found = run(program, models / "encoder.onnx", tmp_path)
    size, imported = found.split()
    assert int(size) > 1000
    assert imported == "False"


def test_two_processes_build_one_engine(models: Path, tmp_path: Path) -> None:
    """Two programs that start at the same time: one builds, the other waits and finds."""
    program = """
import logging, sys
from pathlib import Path
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import EngineCache
from shelfhelp_ros.inference.engine_recipe import Gpu
from shelfhelp_ros.inference.progress import told_to
from shelfhelp_ros.inference.tensorrt_session import get_engines
model, folder = map(Path, sys.argv[1:])
gpu = Gpu("a GPU elsewhere", (8, 6))
with told_to(print):
    get_engines(model, load_card(model), gpu, EngineCache(folder), lambda content, _: content, lambda *_: None)
"""
    command = [sys.executable, "-c", program, str(models / "encoder.onnx"), str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    output = "".join(process.communicate(timeout=300)[0] for process in started)
    assert [process.returncode for process in started] == [0, 0]
    assert output.count("built the engine of encoder") == 1, output
    assert output.count("built the engine of see") == 1, output


def test_a_corrupt_engine_is_built_again(models: Path, tmp_path: Path) -> None:
    """One flipped bit in the middle, then the same engine as before."""
    cache = EngineCache(tmp_path)
    without_device(models / "encoder.onnx", cache)
    path = next(engine.path for engine in cache.list() if engine.name == "encoder")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    said: list[str] = []
    with told_to(said.append):
        without_device(models / "encoder.onnx", cache)
    assert [line for line in said if "built again: it is damaged" in line]
    assert path.read_bytes() != bytes(content)


def test_progress_is_told_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorRT reports its steps from threads of its own; on a Jetson nothing else is heard for minutes."""
    monkeypatch.setattr(engine_builder, "TELL_EVERY", 0)
    said: list[str] = []
    with told_to(said.append):
        steps = engine_builder.Steps("encoder")
        steps.phase_start("timing", None, 4)
        with ThreadPoolExecutor(1) as elsewhere:
            assert elsewhere.submit(steps.step_complete, "timing", 2).result()
    assert said == ["building the engine of encoder: timing, 3 of 4"]


def test_a_build_ends_soon_after_a_ctrl_c(models: Path, tmp_path: Path) -> None:
    """Not minutes later, when it is done; and what was half built is not kept."""
    program = """
import os, signal, sys, time
from pathlib import Path
from shelfhelp_ros.inference import engine_builder
from shelfhelp_ros.inference.card import load_card
from shelfhelp_ros.inference.engine_cache import EngineCache
from shelfhelp_ros.inference.engine_recipe import Gpu
from shelfhelp_ros.inference.tensorrt_session import get_engines
model, folder = map(Path, sys.argv[1:])
steps = []
class Interrupted(engine_builder.Steps):
    def step_complete(self, phase_name, step):
        steps.append(step)
        if len(steps) == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)
        return super().step_complete(phase_name, step)
engine_builder.Steps = Interrupted
try:
    get_engines(model, load_card(model), Gpu("a GPU elsewhere", (8, 6)), EngineCache(folder), bytes, bytes)
except KeyboardInterrupt:
    print("interrupted after", len(steps), "steps")
"""
    assert run(program, models / "encoder.onnx", tmp_path) == "interrupted after 1 steps"
    assert not EngineCache(tmp_path).list()


def test_precision_is_what_the_types_in_the_file_say(tmp_path: Path) -> None:
    """Strongly typed: a half-precision ONNX gives an engine with weights of half the size, Q/DQ one of a quarter."""
    pytest.importorskip("torch", reason="writing fewer bits comes with the extra 'training'")
    from shelfhelp_training.precision import reduce_model

    (tmp_path / "fp32").mkdir()
    save(convolution(256), encoder_card(), tmp_path / "fp32" / "encoder.onnx")
    pictures = list(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))
    for precision in ("fp16", "int8"):
        reduce_model(tmp_path / "fp32" / "encoder.onnx", tmp_path / precision / "encoder.onnx", precision, pictures)
    sizes = {}
    for precision in ("fp32", "fp16", "int8"):
        model = tmp_path / precision / "encoder.onnx"
        recipe = next(one for one in recipes(model, load_card(model), GPU) if one.model == model)
        assert recipe.precision == precision
        shapes = Profile((1, 3, 64, 64), (1, 3, 64, 64), (1, 3, 64, 64))
        only = Recipe(model, GPU, recipe.library, precision, ({"crops": shapes},))
        sizes[precision] = len(engine_builder.build(only).engine)
    weights = 256 * 256 * 9
    assert sizes["fp32"] > 4 * weights > sizes["fp16"] > 2 * weights > sizes["int8"] > weights, sizes


@pytest.mark.parametrize("shapes", [{"crops": (1, 3, 32, 32)}, {"pictures": (1, 3, 64, 64)}])
def test_shapes_that_do_not_fit_the_network_are_refused(models: Path, shapes: dict[str, tuple[int, ...]]) -> None:
    """A card edited by hand is found when the engine is built."""
    profile = {name: Profile(shape, shape, shape) for name, shape in shapes.items()}
    recipe = Recipe(models / "encoder.onnx", GPU, library_version(), "fp32", (profile,))
    with pytest.raises(ShelfHelpError, match=r"encoder\.onnx"):
        engine_builder.build(recipe)


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    """With the file's name and without the parser's source lines."""
    (tmp_path / "encoder.onnx").write_bytes(b"not a network")
    recipe = Recipe(tmp_path / "encoder.onnx", GPU, library_version(), "fp32", ())
    with pytest.raises(ShelfHelpError, match=r"TensorRT cannot read .*encoder\.onnx") as caught:
        engine_builder.build(recipe)
    assert ".cpp" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_this_tensorrt_does_not_know_is_named(models: Path) -> None:
    """TensorRT for RTX knows no Orin (8.7); it says which it knows."""
    with pytest.raises(ShelfHelpError, match=r"does not know compute capability 8\.7; it knows .*8\.6"):
        engine_builder.build(encoder_recipe(models, Gpu("Orin", (8, 7))))


def test_the_shipped_encoder_becomes_an_engine(shipped_models: Path, tmp_path: Path) -> None:
    """What ships is what TensorRT takes: its weights are all in the engine."""
    model = shipped_models / "encoder.onnx"
    card = load_card(model)
    recipe = Recipe(model, GPU, library_version(), "fp32", profiles_for(card)[:1])
    assert len(engine_builder.build(recipe).engine) > model.stat().st_size


def run(program: str, *arguments: Path) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()
