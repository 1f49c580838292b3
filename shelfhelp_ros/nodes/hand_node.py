"""The ``hand`` node: camera topics in; the position of the user's hand and diagnostics out."""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes import conversions
from shelfhelp_ros.nodes.camera_input import CameraInput
from shelfhelp_ros.nodes.cameras import TRANSPORTS
from shelfhelp_ros.nodes.frame_matching import FrameMatcher
from shelfhelp_ros.nodes.frame_statistics import FrameStatistics
from shelfhelp_ros.nodes.hand_diagnostics import HandWatch, hand_diagnostics
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.lifecycle import AUTOSTART, ManagedNode
from shelfhelp_ros.nodes.parameters import Parameters, Setting, Value
from shelfhelp_ros.nodes.quality_of_service import RESULT, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.perception.hand import HandFinder, HandSettings, HandSource
from shelfhelp_ros.perception.hand_landmarks import HandLandmarker
from shelfhelp_ros.perception.wrist_marker import DICTIONARIES, MarkerSettings, WristMarker
from shelfhelp_ros.sightings import Frame

SOURCES = ("mediapipe", "aruco")

_DEFAULTS = HandSettings()
_MARKER = MarkerSettings()
SETTINGS = (
    AUTOSTART,
    Setting(
        "source", "mediapipe", "what finds the hand: its looks, or a marker on the wrist", choices=SOURCES, fixed=True
    ),
    Setting("landmarker", "", "hand_landmarker.task; empty: the one of the installed package", fixed=True),
    Setting("least_confidence", 0.5, "least confidence of MediaPipe in a hand", 0.1, 0.95, fixed=True),
    Setting("marker_dictionary", _MARKER.dictionary, "family of the marker", choices=DICTIONARIES, fixed=True),
    Setting("marker_id", _MARKER.number, "number of the marker in its family", 0, 1000, fixed=True),
    Setting("marker_size", _MARKER.size, "side of the marker's black square, metres", 0.01, 0.2, fixed=True),
    Setting(
        "marker_offset",
        _MARKER.offset,
        "from the marker's middle over its upper edge to the palm (0.1) or the fingertips (0.18), metres",
        0.0,
        0.3,
        fixed=True,
    ),
    Setting("image_transport", "raw", "which colour topic to listen to", choices=TRANSPORTS, fixed=True),
    Setting("depth_slop", 0.02, "largest difference of the stamps of colour and depth, seconds", 0.0, 0.5, fixed=True),
    Setting("depth_wait", 0.05, "how long a colour image waits for its depth image, seconds", 0.0, 0.5, fixed=True),
    Setting(
        "field_of_view",
        _DEFAULTS.field_of_view_degrees,
        "horizontal, degrees, for a camera without camera_info",
        20.0,
        150.0,
    ),
    Setting("farthest", _DEFAULTS.farthest, "a hand farther from the camera is not the user's, metres", 0.3, 3.0),
    Setting("settle", _DEFAULTS.settle, "pictures that have to agree before a hand counts", 1, 10),
    Setting("lost_after", _DEFAULTS.lost_after_s, "a hand not seen for this long is lost, seconds", 0.1, 2.0),
)

# Faults repeat with every frame; one line in this many seconds is enough.
_LOG_EVERY = 5.0


class HandNode(ManagedNode):
    """Thin: one worker thread gives the newest frame to the finder and publishes what it answers.

    A picture that does not show the hand gives no message: whoever listens then knows how old the last one is.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("hand", **options)
        self.parameters = Parameters(self, SETTINGS, self._on_parameters)
        self.statistics = FrameStatistics()
        self.watch = HandWatch()
        self.finder: HandFinder | None = None
        self._input: CameraInput | None = None
        self._worker: threading.Thread | None = None
        self._health = Health(self, frames=self._hand_status)

    @property
    def is_active(self) -> bool:
        return self._worker is not None

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self.finder = HandFinder(self._open_source(), self._settings({}))
        self._open_topics()
        self.get_logger().info(f"the hand is found by: {self.finder.source.name}")

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._input is not None
        result = super().on_activate(state)
        self.watch = HandWatch()
        self._input.matcher = self._make_matcher()
        self._worker = threading.Thread(target=self._work, args=(self._input,), name="hand_worker", daemon=True)
        self._worker.start()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_worker()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Stop the worker, and let go of the network, before the process lets go of ROS."""
        self._stop_worker()
        self._close_source()

    def _open_source(self) -> HandSource:
        value = self.parameters
        if value["source"] == "mediapipe":
            file = Path(value["landmarker"]).expanduser() if value["landmarker"] else None
            return HandLandmarker(file, value["least_confidence"])
        return WristMarker(
            MarkerSettings(value["marker_dictionary"], value["marker_id"], value["marker_size"], value["marker_offset"])
        )

    def _settings(self, changes: dict[str, Value]) -> HandSettings:
        def value(name: str) -> Any:
            return changes[name] if name in changes else self.parameters[name]

        return dataclasses.replace(
            _DEFAULTS,
            farthest=value("farthest"),
            settle=value("settle"),
            lost_after_s=value("lost_after"),
            field_of_view_degrees=value("field_of_view"),
        )

    def _on_parameters(self, changes: dict[str, Value]) -> None:
        if self.finder is not None:
            self.finder.tracker.settings = self._settings(changes)

    def _make_matcher(self) -> FrameMatcher:
        return FrameMatcher(round(self.parameters["depth_slop"] * 1e9), self.parameters["depth_wait"])

    def _open_topics(self) -> None:
        publisher = self.create_lifecycle_publisher(PoseWithCovarianceStamped, "hand", **adjustable(RESULT))
        self._hand = self.keep(publisher, self.destroy_lifecycle_publisher)
        transport = self.parameters["image_transport"]
        camera = CameraInput(self, self._make_matcher(), transport, self._fault)
        self._input = self.keep(camera, CameraInput.destroy)

    def release(self) -> None:
        self._stop_worker()
        super().release()
        self._input = None
        self._close_source()

    def _close_source(self) -> None:
        finder, self.finder = self.finder, None
        if finder is not None:
            finder.source.close()

    def _stop_worker(self) -> None:
        if self._input is not None:
            self._input.matcher.close()
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    # Frames ----------------------------------------------------------------------------------------------------------

    def _work(self, camera: CameraInput) -> None:
        while not camera.matcher.closed:
            try:
                frame = camera.take(timeout=1.0)
                if frame is not None:
                    self._process(frame)
            except ShelfHelpError as error:
                self._fault(str(error))
            except Exception as error:
                # One bad frame must not end the help of a person who cannot see that it ended.
                if not camera.matcher.closed and self.context.ok():
                    self._fault(f"internal error on a frame: {type(error).__name__}: {error}")

    def _process(self, frame: Frame) -> None:
        assert self.finder is not None
        started = time.perf_counter()
        position = self.finder.process(frame)
        took = (time.perf_counter() - started) * 1e3
        if position is not None:
            self._hand.publish(conversions.to_hand(position, frame.stamp_ns, frame.frame_id))
        self.watch.note(position, calibrated=frame.camera is not None, depth=frame.depth is not None)
        age_ms = (self.get_clock().now().nanoseconds - frame.stamp_ns) / 1e6
        self.statistics.frame(age_ms, {"find": took})

    def _fault(self, text: str) -> None:
        self.statistics.fault(text)
        self.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY)

    def _hand_status(self) -> list[DiagnosticStatus]:
        return [] if self.finder is None else [hand_diagnostics(self, self.statistics.take())]


def main() -> NoReturn:
    """Executable of the node."""
    run(HandNode)
