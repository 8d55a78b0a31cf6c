"""The page of an environment, made from its row of the table and from the environment itself.

The sections are Gymnasium's: description, action space, observation space, rewards, starting state, episode end,
arguments, version history. ``regenv info ID`` prints it, the site shows it.
"""

from __future__ import annotations

import inspect
import re

from regenv.core.models import MatrixModel, get_model
from regenv.envs.actions import DiscreteActions
from regenv.envs.config import Config
from regenv.envs.presets import PRESETS
from regenv.envs.views import make_view
from regenv.registration import Task, get_task


def page(task_id: str) -> str:
    """The page of an id, Markdown.

    Raises:
        ValueError: If there is no such id; the message names the nearest.
    """
    task = get_task(task_id)
    model = get_model(task.model, task.ndim)
    sections = {
        "Description": task.description.replace("\n", " "),
        "Action Space": _actions(task, model),
        "Observation Space": _observations(task),
        "Rewards": _rewards(task),
        "Starting State": _starts(task),
        "Episode End": _end(task),
        "Arguments": _arguments(),
        "Version History": "\n".join(f"- {line}" for line in task.history),
    }
    body = "\n\n".join(f"## {name}\n\n{text}" for name, text in sections.items())
    example = f'import gymnasium as gym, regenv\n\nenv = gym.make("{task.id}")'
    return f"# {task.id}\n\n{task.title}.\n\n```python\n{example}\n```\n\n{body}\n"


def _actions(task: Task, model: MatrixModel) -> str:
    scheme = DiscreteActions(model, task.steps)
    rows = ["| action | does |", "| --- | --- |"]
    per_dof = 2 * len(task.steps)
    for k, (name, unit) in enumerate(zip(model.names, model.units, strict=True)):
        sizes = ", ".join(f"{sign}{size:g}" for size in task.steps for sign in "+-")
        rows.append(f"| {per_dof * k} to {per_dof * k + per_dof - 1} | `{name}`: {sizes} {unit} |")
    rows.append(f"| {scheme.space.n - 1} | STOP |")
    return (
        f"`Discrete({scheme.space.n})`. A step multiplies the transform on the fixed side, along the view's axes about "
        "its centre, so that it looks the same whatever the pose already is.\n\n" + "\n".join(rows)
    )


def _observations(task: Task) -> str:
    view = make_view("slices", ndim=task.ndim, size=task.view_size, spacing_mm=task.view_spacing_mm)
    fixed, moving = task.modalities
    planes = "the axial, coronal and sagittal slice" if task.ndim == 3 else "the image"
    return (
        f"`Box(0, 255, {view.shape}, uint8)`, channels first: {planes} of the fixed image ({fixed.upper()}), then of "
        f"the moved one ({moving.upper()}), on a view of {task.view_size} pixels of {task.view_spacing_mm:g} mm "
        "about the middle of the fixed image, in each modality's intensity window. Keywords give volumes, differences, a zoomed "
        "view, float32 and the pose since the start."
    )


def _rewards(task: Task) -> str:
    scale = task.reward_scales.get(task.similarity, 1.0)
    return (
        f"{scale:g} x (gain in `{task.similarity}` of the step, on the observed pixels inside the fixed mask) - "
        f"{task.step_cost:g} for every action but STOP. The gains of an episode add up to the last similarity less the "
        "first. Where less than half of the fixed mask is covered, the similarity fades to that of unrelated images, "
        "so that leaving the image cannot pay."
    )


def _starts(task: Task) -> str:
    ranges = ", ".join(f"{width:g} {unit}" for unit, width in task.misalignment.items())
    return (
        "A pair of the split, drawn from the seed, and the true transform composed with a misalignment that is uniform "
        f"in each degree of freedom within plus or minus {ranges}. Every pair has its own random physical frame and "
        'crop, so neither the identity nor aligned centres are the answer. `reset(options={"pair": id, "start": '
        "matrix})` pins both."
    )


def _end(task: Task) -> str:
    text = f"`terminated` on STOP; `truncated` after {task.horizon} steps. "
    text += f'`info["is_success"]`, on the train and validation splits, means a TRE under {task.success_mm:g} mm.'
    return text + (f"\n\nOracle: {task.oracle}" if task.oracle else "")


def _arguments() -> str:
    """The keywords, from the docstring of :class:`regenv.envs.config.Config`."""
    text = inspect.cleandoc(Config.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.split(r"\n(?=    \w+: )", text)
    rows = ["| keyword | meaning |", "| --- | --- |"]
    for entry in entries:
        name, _, meaning = " ".join(entry.split()).partition(": ")
        if name != "task":
            plain = re.sub(r":class:`([^`]*)`", r"`\1`", meaning).replace("``", "`")
            rows.append(f"| `{name}` | {plain} |")
    rows.append(f"| `preset` | a published decision process: {', '.join(f'`{name}`' for name in PRESETS)} |")
    rows.append("| `render_mode` | `rgb_array` or `ansi` |")
    return "\n".join(rows)
