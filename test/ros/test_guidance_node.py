"""The guidance node on a real graph: sightings in, instructions out, services, the action, parameters."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")

from action_msgs.msg import GoalStatus
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.action import ActionClient
from rclpy.parameter import Parameter
from ros_graph import FRAME, Graph, photo_of, until
from shelfhelp_interfaces.action import FindProduct
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting
from std_msgs.msg import Bool

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.conversions import from_time, to_hand, to_product_array, to_target
from shelfhelp_ros.nodes.quality_of_service import CAMERA, RESULT, STATE
from shelfhelp_ros.sightings import Decision, Position, Sightings, TrackedProduct
from shelfhelp_ros.sightings import TargetSighting as Sighting

SHELF = [1, 2, 3, 4, 5, 6, 7, 8]
NEAR = np.array([0.25, 0.0, 0.7])
HELD_BELOW = np.array([0.0, 0.1, 0.0])


class World:
    """What the guide is told: a target at a place, and a hand at another one, both in the camera's frame."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.guidance = graph.guidance()
        self.heard = graph.listen(Instruction, "instruction")
        self._target = graph.node.create_publisher(TargetSighting, "target", RESULT)
        self._hand = graph.node.create_publisher(PoseWithCovarianceStamped, "hand", CAMERA)
        self._speaking = graph.node.create_publisher(Bool, "speaking", STATE)
        for publisher in (self._target, self._hand, self._speaking):
            until(lambda publisher=publisher: publisher.get_subscription_count() > 0, what="a listener of the guide")

    @property
    def now(self) -> int:
        return int(self.graph.node.get_clock().now().nanoseconds)

    def choose(self, name: str = "Oats") -> None:
        """What perception publishes when a target is set."""
        for target_id in ("", f"id of {name}"):
            announcement = Sighting(self.now, "", target_id, name if target_id else "", Decision.SEARCHING, 0.0)
            self._target.publish(to_target(announcement))

    def see(
        self, at: np.ndarray = NEAR, age_ms: float = 0.0, hand: np.ndarray | None = None, hand_frame: str = FRAME
    ) -> int:
        """A sighting of the target ``at`` metres, stamped ``age_ms`` ago; returns its stamp."""
        stamp = self.now - round(age_ms * 1e6)
        if hand is not None:
            self._hand.publish(to_hand(Position(hand, np.eye(3) * 1e-4), stamp, hand_frame))
        product = TrackedProduct(
            track_id=1,
            box=np.array([10, 10, 50, 50], np.float32),
            score=0.9,
            product_id="id of Oats",
            product_name="Oats",
            similarity=0.95,
            bearing=at / np.linalg.norm(at),
            position=Position(at, np.eye(3) * 1e-4),
        )
        found = Sighting(stamp, FRAME, "id of Oats", "Oats", Decision.FOUND, 0.97, product)
        self._target.publish(to_target(found))
        return stamp

    def say_that_it_speaks(self, speaking: bool) -> None:
        """Publish the state of the voice, and give the guide the time to hear of it before anything else."""
        self._speaking.publish(Bool(data=speaking))
        time.sleep(0.3)


@pytest.fixture
def world(graph: Graph) -> World:
    return World(graph)


def test_a_chosen_target_is_named_before_any_camera_image(world: World) -> None:
    """The person hears at once that the search has begun."""
    world.choose("Oats")
    said = world.heard.wait_for()
    assert (said.text, said.phase, said.urgency) == ("Looking for Oats.", "search", Instruction.URGENCY_HIGH)
    assert said.sequence == 1


def test_a_direction_carries_the_stamp_it_rests_on_and_holds_for_300_ms(world: World) -> None:
    """Whoever speaks it can tell how old it is, and until when it may be said."""
    world.choose()
    stamps: list[int] = []
    hand = np.array([0.0, 0.0, 0.6])
    said = world.heard.wait_for(lambda m: m.axis == "x", lambda: stamps.append(world.see(hand=hand)))
    stamp = from_time(said.header.stamp)
    assert stamp in stamps
    assert said.header.frame_id == FRAME
    assert from_time(said.valid_until) - stamp == 300_000_000
    assert said.distance == pytest.approx(0.25, abs=0.02)
    assert said.phase == "aim"
    assert "right" in said.text.lower()


