"""The ``perception`` node: camera topics in; products, target, markers, annotated image and diagnostics out."""

from __future__ import annotations

import dataclasses
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from sensor_msgs.msg import Image
from shelfhelp_interfaces.msg import ProductArray, TargetSighting
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from shelfhelp_ros.catalogue.matching import CONFIRM
from shelfhelp_ros.catalogue.store import Catalogue
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.inference.progress import told_to
from shelfhelp_ros.inference.session import BACKENDS
from shelfhelp_ros.nodes import conversions
from shelfhelp_ros.nodes.camera_input import CameraInput
from shelfhelp_ros.nodes.catalogue_services import CatalogueServices
from shelfhelp_ros.nodes.diagnostics import diagnostics
from shelfhelp_ros.nodes.frame_matching import FrameMatcher
from shelfhelp_ros.nodes.frame_statistics import FrameStatistics
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.image_conversion import fill_colour
from shelfhelp_ros.nodes.lifecycle import AUTOSTART, ManagedNode
from shelfhelp_ros.nodes.markers import to_markers
from shelfhelp_ros.nodes.parameters import Parameters, Setting, Value
from shelfhelp_ros.nodes.precedence import give_way
from shelfhelp_ros.nodes.quality_of_service import RESULT, STATE, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.perception.detector import Detector
from shelfhelp_ros.perception.drawing import annotate
from shelfhelp_ros.perception.encoder import Encoder
from shelfhelp_ros.perception.pipeline import Pipeline, PipelineSettings
from shelfhelp_ros.perception.verifier import SECOND_LOOKS, Verifier
from shelfhelp_ros.perception.watch import WatchSettings
from shelfhelp_ros.sightings import Decision, Frame, Sightings
from shelfhelp_ros.sightings import TargetSighting as Sighting

_DEFAULTS = PipelineSettings()
SETTINGS = (
    AUTOSTART,
    Setting(
        "models", "", "folder with detector.onnx and encoder.onnx; empty: the ones that come with shelfhelp", fixed=True
    ),
    Setting("backend", "auto", "what the networks run on", choices=BACKENDS, fixed=True),
    Setting("build_only", False, "build the engines that the backend needs, and end", fixed=True),
    Setting("threads", 0, "processor threads for each network; 0: every core", 0, 256, fixed=True),
    Setting("catalogue", "", "catalogue file; empty: the user's own", fixed=True),
    Setting("image_transport", "raw", "which colour topic to listen to", choices=("raw", "compressed"), fixed=True),
    Setting("depth_slop", 0.02, "largest difference of the stamps of colour and depth, seconds", 0.0, 0.5),
    Setting("depth_wait", 0.05, "how long a colour image waits for its depth image, seconds", 0.0, 0.5),
    Setting(
        "field_of_view",
        _DEFAULTS.field_of_view_degrees,
        "horizontal, degrees, for a camera without camera_info",
        20.0,
        150.0,
    ),
    Setting("confirm", _DEFAULTS.confirm, "how sure to be before a product is named", choices=CONFIRM),
    Setting(
        "second_look",
        "likeness",
        "what a product is looked at with before it is named; text: also the words on it, with the extra `text`",
        choices=SECOND_LOOKS,
        fixed=True,
    ),
    Setting("score_threshold", 0.0, "least detection score; 0: the one in the detector's card", 0.0, 1.0),
    Setting(
        "detection_interval",
        _DEFAULTS.detection_interval_s,
        "seconds between two detections; in frames between them products move with the camera; 0: every frame",
        0.0,
        0.2,
    ),
    Setting("coast", _DEFAULTS.coast_s, "seconds for which an unseen product is still published", 0.0, 2.0),
    Setting(
        "embeddings_per_frame", _DEFAULTS.evidence.budget, "crops embedded in one frame at most", 1, 64, fixed=True
    ),
    Setting(
        "absent_after",
        _DEFAULTS.watch.absent_after_s,
        "seconds of one whole view before it is called absent",
        0.5,
        30.0,
        fixed=True,
    ),
    Setting(
        "lost_for",
        _DEFAULTS.watch.lost_for_s,
        "seconds for which a product out of view is called lost",
        1.0,
        120.0,
        fixed=True,
    ),
)


# Faults repeat with every frame; one line in this many seconds is enough.
_LOG_EVERY = 5.0


