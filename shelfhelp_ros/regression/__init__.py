"""Replays as regression tests: what is expected of a bag, whether it came true, and what changed between two runs."""
