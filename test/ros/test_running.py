"""A crew of nodes goes on spinning whatever their callbacks do, with every executor there is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.action import ActionClient
from rclpy.action.client import ClientGoalHandle
from rclpy.action.server import ServerGoalHandle
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from ros_graph import Graph, until
from shelfhelp_interfaces.action import FindProduct
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.beside import MOST_WAITING, ActionBeside, answer_beside
from shelfhelp_ros.nodes.running import EXECUTOR_VARIABLE, EXECUTORS


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes are spun by each executor in turn."""
    monkeypatch.setenv(EXECUTOR_VARIABLE, request.param)


class Restless(Node):
    """Opens and destroys topics and timers in its own callbacks, as a lifecycle node does when it is cleaned up."""

    def __init__(self, **options: object) -> None:
        super().__init__("restless", **options)
        self.rounds = 0
        self._busy = threading.Lock()
        self.create_timer(0.001, self._renew, callback_group=ReentrantCallbackGroup())

    def _renew(self) -> None:
        with self._busy:
            timers = [self.create_timer(0.0005, lambda: None) for _ in range(5)]
            subscription = self.create_subscription(Empty, "news", lambda message: None, 1)
            publisher = self.create_publisher(Empty, "news", 1)
            publisher.publish(Empty())
            time.sleep(0.002)
            for timer in timers:
                self.destroy_timer(timer)
            self.destroy_subscription(subscription)
            self.destroy_publisher(publisher)
            self.rounds += 1


@pytest.mark.usefixtures("executor")
def test_what_a_callback_destroys_does_not_stop_its_node(graph: Graph) -> None:
    """The executor may be about to wait for what a cleanup destroys; the node has to answer all the same afterwards."""
    node = graph.add(Restless)
    until(lambda: node.rounds >= 60 or graph.crew.wait(0) is not None, what="60 rounds")
    assert graph.crew.wait(0) is None


class Slow(Node):
    """A service and an action that take as long as they are held up, beside a timer."""

    def __init__(self, **options: object) -> None:
        super().__init__("slow", **options)
        self.ticks = self.thoughts = 0
        self.go_on = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self.create_timer(0.01, self._tick)
        answer_beside(self, self.create_service(Trigger, "think", self._think), self._pool)
        self._search = ActionBeside(self._pool, self, FindProduct, "search", self._follow)

    def _tick(self) -> None:
        self.ticks += 1

    def _think(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self.go_on.wait(60)
        self.thoughts += 1
        return response

    def _follow(self, goal: ServerGoalHandle) -> FindProduct.Result:
        self.go_on.wait(60)
        goal.succeed()
        return FindProduct.Result(outcome=goal.request.product)

    def close(self) -> None:
        self.go_on.set()
        self._pool.shutdown()


@pytest.mark.usefixtures("executor")
def test_a_service_answered_beside_keeps_nothing_waiting(graph: Graph) -> None:
    """The node's timer goes on while an answer takes long, and each of two askers gets theirs."""
    node = graph.add(Slow)
    client = graph.node.create_client(Trigger, "think")
    until(client.service_is_ready, what="the service")
    answers = [client.call_async(Trigger.Request()) for _ in range(2)]
    before = node.ticks
    until(lambda: node.ticks > before + 20, what="20 ticks")
    assert not any(answer.done() for answer in answers)
    node.go_on.set()
    until(lambda: all(answer.done() for answer in answers), what="both answers")
    assert all(answer.result().success for answer in answers)


def test_a_flood_of_requests_is_not_kept(graph: Graph) -> None:
    """Beyond those that may wait each is told to try again; those that wait are worked on, and then all is as ever."""
    node = graph.add(Slow)
    client = graph.node.create_client(Trigger, "think")
    until(client.service_is_ready, what="the service")
    answers: list[Trigger.Response] = []
    asked = 0

    def ask() -> None:
        client.call_async(Trigger.Request()).add_done_callback(lambda future: answers.append(future.result()))

    def ask_anew() -> None:
        graph.node.executor.create_task(ask)

    while not answers:
        assert asked < 2 * MOST_WAITING
        asked += 1
        ask_anew()
        time.sleep(0.01)
    assert asked > MOST_WAITING
    assert "try again" in answers[0].message
    node.go_on.set()
    until(lambda: node.thoughts == MOST_WAITING, what="work on those that wait")
    answers.clear()
    until(lambda: any(answer.success for answer in answers), ask_anew, "an answer as ever")


@pytest.mark.usefixtures("executor")
def test_an_action_followed_beside_keeps_nothing_waiting(graph: Graph) -> None:
    """The node's timer goes on while a goal is followed, and who asked gets the result."""
    node = graph.add(Slow)
    client = ActionClient(graph.node, FindProduct, "search")
    assert client.wait_for_server(20.0)
    goals: list[ClientGoalHandle] = []
    results: list[FindProduct.Result] = []

    def begin() -> None:
        client.send_goal_async(FindProduct.Goal(product="oats")).add_done_callback(accepted)

    def accepted(future: Future) -> None:
        goals.append(future.result())
        goals[0].get_result_async().add_done_callback(lambda answer: results.append(answer.result().result))

    graph.node.executor.create_task(begin)
    until(lambda: bool(goals), what="the goal")
    before = node.ticks
    until(lambda: node.ticks > before + 20, what="20 ticks")
    assert not results
    node.go_on.set()
    until(lambda: bool(results), what="the result")
    assert results[0].outcome == "oats"


def test_an_unknown_executor_is_named(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those there are."""
    monkeypatch.setenv(EXECUTOR_VARIABLE, "hangman")
    with pytest.raises(ShelfHelpError, match=r"hangman.*single, multi, events"):
        graph.add(Node, "hanged")
