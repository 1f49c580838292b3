"""Memory that pictures leave behind is used again."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

# Each round holds what taking in a picture holds at one time, and lets go of it; prints the page faults of a round.
ROUNDS = """
import resource, sys
from shelfhelp_ros.nodes.memory import keep_memory_of_images
if sys.argv[1] == "kept":
    keep_memory_of_images()
def faults():
    for _ in range(20):
        held = [bytearray(size) for size in (921_600, 1_228_800, 921_600, 614_400, 1_228_800)]
        del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
print((faults() - before) / 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_pictures_one_after_the_other_ask_for_no_new_pages() -> None:
    """Without it each round asks for hundreds, 4096 bytes at a time."""

    def faults_a_round(how: str) -> float:
        command = [sys.executable, "-c", ROUNDS, how]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults_a_round("kept") < 20 < faults_a_round("as it comes")
