"""What the launch files name exists, also where `ros2 launch` is not at hand: executables, parameters, arguments."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = sorted((ROOT / "launch").glob("*.launch.py"))


def setup_text() -> str:
    return (ROOT / "setup.py").read_text(encoding="utf-8")


def started(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Nodes that a launch file starts by its own ``node(given, NAME, PARAMETERS, …)``, and the parameters it gives."""
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(function, ast.FunctionDef):
            continue
        named = {
            node.targets[0].id: node.value
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "node":
                assert isinstance(call.args[1], ast.Constant)
                yield str(call.args[1].value), keys(call.args[2], named)


def keys(value: ast.expr, named: Mapping[str, ast.expr]) -> set[str]:
    """The keys of a mapping in the source: written out, gone through by a comprehension, or behind a name."""
    if isinstance(value, ast.Name):
        return keys(named[value.id], named) if value.id in named else set()
    if isinstance(value, ast.DictComp):
        return set(ast.literal_eval(value.generators[0].iter))
    assert isinstance(value, ast.Dict)
    found = set()
    for key, of in zip(value.keys, value.values, strict=True):
        found |= keys(of, named) if key is None else {ast.literal_eval(key)}
    return found


def test_every_node_has_an_executable_and_every_parameter_is_declared() -> None:
    """A launch file with a misspelt name fails on the robot, not here; this is here."""
    pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
    nodes = list(started(ROOT / "launch" / "assist.launch.py"))
    assert {"perception", "guidance", "speech", "haptics", "hand", "recorder"} == {name for name, _ in nodes}
    assert any(given for _, given in nodes)
    for name, given in nodes:
        assert f'"{name}_node = shelfhelp_ros.nodes.{name}_node:main"' in setup_text()
        declared = {setting.name for setting in importlib.import_module(f"shelfhelp_ros.nodes.{name}_node").SETTINGS}
        assert given <= declared, f"{name} has no parameter {', '.join(sorted(given - declared))}"


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_arguments_are_declared_before_they_are_read(path: Path) -> None:
    """Every LaunchConfiguration and ``given[…]`` is an argument of this file or of the one that it includes."""
    source = path.read_text(encoding="utf-8")
    declared = set(re.findall(r'^    \(\s*"(\w+)",', source, re.M)) | set(
        re.findall(r'DeclareLaunchArgument\("(\w+)"', source)
    )
    declared |= set(re.findall(r'SetLaunchConfiguration\("(\w+)"', source))
    if "assist.launch.py" in source and path.name != "assist.launch.py":
        assist = (ROOT / "launch" / "assist.launch.py").read_text(encoding="utf-8")
        declared |= set(re.findall(r'^    \(\s*"(\w+)",', assist, re.M))
    read = set(re.findall(r'LaunchConfiguration\("(\w+)"\)', source)) | set(re.findall(r'given\["(\w+)"\]', source))
    assert read
    assert read <= declared


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_descriptions_teach(path: Path) -> None:
    """`ros2 launch … --show-args` says of every argument what it does."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    table = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS")
    assert isinstance(table, ast.Tuple)
    for row in table.elts:
        assert isinstance(row, ast.Tuple)
        text = row.elts[2]
        assert isinstance(text, ast.Constant)
        assert len(str(text.value)) > 8
