"""The ``guidance`` node: sightings of the target, the hand and the clock in; instructions out."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.serialization import deserialize_message
from shelfhelp_interfaces.msg import Instruction as InstructionMessage
from shelfhelp_interfaces.msg import ProductArray, TargetSighting
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from shelfhelp_ros.guidance.guide import Guide
from shelfhelp_ros.guidance.instruction import Instruction
from shelfhelp_ros.guidance.phases import ACTIVE, Phase
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.guidance.settings import GuidanceSettings
from shelfhelp_ros.nodes import conversions
from shelfhelp_ros.nodes.find_product import FindProductServer
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.lifecycle import AUTOSTART, ManagedNode
from shelfhelp_ros.nodes.parameters import Parameters, Setting, Value
from shelfhelp_ros.nodes.quality_of_service import CAMERA, LIVING_STATE, RESULT, STATE, WORDS, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.sightings import Sightings


def _from_field(entry: dataclasses.Field[Any]) -> Setting:
    facts = entry.metadata
    text = f"{facts['help']}; a change holds from the next search on"
    default: Any = entry.default
    return Setting(entry.name, default, text, facts.get("low"), facts.get("high"), facts.get("choices", ()))


USUAL_UNITS = "usual"


def _units() -> Setting:
    """The units have one choice more than the guide knows: those that are usual where the language is spoken."""
    facts = next(entry for entry in dataclasses.fields(GuidanceSettings) if entry.name == "units").metadata
    text = f"{facts['help']}; usual: those of the language; a change holds from the next search on"
    return Setting("units", USUAL_UNITS, text, choices=(USUAL_UNITS, *facts["choices"]))


GUIDE_SETTINGS = tuple(
    _units() if entry.name == "units" else _from_field(entry) for entry in dataclasses.fields(GuidanceSettings)
)
SETTINGS = (
    AUTOSTART,
    Setting("language", "en", "language of the phrases: a file of config/phrases", fixed=True),
    Setting("phrases", "", "phrase file to use in place of the language's", fixed=True),
    Setting("tick_rate", 20.0, "how often the guide looks at the clock, hertz", 10.0, 100.0, fixed=True),
    Setting(
        "absent_limit",
        30.0,
        "find_product gives up after the product has been absent for this long, seconds",
        1.0,
        600.0,
    ),
    *GUIDE_SETTINGS,
)
_LISTENER_WITHIN = 2.0
_LOG_EVERY = 5.0


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where the search stands. ``search`` counts the searches of this node, ``target_id`` is what this one is for."""

    search: int = 0
    target_id: str = ""
    phase: Phase = Phase.IDLE
    distance: float = float("nan")
    last_instruction: str = ""
    instructions: int = 0


