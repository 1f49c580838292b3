"""What the launch files name exists, also where `ros2 launch` is not at hand: executables, parameters, arguments."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, patch
from xml.etree import ElementTree

import pytest

from shelfhelp_ros.cli.replay import command
from shelfhelp_ros.nodes import cameras

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = sorted((ROOT / "launch").glob("*.launch.py"))


def setup_text() -> str:
    return (ROOT / "setup.py").read_text(encoding="utf-8")


def started(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Nodes that a launch file starts by its own ``node(given, NAME, PARAMETERS, …)``, and the parameters it gives."""
    for name, call, named in calls(path):
        yield name, keys(call.args[2], named)


def calls(path: Path) -> Iterator[tuple[str, ast.Call, dict[str, ast.expr]]]:
    """Those nodes, each with the call that starts it and what names in the same function stand for."""
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
                yield str(call.args[1].value), call, named


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
def test_every_declared_argument_is_read(path: Path) -> None:
    """One that only `--show-args` knows would do nothing when it is given."""
    table = table_of(path)
    rest = [part for part in ast.parse(path.read_text(encoding="utf-8")).body if ast.dump(part) != ast.dump(table)]
    named = {node.value for part in rest for node in ast.walk(part) if isinstance(node, ast.Constant)}
    assert {name for name, _, _ in rows_of(table)} <= named


@pytest.mark.parametrize("path", LAUNCH, ids=lambda path: path.name)
def test_descriptions_teach(path: Path) -> None:
    """`ros2 launch … --show-args` says of every argument what it does."""
    for _, _, text in rows_of(table_of(path)):
        assert isinstance(text, str)
        assert len(text) > 8


def table_of(path: Path) -> ast.Assign:
    """The statement that declares a launch file's arguments."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "ARGUMENTS")


def rows_of(table: ast.Assign) -> list[list[object]]:
    """Name, default and description of each; None where it is no constant."""
    assert isinstance(table.value, ast.Tuple)
    return [[getattr(cell, "value", None) for cell in row.elts] for row in table.value.elts]


def test_who_reads_pictures_gets_the_names_of_the_camera() -> None:
    """Nodes with remappings open every topic that these can move, those without open none of them."""
    assist = ROOT / "launch" / "assist.launch.py"
    moved = {name for name, call, _ in calls(assist) if not isinstance(call.args[3], ast.List)}
    policy = ElementTree.parse(ROOT / "config" / "security" / "policy.xml")
    for profile in policy.iter("profile"):
        listened = {entry.text for block in profile.iter("topics") if "subscribe" in block.attrib for entry in block}
        opened = listened & set(cameras.TOPICS)
        assert opened == (set(cameras.TOPICS) if profile.attrib["node"] in moved else set()), profile.attrib
    assert {ours for ours, _ in cameras.camera_topics("head", "compressed").remappings} == set(cameras.TOPICS)


@pytest.fixture
def replay(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launch file of replays, over a `launch` that only takes down what it is given."""
    parts = ("actions", "conditions", "event_handlers", "events", "launch_description_sources", "substitutions")
    for name in ("launch", *(f"launch.{part}" for part in parts)):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    sys.modules["launch.substitutions"].LaunchConfiguration = lambda name: SimpleNamespace(
        perform=lambda context: context.launch_configurations[name]
    )
    spec = importlib.util.spec_from_file_location("replay_launch", ROOT / "launch" / "replay.launch.py")
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def played(replay: ModuleType, **given: str) -> dict[str, Any]:
    """What `shelfhelp replay` understands of the call that the launch file makes of these arguments."""
    defaults = {name: default for name, default, _ in replay.ARGUMENTS}
    replay.play(SimpleNamespace(launch_configurations={"bag": "walk", "bag_opens": "true", **defaults, **given}))
    line = replay.ExecuteProcess.call_args.kwargs["cmd"]
    assert line[1:4] == ["-m", "shelfhelp_ros", "replay"]
    return command.make_context("replay", line[4:]).params


def test_replay_plays_into_the_nodes_that_it_starts(replay: ModuleType) -> None:
    """A flag that the command does not know would end the launch before the first frame."""
    taken = played(replay, namespace="walker", target="Oats", loop="true", rate="2", start="1", duration="3")
    expected = {"play_only": True, "namespace": "walker", "target": "Oats", "loop": True, "rate": 2.0, "start": 1.0}
    assert expected.items() | {("duration", 3.0), ("bag_path", Path("walk"))} <= taken.items()
    assert played(replay)["duration"] is None


@pytest.mark.parametrize("given", [{"expectations": "mine.yaml"}, {"junit": "replay.xml"}])
def test_replay_can_check_a_bag(replay: ModuleType, given: dict[str, str]) -> None:
    """The assistant then runs in the player's process, with what the launch was told of it, and no node beside it."""
    passed = dict.fromkeys(replay.PASSED_ON, "given")
    taken = played(replay, duration="3", namespace="", **given, **passed)
    assert not taken["play_only"]
    assert {name: str(taken[name]) for name in (*given, *passed)} == given | passed
    with patch.object(replay, "Bag"):
        context = SimpleNamespace(launch_configurations={"bag": "walk", "expectations": "", "junit": "", **given})
        replay.look_into_bag(context)
    assert ("nodes_start", "false") in [call.args for call in replay.SetLaunchConfiguration.call_args_list]
