"""Tones: pitch, side and tempo say where the product is, by what is in the samples; silent in time."""

from __future__ import annotations

import shutil
import threading
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from way_driver import MS, NOW

from shelfhelp_ros.feedback.sound import PlayerOutlet, WavOutlet, open_player
from shelfhelp_ros.feedback.tones import SAMPLE_HZ, Synthesiser, Tone, Tones, tone
from shelfhelp_ros.feedback.voice import VoiceFailure
from shelfhelp_ros.feedback.way import Heading
from shelfhelp_ros.guidance.planner import Offset


def sound(wanted: Tone | None, seconds: float = 2.0, loudness: float = 1.0) -> np.ndarray:
    """Samples (N, 2), full scale 1, rendered in the blocks of the player."""
    synthesiser, block = Synthesiser(), SAMPLE_HZ // 50
    blocks = [synthesiser.render(block, wanted, loudness) for _ in range(round(seconds * 50))]
    return np.concatenate(blocks) / 32767


def pitch(samples: np.ndarray) -> float:
    """The strongest frequency, hertz."""
    mono = samples.sum(axis=1) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(mono, 1 << 18))
    return float(np.argmax(spectrum)) * SAMPLE_HZ / (1 << 18)


def begins(samples: np.ndarray) -> list[float]:
    """When beeps begin, seconds: loud after at least 20 ms of silence."""
    loud = np.flatnonzero(np.abs(samples).max(axis=1) > 0.01)
    return [loud[0] / SAMPLE_HZ, *(b / SAMPLE_HZ for a, b in pairwise(loud) if b - a > 0.02 * SAMPLE_HZ)]


def energies(samples: np.ndarray) -> np.ndarray:
    return np.sum(samples**2, axis=0)


@pytest.mark.parametrize(
    ("y", "hertz"), [(0.0, 440), (-0.6, 880), (0.6, 220), (-0.3, 440 * 2**0.5), (-3.0, 880), (3.0, 220)]
)
def test_higher_is_higher(y, hertz):
    """Level is 440 Hz, an octave at either end of the range, measured in the spectrum. The frame's y points down."""
    assert pitch(sound(tone(Offset("hand", 0.0, y, 0.0)))) == pytest.approx(hertz, rel=0.02)


@pytest.mark.parametrize(("x", "share"), [(-0.6, 0.0), (-0.3, 0.146), (0.0, 0.5), (0.3, 0.854), (0.6, 1.0), (9.0, 1.0)])
def test_it_sounds_from_the_side_of_the_product(x, share):
    """The right channel's share of the energy; the loudness of both together is the same on every side."""
    left, right = energies(sound(tone(Offset("hand", x, 0.1, 0.0))))
    assert right / (left + right) == pytest.approx(share, abs=0.01)
    per_beep = (left + right) / len(begins(sound(tone(Offset("hand", x, 0.1, 0.0)))))
    middle = sound(tone(Offset("hand", 0.0, 0.1, 0.0)))
    assert per_beep == pytest.approx(energies(middle).sum() / len(begins(middle)), rel=0.1)


def test_the_nearer_the_faster():
    """Beeps in the samples come at the tempo that the distance asks for, from 2 to 8 a second."""
    tempos = []
    for z in (0.8, 0.4, 0.2, 0.04):
        wanted = tone(Offset("hand", 0.0, 0.0, z))
        times = begins(sound(wanted, 4.0))
        tempos.append((len(times) - 1) / (times[-1] - times[0]))
        assert tempos[-1] == pytest.approx(wanted.beats, rel=0.03)
    assert tempos == sorted(set(tempos))
    assert (tempos[0], tempos[-1]) == (pytest.approx(2.0, rel=0.03), pytest.approx(8.0, rel=0.03))


def test_a_camera_is_led_by_degrees():
    """Without a hand the ends of the range are 30 degrees off."""
    wanted = tone(Offset("camera", 30.0, -30.0, 2.0))
    assert (wanted.hertz, wanted.pan, wanted.beats) == (880.0, 1.0, pytest.approx(2.0))


