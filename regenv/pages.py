"""The page of an environment as Markdown: what ``regenv info ID`` prints and what the site shows.

Every page has the same sections, filled from the id's row of the table, the action scheme, the view and the docstring
of :class:`regenv.envs.config.Config`; nothing on it is written twice.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any

from regenv import page_texts
from regenv.catalogue import TASKS, get_task
from regenv.core.models import TransformModel
from regenv.envs.actions import ActionScheme, make_actions
from regenv.envs.config import Config, make_config
from regenv.envs.engine import config_model, config_view
from regenv.envs.presets import PRESETS, fits
from regenv.envs.views import View
from regenv.modality import get_modality
from regenv.synthesis.recipe import get_recipe
from regenv.task import PROJECTIONS, Task

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
_TEST_SPLIT = "On the test split nothing of the truth is there."


@dataclass(frozen=True)
class _Parts:
    """What the sections are written from."""

    task: Task
    config: Config
    model: TransformModel
    view: View
    actions: ActionScheme


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
        state = f"{p.model.n_parameters} {'modes' if task.model == 'sdm' else 'degrees of freedom'}"
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
    model, view = config_model(config), config_view(config)
    actions = make_actions(config.actions, model, steps=config.steps, default_steps=task.steps, stop=config.stop)
    return _Parts(task, config, model, view, actions)


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
    kind = page_texts.kind_of(p.task)
    state = page_texts.STATE[kind].format(
        article="an" if p.model.name == "affine" else "a", model=p.model.name, count=p.model.n_parameters
    )
    variants = get_recipe(p.task.recipe).fields_of_view
    others = (
        f"\n\nVariants, by `field_of_view`: {', '.join(f'`{name}`' for name in variants)}." if len(variants) > 1 else ""
    )
    deformable: Any = p.model
    known = page_texts.outside(p.task, float(deformable.explained.sum())) if kind == "sdm" else ""
    return (
        f"{_one_line(p.task.description)}\n\nThe fixed image is {fixed}, the moving one {moving}. "
        f"{state}{page_texts.MOVED[p.task.imaging]}{known}{others}"
    )


def _action_space(p: _Parts) -> str:
    lines = [
        f"`{p.actions.space}`: one step along one degree of freedom"
        + (", or STOP, which is the last. " if p.config.stop is not False else ". ")
        + page_texts.STEP[page_texts.kind_of(p.task)].format(about=page_texts.ABOUT[p.task.imaging])
        + page_texts.UNSEEN[p.task.imaging],
        "",
        "| degree of freedom | unit | actions |",
        "| --- | --- | --- |",
    ]
    sizes = [f"{sign}{size:g}" for size in p.task.steps for sign in "+-"]
    for k, (name, unit) in enumerate(zip(p.model.names, p.model.units, strict=True)):
        first = k * len(sizes)
        numbered = ", ".join(f"{first + i}: {size}" for i, size in enumerate(sizes))
        lines.append(f"| `{name}`, {_freedom(name)} | {_UNITS[unit]} | {numbered} |")
    lines.append(f"| STOP | | {len(sizes) * p.model.n_parameters} |")
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
    size, spacing = p.config.view_size, p.config.view_spacing_mm
    shared = [get_modality(name) for name in p.task.modalities]
    low, high = shared[0].window or (0.0, 0.0)
    window = (
        f"Intensities are windowed from {low:g} to {high:g} HU, constant in the episode."
        if all(modality.hounsfield for modality in shared) and p.task.imaging == "volume"
        else "Intensities are windowed by modality, the window constant in the episode."
    )
    single = p.task.ndim == 2 or p.task.imaging != "volume"
    others = ("difference", "zoom") if single else ("volume", "difference", "volume_difference", "zoom", "volume_zoom")
    named = ", ".join(f'`"{name}"`' for name in others).replace("`", "`observation=", 1)
    matrices = "float64 coefficients" if p.task.model == "sdm" else "float64 matrices"
    return (
        f"`{_box(p)}`, channels first. {page_texts.channels(p.task, p.view.shape[0])} "
        f"{page_texts.grid(p.task, size, spacing)} {window}\n\n"
        f'Others by keyword: {named}; `dtype="float32"`; `parameters=True` adds the pose since the start as a Dict.\n\n'
        f"`info` holds `transform` and `start` ({matrices}), `similarity`, `pair_id`, and on the train and validation "
        f"split {page_texts.TRE[p.task.imaging]} and `is_success` (TRE under {p.task.success_mm:g} mm). {_TEST_SPLIT}"
    )


def _rewards(p: _Parts) -> str:
    single = p.task.ndim == 2 or p.task.imaging != "volume"
    return (
        f"`{p.config.reward_scale:g} x (gain in {p.config.reward} of the step) - {p.config.step_cost:g}`, the cost "
        "for every action but STOP. The similarity is computed on the observed pixels inside the fixed mask; where "
        "less than half of the mask is covered it fades to that of unrelated images, so that leaving the image cannot "
        "pay. The gain telescopes: its sum over an episode is the last similarity less the first.\n\n"
        "Others by keyword: any similarity, a callable or `module:function`, and on the train and validation split the "
        'privileged `"tre"`, `"parameter_distance"`'
        + ("" if p.task.imaging in PROJECTIONS else ' and, where the pairs have labels, `"dice"`')
        + ("." if single else '; `reward_region="volume"` takes the whole view volume.')
    )


def _starting_state(p: _Parts) -> str:
    units = dict(zip(p.model.names, p.model.units, strict=True))
    widths = ", ".join(
        _amount(width, _UNITS[unit]) if unit in _UNITS else f"{_amount(width, _UNITS[units[unit]])} along `{unit}`"
        for unit, width in p.config.misalignment.items()
    )
    pinned = "coefficients" if p.task.model == "sdm" else "matrix"
    options = f'`reset(options={{"pair": id, "start": {pinned}}})` pins either.'
    return f"{page_texts.start(p.task, widths)} {options}"


def _amount(width: float, unit: str) -> str:
    return f"{width:g} {unit.removesuffix('s') if width == 1 else unit}"


def _episode_end(p: _Parts) -> str:
    text = f"`terminated` on STOP; `truncated` after {p.config.horizon} steps."
    reached = page_texts.oracle(p.task)
    return f"{text}\n\n{reached}" if reached else text


def _arguments(p: _Parts) -> str:
    lines = ["| keyword | default | meaning |", "| --- | --- | --- |"]
    for name, meaning in attributes_of(Config).items():
        if name != "task":
            default = _default(getattr(p.config, name), name, p)
            meaning = re.sub(r":\w+:`~?([^`]+)`", r"`\1`", meaning.replace("``", "`"))
            lines.append(f"| `{name}` | `{default}` | {meaning} |")
    presets = ", ".join(f'`"{name}"`' for name in PRESETS if fits(name, p.task))
    lines.append(f"| `preset` | `None` | A published decision process: {presets}; keywords given beside it win. |")
    lines.append('| `render_mode` | `None` | `"rgb_array"` or `"ansi"`. |')
    return "\n".join(lines)


def _default(value: Any, name: str, p: _Parts) -> str:
    if name == "steps":
        return repr(p.task.steps)
    if name == "stop":
        return repr(True)
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
