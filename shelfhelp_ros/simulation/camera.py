"""A shelf, a camera and a hand in one: what stands in for the robot's camera and its wearer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.geometry import CameraModel
from shelfhelp_ros.simulation.contact import PackBodies
from shelfhelp_ros.simulation.effects import Effects
from shelfhelp_ros.simulation.hearing import Asked, Gesture, gesture_asked_for, movements_asked_for
from shelfhelp_ros.simulation.layout import LAYOUTS, Pack
from shelfhelp_ros.simulation.products import Product, make_products, products_from_folder
from shelfhelp_ros.simulation.scene import CameraPose, Look, RenderedFrame, SceneSettings, ShelfScene
from shelfhelp_ros.simulation.shopper import NEGATIVE, HandSettings, SimulatedHand, turn_asked_for
from shelfhelp_ros.simulation.views import pick_products

Vector = npt.NDArray[np.float64]
Motion = Literal["still", "handheld", "pan"]
MOTIONS: tuple[Motion, ...] = ("still", "handheld", "pan")

TURN_SPEED = 25.0
TURN_LIMIT = 40.0
#: Where the middle of a pack is held that is shown to the camera, closer to it, and at its top, in the optical frame.
SHOWN, CLOSER, AT_TOP = np.array([0.0, 0.03, 0.42]), np.array([0.0, 0.02, 0.3]), np.array([0.0, 0.02, 0.36])
#: Where on its front a pack is held, as a share of its height above the middle: it is taken by its lower part.
_LOW, _TOP = -0.35, 0.4
#: Seconds that it takes to hold it elsewhere.
_REGRIP = 1.5


@dataclass(frozen=True)
class ShelfSettings:
    """What to simulate. ``products`` is how many different ones are offered; ``packshots`` a folder of pictures to use
    as packs; ``layout`` one of ``layout.LAYOUTS``; ``distance`` metres from the camera to the shelf's edge;
    ``field_of_view`` horizontal degrees; ``motion`` of the camera; ``random_look`` a shop by the seed instead of a
    plain bright one.
    """

    seed: int = 0
    products: int = 20
    packshots: str = ""
    layout: str = "normal"
    width: int = 640
    height: int = 480
    field_of_view: float = 62.0
    distance: float = 0.75
    motion: Motion = "handheld"
    hand: bool = True
    shadows: bool = False
    random_look: bool = False
    effects: Effects = field(default_factory=Effects)
    hand_settings: HandSettings = field(default_factory=HandSettings)

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ShelfHelpError(f"the layout is {self.layout!r}; it has to be one of {', '.join(LAYOUTS)}")
        if self.motion not in MOTIONS:
            raise ShelfHelpError(f"the camera's motion is {self.motion!r}; it has to be one of {', '.join(MOTIONS)}")
        if not (16 <= self.width <= 4096 and 16 <= self.height <= 4096):
            raise ShelfHelpError(
                f"the picture's size is {self.width}x{self.height}; each side has to be 16 to 4096 pixels"
            )


@dataclass(frozen=True)
class PackTruth:
    """Where one pack is: its number, its product, and the middle of its front (3,), metres in the optical frame."""

    pack: int
    product: Product
    position: Vector


class SimulatedShelf:
    """A camera before a shelf, and a hand. Time passes only in ``step``.

    The same settings and the same calls give the same pictures on one machine. Close it when done, or use it in a
    ``with`` statement. OpenGL contexts belong to a thread: make, use and close it in the same one.
    """

    frame_id = "camera_color_optical_frame"

    def __init__(self, settings: ShelfSettings | None = None) -> None:
        self.settings = settings = settings or ShelfSettings()
        rng = np.random.default_rng([settings.seed, 0xCA])
        layout = LAYOUTS[settings.layout]
        look = Look.sample(rng) if settings.random_look else Look()
        scene_settings = SceneSettings(
            layout,
            look,
            settings.effects,
            settings.width,
            settings.height,
            settings.field_of_view,
            settings.shadows,
            texture=256,
        )
        offered = _offered_products(settings, rng, layout.rows)
        self._scene = ShelfScene(offered, settings.seed, scene_settings)
        self._bodies = PackBodies(self._scene.stock.packs)
        self._waves = rng.uniform(0, 2 * np.pi, 6)
        self._middle = np.array([0.0, 0.0, self._scene.stock.top / 2])
        self._turn = np.zeros(2)
        self._turn_goal = np.zeros(2)
        self._taking = False
        self._grip = np.zeros(3)
        self._held_at = _LOW
        self._regrip_at = math.inf
        self.held: int | None = None
        self.time = 0.0
        self.hand = SimulatedHand(self._hand_start(), settings.seed, settings.hand_settings)

    def __enter__(self) -> SimulatedShelf:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the OpenGL context back."""
        self._scene.close()

    @property
    def camera(self) -> CameraModel:
        """The pinhole camera of the pictures."""
        return self._scene.camera

    @property
    def packs(self) -> tuple[Pack, ...]:
        """Every pack on the shelf; their order is that of the numbers in truths and frames."""
        return self._scene.stock.packs

    @property
    def products(self) -> list[Product]:
        """The different products that stand on the shelf, by id."""
        unique = {pack.product.id: pack.product for pack in self.packs}
        return [unique[product_id] for product_id in sorted(unique)]

    @property
    def camera_pose(self) -> CameraPose:
        """Where the camera is now."""
        position = self._middle + np.array([0.0, -self.settings.distance, 0.05])
        yaw, pitch = np.radians(self._turn)
        if self.settings.motion == "handheld":
            wave = np.sin(self.time * np.array([1.3, 1.9, 1.1, 0.7, 1.6, 0.9]) + self._waves)
            position = position + wave[:3] * np.array([0.012, 0.006, 0.008])
            yaw, pitch = yaw + wave[3] * 0.012, pitch + wave[4] * 0.008
            roll = float(wave[5]) * 0.8
        elif self.settings.motion == "pan":
            sweep = np.sin(self.time * 0.5 + self._waves[0])
            reach = sweep * self._scene.stock.layout.width * 0.25
            position = position + np.array([reach, 0, 0.04 * np.sin(self.time * 0.8)])
            yaw, roll = yaw + 0.1 * float(np.cos(self.time * 0.5)), 0.0
        else:
            roll = 0.0
        forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
        return CameraPose.looking_at(position, position + forward, roll)

    @property
    def hand_position(self) -> Vector:
        """The fingertips (3,), metres in the optical frame."""
        return self.camera_pose.to_optical(self.hand.position)

    @property
    def touched(self) -> Product | None:
        """The product that the hand holds or touches."""
        pack = self.hand.touched if self.held is None else self.held
        return None if pack is None else self.packs[pack].product

    def take(self, pack: int) -> None:
        """The hand takes a pack by its lower part; from now on it goes where the hand goes."""
        product = self.packs[pack].product
        self.held, self._taking = pack, False
        self._bodies.take_away(pack)
        self._held_at = _LOW
        self._grip = self._scene.front(pack) - [0.0, self.settings.hand_settings.radius, -_LOW * product.height]
        self.hand.place(self._grip)

    def put_back(self) -> None:
        """The pack in the hand stands at its place again; the hand is before it, where it took it."""
        if self.held is not None:
            self._hold(_LOW)
            self._scene.move_pack(self.held, np.zeros(3))
            self._bodies.put_back(self.held)
            self.hand.place(self._grip - [0.0, 0.02, 0.0])
        self.held, self._taking, self._regrip_at = None, False, math.inf

    def _hold(self, share: float) -> None:
        """The hand holds its pack at another height, at once."""
        assert self.held is not None
        up = np.array([0.0, 0.0, (share - self._held_at) * self.packs[self.held].product.height])
        self._grip, self._held_at, self._regrip_at = self._grip + up, share, math.inf
        self.hand.place(self.hand.position + up)

    def hear(self, text: str, axis: str = "", distance: float = math.nan, phase: str = "") -> None:
        """Something is said to the person now; see ``SimulatedHand.hear``.

        English words count first: *turn* and *point* move the camera instead of the hand, and amounts move it as far as
        people go on them. Where the words say nothing the numbers do; without a distance *left*, *up* and *back* are
        the negative sides.
        """
        turn = turn_asked_for(text)
        if turn is not None:
            self._turn_goal = np.clip(self._turn + np.array(turn), -TURN_LIMIT, TURN_LIMIT)
            return
        asked, gesture = movements_asked_for(text) if axis else (), gesture_asked_for(text)
        if gesture is Gesture.TAKE and self.held is None:
            self._reach_and_take(asked)
            return
        if gesture is not None:
            self.gesture(gesture)
            return
        if axis and math.isnan(distance):
            negative = NEGATIVE.intersection(text.lower().rstrip(".").split())
            distance = math.copysign(self.settings.hand_settings.blind_step, -1 if negative else 1)
        if asked:
            self.hand.follow(asked, self.camera_pose.rotation, self.time)
        else:
            self.hand.hear(axis, distance, self.camera_pose.rotation, self.time, phase)

    def gesture(self, gesture: Gesture) -> None:
        """Take what the hand is at and hold it up, hold it closer or at its top, put it back, or show the hand."""
        if gesture is Gesture.TAKE and self.held is None:
            self._reach_and_take(())
        elif gesture is Gesture.PUT_BACK:
            self.put_back()
            self.hand.hear("", math.nan, self.camera_pose.rotation, self.time, "stopped")
        elif gesture in (Gesture.TAKE, Gesture.SHOW_HAND, Gesture.CLOSER):
            self._show(CLOSER if gesture is Gesture.CLOSER else SHOWN)
        elif gesture is Gesture.AT_TOP and self.held is not None:
            self._regrip_at = self.time + self.settings.hand_settings.reaction + _REGRIP
        elif gesture is Gesture.LOWER:
            self.hand.go_to(self.hand.position - [0.0, 0.0, 0.15], self.time)

    def _reach_and_take(self, asked: tuple[Asked, ...]) -> None:
        """Move as asked and on to the shelf, and take what is felt there."""
        self._taking = True
        self.hand.follow(asked, self.camera_pose.rotation, self.time, reach=True)

    def _show(self, where: Vector) -> None:
        """Hold the hand, or the pack in it, where the camera sees it."""
        low = 0.0 if self.held is None else -self._held_at * self.packs[self.held].product.height
        self.hand.go_to(self.camera_pose.to_world(where + np.array([0.0, low, 0.0])), self.time)

    def step(self, seconds: float) -> None:
        """Let time pass for the camera and the hand."""
        remaining = seconds
        while remaining > 1e-9:
            tick = min(remaining, 0.02)
            self.time += tick
            remaining -= tick
            self._turn += np.clip(self._turn_goal - self._turn, -TURN_SPEED * tick, TURN_SPEED * tick)
            self.hand.step(tick, self.time, self._bodies)
            if self._taking and self.hand.feels and self.hand.touched is not None:
                self.take(self.hand.touched)
                self._show(SHOWN)
            if self.time >= self._regrip_at:
                self._hold(_TOP)
                self._show(AT_TOP)
        if self.held is not None:
            self._scene.move_pack(self.held, self.hand.position - self._grip)

    def render(self, truth: bool = True) -> RenderedFrame:
        """The camera's picture now."""
        from_above = self.held is not None and self._held_at > 0
        self._scene.move_hand(self.hand.position if self.settings.hand else None, 180.0 if from_above else 0.0)
        return self._scene.render(self.camera_pose, truth=truth)

    def ground_truth(self, product_id: str) -> list[PackTruth]:
        """Every pack of a product, the nearest to the camera's axis first; empty when it is not on the shelf."""
        pose = self.camera_pose
        truths = [
            PackTruth(index, pack.product, pose.to_optical(self._scene.front(index)))
            for index, pack in enumerate(self.packs)
            if pack.product.id == product_id
        ]
        return sorted(truths, key=lambda truth: float(np.hypot(*truth.position[:2]) / truth.position[2]))

    def hand_distance(self, product_id: str) -> float:
        """Metres from the fingertips to the surface of the nearest pack of a product; infinite when there is none."""
        distances = self._bodies.distances(self.hand.position)
        return min(
            (float(d) for d, p in zip(distances, self.packs, strict=True) if p.product.id == product_id),
            default=math.inf,
        )

    def _hand_start(self) -> Vector:
        """Half-way to the shelf, low in the picture."""
        reach = self.settings.distance * 0.55
        drop = reach * self.camera.cy / self.camera.fy * 0.55
        return np.asarray(self._middle + np.array([0.05, -self.settings.distance + reach, 0.05 - drop]))


def _offered_products(settings: ShelfSettings, rng: np.random.Generator, rows: int) -> list[Product]:
    if settings.packshots:
        return products_from_folder(Path(settings.packshots))
    return pick_products(
        rng, make_products(settings.seed, max(200, 8 * settings.products)), settings.products, rows + 1
    )
