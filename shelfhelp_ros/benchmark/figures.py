"""Percentiles, machine facts and Markdown tables for the figures we publish."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile (0..100) rounded to a tenth; NaN when there are no values."""
    return round(float(np.percentile(values, share)), 1) if len(values) else float("nan")


def peak_memory_mb(process_id: int) -> float:
    """Peak resident memory of a running process in MB (Linux ``VmHWM``); NaN where it cannot be read."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    except OSError:
        return float("nan")
    line = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: nan kB")
    return round(float(line.split()[1]) / 1024, 1)


def processor_seconds(process_id: int) -> float:
    """Processor time that a running process has taken so far (Linux); NaN where it cannot be read."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


def machine() -> str:
    """Processor, usable cores and Python, in one line."""
    name = platform.processor() or platform.machine()
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        name = next(line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def commit() -> str:
    """The short commit of this checkout, with ``+`` when it has uncommitted changes; ``unknown`` outside git."""
    here = Path(__file__).parent
    try:
        short = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return short + ("+" if changed else "")


def markdown_table(rows: Sequence[dict[str, object]]) -> str:
    """Rows with the same keys as a Markdown table."""
    if not rows:
        return ""
    keys = list(rows[0])
    lines = [keys, ["---"] * len(keys), *([str(row.get(key, "")) for key in keys] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