class PerceptionNode(ManagedNode):
    """Thin: callbacks store messages, one worker thread runs the pipeline on the newest frame and publishes."""

    def __init__(self, **options: Any) -> None:
        super().__init__("perception", **options)
        self.pipeline: Pipeline | None = None
        self.statistics = FrameStatistics()
        self.parameters = Parameters(self, SETTINGS, self._on_parameters)
        self.matcher = self._make_matcher()
        self._input: CameraInput | None = None
        self._target_lock = threading.Lock()
        self._announced = ""
        self._wanted_id = ""
        self._was_told = False
        self._last_stamp_ns: int | None = None
        self._worker: threading.Thread | None = None
        # What is being loaded or built, for as long as that lasts: an engine can take minutes.
        self._loading = ""
        self._health = Health(self, lambda: self._loading, frames=self._frames_status)

    @property
    def is_active(self) -> bool:
        return self._worker is not None

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def configure(self) -> None:
        self.pipeline = self._load()
        self._open_topics()
        detector, encoder = self.pipeline.detector.card, self.pipeline.encoder.card
        self.get_logger().info(
            f"loaded {detector.name} {detector.version} and {encoder.name} {encoder.version} "
            f"on {self.pipeline.detector.session.backend}; catalogue {self.pipeline.catalogue.path}"
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._input is not None
        result = super().on_activate(state)
        self.matcher, self._last_stamp_ns = self._make_matcher(), None
        self._input.matcher = self.matcher
        self._worker = threading.Thread(target=self._work, args=(self._input,), name="perception_worker", daemon=True)
        self._worker.start()
        if self.pipeline is not None and (target := self.pipeline.target) is not None:
            self._announce(self.get_clock().now().nanoseconds, "", target.target_id, target.name)
        self._resume()
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_worker()
        return super().on_deactivate(state)

    def close(self) -> None:
        """Stop the workers before the process lets go of ROS: one that ends with it would abort it."""
        self._stop_worker()
        if self.pipeline is not None:
            self.pipeline.close()

    def load_networks(self) -> tuple[Detector, Encoder]:
        """Detector and encoder, their engines built where they are not there; the log and /diagnostics tell how far.

        Raises ShelfHelpError when they cannot be loaded.
        """
        backend, threads = self.parameters["backend"], self.parameters["threads"] or None
        try:
            with told_to(self._on_loading):
                folder = self._model_folder()
                return Detector.load(folder, backend, threads), Encoder.load(folder, backend, threads)
        finally:
            self._loading = ""

    def _on_loading(self, line: str) -> None:
        self._loading = line
        self.get_logger().info(line)

    def _model_folder(self) -> Path | None:
        return Path(self.parameters["models"]).expanduser() if self.parameters["models"] else None

    def _load(self) -> Pipeline:
        # Following the products must not wait for a core. What is made in a thread that gives way has threads that do.
        beside = ThreadPoolExecutor(1, "networks", give_way)
        return beside.submit(self._make_pipeline, beside).result()

    def _make_pipeline(self, beside: Executor) -> Pipeline:
        detector, encoder = self.load_networks()
        path = self.parameters["catalogue"]
        catalogue = Catalogue(Path(path).expanduser() if path else None)
        verifier = self._load_verifier(self._model_folder())
        return Pipeline(detector, encoder, catalogue, self._settings({}), verifier, beside)

    def _load_verifier(self, folder: Path | None) -> Verifier | None:
        kind = self.parameters["second_look"]
        # One thread: the perception loop needs the others.
        return None if kind == "off" else Verifier.load(folder, threads=1, text=kind == "text")

    def _settings(self, changes: dict[str, Value]) -> PipelineSettings:
        def value(name: str) -> Any:
            return changes[name] if name in changes else self.parameters[name]

        watch = WatchSettings(absent_after_s=value("absent_after"), lost_for_s=value("lost_for"))
        return dataclasses.replace(
            _DEFAULTS,
            confirm=value("confirm"),
            score_threshold=value("score_threshold") or None,
            detection_interval_s=value("detection_interval"),
            coast_s=value("coast"),
            field_of_view_degrees=value("field_of_view"),
            evidence=dataclasses.replace(_DEFAULTS.evidence, budget=value("embeddings_per_frame")),
            watch=watch,
        )

    def _make_matcher(self) -> FrameMatcher:
        return FrameMatcher(round(self.parameters["depth_slop"] * 1e9), self.parameters["depth_wait"])

    def _on_parameters(self, changes: dict[str, Value]) -> None:
        self.matcher.slop_ns = round(float(changes.get("depth_slop", self.parameters["depth_slop"])) * 1e9)
        self.matcher.depth_wait = float(changes.get("depth_wait", self.parameters["depth_wait"]))
        if self.pipeline is not None:
            self.pipeline.settings = self._settings(changes)

    def _open_topics(self) -> None:
        def publisher(kind: type, topic: str) -> Any:
            made = self.create_lifecycle_publisher(kind, topic, **adjustable(RESULT))
            return self.keep(made, self.destroy_lifecycle_publisher)

        self._products = publisher(ProductArray, "products")
        self._target = publisher(TargetSighting, "target")
        self._annotated = publisher(Image, "annotated_image")
        self._markers = publisher(MarkerArray, "markers")
        camera = CameraInput(self, self.matcher, self.parameters["image_transport"], self._fault)
        self._input = self.keep(camera, CameraInput.destroy)
        wanted = self.create_subscription(String, "wanted", self._on_wanted, **adjustable(STATE))
        self.keep(wanted, self.destroy_subscription)
        self.keep(CatalogueServices(self), CatalogueServices.destroy)

    def release(self) -> None:
        self._stop_worker()
        super().release()
        self._input = None
        self._wanted_id, self._was_told = "", False
        if self.pipeline is not None:
            self.pipeline.close()
            self.pipeline.catalogue.close()
            self.pipeline = None

    def _stop_worker(self) -> None:
        self.matcher.close()
        if self._worker is not None:
            self._worker.join()
            self._worker = None

    # The target ------------------------------------------------------------------------------------------------------

    def change_target(self, change: Callable[[Pipeline], None]) -> None:
        """Change what is looked for, and tell listeners: a sighting without a target ends the search there was, and one
        of the new target begins the next, be it for the same product and before any camera image.

        Raises what ``change`` raises; then nothing has changed.
        """
        assert self.pipeline is not None
        with self._target_lock:
            change(self.pipeline)
            self._was_told = True
            self._announce(self.get_clock().now().nanoseconds, "")
            if (target := self.pipeline.target) is not None:
                self._announce(self.get_clock().now().nanoseconds, "", target.target_id, target.name)

    def _on_wanted(self, message: String) -> None:
        self._wanted_id = message.data
        self._resume()

    def _resume(self) -> None:
        """Go on with the search that guidance is still in, after this node was started anew in the middle of it."""
        if self._was_told or not self._wanted_id or not self.is_active:
            return
        try:
            self.change_target(lambda pipeline: pipeline.set_target(self._wanted_id))
        except ShelfHelpError as error:
            self.get_logger().warning(f"the search before this start cannot go on: {error}")

    def _announce(self, stamp_ns: int, frame_id: str, target_id: str = "", name: str = "") -> None:
        self._announced = target_id
        if self.is_active:
            sighting = Sighting(stamp_ns, frame_id, target_id, name, Decision.SEARCHING, 0.0)
            self._target.publish(conversions.to_target(sighting))

    def _publish_target(self, sightings: Sightings) -> None:
        """Publish the target's sighting, unless the target was changed while the frame was being worked on."""
        assert self.pipeline is not None
        with self._target_lock:
            wanted = self.pipeline.target
            if sightings.target is not None and wanted is not None and wanted.target_id == sightings.target.target_id:
                self._target.publish(conversions.to_target(sightings.target))
            elif wanted is None and self._announced:
                # Another program removed the product from the catalogue.
                self._announce(sightings.stamp_ns, sightings.frame_id)

    # Frames ----------------------------------------------------------------------------------------------------------

    def _work(self, camera: CameraInput) -> None:
        while not camera.matcher.closed:
            try:
                frame = camera.take(timeout=1.0)
                if frame is not None:
                    self._process(frame, camera.timings_ms)
            except ShelfHelpError as error:
                self._fault(str(error))
            except Exception as error:
                # One bad frame must not end the search of a person who cannot see that it ended.
                if not camera.matcher.closed and self.context.ok():
                    self._fault(f"internal error on a frame: {type(error).__name__}: {error}")

    def _process(self, frame: Frame, taken_ms: dict[str, float]) -> None:
        assert self.pipeline is not None
        if frame.stamp_ns == self._last_stamp_ns:
            raise ShelfHelpError("the camera repeats the stamp of its last picture; its clock stands still: restart it")
        self._last_stamp_ns = frame.stamp_ns
        sightings = self.pipeline.process(frame)
        self._publish_target(sightings)
        self._products.publish(conversions.to_product_array(sightings))
        age_ms = (self.get_clock().now().nanoseconds - frame.stamp_ns) / 1e6
        self._draw(frame, sightings)
        self.statistics.frame(age_ms, taken_ms | sightings.timings_ms)
        self.statistics.companions(depth=frame.depth is not None, calibration=frame.camera is not None)

    def _draw(self, frame: Frame, sightings: Sightings) -> None:
        header = conversions.to_header(frame.stamp_ns, frame.frame_id)
        if self._annotated.get_subscription_count():
            self._annotated.publish(fill_colour(Image(header=header), annotate(frame.image, sightings)))
        if self._markers.get_subscription_count():
            self._markers.publish(to_markers(sightings))

    def _fault(self, text: str) -> None:
        self.statistics.fault(text)
        self.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY)

    def _frames_status(self) -> list[DiagnosticStatus]:
        pipeline = self.pipeline
        return [] if pipeline is None else [diagnostics(self, pipeline, self.statistics.take())]


def _made() -> PerceptionNode:
    node = PerceptionNode()
    if node.parameters["build_only"]:
        detector, _ = node.load_networks()
        node.get_logger().info(f"build_only: the networks are ready to run on {detector.session.backend}")
        sys.exit(0)
    return node


def main() -> NoReturn:
    """Executable of the node."""
    run(_made)
