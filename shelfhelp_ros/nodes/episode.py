"""One episode on a simulated shelf, over ROS: enrol a product, ask for it, listen until the hand is there."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

import cv2
import numpy as np
import yaml
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.node import Node
from sensor_msgs.msg import Image
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting
from std_msgs.msg import Bool, String

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.client import AssistantClient
from shelfhelp_ros.nodes.conversions import from_hand, from_time
from shelfhelp_ros.nodes.processes import (
    assist_command,
    node_command,
    private_domain,
    require_alive,
    running,
    terminated_as_interrupted,
)
from shelfhelp_ros.nodes.quality_of_service import CAMERA, RESULT, STATE, WORDS
from shelfhelp_ros.nodes.running import Crew, ros
from shelfhelp_ros.nodes.simulation_node import photo_folder
from shelfhelp_ros.resources import config_folder
from shelfhelp_ros.sightings import Decision
from shelfhelp_ros.simulation.recording import HandDistance, Recording, Utterance, Verdict

Processes = dict[str, tuple[Popen[bytes], Path]]

START_SECONDS = 90.0
TOUCH_SECONDS = 4.0
CLEARLY_VISIBLE = 0.85
NARROWEST_PIXELS = 40.0


@dataclass(frozen=True)
class EpisodeSettings:
    """``product`` is part of a name on the shelf, or empty for one in clear view that has no near-duplicate there.

    ``video``: keep annotated frames. ``people`` and ``person``: who moves the hand, as the fast searches draw them;
    empty: somebody by the seed. ``listener`` is the name under which guidance keeps what it learns of them.
    """

    folder: Path
    seed: int = 3
    product: str = ""
    layout: str = "normal"
    rate: float = 3.0
    enrolled: int = 5
    timeout: float = 120.0
    models: Path | None = None
    speech: str = ""
    confirm: str = ""
    video: bool = True
    people: str = ""
    person: int = 0
    listener: str = ""


class NothingInView(ShelfHelpError):
    """No product of a shelf is in clear view of the camera that stands before it."""


class EpisodeRecorder(Node):
    """Writes down what passes on the graph, and what the simulation says is true.

    ``recording`` is None until `begin`; ``touched`` names what the hand touches now.
    """

    def __init__(self, on_spoken: Callable[[Utterance], None], video: bool = True) -> None:
        super().__init__("episode")
        self.truth: ProductArray | None = None
        self.touched = ""
        self.recording: Recording | None = None
        self.ended = threading.Event()
        self._began = 0.0
        self._lock = threading.Lock()
        self._hand: tuple[int, np.ndarray] = (0, np.zeros(3))
        self._way: tuple[int, np.ndarray] | None = None
        self._on_said = on_spoken
        self.create_subscription(ProductArray, "simulation/ground_truth", self._on_truth, RESULT)
        self.create_subscription(String, "simulation/touched", self._on_touched, STATE)
        self.create_subscription(PoseWithCovarianceStamped, "hand", self._on_hand, CAMERA)
        self.create_subscription(TargetSighting, "target", self._on_target, RESULT)
        self.create_subscription(Instruction, "spoken", self._on_spoken, WORDS)
        self.create_subscription(Instruction, "instruction", self._on_instruction, WORDS)
        self.create_subscription(Bool, "speaking", self._on_speaking, STATE)
        if video:
            self.create_subscription(Image, "annotated_image", self._on_image, RESULT)

    def begin(self, recording: Recording) -> None:
        """Record from now on."""
        with self._lock:
            self.recording, self._began = recording, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def _age_ms(self, message: Any) -> float:
        stamp_ns = from_time(message.header.stamp)
        return (self.get_clock().now().nanoseconds - stamp_ns) / 1e6 if stamp_ns else math.nan

    def _on_truth(self, message: ProductArray) -> None:
        self.truth = message
        if self.recording is not None and from_time(message.header.stamp) == self._hand[0]:
            self._measure_path(message, self.recording)

    def _measure_path(self, truth: ProductArray, recording: Recording) -> None:
        """Add what the hand moved since the last frame, seen from a pack: the camera sways, and a pack does not."""
        products = {int(product.track_id): product for product in truth.products}
        anchor = self._way[0] if self._way is not None and self._way[0] in products else next(iter(products), None)
        if anchor is None:
            return
        way = self._hand[1] - _point(products[anchor])
        if self._way is not None and self._way[0] == anchor:
            recording.path += float(np.linalg.norm(way - self._way[1]))
        self._way = anchor, way

    def _on_touched(self, message: String) -> None:
        self.touched = message.data
        if self.recording is not None and message.data and not self.ended.is_set():
            self.recording.touches.append(message.data)

    def _on_hand(self, message: PoseWithCovarianceStamped) -> None:
        if self.recording is None or self.truth is None:
            return
        position, stamp_ns = from_hand(message)
        hand = position.xyz
        self._hand = stamp_ns, hand
        fronts = [_point(p) for p in self.truth.products if p.product_name == self.recording.product]
        if fronts:
            nearest = min(float(np.linalg.norm(front - hand)) for front in fronts)
            self.recording.distances.append(HandDistance(self.seconds, nearest))

    def _on_target(self, message: TargetSighting) -> None:
        if self.recording is None or not message.header.frame_id or message.target_name != self.recording.product:
            return
        decision = Decision(message.decision).name.lower()
        similarity = message.product.similarity if message.has_product else 0.0
        verdict = Verdict(self.seconds, decision, message.probability, similarity, self._age_ms(message))
        self.recording.verdicts.append(verdict)

    def _on_instruction(self, message: Instruction, info: dict[str, Any]) -> None:
        if self.recording is not None and message.text and message.urgency < Instruction.URGENCY_HIGH:
            self.recording.instructed_ns.append(int(info["source_timestamp"]))

    def _on_speaking(self, message: Bool, info: dict[str, Any]) -> None:
        if self.recording is not None:
            self.recording.speaking_ns.append((int(info["source_timestamp"]), bool(message.data)))

    def _on_spoken(self, message: Instruction, info: dict[str, Any]) -> None:
        if self.recording is None:
            return
        # Published as it begins: its way to us does not count.
        stamp_ns = from_time(message.header.stamp)
        age_ms = (int(info["source_timestamp"]) - stamp_ns) / 1e6 if message.axis and stamp_ns else math.nan
        utterance = Utterance(self.seconds, message.phase, message.text, age_ms)
        self.recording.utterances.append(utterance)
        self._on_said(utterance)
        if message.phase == "done":
            self.ended.set()

    def _on_image(self, message: Image) -> None:
        if self.recording is None:
            return
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)
        image = pixels[:, : message.width * 3].reshape(message.height, message.width, 3)
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        self.recording.video.append((self.seconds, jpeg))


def run_episode(settings: EpisodeSettings, tell: Callable[[str], None], hear: Callable[[Utterance], None]) -> Recording:
    """Start a simulated shelf and the assistant, and record one search.

    ``tell`` is called with a line on each step, ``hear`` with everything that is spoken. The outcome in the recording
    is *done* when the guidance ended and the hand touches the product, else *wrong product*, *not touched* or
    *timeout*. Raises ShelfHelpError when a part does not start.
    """
    os.environ.update(private_domain())
    settings.folder.mkdir(parents=True, exist_ok=True)
    photos = settings.folder / "photos"
    catalogue = settings.folder / "catalogue.db"
    for stale in settings.folder.glob("catalogue.db*"):
        stale.unlink()
    with terminated_as_interrupted(), ExitStack() as stack, ros([]):
        processes: Processes = {}
        for name, command in _commands(settings, photos, catalogue).items():
            log = settings.folder / f"{name}.log"
            processes[name] = stack.enter_context(running(command, log)), log
        crew = Crew()
        try:
            recorder = crew.add(EpisodeRecorder(hear, settings.video))
            client = crew.add(AssistantClient())
            tell("Starting the simulated shelf and the assistant …")
            truth = _wait_for(lambda: recorder.truth, processes)
            client.wait_for_assistant(lambda: not _all_alive(processes))
            names = _choose(truth, settings)
            recording = _enrol(client, names, photos, tell)
            recorder.begin(recording)
            tell(f"Asking for {recording.product}\n")
            client.set_target(recording.product)
            _follow(recorder, settings, processes)
        finally:
            crew.close()
    recording.facts |= {"seed": str(settings.seed), "layout": settings.layout, "camera": f"640×480, {settings.rate} Hz"}
    return recording


def _commands(settings: EpisodeSettings, photos: Path, catalogue: Path) -> dict[str, list[str]]:
    parameters: dict[str, Any] = {"seed": settings.seed, "layout": settings.layout, "rate": settings.rate}
    if settings.people:
        parameters |= {"people": settings.people, "person": settings.person}
    simulation = ["--ros-args", "-r", "instruction:=spoken", "-p", f"photos:='{photos.absolute()}'"]
    for name, value in parameters.items():
        simulation += ["-p", f"{name}:={value}"]
    assist = ["--catalogue", str(catalogue), "--config", str(_configuration(settings))]
    assist += ["--models", str(settings.models)] if settings.models else []
    assist += ["--speech", settings.speech] if settings.speech else []
    assist += ["--confirm", settings.confirm] if settings.confirm else []
    return {"simulation": node_command("simulation_node", *simulation), "assistant": assist_command(*assist)}


def _configuration(settings: EpisodeSettings) -> Path:
    """The demo's parameters; with a listener, a copy that names them."""
    demo = config_folder() / "demo.yaml"
    if not settings.listener:
        return demo
    parameters = yaml.safe_load(demo.read_text(encoding="utf-8"))
    parameters.setdefault("/**/guidance", {}).setdefault("ros__parameters", {})["person"] = settings.listener
    path = settings.folder / "assist.yaml"
    path.write_text(yaml.safe_dump(parameters), encoding="utf-8")
    return path


