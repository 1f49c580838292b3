"""A page about one episode: transcript, video, plots and figures, all in one HTML file."""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
import textwrap
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from shelfhelp_ros.errors import ShelfHelpError
from shelfhelp_ros.simulation.recording import Recording, Utterance

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Image = npt.NDArray[np.uint8]

PHASE_COLOURS = {
    "search": "#8d99ae",
    "aim": "#3a86ff",
    "reach": "#06a77d",
    "contact": "#80b918",
    "confirm": "#ffb703",
    "done": "#2b9348",
    "lost": "#d62828",
    "ambiguous": "#9d4edd",
    "blocked": "#bc6c25",
    "wrong_item": "#b00020",
    "absent": "#6c757d",
    "stale": "#e85d04",
    "stopped": "#000000",
}
CAPTION_HEIGHT = 44
VIDEO_RATE = 10.0


def write_report(recording: Recording, folder: Path) -> Path:
    """Write ``report.html``, ``video.webm``, ``picture.png`` and ``episode.json`` into ``folder``; returns the page.

    Raises ShelfHelpError when the parts that draw it are missing or the folder cannot be written.
    """
    try:
        import jinja2
        import matplotlib
    except ImportError as error:
        raise ShelfHelpError(f"the report needs {error.name}; install it with: pip install 'shelfhelp[sim]'") from error
    matplotlib.use("Agg")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        video = write_video(recording, folder / "video.webm")
        picture = write_picture(recording, folder / "picture.png")
        (folder / "episode.json").write_text(json.dumps(summary(recording), indent=2) + "\n", encoding="utf-8")
        environment = jinja2.Environment(loader=jinja2.PackageLoader("shelfhelp_ros.simulation"), autoescape=True)
        page = environment.get_template("report.html.j2").render(
            recording=recording,
            figures=recording.figures(),
            colours=PHASE_COLOURS,
            packshot=data_uri(png(recording.packshot), "image/png"),
            picture=data_uri(picture.read_bytes(), "image/png") if picture else "",
            video=data_uri(video.read_bytes(), "video/webm") if video else "",
            plots=plots(recording),
        )
        path = folder / "report.html"
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ShelfHelpError(f"the report cannot be written to {folder}: {error}") from error
    return path


def summary(recording: Recording) -> dict[str, object]:
    """The episode as JSON-ready data."""
    return {
        "product": recording.product,
        "outcome": recording.outcome,
        "touched": recording.touched,
        "figures": recording.figures(),
        "facts": recording.facts,
        "transcript": [vars(utterance) for utterance in recording.utterances],
        "verdicts": [vars(verdict) for verdict in recording.verdicts],
        "distances": [vars(distance) for distance in recording.distances],
    }


def write_video(recording: Recording, path: Path) -> Path | None:
    """Annotated frames with the words spoken beneath, as VP8 at a steady rate; None when there are no frames."""
    if not recording.video:
        return None
    frames = [(seconds, _decode(jpeg)) for seconds, jpeg in recording.video]
    height, width = frames[0][1].shape[:2]
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    with tempfile.TemporaryDirectory() as scratch:
        target = str(Path(scratch) / "video.webm")
        writer = cv2.VideoWriter(target, cv2.VideoWriter.fourcc(*"VP80"), VIDEO_RATE, (width, height + CAPTION_HEIGHT))
        if not writer.isOpened():
            return None
        end = frames[-1][0] + 2.0
        index = 0
        for moment in np.arange(frames[0][0], end, 1 / VIDEO_RATE):
            while index + 1 < len(frames) and frames[index + 1][0] <= moment:
                index += 1
            writer.write(captioned(frames[index][1], current_utterance(recording, float(moment))))
        writer.release()
        path.write_bytes(Path(target).read_bytes())
    return path


