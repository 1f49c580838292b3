"""Play a bag into the assistant: `ros2 launch shelfhelp replay.launch.py bag:=FOLDER`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch import LaunchDescriptionEntity as Entity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
)
from launch.conditions import IfCondition
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.bags import Bag

ARGUMENTS = (
    ("rate", "1.0", "speed of playing"),
    ("loop", "false", "begin again at the end"),
    ("start", "0.0", "seconds to leave out at the beginning"),
    ("duration", "", "seconds to play; empty: to the end"),
    ("target", "", "catalogue name or id to look for"),
    ("expectations", "", "file of what is expected of the bag; empty: nothing is checked, unless junit is given"),
    ("junit", "", "file for what was checked; without expectations those beside the bag are taken"),
)
# What the assistant in the player's process is told, where a bag is checked.
PASSED_ON = ("config", "confirm", "backend", "models", "catalogue", "speech", "language", "log_level")


def generate_launch_description() -> LaunchDescription:
    """The assistant on simulated time, and a player; the launch ends when the bag does.

    A bag that is checked is played once for each search, each time into a new assistant in the player's process.
    """
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    bag = DeclareLaunchArgument("bag", description="folder or file of the bag (sqlite3 or mcap)")
    assist = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("assist.launch.py"))),
        launch_arguments={"use_sim_time": "true", "image_transport": LaunchConfiguration("bag_transport")}.items(),
        condition=IfCondition(LaunchConfiguration("nodes_start")),
    )
    look, play_it = OpaqueFunction(function=look_into_bag), OpaqueFunction(function=play)
    return LaunchDescription([bag, *declared, look, assist, play_it])


def look_into_bag(context: LaunchContext) -> list[Entity]:
    """Whether its colour images are compressed: perception has to listen to the same."""
    try:
        with Bag(Path(LaunchConfiguration("bag").perform(context))) as bag:
            transport = "compressed" if bag.choose_topics().compressed else "raw"
    except ShelfHelpError as error:
        stop = [LogInfo(msg=str(error)), EmitEvent(event=Shutdown(reason=str(error)))]
        return [SetLaunchConfiguration("bag_opens", "false"), SetLaunchConfiguration("nodes_start", "false"), *stop]
    return [
        SetLaunchConfiguration("bag_opens", "true"),
        SetLaunchConfiguration("nodes_start", "false" if is_checked(context) else "true"),
        SetLaunchConfiguration("bag_transport", transport),
    ]


def is_checked(context: LaunchContext) -> bool:
    return any(LaunchConfiguration(name).perform(context) for name in ("expectations", "junit"))


def play(context: LaunchContext) -> list[Entity]:
    """The player; alone it waits for perception, so that no frame is lost on a node that still loads."""
    if LaunchConfiguration("bag_opens").perform(context) == "false":
        return []
    given = {name: LaunchConfiguration(name).perform(context) for name in ("bag", *(name for name, _, _ in ARGUMENTS))}
    command = [sys.executable, "-m", "shelfhelp_ros", "replay", given["bag"], "--no-progress"]
    command += ["--loop"] if given["loop"].lower() in ("true", "1", "yes") else []
    command += options(given, ("rate", "start", "duration", "target", "expectations", "junit"))
    if is_checked(context):
        command += options(context.launch_configurations, PASSED_ON)
    else:
        command += ["--play-only", *options(context.launch_configurations, ("namespace",))]
    player = ExecuteProcess(cmd=command, output="screen")
    ended = OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the bag has ended"))])
    return [player, RegisterEventHandler(ended)]


def options(given: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Those of the command that have a value."""
    return [part for name in names if given.get(name) for part in (f"--{name.replace('_', '-')}", given[name])]
