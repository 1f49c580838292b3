"""Topics on which somebody waits for messages that can never come, each with the line that mends it.

A publisher and a listener whose quality of service does not match are never joined, and neither is told why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, ReliabilityPolicy, qos_check_compatible

#: Topics of ROS itself, which match whatever anybody does.
_OWN = ("/rosout", "/parameter_events")


def clashes_of(node: Node) -> list[str]:
    """Everything on the topics of ``node`` that cannot be heard, a sentence each."""
    topics = {subscription.topic for subscription in node.subscriptions}
    topics |= {publisher.topic for publisher in node.publishers}
    resolved = sorted({node.resolve_topic_name(topic) for topic in topics}.difference(_OWN))
    name = _full(node.get_namespace(), node.get_name())
    return [text for topic in resolved for text in clashes_on(node, topic, {name})]


def clashes_on(node: Node, topic: str, ours: Iterable[str]) -> list[str]:
    """What cannot be heard on ``topic`` between nodes of which at least one is of ``ours`` (full names)."""
    ours = set(ours)
    publishers, listeners = node.get_publishers_info_by_topic(topic), node.get_subscriptions_info_by_topic(topic)
    return list(dict.fromkeys(text for p in publishers for s in listeners for text in _clash(topic, p, s, ours)))


def _clash(topic: str, publisher: Any, listener: Any, ours: set[str]) -> Iterator[str]:
    sends, hears = _name(publisher), _name(listener)
    if sends not in ours and hears not in ours:
        return
    if publisher.topic_type != listener.topic_type:
        yield (
            f"{hears} cannot hear {topic} of {sends}: it is sent as {publisher.topic_type} and waited for as "
            f"{listener.topic_type}; mend: give one of the two another name, as in -r {topic.lstrip('/')}:=another/name"
        )
        return
    compatibility, reason = qos_check_compatible(publisher.qos_profile, listener.qos_profile)
    if compatibility == QoSCompatibility.ERROR:
        why = reason.replace("ERROR: ", "").strip().rstrip(";")
        yield f"{hears} cannot hear {topic} of {sends} ({why}); mend: {_mend(topic, publisher, listener, ours)}"


def _mend(topic: str, publisher: Any, listener: Any, ours: set[str]) -> str:
    """The parameter of our node that makes the two match: our listener asks for less, or our publisher gives more."""
    ask_less = _name(listener) in ours
    node, side = (listener, "subscription") if ask_less else (publisher, "publisher")
    lines = []
    if publisher.qos_profile.reliability != listener.qos_profile.reliability == ReliabilityPolicy.RELIABLE:
        lines.append(("reliability", "best_effort" if ask_less else "reliable"))
    if publisher.qos_profile.durability != listener.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        lines.append(("durability", "volatile" if ask_less else "transient_local"))
    if not lines:
        return f"give {_name(publisher)} the deadline, liveliness and lease that {_name(listener)} asks for, or more"
    settings = " ".join(f"-p qos_overrides.{topic}.{side}.{policy}:={value}" for policy, value in lines)
    return f"start {_name(node)} with {settings}"


def _name(endpoint: Any) -> str:
    return _full(endpoint.node_namespace, endpoint.node_name)


def _full(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
