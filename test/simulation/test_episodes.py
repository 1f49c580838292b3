"""The closed loop without pictures: people and searches repeat themselves, and the rules hold in every one."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from shelfhelp_ros.cli.main import cli
from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.guidance.phrases import Phrases
from shelfhelp_ros.sightings import Decision
from shelfhelp_ros.simulation.episodes import BASELINES, PLANNER, EpisodesSettings, run_episodes, summary
from shelfhelp_ros.simulation.fast_perception import Perception
from shelfhelp_ros.simulation.hearing import Gesture, movements_asked_for
from shelfhelp_ros.simulation.listeners import POPULATIONS, Hand, Population, draw_person
from shelfhelp_ros.simulation.perception_noise import SITUATIONS as MEASURED_SITUATIONS
from shelfhelp_ros.simulation.perception_noise import PerceptionNoise
from shelfhelp_ros.simulation.racks import SITUATIONS, TWIN, WANTED, draw_scene

#: Where a pack is held up, down and ahead in the optical frame, by how.
HELD_UP = ((Gesture.TAKE, 0.1, 0.42), (Gesture.CLOSER, 0.1, 0.3), (Gesture.AT_TOP, -0.1, 0.36))
EYE = np.eye(3)


def rng(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("people", list(POPULATIONS))
def test_a_number_is_a_person(people: str) -> None:
    """The same number gives the same person, another one another; gains are those of the population."""
    population = POPULATIONS[people]
    drawn = [draw_person(population, 3, number) for number in range(300)]
    again = [draw_person(population, 3, number) for number in range(300)]
    gains = np.array([person.gains for person in drawn])
    assert (gains == np.array([person.gains for person in again])).all()
    assert len(np.unique(gains)) == gains.size
    spread = np.hypot(population.person_spread, population.axis_spread)
    assert np.exp(np.log(gains).mean()) == pytest.approx(population.gain, rel=0.1)
    assert np.log(gains).std() == pytest.approx(spread, rel=0.15)


def test_a_hand_goes_as_far_as_its_person_does() -> None:
    """On average over many movements: the study's distance times the person's gain."""
    person = draw_person(POPULATIONS["fitted"], 0, 1)
    rack = draw_scene(SITUATIONS[0], rng(1)).rack
    reached = []
    for number in range(60):
        hand = Hand(person, np.array([0.0, 0.0, 0.2]), rng(number))
        hand.hear("6 inches to the left.", "aim", EYE, 0.0, 0.1, {})
        for tick in range(100):
            hand.step(0.05 * (tick + 1), 0.05, rack)
        reached.append(float(-hand.position @ person.axes[:, 0]))
    moved = [length for length in reached if length > 0.05]
    assert len(moved) >= 54
    assert np.median(moved) == pytest.approx(0.19 * person.gains[0], rel=0.15)


def test_a_pack_is_taken_held_closer_and_at_its_top_and_put_back() -> None:
    """The pack in front of the hand comes along, stands in nobody's way, and is at its place again afterwards. Who
    holds it at its top goes on doing so when it is to come closer."""
    person = draw_person(Population(misheard=0.0, pause=0.0, early=0.0), 0, 1)
    rack = draw_scene(SITUATIONS[0], rng(2)).rack
    hand = Hand(person, rack.points(WANTED)[0] - [0, 0, 0.05], rng(1))
    shown = {gesture: np.array([0.0, y, z]) for gesture, y, z in HELD_UP}
    now = 0.0
    asked = [("confirm.lift", 5, Gesture.TAKE), ("confirm.closer", 4, Gesture.CLOSER)]
    for key, seconds, how in [*asked, ("confirm.top", 4, Gesture.AT_TOP), ("confirm.closer", 4, Gesture.AT_TOP)]:
        hand.hear(Phrases.load().say(key), "confirm", EYE, now, now + 0.1, shown)
        for _ in range(20 * seconds):
            now += 0.05
            hand.step(now, 0.05, rack)
        assert rack.products[hand.held] == WANTED
        assert hand.shows is how
    assert hand.position == pytest.approx(shown[Gesture.CLOSER], abs=0.2)
    hand.hear("That is not it. Put it back.", "wrong_item", EYE, now, now + 0.1, shown)
    for _ in range(100):
        now += 0.05
        hand.step(now, 0.05, rack)
    assert hand.held is None
    assert hand.shows is None
    assert hand.position[2] > rack.points(WANTED)[0][2] - 0.15


def test_a_pack_is_taken_at_the_end_of_a_movement() -> None:
    """Asked for in one sentence: the hand goes aside, then forward until it feels a pack, and holds that one up."""
    person = draw_person(Population(misheard=0.0, half_missed=0.0, pause=0.0, early=0.0, drift=0.0), 0, 1)
    rack = draw_scene(SITUATIONS[0], rng(2)).rack
    start = rack.points(WANTED)[0] - person.axes @ [0.058 * person.gains[0], 0.0, 0.3]
    taken = []
    for number in range(20):
        hand = Hand(person, start, rng(number))
        text = "Right an inch, forward 8 inches, then take it and show me."
        hand.hear(text, "reach", EYE, 0.0, 0.1, {Gesture.TAKE: np.array([0.0, 0.1, 0.3])})
        for tick in range(120):
            hand.step(0.05 * (tick + 1), 0.05, rack)
        taken.append(None if hand.held is None else int(rack.products[hand.held]))
        assert hand.shows is Gesture.TAKE
    assert taken.count(WANTED) >= 18


def test_who_misses_the_end_of_a_sentence_takes_nothing() -> None:
    """The movement is made, and the hand waits there."""
    person = draw_person(Population(misheard=0.0, half_missed=1.0, pause=0.0), 0, 1)
    rack = draw_scene(SITUATIONS[0], rng(2)).rack
    hand = Hand(person, rack.points(WANTED)[0] - [0, 0, 0.3], rng(1))
    hand.hear("Forward 8 inches, then take it and show me.", "reach", EYE, 0.0, 0.1, {})
    for tick in range(120):
        hand.step(0.05 * (tick + 1), 0.05, rack)
    assert hand.held is None
    assert hand.shows is None
    assert rack.points(WANTED)[0][2] - hand.position[2] < 0.2


def test_an_empty_hand_takes_nothing() -> None:
    """Where nothing is within reach, what is held up is the hand."""
    scene = draw_scene(SITUATIONS[0], rng(2))
    hand = Hand(draw_person(Population(misheard=0.0), 0, 1), np.array([0.0, 0.0, 0.1]), rng(1))
    hand.hear("Take it and show me.", "confirm", EYE, 0.0, 0.1, {Gesture.TAKE: np.zeros(3)})
    for tick in range(100):
        hand.step(0.05 * (tick + 1), 0.05, scene.rack)
    assert hand.held is None
    assert hand.shows is Gesture.TAKE


def test_what_was_measured_of_packs_in_the_hand() -> None:
    """Runs of every kind that can be taken; a run is played by the clock, and its last verdict lasts."""
    noise = PerceptionNoise.load()
    assert {run.taken for run in noise.held} == {"right", "twin", "other"}
    cases = itertools.product(noise.runs, ("right", "twin", "other"), range(3))
    for shelf, taken, seed in cases:
        run = noise.draw_held(shelf, taken, 1, rng(seed))
        assert run.taken == taken
        alike = [
            one
            for one in noise.held
            if (one.situation, one.differ, one.taken) == (shelf.situation, shelf.differ, taken)
        ]
        assert run in alike or not alike
        assert run.at(0.0, None) is run.shown[0]
        assert run.at(0.45, Gesture.TAKE) is run.shown[2]
        assert run.at(99.0, Gesture.CLOSER) is run.closer[-1]
        assert run.at(0.0, Gesture.AT_TOP) is run.top[0]


def test_what_was_never_found_is_not_found_in_a_search() -> None:
    """Of a product that was only likely in a measured run other runs' certainty is not borrowed; nor is one called
    absent that stood in view. What was said of it only after a while is said after that while."""
    noise = PerceptionNoise.load()
    never = [run for run in noise.runs if not run.found and run.situation == "plain"]
    assert never
    for run in never:
        verdicts = {name for view in (run.clear, run.covered) for name in view.names}
        assert verdicts.isdisjoint({"found", "wrong", "absent"})
        assert run.searched > 0
    scene = draw_scene(next(one for one in SITUATIONS if one.perception == "plain"), rng(1))
    hand = Hand(draw_person(POPULATIONS["fitted"], 0, 1), scene.hand, rng(1))
    run = max(never, key=lambda run: run.clear.shares[run.clear.names.index("unsure")])
    perception = Perception(noise, run, rng(4))
    said = [
        perception.sight(
            scene, scene.rack, lambda point: point - np.array([0, 0, -0.05]), np.zeros(2), hand, 0.1 * step
        )
        for step in range(80)
    ]
    wait = round(run.searched / 0.1)
    assert {one.decision for one in said[: wait - 1]} == {Decision.SEARCHING}
    assert Decision.AMBIGUOUS in {one.decision for one in said[wait + 1 :]}
    assert {one.decision for one in said} <= {Decision.SEARCHING, Decision.AMBIGUOUS}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.name)
def test_every_situation_is_what_it_says(situation) -> None:
    """The wanted product is there unless it is absent, a near-duplicate only where one is due, and the hand is free."""
    for seed in range(5):
        scene = draw_scene(situation, rng(seed))
        assert scene.present == (situation.perception != "absent")
        assert bool((scene.rack.products == TWIN).any()) == (situation.perception == "twin")
        assert len(scene.rack.points(WANTED)) == (situation.facings if scene.present else 0)
        assert (scene.moves is not None) == situation.moves
        moved, touched = scene.rack.slide(scene.hand, np.zeros(3))
        assert touched is None
        assert moved == pytest.approx(scene.hand)


def test_a_front_stops_the_hand() -> None:
    """Straight into the wanted product: the finger ends at its front and touches it."""
    scene = draw_scene(SITUATIONS[0], rng(2))
    front = scene.rack.points(WANTED)[0]
    point, touched = front - [0, 0, 0.1], None
    for _ in range(20):
        point, touched = scene.rack.slide(point, np.array([0.0, 0.0, 0.01]))
    assert scene.rack.products[touched] == WANTED
    assert front[2] - 0.02 < point[2] < front[2]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("A little to the left.", [(0, -1, 0.10)]),
        ("To the right.", [(0, 1, 0.22)]),
        ("Far left.", [(0, -1, 0.42)]),
        ("Up 6 inches.", [(1, -1, 0.19)]),
        ("About a foot and a half to the left.", [(0, -1, 0.4572)]),
        ("Right about a foot and a half and up a little.", [(0, 1, 0.4572), (1, -1, 0.10)]),
        ("Left an inch, then forward about 2 feet.", [(0, -1, 0.058), (2, 1, 0.6096)]),
        ("It is straight ahead. Reach forward about a foot.", [(2, 1, 0.3048)]),
        ("Turn a little to the left.", []),
        ("I lost sight of it. Hold still.", []),
        ("", []),
    ],
)
def test_what_a_person_makes_of_a_sentence(text: str, asked: list) -> None:
    """Protects the agreement with the guide's English phrases."""
    heard = movements_asked_for(text)
    assert [(one.axis, one.sign) for one in heard] == [one[:2] for one in asked]
    assert [one.metres for one in heard] == pytest.approx([one[2] for one in asked], abs=0.002)


