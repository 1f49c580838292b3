"""Lets the virtual environment's Python load shelfhelp_interfaces where ROS 2 is an installation.

build_interfaces.py puts this file and a .pth that imports it into site-packages. ROS loads the type support of messages
by bare library names, and the loader reads LD_LIBRARY_PATH only when a process starts: so the interpreter starts once
more with it. The ROS wheels bring the same arrangement themselves.
"""

from __future__ import annotations

import os
import sys


def start_again_with_libraries() -> None:
    """Restart this interpreter with the environment's lib folder on LD_LIBRARY_PATH, when ROS is sourced without it."""
    libraries = os.path.join(sys.prefix, "lib")
    known = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if path]
    if libraries in known or not os.environ.get("AMENT_PREFIX_PATH"):
        return
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([libraries, *known])
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


start_again_with_libraries()