def write_picture(recording: Recording, path: Path) -> Path | None:
    """One still that tells the story: the frame just after the first direction, with its words."""
    if not recording.video:
        return None
    directions = [u.seconds for u in recording.utterances if u.phase in ("aim", "reach")]
    moment = directions[0] if directions else recording.video[len(recording.video) // 2][0]
    seconds, jpeg = min(recording.video, key=lambda frame: abs(frame[0] - moment - 0.3))
    path.write_bytes(png(captioned(_decode(jpeg), current_utterance(recording, seconds))))
    return path


def current_utterance(recording: Recording, seconds: float) -> Utterance | None:
    """The last thing said at a moment of the episode."""
    said = [utterance for utterance in recording.utterances if utterance.seconds <= seconds]
    return said[-1] if said else None


def captioned(image: Image, utterance: Utterance | None) -> Image:
    """The image with a bar beneath that shows phase and words."""
    phase, text = (utterance.phase, utterance.text) if utterance is not None else ("", "")
    return np.concatenate([image, _bar(phase, text, image.shape[1])])


@lru_cache(maxsize=8)
def _bar(phase: str, text: str, width: int) -> Image:
    from PIL import Image as Pictures
    from PIL import ImageDraw

    picture = Pictures.new("RGB", (width, CAPTION_HEIGHT), (24, 24, 24))
    draw = ImageDraw.Draw(picture)
    line = textwrap.shorten(text, width=max(20, width // 10), placeholder=" …")
    draw.text((12, 6), phase, fill="#9fb4c7", font_size=12)
    draw.text((12, 20), line, fill="white", font_size=18)
    return np.ascontiguousarray(np.asarray(picture)[..., ::-1])


def plots(recording: Recording) -> list[tuple[str, str]]:
    """Title and SVG data URI of each plot: phases, certainty, distance, latency."""
    from matplotlib.figure import Figure

    drawn = []
    for title, unit, draw in (
        ("Phases", "", _draw_phases),
        ("Similarity and probability", "", _draw_certainty),
        ("Hand to product", "metres", _draw_distance),
        ("Image stamp to target", "ms", _draw_latency),
    ):
        figure = Figure(figsize=(8, 1.6 if title == "Phases" else 2.4), layout="constrained")
        axes = figure.subplots()
        draw(axes, recording)
        axes.set_xlabel("seconds since the target was set")
        axes.set_ylabel(unit)
        axes.set_xlim(0, max(recording.seconds, 1.0))
        axes.spines[["top", "right"]].set_visible(False)
        drawn.append((title, data_uri(_svg(figure), "image/svg+xml")))
    return drawn


def _draw_phases(axes: Axes, recording: Recording) -> None:
    starts = [utterance.seconds for utterance in recording.utterances]
    ends = [*starts, recording.seconds][1:]
    for utterance, start, end in zip(recording.utterances, starts, ends, strict=True):
        axes.barh(0, max(end - start, 0.05), left=start, color=PHASE_COLOURS.get(utterance.phase, "grey"))
    seen = dict.fromkeys(utterance.phase for utterance in recording.utterances)
    for phase in seen:
        axes.barh(0, 0, color=PHASE_COLOURS.get(phase, "grey"), label=phase)
    axes.set_yticks([])
    if seen:
        axes.legend(ncols=len(seen), loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False, fontsize=8)


def _draw_certainty(axes: Axes, recording: Recording) -> None:
    seconds = [verdict.seconds for verdict in recording.verdicts]
    axes.plot(seconds, [verdict.similarity for verdict in recording.verdicts], label="similarity", color="#3a86ff")
    axes.plot(seconds, [verdict.probability for verdict in recording.verdicts], label="probability", color="#06a77d")
    axes.set_ylim(-0.05, 1.05)
    axes.legend(frameon=False, fontsize=8)


def _draw_distance(axes: Axes, recording: Recording) -> None:
    axes.plot([d.seconds for d in recording.distances], [d.metres for d in recording.distances], color="#3a86ff")
    for utterance in recording.utterances:
        axes.axvline(utterance.seconds, color=PHASE_COLOURS.get(utterance.phase, "grey"), alpha=0.4, linewidth=1)
    axes.set_ylim(bottom=0)


def _draw_latency(axes: Axes, recording: Recording) -> None:
    seconds = [verdict.seconds for verdict in recording.verdicts]
    axes.plot(seconds, [verdict.latency_ms for verdict in recording.verdicts], ".", markersize=3, color="#3a86ff")
    axes.axhline(300, color="#d62828", linewidth=1)
    axes.text(0, 300, " no direction is spoken from older data", color="#d62828", fontsize=7, va="bottom")
    axes.set_ylim(bottom=0)


def _svg(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _decode(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def png(image: Image) -> bytes:
    """A BGR image as PNG bytes."""
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def data_uri(content: bytes, kind: str) -> str:
    """Bytes as a ``data:`` address, so that the page needs no other file."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
