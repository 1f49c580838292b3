"""The action ``find_product``: choose a product, follow the search, answer how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from rclpy.action import CancelResponse
from rclpy.action.server import ServerGoalHandle
from shelfhelp_interfaces.action import FindProduct
from shelfhelp_interfaces.srv import SetTarget
from std_srvs.srv import Trigger

from shelfhelp_ros.guidance.phases import Phase
from shelfhelp_ros.nodes.beside import ActionBeside

if TYPE_CHECKING:
    from shelfhelp_ros.nodes.guidance_node import GuidanceNode

# How long perception may take to answer; it finishes the frame it works on first.
ANSWER_SECONDS = 10.0
FEEDBACK_SECONDS = 0.5
# A new goal begins while those before learn that they are cancelled.
_GOALS = 8


class FindProductServer:
    """One search at a time: a new goal takes the place of the one before, which ends as cancelled.

    Outcomes: ``done``, ``absent`` (for ``absent_limit`` seconds), ``stopped`` (by the person, or guidance was
    deactivated), ``cancelled``, ``unknown_product``, and ``unavailable`` when perception does not answer.
    """

    def __init__(self, node: GuidanceNode) -> None:
        self._node = node
        self._newest: ServerGoalHandle | None = None
        self._set_target = node.create_client(SetTarget, "set_target")
        self._clear_target = node.create_client(Trigger, "clear_target")
        self._pool = ThreadPoolExecutor(_GOALS, "find_product")
        self._server = ActionBeside(
            self._pool,
            node,
            FindProduct,
            "find_product",
            self._execute,
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )

    def destroy(self) -> None:
        self._pool.shutdown()
        self._server.destroy()
        self._node.destroy_client(self._set_target)
        self._node.destroy_client(self._clear_target)

    def _execute(self, goal: ServerGoalHandle) -> Any:
        self._newest = goal
        started, before = time.monotonic(), self._node.progress
        if not self._node.is_active:
            outcome = "stopped"
        else:
            answer = self._ask(self._set_target, SetTarget.Request(product=goal.request.product))
            if answer is None:
                outcome = "unavailable"
            elif not answer.success:
                outcome = "unknown_product"
            else:
                outcome = self._follow(goal, before.search, answer.product_id)
        if outcome == "cancelled" and self._newest is goal:
            self._ask(self._clear_target, Trigger.Request())
        self._finish(goal, outcome)
        instructions = self._node.progress.instructions - before.instructions
        return FindProduct.Result(outcome=outcome, seconds=time.monotonic() - started, instructions=instructions)

    def _finish(self, goal: ServerGoalHandle, outcome: str) -> None:
        if outcome == "done":
            goal.succeed()
        elif goal.is_cancel_requested:
            goal.canceled()
        else:
            goal.abort()

    def _ask(self, client: Any, request: Any) -> Any:
        """The answer of a service, or None when there is none in time, or guidance is no longer active."""
        if not self._wait(client.service_is_ready):
            return None
        future = client.call_async(request)
        return future.result() if self._wait(future.done) else None

    def _wait(self, ready: Callable[[], bool]) -> bool:
        deadline = time.monotonic() + ANSWER_SECONDS
        while not ready():
            if time.monotonic() > deadline or not self._node.is_active:
                return False
            time.sleep(0.02)
        return True

    def _follow(self, goal: ServerGoalHandle, before: int, product_id: str) -> str:
        absent_since: float | None = None
        told, told_at = None, 0.0
        while True:
            progress, now = self._node.progress, time.monotonic()
            if goal.is_cancel_requested or self._newest is not goal:
                return "cancelled"
            if not self._node.is_active:
                return "stopped"
            # Until the search for this goal has begun, the phase is that of the one before.
            if progress.search > before and progress.target_id != product_id:
                return "stopped" if not progress.target_id else "cancelled"
            if progress.search > before:
                if progress.phase in (Phase.DONE, Phase.STOPPED):
                    return progress.phase.value
                absent_since = (absent_since or now) if progress.phase is Phase.ABSENT else None
                if absent_since is not None and now - absent_since > self._node.parameters["absent_limit"]:
                    return "absent"
                news = (progress.phase, progress.last_instruction)
                if news != told or now - told_at > FEEDBACK_SECONDS:
                    told, told_at = news, now
                    self._tell(goal, progress)
            with self._node.changed:
                if self._node.progress is progress:
                    self._node.changed.wait(0.1)

    def _tell(self, goal: ServerGoalHandle, progress: Any) -> None:
        goal.publish_feedback(
            FindProduct.Feedback(
                phase=progress.phase.value,
                distance=float(progress.distance),
                last_instruction=progress.last_instruction,
            )
        )
