"""The ``simulation`` node: a shelf that publishes like a camera, and a hand that follows what it hears."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from shelfhelp_interfaces.msg import Instruction, ProductArray
from std_msgs.msg import String

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.listener import SCATTER
from shelfhelp_ros.nodes import conversions
from shelfhelp_ros.nodes.image_conversion import fill_colour, fill_compressed, fill_depth
from shelfhelp_ros.nodes.parameters import Parameters, Setting
from shelfhelp_ros.nodes.precedence import give_way
from shelfhelp_ros.nodes.quality_of_service import CAMERA, RESULT, STATE, WORDS
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.sightings import Position, Sightings, TrackedProduct
from shelfhelp_ros.simulation.camera import MOTIONS, ShelfSettings, SimulatedShelf
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.listeners import POPULATIONS, draw_person
from shelfhelp_ros.simulation.packs import draw_faces
from shelfhelp_ros.simulation.products import Product
from shelfhelp_ros.simulation.scene import RenderedFrame
from shelfhelp_ros.simulation.shopper import HandSettings

_DEFAULTS = ShelfSettings()
# Rendering in software takes every core: the rest of the time is left to those who look at the pictures.
_LARGEST_SHARE = 0.4
SETTINGS = (
    Setting("seed", _DEFAULTS.seed, "the same seed gives the same shelf", 0, 1_000_000, fixed=True),
    Setting("products", _DEFAULTS.products, "different products to offer", 1, 500, fixed=True),
    Setting("packshots", "", "folder of pictures to use as packs; empty: invented products", fixed=True),
    Setting("layout", _DEFAULTS.layout, "how the shelf is stocked", choices=tuple(LAYOUTS), fixed=True),
    Setting("width", _DEFAULTS.width, "of the picture, pixels", 16, 4096, fixed=True),
    Setting("height", _DEFAULTS.height, "of the picture, pixels", 16, 4096, fixed=True),
    Setting("field_of_view", _DEFAULTS.field_of_view, "horizontal, degrees", 20.0, 150.0, fixed=True),
    Setting("distance", _DEFAULTS.distance, "from the camera to the shelf's edge, metres", 0.2, 5.0, fixed=True),
    Setting("motion", _DEFAULTS.motion, "of the camera", choices=MOTIONS, fixed=True),
    Setting("hand", _DEFAULTS.hand, "show a hand, publish its position and have it follow instructions", fixed=True),
    Setting("rate", 10.0, "frames a second, where the machine is fast enough", 0.5, 60.0),
    Setting("image_transport", "raw", "how colour is published", choices=("raw", "compressed", "both"), fixed=True),
    Setting("hand_spread", 0.01, "standard deviation told of the hand's position, metres", 0.001, 0.5),
    Setting("people", "", "whose the hand is; empty: somebody by the seed", choices=("", *POPULATIONS), fixed=True),
    Setting("person", 0, "which of these people, by number", 0, 1_000_000, fixed=True),
    Setting("photos", "", "folder to write photos of each product to, for enrolling; empty: none", fixed=True),
)


class SimulationNode(Node):
    """Publishes colour, calibration, depth, the hand and the truth, in real time.

    The stamp of a frame is the time at which it is published, and the world that it shows counts as the world of that
    time: a rendered picture is as fresh as one of a camera that needs no time to develop it. ``products`` are those on
    the shelf. Raises ShelfHelpError when the simulation cannot run here.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("simulation", **options)
        self.parameters = Parameters(self, SETTINGS, lambda changes: None)
        self.products: list[Product] = []
        self._heard: queue.SimpleQueue[Instruction] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._failure: Exception | None = None
        self._open_topics()
        self._thread = threading.Thread(target=self._run, name="simulation", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Stop the world, in the thread that owns its OpenGL context."""
        self._stopping.set()
        self._thread.join(10.0)

    def _open_topics(self) -> None:
        transport = self.parameters["image_transport"]
        colour, compressed = "camera/color/image_raw", "camera/color/image_raw/compressed"
        self._colour = self.create_publisher(Image, colour, CAMERA) if transport != "compressed" else None
        self._compressed = self.create_publisher(CompressedImage, compressed, CAMERA) if transport != "raw" else None
        self._info = self.create_publisher(CameraInfo, "camera/color/camera_info", CAMERA)
        self._depth = self.create_publisher(Image, "camera/aligned_depth_to_color/image_raw", CAMERA)
        self._truth = self.create_publisher(ProductArray, "simulation/ground_truth", RESULT)
        self._touched = self.create_publisher(String, "simulation/touched", STATE)
        if self.parameters["hand"]:
            self._hand = self.create_publisher(PoseWithCovarianceStamped, "hand", CAMERA)
            self.create_subscription(Instruction, "instruction", self._heard.put, WORDS)

    def _settings(self) -> ShelfSettings:
        names = (
            "seed",
            "products",
            "packshots",
            "layout",
            "width",
            "height",
            "field_of_view",
            "distance",
            "motion",
            "hand",
        )
        hand = _hand_of(self.parameters["people"], self.parameters["person"])
        return ShelfSettings(**{name: self.parameters[name] for name in names}, hand_settings=hand)

    def _run(self) -> None:
        # Rendering in software is no work of the robot's: it gets no more of the cores than the networks do.
        give_way()
        try:
            with SimulatedShelf(self._settings()) as shelf:
                self.products = shelf.products
                self._write_photos()
                self._ready.set()
                self._live(shelf)
        except Exception as error:
            self._failure = (
                error if isinstance(error, ShelfHelpError) else ShelfHelpError(f"the simulation failed: {error}")
            )
            if self._ready.is_set() and not self._stopping.is_set():
                self.get_logger().fatal(str(self._failure))
            self._ready.set()

    def _live(self, shelf: SimulatedShelf) -> None:
        names = {product.id: product.name for product in shelf.products}
        touched: str | None = None
        lived = due = time.monotonic()
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            self._listen(shelf)
            now = time.monotonic()
            shelf.step(now - lived)
            lived = now
            due = max(due + 1.0 / self.parameters["rate"], now)
            frame = shelf.render(truth=self._truth.get_subscription_count() > 0)
            self._publish(shelf, frame, names)
            due = max(due, now + (time.monotonic() - now) / _LARGEST_SHARE)
            if touched != (touched := shelf.touched.name if shelf.touched else ""):
                self._touched.publish(String(data=touched))

    def _listen(self, shelf: SimulatedShelf) -> None:
        while not self._heard.empty():
            said = self._heard.get()
            shelf.hear(said.text, said.axis, said.distance, said.phase)

    def _publish(self, shelf: SimulatedShelf, frame: RenderedFrame, names: dict[str, str]) -> None:
        stamp = self.get_clock().now().nanoseconds
        header = conversions.to_header(stamp, shelf.frame_id)
        self._info.publish(conversions.to_camera_info(frame.camera, stamp, shelf.frame_id))
        self._depth.publish(fill_depth(Image(header=header), frame.depth))
        if self.parameters["hand"]:
            spread = np.eye(3) * self.parameters["hand_spread"] ** 2
            position = Position(np.asarray(frame.pose.to_optical(shelf.hand.position)), spread)
            self._hand.publish(conversions.to_hand(position, stamp, shelf.frame_id))
        if self._colour is not None:
            self._colour.publish(fill_colour(Image(header=header), frame.image))
        if self._compressed is not None:
            self._compressed.publish(fill_compressed(CompressedImage(header=header), frame.image))
        if len(frame.packs):
            self._truth.publish(conversions.to_product_array(_truth(frame, stamp, shelf.frame_id, names)))

    def _write_photos(self) -> None:
        if not self.parameters["photos"]:
            return
        folder = Path(self.parameters["photos"]).expanduser()
        try:
            for product in self.products:
                own = photo_folder(folder, product.name)
                own.mkdir(parents=True, exist_ok=True)
                for number, face in enumerate(draw_faces(product), 1):
                    (own / f"{number}.png").write_bytes(cv2.imencode(".png", face)[1].tobytes())
        except OSError as error:
            raise ShelfHelpError(f"the photos cannot be written to {folder}: {error.strerror}") from error
        self.get_logger().info(f"photos of {len(self.products)} products are in {folder}")


def _hand_of(people: str, number: int) -> HandSettings:
    """How the hand of a drawn person moves: reaction, gain (the mean of their axes), scatter and speed are theirs."""
    if not people:
        return HandSettings()
    person = draw_person(POPULATIONS[people], 0, number)
    return HandSettings(
        reaction=person.reaction,
        gain=float(np.mean(person.gains)),
        gain_spread=0.0,
        scatter=SCATTER * person.scatter,
        speed=person.speed,
    )


def photo_folder(folder: Path, name: str) -> Path:
    """Where the photos of a product lie in the folder of the parameter ``photos``, the front first."""
    return folder / "".join(c if c.isalnum() or c in " -_" else "_" for c in name)


def _truth(frame: RenderedFrame, stamp: int, frame_id: str, names: dict[str, str]) -> Sightings:
    """What a frame shows, as perception would say it if it knew all; the score is the share that is visible."""
    products = tuple(
        TrackedProduct(
            track_id=pack,
            box=box,
            score=float(visibility),
            product_id=product_id,
            product_name=names[product_id],
            similarity=1.0,
            bearing=position / np.linalg.norm(position),
            position=Position(position, np.zeros((3, 3))),
        )
        for pack, box, visibility, product_id, position in zip(
            frame.packs, frame.boxes, frame.visibility, frame.product_ids, frame.positions, strict=True
        )
    )
    return Sightings(stamp, frame_id, (frame.image.shape[1], frame.image.shape[0]), products)


def main() -> NoReturn:
    """Executable of the node."""
    run(SimulationNode)
