"""The keywords of an environment, checked, with the defaults of its id and of a preset filled in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from numbers import Integral, Real
from typing import Any

from regenv.actions import ActionScheme, default_steps, default_stop, make_actions
from regenv.catalogue import get_task
from regenv.core.similarity import SIMILARITIES
from regenv.data.dataset import Dataset, Supplied
from regenv.envs.presets import get_preset
from regenv.envs.rewards import PRIVILEGED_REWARDS
from regenv.envs.window import REUSE
from regenv.envs.words import check_keywords
from regenv.errors import OptionError, WithheldError, check_option
from regenv.imaging import get_imaging
from regenv.imaging.base import Imaging
from regenv.imaging.view import View
from regenv.poses import make_poses, pose_model
from regenv.poses.base import PoseModel
from regenv.process import Goal, Process
from regenv.task import Task

DTYPES = ("uint8", "float32")
CHANNELS = ("first", "last")
REWARD_REGIONS = ("view", "volume")
GOAL_MEASURES = ("parameter_distance", "tre")


@dataclass(frozen=True)
class Config:
    """Everything that ``gym.make`` can be told, resolved once. What has no default here has one in the :class:`Task`.

    Attributes:
        task: The id's row; filled in by ``gym.make``.
        split: ``"train"``, ``"validation"`` or ``"test"`` (where the truth is withheld).
        dataset: ``"phantom"``, ``"shapes"``, ``"folder:PATH"``, the layout of a public data set such as ``"ixi:PATH"``
            (:mod:`regenv.data.layouts`), or any object that is a :class:`regenv.data.dataset.Dataset` (its own split
            counts then).
        subjects: How many training subjects an embedded data set has, each varied without end; None for no end.
        field_of_view: Which variant of the embedded anatomy is shown; the id's page lists them.
        reuse: Training episodes of a lane after which it moves on to a new variation, where they have no end. Fewer are
            slower, and leave an agent less to learn by heart.
        deformation: Population model of an id that ends in SDM: a file of
            :class:`regenv.poses.deformation.StatisticalDeformation`, or one of them; None for the id's own.
        observation: ``"slices"``, ``"volume"``, ``"difference"``, ``"volume_difference"``, ``"zoom"``,
            ``"volume_zoom"``; where single images are shown (2-D, slices, radiographs, depth) ``"slices"``,
            ``"difference"`` and ``"zoom"``.
        dtype: ``"uint8"``, or ``"float32"`` in [0, 1].
        channels: ``"first"``, (C, H, W) and (C, D, H, W); or ``"last"``, (H, W, C) and (D, H, W, C).
        parameters: Adds the pose since the start (K numbers in mm, degree, %, sd) to the observation, which is then a
            Dict of ``image`` and ``pose``.
        actions: ``"discrete"``, ``"unit"``, ``"multidiscrete"`` or ``"continuous"``.
        steps: Sizes of steps in mm, degree, % and standard deviations, coarse first.
        stop: Whether the agent can end the episode.
        reward: A similarity (default: the id's; MI for random shapes, whose contrasts do not correlate), the mean of
            several, each times its calibrated scale (``"ncc+ngf"``), ``"tre"``, ``"parameter_distance"``, ``"dice"``, a
            callable, or ``"module:function"``.
        reward_region: ``"view"`` (the observed pixels) or ``"volume"``.
        reward_scale: Factor on the gain.
        step_cost: Paid for every action but STOP.
        goal: Training ends an episode once what is left to do is at most this; None for never.
        goal_bonus: Paid when it does.
        goal_measure: What ``goal`` is compared with: ``"parameter_distance"``, or ``"tre"`` in mm.
        horizon: Steps before truncation; Gymnasium's ``max_episode_steps`` can only shorten it.
        misalignment: Range of the starts, plus and minus, for each unit or by the name of a degree of freedom.
        view_size: Voxels along each side of the view.
        view_spacing_mm: Millimetres between them.
        device: ``"cpu"``, or ``"cuda"`` to render on a GPU with torch, which pays off for many lanes.
        threads: Threads of a vector environment; None for all processors.
    """

    task: Task
    reward: str | Callable[..., Any]
    reward_scale: float
    step_cost: float
    horizon: int
    misalignment: Mapping[str, float]
    view_size: int
    view_spacing_mm: float
    field_of_view: str
    steps: tuple[float, ...]
    stop: bool
    split: str = "train"
    dataset: str | Dataset = "phantom"
    subjects: int | None = None
    reuse: int = REUSE
    deformation: Any = None
    observation: str = "slices"
    dtype: str = "uint8"
    channels: str = "first"
    parameters: bool = False
    actions: str = "discrete"
    reward_region: str = "view"
    goal: float | None = None
    goal_bonus: float = 0.0
    goal_measure: str = "parameter_distance"
    device: str = "cpu"
    threads: int | None = None

    @property
    def imaging(self) -> Imaging:
        """How the moved image comes about."""
        return get_imaging(self.task.imaging)

    def make_dataset(self, prepare: bool = True) -> Dataset:
        """The data set, made from its name or taken as it is; ``prepare`` makes what it needs ahead."""
        if not isinstance(self.dataset, str):
            return self.dataset
        extent_mm = self.view_size * self.view_spacing_mm
        dataset = self.task.dataset(
            self.dataset,
            self.split,
            field_of_view=self.field_of_view,
            extent_mm=extent_mm,
            subjects=self.subjects,
        )
        if prepare and isinstance(dataset, Supplied):
            dataset.prepare()
        return dataset

    def make_view(self, name: str | None = None, **changes: Any) -> View:
        """The view; ``name`` and ``changes`` stand in for its observation, size and spacing."""
        keywords = {"size": self.view_size, "spacing_mm": self.view_spacing_mm, **changes}
        count = self.task.planes.get(self.field_of_view, 1)
        view = self.imaging.view(name or self.observation, ndim=self.task.ndim, count=count, **keywords)
        return replace(view, channels_last=self.channels == "last")

    def make_poses(self) -> PoseModel:
        """The pose model.

        Raises:
            OptionError: If a population model does not fit the environment.
        """
        return make_poses(self.task.model, self.task.ndim, lambda: find_population(self))

    def make_actions(self, poses: PoseModel) -> ActionScheme:
        """The action scheme."""
        return make_actions(self.actions, poses, self.steps, self.stop)

    def make_process(self, lanes: int) -> Process:
        """The decision process without pixels."""
        poses = self.make_poses()
        goal = None if self.goal is None else Goal(self.goal, self.goal_measure)
        return Process(
            poses, self.make_actions(poses), self.imaging, self.make_view(), lanes, self.horizon, goal, self.threads
        )


KEYWORDS = (*(f.name for f in fields(Config) if f.name != "task"), "preset", "render_mode")
"""What ``gym.make`` takes."""


def find_population(config: Config) -> Any:
    """The population model of the id's training subjects, or what ``deformation`` says.

    Raises:
        OptionError: If the given model cannot be read, or was fitted on another lattice, spacing or dimension.
    """
    from regenv.poses.deformation import StatisticalDeformation
    from regenv.synthesis.population import load_population

    model: Any = config.deformation
    if model is None:
        model = load_population(config.task.recipe, config.field_of_view)
    elif not callable(getattr(model, "lattices", None)):
        try:
            model = StatisticalDeformation.load(model)
        except OSError as error:
            raise OptionError(
                f"deformation={model!r} cannot be read ({error.strerror}); give a file of a model"
            ) from error
        except (TypeError, ValueError) as error:
            raise OptionError(f"deformation={model!r} is no model: {error}") from error
    try:
        model.check(config.task.ndim, config.view_size * config.view_spacing_mm)
    except ValueError as error:
        raise OptionError(f"{config.task.id}: {error}") from error
    return model


def _is_count(number: object) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool) and int(number) >= 1


_KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "dataset": (lambda d: isinstance(d, str | Dataset), "a name such as 'phantom' or 'folder:PATH', or a Dataset"),
    "reward": (lambda r: isinstance(r, str) or callable(r), "a name, a callable or 'module:function'"),
    "steps": (
        lambda s: all(isinstance(size, Real) for size in (s if isinstance(s, Iterable) else [s])),
        "sizes of steps, such as (4.0, 0.5)",
    ),
    "stop": (lambda s: isinstance(s, bool), "True or False"),
    "goal": (lambda g: isinstance(g, Real) and float(g) >= 0, "a number that is not negative"),
    **dict.fromkeys(("subjects", "reuse", "threads"), (_is_count, "a whole number of at least 1")),
}
"""What some keywords have to be, where they are given."""


def make_config(
    task_id: str, preset: str | None = None, max_episode_steps: int | None = None, **keywords: Any
) -> Config:
    """The checked configuration of an id.

    Args:
        task_id: The id.
        preset: A published decision process; keywords that are given win over it.
        max_episode_steps: Gymnasium's word for ``horizon``; the smaller of the two holds.
        **keywords: Fields of :class:`Config`; None is the default.

    Raises:
        UnknownOptionError: On an unknown keyword; the message says what may be meant.
        OptionError: On an unknown value; the message names the nearest.
        WithheldError: If something that needs the truth is asked for by name on the test split.
    """
    task = get_task(task_id)
    check_keywords(task_id, keywords, KEYWORDS)
    given = {name: value for name, value in keywords.items() if value is not None}
    for name, (holds, kind) in _KINDS.items():
        if name in given and not holds(given[name]):
            raise OptionError(f"{name} must be {kind}, got {given[name]!r}")
    chosen = _preset_keywords(task, preset, given) | given
    if _split(given) == "test" and chosen.get("goal") is not None:
        raise WithheldError("goal needs the truth, which the test split withholds; leave it out")
    if "subjects" in given and not isinstance(given.get("dataset", "phantom"), str):
        raise OptionError(f"subjects={given['subjects']!r} is for an embedded data set; a data set object has its own")
    _check_numbers(chosen)
    config = Config(task=task, **(_task_defaults(task, chosen) | chosen))
    check_option("dtype", config.dtype, DTYPES)
    check_option("channels", config.channels, CHANNELS)
    check_option("reward_region", config.reward_region, REWARD_REGIONS)
    check_option("goal_measure", config.goal_measure, GOAL_MEASURES)
    horizon = config.horizon if max_episode_steps is None else min(config.horizon, max_episode_steps)
    if int(horizon) != horizon or horizon < 1:
        raise OptionError(f"horizon must be a whole number of at least 1, got {horizon!r}")
    if config.reward_region != "view" and "volume" not in config.imaging.observations(task.ndim):
        raise OptionError("reward_region='volume' needs a 3-D environment; here the view is the whole fixed image")
    if config.deformation is not None and not pose_model(task.model).needs_population:
        raise OptionError(
            f"deformation={config.deformation!r}: {task_id} is {task.model}; ids that end in SDM take one"
        )
    steps: Any = config.steps
    sizes = tuple(float(s) for s in (steps if isinstance(steps, Iterable) else [steps]))
    return replace(config, horizon=int(horizon), steps=sizes)


def _check_numbers(chosen: Mapping[str, Any]) -> None:
    """Raises OptionError where a word stands for a number."""
    for name in ("reward_scale", "step_cost", "horizon", "view_size", "view_spacing_mm", "goal", "goal_bonus"):
        value = chosen.get(name)
        if value is not None and not (isinstance(value, Real) and math.isfinite(value)):
            raise OptionError(f"{name} must be a finite number, got {value!r}")
    widths = chosen.get("misalignment", {})
    if not isinstance(widths, Mapping) or not all(isinstance(width, Real) for width in widths.values()):
        raise OptionError(f"misalignment is a range for each unit, such as {{'mm': 10.0, 'deg': 5.0}}, got {widths!r}")


def _task_defaults(task: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    # two random contrasts have no linear relation to correlate
    blind = given.get("dataset") == "shapes" and task.similarity in ("ncc", "lncc", "ssd", "truncated_ssd")
    similarity = "mi" if blind else task.similarity
    actions = given.get("actions", "discrete")
    return {
        "reward": similarity,
        "reward_scale": 1.0 if "reward_scale" in given else _scale(task, given.get("reward", similarity)),
        "step_cost": task.step_cost,
        "horizon": task.horizon,
        "misalignment": dict(task.misalignment),
        "view_size": task.view_size,
        "view_spacing_mm": task.view_spacing_mm,
        "field_of_view": task.field_of_view,
        "steps": default_steps(actions, task.steps),
        "stop": default_stop(actions),
    }


def _scale(task: Task, reward: str | Callable[..., Any]) -> float:
    """The calibrated scale of a reward; 1, with a warning, where it has none."""
    scales = task.calibration.get("reward_scales", {})
    if isinstance(reward, str) and reward in scales:
        return float(scales[reward])
    learned = callable(reward) or ":" in reward
    if learned or reward in (*SIMILARITIES, *PRIVILEGED_REWARDS):  # an unknown name is an error elsewhere
        name = getattr(reward, "__name__", reward)
        how = f"`python -m benchmarks.tools.calibrate {task.id}` measures it for the built-in ones"
        warnings.warn(
            f"reward={name!r} has no calibrated scale on {task.id}, so a gain of 1 pays 1: give reward_scale=..., such "
            f"that the way from a median start to the truth is worth about 10 ({how})",
            stacklevel=5,
        )
    return 1.0


def _preset_keywords(task: Task, preset: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's keywords; on the test split those that need the truth are left out, and its reward pays nothing."""
    if preset is None:
        return {}
    chosen = get_preset(preset, task)
    if "misalignment" in chosen:  # a preset of a rigid process says nothing of scales and shears
        chosen["misalignment"] = {**task.misalignment, **chosen["misalignment"]}
    if _split(given) == "test":
        chosen.pop("goal", None)
        if chosen.get("reward") in PRIVILEGED_REWARDS:
            chosen["reward"] = "none"
    return chosen


def _split(given: Mapping[str, Any]) -> str:
    """The split that counts: a data set object has its own."""
    dataset = given.get("dataset", "phantom")
    split: str = given.get("split", "train") if isinstance(dataset, str) else dataset.split
    return split