class GuidanceNode(ManagedNode):
    """Thin: messages go to the guide, what it answers is published. A lock keeps the guide to one thread at a time."""

    def __init__(self, **options: Any) -> None:
        super().__init__("guidance", **options)
        self.parameters = Parameters(self, SETTINGS, self._on_parameters)
        self.progress = Progress()
        self.changed = threading.Condition()
        self._lock = threading.RLock()
        self._guide: Guide | None = None
        self._phrases: Phrases | None = None
        self._in_view = b""
        self._target_id = ""
        self._camera_frame = ""
        self._sequence = 0
        self._told_wanted = ""
        self._active = False
        self._health = Health(self, self._complaint)

    @property
    def is_active(self) -> bool:
        return self._active

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        path = self.parameters["phrases"]
        self._phrases = Phrases.load(self.parameters["language"], Path(path).expanduser() if path else None)
        self._settings = self._read_settings({})
        # Plans are made here and kept, so that activating is immediate.
        Guide(self._settings, self._phrases)
        self._open_topics()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = super().on_activate(state)
        with self._lock:
            self._guide, self._target_id = Guide(self._settings, self._phrases), ""
            self._active = True
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._end()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Let waiting goals end before the process lets go of ROS."""
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._active, self._guide = False, None
        self._note(phase=Phase.STOPPED)

    def release(self) -> None:
        self._end()
        super().release()

    def _open_topics(self) -> None:
        publisher = self.create_lifecycle_publisher(InstructionMessage, "instruction", **adjustable(WORDS))
        self._instructions = self.keep(publisher, self.destroy_lifecycle_publisher)
        # Latched: a perception node that was restarted learns from it what it was looking for, and the voice hears from
        # it when this node dies in a search.
        wanted = self.create_lifecycle_publisher(String, "wanted", **adjustable(LIVING_STATE))
        self._wanted = self.keep(wanted, self.destroy_lifecycle_publisher)
        for kind, topic, callback, quality in (
            (TargetSighting, "target", self._on_target, WORDS),
            (PoseWithCovarianceStamped, "hand", self._on_hand, CAMERA),
            (Bool, "speaking", self._on_speaking, STATE),
        ):
            made = self.create_subscription(kind, topic, callback, **adjustable(quality))
            self.keep(made, self.destroy_subscription)
        # Read only when somebody asks what is in view.
        made = self.create_subscription(ProductArray, "products", self._on_products, raw=True, **adjustable(RESULT))
        self.keep(made, self.destroy_subscription)
        questions = {"stop": self._on_stop, "repeat": self._on_repeat, "where_am_i": self._on_where_am_i}
        for name, handler in questions.items():
            self.keep(self.create_service(Trigger, name, handler), self.destroy_service)
        self.keep(self.create_timer(1.0 / self.parameters["tick_rate"], self._on_tick), self.destroy_timer)
        self.keep(FindProductServer(self), FindProductServer.destroy)

    # Parameters ------------------------------------------------------------------------------------------------------

    def _read_settings(self, changes: dict[str, Value]) -> GuidanceSettings:
        values = {setting.name: self.parameters[setting.name] for setting in GUIDE_SETTINGS}
        values |= {name: value for name, value in changes.items() if name in values}
        if values["units"] == USUAL_UNITS:
            values["units"] = self._phrases.units if self._phrases is not None else GuidanceSettings.units
        return GuidanceSettings(**values)

    def _on_parameters(self, changes: dict[str, Value]) -> None:
        self._settings = self._read_settings(changes)

    # Messages --------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _complaint(self) -> str:
        if self.progress.phase is not Phase.STALE:
            return ""
        return "no fresh picture comes from perception: look at its status, at the camera, and at the clocks of both"

    def _on_target(self, message: TargetSighting) -> None:
        try:
            sighting = conversions.from_target(message)
        except ValueError as error:
            self.get_logger().warning(f"a target message is not valid: {error}", throttle_duration_sec=_LOG_EVERY)
            return
        with self._lock:
            if self._guide is None:
                return
            self._camera_frame = sighting.frame_id or self._camera_frame
            if sighting.target_id == self._target_id:
                self._publish(self._guide.on_sighting(sighting, self.now_ns) if self._target_id else None)
                return
            self._target_id = sighting.target_id
            if not sighting.target_id:
                self._guide.clear()
                self._note(target_id="", phase=self._guide.phase)
                return
            if self._guide.settings != self._settings:
                self._guide = Guide(self._settings, self._phrases)
            self._wait_for_a_listener()
            # The message that begins a search only names the product: it need not come from a camera image.
            instruction = self._guide.start(sighting.target_name, self.now_ns, sighting.target_id)
            self._note(search=self.progress.search + 1, target_id=sighting.target_id, phase=self._guide.phase)
            self._publish(instruction)

    def _wait_for_a_listener(self) -> None:
        """Who was just started is not known to the voice yet: what is said before that is lost."""
        deadline = time.monotonic() + _LISTENER_WITHIN
        while self._instructions.get_subscription_count() == 0 and time.monotonic() < deadline:
            time.sleep(0.02)

    def _on_hand(self, message: PoseWithCovarianceStamped) -> None:
        try:
            position, stamp_ns = conversions.from_hand(message)
        except ValueError as error:
            self.get_logger().warning(f"a hand message is not valid: {error}", throttle_duration_sec=_LOG_EVERY)
            return
        with self._lock:
            if self._guide is None:
                return
            frame, camera = message.header.frame_id, self._camera_frame
            if frame and camera and frame != camera:
                text = f"the hand is given in the frame {frame} and not in the camera's, {camera}; it is left out"
                self.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY)
                return
            self._guide.on_hand(position.xyz, position.covariance, stamp_ns)

    def _on_speaking(self, message: Bool) -> None:
        with self._lock:
            if self._guide is not None:
                self._guide.on_speaking(message.data, self.now_ns)

    def _on_tick(self) -> None:
        with self._lock:
            if self._guide is not None:
                self._publish(self._guide.tick(self.now_ns))

    def _on_stop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, Guide.stop, "Stopped.")

    def _on_repeat(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, Guide.repeat, "")

    def _on_where_am_i(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        return self._answer(response, lambda guide, now_ns: guide.where_am_i(now_ns, self._products()), "")

    def _on_products(self, data: bytes) -> None:
        self._in_view = data

    def _products(self) -> Sightings | None:
        """The newest word of everything in view; None when there is none that makes sense."""
        try:
            message = deserialize_message(self._in_view, ProductArray) if self._in_view else None
            return None if message is None else conversions.from_product_array(message)
        except ValueError:
            return None

    def _answer(
        self, response: Trigger.Response, ask: Callable[[Guide, int], Instruction], message: str
    ) -> Trigger.Response:
        with self._lock:
            if self._guide is None:
                response.success, response.message = False, "guidance is not active; bring it to active first"
                return response
            instruction = ask(self._guide, self.now_ns)
            self._publish(instruction)
        response.success, response.message = True, message or instruction.text
        return response

    def _publish(self, instruction: Instruction | None) -> None:
        assert self._guide is not None
        facts: dict[str, Any] = {"phase": self._guide.phase, "distance": self._guide.distance(self.now_ns)}
        if instruction is not None:
            self._sequence += 1
            self._instructions.publish(
                conversions.to_instruction(dataclasses.replace(instruction, sequence=self._sequence))
            )
            if instruction.text:
                facts |= {"last_instruction": instruction.text, "instructions": self.progress.instructions + 1}
        self._note(**facts)

    def _note(self, **facts: Any) -> None:
        """Keep the progress up to date, and wake the goals that wait for it; tell what is looked for."""
        with self.changed:
            self.progress = dataclasses.replace(self.progress, **facts)
            self.changed.notify_all()
        wanted = self.progress.target_id if self.progress.phase in ACTIVE else ""
        if self._active and wanted != self._told_wanted:
            self._told_wanted = wanted
            self._wanted.publish(String(data=wanted))


def main() -> NoReturn:
    """Executable of the node."""
    run(GuidanceNode)
