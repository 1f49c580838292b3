"""Services and actions that are answered in threads of their own, so that one that takes long keeps nothing waiting.

A node then needs no more than one thread for all that is short, and one is quicker than several.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from functools import partial
from typing import Any

from rclpy._rclpy_pybind11 import RCLError
from rclpy.action import ActionServer
from rclpy.exceptions import InvalidHandle
from rclpy.node import Node
from rclpy.service import Service
from rclpy.task import Task

MOST_WAITING = 64


def answer_beside(node: Node, service: Service[Any, Any, Any], pool: Executor) -> None:
    """From now on ``service`` of ``node`` is answered in ``pool``, in the order of its threads.

    Where many requests wait already, one more is answered at once: with a word to try again, if its answer has room for
    one. What waits holds its photos.
    """
    answer: Callable[[Any, Any], Any] = service.callback
    send: Callable[[Any, Any], None] = service.send_response

    free = threading.Semaphore(MOST_WAITING)

    def work(pending: Callable[[], Any], header: Any) -> None:
        try:
            send(pending(), header)
        except InvalidHandle:
            pass  # the service is gone; nobody waits for the answer any more
        except RCLError as error:
            # How rclpy takes a change_state that the present state does not allow; anybody may ask for one.
            known = "lifecycle state machine" in str(error)
            text = "a change of state that is not possible now was asked for" if known else f"internal error: {error}"
            if node.context.ok():
                node.get_logger().warning(text)
        finally:
            free.release()

    def refuse(header: Any) -> None:
        response = service.srv_type.Response()
        if hasattr(response, "message"):
            response.message = f"{MOST_WAITING} requests wait already; try again in a moment"
        send(response, header)

    def hand_over(answered: Any, header: Any) -> None:
        if isinstance(answered, partial) and not free.acquire(blocking=False):
            refuse(header)
        elif isinstance(answered, partial):
            pool.submit(work, answered, header)
        else:  # the executor took up this request before the callback was exchanged
            send(answered, header)

    # Executors look both up for each request, and hand what the callback returns to send_response, with the header.
    service.send_response = hand_over
    service.callback = partial(partial, answer)


class ActionBeside(ActionServer):
    """An action server that follows its goals in ``pool``; the other arguments are those of rclpy's own."""

    def __init__(self, pool: Executor, *arguments: Any, **options: Any) -> None:
        self._pool = pool
        super().__init__(*arguments, **options)

    def notify_execute(self, goal_handle: Any, execute_callback: Any) -> None:
        """Where rclpy would have the node's executor follow the goal."""
        with suppress(RuntimeError):  # the pool is closed, and the server is about to be
            self._pool.submit(Task(self._execute_goal, (execute_callback or self._execute_callback, goal_handle)))