def test_old_sightings_give_no_direction(world: World) -> None:
    """What was seen 400 ms ago may not send the hand anywhere."""
    world.choose()
    world.heard.wait_for()
    world.say_that_it_speaks(True)
    world.say_that_it_speaks(False)
    stale = world.heard.wait_for(lambda m: m.phase == "stale", lambda: world.see(age_ms=400))
    assert stale.axis == ""
    assert not [message for message in world.heard.messages if message.axis]


def test_the_hand_is_led_to_the_product_and_the_search_ends(world: World) -> None:
    """Aim, reach, take it, done, with real sightings and a hand that does what it is told."""
    world.choose()
    hand = np.array([-0.1, 0.15, 0.5])
    followed: set[int] = set()
    lifted = np.array([0.0, 0.0, 0.35])

    def live() -> None:
        for said in list(world.heard.messages):
            if said.axis and said.sequence not in followed:
                followed.add(said.sequence)
                hand["xyz".index(said.axis)] += said.distance
        if any(said.phase == "confirm" for said in world.heard.messages):
            world.see(at=lifted, hand=lifted + np.array([0.0, 0.1, 0.0]))
        else:
            world.see(hand=hand)

    done = world.heard.wait_for(lambda m: m.phase == "done", live)
    assert "Oats" in done.text
    phases = [message.phase for message in world.heard.messages]
    led = ("aim", "reach", "confirm", "done")
    assert tuple(phase for phase in dict.fromkeys(phases) if phase in led) == led
    assert [message.sequence for message in world.heard.messages] == list(range(1, len(phases) + 1))


def test_nothing_more_is_said_while_the_voice_speaks(world: World) -> None:
    """One instruction at a time."""
    world.choose()
    world.heard.wait_for(lambda m: m.axis, world.see)
    world.say_that_it_speaks(True)
    count = len(world.heard.messages)
    for side in (-0.3, 0.3) * 8:
        world.see(np.array([side, 0.0, 0.7]))
        time.sleep(0.05)
    assert len(world.heard.messages) == count
    world.say_that_it_speaks(False)
    world.heard.wait_for(lambda m: m.axis and m.sequence > count, world.see)


def test_stop_and_repeat(world: World) -> None:
    """Stop goes out at once with the highest urgency and ends the search; repeat answers in every state."""
    client = world.graph.client()
    assert client.repeat().message == "No product is chosen."
    world.choose()
    world.heard.wait_for(lambda m: m.axis, world.see)
    assert client.stop().message == "Stopped."
    stopped = world.heard.wait_for(lambda m: m.urgency == Instruction.URGENCY_STOP)
    assert stopped.phase == "stopped"
    for _ in range(10):
        world.see()
    assert "stopped" in client.repeat().message
    assert world.heard.messages[-1].phase == "stopped"
    world.choose("Rice")
    world.heard.wait_for(lambda m: m.text == "Looking for Rice.")


def test_where_am_i_tells_phase_place_and_what_is_in_view(world: World) -> None:
    """The answer is spoken and comes back; of old pictures it tells no side."""
    products = world.graph.node.create_publisher(ProductArray, "products", RESULT)
    until(lambda: products.get_subscription_count() > 0, what="a listener for products")
    client = world.graph.client()
    assert client.where_am_i().message == "No product is chosen."
    world.choose()
    world.heard.wait_for(lambda m: m.axis, world.see)
    answers: list[str] = []

    def ask() -> None:
        for _ in range(3):
            stamp = world.see(hand=np.array([0.0, 0.0, 0.6]))
            seen = TrackedProduct(1, np.zeros(4, np.float32), 0.9, "", "Tea", 0.9, np.array([0.0, 0.0, 1.0]))
            products.publish(to_product_array(Sightings(stamp, FRAME, (640, 480), (seen,))))
            time.sleep(0.03)
        answers.append(client.where_am_i().message)

    until(
        lambda: any("right 10 inches" in a and "Among them Tea." in a for a in answers),
        ask,
        "an answer with a place",
    )
    spoken = world.heard.wait_for(lambda m: m.text == answers[-1])
    assert spoken.urgency == Instruction.URGENCY_HIGH
    assert from_time(spoken.valid_until) - from_time(spoken.header.stamp) == 300_000_000
    time.sleep(0.4)
    late = client.where_am_i().message
    assert not any(word in late for word in ("right", "left", "forward", "ahead", "Tea"))


