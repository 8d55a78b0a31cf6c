"""The page of an environment as Markdown: what ``regenv info ID`` prints and what the site shows.

Every page has the same sections, filled from the id's row of the table, the action scheme, the view and the docstring
of :class:`regenv.envs.config.Config`; nothing on it is written twice.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regenv.actions import ActionScheme
from regenv.catalogue import TASKS, get_task
from regenv.envs.config import Config, make_config
from regenv.envs.presets import PRESETS, fits
from regenv.imaging.base import Imaging
from regenv.imaging.view import SINGLE_VIEWS, View
from regenv.modality import get_modality
from regenv.poses.base import PoseModel
from regenv.synthesis.recipe import get_recipe
from regenv.task import Task

SECTIONS = (
    *("Description", "Action Space", "Observation Space", "Rewards", "Starting State", "Episode End", "Arguments"),
    "Version History",
)
_KINDS = {
    "c": "coefficient of mode {}",
    "t": "translation along {}",
    "r": "rotation about {}",
    "s": "log-scale along {}",
    "h": "shear of {} along {}",
}
_UNITS = {"mm": "mm", "deg": "degrees", "%": "%", "sd": "standard deviations"}
_TEST_SPLIT = "On the test split these two are absent."

FITTED_MM = 0.01
"""TRE above which the truth is no pose of the model, but the one nearest to it."""
FAR_BETWEEN, WITHIN_HALF, RANK, BLIND_SHARE = 0.001, 0.9, 0.4, 0.1
"""Bounds of a reward that means registration; see :func:`meaning_bounds`."""


@dataclass(frozen=True)
class _Parts:
    """What the sections are written from."""

    task: Task
    config: Config
    poses: PoseModel
    imaging: Imaging
    view: View
    actions: ActionScheme

    @property
    def others(self) -> tuple[str, ...]:
        """The views that are not the default."""
        return tuple(name for name in self.imaging.observations(self.task.ndim) if name != self.config.observation)

    @property
    def volumes(self) -> bool:
        """Whether a whole volume can be seen."""
        return len(self.others) >= len(SINGLE_VIEWS)


def environment_page(env_id: str) -> str:
    """The page of one id.

    Args:
        env_id: Such as ``"CTCBCT-Rigid-v0"``.

    Returns:
        Markdown with the sections :data:`SECTIONS`.

    Raises:
        ValueError: If there is no such id; the message names the nearest.
    """
    parts = _parts(env_id)
    texts = (
        *(_description(parts), _action_space(parts), _observation_space(parts), _rewards(parts)),
        *(_starting_state(parts), _episode_end(parts), _arguments(parts), _version_history(parts)),
    )
    head = [f"# {env_id}", f"{parts.task.title}.", _summary(parts)]
    body = [f"## {title}\n\n{text}" for title, text in zip(SECTIONS, texts, strict=True)]
    return "\n\n".join([*head, *body]) + "\n"


def environment_table() -> str:
    """All ids as one Markdown table: what is moved to what, its state, observation, oracle and speed."""
    rows = [
        "| id | moving to fixed | state | observation | start, oracle (mm) | steps/s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for env_id, task in TASKS.items():
        p = _parts(env_id)
        state = f"{p.poses.n_parameters} {p.poses.words.freedoms}"
        oracle, speed = task.calibration.get("oracle", {}), task.calibration.get("steps_per_second")
        reached = f"{oracle['start_median']:.1f}, {oracle['tre_median']:.2f}" if oracle else ""
        rows.append(
            f"| `{env_id}` | {task.title} | {state} | `{p.view.shape}` | {reached} "
            f"| {f'{speed:,.0f}' if speed else ''} |"
        )
    return "\n".join(rows)


def _parts(env_id: str) -> _Parts:
    task = get_task(env_id)
    config = make_config(env_id)
    poses = config.make_poses()
    return _Parts(task, config, poses, config.imaging, config.make_view(), config.make_actions(poses))


def _box(p: _Parts) -> str:
    return f"Box(0, 255, {p.view.shape}, uint8)"


def _summary(p: _Parts) -> str:
    return (
        "| | |\n| --- | --- |\n"
        f"| Action space | `{p.actions.space}` |\n"
        f"| Observation space | `{_box(p)}` |\n"
        f'| Make | `gym.make("{p.task.id}")` after `import regenv`, or `gym.make("regenv:{p.task.id}")` |\n'
        f'| Many at once | `gym.make_vec("{p.task.id}", num_envs=64)` |'
    )


def _description(p: _Parts) -> str:
    fixed, moving = (get_modality(name).words for name in p.task.modalities)
    state = p.poses.words.state.format(
        article="an" if p.poses.name[0] in "aeiou" else "a", name=p.poses.name, count=p.poses.n_parameters
    )
    variants = get_recipe(p.task.recipe).fields_of_view
    others = (
        f"\n\nVariants, by `field_of_view`: {', '.join(f'`{name}`' for name in variants)}." if len(variants) > 1 else ""
    )
    return (
        f"{_one_line(p.task.description)}\n\nThe fixed image is {fixed}, the moving one {moving}. "
        f"{state}{p.imaging.words.moved}{p.poses.about}{_outside(p.task)}{others}"
    )


def _outside(task: Task) -> str:
    """What of the truth lies outside a population's model."""
    seen = task.calibration.get("model")
    if not seen:
        return ""
    return (
        f" Of the validation subjects' {seen['given_median']:g} mm (median TRE at c = 0) they leave "
        f"{seen['outside_median']:g} mm at their best; `python -m benchmarks.tools.calibrate {task.id}`."
    )


