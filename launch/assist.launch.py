"""Start perception, guidance and speech beside a camera; one that dies is started again."""

from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch import LaunchDescriptionEntity as Entity
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.cameras import camera_topics
from shelfhelp_ros.nodes.languages import voice_language
from shelfhelp_ros.resources import config_folder

# How a node ends that cannot start as it was asked to; starting it again would not help.
CANNOT_START = 1
HANDS = ("none", "mediapipe", "aruco")
ARGUMENTS = (
    (
        "camera",
        "camera",
        "a camera of config/cameras (realsense, oak, …), the path of such a file, or a topic namespace",
    ),
    ("image_transport", "", "colour images: raw or compressed; empty: as the camera or the configuration says"),
    ("config", str(config_folder() / "assist.yaml"), "parameter file of the nodes"),
    ("confirm", "", "how sure to be: cautious, balanced or eager; empty: as the configuration says"),
    ("backend", "", "what the networks run on: auto, cpu, cuda or tensorrt; empty: as the configuration says"),
    ("build_only", "false", "true: build the engines that the backend needs, and end"),
    ("models", "", "folder with the networks; empty: as the configuration says"),
    ("catalogue", "", "catalogue file; empty: as the configuration says"),
    ("speech", "", "speech-dispatcher, espeak-ng, hibari or text; empty: as the configuration says"),
    ("language", "", "of the words and of the voice, such as de; empty: as the configuration says"),
    ("speech_rate", "", "words a minute, 80 to 600; empty: as the configuration says"),
    ("tones", "", "true: tones beside the words tell where the product is; empty: as the configuration says"),
    ("haptics", "false", "true: publish what the motors of a wristband do"),
    ("hand", "none", "what finds the hand: none (another program may publish it), mediapipe or aruco"),
    ("record", "", "folder: keep the last minute of the camera as a bag there whenever a search goes wrong"),
    ("namespace", "", "namespace of the nodes"),
    ("log_level", "info", "debug, info, warn, error or fatal"),
    ("use_sim_time", "false", "take the time from /clock"),
)


def generate_launch_description() -> LaunchDescription:
    declared = [DeclareLaunchArgument(name, default_value=value, description=text) for name, value, text in ARGUMENTS]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[Entity]:
    """The nodes, once the arguments have values."""
    given = {name: LaunchConfiguration(name).perform(context) for name, _, _ in ARGUMENTS}
    try:
        topics = camera_topics(given["camera"], given["image_transport"])
        if given["hand"] not in HANDS:
            raise ShelfHelpError(f"hand:={given['hand']} is not known; it has to be one of {', '.join(HANDS)}")
    except ShelfHelpError as error:
        return [LogInfo(msg=str(error)), EmitEvent(event=Shutdown(reason=str(error)))]
    transport = given["image_transport"] or ("compressed" if topics.transport == "compressed" else "")
    chosen = {name: given[name] for name in ("confirm", "backend", "models", "catalogue")}
    if is_true(given["build_only"]):
        return builder(given, {name: given[name] for name in ("backend", "models")})
    active = {"autostart": "true"}
    looking = {**chosen, **active, "image_transport": transport}
    speaking = {
        "language": voice_language(Path(given["config"]), given["language"]),
        "backend": given["speech"],
        "rate": given["speech_rate"],
        "tones": given["tones"],
    }
    nodes = [
        node(given, "speech", speaking, []),
        node(given, "guidance", {**active, "language": given["language"]}, []),
        node(given, "perception", looking, list(topics.remappings)),
    ]
    if is_true(given["haptics"]):
        nodes.append(node(given, "haptics", {}, []))
    if given["record"]:
        kept = {"folder": given["record"], "image_transport": transport}
        nodes.append(node(given, "recorder", kept, list(topics.remappings)))
    if given["hand"] != "none":
        source = {**active, "source": given["hand"], "image_transport": transport}
        nodes.append(node(given, "hand", source, list(topics.remappings)))
    ended = [OnProcessExit(target_action=started, on_exit=end_without) for started in nodes]
    return [*map(RegisterEventHandler, ended), *nodes]


def end_without(event: ProcessExited, context: LaunchContext) -> list[Entity]:
    """The launch ends with a node that cannot start; one that died is started again."""
    if event.returncode != CANNOT_START:
        return []
    reason = f"{event.action.node_executable} could not start: its log says why"
    return [LogInfo(msg=reason), EmitEvent(event=Shutdown(reason=reason))]


def node(given: dict[str, str], name: str, chosen: dict[str, str], remappings: list[tuple[str, str]]) -> Node:
    logger = ".".join([*filter(None, given["namespace"].split("/")), name])
    return Node(
        package="shelfhelp",
        executable=f"{name}_node",
        name=name,
        namespace=given["namespace"],
        output="screen",
        parameters=[
            given["config"],
            {
                key: yaml.safe_load(value) if key in ("rate", "tones", "autostart", "build_only") else value
                for key, value in chosen.items()
                if value
            },
            {"use_sim_time": is_true(given["use_sim_time"])},
        ],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", f"{logger}:={given['log_level']}"],
        respawn="build_only" not in chosen,
        respawn_delay=1.0,
    )


def builder(given: dict[str, str], chosen: dict[str, str]) -> list[Entity]:
    """The perception node, which builds the engines and ends, and the launch with it."""
    building = node(given, "perception", {**chosen, "build_only": "true"}, [])
    ended = Shutdown(reason="build_only: the log above says what was built")
    return [RegisterEventHandler(OnProcessExit(target_action=building, on_exit=[EmitEvent(event=ended)])), building]


def is_true(text: str) -> bool:
    return text.lower() in ("true", "1", "yes")
