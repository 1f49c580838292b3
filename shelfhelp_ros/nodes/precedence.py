"""Which of a process's threads gets a core first. No ROS in this file."""

from __future__ import annotations

import os
import sys
import threading

# A third of the share of another thread where both want a core: nothing that must be in time waits for this one, and
# it still gets on where the machine is busy.
_STEPS = 5
_LOWEST = 19


def give_way() -> None:
    """From now on this thread, and those that it starts, leave the cores to the others that want them.

    Only Linux knows such a thing of threads; elsewhere nothing changes.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(_LOWEST, os.getpriority(os.PRIO_PROCESS, thread) + _STEPS))