def _action_space(p: _Parts) -> str:
    lines = [
        f"`{p.actions.space}`: one step along one degree of freedom"
        + (", or STOP, which is the last. " if p.config.stop else ". ")
        + p.poses.words.step.format(about=p.imaging.words.about)
        + p.imaging.words.unseen,
        "",
        "| degree of freedom | unit | actions |",
        "| --- | --- | --- |",
    ]
    sizes = [f"{sign}{size:g}" for size in p.task.steps for sign in "+-"]
    for k, (name, unit) in enumerate(zip(p.poses.names, p.poses.units, strict=True)):
        first = k * len(sizes)
        numbered = ", ".join(f"{first + i}: {size}" for i, size in enumerate(sizes))
        lines.append(f"| `{name}`, {_freedom(name)} | {_UNITS[unit]} | {numbered} |")
    lines.append(f"| STOP | | {len(sizes) * p.poses.n_parameters} |")
    lines += [
        "",
        'With `actions="unit"` there is one size of step; with `"multidiscrete"` every degree of freedom steps at once '
        'and all zero is STOP; `"continuous"` is a Box in [-1, 1] of the coarse step.',
    ]
    return "\n".join(lines)


def _freedom(name: str) -> str:
    kind, axes = name[0], name[1:]
    return _KINDS[kind].format(*(axes if kind == "h" else [axes or "all axes"]))


def _observation_space(p: _Parts) -> str:
    shared = [get_modality(name) for name in p.task.modalities]
    low, high = shared[0].window or (0.0, 0.0)
    window = (
        f"Intensities are windowed from {low:g} to {high:g} HU, constant in the episode."
        if all(modality.hounsfield for modality in shared) and p.imaging.headroom == 0
        else "Intensities are windowed by modality, the window constant in the episode."
    )
    named = ", ".join(f'`"{name}"`' for name in p.others).replace("`", "`observation=", 1)
    unit = "pixels" if p.view.ndim == 2 else "voxels"
    grid = p.imaging.words.grid.format(size=p.view.size, spacing=p.view.spacing_mm, unit=unit)
    return (
        f"`{_box(p)}`, channels first. {_channels(p)} {grid} {window}\n\n"
        f'Others by keyword: {named}; `dtype="float32"`; `channels="last"`; `parameters=True` makes it a Dict '
        "of `image` and `pose`, what has been moved since the start.\n\n"
        f"`info` holds `transform` and `start` (float64 {p.poses.words.arrays}), `similarity`, `pair_id`, and on the "
        f"train and validation split {p.imaging.words.tre} and `is_success` (TRE under {p.task.success_mm:g} mm). "
        f"{_TEST_SPLIT}"
    )


def _channels(p: _Parts) -> str:
    """What the channels of the default observation are."""
    count, shown = p.view.shape[0], p.imaging.words.shown
    half = count // 2
    if p.view.orthogonal and p.view.ndim == 3:
        return (
            f"Channels 0 to {half - 1} are the slices through the middle of the fixed image across its third, second "
            f"and first axis (axial, coronal and sagittal in axial scans), channels {half} to {count - 1} the same "
            "slices of the moved image."
        )
    if half == 1:
        return f"Channel 0 is the fixed {shown}, channel 1 the moved one."
    return f"Channels 0 to {half - 1} are the fixed {shown}s, channels {half} to {count - 1} the moved ones."


