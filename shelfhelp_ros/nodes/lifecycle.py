"""What the lifecycle nodes share: the reason why one cannot be configured, and nothing left behind by its release."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.beside import answer_beside
from shelfhelp_ros.nodes.parameters import Setting

E = TypeVar("E")
_CHANGE_STATE = "/change_state"
#: A node that is started anew after it died cannot be brought to active from outside before the graph has forgotten
#: the dead one, which takes up to 20 s: a request may go to that one's service.
AUTOSTART = Setting("autostart", False, "go to active by itself, as the launch files have it", fixed=True)


class ManagedNode(LifecycleNode):
    """A node says in `configure` what it needs and raises when that is not there; ``failure`` is then the reason.

    Configuring may take minutes; whoever asks for it over ROS waits, the node's other callbacks do not.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.failure = ""
        self._entities: list[Callable[[], object]] = []
        self._transitions = ThreadPoolExecutor(1, f"{name}_transitions")
        for service in self.services:
            if service.srv_name.endswith(_CHANGE_STATE):
                answer_beside(self, service, self._transitions)

    def configure(self) -> None:
        """Load what is needed and open the topics."""

    def keep(self, entity: E, destroy: Callable[[E], object]) -> E:
        """``entity`` itself, which is destroyed when the node is released."""
        self._entities.append(lambda: destroy(entity))
        return entity

    def release(self) -> None:
        """Destroy what was kept. Called again and again, and after a configuration that failed halfway."""
        for destroy in self._entities:
            destroy()
        self._entities.clear()

    def destroy_node(self) -> None:
        self._transitions.shutdown()
        super().destroy_node()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.configure()
            self.failure = ""
        except Exception as error:
            # rclpy would swallow anything else without a word.
            internal = "" if isinstance(error, ShelfHelpError) else f"internal error: {type(error).__name__}: "
            self.failure = f"{internal}{error}"
            self.get_logger().error(self.failure)
            self.release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.release()
        return TransitionCallbackReturn.SUCCESS
