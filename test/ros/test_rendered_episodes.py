"""Searches through the real graph: one whole one, what becomes of a run that was killed, and what a record says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
pytest.importorskip("mujoco", reason="the simulation needs the extra `sim` (mujoco)")
pytest.importorskip("matplotlib", reason="the report needs the extra `sim` (matplotlib)")

from shelfhelp_ros.cli.main import cli
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.rendered_episodes import RenderedEpisodes, RenderedSettings, layout_of, record_of
from shelfhelp_ros.simulation.layout import LAYOUTS
from shelfhelp_ros.simulation.recording import HandDistance, Recording, Utterance, Verdict
from shelfhelp_ros.simulation.renderer import load_mujoco

SECOND = 1_000_000_000


def recording(outcome: str = "done", decision: str = "found", said: tuple[Utterance, ...] = ()) -> Recording:
    first = Utterance(0.1, "search", "Looking for Tea.", float("nan"))
    return Recording(
        product="Tea",
        packshot=np.zeros((2, 2, 3), np.uint8),
        outcome=outcome,
        seconds=12.345,
        touched="Tea" if outcome == "done" else "",
        utterances=[first, *said],
        verdicts=[Verdict(1.0, decision, 0.9, 0.8, 120.0)],
        distances=[HandDistance(0.3, 0.4), HandDistance(9.0, 0.02)],
        touches=["Rice", "Tea"],
        path=0.81234,
    )


def test_a_record_says_what_a_fast_one_says() -> None:
    """The same keys, so that figures and page are made of both alike; directions by their age when they began."""
    directions = (
        Utterance(2.0, "aim", "About a foot to the right.", 180.0),
        Utterance(5.0, "reach", "Reach forward.", 301.0),
    )
    record = record_of(recording(said=directions), 7)
    assert record["success"]
    assert (record["episode"], record["person"], record["search"], record["situation"]) == (7, 1, 2, layout_of(7))
    assert (record["instructions"], record["stale"], record["overlaps"], record["neighbours"]) == (2, 1, 0, 1)
    assert (record["seconds"], record["path"], record["straight"]) == (12.35, 0.812, 0.4)
    assert record["said"][1] == [2.0, "About a foot to the right."]


@pytest.mark.parametrize(
    ("outcome", "decision", "cause"),
    [
        ("wrong product", "found", "another product was taken for it"),
        ("timeout", "ambiguous", "asked which of two look-alikes"),
        ("timeout", "searching", "never found"),
        ("timeout", "found", "not in the hand in time"),
        ("not touched", "found", "the hand touched nothing"),
    ],
)
def test_a_failure_has_a_cause(outcome: str, decision: str, cause: str) -> None:
    """The page counts failures by it."""
    record = record_of(recording(outcome, decision), 0)
    assert (record["success"], record["cause"]) == (False, cause)
    assert record["wrong_item"] == (outcome == "wrong product")


def test_words_over_words_are_counted() -> None:
    """By the clock of those who published: an instruction between the beginning and the end of speech."""
    episode = recording()
    episode.speaking_ns = [(1 * SECOND, True), (3 * SECOND, False), (5 * SECOND, True)]
    episode.instructed_ns = [SECOND // 2, 2 * SECOND, 4 * SECOND, 6 * SECOND]
    assert record_of(episode, 0)["overlaps"] == 2


def test_what_was_wrong_and_put_back_is_counted() -> None:
    """Once a product, however often it is said."""
    said = tuple(
        Utterance(float(n), phase, "…", float("nan")) for n, phase in enumerate(("wrong_item", "wrong_item", "aim"))
    )
    assert record_of(recording(said=said), 0)["put_back"] == 1


def test_every_layout_has_its_turn() -> None:
    """One person's five searches are on five kinds of shelves."""
    assert {layout_of(number) for number in range(len(LAYOUTS))} == set(LAYOUTS)


SETTINGS = RenderedSettings(episodes=3, seed=2)


def killed_run(folder: Path, count: int, settings: RenderedSettings = SETTINGS) -> None:
    """The folder of a run that was killed in the middle of a line."""
    runs = RenderedEpisodes(settings, folder)
    for number in range(count):
        runs._keep(record_of(recording(), number))
    with (folder / "records.jsonl").open("a") as file:
        file.write('{"planner": "phrase_pl')


def test_a_killed_run_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    """Finished searches are not run again, a line that was cut off does not count, and what follows is kept too."""
    killed_run(tmp_path / "r.json.running", 2)
    runs = RenderedEpisodes(SETTINGS, tmp_path / "r.json.running")
    assert [record["episode"] for record in runs.records] == [0, 1]
    runs._keep(record_of(recording("timeout"), 2))
    assert len(RenderedEpisodes(SETTINGS, tmp_path / "r.json.running").records) == 3
    arguments = ["--episodes", "3", "--seed", "2", "--rendered", "--json", str(tmp_path / "r.json")]
    answer = CliRunner().invoke(cli, ["simulate", *arguments])
    assert answer.exit_code == 0, answer.output
    found = json.loads((tmp_path / "r.json").read_text())
    assert (found["mode"], found["episodes"], found["success_rate"]) == ("rendered", 3, 0.6667)
    assert not (tmp_path / "r.json.running").exists()


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    """Other people or another seed would be mixed into one figure; more episodes of the same are welcome."""
    killed_run(tmp_path / "run", 1)
    assert RenderedEpisodes(RenderedSettings(episodes=9, seed=2), tmp_path / "run").records
    with pytest.raises(ShelfHelpError, match="another run; remove it"):
        RenderedEpisodes(RenderedSettings(episodes=3, seed=3), tmp_path / "run")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--episodes", "2", "--rendered"), "--json FILE"),
        (("--rendered", "--image", "a.png"), "--episodes N"),
        (("--video", "a.webm", "--image", "a.png"), "--episodes N"),
        (("--episodes", "2", "--episode", "2"), "episodes 0 to 1"),
    ],
)
def test_options_that_do_not_belong_together(arguments: tuple[str, ...], says: str) -> None:
    """One line, before anything is started."""
    answer = CliRunner().invoke(cli, ["simulate", *arguments])
    assert answer.exit_code == 2
    assert says in answer.output


def test_a_whole_search_leaves_a_record_and_frames(ros_domain: int, tmp_path: Path) -> None:
    """Camera, perception, guidance, speech and the hand as processes; however far it comes, all of it is kept."""
    try:
        load_mujoco()
    except ShelfHelpError as error:
        pytest.skip(f"no rendering here: {error}")
    filmed: list[Recording] = []
    runs = RenderedEpisodes(RenderedSettings(episodes=1, timeout=40.0), tmp_path / "run")
    runs.run(lambda count: None, (0, filmed.append))
    (record,) = RenderedEpisodes(runs.settings, tmp_path / "run").records
    # A machine that is busy with other things may not come to speak in this time.
    assert not record["said"] or record["said"][0][1].startswith("Looking for")
    assert record["path"] > 0
    assert record["straight"] > 0.05
    assert filmed[0].distances
    assert filmed[0].product
    assert record_of(filmed[0], 0) == record
    runs.discard()
    assert not (tmp_path / "run").exists()