def test_silence_and_ducking():
    """Without a tone there is nothing; beside speech it is quiet; a tone that ends fades within a block."""
    assert not sound(None).any()
    wanted = Tone(440.0, 0.0, 8.0)
    assert np.abs(sound(wanted, loudness=0.12)).max() < 0.15 * np.abs(sound(wanted)).max()
    synthesiser = Synthesiser()
    synthesiser.render(600, wanted)
    synthesiser.render(SAMPLE_HZ // 50, None)
    assert not synthesiser.render(SAMPLE_HZ, None).any()


def test_no_clicks():
    """Beeps swell and fade: no two neighbouring samples differ by more than the steepest sine allows."""
    for wanted in (Tone(880.0, 1.0, 8.0), Tone(220.0, -1.0, 3.3)):
        steepest = 0.3 * 2 * np.pi * wanted.hertz / SAMPLE_HZ
        assert np.abs(np.diff(sound(wanted), axis=0)).max() < 1.1 * steepest


class Memory:
    """An outlet that keeps the blocks, and tells when there are enough."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []
        self._changed = threading.Condition()

    def write(self, samples: np.ndarray) -> None:
        with self._changed:
            self.blocks.append(samples)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            goal = len(self.blocks) + count
            assert self._changed.wait_for(lambda: len(self.blocks) >= goal, 30)

    def close(self) -> None:
        pass


def test_the_way_is_asked_ahead_and_its_end_is_silence():
    """What is made now is heard later: the way has to hold until then. When it ends, so does the sound."""
    ways: list[Heading | None] = [Heading(Offset("hand", 0.1, 0.1, 0.1), NOW, "camera")]
    asked: list[int] = []

    def heading(ahead_ns: int) -> Heading | None:
        asked.append(ahead_ns)
        return ways[-1]

    memory = Memory()
    tones = Tones(memory, heading)
    memory.wait_for(20)
    assert np.concatenate(memory.blocks).any()
    ways.append(None)
    memory.wait_for(3)
    began = len(memory.blocks)
    memory.wait_for(20)
    tones.close()
    assert not np.concatenate(memory.blocks[began:]).any()
    assert min(asked) >= 60 * MS


def test_without_a_device_it_is_a_wav_file(tmp_path: Path):
    """Stereo, 16 bits, with the sound that was made."""
    path = tmp_path / "new" / "tones.wav"
    outlet = WavOutlet(path, SAMPLE_HZ, 2)
    samples = Synthesiser().render(SAMPLE_HZ, Tone(440.0, -1.0, 4.0))
    outlet.write(samples)
    outlet.close()
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, SAMPLE_HZ)
        written = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)
    assert np.array_equal(written, samples)


def test_no_player_is_named(monkeypatch):
    """Neither paplay nor aplay: one line."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(VoiceFailure, match="no sound device"):
        open_player(SAMPLE_HZ, 2)


@pytest.mark.skipif(shutil.which("aplay") is None, reason="aplay (alsa-utils) is not installed")
def test_a_player_that_finds_no_device_is_given_up(monkeypatch, tmp_path: Path):
    """It is installed, and yet there is nothing to play on."""
    (tmp_path / "asound.conf").write_text("pcm.!default { type hw card 77 }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    with pytest.raises(VoiceFailure, match="no sound device"):
        open_player(SAMPLE_HZ, 2)


@pytest.mark.skipif(shutil.which("aplay") is None, reason="aplay (alsa-utils) is not installed")
def test_a_player_plays_every_sample(monkeypatch, tmp_path: Path):
    """Through aplay into ALSA's own file device: what comes out is what went in, on both channels."""
    heard = tmp_path / "heard.raw"
    (tmp_path / "asound.conf").write_text(
        f'pcm.!default {{ type file slave.pcm null file "{heard}" format raw }}\npcm.null {{ type null }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(tmp_path / "asound.conf"))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nowhere")
    samples = Synthesiser().render(SAMPLE_HZ // 2, Tone(440.0, -0.5, 4.0))
    command = ["aplay", "-q", "-t", "raw", "-f", "S16_LE", "-r", str(SAMPLE_HZ), "-c", "2"]
    outlet = PlayerOutlet(command)
    outlet.write(samples)
    outlet.finish()
    played = np.frombuffer(heard.read_bytes(), np.int16).reshape(-1, 2)
    assert np.array_equal(played[: len(samples)], samples)


def test_a_player_that_is_gone_is_a_failure():
    """The sound card was pulled out: the next write says so, and does not hang."""
    outlet = PlayerOutlet(["true"])
    assert not outlet.lives(20)
    with pytest.raises(VoiceFailure, match="gone"):
        outlet.write(np.zeros((SAMPLE_HZ, 2), np.int16))
    outlet.close()
