"""The speaker, on voices that are really there: listened to by duration and energy, cut off at once."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import yaml

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.feedback.espeak import EspeakVoice
from shelfhelp_ros.feedback.speech import Speaker, open_speaker
from shelfhelp_ros.feedback.voice import TextVoice, Utterance, Voice, VoiceFailure, VoiceSettings
from shelfhelp_ros.guidance.instruction import Urgency
from shelfhelp_ros.guidance.listener import speech_seconds
from shelfhelp_ros.resources import config_folder

needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")

SENTENCES = (
    "A little to the left.",
    "Reach forward about a foot and a half.",
    "I lost sight of it. Hold still.",
    "Two products look alike: Red Beans on the left and Kidney Beans on the right. Hold still while I compare them.",
)


def heard(path: Path) -> tuple[float, float]:
    """Seconds of sound in a WAV file, and its loudness (root mean square of full scale)."""
    with wave.open(str(path)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        return len(samples) / file.getframerate(), float(np.sqrt(np.mean(samples**2)))


class Events:
    """What a speaker reports, in order, and a way to wait for it."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self._changed = threading.Condition()

    def started(self, text: str) -> None:
        self._add(("started", text))

    def finished(self, text: str, completed: bool) -> None:
        self._add(("finished", completed))

    def _add(self, entry: tuple[str, object]) -> None:
        with self._changed:
            self.log.append(entry)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.log) >= count, 20)


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def text_speaker(events):
    written: list[str] = []
    speaker = open_speaker("text", 600, write=written.append, on_started=events.started, on_finished=events.finished)
    speaker.written = written
    yield speaker
    speaker.close()


# espeak-ng


@needs_espeak
def test_the_sound_of_sentences(tmp_path):
    """Each sentence is as long as the pacing reckons, within a fifth, and is no silence."""
    speaker = open_speaker("espeak-ng", 600, wav_folder=tmp_path)
    for sentence in SENTENCES:
        speaker.say(sentence)
        assert speaker.wait(20)
    speaker.close()
    files = sorted(tmp_path.glob("*.wav"))
    assert [path.name for path in files] == ["0001.wav", "0002.wav", "0003.wav", "0004.wav"]
    for path, sentence in zip(files, SENTENCES, strict=True):
        seconds, loudness = heard(path)
        assert seconds == pytest.approx(speech_seconds(sentence, 600), rel=0.2)
        assert loudness > 0.02


@needs_espeak
@pytest.mark.parametrize("rate", [80, 120, 175, 250, 350, 450, 600])
def test_the_reckoned_length_of_speech(tmp_path, rate):
    """The listener model's length of speech holds over the whole range of rates."""
    utterance = EspeakVoice(VoiceSettings(rate), tmp_path).begin(SENTENCES[3])
    thread = threading.Thread(target=utterance.wait)
    thread.start()
    utterance.process.wait(20)
    while not heard_whole(tmp_path / "0001.wav"):
        time.sleep(0.01)
    seconds, _ = heard(tmp_path / "0001.wav")
    utterance.cut()
    thread.join(20)
    assert seconds == pytest.approx(speech_seconds(SENTENCES[3], rate), rel=0.2)


