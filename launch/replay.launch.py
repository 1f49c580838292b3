"""Play a bag into the assistant: `ros2 launch shelfhelp replay.launch.py bag:=FOLDER`."""

import sys
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
    ("target", "", "catalogue name or id to look for"),
)


def generate_launch_description() -> LaunchDescription:
    """The assistant on simulated time, and a player; the launch ends when the bag does."""
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    bag = DeclareLaunchArgument("bag", description="folder or file of the bag (sqlite3 or mcap)")
    assist = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(Path(__file__).with_name("assist.launch.py"))),
        launch_arguments={"use_sim_time": "true", "image_transport": LaunchConfiguration("bag_transport")}.items(),
        condition=IfCondition(LaunchConfiguration("bag_opens")),
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
        return [SetLaunchConfiguration("bag_opens", "false"), *stop]
    return [SetLaunchConfiguration("bag_opens", "true"), SetLaunchConfiguration("bag_transport", transport)]


def play(context: LaunchContext) -> list[Entity]:
    """The player: it waits for perception, so that no frame is lost on a node that still loads."""
    if LaunchConfiguration("bag_opens").perform(context) == "false":
        return []
    names = ("bag", "namespace", *(name for name, _, _ in ARGUMENTS))
    given = {name: LaunchConfiguration(name).perform(context) for name in names}
    command = [sys.executable, "-m", "shelfhelp_ros", "replay", given["bag"], "--play-only", "--no-progress"]
    command += ["--rate", given["rate"], "--start", given["start"]]
    command += ["--loop"] if given["loop"].lower() in ("true", "1", "yes") else []
    command += ["--target", given["target"]] if given["target"] else []
    command += ["--namespace", given["namespace"]] if given["namespace"] else []
    player = ExecuteProcess(cmd=command, output="screen")
    ended = OnProcessExit(target_action=player, on_exit=[EmitEvent(event=Shutdown(reason="the bag has ended"))])
    return [player, RegisterEventHandler(ended)]