def test_the_units_are_those_of_the_language_unless_chosen(graph: Graph) -> None:
    """Inches for English, centimetres for German, and what a person asks for before both."""
    from shelfhelp_ros.nodes.guidance_node import GuidanceNode

    for parameters, units in (
        ({}, "imperial"),
        ({"language": "de"}, "metric"),
        ({"language": "de", "units": "hands"}, "hands"),
    ):
        node = graph.add(GuidanceNode, ros=parameters)
        node.trigger_configure()
        assert node._settings.units == units, node.failure


def test_services_say_so_while_it_is_not_active(world: World) -> None:
    """A question to a node that is paused gets an answer, not silence."""
    client = world.graph.client()
    world.guidance.trigger_deactivate()
    with pytest.raises(ShelfHelpError, match="not active"):
        client.stop()
    with pytest.raises(ShelfHelpError, match="not active"):
        client.repeat()
    with pytest.raises(ShelfHelpError, match="not active"):
        client.where_am_i()


@pytest.mark.parametrize("fault", ["a decision of 99", "a hand at NaN", "a bearing of NaN"])
def test_rubbish_from_other_nodes_is_left_out(world: World, fault: str) -> None:
    """Any node may publish on these topics; the guide goes on."""
    world.choose()
    message = to_target(Sighting(world.now, FRAME, "id of Oats", "Oats", Decision.SEARCHING, 0.0))
    message.decision = 99
    nowhere = Position(np.full(3, np.nan), np.eye(3))
    if fault == "a decision of 99":
        world._target.publish(message)
    elif fault == "a hand at NaN":
        world._hand.publish(to_hand(nowhere, world.now, FRAME))
    else:
        world.see(np.full(3, np.nan))
    world.heard.wait_for(lambda m: m.axis, world.see)


def test_a_hand_in_another_frame_is_left_out(world: World) -> None:
    """Metres of the robot's base are no metres of the camera: the person would be sent astray."""
    world.choose()
    world.heard.wait_for(lambda m: m.axis, world.see)
    count = len(world.heard.messages)
    hand = np.array([0.0, 0.0, 0.6])
    said = world.heard.wait_for(
        lambda m: m.axis and m.sequence > count, lambda: world.see(hand=hand, hand_frame="base_link")
    )
    # Led by the hand it would be an amount to the right; without one it is a turn of the camera.
    assert said.text.startswith("Turn")


def test_parameters_are_those_of_the_settings_and_hold_from_the_next_search(world: World) -> None:
    """Units can be changed by a person in the middle of it all; a wrong value is refused."""

    def set_to(name: str, value: object) -> Any:
        return world.guidance.set_parameters([Parameter(name, value=value)])[0]

    assert set_to("units", "metric").successful
    world.choose()
    # Forwards there is no word without an amount, and this far "a little" will not do.
    ahead, hand = np.array([0.0, 0.0, 0.7]), np.array([0.0, 0.0, 0.2])
    said = world.heard.wait_for(lambda m: m.axis == "z", lambda: world.see(ahead, hand=hand))
    assert "centimetres" in said.text
    wrong = [("units", "furlongs"), ("palm_standoff", 5.0), ("contact_frames", 0), ("palm_standoff", math.nan)]
    for name, value in wrong:
        refused = set_to(name, value)
        assert not refused.successful
        assert refused.reason
    assert world.guidance._settings.units == "metric"


def test_a_wrong_language_is_one_sentence(graph: Graph) -> None:
    """Configure fails with the reason."""
    from shelfhelp_ros.nodes.guidance_node import GuidanceNode

    node = graph.add(GuidanceNode, ros={"language": "tlh"})
    node.trigger_configure()
    assert "tlh" in node.failure


