"""Plays an episode and keeps its pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regenv.envs.simulator import Simulator
from regenv.errors import OptionError, require

FINAL_SECONDS = 2.0


def film(
    env_id: str,
    agent: str,
    seed: int,
    steps: int,
    keywords: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
) -> tuple[list[NDArray[np.uint8]], str]:
    """Plays one episode and keeps its pictures.

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
    from regenv.agent import answers_at_once, play
    from regenv.evaluation.agents import environment_keywords, load_agent

    player = _SIMPLE[agent]() if agent in _SIMPLE else load_agent(agent, seed)
    if answers_at_once(player):
        raise OptionError(f"{agent} answers at once and has no steps to show")
    env: Any = gym.make(env_id, render_mode="rgb_array", **{**environment_keywords(player), **keywords})
    env.action_space.seed(seed)
    frames: list[NDArray[np.uint8]] = []
    played = play(
        player,
        env,
        seed=seed,
        options=None if options is None else dict(options),
        most=steps,
        watch=lambda shown: frames.append(shown.render()),
    )
    env.close()
    return frames, _ending(played.first, played.last, played.terminated, played.truncated)


class _Expert:
    """Knows the truth."""

    def plan(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def reset(self, observation: Any, info: Mapping[str, Any]) -> None:
        """Nothing to prepare."""

    def act(self, observation: Any) -> Any:
        return self._simulator.expert_action()


class _Random(_Expert):
    """Knows nothing."""

    def act(self, observation: Any) -> Any:
        return self._simulator.action_space.sample()


_SIMPLE = {"expert": _Expert, "random": _Random}


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
