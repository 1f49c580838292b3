"""The walls of the house: who may import whom, what the robot may not need, and what never enters the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
RUNTIME = REPOSITORY / "shelfhelp_ros"
FLOORS = [
    {"errors", "geometry", "sightings", "resources", "images"},
    {"inference"},
    {"perception", "catalogue"},
    {"guidance"},
    {"feedback", "simulation"},
    {"benchmark", "regression"},
    {"nodes"},
    {"cli"},
]
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
ROS_MODULES = re.compile(
    r"^(rclpy|launch|launch_ros|cv_bridge|ament_index_python|shelfhelp_interfaces|\w+_msgs|std_srvs)$"
)
ROS_ALLOWED = {"nodes", "resources", "cli/doctor.py"}


def sources() -> list[Path]:
    return sorted(RUNTIME.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def room(path: Path) -> str:
    first = path.relative_to(RUNTIME).parts[0]
    return first.removesuffix(".py")


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_file_imports_from_its_own_floor_or_below(path: Path) -> None:
    """A room that reaches upwards ties the robot's parts into a knot."""
    own = FLOOR_OF.get(room(path), len(FLOORS))
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "shelfhelp_ros" and len(parts) > 1:
            assert parts[1] in FLOOR_OF, f"{name} has no floor yet"
            assert FLOOR_OF[parts[1]] <= own, f"{path.name} imports {name} from a floor above"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_the_runtime_needs_no_torch_and_only_nodes_know_ros(path: Path) -> None:
    """The robot runs without PyTorch, and the pipeline without ROS."""
    inside = room(path) in ROS_ALLOWED or str(path.relative_to(RUNTIME)) in ROS_ALLOWED
    for name in imports(path):
        top = name.split(".")[0]
        assert top not in {"torch", "torchvision", "lightning", "pytorch_lightning", "shelfhelp_training"}, name
        assert inside or not ROS_MODULES.match(top), f"{name} belongs in nodes/"


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout: which files are committed is unknown")
    return listing.stdout.splitlines()


def test_shipped_models_stay_small() -> None:
    """A clone carries every model: together they stay below 25 MB."""
    models = [REPOSITORY / name for name in tracked() if name.endswith(".onnx")]
    assert models
    assert sum(path.stat().st_size for path in models) < 25e6


def test_shipped_models_name_no_folder_of_the_machine_that_made_them() -> None:
    """Exporters leave stack traces in ONNX files; ours are taken out."""
    for name in tracked():
        if name.endswith(".onnx"):
            content = (REPOSITORY / name).read_bytes()
            assert b"site-packages" not in content, name
            assert b'File "' not in content, name


def test_no_engines_data_sets_bags_or_videos_are_committed() -> None:
    """These are made, not committed."""
    forbidden = {".engine", ".plan", ".db3", ".mcap", ".mp4", ".webm", ".avi", ".ckpt", ".pt", ".pth", ".npz"}
    assert [name for name in tracked() if Path(name).suffix in forbidden] == []
