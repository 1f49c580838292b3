# ShelfHelp on ROS 2 Jazzy, for a workstation or a robot with an x86-64 processor.
FROM ros:jazzy-ros-base-noble

SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        espeak-ng \
        libegl1 \
        libgl1-mesa-dri \
        libopengl0 \
        python3-venv \
        ros-jazzy-cv-bridge \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --groups audio,video shelfhelp \
    && install -d -o shelfhelp -g shelfhelp /ws

USER shelfhelp
WORKDIR /ws

COPY --chown=shelfhelp:shelfhelp docker/requirements-workstation.txt requirements.txt
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/pip install --no-cache-dir --requirement requirements.txt

COPY --chown=shelfhelp:shelfhelp . src/shelfhelp
RUN . /opt/ros/jazzy/setup.bash \
    && .venv/bin/python -m colcon build \
        --base-paths src/shelfhelp src/shelfhelp/shelfhelp_interfaces \
        --cmake-args -DPython3_EXECUTABLE=/ws/.venv/bin/python \
    && rm -rf build log

ENTRYPOINT ["/ws/src/shelfhelp/docker/entrypoint"]
CMD ["ros2", "launch", "shelfhelp", "assist.launch.py"]
