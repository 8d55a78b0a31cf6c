"""Pictures of an episode: fixed, moved, and both laid over each other, with step, similarity and error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regenv.errors import check_option, require

if TYPE_CHECKING:
    from regenv.core.geometry import Grid
    from regenv.envs.engine import Engine

RENDER_MODES = ("rgb_array", "ansi")
PANEL = 160  # pixels of a side of one panel
GAP = 4
CAPTION = 22
FIXED_COLOUR = np.array([1.0, 0.35, 1.0])  # magenta and green add up to near white where both images agree
MOVED_COLOUR = np.array([0.25, 1.0, 0.35])
ROWS = ("fixed", "moved", "overlay")
PLANE_NAMES = ("sagittal", "coronal", "axial")
"""Of planes across the patient's x, y and z axis."""


def check_render_mode(mode: str | None) -> None:
    """Raises OptionError on an unknown render mode."""
    if mode is not None:
        check_option("render_mode", mode, RENDER_MODES)


def render_frame(engine: Engine, lane: int) -> NDArray[np.uint8]:
    """One lane's current pose as a picture, ``(H, W, 3)`` uint8.

    Columns are the planes across the fixed image's third, second and first axis (axial, coronal and sagittal in axial
    scans), or the slices or radiographs; rows are the fixed image, the moved one, and the two overlaid (a single image
    has them side by side): fixed in magenta, moved in green, so that what agrees is grey and what does not is coloured.

    Raises:
        MissingExtraError: If Pillow is not installed.
    """
    drawing = require("PIL.ImageDraw", "video")
    pictures = require("PIL.Image", "video")
    fixed, moved = _planes(engine, lane)
    side_by_side = len(fixed) == 1
    panels = [_panels(f, m) for f, m in zip(fixed, moved, strict=True)]
    columns = panels[0] if side_by_side else [_stacked(stack) for stack in panels]
    body = np.concatenate([np.pad(c, ((0, 0), (0, GAP), (0, 0))) for c in columns], axis=1)[:, :-GAP]
    width = max(body.shape[1], 3 * PANEL)
    frame = np.zeros((_even(CAPTION + body.shape[0]), _even(width), 3), np.uint8)
    frame[CAPTION : CAPTION + body.shape[0], : body.shape[1]] = body
    picture = pictures.fromarray(frame)
    draw = drawing.Draw(picture)
    draw.text((6, 5), caption(engine, lane), fill=(255, 255, 255))
    for k, name in enumerate(ROWS):
        x, y = (k * (PANEL + GAP), 0) if side_by_side else (0, k * (PANEL + GAP))
        draw.text((5 + x, CAPTION + y + 4), name, fill=(255, 220, 80))
    if len(columns) == len(PLANE_NAMES) and engine.config.make_view("slices").orthogonal:
        for column, name in enumerate(plane_names(engine.case(lane).scene.fixed_grid)):
            x = (column + 1) * PANEL + column * GAP - 6 - draw.textlength(name)
            draw.text((x, CAPTION + PANEL - 14), name, fill=(170, 170, 170))
    return np.asarray(picture)


def plane_names(grid: Grid) -> list[str]:
    """Of the planes across a grid's third, second and first axis, those that they are nearest to."""
    return [PLANE_NAMES[int(np.abs(axis).argmax())] for axis in grid.direction.T[::-1]]


def render_ansi(engine: Engine, lane: int, action: Any = None) -> str:
    """One lane's current pose as a line of text."""
    text = f"{engine.config.task.id} pair {engine.case(lane).id}: {caption(engine, lane)}"
    return text if action is None else f"{text}, after action {np.asarray(action).tolist()}"


def caption(engine: Engine, lane: int) -> str:
    """Step, similarity and, where it is not withheld, the target registration error."""
    text = f"step {engine.process.elapsed[lane]}/{engine.config.horizon}   similarity {engine.similarity[lane]:+.3f}"
    if engine.process.known[lane]:
        text += f"   TRE {engine.process.tre(slice(lane, lane + 1))[0]:.1f} mm"
    return text


def _planes(engine: Engine, lane: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fixed and moved planes ``(S, PANEL, PANEL)`` at the picture's resolution, head up."""
    sharp = engine.config.make_view("slices", size=PANEL, spacing_mm=engine.view.extent_mm / PANEL)
    renderer = engine.make_renderer(1, sharp, threads=1)
    renderer.load(0, engine.case(lane))
    renderer.render(engine.process.pose[lane : lane + 1])
    level = renderer.levels[0]
    fixed, moved = level.fixed[0].copy(), level.moved[0].copy()
    if sharp.orthogonal:
        axes = engine.case(lane).scene.fixed_grid.direction.T
        for plane, down in enumerate((axes[1], axes[2], axes[2])):  # which way the rows run
            if np.abs(down).argmax() == 2 and down[2] > 0:  # towards the head
                fixed[plane], moved[plane] = fixed[plane][::-1].copy(), moved[plane][::-1].copy()
    return fixed, moved


def _panels(fixed: NDArray[np.float32], moved: NDArray[np.float32]) -> list[NDArray[np.uint8]]:
    overlay = np.clip(fixed[..., None] * FIXED_COLOUR + moved[..., None] * MOVED_COLOUR, 0.0, 1.0)
    grey = [np.repeat(image[..., None], 3, axis=-1) for image in (fixed, moved)]
    return [(panel * 255).astype(np.uint8) for panel in (*grey, overlay)]


def _stacked(panels: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return np.concatenate([np.pad(panel, ((0, GAP), (0, 0), (0, 0))) for panel in panels])[:-GAP]


def _even(n: int) -> int:
    """The next even number: video codecs want even sides."""
    return n + n % 2
