"""Published decision processes, each in one word.

A preset sets keywords and nothing else. What a paper leaves open is chosen here and said to be chosen; it is never
presented as the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from regenv.errors import OptionError, near_miss
from regenv.imaging import get_imaging
from regenv.task import Task

# Liao et al., "An artificial agent for robust image registration", AAAI 2017, arXiv 1611.10336. From the paper, through
# third-party notes: a 3-D difference image of one channel; 12 actions of +-1 mm and +-1 degree; the reward is the
# decrease of the distance to the true transform, with a bonus of 10 once that is at most 0.5, which ends the episode;
# starts within 30 mm and 30 degrees. Chosen here: the L2 norm of the six parameters as the distance, no STOP, no step
# cost, a horizon of 200. Whole steps from starts that are not whole end about 0.8 from the truth by this distance, so
# that most episodes, the greedy expert's too, are truncated and not paid the bonus.
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

# Ma et al., "Multimodal image registration with deep context reinforcement learning", MICCAI 2017. From the paper,
# through third-party notes: depth images of the patient's surface against CT, Q-learning with a dueling network,
# terminal and non-terminal rewards distinguished. Chosen here: 12 actions of +-4 mm and +-4 degrees (one pixel of a
# coarse depth image), the non-terminal reward is the decrease of the distance to the true transform, the terminal one a
# bonus of 10 once that is at most 5 (mm and degrees alike), which ends the episode; no STOP, no step cost, a horizon of
# 60.
_MA_2017 = {
    "observation": "slices",
    "actions": "unit",
    "steps": (4.0,),
    "stop": False,
    "reward": "parameter_distance",
    "reward_scale": 1.0,
    "step_cost": 0.0,
    "goal": 5.0,
    "goal_bonus": 10.0,
    "horizon": 60,
}

# Miao et al., "Dilated FCN for multi-agent 2D/3D medical image registration", AAAI 2018, arXiv 1712.01651. From the
# paper: actions and rewards in the axes of the X-ray system; many agents, each with a region of its own
# (:func:`regenv.adapters.pettingzoo.parallel_env`). Believed, not read: +-1 step on six parameters, the reward is the
# decrease of the distance to the truth. Chosen here: 1 mm and 1 degree, the goal, the bonus and the horizon.
_MIAO_2018 = {
    "observation": "slices",
    "actions": "unit",
    "steps": (1.0,),
    "stop": False,
    "reward": "parameter_distance",
    "reward_scale": 1.0,
    "step_cost": 0.0,
    "goal": 1.0,
    "goal_bonus": 10.0,
    "horizon": 200,
}

# Krebs et al., "Robust non-rigid registration through agent-based action learning", MICCAI 2017. From the paper,
# through third-party notes: an action is a step up or down on one coefficient of a statistical deformation model; the
# start is no deformation after affine alignment. Chosen here: a step of 0.25 standard deviations, the decrease of the
# distance to the true coefficients as the reward, no bonus, a horizon of 150. The paper's agent chooses by fuzzy
# control of the actions' values, which is the agent's.
_KREBS_2017 = {
    "actions": "unit",
    "steps": (0.25,),
    "stop": True,
    "reward": "parameter_distance",
    "reward_scale": 1.0,
    "step_cost": 0.0,
    "horizon": 150,
    "misalignment": {"sd": 0.0},
}

# Sun et al., ACCV 2018, arXiv 2002.03733; Hu et al., "End-to-end multimodal image registration via reinforcement
# learning", Med. Image Anal. 68 (2021) 101878. From the papers: 2-D CT to MR, the error of landmarks, or of a lattice
# of fixed points, pays. Believed, not read: 8 actions of +-1 pixel, +-1 degree and a scale step, a terminal bonus.
# Chosen here: steps of 1 mm, 1 degree and 1 %, the mean error of the 20 mm lattice in mm, the goal of 2 mm, the bonus
# of 10. The paper's agent remembers (ConvLSTM) and looks ahead, which is the agent's.
_HU_2021 = {
    "observation": "slices",
    "actions": "unit",
    "steps": (1.0,),
    "stop": False,
    "reward": "tre",
    "reward_scale": 1.0,
    "step_cost": 0.0,
    "goal": 2.0,
    "goal_measure": "tre",
    "goal_bonus": 10.0,
    "horizon": 200,
}

PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "liao2017": MappingProxyType(_LIAO_2017),
        "ma2017": MappingProxyType(_MA_2017),
        "miao2018": MappingProxyType(_MIAO_2018),
        "krebs2017": MappingProxyType(_KREBS_2017),
        "hu2021": MappingProxyType(_HU_2021),
    }
)


def fits(name: str, task: Task) -> bool:
    """Whether a published process can be had on an id: its unit is one of the id's, and so is its observation."""
    unit = "sd" if "sd" in PRESETS[name].get("misalignment", {}) else "mm"
    observations = get_imaging(task.imaging).observations(task.ndim)
    return unit in task.misalignment and PRESETS[name].get("observation", "slices") in observations


def get_preset(name: str, task: Task) -> dict[str, Any]:
    """Keywords of a preset.

    Raises:
        OptionError: On an unknown name, or a process that cannot be had on this id; the message names the fix.
    """
    if name not in PRESETS:
        raise OptionError(f"unknown preset {name!r}; {near_miss(name, PRESETS)}")
    if not fits(name, task):
        known = [other for other in PRESETS if fits(other, task)]
        raise OptionError(f"preset={name!r} is no process of {task.id}; there it has {', '.join(known)}")
    return dict(PRESETS[name])
