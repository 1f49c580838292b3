"""What happened in one episode, as it was heard and seen from outside: the raw material of a report."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Utterance:
    """One instruction: ``seconds`` since the target was set, ``age_ms`` of its image (NaN when it rests on none)."""

    seconds: float
    phase: str
    text: str
    age_ms: float


@dataclass(frozen=True)
class Verdict:
    """One message on ``target``. ``latency_ms`` runs from the image's stamp to the message's arrival."""

    seconds: float
    decision: str
    probability: float
    similarity: float
    latency_ms: float


@dataclass(frozen=True)
class HandDistance:
    """Distance in metres from the hand to the wanted product, by the simulation's ground truth."""

    seconds: float
    metres: float


@dataclass
class Recording:
    """Everything gathered while an episode ran.

    ``video`` holds JPEG bytes of annotated frames with their seconds; ``touches`` what the hand came to touch, by name,
    until the end; ``path`` how far it went, metres. ``instructed_ns`` is when each instruction was given that may not
    cut in, ``speaking_ns`` when the voice began (True) or ended.
    """

    product: str
    packshot: npt.NDArray[np.uint8]
    outcome: str = "running"
    seconds: float = 0.0
    touched: str = ""
    utterances: list[Utterance] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    distances: list[HandDistance] = field(default_factory=list)
    video: list[tuple[float, bytes]] = field(default_factory=list)
    touches: list[str] = field(default_factory=list)
    path: float = 0.0
    instructed_ns: list[int] = field(default_factory=list)
    speaking_ns: list[tuple[int, bool]] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def figures(self) -> dict[str, float]:
        """The figures of the episode: seconds, instructions, latency percentiles (ms), updates a second."""
        latencies = [verdict.latency_ms for verdict in self.verdicts]
        span = self.verdicts[-1].seconds - self.verdicts[0].seconds if len(self.verdicts) > 1 else 0.0
        ages = [utterance.age_ms for utterance in self.utterances if np.isfinite(utterance.age_ms)]
        return {
            "seconds": round(self.seconds, 1),
            "instructions": float(len(self.utterances)),
            "target_updates_per_second": round((len(self.verdicts) - 1) / span, 2) if span > 0 else 0.0,
            "target_latency_p50_ms": percentile(latencies, 50),
            "target_latency_p95_ms": percentile(latencies, 95),
            "instruction_age_max_ms": round(max(ages), 1) if ages else 0.0,
        }


def percentile(values: list[float], share: float) -> float:
    """A percentile (0..100) rounded to a tenth; 0 when there are no values."""
    return round(float(np.percentile(values, share)), 1) if values else 0.0
