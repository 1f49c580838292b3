# ShelfHelp on ROS 2 Humble, for an NVIDIA Jetson Orin with JetPack 6.2. CUDA 12.6 and TensorRT 10.3 come with the base
# image: r36.4.0 is the newest there is for JetPack 6, with the CUDA and TensorRT of 6.2.
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0 AS ros

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV LANG=C.UTF-8
ARG DEBIAN_FRONTEND=noninteractive
ARG ROS_APT_SOURCE=1.1.0

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL -o /tmp/ros2-apt-source.deb "https://github.com/ros-infrastructure/ros-apt-source/releases/download/${ROS_APT_SOURCE}/ros2-apt-source_${ROS_APT_SOURCE}.jammy_all.deb" \
    && apt-get install -y --no-install-recommends /tmp/ros2-apt-source.deb \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        espeak-ng \
        ros-humble-cv-bridge \
        ros-humble-ros-core \
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
        ros-humble-rosidl-default-generators \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY docker/requirements-jetpack6.txt requirements.txt
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/pip install --no-cache-dir --requirement requirements.txt

COPY . src/shelfhelp
RUN . /opt/ros/humble/setup.bash \
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
