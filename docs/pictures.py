"""Pictures of the environments: an episode of each for its page, and all families on one sheet for the first page.

    python docs/pictures.py [ID ...]

Writes `docs/assets/episodes/ID.webp` (the start, a quarter of the way, and the end, by the expert, who knows the truth)
and, if no id is named, `docs/assets/family.png`. Seed 0 of the validation split.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image, ImageDraw

import regenv  # noqa: F401  (registers the environments)
from agents.oracle import Oracle
from regenv.agent import play
from regenv.catalogue import TASKS

ASSETS = Path(__file__).resolve().parent / "assets"
QUALITY = 70
SEED = 0
TILE = 112  # pixels of a side of an image on the sheet
COLUMNS = 6
CAPTION = 16
PLANES = {"LungCT": 1, "CTPET": 1, "PETPET": 1}  # slice that is shown, by modalities; axial where not named


def frames(env_id: str) -> list[np.ndarray]:
    """The start, the pose after a quarter of the steps, and the end."""
    env = gym.make(env_id, render_mode="rgb_array", split="validation")
    seen: list[np.ndarray] = []
    play(Oracle(), env, seed=SEED, watch=lambda shown: seen.append(shown.render()))
    return [seen[0], seen[len(seen) // 4], seen[-1]]


def episode(env_id: str) -> Image.Image:
    """The frames, wide ones below each other."""
    shown = frames(env_id)
    axis = 0 if shown[0].shape[1] > 1.5 * shown[0].shape[0] else 1
    gap = [(0, 8) if i == axis else (0, 0) for i in range(3)]
    return Image.fromarray(np.concatenate([np.pad(frame, gap) for frame in shown], axis=axis))


def families() -> dict[str, str]:
    """One id for each pair of modalities, the first of the table."""
    first: dict[str, str] = {}
    for env_id in TASKS:
        first.setdefault(env_id.partition("-")[0], env_id)
    return first


def tile(name: str, env_id: str) -> Image.Image:
    """Fixed and moved image of an id, at the truth, with its name above."""
    task = TASKS[env_id]
    fine = {"view_size": 2 * task.view_size, "view_spacing_mm": task.view_spacing_mm / 2}
    env = gym.make(env_id, split="validation", **fine)
    _, info = env.reset(seed=SEED)
    options = {"pair": info["pair_id"], "start": env.unwrapped.truth()}
    observation = env.reset(options=options)[0]
    orthogonal = task.ndim == 3 and env.unwrapped.config.make_view().orthogonal
    half, plane = len(observation) // 2, PLANES.get(name, 0)
    picture = Image.new("L", (2 * TILE, TILE + CAPTION))
    for i, side in enumerate((observation[plane], observation[half + plane])):
        upright = side[::-1] if orthogonal and plane > 0 else side  # head up
        picture.paste(Image.fromarray(upright).resize((TILE, TILE), Image.Resampling.BOX), (i * TILE, CAPTION))
    ImageDraw.Draw(picture).text((4, 2), name, fill=255)
    return picture


def sheet() -> Image.Image:
    """All families."""
    tiles = [tile(name, env_id) for name, env_id in families().items()]
    rows = -(-len(tiles) // COLUMNS)
    width, height = tiles[0].width + 4, tiles[0].height + 2
    whole = Image.new("L", (COLUMNS * width - 4, rows * height - 2))
    for i, one in enumerate(tiles):
        whole.paste(one, (i % COLUMNS * width, i // COLUMNS * height))
    return whole.quantize(64)


def main() -> None:
    """Writes the pictures of the ids that are named, or of all and the sheet."""
    (ASSETS / "episodes").mkdir(parents=True, exist_ok=True)
    for env_id in sys.argv[1:] or TASKS:
        path = ASSETS / "episodes" / f"{env_id}.webp"
        episode(env_id).save(path, quality=QUALITY, method=6)
        print(path, flush=True)
    if not sys.argv[1:]:
        sheet().save(ASSETS / "family.png", optimize=True)
        print(ASSETS / "family.png")


if __name__ == "__main__":
    main()