def _all_alive(processes: Processes) -> bool:
    """True; raises ShelfHelpError with the last line of its log when a process has ended."""
    for name, (process, log) in processes.items():
        require_alive(process, f"the {name}", log)
    return True


def _wait_for(value: Callable[[], Any], processes: Processes) -> Any:
    """The first answer of ``value`` that is true, while every process is alive."""
    give_up = time.monotonic() + START_SECONDS
    while not (answer := value()) and _all_alive(processes):
        if time.monotonic() > give_up:
            logs = ", ".join(str(log) for _, log in processes.values())
            raise ShelfHelpError(f"the graph did not start within {START_SECONDS:.0f} s; look at {logs}")
        time.sleep(0.1)
    return answer


def _choose(truth: ProductArray, settings: EpisodeSettings) -> list[str]:
    """Names to enrol, the wanted one first: the one asked for, or one in clear view that is unlike the others."""
    names = sorted({product.product_name for product in truth.products})
    if settings.product:
        matching = [name for name in names if settings.product.lower() in name.lower()]
        if not matching:
            raise ShelfHelpError(f"{settings.product!r} is not on this shelf; there are: {', '.join(names)}")
        wanted = matching[0]
    else:
        clear = [p for p in truth.products if p.score >= CLEARLY_VISIBLE and p.box[2] - p.box[0] >= NARROWEST_PIXELS]
        if not clear:
            raise NothingInView("no product is in clear view; try another --seed or --layout")
        inner = [p for p in clear if p.box[0] > 20 and p.box[2] < truth.image_width - 20] or clear
        wanted = min(inner, key=lambda p: (_likeness(p.product_name, names), p.product_name)).product_name
    return [wanted, *[name for name in names if name != wanted]][: settings.enrolled]


