"""Pictures of an episode of each environment for its page: the start, some steps on, and the end, by the expert.

    python docs/pictures.py [ID ...]

Writes `docs/assets/episodes/ID.png`. Seed 0 of the validation split; the expert knows the truth.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import regenv  # noqa: F401  (registers the environments)
from regenv.registration import TASKS

FOLDER = Path(__file__).resolve().parent / "assets" / "episodes"
COLOURS = 128
SEED = 0


def frames(env_id: str) -> list[np.ndarray]:
    """The start, the pose after a quarter of the steps, and the end."""
    env = gym.make(env_id, render_mode="rgb_array", split="validation")
    env.reset(seed=SEED)
    seen, over = [env.render()], False
    while not over:
        _, _, terminated, truncated, _ = env.step(env.unwrapped.expert_action())
        over = terminated or truncated
        seen.append(env.render())
    return [seen[0], seen[len(seen) // 4], seen[-1]]


def picture(env_id: str) -> Image.Image:
    """The frames, wide ones below each other."""
    shown = frames(env_id)
    axis = 0 if shown[0].shape[1] > 1.5 * shown[0].shape[0] else 1
    gap = [(0, 8) if i == axis else (0, 0) for i in range(3)]
    return Image.fromarray(np.concatenate([np.pad(frame, gap) for frame in shown], axis=axis)).quantize(COLOURS)


def main() -> None:
    """Writes the pictures of the ids that are named, or of all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for env_id in sys.argv[1:] or TASKS:
        picture(env_id).save(FOLDER / f"{env_id}.png", optimize=True)
        print(FOLDER / f"{env_id}.png", flush=True)


if __name__ == "__main__":
    main()
