"""A learning curve on the terminal while an agent is trained: braille dots there, elsewhere a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rich.text import Text

WIDTH, HEIGHT = 60, 10
"""Characters of the chart; each has 2 x 4 dots."""

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

Point = tuple[int, float]
"""Steps, and the median TRE in mm of the training episodes that ended last."""


@contextlib.contextmanager
def live_curve(total: int, start_mm: float, seconds: float = 10.0) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Shows how far a training run is and how well its agent does, on stdout.

    Args:
        total: Steps of the run.
        start_mm: Median TRE of the starts, where doing nothing ends.
        seconds: Between two lines, where stdout is no terminal.

    Yields:
        A function that takes the lines of the run's log, for ``watch`` of :func:`agents.pqn.train.train`.
    """
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _printed_lines(total, seconds)
        return
    points: list[Point] = []

    def picture(line: Mapping[str, Any]) -> Group:
        return Group(chart(points, total, start_mm), Text(f"\n  {told(line, total)}"))

    with Live(picture({"steps": 0}), console=console, refresh_per_second=4) as live:

        def watch(line: Mapping[str, Any]) -> None:
            if "tre_mm" in line:
                points.append((line["steps"], line["tre_mm"]))
            live.update(picture(line))

        yield watch


def _printed_lines(total: int, seconds: float) -> Callable[[Mapping[str, Any]], None]:
    """Prints a line every so many seconds, and the last one."""
    last = [time.monotonic()]

    def watch(line: Mapping[str, Any]) -> None:
        if time.monotonic() - last[0] >= seconds or line["steps"] >= total:
            last[0] = time.monotonic()
            print(told(line, total), file=sys.stdout, flush=True)

    return watch


def told(line: Mapping[str, Any], total: int) -> str:
    """A line of the log for people."""
    parts = [f"{line['steps']:,} of {total:,} steps"]
    if "tre_mm" in line:
        parts += [f"median TRE {line['tre_mm']:.1f} mm", f"{100 * line['under_10mm']:.0f} % under 10 mm"]
    if "exploration" in line:
        parts.append(f"exploring {100 * line['exploration']:.0f} %")
    if line.get("minutes") and line["steps"] < total:
        left = 60 * line["minutes"] * (total / line["steps"] - 1)
        parts.append(f"{left:.0f} s left")
    return ", ".join(parts)


def chart(points: Sequence[Point], total: int, start_mm: float) -> Text:
    """The curve with its axes, the level of the starts dotted across it."""
    from rich.text import Text

    from agents.pqn.train import RECENT

    top = top_of(start_mm)
    curve, level = curve_dots(points, total, top), level_dots(start_mm, top)
    start_row = int(np.flatnonzero(level.any(1))[0]) // 4
    labels = {0: f"{top:.0f} mm", start_row: f"start {start_mm:.0f}", HEIGHT - 1: "0"}
    text = Text(f"{'':>12}median TRE of the last {RECENT} training episodes\n")
    for row, (characters, own) in enumerate(zip(braille(curve | level), braille(curve), strict=True)):
        text.append(f"{labels.get(row, ''):>10} │", style="dim")
        for character, mark in zip(characters, own, strict=True):
            text.append(character, style="dim" if mark == " " else "green")
        text.append("\n")
    text.append(f"{'':>10} └{'─' * WIDTH}\n{'':>12}0{f'{total:,} steps':>{WIDTH - 1}}", style="dim")
    return text


def top_of(start_mm: float) -> float:
    """Where the axis of errors ends in mm: an agent that knows nothing often ends worse than it started."""
    return float(10 * np.ceil(1.5 * start_mm / 10))


def curve_dots(points: Sequence[Point], total: int, top: float) -> NDArray[np.bool_]:
    """The curve as dots ``(4 HEIGHT, 2 WIDTH)``, without gaps; what lies over the top is drawn at it."""
    dots = np.zeros((4 * HEIGHT, 2 * WIDTH), dtype=bool)
    if not points:
        return dots
    steps, errors = np.array(points, dtype=np.float64).T
    columns = np.arange(2 * WIDTH)
    at = (columns + 1) * total / (2 * WIDTH)
    shown = columns[(at >= steps[0]) & (at <= steps[-1])]
    rows = _rows(np.interp(at, steps, errors), top)
    for column in shown:
        before = rows[column - 1] if column - 1 in shown else rows[column]
        low, high = sorted((int(before), int(rows[column])))
        dots[low : high + 1, column] = True
    return dots


def level_dots(level_mm: float, top: float) -> NDArray[np.bool_]:
    """A dotted line across, of the same shape as the curve's dots."""
    dots = np.zeros((4 * HEIGHT, 2 * WIDTH), dtype=bool)
    dots[int(_rows(np.array([level_mm]), top)[0]), ::3] = True
    return dots


def _rows(errors: NDArray[np.float64], top: float) -> NDArray[np.int64]:
    """Rows of dots of errors in mm, counted from the top."""
    return np.rint((1.0 - np.clip(errors / top, 0.0, 1.0)) * (4 * HEIGHT - 1)).astype(np.int64)


def braille(dots: NDArray[np.bool_]) -> list[str]:
    """Dots ``(4 H, 2 W)`` as H lines of W characters, spaces where there is no dot."""
    height, width = dots.shape[0] // 4, dots.shape[1] // 2
    codes = (dots.reshape(height, 4, width, 2) * _DOTS[None, :, None, :]).sum((1, 3))
    return ["".join(chr(0x2800 + code) if code else " " for code in row) for row in codes]
