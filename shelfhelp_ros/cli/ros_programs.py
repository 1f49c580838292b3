"""ROS programs that run on this machine, found without ROS: each speaks one middleware in one domain. Linux only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_LIBRARY = re.compile(r"/lib(rmw_(?!implementation|dds_common|fastrtps_shared)\w+?)\.so")


@dataclass(frozen=True)
class RosProgram:
    """A running process: its name, the RMW library it has loaded, and its domain."""

    pid: int
    name: str
    middleware: str
    domain: int


def ros_programs() -> list[RosProgram]:
    """Those of this user, or of everybody for root; this process and the one that started it are left out."""
    found: list[RosProgram] = []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) in (os.getpid(), os.getppid()):
            continue
        try:
            found += _read(folder)
        except OSError:  # it has ended, or belongs to somebody else
            continue
    return sorted(found, key=lambda program: program.pid)


def _read(folder: Path) -> Iterator[RosProgram]:
    loaded = _LIBRARY.search((folder / "maps").read_text(errors="replace"))
    if loaded is None:
        return
    variables = dict(
        entry.split("=", 1)
        for entry in (folder / "environ").read_text(errors="replace").split("\0")
        if entry.startswith("ROS_DOMAIN_ID=")
    )
    domain = variables.get("ROS_DOMAIN_ID") or "0"
    name = (folder / "comm").read_text(errors="replace").strip()
    yield RosProgram(int(folder.name), name, loaded[1], int(domain) if domain.isdigit() else 0)


def strangers(programs: Sequence[RosProgram], middleware: str, domain: int) -> tuple[str, str]:
    """What keeps this shell from hearing ``programs``, and the line that mends it; two empty texts when nothing does.

    Where others share the domain and the middleware, those that do not may be meant to be apart: that is said.
    """
    texts, mends = [], []
    for program in programs:
        apart, variables = [], []
        if program.domain != domain:
            apart.append(f"is in domain {program.domain}, this shell in {domain}")
            variables.append(f"ROS_DOMAIN_ID={program.domain}")
        if program.middleware != middleware:
            apart.append(f"speaks {program.middleware}, this shell {middleware}")
            variables.append(f"RMW_IMPLEMENTATION={program.middleware}")
        if apart:
            texts.append(f"{program.pid} ({program.name}) {' and '.join(apart)}")
            mends.append(f"export {' '.join(variables)}")
    note = " (may be meant: others are heard)" if 0 < len(texts) < len(programs) else ""
    return "; ".join(texts[:5]) + note, " or ".join(dict.fromkeys(mends))
