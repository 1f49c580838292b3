"""A long run of perception, guidance and speech before a drawn camera, with memory, threads and open files watched.

    python test/soak.py --seconds 1800

Six pictures a second for the shipped networks (with --models tiny the small ones of the tests, where the machine is
slow), while searches begin and end, products come and go, parameters change, and the camera fails now and then. Prints
a line of JSON for each sample, and the table of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from faulty_assistant import Assistant

#: Growth of resident memory that counts as flat: what the allocator keeps moves by this much.
FLAT_MB = 25.0
#: A machine that is busy with other work answers late; what counts here is that it answers.
BUSY_SECONDS = 120.0
#: The networks, the libraries and their arenas are all there after this share of a run.
WARM = 0.25


@dataclass(frozen=True)
class Sample:
    """What the process holds ``seconds`` after the start of the run."""

    seconds: float
    memory_mb: float
    threads: int
    files: int
    frames: int
    said: int


def sample(assistant: Assistant, seconds: float) -> Sample:
    gc.collect()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return Sample(
        seconds=round(seconds, 1),
        memory_mb=round(int(status["VmRSS"].split()[0]) / 1024, 1),
        threads=int(status["Threads"]),
        files=len(os.listdir("/proc/self/fd")),
        frames=assistant.perception.statistics.total_frames,
        said=assistant.spoken,
    )


def run(assistant: Assistant, seconds: float, every: float, tell: Callable[[Sample], object]) -> list[Sample]:
    """Let the assistant work for ``seconds``, with something new every three, and take a sample every ``every``."""
    began = time.monotonic()
    due, turn, samples = 0.0, 0, []
    while (passed := time.monotonic() - began) < seconds:
        if passed >= due:
            samples.append(sample(assistant, passed))
            tell(samples[-1])
            due += every
        live(assistant, turn)
        turn += 1
        time.sleep(min(3.0, max(0.0, seconds - passed)))
    samples.append(sample(assistant, seconds))
    tell(samples[-1])
    return samples


def live(assistant: Assistant, turn: int) -> None:
    """What a person, their shopping and a camera do, one thing after the other."""
    from rclpy.parameter import Parameter
    from ros_graph import photo_of
    from sensor_msgs.msg import CompressedImage
    from shelfhelp_interfaces.srv import EnrolProduct, RemoveProduct, SetTarget
    from std_srvs.srv import Trigger

    from shelfhelp_ros.nodes.image_conversion import as_bytes

    def ask(service: str, request: Any) -> None:
        assert assistant.client.ask(service, request, timeout=BUSY_SECONDS).success

    def photo(number: int) -> list[CompressedImage]:
        return [CompressedImage(format="png", data=as_bytes(photo_of(number)))]

    if turn % 8 == 0:
        ask("set_target", SetTarget.Request(product="Pack three"))
    elif turn % 8 == 1:
        ask("enrol_product", EnrolProduct.Request(name="Pack five", photos=photo(5)))
    elif turn % 8 == 2:
        assistant.perception.set_parameters([Parameter("confirm", value=("cautious", "balanced")[turn % 16 == 2])])
    elif turn % 8 == 3:
        assistant.breaks(lambda shot: None)
    elif turn % 8 == 4:
        assistant.breaks(lambda shot: shot)
        ask("repeat", Trigger.Request())
    elif turn % 8 == 5:
        ask("set_target", SetTarget.Request(product="my product", photos=photo(3)))
    elif turn % 8 == 6:
        ask("remove_product", RemoveProduct.Request(product="Pack five"))
    else:
        ask("stop", Trigger.Request())
    assistant.check()
    assistant.spoken += len(assistant.said)
    assistant.said.clear()


def warm(samples: list[Sample]) -> list[Sample]:
    """The samples from the time when everything is loaded."""
    return [one for one in samples if one.seconds >= WARM * samples[-1].seconds]


def growth(samples: list[Sample]) -> float:
    """Megabytes from the median of the first third of the warm samples to that of the last."""
    held = [one.memory_mb for one in warm(samples)]
    third = max(1, len(held) // 3)
    return float(np.median(held[-third:]) - np.median(held[:third]))


def table(samples: list[Sample]) -> str:
    rows = ["| after | memory MB | threads | open files | frames | sentences |", "|---|---|---|---|---|---|"]
    steps = sorted({round(position) for position in np.linspace(0, len(samples) - 1, 7)})
    for one in (samples[step] for step in steps):
        minutes = f"{one.seconds / 60:.1f} min"
        rows.append(f"| {minutes} | {one.memory_mb:.0f} | {one.threads} | {one.files} | {one.frames} | {one.said} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1800.0, help="length of the run (1800)")
    parser.add_argument("--models", choices=("shipped", "tiny"), default="shipped", help="the networks (shipped)")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two samples (60)")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parent
    sys.path += [str(here / "ros"), str(here / "faults")]
    import pytest
    from faulty_assistant import Assistant
    from ros_fixtures import domain_taken, graph_on
    from tiny_models import write_models

    from shelfhelp_ros.inference.models import default_model_folder

    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        domain_taken(patch) as domain,
        graph_on(domain, Path(folder)) as graph,
    ):
        tiny = arguments.models == "tiny"
        models = write_models(Path(folder) / "models", side=320) if tiny else default_model_folder()
        assistant = Assistant(graph, models, threads=1)
        assistant.prepare()
        samples = run(assistant, arguments.seconds, arguments.every, lambda one: print(json.dumps(asdict(one))))
        assistant.close()
    print(table(samples))
    print(f"memory grew by {growth(samples):.1f} MB once warm", flush=True)


if __name__ == "__main__":
    main()
