"""Packs that somebody holds up to the camera, at random: what a detector that finds them is trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.simulation.scene import CameraPose, ShelfScene

Vector = npt.NDArray[np.float64]
#: Metres from the camera to the middle of the pack's front; never further than this share of the way to the shelf.
DISTANCE = (0.2, 0.55)
CLEAR = 0.75
#: How far beside the camera's axis it is held, metres: mean and spread to the right and down.
MIDDLE, SPREAD = np.array([0.0, 0.02]), np.array([0.05, 0.04])
#: Rolls of the arm in degrees, from below, from above and from the sides, and how often each is drawn.
ROLLS = {0.0: 0.4, 180.0: 0.3, 90.0: 0.15, -90.0: 0.15}
#: Where the fingers are, as a share of the pack's height or width from its middle towards the arm.
GRIP = (0.2, 0.5)


@dataclass(frozen=True)
class Held:
    """Pack ``pack`` is ``shift`` (3,) metres from its place; the fingertips are at ``hand`` (3,), metres in the world,
    and the arm is rolled by ``roll`` degrees (``ShelfScene.move_hand``)."""

    pack: int
    shift: Vector
    hand: Vector
    roll: float


def random_held(rng: np.random.Generator, scene: ShelfScene, pose: CameraPose) -> Held:
    """Any pack of the shelf, held before the camera by its lower or upper part or by a side."""
    pack = int(rng.integers(len(scene.stock.packs)))
    product = scene.stock.packs[pack].product
    across, down = rng.normal(MIDDLE, SPREAD)
    furthest = np.clip(CLEAR * -pose.position[1], *DISTANCE)
    front = pose.to_world(np.array([across, down, rng.uniform(DISTANCE[0], furthest)]))
    roll = float(rng.choice(list(ROLLS), p=list(ROLLS.values())))
    share = rng.uniform(*GRIP)
    # The arm comes from below (0 degrees), the left (90), above (180) or the right (-90).
    beside = -np.sin(np.radians(roll)) * product.width * share
    above = -np.cos(np.radians(roll)) * product.height * share
    hand = front + np.array([beside, -rng.uniform(0.0, 0.015), above])
    return Held(pack, front - scene.front(pack), hand, roll + float(rng.normal(0, 15)))
