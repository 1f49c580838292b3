"""Every test here has a ROS graph of its own."""

from ros_fixtures import graph, ros_domain

__all__ = ["graph", "ros_domain"]
