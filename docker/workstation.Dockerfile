# ShelfHelp on ROS 2 Jazzy, for a workstation or a robot with an x86-64 processor.
FROM ros:jazzy-ros-base-noble AS builder

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /ws
COPY docker/requirements-workstation.txt requirements.txt
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/pip install --no-cache-dir --requirement requirements.txt

COPY . src/shelfhelp
RUN . /opt/ros/jazzy/setup.bash \
    && .venv/bin/python -m colcon build \
        --base-paths src/shelfhelp src/shelfhelp/shelfhelp_interfaces \
        --cmake-args -DPython3_EXECUTABLE=/ws/.venv/bin/python

# What runs has neither compilers nor sources.
FROM ros:jazzy-ros-core-noble

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        espeak-ng \
        libegl1 \
        libgl1-mesa-dri \
        libopengl0 \
        ros-jazzy-cv-bridge \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --groups audio,video shelfhelp

COPY --from=builder /ws/.venv /ws/.venv
COPY --from=builder /ws/install /ws/install
COPY --chmod=755 docker/entrypoint /ws/entrypoint

USER 10001
WORKDIR /home/shelfhelp
ENTRYPOINT ["/ws/entrypoint"]
CMD ["ros2", "launch", "shelfhelp", "assist.launch.py"]
