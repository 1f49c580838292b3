"""A simulated shelf in place of the camera, and the assistant: `ros2 launch shelfhelp simulate.launch.py`."""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch import LaunchDescriptionEntity as Entity
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = (
    ("seed", "0", "the same seed gives the same shelf"),
    ("products", "20", "different products to offer"),
    ("layout", "normal", "how the shelf is stocked"),
    ("rate", "10.0", "frames a second"),
    ("show_hand", "true", "show a hand that follows what is spoken"),
    ("photos", "", "folder to write photos of each product to, for enrolling"),
)


def generate_launch_description() -> LaunchDescription:
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    assist = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(Path(__file__).with_name("assist.launch.py"))))
    return LaunchDescription([*declared, assist, OpaqueFunction(function=simulate)])


def simulate(context: LaunchContext) -> list[Entity]:
    """The shelf. Its hand follows what is spoken: what was dropped as too late, nobody heard."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("namespace", *(n for n, _, _ in ARGUMENTS))}
    kinds = {"seed": int, "products": int, "layout": str, "rate": float, "photos": str}
    parameters = {name: kind(given[name]) for name, kind in kinds.items()}
    return [
        Node(
            package="shelfhelp",
            executable="simulation_node",
            name="simulation",
            namespace=given["namespace"],
            output="screen",
            parameters=[{**parameters, "hand": given["show_hand"].lower() in ("true", "1", "yes")}],
            remappings=[("instruction", "spoken")],
            respawn=True,
            respawn_delay=1.0,
        )
    ]