def _likeness(name: str, names: list[str]) -> float:
    """The largest share of words (Jaccard) that a name has in common with another one, 0..1."""
    words = set(name.split())
    others = [set(other.split()) for other in names if other != name]
    return max((len(words & other) / len(words | other) for other in others), default=0.0)


def _enrol(client: AssistantClient, names: list[str], photos: Path, tell: Callable[[str], None]) -> Recording:
    """Add the products by the photos of their packs; the recording to fill is about the first of them."""
    for name in names:
        paths = sorted(photo_folder(photos, name).iterdir())
        advice = client.enrol_product(name, [path.read_bytes() for path in paths]).advice
        tell(f"Enrolled {name}" + (f" ({'; '.join(advice)})" if advice else ""))
        if name == names[0]:
            packshot = np.asarray(cv2.imread(str(paths[0])), np.uint8)
    return Recording(product=names[0], packshot=packshot)


def _follow(recorder: EpisodeRecorder, settings: EpisodeSettings, processes: Processes) -> None:
    """Wait until the guidance says it is done or time is up, then see what the hand touches."""
    recording = recorder.recording
    assert recording is not None
    while not recorder.ended.wait(0.2) and recorder.seconds < settings.timeout and _all_alive(processes):
        pass
    recording.seconds = recorder.seconds
    if not recorder.ended.is_set():
        recording.outcome = "timeout"
        return
    until = time.monotonic() + TOUCH_SECONDS
    while not recorder.touched and time.monotonic() < until:
        time.sleep(0.1)
    recording.touched = recorder.touched
    right = recording.touched == recording.product
    recording.outcome = "done" if right else "wrong product" if recording.touched else "not touched"


def _point(product: Any) -> np.ndarray:
    return np.array([product.position.x, product.position.y, product.position.z])
