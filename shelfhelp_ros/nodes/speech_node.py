"""The ``speech`` node: instructions in, speech and if wanted tones out, and word of when it speaks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from rclpy.node import Node
from shelfhelp_interfaces.msg import Instruction
from std_msgs.msg import Bool

from shelfhelp_ros.feedback.sound import WavOutlet, open_player
from shelfhelp_ros.feedback.speech import open_speaker
from shelfhelp_ros.feedback.tones import SAMPLE_HZ, Tones
from shelfhelp_ros.feedback.voice import VoiceFailure, VoiceSettings
from shelfhelp_ros.feedback.way import Way
from shelfhelp_ros.guidance.instruction import Urgency
from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.nodes.conversions import from_time, to_time
from shelfhelp_ros.nodes.guidance_watch import GuidanceWatch
from shelfhelp_ros.nodes.health import Health
from shelfhelp_ros.nodes.parameters import Parameters, Setting, Value
from shelfhelp_ros.nodes.quality_of_service import STATE, WORDS, adjustable
from shelfhelp_ros.nodes.running import run
from shelfhelp_ros.nodes.way_topics import WayTopics

SETTINGS = (
    Setting(
        "backend",
        "auto",
        "what speaks; auto takes the first that works",
        choices=("auto", "speech-dispatcher", "espeak-ng", "hibari", "text"),
        fixed=True,
    ),
    Setting("rate", 0, "speaking rate, 80 to 600 words a minute; 0: the voice's own", 0, 600),
    Setting("volume", 0, "loudness of the voice, 1 to 100 %; 0: the voice's own", 0, 100),
    Setting("voice", "", "voice of the speech engine; empty: its own choice", fixed=True),
    Setting(
        "language",
        "",
        "language of the voice, such as en or en-gb; empty: that of the phrases, English as the voice has it",
        fixed=True,
    ),
    Setting("tones", False, "tones beside the words: pitch, side and tempo tell where the product is", fixed=True),
    Setting("wav_folder", "", "write WAV files into this folder instead of using the sound device", fixed=True),
)

# For so long it is worth saying that guidance has died; by then the next one speaks for itself.
_HOLDS_NS = 3_000_000_000


class SpeechNode(Node):
    """Speaks what is still in time; publishes ``speaking`` and, as it begins, each instruction on ``spoken``.

    ``on_spoken`` is called with the same instruction on the speaker's thread, for a process that prints the words.
    """

    def __init__(self, on_spoken: Callable[[Instruction], object] | None = None, **options: Any) -> None:
        super().__init__("speech", **options)
        self.parameters = Parameters(self, SETTINGS, self._on_parameters)
        self.dropped = 0
        self._on_spoken = on_spoken
        self._beginning = Instruction()
        self._speaking = self.create_publisher(Bool, "speaking", **adjustable(STATE))
        self._spoken = self.create_publisher(Instruction, "spoken", **adjustable(WORDS))
        folder = self.parameters["wav_folder"]
        wav_folder = Path(folder).expanduser() if folder else None
        self.way = Way()
        self._tones: Tones | None = None
        self.speaker = open_speaker(
            self.parameters["backend"],
            self.parameters["rate"] or None,
            self.parameters["voice"],
            volume=self.parameters["volume"] or None,
            language=self.parameters["language"],
            wav_folder=wav_folder,
            write=lambda text: None,
            on_started=self._begin,
            on_finished=lambda text, completed: self._announce(False),
        )
        self._announce(False)
        if self.parameters["tones"]:
            self._tones = self._open_tones(wav_folder)
        self.create_subscription(Instruction, "instruction", self._on_instruction, **adjustable(WORDS))
        self._restarting = Phrases.of_voice(self.parameters["language"]).say("restarting")
        self.watch = GuidanceWatch(self, self._on_death_of_guidance)
        self._opened = self.speaker.kind
        self._health = Health(self, self._complaint)
        self.get_logger().info(f"speaking through {self._opened}")

    @property
    def now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _complaint(self) -> str:
        kind, opened = self.speaker.kind, self._opened
        if kind == "text" and self.parameters["backend"] != "text":
            voice = "a voice" if opened == "text" else opened
            return f"nothing is heard, only written: {voice} does not work; `shelfhelp doctor` says how to mend it"
        return "" if kind == opened else f"{opened} gave out, {kind} speaks instead; start speech anew once it is back"

    def close(self) -> None:
        """Fall silent before the process lets go of ROS."""
        self.speaker.close()
        if self._tones is not None:
            self._tones.close()
            self._tones = None

    def _open_tones(self, wav_folder: Path | None) -> Tones | None:
        """Tones of the way, on the sound device or in tones.wav; without a device there are none, with one warning."""
        try:
            outlet = WavOutlet(wav_folder / "tones.wav", SAMPLE_HZ, 2) if wav_folder else open_player(SAMPLE_HZ, 2)
        except VoiceFailure as failure:
            self.get_logger().warning(f"{failure}; there are no tones")
            return None
        WayTopics(self, self.way, self.way.on_phase)
        return Tones(outlet, lambda ahead_ns: self.way.heading(self.now_ns + ahead_ns))

    def _on_parameters(self, changes: dict[str, Value]) -> None:
        rate, volume = (int(changes.get(name, self.parameters[name])) for name in ("rate", "volume"))
        voice, language = self.parameters["voice"], self.parameters["language"]
        self.speaker.change(VoiceSettings(rate or None, volume or None, voice, language))

    def _on_instruction(self, message: Instruction) -> None:
        urgency = Urgency(min(message.urgency, Urgency.STOP))
        self.speaker.say(message.text, lambda: self._in_time(message), urgency)

    def _on_death_of_guidance(self) -> None:
        """Say in its place that there are no directions now; the tones fall silent with it."""
        self.get_logger().error("guidance has died in the middle of a search")
        self.way.on_phase(Phase.STALE)
        now_ns = self.now_ns
        message = Instruction(phase=Phase.STALE.value, text=self._restarting, urgency=Urgency.HIGH)
        message.header.stamp, message.valid_until = to_time(now_ns), to_time(now_ns + _HOLDS_NS)
        self._on_instruction(message)

    def _in_time(self, message: Instruction) -> bool:
        """Asked at the last moment before the first word."""
        if self.now_ns >= from_time(message.valid_until):
            self.dropped += 1
            self.get_logger().debug(f"too late to say: {message.text}")
            return False
        self._beginning = message
        return True

    def _begin(self, text: str) -> None:
        message = self._beginning
        if self.context.ok():
            self._spoken.publish(message)
        self._announce(True)
        if self._on_spoken is not None:
            self._on_spoken(message)

    def _announce(self, speaking: bool) -> None:
        if self._tones is not None:
            self._tones.duck(speaking)
        if self.context.ok():
            self._speaking.publish(Bool(data=speaking))


def main() -> NoReturn:
    """Executable of the node; what is spoken is also written, line by line."""
    run(lambda: SpeechNode(lambda instruction: print(instruction.text, flush=True)))