def _rewards(p: _Parts) -> str:
    return (
        f"`{p.config.reward_scale:g} x (gain in {p.config.reward} of the step) - {p.config.step_cost:g}`, the cost "
        "for every action but STOP. The similarity is computed on the observed pixels inside the fixed mask; where "
        "less than half of the mask is covered it fades to that of unrelated images, so that leaving the image cannot "
        "pay. The gain telescopes: its sum over an episode is the last similarity less the first.\n\n"
        'Others by keyword: any similarity, the mean of several (`"ncc+ngf"`), a callable or `module:function`, and on '
        'the train and validation split the privileged `"tre"`, `"parameter_distance"`'
        + (' and, where the pairs have labels, `"dice"`' if p.imaging.has_labels else "")
        + ('; `reward_region="volume"` takes the whole view volume.' if p.volumes else ".")
        + _meaning(p.task)
    )


def _meaning(task: Task) -> str:
    """Whether the reward means registration, and what is earned without a look at the images."""
    seen = task.calibration.get("meaning")
    if not seen:
        return ""
    median, most, _ = seen["optimum_mm"]
    text = (
        f"\n\nOn {seen['pairs']} pairs of the validation split {_share(seen['far'])} of the poses far from the truth "
        f"are more similar than it; from the truth, the similarity climbs to a pose {median:g} mm away (median; 90 %: "
        f"{most:g}); over starts, similarity and negative TRE have a rank correlation of {seen['rank']:g}. The expert, "
        f"who knows the truth, earns {seen['oracle_return']:g} in the mean. A policy that does not look at the images, "
        "stopped when it has earned most in the mean, earns:\n\n| policy | return |\n| --- | --- |\n"
    )
    rows = [f"| {_blind_words(name, entry)} | {entry['return']:g} |" for name, entry in seen["blind"].items()]
    how = f"`python -m benchmarks.tools.reward_meaning {task.id}`; `docs/design/rewards.md` says how."
    return text + "\n".join(rows) + f"\n\n{how}"


_BLIND = {
    "repeat": "the best action again and again",
    "back and forth": "an action and its opposite in turn",
    "cycle": "every action in turn",
    "random": "random actions",
    "zero": "all coefficients to 0",
}


def _blind_words(name: str, entry: Mapping[str, Any]) -> str:
    """A blind policy in words."""
    action = f" (`{entry['action']}`)" if "action" in entry else ""
    return f"{_BLIND[name]}{action}, {entry['steps']} step{'s' if entry['steps'] > 1 else ''}"


def _share(value: float) -> str:
    return "none" if value == 0 else f"{100 * value:.2g} %"


