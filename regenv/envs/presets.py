"""Published decision processes, each in one word.

A preset sets keywords and nothing else. What a paper leaves open is chosen here and said to be chosen; it is never
presented as the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from regenv.errors import near_miss

# Liao et al., "An artificial agent for robust image registration", AAAI 2017, arXiv 1611.10336.
# From the paper, through third-party notes: a 3-D difference image of one channel; 12 actions of +-1 mm and +-1 degree;
# the reward is the decrease of the distance to the true transform, with a bonus of 10 once that is at most 0.5, which
# ends the episode; starts within 30 mm and 30 degrees. Chosen here: the L2 norm of the six parameters as the distance,
# no STOP, no step cost, a horizon of 200.
_LIAO_2017 = {
    "observation": "volume_difference",
    "actions": "unit",
    "steps": (1.0,),
    "stop": False,
    "reward": "parameter_distance",
    "reward_scale": 1.0,
    "step_cost": 0.0,
    "goal": 0.5,
    "goal_bonus": 10.0,
    "horizon": 200,
    "misalignment": {"mm": 30.0, "deg": 30.0},
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType({"liao2017": MappingProxyType(_LIAO_2017)})


def get_preset(name: str) -> dict[str, Any]:
    """Keywords of a preset.

    Raises:
        ValueError: On an unknown name; the message names the nearest.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset {name!r}; {near_miss(name, PRESETS)}")
    return dict(PRESETS[name])
