"""Arithmetic with printed colours, RGB 0..255."""

from __future__ import annotations

from shelfhelp_ros.simulation.products import Colour


def luminance(colour: Colour) -> float:
    """Perceived brightness, 0..255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour ``share`` (0..1) of the way from the first to the second."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def readable(colour: Colour, ground: Colour) -> Colour:
    """The colour if it stands out from the ground, else black or white."""
    if abs(luminance(colour) - luminance(ground)) > 75:
        return colour
    return (18, 18, 22) if luminance(ground) > 120 else (252, 252, 248)