def test_the_measured_perception_covers_every_situation() -> None:
    """The file that ships: runs of each kind, errors of millimetres to centimetres, verdicts that add up."""
    noise = PerceptionNoise.load()
    assert {run.situation for run in noise.runs} == set(MEASURED_SITUATIONS)
    assert 0.01 < noise.latency < noise.latency_p95 < 0.5
    for run in noise.runs:
        assert np.abs([run.offset, run.jitter]).max() < 0.1
        assert run.clear.shares.sum() == pytest.approx(1)
        assert run.clear.draw(rng(0)) in run.clear.names


@pytest.mark.parametrize("text", ["", "version: 1", "version: 2\nruns: []", "[", "version: 1\nruns: [{}]"])
def test_a_file_that_holds_no_measurements(tmp_path, text: str) -> None:
    """One line that says how to make it."""
    (tmp_path / "noise.yaml").write_text(text)
    with pytest.raises(ShelfHelpError, match=r"measure|perception_noise"):
        PerceptionNoise.load(tmp_path / "noise.yaml")


def test_searches_are_the_same_whatever_the_workers() -> None:
    """Seed and number decide, not the process; nothing is spoken on old data or over another sentence."""
    settings = EpisodesSettings(episodes=6, seed=4, planners=(PLANNER, "worst_axis_first"))
    records = run_episodes(settings, workers=1)
    assert json.dumps(records) == json.dumps(run_episodes(settings, workers=2))
    assert [(r["planner"], r["episode"]) for r in records] == [(p, e) for p in settings.planners for e in range(6)]
    figures = summary(records)
    assert figures["success_rate"] > 0.4
    assert figures["stale_directions"] == figures["overlapping_instructions"] == 0


