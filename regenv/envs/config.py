"""The keywords of an environment, checked, with the defaults of its id and of a preset filled in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from regenv.envs.presets import get_preset
from regenv.envs.rewards import PRIVILEGED_REWARDS
from regenv.errors import OptionError, WithheldError, check_option, near_miss
from regenv.registration import Task, get_task

DTYPES = ("uint8", "float32")
REWARD_REGIONS = ("view", "volume")


@dataclass(frozen=True)
class Config:
    """Everything that ``gym.make`` can be told; None means the default of the id, then of the suite.

    Attributes:
        split: ``"train"``, ``"validation"`` or ``"test"`` (where the truth is withheld).
        dataset: ``"phantom"``, ``"shapes"`` or ``"folder:PATH"``.
        field_of_view: What the embedded anatomy shows: ``"torso"``, ``"spine"``, ``"heart"``, ``"head_and_neck"``.
        observation: ``"slices"``, ``"volume"``, ``"difference"``, ``"volume_difference"``, ``"zoom"``, ``"volume_zoom"``.
        dtype: ``"uint8"``, or ``"float32"`` in [0, 1].
        parameters: Adds the pose since the start (K numbers in mm, degree, %) to the observation, as a Dict.
        actions: ``"discrete"``, ``"unit"``, ``"multidiscrete"`` or ``"continuous"``.
        steps: Sizes of steps in mm, degree and %, coarse first.
        stop: Whether the agent can end the episode.
        reward: A similarity, ``"tre"``, ``"parameter_distance"``, ``"dice"``, a callable, or ``"module:function"``.
        reward_region: ``"view"`` (the observed pixels) or ``"volume"``.
        reward_scale: Factor on the gain.
        step_cost: Paid for every action but STOP.
        goal: Training ends an episode once the true parameter distance is at most this; None for never.
        goal_bonus: Paid when it does.
        horizon: Steps before truncation; ``max_episode_steps`` is another word for it.
        misalignment: Half width of the starts, for each unit.
        view_size: Voxels along each side of the view.
        view_spacing_mm: Millimetres between them.
        threads: Threads of a vector environment; None for all processors.
    """

    split: str = "train"
    dataset: str = "phantom"
    field_of_view: str = "torso"
    observation: str = "slices"
    dtype: str = "uint8"
    parameters: bool = False
    actions: str = "discrete"
    steps: Sequence[float] | float | None = None
    stop: bool | None = None
    reward: str | Callable[..., Any] | None = None
    reward_region: str = "view"
    reward_scale: float | None = None
    step_cost: float | None = None
    goal: float | None = None
    goal_bonus: float = 0.0
    horizon: int | None = None
    misalignment: Mapping[str, float] | None = None
    view_size: int | None = None
    view_spacing_mm: float | None = None
    threads: int | None = None
    task: Task = field(default=None)  # type: ignore[assignment]

    def filled(self) -> Config:
        """The same with the id's defaults in place of None (but ``steps`` and ``stop``, which the scheme decides)."""
        task = self.task
        known = {
            "reward": task.similarity,
            "step_cost": task.step_cost,
            "horizon": task.horizon,
            "misalignment": dict(task.misalignment),
            "view_size": task.view_size,
            "view_spacing_mm": task.view_spacing_mm,
        }
        config = replace(self, **{key: value for key, value in known.items() if getattr(self, key) is None})
        if config.reward_scale is None:
            name = config.reward if isinstance(config.reward, str) else ""
            config = replace(config, reward_scale=task.reward_scales.get(name, 1.0))
        return config


def make_config(task_id: str, preset: str | None = None, max_episode_steps: int | None = None, **keywords: Any) -> Config:
    """The checked configuration of an id.

    Args:
        task_id: The id.
        preset: A published decision process; keywords that are given win over it.
        max_episode_steps: Gymnasium's word for ``horizon``; the smaller of the two holds.
        **keywords: Fields of :class:`Config`.

    Raises:
        OptionError: On an unknown keyword or value; the message names the nearest.
    """
    known = [f.name for f in fields(Config) if f.name != "task"]
    for name in keywords:
        if name not in known:
            raise OptionError(f"{task_id} has no keyword {name!r}; {near_miss(name, [*known, 'preset', 'render_mode'])}")
    chosen = {**(get_preset(preset) if preset is not None else {}), **keywords}
    if chosen.get("split") == "test" and preset is not None:
        # On the test split a preset keeps observation, actions and horizon, and pays nothing where that needs the truth.
        chosen["goal"] = None
        if "reward" not in keywords and chosen.get("reward") in PRIVILEGED_REWARDS:
            chosen["reward"] = "none"
    task = get_task(task_id)
    config = Config(**chosen, task=task).filled()
    if config.split == "test" and config.goal is not None:
        raise WithheldError("goal needs the truth, which the test split withholds; leave it out")
    check_option("dtype", config.dtype, DTYPES)
    check_option("reward_region", config.reward_region, REWARD_REGIONS)
    assert config.horizon is not None
    horizon = config.horizon if max_episode_steps is None else min(config.horizon, max_episode_steps)
    if int(horizon) != horizon or horizon < 1:
        raise OptionError(f"horizon must be a whole number of at least 1, got {horizon!r}")
    if config.reward_region == "volume" and task.ndim == 2:
        raise OptionError("reward_region='volume' needs a 3-D environment; in 2-D the view is the whole image")
    return replace(config, horizon=int(horizon))
