"""How long speech is still heard after a stop: ``python -m shelfhelp_ros.benchmark.speech_stop``.

Needs a running PulseAudio or PipeWire. The sound that leaves it is recorded from the default sink's monitor while a
voice speaks; ``Speaker.stop`` is called at a random moment, and the time from that call to the last loud sample is
what is measured, the recorder's own delay included. One that falls into a pause of the voice counts as 0.

With ``--answers`` an urgent sentence cuts in instead, and the time until its voice has begun is measured. That needs no
sound: espeak-ng writes into files at the pace of speech.
"""

from __future__ import annotations

import queue
import random
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
import numpy as np

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.speech import Speaker, open_speaker
from shelfhelp_ros.guidance.instruction import Urgency

TEXT = "Move your hand around along all our aisles and ring on, we may well move lower all morning long. " * 3
HERTZ = 16_000
LOUD = 0.005
_CHUNK_SECONDS = 0.005
_AFTER_SECONDS = 1.0
_DEAF_SECONDS = 20.0


class Recorder:
    """Listens to what is played; ``last_loud`` is when (monotonic seconds) sound was heard last, 0.0 before any."""

    def __init__(self) -> None:
        if shutil.which("parec") is None:
            raise ShelfHelpError("parec is not installed; install it with: apt-get install pulseaudio-utils")
        source = ["--device=@DEFAULT_MONITOR@", "--latency-msec=5"]
        form = ["--raw", "--format=s16le", f"--rate={HERTZ}", "--channels=1"]
        self._process = subprocess.Popen(["parec", *source, *form], stdout=subprocess.PIPE)
        self.last_loud = 0.0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        while chunk := self._process.stdout.read(2 * round(HERTZ * _CHUNK_SECONDS)):
            samples = np.frombuffer(chunk, np.int16) / 32768
            if float(np.sqrt(np.mean(samples**2))) > LOUD:
                self.last_loud = time.monotonic()


def seconds_to_silence(speaker: Speaker, recorder: Recorder, speak_seconds: float) -> float:
    """Speak for ``speak_seconds``, stop, and tell how long sound was heard after that."""
    began = time.monotonic()
    speaker.say(TEXT)
    while recorder.last_loud < began:
        if time.monotonic() > began + _DEAF_SECONDS:
            raise ShelfHelpError("nothing is heard; is a sound server running, and its default sink not muted?")
        time.sleep(0.01)
    time.sleep(speak_seconds)
    stopped = time.monotonic()
    speaker.stop()
    time.sleep(_AFTER_SECONDS)
    return max(0.0, recorder.last_loud - stopped)


def measure_stops(kind: str, count: int) -> list[float]:
    """Seconds until silence of ``count`` stops, each at a random moment; ``ShelfHelpError`` where nothing is heard."""
    with closing(Recorder()) as recorder, closing(open_speaker(kind)) as speaker:
        if speaker.kind != kind:
            raise ShelfHelpError(f"{kind} finds no sound device")
        return [seconds_to_silence(speaker, recorder, random.uniform(0.5, 1.5)) for _ in range(count)]


def seconds_to_answer(speak_seconds: float) -> float:
    """Speak into a file for ``speak_seconds``, answer, and tell how long it took until the answer had begun."""
    begun: queue.SimpleQueue[float] = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        speaker = open_speaker(
            "espeak-ng", wav_folder=Path(folder), on_started=lambda text: begun.put(time.monotonic())
        )
        speaker.say(TEXT)
        begun.get(timeout=_DEAF_SECONDS)
        time.sleep(speak_seconds)
        asked = time.monotonic()
        speaker.say("I see it.", urgency=Urgency.HIGH)
        answered = begun.get(timeout=_DEAF_SECONDS)
        speaker.close()
    return answered - asked


def summary(seconds: Sequence[float]) -> str:
    median, late, most = (1000 * float(np.percentile(seconds, rank)) for rank in (50, 95, 100))
    return f"{len(seconds)} times: median {median:.0f} ms, 95th percentile {late:.0f} ms, most {most:.0f} ms"


@click.command(help=__doc__)
@click.option("--kind", default="espeak-ng", show_default=True, help="espeak-ng, speech-dispatcher or hibari.")
@click.option("--count", default=30, show_default=True, help="How many stops.")
@click.option("--answers", is_flag=True, help="Measure answers that cut in, with espeak-ng.")
def main(kind: str, count: int, answers: bool) -> None:
    if answers:
        click.echo("answers, " + summary([seconds_to_answer(random.uniform(0.2, 0.8)) for _ in range(count)]))
        return
    try:
        click.echo(f"{kind}, " + summary(measure_stops(kind, count)))
    except ShelfHelpError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
