"""Build shelfhelp_interfaces with colcon into the virtual environment of the Python that runs this file.

The ROS wheels from PyPI keep a whole ROS prefix in the virtual environment (lib/, share/, include/), and the
interfaces go into the same prefix, so that they are found exactly where the wheels' own messages are.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy

ROOT = Path(__file__).resolve().parent.parent
PREFIX = Path(sys.prefix)
BUILD = ROOT / "build" / "venv-interfaces"

# Folders of the container that built the wheels, named in their exported CMake targets.
BUILD_CONTAINER_NUMPY = re.compile(
    r"/opt/python/cp[0-9]+-cp[0-9]+/lib/python[0-9.]+/site-packages/numpy/_?core/include"
)
BUILD_CONTAINER_PYTHON = re.compile(r"/opt/python/cp[0-9]+-cp[0-9]+/include/python3\.[0-9]+")


def mend_wheel_cmake_files(share: Path, python_include: str, numpy_include: str) -> int:
    """Replace the Python and NumPy include folders in share/*/cmake; returns how many files were changed."""
    changed = 0
    for file in share.glob("*/cmake/*Export.cmake"):
        text = file.read_text(encoding="utf-8")
        mended = BUILD_CONTAINER_NUMPY.sub(lambda _: numpy_include, text)
        mended = BUILD_CONTAINER_PYTHON.sub(lambda _: python_include, mended)
        if mended != text:
            file.write_text(mended, encoding="utf-8")
            changed += 1
    return changed


def build_environment() -> dict[str, str]:
    """The environment for colcon: this virtual environment first on every path that ament and CMake look at."""
    environment = dict(os.environ)
    for name in ("CMAKE_PREFIX_PATH", "AMENT_PREFIX_PATH"):
        environment[name] = os.pathsep.join(filter(None, [str(PREFIX), os.environ.get(name)]))
    environment["PATH"] = os.pathsep.join([str(PREFIX / "bin"), os.environ.get("PATH", os.defpath)])
    environment.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(os.cpu_count() or 1))
    return environment


def colcon_command() -> list[str]:
    site_packages = Path(sysconfig.get_path("purelib")).relative_to(PREFIX)
    return [
        *(sys.executable, "-m", "colcon", "--log-base", str(BUILD / "log"), "build", "--merge-install"),
        *("--base-paths", str(ROOT / "shelfhelp_interfaces"), "--build-base", str(BUILD)),
        *("--install-base", str(PREFIX)),
        "--cmake-args",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DBUILD_TESTING=OFF",
        f"-DPython3_EXECUTABLE={sys.executable}",
        f"-DPYTHON_INSTALL_DIR={site_packages}",
    ]


def let_python_find_the_libraries(site_packages: Path) -> None:
    """Install interface_libraries.py, unless ROS comes from wheels, which do the same."""
    if importlib.util.find_spec("ros_wheels_bootstrapper") is None:
        shutil.copyfile(ROOT / "scripts" / "interface_libraries.py", site_packages / "shelfhelp_interface_libraries.py")
        pth = site_packages / "shelfhelp_interface_libraries.pth"
        pth.write_text("import shelfhelp_interface_libraries\n", encoding="utf-8")


def main() -> int:
    if sys.prefix == sys.base_prefix:
        print("build_interfaces: run this with the Python of the virtual environment", file=sys.stderr)
        return 2
    mend_wheel_cmake_files(PREFIX / "share", sysconfig.get_path("include"), numpy.get_include())
    status = subprocess.run(colcon_command(), cwd=ROOT, env=build_environment(), check=False).returncode
    if status == 0:
        let_python_find_the_libraries(Path(sysconfig.get_path("purelib")))
    return status


if __name__ == "__main__":
    sys.exit(main())