def rewards_table() -> str:
    """Whether each id's reward means registration, as one Markdown table; what misses a bound is bold."""
    rows = [
        "| id | similarity | far poses above the truth | TRE of the truth | optimum from the truth: median, 90 %, most "
        "| within half of success | rank: starts, on the way | expert | best blind policy | its share |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for env_id, task in TASKS.items():
        seen = task.calibration.get("meaning")
        if not seen:
            continue
        name, entry = max(seen["blind"].items(), key=lambda one: float(one[1]["return"]))
        missed = {bound for bound, kept in meaning_bounds(seen).items() if not kept}
        cells = {
            "far": _share(seen["far"]),
            "optimum": f"{seen['within_half']:.0%} of {task.success_mm / 2:g} mm",
            "rank": f"{seen['rank']:.2f}, {seen['rank_way']:.2f}",
            "blind": f"{seen['blind_share']:.0%}",
        }
        far, optimum, rank, blind = (f"**{text}**" if bound in missed else text for bound, text in cells.items())
        spread = ", ".join(f"{value:g}" for value in seen["optimum_mm"])
        rows.append(
            f"| `{env_id}` | {task.similarity} | {far} | {seen['floor_mm'][0]:g} | {spread} | {optimum} | {rank} "
            f"| {seen['oracle_return']:g} | {_blind_words(name, entry)} | {blind} |"
        )
    return "\n".join(rows)


def meaning_bounds(seen: Mapping[str, Any]) -> dict[str, bool]:
    """Which bounds the measured numbers of an id keep; ``docs/design/rewards.md`` says why these.

    Args:
        seen: What ``regenv/calibration.json`` holds of it under ``"meaning"``.
    """
    fitted = seen["floor_mm"][0] > FITTED_MM
    return {
        "far": seen["far"] <= (FAR_BETWEEN if fitted else 0.0),
        "optimum": seen["within_half"] >= WITHIN_HALF,
        "rank": seen["rank"] >= RANK,
        "blind": seen["blind_share"] <= BLIND_SHARE,
    }


def _starting_state(p: _Parts) -> str:
    units = dict(zip(p.poses.names, p.poses.units, strict=True))
    widths = ", ".join(
        _amount(width, _UNITS[unit]) if unit in _UNITS else f"{_amount(width, _UNITS[units[unit]])} along `{unit}`"
        for unit, width in p.config.misalignment.items()
    )
    framing = (
        f"Every pair has its own random physical frame{p.imaging.words.framing}, so neither the identity nor aligned "
        "centres are the answer."
    )
    begun = p.poses.words.start.format(widths=widths, framing=framing, nearest=p.poses.nearest)
    return (
        f"A pair of the split, and {begun}{_succeeding(p.task)} Training subjects have no end and are varied "
        "(`subjects=N` limits them). On the test split a pair has one start, a function of the pair. "
        f'`reset(options={{"pair": id, "start": {p.poses.words.array}}})` pins either.'
    )


def _succeeding(task: Task) -> str:
    """How many starts are a success already, where some are."""
    share = task.calibration.get("oracle", {}).get("start_success", 0.0)
    if not share:
        return ""
    return (
        f" {share:.0%} of the starts are a success already (TRE under {task.success_mm:g} mm); tracks leave these out."
    )


def _amount(width: float, unit: str) -> str:
    return f"{width:g} {unit.removesuffix('s') if width == 1 else unit}"


def _episode_end(p: _Parts) -> str:
    text = f"`terminated` on STOP; `truncated` after {p.config.horizon} steps. A step after that raises."
    reached = _oracle(p.task)
    return f"{text}\n\n{reached}" if reached else text


def _oracle(task: Task) -> str:
    """What greedy steps on the true error reach."""
    seen = task.calibration.get("oracle")
    if not seen:
        return ""
    return (
        f"Greedy on the true error: from {seen['start_median']:g} mm in the median to a TRE of "
        f"{seen['tre_median']:g} mm (median; 95 %: {seen['tre_95']:g}) "
        f"after {seen['steps_median']:g} steps (95 %: {seen['steps_95']:g}), so about "
        f"{1 - seen['tre_median'] / seen['start_median']:.2f} is the score that these actions and poses can reach; "
        f"`python -m benchmarks.tools.calibrate {task.id}`."
    )


def _arguments(p: _Parts) -> str:
    lines = ["| keyword | default | meaning |", "| --- | --- | --- |"]
    for name, meaning in attributes_of(Config).items():
        if name != "task":
            default = _default(getattr(p.config, name))
            meaning = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", meaning.replace("``", "`"))
            lines.append(f"| `{name}` | `{default}` | {meaning} |")
    presets = ", ".join(f'`"{name}"`' for name in PRESETS if fits(name, p.task))
    lines.append(f"| `preset` | `None` | A published decision process: {presets}; keywords given beside it win. |")
    lines.append('| `render_mode` | `None` | `"rgb_array"` or `"ansi"`. |')
    return "\n".join(lines)


def _default(value: Any) -> str:
    return repr(value).replace("|", "\\|")


def _version_history(p: _Parts) -> str:
    return "\n".join(f"- {_one_line(line)}" for line in p.task.history)


def attributes_of(cls: type) -> dict[str, str]:
    """What the ``Attributes`` section of a Google-style docstring says, by name, each on one line.

    Args:
        cls: A documented class.

    Returns:
        Descriptions in the order of the docstring; empty where there is no such section.
    """
    section = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)*)", inspect.getdoc(cls) or "", re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in section[1].splitlines() if section else []:
        entry = re.match(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$", line)
        if entry:
            name = entry[1]
            found[name] = entry[2]
        elif line.strip() and name:
            found[name] += " " + line.strip()
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
