"""Plays an episode and keeps its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.errors import OptionError, require

FINAL_SECONDS = 2.0


def play(
    env_id: str,
    agent: str,
    seed: int,
    steps: int,
    keywords: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> tuple[list[NDArray[np.uint8]], str]:
    """Plays one episode.

    Args:
        env_id: The environment.
        agent: ``"expert"``, ``"random"``, ``"module:factory"`` or a policy file.
        seed: Of the environment and the agent.
        steps: At most so many.
        keywords: For ``gym.make``; an agent's own are added.
        options: For ``reset``.

    Returns:
        Pictures ``(H, W, 3)`` uint8, one more than there were steps, and the ending in words.
    """
    import gymnasium as gym

    import regenv  # noqa: F401  (registers the environments)
    from regenv.evaluation.agents import answers_at_once, environment_keywords, load_agent

    player = None if agent in ("expert", "random") else load_agent(agent, seed)
    if player is not None and answers_at_once(player):
        raise OptionError(f"{agent} answers at once and has no steps to show")
    extra = environment_keywords(player) if player is not None else {}
    env: Any = gym.make(env_id, render_mode="rgb_array", **{**extra, **keywords})
    observation, info = env.reset(seed=seed, options=None if options is None else dict(options))
    env.action_space.seed(seed)
    if player is not None:
        if hasattr(player, "attach"):
            player.attach(env)
        player.reset(observation, info)
    first = info
    frames = [env.render()]
    terminated = truncated = False
    while len(frames) <= steps and not (terminated or truncated):
        if agent == "expert":
            action = env.unwrapped.expert_action()
        elif player is None:
            action = env.action_space.sample()
        else:
            action = player.act(observation)
        observation, _, terminated, truncated, info = env.step(action)
        frames.append(env.render())
    env.close()
    return frames, _ending(first, info, terminated, truncated)


def _ending(first: Mapping[str, Any], last: Mapping[str, Any], terminated: bool, truncated: bool) -> str:
    how = "stopped" if terminated else "reached the horizon" if truncated else "cut off"
    text = f"{how}, similarity {first['similarity']:.3f} to {last['similarity']:.3f}"
    if "tre" in last:
        text += f", TRE {first['tre']:.1f} to {last['tre']:.1f} mm"
    return text


def save_pictures(frames: Sequence[NDArray[np.uint8]], path: Path, fps: float) -> None:
    """Writes an animated GIF that rests on its last picture, or a PNG of that one.

    Raises:
        OptionError: If the name ends in neither.
    """
    if path.suffix.lower() not in (".gif", ".png"):
        raise OptionError(f"{path} must end in .gif or .png")
    image = require("PIL.Image", "video")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".png":
        image.fromarray(frames[-1]).save(path)
        return
    # One palette for all, so that nothing flickers from picture to picture.
    palette = _palette(np.stack([frames[0], frames[len(frames) // 2], frames[-1]]), image)
    pictures = [image.fromarray(frame).quantize(palette=palette, dither=0) for frame in frames]
    duration = [round(1000 / fps)] * (len(pictures) - 1) + [round(1000 * FINAL_SECONDS)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=duration, loop=0, optimize=False)


def _palette(sample: NDArray[np.uint8], image: Any) -> Any:
    """256 colours: greys for the images, most of the overlay's colours, and the rarest ones, which are text."""
    pixels = sample.reshape(-1, 3)
    coloured = pixels[np.ptp(pixels, axis=1) > 6]
    colours = np.linspace(0, 255, 64).round().repeat(3).astype(int).tolist()
    if len(coloured):
        strip = image.fromarray(coloured[None])
        for count, method in ((180, image.Quantize.MEDIANCUT), (12, image.Quantize.MAXCOVERAGE)):
            colours += (strip.quantize(count, method=method).getpalette() or [])[: 3 * count]
    palette = image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette
