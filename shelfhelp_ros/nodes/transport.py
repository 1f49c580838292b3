"""Room for whole images in Fast DDS's shared memory. No ROS in this file."""

from __future__ import annotations

import os

from shelfhelp_ros.resources import config_folder

# The first is read by Fast DDS 2 (Humble, Jazzy), the second by Fast DDS 3.
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
# Whoever sets one of these has chosen the transports already.
CHOSEN = (*PROFILES, "FASTDDS_BUILTIN_TRANSPORTS", "ROS_LOCALHOST_ONLY")


def make_room_for_images() -> None:
    """Point Fast DDS to ``config/dds/fastdds.xml``, unless its transports are chosen already.

    Call it before ROS starts. Child processes inherit it; other middlewares do not read it.
    """
    if not any(os.environ.get(name, "0") not in ("", "0") for name in CHOSEN):
        os.environ.update(dict.fromkeys(PROFILES, str(config_folder() / "dds" / "fastdds.xml")))