def test_unknown_people_are_refused() -> None:
    """By their name."""
    with pytest.raises(ShelfHelpError, match="giants"):
        run_episodes(EpisodesSettings(people="giants"))


def test_the_command_writes_figures_and_a_page(tmp_path) -> None:
    """A few searches with every planner: JSON with all that is promised, and a page that needs no other file."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    json_file, page = tmp_path / "out" / "episodes.json", tmp_path / "episodes.html"
    arguments = ["simulate", "--episodes", "4", "--seed", "2", "--people", "wild", "--json", str(json_file)]
    answer = CliRunner().invoke(cli, [*arguments, "--report", str(page)])
    assert answer.exit_code == 0, answer.output
    found = json.loads(json_file.read_text())
    promised = (
        "success_rate", "median_seconds", "p90_seconds", "median_instructions", "wrong_item_rate", "stale_directions"
    )  # fmt: skip
    assert all(key in found for key in (*promised, "seed", "population", "commit"))
    assert set(found["baselines"]) == set(BASELINES)
    assert all(key in figures for figures in found["baselines"].values() for key in promised)
    assert len(found["records"]) == 4 * (1 + len(BASELINES))
    text = page.read_text()
    assert text.count("data:image/svg+xml;base64,") == 5
    assert "http" not in text


def test_files_without_episodes_are_refused(tmp_path) -> None:
    """A slip, and not a run of something else."""
    answer = CliRunner().invoke(cli, ["simulate", "--image", str(tmp_path / "a.png"), "--json", "x.json"])
    assert answer.exit_code == 2
    assert "--episodes" in answer.output
