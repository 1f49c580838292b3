"""``shelfhelp engines``: real engines in a folder of its own, and one line where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shelfhelp_ros.cli.engines import command
from shelfhelp_ros.inference import cuda, tensorrt_library
from shelfhelp_ros.inference.engine_cache import EngineCache, Product, RefusedError
from shelfhelp_ros.inference.engine_recipe import Gpu, Recipe


def engines(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_build_list_and_clear(tiny_models: Path, tmp_path: Path) -> None:
    """What was built is listed with what it is, and gone after a clear."""
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX comes with the extra 'rtx'")
    folder = ["--engines", str(tmp_path / "engines")]
    built = engines("build", "--models", str(tiny_models), "--for", "8.9", *folder)
    assert built.exception is None, built.exception
    facts = [json.loads(line) for line in built.stdout.splitlines()]
    assert [one["name"] for one in facts] == ["detector", "encoder", "see", "see", "suppress"]
    assert {one["compute_capability"] for one in facts} == {"8.9"}
    assert facts[0]["parity"] == "not checked: no device"
    assert "building the engine of encoder" in built.stderr
    listed = engines("list", *folder)
    assert [line.split("\t")[0] for line in listed.stdout.splitlines()] == [one["name"] for one in facts]
    assert [json.loads(line) for line in engines("list", "--json", *folder).stdout.splitlines()] == facts
    assert engines("clear", *folder).stdout == f"removed 5 engines from {tmp_path / 'engines'}\n"
    assert engines("list", *folder).stderr == f"no engines in {tmp_path / 'engines'}\n"


def test_refused_engines_are_listed_and_cleared(tmp_path: Path) -> None:
    """With the reason, which is all that there is of them."""
    (tmp_path / "encoder.onnx").write_bytes(b"a network")
    recipe = Recipe(tmp_path / "encoder.onnx", Gpu("Orin", (8, 7)), "TensorRT 10.3.0", "fp16", ())

    def refuse(timing_cache: bytes) -> Product:
        raise RefusedError("agrees to 0.9 only")

    with pytest.raises(RefusedError):
        EngineCache(tmp_path).get(recipe, refuse, bytes)
    folder = ["--engines", str(tmp_path)]
    assert engines("list", *folder).stdout == "encoder\trefused\tfp16\tOrin\tTensorRT 10.3.0\tagrees to 0.9 only\n"
    assert json.loads(engines("list", "--json", *folder).stdout)["refused"] == "agrees to 0.9 only"
    engines("clear", *folder)
    assert engines("list", *folder).stderr == f"no engines in {tmp_path}\n"


def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    """Engines are for the GPU of the machine; what is missing is named."""
    missing = cuda.obstacle()
    if not missing:
        pytest.skip("this machine has a GPU")
    answer = engines("build", "--engines", str(tmp_path))
    if tensorrt_library.find_library():
        assert missing in str(answer.exception)
    else:
        assert "TensorRT is not installed" in str(answer.exception)


def test_without_tensorrt_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No traceback of a missing module."""
    monkeypatch.setattr(tensorrt_library, "MODULES", ("a_library_that_is_not_there",))
    answer = engines("build", "--for", "8.9", "--engines", str(tmp_path))
    assert "TensorRT is not installed; install JetPack's" in str(answer.exception)


@pytest.mark.parametrize("capability", ["eight", "8", "8.x", ""])
def test_a_capability_that_is_none(capability: str, tmp_path: Path) -> None:
    """Refused before anything is built."""
    if not tensorrt_library.find_library():
        pytest.skip("TensorRT is not installed")
    answer = engines("build", "--for", capability, "--engines", str(tmp_path))
    assert "is not a compute capability; give it as 8.9" in str(answer.exception)
