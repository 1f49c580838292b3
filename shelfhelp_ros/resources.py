"""Where the files that ship beside the code lie: settings, phrases, camera descriptions, launch files."""

from __future__ import annotations

from pathlib import Path

from shelfhelp_ros.errors import ShelfHelpError

PACKAGE = Path(__file__).resolve().parent


def resource_folder(name: str) -> Path:
    """The folder ``name`` (``config``, ``launch``) of the installation that this code belongs to.

    In a source checkout (also one installed with ``pip install -e`` or ``colcon --symlink-install``) it lies beside
    the package. Everywhere else setuptools put it under ``share/shelfhelp`` of the prefix that holds the package:
    a virtual environment, the user's folder, a colcon install folder. Raises ShelfHelpError when it is in neither.
    """
    checkout = PACKAGE.parent / name
    if (PACKAGE.parent / "setup.py").is_file() and checkout.is_dir():
        return checkout
    for prefix in PACKAGE.parents:
        installed = prefix / "share" / "shelfhelp" / name
        if installed.is_dir():
            return installed
    raise ShelfHelpError(f"the folder {name} of shelfhelp is missing; reinstall shelfhelp")


def config_folder() -> Path:
    """The folder with ``assist.yaml``, ``cameras/`` and ``phrases/``."""
    return resource_folder("config")


def launch_folder() -> Path:
    """The folder with the launch files."""
    return resource_folder("launch")
