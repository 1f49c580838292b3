# ShelfHelp on ROS 2 Jazzy, for an NVIDIA Jetson with JetPack 7: CUDA 13, and TensorRT from NVIDIA's archive, which the
# base image knows. JetPack 7 runs what is built for any aarch64 server (SBSA).
FROM nvcr.io/nvidia/cuda:13.0.1-base-ubuntu24.04 AS ros

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV LANG=C.UTF-8
ARG DEBIAN_FRONTEND=noninteractive
ARG ROS_APT_SOURCE=1.1.0
ARG TENSORRT=10.13.3.9-1+cuda13.0

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL -o /tmp/ros2-apt-source.deb "https://github.com/ros-infrastructure/ros-apt-source/releases/download/${ROS_APT_SOURCE}/ros2-apt-source_${ROS_APT_SOURCE}.noble_all.deb" \
    && apt-get install -y --no-install-recommends /tmp/ros2-apt-source.deb \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        espeak-ng \
        "libnvinfer-plugin10=${TENSORRT}" \
        "libnvinfer10=${TENSORRT}" \
        "libnvonnxparsers10=${TENSORRT}" \
        "python3-libnvinfer=${TENSORRT}" \
        ros-jazzy-cv-bridge \
        ros-jazzy-ros-core \
    && rm -rf /var/lib/apt/lists/* /tmp/ros2-apt-source.deb

FROM ros AS builder

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential \
        cmake \
        python3-colcon-common-extensions \
        python3-dev \
        python3-venv \
        ros-jazzy-rosidl-default-generators \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY docker/requirements-jetpack7.txt requirements.txt
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/pip install --no-cache-dir --requirement requirements.txt

COPY . src/shelfhelp
RUN . /opt/ros/jazzy/setup.bash \
    && .venv/bin/python -m colcon build \
        --base-paths src/shelfhelp src/shelfhelp/shelfhelp_interfaces \
        --cmake-args -DPython3_EXECUTABLE=/ws/.venv/bin/python

FROM ros

RUN useradd --uid 10001 --create-home --groups audio,video shelfhelp
COPY --from=builder /ws/.venv /ws/.venv
COPY --from=builder /ws/install /ws/install
COPY --chmod=755 docker/entrypoint /ws/entrypoint

USER 10001
WORKDIR /home/shelfhelp
ENTRYPOINT ["/ws/entrypoint"]
CMD ["ros2", "launch", "shelfhelp", "assist.launch.py"]
