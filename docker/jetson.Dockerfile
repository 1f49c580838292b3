# ShelfHelp on ROS 2 Humble, for an NVIDIA Jetson Orin with JetPack 6. TensorRT and CUDA come with the base image.
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8
ARG ROS_APT_SOURCE=1.1.0

# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && curl -fsSL -o /tmp/ros2-apt-source.deb "https://github.com/ros-infrastructure/ros-apt-source/releases/download/${ROS_APT_SOURCE}/ros2-apt-source_${ROS_APT_SOURCE}.jammy_all.deb" \
    && apt-get install -y --no-install-recommends /tmp/ros2-apt-source.deb \
    && apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential \
        cmake \
        espeak-ng \
        python3-colcon-common-extensions \
        python3-dev \
        python3-venv \
        ros-humble-cv-bridge \
        ros-humble-ros-base \
    && rm -rf /var/lib/apt/lists/* /tmp/ros2-apt-source.deb \
    && useradd --create-home --groups audio,video shelfhelp \
    && install -d -o shelfhelp -g shelfhelp /ws

USER shelfhelp
WORKDIR /ws

COPY --chown=shelfhelp:shelfhelp docker/requirements-jetson.txt requirements.txt
RUN python3 -m venv --system-site-packages .venv \
    && .venv/bin/pip install --no-cache-dir --requirement requirements.txt

COPY --chown=shelfhelp:shelfhelp . src/shelfhelp
RUN . /opt/ros/humble/setup.bash \
    && .venv/bin/python -m colcon build \
        --base-paths src/shelfhelp src/shelfhelp/shelfhelp_interfaces \
        --cmake-args -DPython3_EXECUTABLE=/ws/.venv/bin/python \
    && rm -rf build log

ENTRYPOINT ["/ws/src/shelfhelp/docker/entrypoint"]
CMD ["ros2", "launch", "shelfhelp", "assist.launch.py"]
