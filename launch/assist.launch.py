"""Start perception, guidance and speech beside a camera, and bring the lifecycle nodes to active."""

from pathlib import Path

import yaml
from launch import LaunchContext, LaunchDescription
from launch import LaunchDescriptionEntity as Entity
from launch.actions import DeclareLaunchArgument, EmitEvent, LogInfo, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown, matches_action
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from lifecycle_msgs.msg import Transition

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.nodes.cameras import camera_topics
from shelfhelp_ros.nodes.languages import voice_language
from shelfhelp_ros.resources import config_folder

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
    perception = node(given, "perception", {**chosen, "image_transport": transport}, list(topics.remappings))
    guidance = node(given, "guidance", {"language": given["language"]}, [])
    speaking = {
        "language": voice_language(Path(given["config"]), given["language"]),
        "backend": given["speech"],
        "rate": given["speech_rate"],
        "tones": given["tones"],
    }
    speech = node(given, "speech", speaking, [])
    started = [speech, *brought_to_active(guidance), *brought_to_active(perception)]
    if is_true(given["haptics"]):
        started.append(node(given, "haptics", {}, []))
    if given["record"]:
        kept = {"folder": given["record"], "image_transport": transport}
        started.append(node(given, "recorder", kept, list(topics.remappings)))
    if given["hand"] != "none":
        source = {"source": given["hand"], "image_transport": transport}
        started += brought_to_active(node(given, "hand", source, list(topics.remappings)))
    return started


def node(given: dict[str, str], name: str, chosen: dict[str, str], remappings: list[tuple[str, str]]) -> Node:
    kind = Node if name in ("speech", "haptics", "recorder") or "build_only" in chosen else LifecycleNode
    logger = ".".join([*filter(None, given["namespace"].split("/")), name])
    return kind(
        package="shelfhelp",
        executable=f"{name}_node",
        name=name,
        namespace=given["namespace"],
        output="screen",
        parameters=[
            given["config"],
            {
                key: yaml.safe_load(value) if key in ("rate", "tones", "build_only") else value
                for key, value in chosen.items()
                if value
            },
            {"use_sim_time": is_true(given["use_sim_time"])},
        ],
        remappings=remappings,
        arguments=["--ros-args", "--log-level", f"{logger}:={given['log_level']}"],
    )


def builder(given: dict[str, str], chosen: dict[str, str]) -> list[Entity]:
    """The perception node, which builds the engines and ends, and the launch with it."""
    building = node(given, "perception", {**chosen, "build_only": "true"}, [])
    ended = Shutdown(reason="build_only: the log above says what was built")
    return [RegisterEventHandler(OnProcessExit(target_action=building, on_exit=[EmitEvent(event=ended)])), building]


def is_true(text: str) -> bool:
    return text.lower() in ("true", "1", "yes")


def brought_to_active(lifecycle_node: LifecycleNode) -> list[Entity]:
    """The node, configured once it runs and activated once it is configured; without it the launch ends."""

    def change(transition: int) -> EmitEvent:
        return EmitEvent(
            event=ChangeState(lifecycle_node_matcher=matches_action(lifecycle_node), transition_id=transition)
        )

    def on(begin: str, end: str, *actions: Entity) -> RegisterEventHandler:
        return RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=lifecycle_node, start_state=begin, goal_state=end, entities=list(actions)
            )
        )

    failed = f"{lifecycle_node.node_executable} could not be configured: its log says why"
    return [
        on("configuring", "inactive", change(Transition.TRANSITION_ACTIVATE)),
        on("configuring", "unconfigured", LogInfo(msg=failed), EmitEvent(event=Shutdown(reason=failed))),
        lifecycle_node,
        change(Transition.TRANSITION_CONFIGURE),
    ]
