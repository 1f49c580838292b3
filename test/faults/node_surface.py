"""What a node really opens on the graph, in the terms of a security policy."""

from __future__ import annotations

from typing import Any

from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node

Surface = dict[tuple[str, str], set[str]]


def surface_of(node: Any, observer: Any) -> Surface:
    """Names by what is done with them, as ``observer`` sees it; the topics and services of an action are the action."""
    name, space = node.get_name(), node.get_namespace()
    actions = {
        ("actions", "execute"): get_action_server_names_and_types_by_node(observer, name, space),
        ("actions", "call"): get_action_client_names_and_types_by_node(observer, name, space),
    }
    others = {
        ("topics", "publish"): observer.get_publisher_names_and_types_by_node(name, space),
        ("topics", "subscribe"): observer.get_subscriber_names_and_types_by_node(name, space),
        ("services", "reply"): observer.get_service_names_and_types_by_node(name, space),
        ("services", "request"): observer.get_client_names_and_types_by_node(name, space),
    }
    found: Surface = {key: {each for each, _ in pairs} for key, pairs in actions.items()}
    found |= {key: {each for each, _ in pairs if "/_action/" not in each} for key, pairs in others.items()}
    return {key: names for key, names in found.items() if names}
