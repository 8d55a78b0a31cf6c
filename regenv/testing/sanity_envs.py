"""Environments that tell in half a minute whether training code works, before hours are spent on a real one.

    from regenv.testing import sanity_envs

    env = sanity_envs.make("shift")                    # one environment, as gym.make gives it
    envs = sanity_envs.make_vec("stop", num_envs=32)   # many lanes, as gym.make_vec gives them

Each is a registration environment like any other, ``CTMR-Similarity2D-v0`` with other keywords and with ovals of random
sizes for patients, and asks for one ability. They are solved by any working agent; none says anything of registration.

| name | what has to be learned | what it catches |
| --- | --- | --- |
| ``shift`` | to shift along one axis, either way, by what both images show | observations that do not reach the network, rewards of the wrong step or lane, exploration that ends too soon |
| ``inverted`` | the same where the oval is dark in one image and bright in the other | agents that only make the images alike |
| ``stop`` | to end the episode once a step costs more than it gains | values bootstrapped beyond the end of an episode (terminated taken for truncated), discounts and horizons under which it does not pay to stop |
| ``memory`` | to look on the other side after one side was empty: the oval mostly starts out of sight | memory that is not reset with its lane, or not there; ``make("memory", parameters=True)`` shows where the agent is and needs none |

:attr:`SanityEnv.random` and :attr:`SanityEnv.solved` say what random actions get and what a working agent gets.
"""  # noqa: E501 (a table has no line breaks)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.data.pair import ImagePair, Truth
from regenv.errors import check_option

ENV_ID = "CTMR-Similarity2D-v0"


class Ovals:
    """Pairs of an oval in the middle of both images, a data set for checks.

    Args:
        inverted: Whether it is dark in the fixed image, on bright ground.
        radius_mm: Smallest and largest half length.
        split: ``"train"`` or ``"validation"``: other ovals.
    """

    name = "ovals"
    ndim = 2
    PAIRS = 16

    def __init__(
        self, inverted: bool = False, radius_mm: tuple[float, float] = (8.0, 20.0), split: str = "train"
    ) -> None:
        self.split = split
        self._inverted, self._radius_mm = inverted, radius_mm
        self.ids = self.subjects = tuple(f"{split}-{i}" for i in range(self.PAIRS))

    def load(self, index: int) -> ImagePair:
        """Pair ``index``: 160 x 160 pixels of 2 mm, aligned by the identity."""
        rng = np.random.default_rng([index, self.split == "train"])
        grid = Grid.centred((160, 160), (2.0, 2.0))
        # longer than wide, so that a turn is seen
        distance = np.linalg.norm(grid.points() * (1.5, 1.0), axis=-1) - rng.uniform(*self._radius_mm)
        oval = np.clip(0.5 - distance / 4, 0.0, 1.0)
        fixed = Image(1.0 - oval if self._inverted else oval, grid, "t1", 1.0 if self._inverted else 0.0)
        moving = Image(1000.0 * oval - 500.0, grid, "ct", -500.0)
        return ImagePair(self.ids[index], self.subjects[index], fixed, moving, truth=Truth(transform=np.eye(3)))


@dataclass(frozen=True)
class SanityEnv:
    """One of them.

    Attributes:
        name: Its key in :data:`SANITY_ENVS`.
        keywords: Of ``gym.make(ENV_ID)``; more may be given and count more.
        random: Mean return of random actions, at most.
        solved: Mean return of a working agent, at least: about nine tenths of what is to be had.
        inverted: Whether the fixed image is the negative of the moving one.
        radius_mm: Half length of the ovals.
    """

    name: str
    keywords: Mapping[str, Any]
    random: float
    solved: float
    inverted: bool = False
    radius_mm: tuple[float, float] = (8.0, 20.0)

    def dataset(self, split: str = "train") -> Ovals:
        """Its pairs; a data set that any environment of :data:`ENV_ID` takes."""
        return Ovals(self.inverted, self.radius_mm, split)

    def make(self, **keywords: Any) -> gym.Env[Any, Any]:
        """One environment."""
        return gym.make(ENV_ID, **self._all(keywords))

    def make_vec(self, num_envs: int, **keywords: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """Many lanes."""
        return gym.make_vec(ENV_ID, num_envs, **self._all(keywords))

    def _all(self, keywords: dict[str, Any]) -> dict[str, Any]:
        return {"dataset": self.dataset(keywords.pop("split", "train")), **self.keywords, **keywords}


_SHIFT: Mapping[str, Any] = {
    "view_size": 36,
    "view_spacing_mm": 2.5,
    "steps": (4.0,),
    "reward": "ncc",
    "reward_scale": 10.0,
    "horizon": 20,
    "misalignment": {"mm": 0.0, "deg": 0.0, "%": 0.0, "tx": 24.0},
}

_FAR = {**_SHIFT["misalignment"], "tx": 96.0}

SANITY_ENVS: Mapping[str, SanityEnv] = MappingProxyType(
    {
        env.name: env
        for env in (
            SanityEnv("shift", _SHIFT, random=0.5, solved=5.5),
            SanityEnv(
                "inverted", {**_SHIFT, "reward": "nmi", "reward_scale": 30.0}, random=0.5, solved=4.0, inverted=True
            ),
            SanityEnv("stop", {**_SHIFT, "step_cost": 0.5, "horizon": 40}, random=-2.0, solved=4.2),
            SanityEnv(
                "memory",
                {**_SHIFT, "view_spacing_mm": 1.25, "steps": (8.0,), "horizon": 40, "misalignment": _FAR},
                random=0.5,
                solved=7.0,
                radius_mm=(6.0, 9.0),
            ),
        )
    }
)
"""All of them by name."""


def make(name: str, **keywords: Any) -> gym.Env[Any, Any]:
    """A sanity environment.

    Args:
        name: A key of :data:`SANITY_ENVS`.
        **keywords: Of ``gym.make``; ``split="validation"`` has other ovals.

    Raises:
        OptionError: On an unknown name; the message suggests the nearest.
    """
    check_option("name", name, tuple(SANITY_ENVS))
    return SANITY_ENVS[name].make(**keywords)


def make_vec(name: str, num_envs: int, **keywords: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Many lanes of a sanity environment; see :func:`make`."""
    check_option("name", name, tuple(SANITY_ENVS))
    return SANITY_ENVS[name].make_vec(num_envs, **keywords)