# The action ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Searcher:
    """An action client, with what came back."""

    graph: Graph
    feedback: list[Any] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self.client = ActionClient(self.graph.node, FindProduct, "find_product")
        assert self.client.wait_for_server(20.0)

    def start(self, product: str) -> Any:
        request = FindProduct.Goal(product=product)
        goal = self.ask(lambda: self.client.send_goal_async(request, lambda m: self.feedback.append(m.feedback)))
        assert goal.accepted
        return goal

    def end(self, goal: Any, doing: Callable[[], object] = lambda: None) -> Any:
        return self.ask(goal.get_result_async, doing)

    def ask(self, question: Callable[[], Any], doing: Callable[[], object] = lambda: None) -> Any:
        """The answer to a call of the action client, which is not thread-safe: it is made in the executor's thread."""
        answers: list[Any] = []
        executor = self.graph.node.executor
        executor.create_task(lambda: question().add_done_callback(lambda future: answers.append(future.result())))
        until(lambda: bool(answers), doing, "an answer of the action")
        return answers[0]


@pytest.fixture
def searcher(graph: Graph, tiny_models: Path) -> Searcher:
    """The action with perception behind it, which knows one product."""
    graph.perception(tiny_models, absent_after=0.5)
    graph.guidance(absent_limit=1.0, search_columns=1, search_rows=1)
    graph.client().enrol_product("Pack three", [photo_of(3)])
    return Searcher(graph)


def test_the_action_tells_how_it_goes_and_ends_when_stopped(graph: Graph, searcher: Searcher) -> None:
    """Feedback has the phase and the words; the person's stop ends the goal."""
    camera, client = graph.camera(), graph.client()
    goal = searcher.start("Pack three")
    until(lambda: any(f.phase in ("aim", "reach") for f in searcher.feedback), lambda: camera.show(SHELF), "feedback")
    assert searcher.feedback[0].last_instruction == "Looking for Pack three."
    client.stop()
    ended = searcher.end(goal)
    assert (ended.result.outcome, ended.status) == ("stopped", GoalStatus.STATUS_ABORTED)
    assert ended.result.seconds > 0
    assert ended.result.instructions >= 1


def test_the_action_ends_for_products_that_are_unknown_or_absent(graph: Graph, searcher: Searcher) -> None:
    """An unknown name at once; one that stays absent after the limit."""
    camera = graph.camera()
    assert searcher.end(searcher.start("Pack of wolves")).result.outcome == "unknown_product"
    goal = searcher.start("Pack three")
    ended = searcher.end(goal, lambda: camera.show([1, 2, 4, 5]))
    assert (ended.result.outcome, ended.status) == ("absent", GoalStatus.STATUS_ABORTED)


def test_a_cancelled_action_ends_the_search(graph: Graph, searcher: Searcher) -> None:
    """Cancel clears the target, so that nothing is said any more."""
    camera, client = graph.camera(), graph.client()
    goal = searcher.start("Pack three")
    until(lambda: searcher.feedback, lambda: camera.show(SHELF), "feedback")
    searcher.ask(goal.cancel_goal_async)
    ended = searcher.end(goal)
    assert (ended.result.outcome, ended.status) == ("cancelled", GoalStatus.STATUS_CANCELED)
    assert client.clear_target().message == "Nothing was being looked for."


def test_a_new_goal_takes_the_place_of_the_one_before(graph: Graph, searcher: Searcher) -> None:
    """A person who changes their mind does not have to cancel first."""
    graph.client().enrol_product("Pack five", [photo_of(5)])
    camera = graph.camera()
    first = searcher.start("Pack three")
    until(lambda: searcher.feedback, lambda: camera.show(SHELF), "feedback")
    second = searcher.start("Pack five")
    assert searcher.end(first).result.outcome == "cancelled"
    until(lambda: "five" in searcher.feedback[-1].last_instruction, lambda: camera.show(SHELF), "the second search")
    graph.client().stop()
    assert searcher.end(second).result.outcome == "stopped"
