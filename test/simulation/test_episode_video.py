"""A video of a fast search: the very search that the record tells of, drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from shelfhelp_ros.simulation.episode_video import drawn, fast_recording
from shelfhelp_ros.simulation.episodes import PLANNER, EpisodesSettings, run_episodes
from shelfhelp_ros.simulation.racks import SITUATIONS, WANTED, draw_scene
from shelfhelp_ros.simulation.report import write_video

SETTINGS = EpisodesSettings(episodes=2, seed=5, planners=(PLANNER,))


def test_the_film_is_of_the_search_that_was_recorded(tmp_path) -> None:
    """Of a person's second search with what the first one taught, too: same words, same end, frames all along."""
    record = min(run_episodes(SETTINGS, workers=1), key=lambda record: record["seconds"])
    recording = fast_recording(SETTINGS, record["episode"])
    assert [(round(said.seconds, 2), said.text) for said in recording.utterances] == [tuple(s) for s in record["said"]]
    assert (recording.outcome, recording.seconds) == (record["outcome"], record["seconds"])
    assert len(recording.video) == pytest.approx(5 * record["seconds"], rel=0.1)
    recording.video = recording.video[:25]
    path = write_video(recording, tmp_path / "search.webm")
    assert path is not None
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS) == pytest.approx(5 + 2, abs=0.5)


def test_the_drawing_shows_the_product_and_the_hand() -> None:
    """In both views: the wanted product stands out, and the hand's way ends where the hand is."""
    rack = draw_scene(SITUATIONS[0], np.random.default_rng(3)).rack
    way = [np.array([0.2, 0.1, 0.3]), np.array([0.0, 0.0, 0.5])]
    picture = drawn(rack, way)
    green = (picture == (122, 200, 80)).all(axis=2)
    assert green[:400].any()
    assert green[400:].any()
    x, y = rack.points(WANTED)[0][:2]
    rows, columns = np.nonzero(green[:400])
    assert columns.mean() == pytest.approx(320 + 400 * x, abs=25)
    assert rows.mean() == pytest.approx(200 + 400 * y, abs=25)
    white = (picture == 245).all(axis=2)
    assert white[200, 320]
    assert white[400 + round(200 * (1 - 0.5 / 1.2)), 320]


def test_an_episode_that_is_none_is_refused() -> None:
    """The command checks its number before."""
    with pytest.raises(ValueError, match="no episode 2"):
        fast_recording(SETTINGS, 2)