def heard_whole(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 44


def synthesised(tmp_path: Path, text: str, settings: VoiceSettings) -> tuple[float, npt.NDArray[np.float64], int]:
    """Seconds, samples (full scale 1) and their rate of what espeak-ng makes of a text, as the voice would call it."""
    command = EspeakVoice(settings, tmp_path)._command
    subprocess.run([*command, "-w", str(tmp_path / "t.wav")], input=text.encode(), check=True, timeout=20)
    with wave.open(str(tmp_path / "t.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
        return len(samples) / file.getframerate(), samples, file.getframerate()


def energy_over_time(samples: npt.NDArray[np.float64], hertz: int) -> npt.NDArray[np.float64]:
    """Root mean square of every 50 ms."""
    window = hertz // 20
    return np.sqrt(np.mean(samples[: len(samples) // window * window].reshape(-1, window) ** 2, axis=1))


@needs_espeak
def test_every_phrase_is_heard_from_beginning_to_end(tmp_path):
    """No phrase is silent, or ends early: energy is there over most of its time, and its length is right."""
    for text in spoken_phrases():
        seconds, samples, hertz = synthesised(tmp_path, text, VoiceSettings(300))
        loud = energy_over_time(samples, hertz) > 0.01
        assert loud.mean() > 0.4, text
        assert np.flatnonzero(loud)[-1] * 0.05 > 0.6 * seconds - 0.1, text
        assert seconds == pytest.approx(speech_seconds(text, 300), rel=0.35, abs=0.2), text


def spoken_phrases() -> list[str]:
    """Every sentence of config/phrases/en.yaml with words filled in; parts of sentences are left out."""
    raw = yaml.safe_load((config_folder() / "phrases" / "en.yaml").read_text(encoding="utf-8"))
    filled = {"name": "Oat drink", "first": "Red Beans", "second": "Kidney Beans", "distance": "6 inches", "count": "3"}
    filled |= {"hour": "two o'clock", "names": "Tea, Rice", "way": "up 6 inches"}
    filled |= {"side": "to your left", "height": "level with the camera"}

    def texts(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for value in node.values():
                yield from texts(value)
        elif isinstance(node, str) and node.endswith("."):
            yield node.format(**filled)

    found = list(texts(raw))
    assert len(found) > 30
    return found


@needs_espeak
def test_twice_the_rate_is_half_the_time(tmp_path):
    """From 80 to 600 words a minute the sound shortens as the rate grows."""
    rates = (80, 120, 175, 250, 350, 450, 600)
    seconds = [synthesised(tmp_path, SENTENCES[3], VoiceSettings(rate))[0] for rate in rates]
    assert seconds == sorted(seconds, reverse=True)
    products = [rate * length for rate, length in zip(rates, seconds, strict=True)]
    assert max(products) < 1.3 * min(products)


@needs_espeak
def test_the_volume_is_heard(tmp_path):
    """Half the volume is half the amplitude; the length stays."""
    quiet, full = (synthesised(tmp_path, SENTENCES[0], VoiceSettings(175, volume)) for volume in (50, 100))
    assert quiet[0] == pytest.approx(full[0], abs=0.02)
    assert np.sqrt(np.mean(quiet[1] ** 2)) == pytest.approx(0.5 * np.sqrt(np.mean(full[1] ** 2)), rel=0.2)


@needs_espeak
def test_a_new_rate_holds_from_the_next_text_on(tmp_path):
    """Without another speaker."""
    speaker = open_speaker("espeak-ng", 300, wav_folder=tmp_path)
    for rate in (300, 600):
        speaker.change(VoiceSettings(rate))
        speaker.say(SENTENCES[1])
        assert speaker.wait(20)
    speaker.close()
    slow, fast = (heard(tmp_path / name)[0] for name in ("0001.wav", "0002.wav"))
    assert slow == pytest.approx(2 * fast, rel=0.2)


@needs_espeak
def test_a_stop_kills_the_process(tmp_path, events):
    """When stop returns, the process that was speaking is gone, and its file with it."""
    voice = EspeakVoice(VoiceSettings(80), tmp_path)
    speaker = Speaker(voice, VoiceSettings(80), [], events.started, events.finished)
    speaker.say("never ending story " * 20_000)
    events.wait_for(1)
    process = speaker._current.process
    assert process.poll() is None
    speaker.stop()
    assert process.poll() is not None
    assert not Path(f"/proc/{process.pid}").exists()
    assert speaker.wait(5)
    speaker.close()
    assert events.log[-1] == ("finished", False)
    assert list(tmp_path.iterdir()) == []


@needs_espeak
def test_a_cut_shortens_what_was_heard(tmp_path, events):
    """The file of a sentence that was cut off holds its beginning only."""
    speaker = open_speaker("espeak-ng", 80, wav_folder=tmp_path, on_started=events.started, on_finished=events.finished)
    speaker.say(SENTENCES[3])
    events.wait_for(1)
    time.sleep(0.8)
    assert speaker.speaking
    speaker.stop()
    assert speaker.wait(5)
    speaker.close()
    seconds, loudness = heard(tmp_path / "0001.wav")
    assert seconds < 0.5 * speech_seconds(SENTENCES[3], 80)
    assert loudness > 0.01


@needs_espeak
@pytest.mark.parametrize("text", ["-w /tmp/elsewhere.wav", "$(reboot); `ls` & | > x", "naïve Grüße 5 €", "a\nb\tc"])
def test_any_text_is_only_spoken(tmp_path, text):
    """A product's name is never an option or a command."""
    speaker = open_speaker("espeak-ng", 600, wav_folder=tmp_path)
    speaker.say(text)
    assert speaker.wait(20)
    speaker.close()
    assert [path.name for path in tmp_path.iterdir()] == ["0001.wav"]
    assert heard(tmp_path / "0001.wav")[1] > 0.005


@needs_espeak
def test_an_unknown_voice_is_named():
    """The message tells where the known ones are listed."""
    with pytest.raises(ShelfHelpError, match=r"no voice 'nosuch'.*--voices"):
        open_speaker("espeak-ng", voice="nosuch")


@needs_espeak
def test_voices_differ(tmp_path):
    """The chosen voice is the one that speaks."""
    lengths = []
    for voice in ("en", "de"):
        speaker = open_speaker("espeak-ng", 600, voice, wav_folder=tmp_path / voice)
        speaker.say(SENTENCES[1])
        assert speaker.wait(20)
        speaker.close()
        lengths.append(heard(tmp_path / voice / "0001.wav")[0])
    assert lengths[0] != lengths[1]


@needs_espeak
def test_a_missing_sound_device_is_one_warning(caplog, monkeypatch, tmp_path):
    """Without sound the words are written, and the log says so once."""
    (tmp_path / "asound.conf").write_text("pcm.!default { type hw card 77 }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    monkeypatch.setenv("SPEECHD_ADDRESS", "unix_socket:/nowhere")
    written: list[str] = []
    with caplog.at_level(logging.WARNING):
        speaker = open_speaker("auto", 600, write=written.append)
        for text in ("One.", "Two."):
            speaker.say(text)
            assert speaker.wait(5)
    speaker.close()
    assert speaker.kind == "text"
    assert written == ["One.", "Two."]
    assert len(caplog.records) == 1
    assert "no sound device" in caplog.text


@needs_espeak
def test_a_sound_device_is_used(monkeypatch, tmp_path):
    """With a device (ALSA's, here one that swallows the sound) espeak-ng speaks, and no text is written."""
    (tmp_path / "asound.conf").write_text("pcm.!default { type null }\nctl.!default { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    monkeypatch.setenv("SPEECHD_ADDRESS", "unix_socket:/nowhere")
    written: list[str] = []
    completed: list[bool] = []
    speaker = open_speaker("auto", 600, write=written.append, on_finished=lambda text, whole: completed.append(whole))
    speaker.say("Hello.")
    assert speaker.wait(10)
    speaker.close()
    assert speaker.kind == "espeak-ng"
    assert (written, completed) == ([], [True])


def test_a_missing_program_is_named(monkeypatch, caplog):
    """Asked for by name it is an error that says what to install; by itself the words are written."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("SPEECHD_ADDRESS", "unix_socket:/nowhere")
    with pytest.raises(ShelfHelpError, match="apt-get install espeak-ng"):
        open_speaker("espeak-ng")
    with caplog.at_level(logging.WARNING):
        speaker = open_speaker("auto", write=lambda text: None)
    speaker.close()
    assert speaker.kind == "text"
    assert len(caplog.records) == 1


# The speaker


@pytest.mark.parametrize(("kind", "rate"), [("gramophone", 175), ("text", 79), ("text", 601), ("espeak-ng", -5)])
def test_wrong_settings_are_named(kind, rate):
    """The message holds what was given and what is allowed."""
    with pytest.raises(ShelfHelpError, match="gramophone.*auto" if kind == "gramophone" else f"{rate}.*80 to 600"):
        open_speaker(kind, rate)


def test_text_takes_as_long_as_speech(text_speaker):
    """The text voice is paced, so that the guide waits for a reader as for a listener."""
    began = time.monotonic()
    text_speaker.say(SENTENCES[0])
    assert text_speaker.speaking
    assert text_speaker.wait(10)
    assert time.monotonic() - began >= speech_seconds(SENTENCES[0], 600)
    assert not text_speaker.speaking
    assert text_speaker.written == [SENTENCES[0]]


def test_started_and_finished_are_reported_in_order(text_speaker, events):
    """One report of each, also for what was cut off."""
    text_speaker.say("One.")
    events.wait_for(2)
    text_speaker.say("A sentence that is cut off before it ends.")
    events.wait_for(3)
    text_speaker.stop()
    events.wait_for(4)
    assert [entry[1] for entry in events.log] == ["One.", True, "A sentence that is cut off before it ends.", False]


def test_the_queue_holds_one(text_speaker, events):
    """Of what came in while speaking only the newest is said."""
    text_speaker.say(SENTENCES[3])
    events.wait_for(1)
    for text in ("One.", "Two.", "Three."):
        text_speaker.say(text)
    assert text_speaker.wait(10)
    assert text_speaker.written == [SENTENCES[3], "Three."]


def test_what_waits_gives_way_to_nothing_less_urgent(text_speaker, events):
    """A hint does not push out a direction, nor a direction the answer that the person asked for."""
    text_speaker.say(SENTENCES[3])
    events.wait_for(1)
    with text_speaker._state:
        text_speaker.say("Answer.", urgency=Urgency.HIGH)
        text_speaker.say("Direction.")
        text_speaker.say("Hint.", urgency=Urgency.LOW)
    assert text_speaker.wait(10)
    assert text_speaker.written == [SENTENCES[3], "Answer."]


@pytest.mark.parametrize(("urgency", "cuts"), [(0, False), (1, False), (2, True), (3, True)])
def test_urgency_decides_what_cuts_in(text_speaker, events, urgency, cuts):
    """Hints and directions wait for the sentence to end; answers and stop do not, even without words."""
    text_speaker.say(SENTENCES[3])
    events.wait_for(1)
    text_speaker.say("", urgency=Urgency(urgency))
    assert text_speaker.wait(10)
    assert events.log[1] == ("finished", not cuts)


@needs_espeak
def test_an_answer_cuts_a_real_voice_off_and_is_heard_whole(tmp_path, events):
    """Of the sentence before only its beginning was heard; the answer is as long as it should be, and what waited is
    gone."""
    speaker = open_speaker(
        "espeak-ng", 120, wav_folder=tmp_path, on_started=events.started, on_finished=events.finished
    )
    speaker.say(SENTENCES[3])
    events.wait_for(1)
    time.sleep(0.5)
    speaker.say(SENTENCES[0])
    speaker.say(SENTENCES[1], urgency=Urgency.HIGH)
    events.wait_for(3)
    assert speaker.wait(60)
    speaker.close()
    assert [what for kind, what in events.log if kind == "started"] == [SENTENCES[3], SENTENCES[1]]
    assert [what for kind, what in events.log if kind == "finished"] == [False, True]
    first, second = (tmp_path / name for name in ("0001.wav", "0002.wav"))
    assert not first.exists() or heard(first)[0] < 0.7 * speech_seconds(SENTENCES[3], 120)
    assert heard(second)[0] == pytest.approx(speech_seconds(SENTENCES[1], 120), rel=0.25)
    assert heard(second)[1] > 0.02


def test_a_stop_forgets_what_waits(text_speaker, events):
    """After a stop nothing follows by itself, and the next text is spoken as ever."""
    text_speaker.say(SENTENCES[3])
    events.wait_for(1)
    text_speaker.say("Waiting.")
    text_speaker.stop()
    assert text_speaker.wait(1)
    text_speaker.say("Next.")
    assert text_speaker.wait(10)
    assert text_speaker.written == [SENTENCES[3], "Next."]


def test_what_has_expired_is_not_begun(text_speaker, events):
    """Validity is asked when the first word would come, not when the text came in."""
    valid = threading.Event()
    valid.set()
    text_speaker.say(SENTENCES[3])
    events.wait_for(1)
    text_speaker.say("Too late.", valid=valid.is_set)
    valid.clear()
    assert text_speaker.wait(10)
    assert text_speaker.written == [SENTENCES[3]]
    assert len(events.log) == 2


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_blank_text_is_nothing(text_speaker, text):
    """The empty text of a stop is not spoken."""
    text_speaker.say(text)
    assert not text_speaker.speaking
    assert text_speaker.written == []


def test_stop_may_be_called_from_the_callback():
    """A node may stop the speaker from what the speaker calls."""
    speaker = open_speaker("text", 600, write=lambda text: None, on_started=lambda text: speaker.stop())
    speaker.say(SENTENCES[3])
    assert speaker.wait(1)
    speaker.close()


def test_a_closed_speaker_says_so(text_speaker):
    """Rather than swallowing the words."""
    text_speaker.close()
    with pytest.raises(ShelfHelpError, match="closed"):
        text_speaker.say("Hello.")


class _Failing(TextVoice):
    """A voice whose device is pulled out, before or during the first utterance."""

    kind = "failing"

    def __init__(self, at_once: bool) -> None:
        super().__init__(VoiceSettings(600), lambda text: None)
        self._at_once = at_once

    def begin(self, text: str, urgency: Urgency = Urgency.NORMAL) -> Utterance:
        if self._at_once:
            raise VoiceFailure("the device is gone")
        return self

    def wait(self) -> bool:
        raise VoiceFailure("the device is gone")

    def cut(self) -> None:
        raise VoiceFailure("the device is gone")


def _absent(settings: VoiceSettings) -> Voice:
    raise ShelfHelpError("no voice is installed")


@pytest.mark.parametrize("at_once", [True, False])
def test_a_voice_that_gives_out_is_replaced(caplog, events, at_once):
    """The sentence it failed at is written, later ones too; the warning comes once, the reports once."""
    written: list[str] = []
    substitutes = [_absent, lambda settings: TextVoice(settings, written.append)]
    speaker = Speaker(_Failing(at_once), VoiceSettings(600), substitutes, events.started, events.finished)
    with caplog.at_level(logging.WARNING):
        for text in ("One.", "Two."):
            speaker.say(text)
            assert speaker.wait(5)
    speaker.close()
    assert written == ["One.", "Two."]
    assert len(caplog.records) == 1
    assert [kind for kind, _ in events.log] == ["started", "finished"] * 2
