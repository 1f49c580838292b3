"""Follows a search on the graph and sums it up: decisions over time, what was said, how late the answers came."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from rclpy.node import Node
from shelfhelp_interfaces.msg import Instruction, ProductArray, TargetSighting

from shelfhelp_ros.nodes.conversions import from_time
from shelfhelp_ros.nodes.quality_of_service import WORDS
from shelfhelp_ros.sightings import Decision


class SearchRecorder(Node):
    """Listens to ``products``, ``target``, ``instruction`` and ``spoken``."""

    def __init__(self, **options: Any) -> None:
        super().__init__("search_recorder", **options)
        self.decisions: list[tuple[int, Decision, float]] = []
        self.named: set[str] = set()
        self.instructions: list[Instruction] = []
        self.spoken: list[tuple[int, Instruction]] = []
        self.answered: dict[int, float] = {}
        self.products: list[int] = []
        self._topics = (
            self.create_subscription(ProductArray, "products", self._on_products, WORDS),
            self.create_subscription(TargetSighting, "target", self._on_target, WORDS),
            self.create_subscription(Instruction, "instruction", self.instructions.append, WORDS),
            self.create_subscription(Instruction, "spoken", self._on_spoken, WORDS),
        )

    @property
    def connected(self) -> bool:
        """Whether somebody publishes each of the topics yet."""
        return all(self.count_publishers(topic.topic_name) > 0 for topic in self._topics)

    def summary(self, published: Mapping[int, float], begin_ns: int) -> dict[str, Any]:
        """Figures of the search; ``published`` is when each frame went out (monotonic seconds, by stamp), times in the
        summary are seconds since ``begin_ns``."""
        late = {stamp: 1e3 * (at - published[stamp]) for stamp, at in self.answered.items() if stamp in published}
        latency = list(late.values())
        changes = [
            entry
            for before, entry in zip([None, *self.decisions], self.decisions, strict=False)
            if before is None or entry[1] is not before[1]
        ]
        return {
            "frames": len(published),
            "frames_worked_on": len(self.answered),
            "products_in_view": {"median": float(np.median(self.products)), "most": max(self.products)}
            if self.products
            else None,
            "decisions": [
                {
                    "seconds": _since(stamp, begin_ns),
                    "decision": decision.name.lower(),
                    "probability": round(probability, 3),
                }
                for stamp, decision, probability in changes
            ],
            "named": sorted(self.named),
            "instructions": len(self.instructions),
            "spoken": [
                {
                    "seconds": _since(at, begin_ns),
                    "phase": said.phase,
                    "text": said.text,
                    "age_ms": round((at - from_time(said.header.stamp)) / 1e6, 1) if said.axis else None,
                }
                for at, said in self.spoken
            ],
            "timeline": {
                "seconds": [_since(stamp, begin_ns) for stamp, _, _ in self.decisions],
                "decision": [decision.name.lower() for _, decision, _ in self.decisions],
                "probability": [round(probability, 3) for _, _, probability in self.decisions],
                "latency_ms": [round(late[stamp], 1) if stamp in late else None for stamp, _, _ in self.decisions],
            },
            "latency_ms": {f"p{q}": round(float(np.percentile(latency, q)), 1) for q in (50, 95)} if latency else None,
        }

    def _on_products(self, message: ProductArray) -> None:
        self.answered[from_time(message.header.stamp)] = time.monotonic()
        self.products.append(len(message.products))

    def _on_target(self, message: TargetSighting) -> None:
        # Without a frame_id and a probability it is the word that a search begins, not a look at a frame.
        if message.target_id and (message.header.frame_id or message.has_product or message.probability):
            entry = (from_time(message.header.stamp), Decision(message.decision), float(message.probability))
            self.decisions.append(entry)
            if message.decision == TargetSighting.FOUND and message.has_product:
                self.named.add(message.product.product_name or message.target_name)

    def _on_spoken(self, message: Instruction) -> None:
        self.spoken.append((int(self.get_clock().now().nanoseconds), message))


def _since(stamp_ns: int, begin_ns: int) -> float:
    return round((stamp_ns - begin_ns) / 1e9, 3)
