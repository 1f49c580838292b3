"""The assistant's services for a program: plain calls that return or raise, instead of futures."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from shelfhelp_interfaces.srv import EnrolProduct, ListProducts, RemoveProduct, SetTarget
from std_srvs.srv import Trigger

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.image_conversion import as_bytes

SECONDS = 20.0


class AssistantClient(Node):
    """Calls the services by name. Each method raises ShelfHelpError with the answer's sentence when it says no.

    The node has to spin in another thread than the caller's.
    """

    def __init__(self, name: str = "shelfhelp_client", **options: Any) -> None:
        super().__init__(name, **options)
        kinds = {
            "set_target": SetTarget,
            "clear_target": Trigger,
            "enrol_product": EnrolProduct,
            "remove_product": RemoveProduct,
            "list_products": ListProducts,
            "stop": Trigger,
            "repeat": Trigger,
            "where_am_i": Trigger,
        }
        self._callers = {service: self.create_client(kind, service) for service, kind in kinds.items()}

    def set_target(self, product: str = "", photos: Sequence[bytes] = ()) -> Any:
        """Look for a product by name or id, or by encoded photos."""
        return self.call("set_target", SetTarget.Request(product=product, photos=_messages(photos)))

    def clear_target(self) -> Any:
        return self.call("clear_target", Trigger.Request())

    def enrol_product(self, name: str, photos: Sequence[bytes]) -> Any:
        """Add a product by encoded photos."""
        return self.call("enrol_product", EnrolProduct.Request(name=name, photos=_messages(photos)))

    def remove_product(self, product: str) -> Any:
        return self.call("remove_product", RemoveProduct.Request(product=product))

    def list_products(self, part: str = "") -> Any:
        return self.call("list_products", ListProducts.Request(filter=part))

    def stop(self) -> Any:
        return self.call("stop", Trigger.Request())

    def repeat(self) -> Any:
        return self.call("repeat", Trigger.Request())

    def where_am_i(self) -> Any:
        return self.call("where_am_i", Trigger.Request())

    def wait_for_assistant(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Block until perception offers its services, or ``stopped`` answers True."""
        while not self._callers["set_target"].wait_for_service(0.5) and not stopped():
            pass

    def call(self, service: str, request: Any, timeout: float = SECONDS) -> Any:
        """The answer of one service. Raises ShelfHelpError when there is none in ``timeout`` seconds, or it is a no."""
        answer = self.ask(service, request, timeout)
        if not answer.success:
            raise ShelfHelpError(answer.message)
        return answer

    def ask(self, service: str, request: Any, timeout: float = SECONDS) -> Any:
        """The answer of one service, yes or no. Raises ShelfHelpError when there is none in ``timeout`` seconds."""
        client = self._callers[service]
        if not client.wait_for_service(timeout):
            raise ShelfHelpError(f"no node offers the service {client.srv_name}; start `shelfhelp assist` first")
        answered: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def send() -> None:
            client.call_async(request).add_done_callback(answered.put)

        # In the executor's thread, because an answer may come before call_async has noted that it waits for one.
        self.executor.create_task(send)
        try:
            return answered.get(timeout=timeout).result()
        except queue.Empty:
            raise ShelfHelpError(
                f"the service {client.srv_name} does not answer; look at the log of the assistant"
            ) from None


def _messages(photos: Sequence[bytes]) -> list[CompressedImage]:
    return [CompressedImage(format=_format(photo), data=as_bytes(photo)) for photo in photos]


def _format(photo: bytes) -> str:
    return "png" if photo[:4] == b"\x89PNG" else "jpeg"
