"""A small shelf, rendered once for all tests that look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.camera import ShelfSettings, SimulatedShelf
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.products import make_products
from shelfhelp_ros.simulation.scene import SceneSettings, ShelfScene


@pytest.fixture(scope="session")
def _opengl() -> None:
    """Skips when MuJoCo or an OpenGL library is missing."""
    pytest.importorskip("mujoco", reason="MuJoCo is not installed")
    try:
        with ShelfScene(make_products(0, 1), 0, SceneSettings(layout=LAYOUTS["small"], width=32, height=32)):
            pass
    except ShelfHelpError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def small_scene(_opengl: None) -> Iterator[ShelfScene]:
    """Two rows of a dozen products, 320×240."""
    settings = SceneSettings(layout=LAYOUTS["small"], width=320, height=240, shadows=False, texture=96)
    with ShelfScene(make_products(5, 12), 5, settings) as scene:
        yield scene


@pytest.fixture
def shelf(_opengl: None) -> Iterator[SimulatedShelf]:
    """A simulated camera and hand, 320×240, with little to draw."""
    settings = ShelfSettings(seed=3, products=4, layout="small", width=320, height=240, motion="still")
    with SimulatedShelf(settings) as simulated:
        yield simulated
