"""The main job from end to end: camera, perception, guidance, speech and a hand that follows, as separate processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")
pytest.importorskip("shelfhelp_interfaces", reason="shelfhelp_interfaces is not built")
pytest.importorskip("mujoco", reason="the simulation needs the extra `sim` (mujoco)")

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.renderer import load_mujoco


@pytest.fixture(scope="module", autouse=True)
def _rendering() -> None:
    try:
        load_mujoco()
    except ShelfHelpError as error:
        pytest.skip(f"no rendering here: {error}")


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shelfhelp_ros", "demo", "--speech", "text", "--output", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def test_the_hand_is_led_to_the_product(ros_domain: int, tmp_path: Path) -> None:
    """Spoken words alone bring the hand to the product that was asked for, and no direction rests on an old picture."""
    ran = demo(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    episode = json.loads((tmp_path / "episode.json").read_text(encoding="utf-8"))
    assert episode["outcome"] == "done"
    assert episode["touched"] == episode["product"]
    phases = [said["phase"] for said in episode["transcript"]]
    assert phases[0] == "search"
    assert phases[-1] == "done"
    ages = [said["age_ms"] for said in episode["transcript"] if said["phase"] in ("aim", "reach")]
    assert ages
    assert max(ages) <= 400, "spoken later than 300 ms after its picture, and the way of the message on top"
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_a_product_that_is_not_on_the_shelf_is_one_line(ros_domain: int, tmp_path: Path) -> None:
    """The demo names what there is, and ends every process it began."""
    ran = demo(tmp_path, "--product", "Unobtainium")
    assert ran.returncode == 1
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("shelfhelp: error: 'Unobtainium' is not on this shelf; there are:")
    assert "Traceback" not in ran.stderr
