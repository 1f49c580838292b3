"""Without MuJoCo or OpenGL the simulation says what to install."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys

import numpy as np
import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation import renderer
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import make_products
from shelfhelp_ros.simulation.scene import CameraPose, SceneSettings, ShelfScene

CLEAN = Effects(blur=0, noise=0, vignette=0)


def test_missing_mujoco_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the user without the extra `sim`: one sentence with the command that mends it."""
    monkeypatch.setenv("MUJOCO_GL", "egl")
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ShelfHelpError, match="pip install"):
        renderer.load_mujoco()


def test_missing_opengl_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Protects the user without OpenGL: the packages to install stand in the message."""
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ShelfHelpError, match="apt-get install libegl1"):
        renderer.load_mujoco()


@pytest.mark.usefixtures("_opengl")
def test_renders_even_if_mujoco_was_loaded_first() -> None:
    """Protects programs that import MuJoCo for themselves, without a screen and without MUJOCO_GL."""
    script = (
        "import warnings; warnings.simplefilter('ignore'); import mujoco\n"
        "from shelfhelp_ros.simulation.camera import ShelfSettings, SimulatedShelf\n"
        "with SimulatedShelf(ShelfSettings(products=1, layout='small', width=64, height=48)) as shelf:\n"
        "    print(shelf.render().image.std() > 1)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY", "PYOPENGL_PLATFORM")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("True"), done.stderr


@pytest.mark.usefixtures("_opengl")
def test_scenes_side_by_side_do_not_disturb_each_other() -> None:
    """Protects programs with two cameras: each scene draws with its own OpenGL context."""
    settings = SceneSettings(layout=LAYOUTS["small"], width=64, height=48, texture=64)
    pose = CameraPose.looking_at(np.array([0.0, -0.8, 0.3]), np.array([0.0, 0.0, 0.2]))
    with ShelfScene(make_products(1, 2), 1, settings) as one:
        alone = one.render(pose, CLEAN)
        with ShelfScene(make_products(2, 2), 2, settings) as other:
            beside = other.render(pose, CLEAN)
            assert np.array_equal(one.render(pose, CLEAN).image, alone.image)
            assert np.array_equal(other.render(pose, CLEAN).image, beside.image)
        assert np.array_equal(one.render(pose, CLEAN).depth, alone.depth, equal_nan=True)
    assert not np.array_equal(alone.image, beside.image)
