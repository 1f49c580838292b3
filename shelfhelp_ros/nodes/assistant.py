"""Perception, guidance and speech in this process: the options people give, and the nodes they make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rclpy.context import Context
from rclpy.logging import LoggingSeverity, set_logger_level
from shelfhelp_interfaces.msg import Instruction

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.cameras import camera_topics
from shelfhelp_ros.nodes.guidance_node import GuidanceNode
from shelfhelp_ros.nodes.hand_node import SOURCES, HandNode
from shelfhelp_ros.nodes.haptics_node import HapticsNode
from shelfhelp_ros.nodes.languages import voice_language
from shelfhelp_ros.nodes.perception_node import PerceptionNode
from shelfhelp_ros.nodes.recorder_node import RecorderNode
from shelfhelp_ros.nodes.running import Crew
from shelfhelp_ros.nodes.speech_node import SpeechNode
from shelfhelp_ros.resources import config_folder

HANDS = ("none", *SOURCES)
# Those that listen to the camera's topics.
_CAMERA_NODES = ("perception", "hand", "recorder")
LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")


@dataclass(frozen=True)
class AssistOptions:
    """What `shelfhelp assist` and the launch files let people choose. Empty texts leave the configuration's value."""

    camera: str = "camera"
    image_transport: str = ""
    hand: str = "none"
    config: Path | None = None
    confirm: str = ""
    backend: str = ""
    models: Path | None = None
    catalogue: Path | None = None
    speech: str = ""
    speech_rate: int = 0
    language: str = ""
    tones: bool = False
    haptics: bool = False
    record: Path | None = None
    log_level: str = "info"
    use_sim_time: bool = False

    @property
    def _config(self) -> Path:
        return self.config or config_folder() / "assist.yaml"

    def arguments(self, node: str) -> list[str]:
        """The ROS arguments of one node. Raises ShelfHelpError when a file they name is missing."""
        if not self._config.is_file():
            raise ShelfHelpError(f"the configuration {self._config} is missing; give another with --config")
        arguments = ["--ros-args", "--params-file", str(self._config)]
        for name, value in self._parameters(node).items():
            arguments += ["-p", f"{name}:={value}"]
        if node in _CAMERA_NODES:
            for ours, theirs in camera_topics(self.camera, self.image_transport).remappings:
                arguments += ["-r", f"{ours}:={theirs}"]
        return arguments

    def _parameters(self, node: str) -> dict[str, str]:
        values: dict[str, str] = {"use_sim_time": str(self.use_sim_time).lower()}
        if node in _CAMERA_NODES:
            topics = camera_topics(self.camera, self.image_transport)
            # The transport of a plain namespace stays the configuration's unless it was asked for.
            values |= _given(image_transport=topics.transport if topics.transport != "raw" else self.image_transport)
        if node == "perception":
            values |= _given(
                confirm=self.confirm,
                backend=self.backend,
                models=_quoted(self.models),
                catalogue=_quoted(self.catalogue),
            )
        elif node == "hand":
            values |= {"source": self.hand}
        elif node == "recorder":
            values |= _given(folder=_quoted(self.record))
        elif node == "guidance":
            values |= _given(language=self.language)
        elif node == "speech":
            values |= _given(
                language=voice_language(self._config, self.language),
                backend=self.speech,
                rate=str(self.speech_rate) if self.speech_rate else "",
                tones="true" if self.tones else "",
            )
        return values


def _given(**values: str) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _quoted(path: Path | None) -> str:
    # Parameter values are YAML: a folder called 2024 would else be a number.
    return "'" + str(path.expanduser().absolute()).replace("'", "''") + "'" if path else ""


@dataclass(frozen=True)
class Assistant:
    """The nodes, spinning and active.

    ``hand`` is None where another program tells of the hand, or none does; ``haptics`` where no wristband is worn, and
    ``recorder`` where nothing is to be kept.
    """

    perception: PerceptionNode
    guidance: GuidanceNode
    speech: SpeechNode
    hand: HandNode | None = None
    haptics: HapticsNode | None = None
    recorder: RecorderNode | None = None


def start_assistant(
    crew: Crew,
    options: AssistOptions,
    on_spoken: Callable[[Instruction], None] | None = None,
    context: Context | None = None,
) -> Assistant:
    """Add the nodes to ``crew`` and bring them to active.

    ``on_spoken`` is called, on the speech node's thread, with every instruction that begins to be spoken. Raises
    ShelfHelpError with the reason when a node cannot start.
    """
    if options.hand not in HANDS:
        raise ShelfHelpError(f"the hand is to be found by {options.hand!r}; it has to be one of {', '.join(HANDS)}")
    for name in ("perception", "guidance", "speech", "hand", "haptics", "recorder"):
        set_logger_level(name, _severity(options.log_level))
    perception = crew.add(PerceptionNode(cli_args=options.arguments("perception"), context=context))
    guidance = crew.add(GuidanceNode(cli_args=options.arguments("guidance"), context=context))
    speech = crew.add(SpeechNode(on_spoken, cli_args=options.arguments("speech"), context=context))
    hand = None
    if options.hand != "none":
        hand = crew.add(HandNode(cli_args=options.arguments("hand"), context=context))
    haptics = None
    if options.haptics:
        haptics = crew.add(HapticsNode(cli_args=options.arguments("haptics"), context=context))
    recorder = None
    if options.record is not None:
        recorder = crew.add(RecorderNode(cli_args=options.arguments("recorder"), context=context))
    crew.activate()
    return Assistant(perception, guidance, speech, hand, haptics, recorder)


def _severity(level: str) -> LoggingSeverity:
    if level not in LOG_LEVELS:
        raise ShelfHelpError(f"the log level is {level!r}; it has to be one of {', '.join(LOG_LEVELS)}")
    return LoggingSeverity[level.upper()]
