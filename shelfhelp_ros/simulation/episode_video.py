"""A fast search drawn: the shelf from the front and from above, the hand with its way, and the words beneath."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.guidance.instruction import Instruction
from shelfhelp_ros.simulation.episodes import PLANNER, SEARCHES, EpisodesSettings, searches
from shelfhelp_ros.simulation.fast_loop import FastEpisode
from shelfhelp_ros.simulation.racks import TWIN, WANTED, Rack, Vector
from shelfhelp_ros.simulation.recording import Recording, Utterance

Image = npt.NDArray[np.uint8]

_WIDTH, _FRONT, _ABOVE = 640, 400, 200
#: Metres across the picture, and from the camera to its upper edge seen from above.
_ACROSS, _DEEP = 1.6, 1.2
_SCALE = _WIDTH / _ACROSS
_FRAME_SECONDS = 0.2
_BACK, _PACK, _LOOK_ALIKE, _RIGHT, _HAND = (30, 26, 24), (110, 104, 98), (60, 150, 235), (122, 200, 80), (245, 245, 245)


class FilmedEpisode(FastEpisode):
    """A search that keeps a drawing five times a second, and what was said."""

    def run_filmed(self) -> Recording:
        """Run it, and give back what a report's video is made of."""
        self._way: list[Vector] = []
        self._film = Recording(product="", packshot=np.zeros((1, 1, 3), np.uint8))
        outcome = self.run()
        self._film.product = self._guide.target_name
        self._film.outcome, self._film.seconds, self._film.path = outcome.outcome, outcome.seconds, outcome.path
        return self._film

    def _live(self) -> None:
        super()._live()
        self._way.append(self._hand.position.copy())
        frames = self._film.video
        if not frames or self._now >= frames[-1][0] + _FRAME_SECONDS - 1e-6:
            frames.append((self._now, _jpeg(drawn(self._rack, self._way))))

    def _begin_to_speak(self, instruction: Instruction) -> None:
        before = len(self._said)
        super()._begin_to_speak(instruction)
        if len(self._said) > before:
            said = Utterance(self._now, instruction.phase.value, instruction.text, math.nan)
            self._film.utterances.append(said)


def fast_recording(settings: EpisodesSettings, episode: int) -> Recording:
    """Film one of the episodes: it is run again with the planner of sentences, after those of its person before it."""
    person = episode // SEARCHES
    for facts, search in searches(settings, PLANNER, person, FilmedEpisode):
        assert isinstance(search, FilmedEpisode)
        recording = search.run_filmed()
        if facts["episode"] == episode:
            return recording
    raise ValueError(f"there is no episode {episode} among {settings.episodes}")


def drawn(rack: Rack, way: list[Vector]) -> Image:
    """The shelf from the front and, beneath it, from above with the camera at the lower edge; the hand's way so far."""
    canvas = np.full((_FRONT + _ABOVE, _WIDTH, 3), _BACK, np.uint8)
    order = np.argsort(rack.products == WANTED)
    for index in order:
        (x, y), (half_x, half_y), front = rack.middles[index], rack.halves[index], rack.fronts[index]
        product = int(rack.products[index])
        colour = _RIGHT if product == WANTED else _LOOK_ALIKE if product == TWIN else _PACK
        cv2.rectangle(canvas[:_FRONT], _at_front(x - half_x, y - half_y), _at_front(x + half_x, y + half_y), colour, -1)
        cv2.rectangle(canvas[:_FRONT], _at_front(x - half_x, y - half_y), _at_front(x + half_x, y + half_y), _BACK, 1)
        cv2.rectangle(canvas[_FRONT:], _at_above(x - half_x, front + 0.2), _at_above(x + half_x, front), colour, -1)
    for view, at, across in ((canvas[:_FRONT], _at_front, 1), (canvas[_FRONT:], _at_above, 2)):
        points = np.array([at(point[0], point[across]) for point in way], np.int32)
        cv2.polylines(view, [points], False, _HAND, 1, cv2.LINE_AA)
        cv2.circle(view, tuple(int(value) for value in points[-1]), 9, _HAND, -1, cv2.LINE_AA)
    cv2.line(canvas, (0, _FRONT), (_WIDTH, _FRONT), _HAND, 1)
    for text, row in (("from the front", 16), ("from above", _FRONT + 16)):
        cv2.putText(canvas, text, (8, row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _HAND, 1, cv2.LINE_AA)
    return canvas


def _at_front(x: float, y: float) -> tuple[int, int]:
    return round(_WIDTH / 2 + x * _SCALE), round(_FRONT / 2 + y * _SCALE)


def _at_above(x: float, depth: float) -> tuple[int, int]:
    return round(_WIDTH / 2 + x * _SCALE), round(_ABOVE * (1 - depth / _DEEP))


def _jpeg(image: Image) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
